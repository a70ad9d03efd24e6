//! Follows a plan into a directory.
//!
//! Every file is written once, checked while it is written, and reached through descriptors of directories that this
//! writer has itself just made, so nothing that lies there beforehand, and no link, can lead it elsewhere (ALL-6).
//! Modes are 0644 and 0755; times and owners are whatever they are, because the store makes them equal.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use cognix_derivations::{Sha256, Sha256Hasher};
use rustix::fs::{FallocateFlags, Mode, OFlags};

use super::{
    WheelError,
    archive::{ArchiveError, WheelArchive},
    plan::{Content, InstallPlan, PlannedFile, check_digest},
};

/// How much is read, hashed and written at once.
const BUFFER_BYTES: usize = 128 << 10;
/// From this size on, a file's space is reserved before it is written, so that a full disk is noticed at once.
const RESERVE_BYTES: u64 = 8 << 20;

/// Makes the directory `target` and writes the planned files below it.
///
/// Whatever has been written when it fails is the caller's to remove; `cancelled` is asked after every piece.
pub fn write_tree(
    archive: &WheelArchive,
    plan: &InstallPlan,
    target: &Path,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), WheelError> {
    let mut writer = TreeWriter {
        archive,
        target,
        cancelled,
        root: make_root(target)?,
        open: Vec::new(),
        buffer: vec![0; BUFFER_BYTES],
    };
    plan.files.iter().try_for_each(|file| writer.write(file))
}

struct TreeWriter<'a> {
    archive: &'a WheelArchive,
    target: &'a Path,
    cancelled: &'a dyn Fn() -> bool,
    root: OwnedFd,
    /// The directories from the root to the last file's, by name. In the order of a plan, all files below a directory
    /// follow each other, so a directory that has been left is never needed again.
    open: Vec<(String, OwnedFd)>,
    buffer: Vec<u8>,
}

fn make_root(target: &Path) -> Result<OwnedFd, WheelError> {
    let at = |source: rustix::io::Errno| WheelError::Write {
        path: target.to_owned(),
        source: source.into(),
    };
    rustix::fs::mkdir(target, Mode::from_raw_mode(0o755)).map_err(at)?;
    rustix::fs::open(target, DIRECTORY, Mode::empty()).map_err(at)
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl TreeWriter<'_> {
    fn write(&mut self, file: &PlannedFile) -> Result<(), WheelError> {
        let (directory, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        self.enter(directory, &file.path)?;
        let mode = Mode::from_raw_mode(if file.executable { 0o755 } else { 0o644 });
        let directory = self
            .open
            .last()
            .map_or(&self.root, |(_, directory)| directory);
        let failed = |source: io::Error| self.failed(&file.path, source);
        let descriptor = rustix::fs::openat(directory, name, NEW_FILE, mode)
            .map_err(|error| failed(error.into()))?;
        // The process's mask has been applied to the mode; what is installed must not depend on it.
        rustix::fs::fchmod(&descriptor, mode).map_err(|error| failed(error.into()))?;
        reserve(&descriptor, file.size).map_err(failed)?;
        let mut output = File::from(descriptor);
        match &file.content {
            Content::Generated(bytes) => output.write_all(bytes).map_err(failed),
            Content::Member(index) => self.write_member(*index, file, &mut output),
        }
    }

    fn write_member(
        &mut self,
        index: usize,
        file: &PlannedFile,
        output: &mut File,
    ) -> Result<(), WheelError> {
        let digest = self.copy(index, file, output)?;
        check_digest(&self.archive.members()[index], &digest, &file.sha256)
    }

    fn copy(
        &mut self,
        index: usize,
        file: &PlannedFile,
        output: &mut File,
    ) -> Result<Sha256, WheelError> {
        let mut content = self.archive.read(index).map_err(ArchiveError::from_read)?;
        let mut hasher = Sha256Hasher::new();
        loop {
            if (self.cancelled)() {
                return Err(WheelError::Cancelled);
            }
            let read = content
                .read(&mut self.buffer)
                .map_err(ArchiveError::from_read)?;
            if read == 0 {
                return Ok(hasher.finish());
            }
            hasher.update(&self.buffer[..read]);
            output
                .write_all(&self.buffer[..read])
                .map_err(|source| self.failed(&file.path, source))?;
        }
    }

    /// Opens the directories of a path, making those that the file before did not need.
    fn enter(&mut self, directory: &str, path: &str) -> Result<(), WheelError> {
        let wanted: Vec<&str> = directory
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        let shared = self
            .open
            .iter()
            .zip(&wanted)
            .take_while(|((open, _), wanted)| open == *wanted)
            .count();
        self.open.truncate(shared);
        for part in &wanted[shared..] {
            let parent = self
                .open
                .last()
                .map_or(&self.root, |(_, directory)| directory);
            let made = rustix::fs::mkdirat(parent, *part, Mode::from_raw_mode(0o755))
                .and_then(|()| rustix::fs::openat(parent, *part, DIRECTORY, Mode::empty()))
                .and_then(|made| {
                    rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
                    Ok(made)
                })
                .map_err(|error| self.failed(path, error.into()))?;
            self.open.push(((*part).to_owned(), made));
        }
        Ok(())
    }

    fn failed(&self, path: &str, source: io::Error) -> WheelError {
        let path: PathBuf = self.target.join(path);
        WheelError::Write { path, source }
    }
}

fn reserve(file: &OwnedFd, size: u64) -> io::Result<()> {
    if size < RESERVE_BYTES {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        // Not every file system can reserve; then the disk is found full when it is.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
        result => Ok(result?),
    }
}
