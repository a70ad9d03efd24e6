//! A model's own files, as they go into the image below `/src`.
//!
//! [`SourceTree::scan`] lists them once: the whole project, less what `.dockerignore` leaves out and less two things that
//! are never copied: `.cog/`, where Cog keeps what it makes itself, and `cognix.lock`, which would otherwise be part of
//! what it locks and change the source layer with every update. A tree can then be hashed as a NAR, which gives its store path
//! without writing anything, and written out.
//!
//! Kept of a file are its bytes and its owner's execute bit; links stay text and are never followed. Devices, sockets
//! and pipes are refused by name. A file that changes between the scan and the reading is an error, never a mixture.

mod ignore;
mod pattern;
mod scan;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cognix_derivations::nar::{Encoder, NarError};
use cognix_derivations::{HashingWriter, Sha256};
use thiserror::Error;

pub use ignore::IgnoreError;

/// What is never part of a source tree, by its path below the root.
const LEFT_OUT: [&str; 2] = [".cog", crate::lock::FILE_NAME];

/// The files of a project that go into its image.
#[derive(Debug)]
pub struct SourceTree {
    root: PathBuf,
    /// In the order of an archive: a folder is followed by what it holds, siblings are sorted by the bytes of their names.
    entries: Vec<SourceEntry>,
}

/// One file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEntry {
    /// The path below the root, with `/` between names.
    pub path: String,
    /// What is there.
    pub kind: SourceKind,
}

/// What a path of a source tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A folder.
    Directory,
    /// A file.
    File {
        /// How many bytes it has.
        size: u64,
        /// Whether its owner may run it.
        executable: bool,
        /// When it was last written, which tells a later change.
        modified: Modified,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads, as it is written.
        target: Vec<u8>,
    },
}

/// The time of a file's last change: seconds and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modified(i64, i64);

impl Modified {
    fn of(metadata: &fs::Metadata) -> Self {
        Self(metadata.mtime(), metadata.mtime_nsec())
    }
}

