//! Walks a tree on disk: hashes its archive, finds references, and makes it normal or checks that it is.
//!
//! Normal means what Nix means: files 0444 or 0555 by the owner's execute bit, folders 0555, times 1, no extended attributes,
//! nothing but files, folders and links. Everything is opened relative to the folder it is in and no link is followed.
//! Memory does not depend on the size of files. Nothing is renamed or removed here.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cognix_derivations::nar::{Encoder, NarError};
use cognix_derivations::references::{ReferenceScanner, StrayScanner};
use cognix_derivations::{Sha256, Sha256Hasher, StorePath};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT,
};
use rustix::io::Errno;

use crate::error::StoreError;

pub(crate) use text::{hash_text, write_text};

/// The time of everything in a store.
const MTIME: i64 = 1;

/// How much of a file is read at once.
const CHUNK: usize = 256 << 10;

/// Extended attributes that belong to the machine, not to the file; Nix leaves them too.
const KEPT_ATTRIBUTES: [&[u8]; 3] = [b"security.selinux", b"security.csm", b"system.nfs4_acl"];

/// What a walk found.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// Digest of the archive.
    pub(crate) nar_hash: Sha256,
    /// Size of the archive.
    pub(crate) nar_size: u64,
    /// Which of the candidates occur in it.
    pub(crate) references: BTreeSet<StorePath>,
    /// Beginnings of store paths that are no candidates, where only candidates may occur.
    pub(crate) strays: BTreeSet<String>,
    /// What is not normal; empty after normalising.
    pub(crate) deviations: Vec<String>,
}

/// What a tree may refer to.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    /// Paths to look for.
    pub(crate) candidates: BTreeSet<StorePath>,
    /// Whether any other store path in it is worth telling.
    pub(crate) only: bool,
}

/// Makes a tree normal, hashes it and looks for references to the candidates. A folder at the top stays writable, because
/// only a writable folder can be renamed into another; [`seal`] does the rest.
pub(crate) fn normalise(path: &Path, declared: &Declared) -> Result<Scanned, StoreError> {
    walk(path, declared, true)
}

/// Hashes a tree without touching it, and notes what is not normal.
pub(crate) fn inspect(path: &Path) -> Result<Scanned, StoreError> {
    walk(path, &Declared::default(), false)
}

/// Gives a normalised folder its final mode, once it is where it belongs.
pub(crate) fn seal(path: &Path, durable: bool) -> Result<(), StoreError> {
    let folder =
        open(CWD, &c_string(path)?, OFlags::DIRECTORY).map_err(StoreError::errno("open", path))?;
    rustix::fs::fchmod(&folder, Mode::from_raw_mode(0o555))
        .map_err(StoreError::errno("change the mode of", path))?;
    if durable {
        File::from(folder)
            .sync_all()
            .map_err(StoreError::io("sync", path))?;
    }
    Ok(())
}

fn walk(path: &Path, declared: &Declared, normalise: bool) -> Result<Scanned, StoreError> {
    let candidates = &declared.candidates;
    let sink = Sink {
        hasher: Sha256Hasher::new(),
        size: 0,
        scanner: (!candidates.is_empty()).then(|| ReferenceScanner::new(candidates)),
        strays: declared.only.then(|| StrayScanner::new(candidates)),
    };
    let archive = Encoder::new(BufWriter::new(sink));
    let mut walker = Walker {
        archive: archive.map_err(nar_error(path))?,
        buffer: vec![0; CHUNK],
        path: path.to_owned(),
        root: path.to_owned(),
        normalise,
        links: None,
        deviations: Vec::new(),
    };
    walker.entry(CWD, &c_string(path)?, None)?;
    let sink = walker
        .archive
        .finish()
        .map_err(nar_error(path))?
        .into_inner()
        .map_err(|error| StoreError::io("hash", path)(error.into_error()))?;
    Ok(Scanned {
        nar_hash: sink.hasher.finish(),
        nar_size: sink.size,
        references: sink
            .scanner
            .map(ReferenceScanner::finish)
            .unwrap_or_default(),
        strays: sink.strays.map(StrayScanner::finish).unwrap_or_default(),
        deviations: walker.deviations,
    })
}

