//! The twin in memory, for tests of whoever asks.

use std::collections::{BTreeMap, BTreeSet};

use cognix_derivations::{RealisationId, StorePath};

use super::PathInfos;
use crate::error::StoreError;

/// Path infos that were made up.
#[derive(Debug, Clone, Default)]
pub struct MemoryPathInfos {
    /// The valid paths.
    pub valid: BTreeSet<StorePath>,
    /// What outputs were realised as.
    pub realisations: BTreeMap<RealisationId, StorePath>,
}

impl PathInfos for MemoryPathInfos {
    fn is_valid(&self, path: &StorePath) -> Result<bool, StoreError> {
        Ok(self.valid.contains(path))
    }

    fn realisation(&self, id: &RealisationId) -> Result<Option<StorePath>, StoreError> {
        let path = self.realisations.get(id);
        Ok(path.filter(|path| self.valid.contains(*path)).cloned())
    }
}