/// A source tree cannot be read or written.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file system refused to read.
    #[error("cannot read {}", shown(path))]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file system refused to write.
    #[error("cannot write {}", shown(path))]
    Write {
        /// What was written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Neither file nor folder nor link; most likely a socket that a running program left.
    #[error(
        "{} is {kind}, expected a file, a folder or a link; remove it or name it in .dockerignore",
        shown(path)
    )]
    Special {
        /// The path below the root.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A name that cannot be in an image description.
    #[error(
        "the name of {} {reason}; rename it or name it in .dockerignore",
        shown(path)
    )]
    Name {
        /// The path below the root.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Too many folders inside each other.
    #[error("{} is nested deeper than {limit} folders", shown(path))]
    TooDeep {
        /// The path below the root.
        path: PathBuf,
        /// How many are allowed.
        limit: usize,
    },
    /// Someone wrote the file while it was read. Nothing of it was used.
    #[error("{} changed while it was read; run the command again", shown(path))]
    Changed {
        /// The path below the root.
        path: PathBuf,
    },
    /// A line of `.dockerignore` has no meaning.
    #[error(transparent)]
    Ignore(#[from] IgnoreError),
    /// The archive's writer failed.
    #[error(transparent)]
    Nar(#[from] NarError),
}

impl From<SourceError> for io::Error {
    fn from(error: SourceError) -> Self {
        Self::other(error)
    }
}

impl SourceTree {
    /// Lists what of a project goes into its image.
    pub fn scan(root: &Path) -> Result<Self, SourceError> {
        let rules = ignore::read(root)?;
        Ok(Self {
            root: root.to_owned(),
            entries: scan::scan(root, &rules)?,
        })
    }

    /// Everything that is in the tree, folders before what they hold.
    pub fn entries(&self) -> &[SourceEntry] {
        &self.entries
    }

    /// Whether a file of this path is in the tree.
    pub fn has_file(&self, path: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.path == path && matches!(entry.kind, SourceKind::File { .. }))
    }

    /// The digest and the size of the tree's NAR. Reads every file once, holds none in memory.
    pub fn nar_hash(&self) -> Result<(Sha256, u64), SourceError> {
        let hasher = BufWriter::with_capacity(BUFFER, HashingWriter::new(io::sink()));
        let hasher = self.archive(hasher)?;
        let hasher = hasher
            .into_inner()
            .map_err(|error| NarError::Io(error.into_error()))?;
        let (_, digest, size) = hasher.finish();
        Ok((digest, size))
    }

    /// Writes the tree's NAR.
    pub fn archive<W: Write>(&self, writer: W) -> Result<W, SourceError> {
        let mut archive = Encoder::new(writer)?;
        archive.start_directory(None)?;
        let mut open: Vec<&str> = Vec::new();
        for entry in &self.entries {
            let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
            while open.last().is_some_and(|innermost| *innermost != folder) {
                open.pop();
                archive.end_directory()?;
            }
            let name = Some(name.as_bytes());
            match &entry.kind {
                SourceKind::Directory => {
                    archive.start_directory(name)?;
                    open.push(&entry.path);
                }
                SourceKind::Symlink { target } => archive.symlink(name, target)?,
                SourceKind::File {
                    size,
                    executable,
                    modified,
                } => {
                    let mut file = archive.regular(name, *executable, *size)?;
                    self.copy(&entry.path, *size, *modified, |bytes| {
                        file.write_all(bytes).map_err(NarError::Io)
                    })?;
                    file.finish()?;
                }
            }
        }
        for _ in open {
            archive.end_directory()?;
        }
        archive.end_directory()?;
        Ok(archive.finish()?)
    }

    /// Writes the tree to a folder that does not exist yet.
    pub fn write_to(&self, target: &Path) -> Result<(), SourceError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SourceError::Write { path, source }
        };
        fs::create_dir(target).map_err(failed(target))?;
        for entry in &self.entries {
            let path = target.join(&entry.path);
            match &entry.kind {
                SourceKind::Directory => fs::create_dir(&path).map_err(failed(&path))?,
                SourceKind::Symlink { target } => {
                    symlink(bytes_path(target), &path).map_err(failed(&path))?
                }
                SourceKind::File {
                    size,
                    executable,
                    modified,
                } => {
                    let mut file = File::create_new(&path).map_err(failed(&path))?;
                    self.copy(&entry.path, *size, *modified, |bytes| {
                        file.write_all(bytes).map_err(failed(&path))
                    })?;
                    let mode = if *executable { 0o755 } else { 0o644 };
                    file.set_permissions(fs::Permissions::from_mode(mode))
                        .map_err(failed(&path))?;
                }
            }
        }
        Ok(())
    }

    /// Passes a file on in pieces, if it still is what the scan saw: a regular file of this size and time, before the first
    /// byte and after the last.
    fn copy<E>(
        &self,
        path: &str,
        size: u64,
        modified: Modified,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), SourceError>
    where
        SourceError: From<E>,
    {
        let full = self.root.join(path);
        let failed = |source| SourceError::Read {
            path: full.clone(),
            source,
        };
        let changed = || SourceError::Changed {
            path: PathBuf::from(path),
        };
        // A link or a pipe that took the file's place is neither followed nor waited for.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let mut file = match OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(&full)
        {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(changed()),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err(changed());
            }
            Err(error) => return Err(failed(error)),
        };
        let is_same = |file: &File| {
            let metadata = file.metadata()?;
            io::Result::Ok(
                metadata.is_file() && metadata.len() == size && Modified::of(&metadata) == modified,
            )
        };
        if !is_same(&file).map_err(failed)? {
            return Err(changed());
        }
        let mut left = size;
        let mut buffer =
            vec![0; BUFFER.min(usize::try_from(size).unwrap_or(BUFFER).saturating_add(1))];
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => break,
                read if read as u64 > left => return Err(changed()),
                read => {
                    left -= read as u64;
                    sink(&buffer[..read])?;
                }
            }
        }
        if left > 0 || !is_same(&file).map_err(failed)? {
            return Err(changed());
        }
        Ok(())
    }
}

/// How many bytes are read at a time.
const BUFFER: usize = 256 * 1024;

fn bytes_path(bytes: &[u8]) -> &Path {
    Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes))
}

/// A path as it may be shown: control characters escaped.
fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
