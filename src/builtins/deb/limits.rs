//! How much a package may expand to before it is refused.

use super::DebError;

/// The limits of one package; the defaults leave room for the largest packages of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many entries the two inner archives may have.
    pub entries: u64,
    /// What all files together may hold, hard links counted each time.
    pub expanded_bytes: u64,
    /// What one file may hold.
    pub file_bytes: u64,
    /// How many times its own size the package may expand to, once it exceeds [`Limits::RATIO_FLOOR`].
    pub ratio: u64,
    /// What the control archive may hold, which is kept in memory.
    pub control_bytes: u64,
    /// How deep a path may be.
    pub depth: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            expanded_bytes: 32 << 30,
            file_bytes: 16 << 30,
            ratio: 200,
            control_bytes: 64 << 20,
            depth: 64,
        }
    }
}

impl Limits {
    /// Packages that expand to less than this are not compared with their size.
    pub const RATIO_FLOOR: u64 = 64 << 20;

    pub(super) fn check_file(&self, size: u64) -> Result<(), DebError> {
        check(
            "size of one file",
            size,
            self.file_bytes,
            "limits.archive-file-bytes",
        )
    }

    pub(super) fn check_control(&self, size: u64) -> Result<(), DebError> {
        check(
            "size of the control archive",
            size,
            self.control_bytes,
            "limits.deb-control-bytes",
        )
    }

    pub(super) fn check_depth(&self, path: &str) -> Result<(), DebError> {
        let depth = path.split('/').count() as u64;
        check("depth of a path", depth, self.depth, "limits.path-depth")
    }
}

/// What one package has used up of its limits, over both of its inner archives.
#[derive(Debug)]
pub(in crate::builtins) struct Budget<'a> {
    limits: &'a Limits,
    package_bytes: u64,
    entries: u64,
    expanded: u64,
}

impl<'a> Budget<'a> {
    /// Nothing is used up yet of a package that has so many bytes.
    pub(in crate::builtins) fn new(limits: &'a Limits, package_bytes: u64) -> Self {
        Self {
            limits,
            package_bytes,
            entries: 0,
            expanded: 0,
        }
    }

    pub(super) fn limits(&self) -> &'a Limits {
        self.limits
    }

    pub(super) fn count_entry(&mut self) -> Result<(), DebError> {
        self.entries += 1;
        check(
            "number of entries",
            self.entries,
            self.limits.entries,
            "limits.archive-entries",
        )
    }

    pub(super) fn count_bytes(&mut self, bytes: u64) -> Result<(), DebError> {
        self.expanded = self.expanded.saturating_add(bytes);
        let (what, limits) = ("expanded size", self.limits);
        check(
            what,
            self.expanded,
            limits.expanded_bytes,
            "limits.archive-expanded-bytes",
        )?;
        if self.expanded <= Limits::RATIO_FLOOR {
            return Ok(());
        }
        let by_ratio = self.package_bytes.saturating_mul(limits.ratio);
        check(what, self.expanded, by_ratio, "limits.archive-ratio")
    }
}

fn check(what: &str, found: u64, limit: u64, setting: &'static str) -> Result<(), DebError> {
    if found <= limit {
        return Ok(());
    }
    Err(DebError::Limit {
        what: what.to_owned(),
        found,
        limit,
        setting,
    })
}
