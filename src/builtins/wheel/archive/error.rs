//! What is wrong with a zip archive, in words that name the member, the field, what was found and what was expected.

use std::{fmt, io};

/// Why a file is no archive that can be read safely, or why a member's content is not what the archive promises.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The operating system refused a read, or the file became shorter while it was read.
    #[error("cannot read the archive")]
    Io(#[from] io::Error),

    /// Usually an error page that a server sent in place of the file, or another kind of file under this name.
    #[error("is no zip archive: starts with {}", Quoted(starts_with))]
    NotZip {
        /// The first bytes as text.
        starts_with: String,
    },

    /// The file begins like an archive and does not end like one: an interrupted download or a full disk.
    #[error(
        "zip archive has no end record: the file ({length} bytes) is truncated; fetch it again"
    )]
    Truncated {
        /// The length of what is there.
        length: u64,
    },

    /// The record at the end, from which everything else is found, contradicts itself or the file.
    #[error("end record of the zip archive: {problem}")]
    EndRecord {
        /// What contradicts what.
        problem: String,
    },

    /// The list of members is damaged.
    #[error("central directory of the zip archive, entry {entry}: {problem}")]
    Directory {
        /// Counted from one.
        entry: u64,
        /// What was found and what was expected.
        problem: String,
    },

    /// Readers of zip archives that trust the other header would install something else.
    #[error(
        "member {}: {field} is {local} in its local header and {central} in the central directory",
        Quoted(member)
    )]
    LocalDisagrees {
        /// The member.
        member: String,
        /// Which of its fields.
        field: &'static str,
        /// The value beside the content.
        local: String,
        /// The value in the list of members.
        central: String,
    },

    /// There are bytes before, between or after the members that no member accounts for.
    #[error(
        "zip archive: bytes {start} to {end}, before {}, belong to no member",
        Quoted(before)
    )]
    Unaccounted {
        /// The first such byte.
        start: u64,
        /// The byte after the last.
        end: u64,
        /// What comes next.
        before: String,
    },

    /// Members share bytes, as they do in archives that expand without end.
    #[error(
        "members {} and {} overlap at byte {at}",
        Quoted(first),
        Quoted(second)
    )]
    Overlap {
        /// The member that begins first.
        first: String,
        /// The member (or the directory) that begins before the first has ended.
        second: String,
        /// Where the second begins.
        at: u64,
    },

    /// The name could leave the environment, or means different files to different readers.
    #[error("member name {} {problem}", Quoted(name))]
    Name {
        /// The name as it stands there.
        name: String,
        /// Which rule it breaks.
        problem: &'static str,
    },

    /// Which of the two an installer takes would depend on the installer.
    #[error("member {} occurs twice", Quoted(name))]
    Duplicate {
        /// The name of both.
        name: String,
    },

    /// A path cannot be a file and a directory.
    #[error("member {} lies below {}, which is a file", Quoted(name), Quoted(file))]
    BelowFile {
        /// The lower one.
        name: String,
        /// The file.
        file: String,
    },

    /// Wheels hold regular files and directories.
    #[error(
        "member {} is {kind}; wheels hold regular files and directories only",
        Quoted(member)
    )]
    Kind {
        /// The member.
        member: String,
        /// What it is instead.
        kind: &'static str,
    },

    /// A feature of zip archives that wheels do not use.
    #[error("member {}: {what}", Quoted(member))]
    Unsupported {
        /// The member.
        member: String,
        /// The feature, found and supported.
        what: String,
    },

    /// A limit that guards against archives made to exhaust the machine.
    #[error("zip archive: {what} is {found}, more than {limit} (setting {setting})")]
    Limit {
        /// What was counted.
        what: String,
        /// How much of it there is.
        found: u64,
        /// How much is allowed.
        limit: u64,
        /// The setting that changes the limit.
        setting: &'static str,
    },

    /// The content is damaged, or the archive lies about it.
    #[error("member {}: {problem}", Quoted(member))]
    Content {
        /// The member.
        member: String,
        /// What was found and what was expected.
        problem: String,
    },
}

impl ArchiveError {
    /// What a reader of a member failed with: [`std::io::Read`] can only give it wrapped in an error of its own.
    pub fn from_read(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(error) => Self::Io(error),
        }
    }
}

impl From<ArchiveError> for io::Error {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Io(error) => error,
            error => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Text from an archive as it may be shown: in backticks, unprintable characters escaped, not longer than a line.
pub(in super::super) struct Quoted<'a>(pub(in super::super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 240;
        formatter.write_str("`")?;
        for character in self.0.chars().take(SHOWN) {
            if super::names::is_printable(character) {
                write!(formatter, "{character}")?;
            } else {
                write!(formatter, "{}", character.escape_default())?;
            }
        }
        formatter.write_str(if self.0.chars().nth(SHOWN).is_some() {
            "…`"
        } else {
            "`"
        })
    }
}
