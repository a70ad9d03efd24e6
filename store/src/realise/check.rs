//! Builds again what was built, and compares.
//!
//! A rebuild happens beside the store: in a staging of its own, which is removed afterwards. Nothing is registered, and what
//! is valid stays as it is. Conditions that must not matter are others than in a build: one core, another umask for the
//! builtins; for foreign programs other process numbers and random addresses too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use cognix_derivations::{Derivation, DerivationGraph, Sha256, StorePath};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use super::job::{Job, Workshop};
use super::plan::{Action, Step, action, known_output};
use super::{RealiseError, Realiser, StepError, enter};
use crate::build::{Builder, foreign};
use crate::compare::{FileDifference, differences};
use crate::error::StoreError;
use crate::staging::Staging;
use crate::store::Store;
use crate::tree;

/// What came of building a derivation again.
#[derive(Debug)]
pub struct Checked {
    /// The derivation.
    pub derivation: StorePath,
    /// Its name.
    pub name: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of building a derivation again.
#[derive(Debug)]
pub enum Verdict {
    /// The same.
    Same,
    /// It comes from a network, and its content was compared with its hash when it came. It is not fetched again.
    Fetched,
    /// Something else.
    Differs(Rebuilt),
    /// It could not be built again.
    Failed(StepError),
}

/// Outputs that differ from those in the store. They lie beside the store until this is dropped.
#[derive(Debug)]
pub struct Rebuilt {
    /// What differs, by output.
    pub outputs: BTreeMap<String, OutputDifference>,
    _staging: Staging,
}

/// How one output differs from what it was.
#[derive(Debug)]
pub struct OutputDifference {
    /// The output in the store.
    pub path: StorePath,
    /// The digest of its archive.
    pub expected: Sha256,
    /// The digest of the archive of what was built now.
    pub actual: Sha256,
    /// Where the files of the output in the store are.
    pub first: PathBuf,
    /// Where the files are that were built now.
    pub second: PathBuf,
    /// What differs, file by file; the first hundred.
    pub files: Vec<FileDifference>,
}

impl Realiser {
    /// Builds derivations again whose outputs are valid, and tells of each as soon as it is compared. What they need must
    /// be valid too. Events about the rebuilds are told as those of builds are.
    pub async fn check(
        &self,
        graph: &DerivationGraph,
        derivations: &[StorePath],
        mut tell: impl FnMut(Checked),
    ) -> Result<(), RealiseError> {
        let workshop = Workshop::new(self, self.cancel.child_token());
        let slots = Arc::new(Semaphore::new(self.jobs.max(1)));
        let mut tasks = JoinSet::new();
        for path in derivations {
            let derivation = graph.get(path).ok_or_else(|| RealiseError::UnknownTarget {
                derivation: path.clone(),
                output: "out".to_owned(),
            })?;
            let (workshop, slots) = (Arc::clone(&workshop), Arc::clone(&slots));
            let job = Again::new(&self.store, graph, derivation)?;
            tasks.spawn(async move {
                let _slot = slots.acquire_owned().await;
                job.run(workshop).await
            });
        }
        loop {
            let next = self.cancel.run_until_cancelled(tasks.join_next()).await;
            match next {
                None => break,
                Some(None) => return Ok(()),
                Some(Some(Ok(checked))) => tell(checked),
                Some(Some(Err(error))) if error.is_panic() => {
                    std::panic::resume_unwind(error.into_panic())
                }
                Some(Some(Err(_))) => break,
            }
        }
        // Whoever works on something notices soon, and removes what it has made.
        let _ = tokio::time::timeout(super::run::GRACE, async {
            while tasks.join_next().await.is_some() {}
        })
        .await;
        Err(RealiseError::Cancelled)
    }
}

/// A derivation to be built again.
struct Again {
    job: Job,
    action: Action,
    /// Its outputs in the store.
    valid: BTreeMap<String, StorePath>,
}

impl Again {
    fn new(
        store: &Store,
        graph: &DerivationGraph,
        derivation: &Derivation,
    ) -> Result<Self, RealiseError> {
        let action = action(derivation);
        let step = Step {
            derivation: derivation.path(),
            name: derivation.name().to_owned(),
            action: action.clone(),
            needs: BTreeSet::new(),
        };
        let mut inputs = BTreeMap::new();
        for (path, outputs) in derivation.input_derivations() {
            let input = graph.get(path);
            for output in outputs {
                if let Some(input) = input
                    && let Some(valid) = known_output(graph, input, output, store)?
                {
                    inputs.insert((path.clone(), output.clone()), valid);
                }
            }
        }
        let mut valid = BTreeMap::new();
        for output in derivation.outputs().keys() {
            if let Some(path) = known_output(graph, derivation, output, store)? {
                valid.insert(output.clone(), path);
            }
        }
        let failed = |source| RealiseError::Failed {
            name: derivation.name().to_owned(),
            derivation: derivation.path(),
            chain: Vec::new(),
            source,
        };
        let job = Job::new(graph, &step, &inputs).map_err(failed)?;
        Ok(Self { job, action, valid })
    }

