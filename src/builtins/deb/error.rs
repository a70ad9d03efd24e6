//! What can be wrong with a Debian package.

use std::{fmt, io, path::PathBuf};

use super::tree::TreeError;
use crate::layers::{modes::ModesError, path::InvalidImagePath};

/// A package could not be unpacked. What was written of its outputs is to be thrown away.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The disk is full, or the folder of the outputs is not ours.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: a verb that fits before a path.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The package ends too early, or what it holds is not compressed as its name says.
    /// A download that was cut off and never verified looks like this.
    #[error("cannot read {part}: the archive is cut off or damaged; fetch the package again")]
    Read {
        /// Which part: a member of the archive, or the archive itself.
        part: String,
        /// What the reader or the decompressor said.
        source: io::Error,
    },
    /// The outer archive is not one that `dpkg-deb` writes.
    #[error("archive member at byte {at}: {field} is {found}, expected {expected}")]
    Ar {
        /// Where the member's header starts.
        at: u64,
        /// The part of the header.
        field: &'static str,
        /// What stands there.
        found: Quoted,
        /// What has to stand there.
        expected: String,
    },
    /// Compressed with something that Debian does not use for packages any more.
    #[error(
        "archive member {member} is compressed in an unknown way, expected .gz, .xz, .zst or nothing"
    )]
    Compression {
        /// The member's name.
        member: Quoted,
    },
    /// Bytes follow the compressed stream inside its member: two readers would not agree about them.
    #[error(
        "archive member {member} has {found} bytes after the end of its compressed stream, expected none"
    )]
    TrailingBytes {
        /// The member's name.
        member: Quoted,
        /// How many at least.
        found: u64,
    },
    /// A header or record of one of the two inner archives breaks the format, or uses a part of it that no package needs.
    #[error("{member}, entry {entry}: {field} is {found}, expected {expected}")]
    Tar {
        /// The member of the outer archive.
        member: &'static str,
        /// The entry's name, or the last one before it.
        entry: Quoted,
        /// The field of its header.
        field: &'static str,
        /// What stands there.
        found: Quoted,
        /// What has to stand there.
        expected: &'static str,
    },
    /// A name that leaves the image, or that no image can have.
    #[error("{member}, entry {entry}: the path is refused")]
    Path {
        /// The member of the outer archive.
        member: &'static str,
        /// The entry's name as it stands there.
        entry: Quoted,
        /// What is wrong with it.
        source: InvalidImagePath,
    },
    /// Names that JSON cannot hold, or that would break line-based records.
    #[error("{member}, entry {entry}: the {what} {problem}")]
    Name {
        /// The member of the outer archive.
        member: &'static str,
        /// The entry's name as it stands there.
        entry: Quoted,
        /// Which name: the path itself or what a link points to.
        what: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two entries claim one path, an entry lies below something that is no directory, or the disk refuses.
    #[error("entry {entry} cannot be written")]
    Entry {
        /// The entry's name as it stands there.
        entry: Quoted,
        /// What is wrong with its place.
        source: TreeError,
    },
    /// A hard link to something that the archive has not shown before.
    #[error(
        "{member}, entry {entry}: hard link to {target}, expected an earlier regular file of the same archive"
    )]
    HardLink {
        /// The archive.
        member: &'static str,
        /// The link.
        entry: Quoted,
        /// What it names.
        target: Quoted,
    },
    /// The control file breaks its format or lacks a field.
    #[error("control file, line {line}: found {found}, expected {expected}")]
    Control {
        /// Counted from one.
        line: usize,
        /// The text that stands there.
        found: Quoted,
        /// What has to stand there.
        expected: &'static str,
    },
    /// The package is another one than the index promised: a wrong file under the right name.
    #[error("control file: {field} is {found}, but the lock expects {expected}")]
    Mismatch {
        /// The field of the control file.
        field: &'static str,
        /// What the package says.
        found: Quoted,
        /// What was asked for.
        expected: String,
    },
    /// More than a package may hold. Real packages are far below; the setting raises it.
    #[error("{what} is {found}, but the limit is {limit}; {setting} raises it")]
    Limit {
        /// What was counted.
        what: String,
        /// How much there is, as far as it was read.
        found: u64,
        /// How much there may be.
        limit: u64,
        /// The setting that holds the limit.
        setting: &'static str,
    },
    /// A mode or an owner that no image layer can hold.
    #[error(transparent)]
    Modes(#[from] ModesError),
    /// Somebody asked to stop.
    #[error("unpacking was cancelled")]
    Cancelled,
}

/// Text from a package: escaped and cut, so that it can be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    /// Takes at most 80 characters.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let head = &bytes[..bytes.len().min(320)];
        Self(String::from_utf8_lossy(head).chars().take(80).collect())
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}
