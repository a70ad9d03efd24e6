//! Release files and indexes that were verified before, so that a second lock is quick and one without network works.
//!
//! ```text
//! CACHE/debian/ARCHIVE/SUITE/InRelease     the newest release file seen, as it was served
//! CACHE/debian/ARCHIVE/SUITE/SHA256        an index of it, decompressed, named by its hash
//! ```
//!
//! `ARCHIVE` is the hash of the archive's address. Nothing here is trusted: release files are verified again, and
//! indexes hashed again, each time they are read. Files appear whole, by rename (CRASH-3). When a newer release file
//! arrives, indexes that it no longer names are removed.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use cognix_derivations::Sha256;

use super::error::{DebianError, FileSum};

/// A folder for what was fetched and verified.
#[derive(Debug, Clone)]
pub struct IndexCache {
    root: PathBuf,
}

/// The part of the cache that belongs to one suite of one archive.
#[derive(Debug, Clone)]
pub(super) struct SuiteCache {
    folder: PathBuf,
}

impl IndexCache {
    /// A cache below the user's cache folder; it is created when something is kept.
    pub fn new(cache: &Path) -> Self {
        Self {
            root: cache.join("debian"),
        }
    }

    /// The folder of a suite; `suite` was checked to be one plain name.
    pub(super) fn suite(&self, address: &str, suite: &str) -> SuiteCache {
        SuiteCache {
            folder: self
                .root
                .join(Sha256::of(address.as_bytes()).to_string())
                .join(suite),
        }
    }
}

impl SuiteCache {
    /// The newest release file seen.
    pub(super) fn release(&self) -> Result<Option<Vec<u8>>, DebianError> {
        read(&self.folder.join("InRelease"))
    }

    /// Keeps a verified release file.
    pub(super) fn keep_release(&self, bytes: &[u8]) -> Result<(), DebianError> {
        self.write("InRelease", bytes)
    }

    /// An index, if its bytes are still what their name says.
    pub(super) fn index(&self, sum: FileSum) -> Result<Option<Vec<u8>>, DebianError> {
        let found = read(&self.folder.join(sum.sha256.to_string()))?;
        Ok(found.filter(|bytes| FileSum::of(bytes) == sum))
    }

    /// Keeps a verified index.
    pub(super) fn keep_index(&self, sum: FileSum, bytes: &[u8]) -> Result<(), DebianError> {
        self.write(&sum.sha256.to_string(), bytes)
    }

    /// Removes indexes that are not among those of the newest release.
    pub(super) fn prune(&self, is_current: impl Fn(&str) -> bool) -> Result<(), DebianError> {
        let entries = match fs_err::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(failed(&self.folder, source)),
        };
        for entry in entries {
            let entry = entry.map_err(|source| failed(&self.folder, source))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            // Temporary names of another process that is just writing do not look like hashes.
            if name.len() == 64 && !is_current(name) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DebianError> {
        let path = self.folder.join(name);
        let write = || {
            fs_err::create_dir_all(&self.folder)?;
            let mut file = tempfile::Builder::new()
                .prefix(".new-")
                .tempfile_in(&self.folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            fs_err::File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| failed(&path, source))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, DebianError> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(path, source)),
    }
}

fn remove(path: &Path) -> Result<(), DebianError> {
    match fs_err::remove_file(path) {
        // Another process may have been quicker.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|source| failed(path, source)),
    }
}

fn failed(path: &Path, source: std::io::Error) -> DebianError {
    DebianError::Cache {
        path: path.to_owned(),
        source,
    }
}
