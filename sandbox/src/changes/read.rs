//! Reads what a program wrote and tells the difference.
//!
//! Runs when every process is gone, so nothing moves while it is read. Whatever the program left is input: folders
//! without permissions, links that lead out, trees that are too deep.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode as Bits, OFlags, Stat, chmodat, openat, readlinkat, statat,
};
use rustix::io::Errno;

use super::lookup::{Before, Folders, Found, Tree, kind, names, open_folder, os};
use super::{Change, Changes, Entry, Kind};
use crate::error::SandboxError;
use crate::record::{self, EXACT, Record, SymlinkOwners};
use crate::request::{Lower, Mode};

/// How deep what a program wrote may be: each level holds a descriptor.
const DEPTH: usize = 200;

/// Where the changes are and what was before.
pub(crate) struct Written<'a> {
    /// The folder that was written to.
    pub(crate) folder: &'a Path,
    /// Whether it is the whole root. Otherwise it is the upper folder of an overlay.
    pub(crate) whole: bool,
    /// In a whole root: the inode and the change time of what was there, so that not every byte must be read.
    pub(crate) known: &'a BTreeMap<PathBuf, (u64, i64, i64)>,
    /// The trees of the request.
    pub(crate) lowers: &'a [Lower],
    /// Trees that nobody asked for: the skeleton and the mount points.
    pub(crate) hidden: &'a [&'a Path],
    /// Whether the program saw real modes and owners.
    pub(crate) emulated: bool,
    /// Owners of symlinks, by inode and time of birth.
    pub(crate) symlinks: &'a SymlinkOwners,
}

/// Reads all changes.
pub(crate) fn read(written: &Written<'_>) -> Result<Changes, SandboxError> {
    let mut reader = Reader {
        written,
        changes: Changes::default(),
    };
    let failed = |source| SandboxError::Io {
        action: "read the changes in",
        path: written.folder.to_owned(),
        source,
    };
    let lowers = Folders::open(written.lowers, written.hidden).map_err(failed)?;
    let folder = open_folder(rustix::fs::CWD, written.folder.as_os_str()).map_err(failed)?;
    reader.folder(&folder, Path::new(""), &lowers, written.whole, 0)?;
    Ok(reader.changes)
}

struct Reader<'a> {
    written: &'a Written<'a>,
    changes: Changes,
}

