//! What was at a path before: the trees of a root, looked at from top to bottom, one folder after the other.
//!
//! Names are looked up in open folders and links are never followed, so that a hostile tree leads nowhere.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, OFlags, Stat, openat, statat};
use rustix::io::Errno;

use crate::request::{Lower, Mode};

/// Trees in which the folder being looked at exists, top first.
pub(super) struct Folders<'a> {
    trees: Vec<(Tree<'a>, OwnedFd)>,
}

/// One tree: of the request, or of what is hidden (skeleton and mount points).
#[derive(Clone, Copy)]
pub(super) enum Tree<'a> {
    Real(&'a Lower),
    Hidden,
}

/// What was at a path.
pub(super) enum Before<'a> {
    Nothing,
    Something(Found<'a>),
}

pub(super) struct Found<'a> {
    /// The topmost tree that has it.
    pub(super) tree: Tree<'a>,
    pub(super) stat: Stat,
    /// The mode that the program saw.
    pub(super) seen: u32,
    /// The mode and the owner that it has in truth.
    pub(super) truth: Mode,
    /// For a directory: where its contents are.
    pub(super) folders: Folders<'a>,
}

impl<'a> Folders<'a> {
    /// The roots of all trees; `hidden` ones lie below.
    pub(super) fn open(lowers: &'a [Lower], hidden: &[&Path]) -> io::Result<Self> {
        let mut trees = Vec::new();
        for lower in lowers.iter().rev() {
            // The tree itself may be named through a link.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let folder = openat(CWD, &lower.tree, flags, rustix::fs::Mode::empty())?;
            trees.push((Tree::Real(lower), folder));
        }
        for tree in hidden {
            trees.push((Tree::Hidden, open_folder(CWD, tree.as_os_str())?));
        }
        Ok(Self { trees })
    }

    pub(super) fn nowhere() -> Self {
        Self { trees: Vec::new() }
    }

    /// Looks for a name; `path` is the whole path relative to the root.
    pub(super) fn find(&self, name: &OsStr, path: &Path) -> io::Result<Before<'a>> {
        let mut found: Option<Found<'a>> = None;
        for (tree, folder) in &self.trees {
            match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => {
                    let directory = kind(&stat) == FileType::Directory;
                    if let Some(upper) = &mut found {
                        if !directory {
                            break;
                        }
                        upper
                            .folders
                            .trees
                            .push((*tree, open_folder(folder, name)?));
                    } else {
                        let mut folders = Self::nowhere();
                        if directory {
                            folders.trees.push((*tree, open_folder(folder, name)?));
                        }
                        let (seen, truth) = modes(*tree, path, &stat);
                        found = Some(Found {
                            tree: *tree,
                            stat,
                            seen,
                            truth,
                            folders,
                        });
                        if !directory {
                            break;
                        }
                    }
                }
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            if let Tree::Real(lower) = tree
                && lower
                    .removed
                    .iter()
                    .any(|removed| removed.strip_prefix("/").unwrap_or(removed) == path)
            {
                break;
            }
        }
        Ok(found.map_or(Before::Nothing, Before::Something))
    }

    /// All names of real trees; some may be hidden by what removes them.
    pub(super) fn names(&self) -> io::Result<BTreeSet<CString>> {
        let mut all = BTreeSet::new();
        for (tree, folder) in &self.trees {
            if matches!(tree, Tree::Real(_)) {
                all.extend(names(folder)?);
            }
        }
        Ok(all)
    }

    /// The folder of the topmost tree that has this name; for comparing bytes.
    pub(super) fn holder(&self, name: &OsStr) -> Option<&OwnedFd> {
        self.trees
            .iter()
            .map(|(_, folder)| folder)
            .find(|folder| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok())
    }
}

/// What the program saw of something, and what it is.
fn modes(tree: Tree<'_>, path: &Path, stat: &Stat) -> (u32, Mode) {
    let raw = stat.st_mode & 0o7777;
    let ordinary = Mode {
        mode: match raw {
            0o444 => 0o644,
            0o555 => 0o755,
            other => other,
        },
        uid: 0,
        gid: 0,
    };
    let recorded = match tree {
        Tree::Real(lower) => lower
            .modes
            .get(path)
            .or_else(|| lower.modes.get(&Path::new("/").join(path))),
        Tree::Hidden => None,
    };
    match recorded {
        Some(mode) if kind(stat) == FileType::Directory => (mode.mode & 0o1777, *mode),
        Some(mode) => (raw, *mode),
        None => (raw, ordinary),
    }
}

pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(super) fn open_folder(parent: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, rustix::fs::Mode::empty())?)
}

/// Names in a folder, sorted by bytes.
pub(super) fn names(folder: &OwnedFd) -> io::Result<BTreeSet<CString>> {
    let mut names = BTreeSet::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            names.insert(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

pub(super) fn os(name: &CString) -> &OsStr {
    OsStr::from_bytes(name.to_bytes())
}
