//! Carries out a plan: every step as soon as what it needs is there.
//!
//! One task per step that is ready; limits are semaphores inside the jobs. This file knows the order and the first failure,
//! not how anything is made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cognix_derivations::{DerivationGraph, StorePath};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::job::{How, Job, Made, Workshop};
use super::plan::{Action, Plan, Step, plan};
use super::{RealiseError, Realised, Realiser, Stats, StepError};
use crate::events::Event;

/// How long builders may take to notice that they should stop.
pub(super) const GRACE: Duration = Duration::from_secs(5);

type Outcome = (StorePath, Result<Made, StepError>);

pub(super) async fn run(
    realiser: &Realiser,
    graph: &DerivationGraph,
    targets: &[(StorePath, String)],
) -> Result<Realised, RealiseError> {
    let plan = protected_plan(realiser, graph, targets)?;
    let (fetches, fetch_bytes) = plan.fetches();
    realiser.events.emit(Event::Planned {
        derivations: plan.derivations,
        cached: plan.derivations - plan.steps.len(),
        fetches,
        fetch_bytes,
        builds: plan.builds(),
    });
    let stats = Stats {
        derivations: plan.derivations,
        ..Stats::default()
    };
    // On a failure, what runs is stopped through this token, while the caller's stays as it is.
    let stop = realiser.cancel.child_token();
    let mut run = Run {
        graph,
        targets,
        workshop: Workshop::new(realiser, stop.clone()),
        realised: plan.known.clone(),
        waiting_for: BTreeMap::new(),
        users: BTreeMap::new(),
        steps: plan
            .steps
            .iter()
            .map(|step| (&step.derivation, step))
            .collect(),
        tasks: JoinSet::new(),
        stop,
        failure: None,
        stats,
    };
    run.start_ready(&plan);
    run.work(&realiser.cancel).await;
    run.finish(&realiser.cancel)
}

/// A plan whose known outputs cannot be collected while we work: they are protected first and looked at again after that.
fn protected_plan(
    realiser: &Realiser,
    graph: &DerivationGraph,
    targets: &[(StorePath, String)],
) -> Result<Plan, RealiseError> {
    loop {
        let plan = plan(graph, targets, &realiser.store)?;
        if realiser.store.database().check_writable().is_err() {
            return Ok(plan);
        }
        let known: Vec<&StorePath> = plan.known.values().collect();
        realiser.store.roots().add(&known)?;
        let mut complete = true;
        for path in known {
            complete &= realiser.store.is_valid(path)?;
        }
        if complete {
            return Ok(plan);
        }
    }
}

struct Run<'a> {
    graph: &'a DerivationGraph,
    targets: &'a [(StorePath, String)],
    workshop: Arc<Workshop>,
    /// Every output that is known so far.
    realised: BTreeMap<(StorePath, String), StorePath>,
    /// How many steps each step still waits for.
    waiting_for: BTreeMap<&'a StorePath, usize>,
    /// Who waits for a step.
    users: BTreeMap<&'a StorePath, BTreeSet<&'a StorePath>>,
    steps: BTreeMap<&'a StorePath, &'a Step>,
    tasks: JoinSet<Outcome>,
    stop: CancellationToken,
    failure: Option<RealiseError>,
    stats: Stats,
}

impl<'a> Run<'a> {
    /// Starts what needs nothing. Large downloads come first, because nothing else takes as long as the largest one.
    fn start_ready(&mut self, plan: &'a Plan) {
        let mut ready = Vec::new();
        for step in &plan.steps {
            if step.needs.is_empty() {
                ready.push(step);
            }
            self.waiting_for.insert(&step.derivation, step.needs.len());
            for need in &step.needs {
                self.users.entry(need).or_default().insert(&step.derivation);
            }
        }
        ready.sort_by_key(|step| match step.action {
            Action::Fetch { size, .. } => std::cmp::Reverse(size.unwrap_or(0)),
            Action::Build { .. } => std::cmp::Reverse(0),
        });
        for step in ready {
            self.start(step);
        }
    }

