//! What can go wrong with a store.

use std::io;
use std::path::{Path, PathBuf};

use cognix_derivations::{DerivationError, StorePath, StorePathError};

use crate::layout::SCHEMA_VERSION;

/// An operation on the store failed. Whatever was being entered is not valid, and what was valid still is.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, a folder is not ours, or the machine has a fault.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: a verb that fits before a path.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database did not do what it was asked; another process may have held it for more than a minute.
    #[error("the store's database {} failed", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The database is not one, or contradicts itself: a broken disk, a copy made while it was written, a foreign file.
    /// Nothing more is done with it, because every write could make it worse.
    #[error(
        "the store's database {} is damaged: {reason}; move {} away and build again, everything in it can be made anew",
        path.display(), root.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The root of its store.
        root: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Made by a newer Nix or cognix.
    #[error(
        "{} says schema version {found:?}, but this cognix knows version {SCHEMA_VERSION} only; use a newer cognix or another store", path.display()
    )]
    Schema {
        /// The file that holds the version.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
    /// There are store paths but nothing says which of them are whole. It is no new store, so it is not treated as one.
    #[error(
        "{} holds store paths, but the database {} is missing; restore it, or move the folder away and build again",
        store.display(), database.display()
    )]
    MissingDatabase {
        /// Where the store paths are.
        store: PathBuf,
        /// Where the database should be.
        database: PathBuf,
    },
    /// The store can be read but not written: another user's, or a read-only file system.
    #[error("the store {} cannot be written; choose another with --store or COGNIX_STORE", root.display())]
    ReadOnly {
        /// Its root.
        root: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody asked for a path that is not in the store.
    #[error("{path} is not valid in the store {}", root.display())]
    NotValid {
        /// The path.
        path: StorePath,
        /// The root of the store.
        root: PathBuf,
    },
    /// References of a valid path must be valid.
    #[error("{path} refers to {reference}, which is not valid")]
    MissingReference {
        /// The path that was to become valid.
        path: StorePath,
        /// What it refers to.
        reference: StorePath,
    },
    /// A tree holds something that a store cannot hold.
    #[error("{} cannot enter the store: {reason}", path.display())]
    Unsupported {
        /// The entry.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The same derivation has been realised as something else. It is not deterministic, or one of the two is forged.
    #[error("{id} is already realised as {existing}, so it cannot be {new} too")]
    OtherRealisation {
        /// The key of the realisation.
        id: String,
        /// What the store has.
        existing: StorePath,
        /// What was to be recorded.
        new: StorePath,
    },
    /// The file system reported, when asked to make data durable, that it has lost some. What was written is given up.
    #[error("{} could not be made durable; what was being written is given up", path.display())]
    NotDurable {
        /// The folder that was synced.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path cannot be computed.
    #[error(transparent)]
    Path(#[from] StorePathError),
    /// A derivation is not valid.
    #[error(transparent)]
    Derivation(#[from] DerivationError),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl StoreError {
    /// For `map_err`: adds what was tried on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// For `map_err` on calls of rustix.
    pub(crate) fn errno(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source: source.into(),
        }
    }
}
