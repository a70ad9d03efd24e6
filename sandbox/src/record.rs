//! What cannot be on the disk: owners that do not exist here, and set-id modes.
//!
//! They are recorded as an extended attribute of files and directories, written by the sandbox's first process and read
//! when the program is gone: `UID:GID:BITS`, the bits octal. Symlinks cannot have one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, StatxFlags, fgetxattr, statx};
use rustix::io::Errno;

/// The attribute. Programs inside can neither see nor set it.
pub(crate) const ATTRIBUTE: &str = "user.cognix.owner";

/// Among the bits: the mode on the disk is meant, though it is one that a store has.
pub(crate) const EXACT: u32 = 0o10000;

/// What a symlink is known by: its inode, and the time of its birth in seconds and nanoseconds.
pub(crate) type Inode = (u64, i64, u32);

/// Users and groups of symlinks.
pub(crate) type SymlinkOwners = BTreeMap<Inode, (u32, u32)>;

/// An owner and set-id bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) bits: u32,
}

impl Record {
    pub(crate) fn text(self) -> String {
        format!("{}:{}:{:o}", self.uid, self.gid, self.bits)
    }

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(text).ok()?.split(':');
        let record = Self {
            uid: parts.next()?.parse().ok()?,
            gid: parts.next()?.parse().ok()?,
            bits: u32::from_str_radix(parts.next()?, 8).ok()? & (0o6000 | EXACT),
        };
        parts.next().is_none().then_some(record)
    }
}

/// What is recorded of an open file or directory.
pub(crate) fn of(file: impl AsFd) -> io::Result<Option<Record>> {
    Ok(attribute(file, ATTRIBUTE)?.and_then(|text| Record::parse(&text)))
}

/// Whether an overlay copied this from a tree below.
pub(crate) fn is_copied(file: impl AsFd) -> io::Result<bool> {
    let mut value = [0; 256];
    match fgetxattr(file, "user.overlay.origin", &mut value) {
        Ok(_) | Err(Errno::RANGE) => Ok(true),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether an overlay shows nothing of the directories below this one.
pub(crate) fn is_opaque(folder: &OwnedFd) -> io::Result<bool> {
    Ok(attribute(folder, "user.overlay.opaque")?.as_deref() == Some(b"y"))
}

fn attribute(file: impl AsFd, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut value = [0; 64];
    match fgetxattr(file, name, &mut value) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a symlink is known by: its inode, and the time of its birth, because numbers are used again.
pub(crate) fn identity(folder: &OwnedFd, name: &OsStr) -> io::Result<Inode> {
    let found = statx(
        folder,
        name,
        AtFlags::SYMLINK_NOFOLLOW,
        StatxFlags::INO | StatxFlags::BTIME,
    )?;
    Ok((
        found.stx_ino,
        found.stx_btime.tv_sec,
        found.stx_btime.tv_nsec,
    ))
}
