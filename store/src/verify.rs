//! Compares what is registered with what is there.
//!
//! Every row must have a whole path with its archive hash and size, every path must follow from its content address, and the
//! database must not contradict itself. Nothing is changed: a path that fails is reported, and making it again is up to the
//! caller.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use cognix_derivations::{PathInfo, Sha256, StorePath, StorePathName, content_addressed_path};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::error::StoreError;
use crate::layout::{LOCK_SUFFIX, TEMPORARY_PREFIX};
use crate::store::Store;
use crate::tree;

/// How many files are read at once, at most.
const READERS: usize = 8;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// How many valid paths were looked at.
    pub paths: usize,
    /// How many bytes of archives were hashed.
    pub bytes: u64,
    /// What is wrong, ordered by path.
    pub problems: Vec<Problem>,
    /// Entries of the store folder that are not valid paths: left by killed processes, or not ours. They do no harm.
    pub unregistered: Vec<String>,
}

impl VerifyReport {
    /// Whether everything that is valid is whole.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Problem {
    /// A valid path is not there.
    Missing {
        /// The path.
        path: StorePath,
    },
    /// A valid path cannot be read, or holds what a store cannot hold.
    Unreadable {
        /// The path.
        path: StorePath,
        /// Why.
        reason: String,
    },
    /// The content has changed since it was registered.
    Changed {
        /// The path.
        path: StorePath,
        /// The registered digest of its archive.
        expected: Sha256,
        /// The digest of what is there.
        actual: Sha256,
    },
    /// The registered size is not that of the archive.
    Size {
        /// The path.
        path: StorePath,
        /// The registered size.
        expected: u64,
        /// The size of what is there.
        actual: u64,
    },
    /// Modes or times are not those of a store; the content is right.
    Metadata {
        /// The path.
        path: StorePath,
        /// What differs, for the first entries that do.
        entries: Vec<String>,
    },
    /// The path does not follow from its content address and references.
    Address {
        /// The path.
        path: StorePath,
        /// The path that does.
        computed: String,
    },
    /// The database contradicts itself.
    Database {
        /// What SQLite says.
        reason: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(formatter, "{path} is registered but missing"),
            Self::Unreadable { path, reason } => {
                write!(formatter, "{path} cannot be read: {reason}")
            }
            Self::Changed {
                path,
                expected,
                actual,
            } => write!(
                formatter,
                "{path} has changed: expected archive hash {expected}, got {actual}"
            ),
            Self::Size {
                path,
                expected,
                actual,
            } => write!(
                formatter,
                "{path} has an archive of {actual} bytes, expected {expected}"
            ),
            Self::Metadata { path, entries } => {
                write!(formatter, "{path}: {}", entries.join(", "))
            }
            Self::Address { path, computed } => write!(
                formatter,
                "{path} does not follow from its content address, which gives {computed}"
            ),
            Self::Database { reason } => write!(formatter, "the database is damaged: {reason}"),
        }
    }
}

impl Store {
    /// Compares what is registered with what is there. With `contents`, every file is read and hashed.
    pub fn verify(
        &self,
        contents: bool,
        cancel: &CancellationToken,
    ) -> Result<VerifyReport, StoreError> {
        let mut problems: Vec<Problem> = self
            .database()
            .integrity_problems()?
            .into_iter()
            .map(|reason| Problem::Database { reason })
            .collect();
        let infos = self.database().query_all()?;
        let (next, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let found = Mutex::new(Vec::new());
        let readers = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..readers.min(READERS) {
                scope.spawn(|| {
                    while let Some(info) = infos.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if cancel.is_cancelled() {
                            return;
                        }
                        let (size, problems) = self.check(info, contents);
                        bytes.fetch_add(usize::try_from(size).unwrap_or(0), Ordering::Relaxed);
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        found.extend(problems);
                    }
                });
            }
        });
        if cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        problems.extend(found.into_inner().unwrap_or_else(PoisonError::into_inner));
        problems.sort_unstable();
        let valid = infos.iter().map(|info| info.path.as_base_name()).collect();
        Ok(VerifyReport {
            paths: infos.len(),
            bytes: bytes.into_inner() as u64,
            problems,
            unregistered: self.unregistered(&valid)?,
        })
    }

    /// The size of the archive that was hashed, and what is wrong with one path.
    fn check(&self, info: &PathInfo, contents: bool) -> (u64, Vec<Problem>) {
        let path = &info.path;
        let mut problems: Vec<Problem> = check_address(info).into_iter().collect();
        let real = self.real_path(path);
        if fs::symlink_metadata(&real).is_err() {
            problems.push(Problem::Missing { path: path.clone() });
            return (0, problems);
        }
        if !contents {
            return (0, problems);
        }
        let mut scanned = match tree::inspect(&real) {
            Ok(scanned) => scanned,
            Err(error) => {
                let reason = match std::error::Error::source(&error) {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                };
                problems.push(Problem::Unreadable {
                    path: path.clone(),
                    reason,
                });
                return (0, problems);
            }
        };
        if scanned.nar_hash != info.nar_hash {
            problems.push(Problem::Changed {
                path: path.clone(),
                expected: info.nar_hash,
                actual: scanned.nar_hash,
            });
        } else if scanned.nar_size != info.nar_size {
            problems.push(Problem::Size {
                path: path.clone(),
                expected: info.nar_size,
                actual: scanned.nar_size,
            });
        }
        if !scanned.deviations.is_empty() {
            scanned.deviations.truncate(5);
            problems.push(Problem::Metadata {
                path: path.clone(),
                entries: scanned.deviations,
            });
        }
        (scanned.nar_size, problems)
    }

    fn unregistered(&self, valid: &BTreeSet<&str>) -> Result<Vec<String>, StoreError> {
        let folder = self.layout().store_dir();
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(StoreError::io("list", folder))? {
            let entry = entry.map_err(StoreError::io("list", folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = name.starts_with(TEMPORARY_PREFIX) || name.ends_with(LOCK_SUFFIX);
            if !ours && name != ".links" && !valid.contains(name.as_str()) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// A content-addressed path follows from its row alone; whether the content fits is what the archive hash says.
fn check_address(info: &PathInfo) -> Option<Problem> {
    let ca = info.ca.as_ref()?;
    let mut references = info.references.clone();
    let itself = references.remove(&info.path);
    let computed = StorePathName::parse(info.path.name())
        .and_then(|name| content_addressed_path(&name, ca, &references, itself));
    match computed {
        Ok(path) if path == info.path => None,
        Ok(path) => Some(Problem::Address {
            path: info.path.clone(),
            computed: path.to_string(),
        }),
        Err(error) => Some(Problem::Address {
            path: info.path.clone(),
            computed: error.to_string(),
        }),
    }
}
