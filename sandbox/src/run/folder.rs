//! A root without overlays: the trees, merged into one folder.
//!
//! Where the root is read-only its files are hard links, else copies that share blocks where the file system can: a
//! writable link would lead into the trees. What changed is found by inode and time of change.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;

use super::clean;
use super::workspace::{io_error, relative, set_mode};
use crate::error::SandboxError;
use crate::order::Owned;
use crate::record::{ATTRIBUTE, Record};
use crate::request::Lower;

/// Inodes and times of change by path, as long as nobody has written.
pub(super) type Known = BTreeMap<PathBuf, (u64, i64, i64)>;

/// Merges trees into a folder.
pub(super) struct Merge<'a> {
    folder: &'a Path,
    writable: bool,
    /// Whether files get the modes and owners that they stand for: the program may see them, for all is its own.
    real: bool,
    /// Modes of directories, which are set last: some forbid to write.
    modes: BTreeMap<PathBuf, u32>,
}

impl<'a> Merge<'a> {
    pub(super) fn into(folder: &'a Path, writable: bool, real: bool) -> Self {
        Self {
            folder,
            writable,
            real: writable && real,
            modes: BTreeMap::new(),
        }
    }

    /// Lays a tree over what is there.
    pub(super) fn add(&mut self, lower: &Lower) -> Result<(), SandboxError> {
        for path in &lower.removed {
            let path = relative(path)?;
            self.forget(&path);
            clean::remove(&self.folder.join(path))?;
        }
        self.tree(&lower.tree, Path::new(""))?;
        for (path, mode) in &lower.modes {
            let path = relative(path)?;
            if fs::symlink_metadata(lower.tree.join(&path)).is_ok_and(|found| found.is_dir()) {
                self.modes.insert(path, mode.mode & 0o1777);
            }
        }
        Ok(())
    }

    /// Sets the modes of directories, and the owners that are not ordinary, and tells what is there.
    pub(super) fn finish(self, owned: &[Owned]) -> Result<Known, SandboxError> {
        for (path, mode) in self.modes.iter().rev() {
            let mode = if self.real && *mode == 0o555 {
                0o755
            } else {
                *mode
            };
            set_mode(&self.folder.join(path), mode)?;
        }
        if self.real {
            for owned in owned {
                self.own(owned)?;
            }
        }
        let mut known = Known::new();
        if self.writable {
            note(self.folder, Path::new(""), &mut known)?;
        }
        Ok(known)
    }

    /// Gives a file or a directory the mode and the owner that it stands for.
    fn own(&self, owned: &Owned) -> Result<(), SandboxError> {
        let place = self.folder.join(&owned.path);
        if place.is_symlink() {
            return Ok(());
        }
        // Who may not write to it could not set the attribute.
        set_mode(&place, 0o700)?;
        let record = Record {
            uid: owned.uid,
            gid: owned.gid,
            bits: owned.mode & 0o6000,
        };
        let text = record.text();
        rustix::fs::setxattr(&place, ATTRIBUTE, text.as_bytes(), XattrFlags::empty())
            .map_err(|error| io_error("record the owner of", &place)(error.into()))?;
        set_mode(&place, owned.mode & 0o1777)
    }

    fn tree(&mut self, tree: &Path, path: &Path) -> Result<(), SandboxError> {
        let source = tree.join(path);
        let failed = || io_error("read the tree", &source);
        for entry in fs::read_dir(&source).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            let path = path.join(name);
            let source = tree.join(&path);
            let target = self.folder.join(&path);
            let found = fs::symlink_metadata(&source).map_err(io_error("read", &source))?;
            let there = fs::symlink_metadata(&target).ok();
            let keep = found.is_dir() && there.as_ref().is_some_and(Metadata::is_dir);
            if there.is_some() && !keep {
                self.forget(&path);
                clean::remove(&target)?;
            }
            if found.is_dir() {
                if !keep {
                    fs::create_dir(&target).map_err(io_error("make the folder", &target))?;
                }
                self.modes.insert(path.clone(), found.mode() & 0o1777);
                self.tree(tree, &path)?;
            } else if found.is_symlink() {
                let text = fs::read_link(&source).map_err(io_error("read", &source))?;
                symlink(text, &target).map_err(io_error("make the link", &target))?;
            } else {
                self.file(&source, &target, &found)
                    .map_err(io_error("copy a tree's file to", &target))?;
            }
        }
        Ok(())
    }

    fn file(&self, source: &Path, target: &Path, found: &Metadata) -> io::Result<()> {
        if !self.writable && fs::hard_link(source, target).is_ok() {
            return Ok(());
        }
        let mut from = File::open(source)?;
        let mut to = File::create_new(target)?;
        if rustix::fs::ioctl_ficlone(&to, &from).is_err() {
            io::copy(&mut from, &mut to)?;
        }
        let mode = match found.mode() & 0o777 {
            0o444 if self.real => 0o644,
            0o555 if self.real => 0o755,
            mode => mode,
        };
        to.set_permissions(fs::Permissions::from_mode(mode))
    }

    fn forget(&mut self, path: &Path) {
        self.modes.retain(|known, _| !known.starts_with(path));
    }
}

fn note(folder: &Path, path: &Path, known: &mut Known) -> Result<(), SandboxError> {
    let place = folder.join(path);
    for entry in fs::read_dir(&place).map_err(io_error("read", &place))? {
        let entry = entry.map_err(io_error("read", &place))?;
        let path = path.join(entry.file_name());
        let found = fs::symlink_metadata(entry.path()).map_err(io_error("read", &place))?;
        if found.is_dir() {
            note(folder, &path, known)?;
        } else {
            known.insert(path, (found.ino(), found.ctime(), found.ctime_nsec()));
        }
    }
    Ok(())
}
