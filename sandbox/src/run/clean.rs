//! Removes what a program left: folders without permissions, and trees of any depth.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, chmodat, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::error::SandboxError;

/// How deep descriptors are stacked; what is deeper is moved up first.
const DEPTH: usize = 64;

/// Removes everything in a folder, but not the folder.
pub(super) fn empty(folder: &Path) -> Result<(), SandboxError> {
    let failed = |error: Errno| SandboxError::Io {
        action: "empty",
        path: folder.to_owned(),
        source: io::Error::from(error),
    };
    let top = open(rustix::fs::CWD, folder.as_os_str()).map_err(failed)?;
    for name in names(&top).map_err(failed)? {
        remove_entry(&top, &name).map_err(failed)?;
    }
    Ok(())
}

/// About how many bytes lie below a folder. What disappears while it is counted, or cannot be entered, counts nothing.
pub(super) fn usage(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(found) = entry.metadata() else {
                continue;
            };
            bytes += found.blocks() * 512;
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

/// Removes a file, or a folder with everything in it.
pub(super) fn remove(path: &Path) -> Result<(), SandboxError> {
    let failed = |error: Errno| SandboxError::Io {
        action: "remove",
        path: path.to_owned(),
        source: io::Error::from(error),
    };
    let parent = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default();
    let name = CString::new(name.as_bytes()).map_err(|_| failed(Errno::INVAL))?;
    let parent = open(rustix::fs::CWD, parent.as_os_str()).map_err(failed)?;
    match remove_entry(&parent, &name) {
        Err(Errno::NOENT) => Ok(()),
        result => result.map_err(failed),
    }
}

fn remove_entry(top: &OwnedFd, name: &CStr) -> rustix::io::Result<()> {
    let mut moved = VecDeque::new();
    let mut number = 0;
    descend(top, name, 0, &mut |folder, deep| {
        // The name is one that no name in use can be: they all come from here.
        let fresh = loop {
            let fresh = CString::new(format!(".deep-{number}")).map_err(|_| Errno::INVAL)?;
            number += 1;
            // An empty folder takes the name, and the rename replaces it.
            match mkdirat(top, &fresh, Mode::RWXU) {
                Err(Errno::EXIST) => {}
                result => break result.map(|()| fresh)?,
            }
        };
        renameat(folder, deep, top, &fresh)?;
        moved.push_back(fresh);
        Ok(())
    })?;
    while let Some(next) = moved.pop_front() {
        remove_entry(top, &next)?;
    }
    Ok(())
}

type MoveUp<'a> = &'a mut dyn FnMut(&OwnedFd, &CStr) -> rustix::io::Result<()>;

fn descend(
    parent: &OwnedFd,
    name: &CStr,
    depth: usize,
    move_up: MoveUp<'_>,
) -> rustix::io::Result<()> {
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return unlinkat(parent, name, AtFlags::empty());
    }
    if stat.st_mode & 0o700 != 0o700 {
        chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
    }
    if depth == DEPTH {
        return move_up(parent, name);
    }
    let folder = open(parent, OsStr::from_bytes(name.to_bytes()))?;
    for name in names(&folder)? {
        descend(&folder, &name, depth + 1, move_up)?;
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

fn open(parent: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

fn names(folder: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}
