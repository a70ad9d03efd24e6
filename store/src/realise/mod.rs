//! Makes outputs exist.
//!
//! [`plan()`] decides what has to be made, as data, from the top down: what is known needs nothing below it. A [`Realiser`]
//! then makes it, as soon as inputs are there: downloads beside builds, each with a limit of its own. A floating derivation
//! is resolved first, and one that was built under another name is not built again. The first failure ends the run.

mod check;
mod enter;
mod error;
mod job;
pub mod plan;
mod run;

use std::collections::BTreeMap;
use std::sync::Arc;

use cognix_derivations::{DerivationGraph, StorePath};
use tokio_util::sync::CancellationToken;

use crate::build::Builders;
use crate::events::{EventSink, Silent};
use crate::fetch::{DirectOnly, FetchOptions, Mirrors};
use crate::store::Store;

pub use check::{Checked, OutputDifference, Rebuilt, Verdict};
pub use error::{ErrorKind, RealiseError, StepError};
pub use plan::plan;

/// Realises derivations in one store.
#[derive(Clone)]
pub struct Realiser {
    /// Where outputs go.
    pub store: Store,
    /// Who makes them. Downloading needs nobody.
    pub builders: Builders,
    /// Where files are.
    pub mirrors: Arc<dyn Mirrors>,
    /// How many builds may run at once. Downloads do not count.
    pub jobs: usize,
    /// Who is told.
    pub events: Arc<dyn EventSink>,
    /// Says when to stop. What is done stays done.
    pub cancel: CancellationToken,
    /// How to download.
    pub fetch: FetchOptions,
}

impl Realiser {
    /// A realiser without builders and mirrors that tells nobody and never stops; as many builds at once as the machine has
    /// processors.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            builders: Builders::new(),
            mirrors: Arc::new(DirectOnly),
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            events: Arc::new(Silent),
            cancel: CancellationToken::new(),
            fetch: FetchOptions::default(),
        }
    }

    /// Makes these outputs valid. What they stand on is made only as far as that takes.
    ///
    /// Must run on a multi-threaded tokio runtime. Returns within seconds of being cancelled, even if a builder does not
    /// listen; what such a builder leaves is swept by a later process.
    pub async fn realise(
        &self,
        graph: &DerivationGraph,
        targets: &[(StorePath, String)],
    ) -> Result<Realised, RealiseError> {
        run::run(self, graph, targets).await
    }
}

impl std::fmt::Debug for Realiser {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Realiser")
            .field("store", &self.store)
            .field("builders", &self.builders)
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

/// Outputs that exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realised {
    /// Where each target is. Only targets: what lies below them may not have been looked at.
    pub outputs: BTreeMap<(StorePath, String), StorePath>,
    /// What that took.
    pub stats: Stats,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Derivations that the targets stand on, themselves included.
    pub derivations: usize,
    /// Of these, those that were made in this run, downloads included.
    pub built: usize,
    /// Of those that were made, the downloads.
    pub fetched: usize,
    /// Of all, those whose outputs came from a binary cache.
    pub substituted: usize,
    /// Of all, those that needed nothing.
    pub cached: usize,
    /// How many bytes the network carried.
    pub bytes_fetched: u64,
}

#[cfg(test)]
mod tests;