impl Reader<'_> {
    /// Compares a folder; whether anything in it changed. An `opaque` one shows nothing of what was there before.
    fn folder(
        &mut self,
        folder: &OwnedFd,
        path: &Path,
        before: &Folders<'_>,
        opaque: bool,
        depth: usize,
    ) -> Result<bool, SandboxError> {
        if depth > DEPTH {
            return Err(SandboxError::Kind {
                kind: "folders nested too deep",
                path: path.to_owned(),
            });
        }
        let failed = |source| self.failed(path, source);
        let present = names(folder).map_err(failed)?;
        let mut changed = false;
        if opaque {
            for name in before.names().map_err(failed)? {
                let path = path.join(os(&name));
                if !present.contains(&name) && self.existed(before, os(&name), &path)? {
                    self.changes.entries.insert(path, Change::Removed);
                    changed = true;
                }
            }
        }
        for name in present {
            changed |= self.entry(
                folder,
                os(&name),
                &path.join(os(&name)),
                before,
                opaque,
                depth,
            )?;
        }
        Ok(changed)
    }

    fn existed(
        &self,
        before: &Folders<'_>,
        name: &OsStr,
        path: &Path,
    ) -> Result<bool, SandboxError> {
        let found = before
            .find(name, path)
            .map_err(|source| self.failed(path, source))?;
        Ok(matches!(
            found,
            Before::Something(Found {
                tree: Tree::Real(_),
                ..
            })
        ))
    }

    fn entry(
        &mut self,
        folder: &OwnedFd,
        name: &OsStr,
        path: &Path,
        before: &Folders<'_>,
        opaque: bool,
        depth: usize,
    ) -> Result<bool, SandboxError> {
        let failed = |source: io::Error| self.failed(path, source);
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed(error.into()))?;
        let special = match kind(&stat) {
            FileType::CharacterDevice if stat.st_rdev == 0 && !self.written.whole => {
                if self.existed(before, name, path)? {
                    self.changes
                        .entries
                        .insert(path.to_owned(), Change::Removed);
                    return Ok(true);
                }
                return Ok(false);
            }
            FileType::Directory => {
                return self.directory(folder, name, path, &stat, before, opaque, depth);
            }
            FileType::Socket => {
                self.changes.sockets.push(path.to_owned());
                return Ok(false);
            }
            FileType::RegularFile | FileType::Symlink => None,
            FileType::Fifo => Some("a pipe"),
            _ => Some("a device"),
        };
        if let Some(kind) = special {
            return Err(SandboxError::Kind {
                kind,
                path: path.to_owned(),
            });
        }
        if self.known(path, &stat) {
            return Ok(false);
        }
        let found = before.find(name, path).map_err(failed)?;
        let (record, copied) = self.record(folder, name, &stat).map_err(failed)?;
        let mut same = false;
        let mut origin = None;
        if let Before::Something(found) = &found
            && kind(&found.stat) == kind(&stat)
        {
            origin = Some(found);
            same = match before.holder(name) {
                Some(holder) => {
                    same_contents(folder, holder, name, &stat, &found.stat).map_err(failed)?
                }
                None => false,
            };
        }
        let from = self.from(copied);
        let mode = effective(&stat, record, origin, from);
        if let Some(found) = origin
            && same
            && mode == found.truth
        {
            return Ok(false);
        }
        let kind = if kind(&stat) == FileType::Symlink {
            let target =
                readlinkat(folder, name, Vec::new()).map_err(|error| failed(error.into()))?;
            Kind::Symlink {
                target: PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes())),
            }
        } else {
            Kind::File {
                bytes: self.written.folder.join(path),
                size: u64::try_from(stat.st_size).unwrap_or_default(),
            }
        };
        self.insert(path, kind, mode);
        Ok(true)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one step of a walk, called from one place"
    )]
    fn directory(
        &mut self,
        folder: &OwnedFd,
        name: &OsStr,
        path: &Path,
        stat: &Stat,
        before: &Folders<'_>,
        opaque: bool,
        depth: usize,
    ) -> Result<bool, SandboxError> {
        let failed = |source: io::Error| self.failed(path, source);
        if stat.st_mode & 0o500 != 0o500 {
            // It is told with the mode it has; the bytes below must be readable.
            chmodat(folder, name, Bits::RWXU, AtFlags::empty())
                .map_err(|error| failed(error.into()))?;
        }
        let inner = open_folder(folder, name).map_err(failed)?;
        let record = record::of(&inner).map_err(failed)?;
        let opaque = opaque || record::is_opaque(&inner).map_err(failed)?;
        let found = match before.find(name, path).map_err(failed)? {
            Before::Something(found) if kind(&found.stat) == FileType::Directory => Some(found),
            _ => None,
        };
        let from = self.from(record::is_copied(&inner).map_err(failed)?);
        let mode = effective(stat, record, found.as_ref(), from);
        let nowhere = Folders::nowhere();
        let lowers = found.as_ref().map_or(&nowhere, |found| &found.folders);
        let below = self.folder(&inner, path, lowers, opaque, depth + 1)?;
        let (same, hidden) = found.as_ref().map_or((false, false), |found| {
            (mode == found.truth, matches!(found.tree, Tree::Hidden))
        });
        if same && !below {
            return Ok(false);
        }
        if same && !hidden {
            self.changes
                .entries
                .insert(path.to_owned(), Change::Unchanged);
        } else {
            self.insert(path, Kind::Directory, mode);
        }
        Ok(true)
    }

    fn insert(&mut self, path: &Path, kind: Kind, mode: Mode) {
        let entry = Entry {
            mode: if matches!(kind, Kind::Symlink { .. }) {
                0o777
            } else {
                mode.mode
            },
            kind,
            uid: mode.uid,
            gid: mode.gid,
        };
        self.changes
            .entries
            .insert(path.to_owned(), Change::Present(entry));
    }

    /// Whether this is known to be untouched.
    fn known(&self, path: &Path, stat: &Stat) -> bool {
        self.written.known.get(path)
            == Some(&(
                stat.st_ino,
                stat.st_ctime,
                i64::try_from(stat.st_ctime_nsec).unwrap_or_default(),
            ))
    }

    /// What was recorded of something that is no directory, and whether it was copied from a tree.
    fn record(
        &self,
        folder: &OwnedFd,
        name: &OsStr,
        stat: &Stat,
    ) -> io::Result<(Option<Record>, bool)> {
        if kind(stat) == FileType::Symlink {
            let identity = record::identity(folder, name)?;
            let owner = self.written.symlinks.get(&identity);
            let record = owner.map(|(uid, gid)| Record {
                uid: *uid,
                gid: *gid,
                bits: 0,
            });
            return Ok((record, false));
        }
        if stat.st_mode & 0o400 == 0 {
            let mode = Bits::from_raw_mode(stat.st_mode & 0o777 | 0o400);
            chmodat(folder, name, mode, AtFlags::empty())?;
        }
        let file = open_file(folder, name)?;
        Ok((record::of(&file)?, record::is_copied(&file)?))
    }

    fn from(&self, copied: bool) -> From {
        match (self.written.emulated, copied) {
            (false, _) => From::Unknown,
            (true, true) => From::Tree,
            (true, false) => From::Program,
        }
    }

    fn failed(&self, path: &Path, source: io::Error) -> SandboxError {
        SandboxError::Io {
            action: "read the change",
            path: self.written.folder.join(path),
            source,
        }
    }
}

