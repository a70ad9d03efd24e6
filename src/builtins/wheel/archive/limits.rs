//! How much an archive may expand to before it is refused.

use super::ArchiveError;

/// The limits of one archive; the defaults leave room for the largest wheels that exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many members there may be.
    pub entries: u64,
    /// What all members together may hold.
    pub expanded_bytes: u64,
    /// What one member may hold.
    pub file_bytes: u64,
    /// How many times its own size the archive may expand to, once it exceeds [`Limits::RATIO_FLOOR`].
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            expanded_bytes: 32 << 30,
            file_bytes: 16 << 30,
            ratio: 200,
        }
    }
}

impl Limits {
    /// Archives that expand to less than this are not compared with their size.
    pub const RATIO_FLOOR: u64 = 64 << 20;

    pub(super) fn check_entries(&self, entries: u64) -> Result<(), ArchiveError> {
        check(
            "number of members",
            entries,
            self.entries,
            "limits.archive-entries",
        )
    }

    pub(super) fn check_file(&self, member: &str, size: u64) -> Result<(), ArchiveError> {
        if size <= self.file_bytes {
            return Ok(());
        }
        let what = format!("size of {}", super::error::Quoted(member));
        check(&what, size, self.file_bytes, "limits.archive-file-bytes")
    }

    pub(super) fn check_expanded(&self, expanded: u64, archive: u64) -> Result<(), ArchiveError> {
        let what = "expanded size";
        check(
            what,
            expanded,
            self.expanded_bytes,
            "limits.archive-expanded-bytes",
        )?;
        if expanded <= Self::RATIO_FLOOR {
            return Ok(());
        }
        check(
            what,
            expanded,
            archive.saturating_mul(self.ratio),
            "limits.archive-ratio",
        )
    }
}

fn check(what: &str, found: u64, limit: u64, setting: &'static str) -> Result<(), ArchiveError> {
    if found <= limit {
        return Ok(());
    }
    Err(ArchiveError::Limit {
        what: what.to_owned(),
        found,
        limit,
        setting,
    })
}
