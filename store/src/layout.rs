//! Every location below the store's root.
//!
//! ```text
//! ROOT/nix/store/HASH-NAME             valid paths, and garbage until it is swept
//! ROOT/nix/store/HASH-NAME.lock        who makes this path (flock)
//! ROOT/nix/store/tmp-PID-RANDOM/       what is being made; its owner holds a flock on the folder
//! ROOT/nix/var/nix/db/db.sqlite        what is valid
//! ROOT/nix/var/nix/db/schema           the number 10
//! ROOT/nix/var/nix/db/big-lock         creation and schema changes (flock)
//! ROOT/nix/var/nix/gcroots/            what garbage collection keeps
//! ROOT/nix/var/nix/temproots/          what running processes keep
//! ROOT/nix/var/log/nix/drvs/AB/CDEF….drv   what a builder said, as plain text
//! ROOT/nix/var/cognix/downloads/       files that have arrived in part; guarded by the lock of their store path
//! ```
//!
//! Everything but the last line is Nix's own layout of a chroot store, so that a real Nix and cognix can work in the same
//! root. This file knows names only; it creates nothing.

use std::path::{Path, PathBuf};

use cognix_derivations::StorePath;

/// The version of Nix's database schema that this program reads and writes.
pub const SCHEMA_VERSION: u32 = 10;

/// How the names of unfinished entries begin. Nix's garbage collector knows this prefix and leaves locked ones alone.
pub(crate) const TEMPORARY_PREFIX: &str = "tmp-";

/// How the names of lock files end.
pub(crate) const LOCK_SUFFIX: &str = ".lock";

/// How the names of files end that have arrived in part.
pub(crate) const DOWNLOAD_SUFFIX: &str = ".part";

/// The locations of one store.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    store: PathBuf,
}

impl Layout {
    /// The layout below this root.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            store: root.join("nix/store"),
        }
    }

    /// The folder that holds everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the store paths really are.
    pub fn store_dir(&self) -> &Path {
        &self.store
    }

    /// Where this store path really is.
    pub fn real_path(&self, path: &StorePath) -> PathBuf {
        self.store.join(path.as_base_name())
    }

    /// The lock file of a store path.
    pub fn path_lock(&self, path: &StorePath) -> PathBuf {
        self.store
            .join(format!("{}{LOCK_SUFFIX}", path.as_base_name()))
    }

    /// The folder of the database.
    pub fn database_dir(&self) -> PathBuf {
        self.root.join("nix/var/nix/db")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.database_dir().join("db.sqlite")
    }

    /// The file with the version of the schema.
    pub fn schema(&self) -> PathBuf {
        self.database_dir().join("schema")
    }

    /// The lock of creation and schema changes.
    pub fn big_lock(&self) -> PathBuf {
        self.database_dir().join("big-lock")
    }

    /// Links that garbage collection starts from.
    pub fn gc_roots(&self) -> PathBuf {
        self.root.join("nix/var/nix/gcroots")
    }

    /// What running processes protect from garbage collection.
    pub fn temporary_roots(&self) -> PathBuf {
        self.root.join("nix/var/nix/temproots")
    }

    /// The lock that garbage collection holds while it runs.
    pub fn gc_lock(&self) -> PathBuf {
        self.root.join("nix/var/nix/gc.lock")
    }

    /// What the builder of a derivation said when it was built last.
    pub fn build_log(&self, derivation: &StorePath) -> PathBuf {
        let (folder, name) = derivation.as_base_name().split_at(2);
        self.root
            .join("nix/var/log/nix/drvs")
            .join(folder)
            .join(name)
    }

    /// Files that have arrived in part.
    pub fn downloads(&self) -> PathBuf {
        self.root.join("nix/var/cognix/downloads")
    }

    /// Where a download arrives.
    pub(crate) fn download(&self, path: &StorePath) -> PathBuf {
        self.downloads()
            .join(format!("{}{DOWNLOAD_SUFFIX}", path.as_base_name()))
    }

    /// The folders of a new store, parents first.
    pub(crate) fn directories(&self) -> [PathBuf; 5] {
        [
            self.store.clone(),
            self.database_dir(),
            self.gc_roots(),
            self.temporary_roots(),
            self.downloads(),
        ]
    }
}
