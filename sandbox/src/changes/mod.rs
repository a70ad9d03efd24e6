//! What a program changed on its root.

mod lookup;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use read::{Written, read};

/// The difference between the root before and after.
///
/// Nothing of the skeleton, of mount points or of secrets is in it. What was written but is as before in bytes, mode and
/// owner is no change.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// What changed, by path relative to the root. Every directory above an entry is there too.
    pub entries: BTreeMap<PathBuf, Change>,
    /// Sockets that were left behind. They are told because nothing can be done with them.
    pub sockets: Vec<PathBuf>,
}

/// What happened to one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A directory that is as before, with something below it that changed.
    Unchanged,
    /// It is new, or it is another in bytes, target, kind, mode or owner. If it is no directory and there was one before,
    /// everything below that is gone.
    Present(Entry),
    /// It is gone, with everything below it; what was below is not listed.
    Removed,
}

/// A file, directory or symlink after the program ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-id and sticky bits, as the program asked for; 0777 for a symlink.
    pub mode: u32,
    /// The owner that the program asked for.
    pub uid: u32,
    /// The group that the program asked for.
    pub gid: u32,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// Where its bytes are, on the host, until the workspace is removed. Several entries can have one file: hard
        /// links.
        bytes: PathBuf,
        /// How many there are.
        size: u64,
    },
    /// A directory; what is in it has entries of its own where it changed.
    Directory,
    /// A symlink.
    Symlink {
        /// Its text.
        target: PathBuf,
    },
}