/// Takes the archive: hashes it, counts it, looks for references.
struct Sink {
    hasher: Sha256Hasher,
    size: u64,
    scanner: Option<ReferenceScanner>,
    strays: Option<StrayScanner>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        if let Some(scanner) = &mut self.scanner {
            scanner.write_all(bytes)?;
        }
        if let Some(strays) = &mut self.strays {
            strays.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Walker {
    archive: Encoder<BufWriter<Sink>>,
    buffer: Vec<u8>,
    /// Where the walk is, for messages.
    path: PathBuf,
    root: PathBuf,
    normalise: bool,
    /// How often each file with several names occurs in the tree; counted when the first one is met.
    links: Option<BTreeMap<(u64, u64), u64>>,
    deviations: Vec<String>,
}

impl Walker {
    /// Recursion is bounded by the depth of an archive, which the encoder checks.
    fn entry(
        &mut self,
        parent: BorrowedFd<'_>,
        entry: &CStr,
        name: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let stat = rustix::fs::statat(parent, entry, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.errno("look at"))?;
        if self.normalise && stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(self.unsupported(format!("it belongs to user {}", stat.st_uid)));
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.directory(parent, entry, name, &stat),
            FileType::RegularFile => self.regular(parent, entry, name, &stat),
            FileType::Symlink => self.symlink(parent, entry, name, &stat),
            other => Err(self.unsupported(format!(
                "it is a {}, and only files, folders and links can be stored",
                kind_name(other)
            ))),
        }
    }

    fn directory(
        &mut self,
        parent: BorrowedFd<'_>,
        entry: &CStr,
        name: Option<&[u8]>,
        stat: &Stat,
    ) -> Result<(), StoreError> {
        let folder = self.open(parent, entry, OFlags::DIRECTORY)?;
        self.archive
            .start_directory(name)
            .map_err(nar_error(&self.path))?;
        for child in self.list(&folder)? {
            self.path
                .push(std::ffi::OsStr::from_bytes(child.to_bytes()));
            self.entry(folder.as_fd(), &child, Some(child.to_bytes()))?;
            self.path.pop();
        }
        self.archive
            .end_directory()
            .map_err(nar_error(&self.path))?;
        let mode = if self.normalise && name.is_none() {
            0o755
        } else {
            0o555
        };
        self.settle(&folder, stat, mode)
    }

    fn list(&self, folder: &OwnedFd) -> Result<Vec<CString>, StoreError> {
        let mut names = Vec::new();
        for entry in Dir::read_from(folder).map_err(self.errno("list"))? {
            let entry = entry.map_err(self.errno("list"))?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn regular(
        &mut self,
        parent: BorrowedFd<'_>,
        entry: &CStr,
        name: Option<&[u8]>,
        stat: &Stat,
    ) -> Result<(), StoreError> {
        let executable = stat.st_mode & 0o100 != 0;
        let mode = if executable { 0o555 } else { 0o444 };
        if self.normalise && stat.st_nlink > 1 && !is_normal(stat, mode) {
            self.check_links(stat)?;
        }
        let file = self.open(parent, entry, OFlags::empty())?;
        self.settle(&file, stat, mode)?;
        let mut file = File::from(file);
        let size = stat.st_size.unsigned_abs();
        let mut contents = self
            .archive
            .regular(name, executable, size)
            .map_err(nar_error(&self.path))?;
        loop {
            let count = match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StoreError::io("read", &self.path)(error)),
            };
            // Fails when the file has grown; `finish` fails when it has shrunk.
            contents
                .write_all(&self.buffer[..count])
                .map_err(StoreError::io("hash", &self.path))?;
        }
        contents.finish().map_err(nar_error(&self.path))
    }

    fn symlink(
        &mut self,
        parent: BorrowedFd<'_>,
        entry: &CStr,
        name: Option<&[u8]>,
        stat: &Stat,
    ) -> Result<(), StoreError> {
        let target =
            rustix::fs::readlinkat(parent, entry, Vec::new()).map_err(self.errno("read"))?;
        self.archive
            .symlink(name, target.to_bytes())
            .map_err(nar_error(&self.path))?;
        if self.normalise {
            rustix::fs::utimensat(parent, entry, &times(), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(self.errno("set the time of"))
        } else {
            self.note(stat, stat.st_mode & 0o7777);
            Ok(())
        }
    }

    /// Opens an entry, which stays unreadable only if we cannot change that.
    fn open(
        &self,
        parent: BorrowedFd<'_>,
        entry: &CStr,
        kind: OFlags,
    ) -> Result<OwnedFd, StoreError> {
        match open(parent, entry, kind) {
            Err(Errno::ACCESS) if self.normalise => {
                // The entry is neither link nor device: it was looked at above, in a folder that only we enter.
                rustix::fs::chmodat(parent, entry, Mode::RWXU, AtFlags::empty())
                    .map_err(self.errno("change the mode of"))?;
                open(parent, entry, kind)
            }
            result => result,
        }
        .map_err(self.errno("open"))
    }

    /// Makes what is open normal, or notes what is not.
    fn settle(&mut self, open: &OwnedFd, stat: &Stat, mode: u32) -> Result<(), StoreError> {
        if !self.normalise {
            self.note(stat, mode);
            return Ok(());
        }
        remove_attributes(open.as_fd(), &self.path)?;
        if is_normal(stat, mode) {
            return Ok(());
        }
        rustix::fs::fchmod(open, Mode::from_raw_mode(mode))
            .map_err(self.errno("change the mode of"))?;
        rustix::fs::futimens(open, &times()).map_err(self.errno("set the time of"))
    }

    fn note(&mut self, stat: &Stat, mode: u32) {
        if !is_normal(stat, mode) {
            let inside = self.path.strip_prefix(&self.root).unwrap_or(&self.path);
            self.deviations.push(format!(
                "{:?} has mode {:04o} and time {}, expected {mode:04o} and {MTIME}",
                inside.display().to_string(),
                stat.st_mode & 0o7777,
                stat.st_mtime
            ));
        }
    }

    /// A file that also has a name outside must not be changed: it is somebody else's too.
    fn check_links(&mut self, stat: &Stat) -> Result<(), StoreError> {
        if self.links.is_none() {
            let mut links = BTreeMap::new();
            count_links(&self.root, &mut links).map_err(StoreError::io("list", &self.root))?;
            self.links = Some(links);
        }
        let inside = self
            .links
            .as_ref()
            .and_then(|links| links.get(&(stat.st_dev, stat.st_ino)));
        // The type of the count differs between platforms.
        #[allow(clippy::useless_conversion, reason = "u32 on some architectures")]
        let names = u64::from(stat.st_nlink);
        if inside.copied().unwrap_or(0) < names {
            return Err(self.unsupported("it is hard-linked from outside".to_owned()));
        }
        Ok(())
    }

    fn unsupported(&self, reason: String) -> StoreError {
        StoreError::Unsupported {
            path: self.path.clone(),
            reason,
        }
    }

    fn errno(&self, action: &'static str) -> impl FnOnce(Errno) -> StoreError {
        StoreError::errno(action, &self.path)
    }
}

fn remove_attributes(open: BorrowedFd<'_>, path: &Path) -> Result<(), StoreError> {
    let listing = "list the attributes of";
    let size = match rustix::fs::flistxattr(open, &mut [] as &mut [u8]) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        Ok(size) => size,
        Err(error) => return Err(StoreError::errno(listing, path)(error)),
    };
    let mut names = vec![0_u8; size];
    let size = rustix::fs::flistxattr(open, names.as_mut_slice())
        .map_err(StoreError::errno(listing, path))?;
    for name in names[..size].split(|byte| *byte == 0) {
        if !name.is_empty() && !KEPT_ATTRIBUTES.contains(&name) {
            rustix::fs::fremovexattr(open, name)
                .map_err(StoreError::errno("remove an attribute of", path))?;
        }
    }
    Ok(())
}

/// Counts the names of every file that has several.
fn count_links(path: &Path, links: &mut BTreeMap<(u64, u64), u64>) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = std::fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        } else if metadata.nlink() > 1 {
            *links.entry((metadata.dev(), metadata.ino())).or_default() += 1;
        }
    }
    Ok(())
}

fn open(parent: BorrowedFd<'_>, entry: &CStr, kind: OFlags) -> Result<OwnedFd, Errno> {
    let flags = kind | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::openat(parent, entry, flags, Mode::empty())
}

fn is_normal(stat: &Stat, mode: u32) -> bool {
    stat.st_mode & 0o7777 == mode && stat.st_mtime == MTIME
}

fn times() -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: MTIME,
            tv_nsec: 0,
        },
    }
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "thing of unknown kind",
    }
}

fn c_string(path: &Path) -> Result<CString, StoreError> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| StoreError::io("open", path)(error.into()))
}

fn nar_error(path: &Path) -> impl FnOnce(NarError) -> StoreError {
    let path = path.to_owned();
    move |error| match error {
        NarError::Io(source) => StoreError::Io {
            action: "hash",
            path,
            source,
        },
        other => StoreError::Unsupported {
            path,
            reason: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests;
