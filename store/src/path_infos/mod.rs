//! What is known about store paths: which are valid, what they refer to, what derivations were realised as.
//!
//! [`PathInfos`] is the question that plans ask; the store's database answers it, and a twin in memory does in tests.
//! Nothing here looks at the files themselves: that is [`crate::VerifyReport`]'s business.

mod database;
#[cfg(any(test, feature = "fixtures"))]
mod memory;
mod realisations;
mod schema;

use std::collections::BTreeMap;

use cognix_derivations::{PathInfo, RealisationId, StorePath};

use crate::error::StoreError;

pub(crate) use database::Database;
#[cfg(any(test, feature = "fixtures"))]
pub use memory::MemoryPathInfos;

/// Knowledge about store paths.
pub trait PathInfos {
    /// Whether the path is there, whole, and registered.
    fn is_valid(&self, path: &StorePath) -> Result<bool, StoreError>;

    /// What the output of this identity was realised as, if that is valid.
    fn realisation(&self, id: &RealisationId) -> Result<Option<StorePath>, StoreError>;
}

/// A path that is about to become valid.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    /// Everything about it.
    pub(crate) info: PathInfo,
    /// For a `.drv`, the output paths that it names.
    pub(crate) derivation_outputs: BTreeMap<String, StorePath>,
}

/// What becomes valid together or not at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registrations {
    /// The paths, in any order.
    pub(crate) paths: Vec<Registration>,
    /// What derivations were realised as.
    pub(crate) realisations: Vec<(RealisationId, StorePath)>,
}