    fn start(&mut self, step: &'a Step) {
        match Job::new(self.graph, step, &self.realised) {
            Ok(job) => {
                let (workshop, derivation) = (Arc::clone(&self.workshop), step.derivation.clone());
                self.tasks
                    .spawn(async move { (derivation, workshop.make(job).await) });
            }
            Err(error) => self.fail(&step.derivation, error),
        }
    }

    /// Waits for tasks until there are none.
    async fn work(&mut self, cancel: &CancellationToken) {
        let mut deadline = None;
        loop {
            let outcome = if let Some(deadline) = deadline {
                match timeout_at(deadline, self.tasks.join_next()).await {
                    Ok(outcome) => outcome,
                    Err(_) => return,
                }
            } else {
                match cancel.run_until_cancelled(self.tasks.join_next()).await {
                    Some(outcome) => outcome,
                    None => {
                        deadline = Some(Instant::now() + GRACE);
                        continue;
                    }
                }
            };
            match outcome {
                Some(outcome) => self.note(outcome),
                None => return,
            }
        }
    }

    fn note(&mut self, outcome: Result<Outcome, JoinError>) {
        match outcome {
            Ok((derivation, Ok(made))) => self.done(&derivation, made),
            Ok((derivation, Err(error))) => self.fail(&derivation, error),
            Err(error) => {
                // Tasks hold no name when they panic; the run fails all the same.
                self.stop.cancel();
                if error.is_panic() && self.failure.is_none() {
                    let (derivation, _) = &self.targets[0];
                    self.failure = Some(RealiseError::Failed {
                        name: derivation.name().to_owned(),
                        derivation: derivation.clone(),
                        chain: Vec::new(),
                        source: StepError::Panicked,
                    });
                }
            }
        }
    }

    fn done(&mut self, derivation: &StorePath, made: Made) {
        match made.how {
            How::Built => self.stats.built += 1,
            How::Fetched(bytes) => {
                self.stats.built += 1;
                self.stats.fetched += 1;
                self.stats.bytes_fetched += bytes;
            }
            How::Cached => {}
        }
        for (output, path) in made.outputs {
            self.realised.insert((derivation.clone(), output), path);
        }
        for user in self.users.remove(derivation).unwrap_or_default() {
            let Some(count) = self.waiting_for.get_mut(user) else {
                continue;
            };
            *count -= 1;
            if *count == 0 && !self.stop.is_cancelled() {
                let step = self.steps[user];
                self.start(step);
            }
        }
    }

    fn fail(&mut self, derivation: &StorePath, error: StepError) {
        self.stop.cancel();
        if error.is_cancellation() || self.failure.is_some() {
            return;
        }
        let name = self.steps[derivation].name.clone();
        self.workshop.events.emit(Event::BuildFailed {
            derivation: derivation.clone(),
            name: name.clone(),
            reason: error.line(),
        });
        self.failure = Some(RealiseError::Failed {
            name,
            derivation: derivation.clone(),
            chain: self.chain(derivation),
            source: error,
        });
    }

    /// The names of a derivation's user, its user's user and so on, up to a target.
    fn chain(&self, derivation: &StorePath) -> Vec<String> {
        let mut chain = Vec::new();
        let mut current = derivation;
        while !self.targets.iter().any(|(target, _)| target == current)
            && let Some(user) = self.users.get(current).and_then(BTreeSet::first)
        {
            chain.push(self.steps[*user].name.clone());
            current = user;
        }
        chain
    }

    fn finish(mut self, cancel: &CancellationToken) -> Result<Realised, RealiseError> {
        if cancel.is_cancelled() {
            return Err(RealiseError::Cancelled);
        }
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.stats.cached = self.stats.derivations - self.stats.built - self.stats.substituted;
        let mut outputs = BTreeMap::new();
        for target in self.targets {
            if let Some(path) = self.realised.get(target) {
                outputs.insert(target.clone(), path.clone());
            }
        }
        Ok(Realised {
            outputs,
            stats: self.stats,
        })
    }
}
