//! What is known about one store path.

use std::collections::BTreeSet;

use crate::{ContentAddress, Sha256, StorePath};

/// Everything a store remembers about a valid path: a row of Nix's `ValidPaths` and its references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// The path itself.
    pub path: StorePath,
    /// SHA-256 of its archive.
    pub nar_hash: Sha256,
    /// Size of its archive in bytes.
    pub nar_size: u64,
    /// The store paths whose hash parts occur in it, itself included where it names itself.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it, where known.
    pub deriver: Option<StorePath>,
    /// What its name was computed from, if it is content-addressed.
    pub ca: Option<ContentAddress>,
    /// Seconds since 1970 at which it became valid. Says something about the machine, never about the content.
    pub registration_time: u64,
    /// Whether it was made here, so that nobody else has to be trusted for it.
    pub ultimate: bool,
}