    async fn run(self, workshop: Arc<Workshop>) -> Checked {
        let (derivation, name) = (
            self.job.derivation.clone(),
            self.job.resolved.name().to_owned(),
        );
        let verdict = match self.builder(&workshop) {
            Ok(None) => Verdict::Fetched,
            Err(error) => Verdict::Failed(error),
            Ok(Some(builder)) => {
                let built = spawn_blocking(move || {
                    // On a thread of its own, because it is kept on one core and that cannot be undone.
                    std::thread::scope(|scope| {
                        let thread = scope.spawn(|| {
                            keep_on_one_core();
                            self.compare(&workshop, &*builder)
                        });
                        thread.join().unwrap_or(Err(StepError::Panicked))
                    })
                });
                match built.await.unwrap_or(Err(StepError::Panicked)) {
                    Ok(None) => Verdict::Same,
                    Ok(Some(rebuilt)) => Verdict::Differs(rebuilt),
                    Err(error) => Verdict::Failed(error),
                }
            }
        };
        Checked {
            derivation,
            name,
            verdict,
        }
    }

    /// Who builds it; nobody where it comes from a network.
    fn builder(&self, workshop: &Workshop) -> Result<Option<Arc<dyn Builder>>, StepError> {
        let Action::Build { builder } = &self.action else {
            return Ok(None);
        };
        let resolved = &self.job.resolved;
        if resolved.fixed_output().is_some() && foreign::plan_of(resolved)?.network {
            return Ok(None);
        }
        workshop.builder(builder).map(Some)
    }

    fn compare(
        &self,
        workshop: &Workshop,
        builder: &dyn Builder,
    ) -> Result<Option<Rebuilt>, StepError> {
        let store = workshop.store();
        let staging = store.staging()?;
        let built = workshop.run_builder(&self.job, builder, &staging, true)?;
        let mut outputs = BTreeMap::new();
        for (name, staged) in built.outputs {
            if std::fs::symlink_metadata(&staged).is_err() {
                return Err(StepError::MissingOutput { output: name });
            }
            let scanned = tree::normalise(&staged, &built.known)?;
            enter::check_references(&self.job, &name, &scanned)?;
            let path = self
                .valid
                .get(&name)
                .ok_or_else(|| not_valid(store, self))?;
            let info = store.query(path)?.ok_or_else(|| not_valid(store, self))?;
            if info.nar_hash == scanned.nar_hash {
                continue;
            }
            let first = store.real_path(path);
            let files = differences(&first, &staged).map_err(StoreError::io("compare", &staged))?;
            outputs.insert(
                name,
                OutputDifference {
                    path: path.clone(),
                    expected: info.nar_hash,
                    actual: scanned.nar_hash,
                    first,
                    second: staged,
                    files,
                },
            );
        }
        Ok((!outputs.is_empty()).then_some(Rebuilt {
            outputs,
            _staging: staging,
        }))
    }
}

fn not_valid(store: &Store, again: &Again) -> StoreError {
    StoreError::NotValid {
        path: again.job.derivation.clone(),
        root: store.root().to_owned(),
    }
}

/// The last core that this thread may run on becomes the only one, for it and for all threads that it starts.
fn keep_on_one_core() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    // Where that is not to be had, one condition stays as it was.
    let Ok(all) = sched_getaffinity(None) else {
        return;
    };
    if let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|core| all.is_set(*core)) {
        let mut one = CpuSet::new();
        one.set(last);
        let _ = sched_setaffinity(None, &one);
    }
}