/// The mode and the owner that something has in truth. What came from a tree and was not changed is what it was there;
/// trees of a store show other modes than they stand for.
fn effective(stat: &Stat, record: Option<Record>, found: Option<&Found<'_>>, from: From) -> Mode {
    let raw = stat.st_mode & 0o7777;
    let (mut mode, mut owner) = (raw & !0o6000, (0, 0));
    match (from, found) {
        (From::Tree | From::Unknown, Some(found)) => {
            if found.seen == raw {
                mode = found.truth.mode;
            }
            owner = (found.truth.uid, found.truth.gid);
        }
        (From::Tree, None) => {
            mode = match raw {
                0o444 => 0o644,
                0o555 => 0o755,
                other => other & !0o6000,
            };
        }
        (From::Program, _) | (From::Unknown, None) => {}
    }
    if let Some(record) = record {
        if record.bits & EXACT != 0 {
            mode = raw;
        }
        owner = (record.uid, record.gid);
        mode = mode & !0o6000 | record.bits & 0o6000;
    }
    if kind(stat) == FileType::Symlink {
        mode = found.map_or(0o777, |found| found.truth.mode);
    }
    Mode {
        mode,
        uid: owner.0,
        gid: owner.1,
    }
}

/// Where something on the disk comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// A tree: it was copied there.
    Tree,
    /// The program.
    Program,
    /// The program saw the modes of trees as they are, so it may have carried them on.
    Unknown,
}

fn same_contents(
    folder: &OwnedFd,
    holder: &OwnedFd,
    name: &OsStr,
    after: &Stat,
    before: &Stat,
) -> io::Result<bool> {
    if kind(after) == FileType::Symlink {
        return Ok(readlinkat(folder, name, Vec::new())? == readlinkat(holder, name, Vec::new())?);
    }
    if after.st_size != before.st_size {
        return Ok(false);
    }
    let (mut after, mut before) = (open_file(folder, name)?, open_file(holder, name)?);
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let count = fill(&mut after, &mut left)?;
        if count != fill(&mut before, &mut right)? || left[..count] != right[..count] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// A regular file of a folder; a pipe in its place would not make this wait.
fn open_file(folder: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match openat(folder, name, flags, Bits::empty()) {
        Ok(file) => Ok(File::from(file)),
        Err(Errno::LOOP) => Err(io::ErrorKind::InvalidInput.into()),
        Err(error) => Err(error.into()),
    }
}
