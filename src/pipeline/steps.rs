//! Commands of `build.run`: what the model says about them, what they need to know, and what a lock records of them.

use std::collections::BTreeSet;

use cognix_derivations::{DerivationGraph, StorePath};
use cognix_store::realise::plan::Action;
use cognix_store::{ErrorKind, RealiseError, Store, realise};

use super::{ImageDerivations, ImageOptions, PipelineError, Project, Realisation};
use crate::lock::platform::Architecture;
use crate::lock::{Lock, VariantLock};
use crate::recipes::cog_runtime::{self, ModelSettings};
use crate::recipes::{Instantiated, RecipeError, RunSecret, RunStep, RunSteps, StepDerivation};
use crate::spec::DEFAULT_VARIANT;

/// Where the model's files would be. Commands do not see them, so any path does for what is asked about commands.
const NO_SOURCE: &str = "/nix/store/0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c-source";

/// One command of an image, as messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The variant of the image.
    pub variant: String,
    /// The platform of the image.
    pub architecture: Architecture,
    /// What the command is called: `run-1`.
    pub name: String,
    /// What the shell runs.
    pub command: String,
}

impl std::fmt::Display for Recorded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} ({})", self.name, self.command)?;
        if self.variant != DEFAULT_VARIANT {
            write!(formatter, " of {}", self.variant)?;
        }
        match self.architecture == Architecture::default() {
            true => Ok(()),
            false => write!(formatter, " for {}", self.architecture),
        }
    }
}

/// What recording needs besides a lock.
pub struct Recording<'a> {
    /// Makes what one realisation needs, for an image of the model. It has a network for commands.
    pub realisation: &'a dyn Fn(&Project) -> Result<Realisation, PipelineError>,
    /// The store in which all of them work.
    pub store: &'a Store,
    /// Whether a secret was given.
    pub has_secret: &'a dyn Fn(&str) -> bool,
    /// Told of each command that is run with a network, before it is.
    pub tell: &'a dyn Fn(&Recorded),
    /// Told of each command that only a machine of another kind can run. What a lock has of it stays.
    pub skip: &'a dyn Fn(&Recorded),
}

impl Project {
    /// The commands as recipes want them, with what a lock has recorded.
    pub(super) fn run_steps(
        &self,
        lock: &VariantLock,
        settings: &ModelSettings,
        with_network: Option<usize>,
    ) -> RunSteps {
        let steps = self.loaded.effective.steps.iter();
        let commands = steps.map(|step| RunStep {
            command: step.command.clone(),
            secrets: step
                .mounts
                .iter()
                .map(|mount| RunSecret {
                    id: mount.id.value.clone(),
                    target: mount.target.value.clone(),
                })
                .collect(),
        });
        RunSteps {
            commands: commands.collect(),
            environment: cog_runtime::step_environment(settings),
            recorded: lock.runs.clone(),
            with_network,
        }
    }

    /// Whether the image has commands at all.
    pub fn has_steps(&self) -> bool {
        !self.loaded.effective.steps.is_empty()
    }

    /// Whether the spec lets locking run commands with a network.
    pub fn allows_network(&self) -> bool {
        self.settings.run.network
    }

    fn steps_of(
        &self,
        lock: &Lock,
        architecture: Architecture,
        with_network: Option<usize>,
    ) -> Result<ImageDerivations, PipelineError> {
        let source = StorePath::parse(NO_SOURCE)?;
        let options = ImageOptions::default();
        self.instantiate_with(lock, architecture, &source, &options, with_network)
    }

    /// What is recorded for this image and is not of what it is made of now, by name. Nothing where the lock is not for
    /// this image: then more than records is stale.
    pub fn stale_records(&self, lock: &Lock) -> Result<Vec<String>, PipelineError> {
        let Some(part) = lock.variant(self.variant()) else {
            return Ok(Vec::new());
        };
        if part.runs.is_empty() {
            return Ok(Vec::new());
        }
        let current = self.current_records(lock)?;
        let stale = part.runs.keys().filter(|record| !current.contains(record));
        Ok(stale.map(|record| step_name(record).to_owned()).collect())
    }

    /// Takes over what an earlier lock has recorded. What was made of other packages or by other commands than those of the
    /// new lock is left out, and named with its variant.
    pub fn keep_records(
        &self,
        lock: &mut Lock,
        previous: &Lock,
    ) -> Result<Vec<(String, String)>, PipelineError> {
        let mut dropped = Vec::new();
        for project in self.every()? {
            let name = project.variant().to_owned();
            let before = previous.variant(&name).map(|part| part.runs.clone());
            let (Some(before), Some(part)) = (before, lock.variants.get_mut(&name)) else {
                continue;
            };
            if before.is_empty() {
                continue;
            }
            part.runs = before;
            let current = project.current_records(lock)?;
            if let Some(part) = lock.variants.get_mut(&name) {
                part.runs.retain(|record, _| {
                    let is_current = current.contains(record);
                    if !is_current {
                        dropped.push((name.clone(), step_name(record).to_owned()));
                    }
                    is_current
                });
            }
        }
        Ok(dropped)
    }

    /// The names under which the commands of this image are recorded, on every platform.
    fn current_records(&self, lock: &Lock) -> Result<BTreeSet<StorePath>, PipelineError> {
        let mut current = BTreeSet::new();
        for architecture in self.architectures() {
            if self.part(lock)?.platform(architecture).is_some() {
                let derivations = self.steps_of(lock, architecture, None)?;
                let steps = derivations.steps.iter();
                current.extend(steps.map(|step| step.networked.clone()));
            }
        }
        Ok(current)
    }

    /// Runs the commands of every image of the model, and those that fail without a network with one. What these make is
    /// recorded in the lock. Platforms that this machine is not are left to one that is. Returns those that were recorded now.
    pub async fn record_steps(
        &self,
        lock: &mut Lock,
        recording: &Recording<'_>,
    ) -> Result<Vec<Recorded>, PipelineError> {
        let mut recorded = Vec::new();
        for project in self.every()? {
            for architecture in project.architectures().collect::<Vec<_>>() {
                let derivations = project.steps_of(lock, architecture, None)?;
                if architecture.machine() != std::env::consts::ARCH {
                    let missing = derivations.steps.iter().filter(|step| !step.recorded);
                    missing.for_each(|step| {
                        (recording.skip)(&project.record_of(architecture, step));
                    });
                    continue;
                }
                check_secrets(recording.store, &derivations, recording.has_secret)?;
                let steps = project.loaded.effective.steps.len();
                for index in 0..steps {
                    let made = project
                        .record_step(lock, architecture, index, recording)
                        .await?;
                    recorded.extend(made);
                }
            }
        }
        Ok(recorded)
    }

    fn record_of(&self, architecture: Architecture, step: &StepDerivation) -> Recorded {
        Recorded {
            variant: self.variant().to_owned(),
            architecture,
            name: step.name.clone(),
            command: step.command.clone(),
        }
    }

    async fn record_step(
        &self,
        lock: &mut Lock,
        architecture: Architecture,
        index: usize,
        recording: &Recording<'_>,
    ) -> Result<Option<Recorded>, PipelineError> {
        let plain = self.steps_of(lock, architecture, None)?;
        let step = plain.steps[index].clone();
        if step.recorded {
            return Ok(None);
        }
        let realise = async |derivations: &ImageDerivations, derivation: &StorePath| {
            derivations.import(recording.store)?;
            let target = (derivation.clone(), "out".to_owned());
            let realisation = (recording.realisation)(self)?;
            let graph = without_image(&derivations.graph, derivation)?;
            let targets = std::slice::from_ref(&target);
            let realised = realisation.outputs(&graph, targets).await?;
            Ok::<_, PipelineError>(realised.outputs.get(&target).cloned())
        };
        match realise(&plain, &step.derivation).await {
            Ok(_) => return Ok(None),
            Err(error) if !failed_itself(&error, &step) => return Err(explain(error, &plain)),
            Err(_) => {}
        }
        let record = self.record_of(architecture, &step);
        (recording.tell)(&record);
        let networked = self.steps_of(lock, architecture, Some(index))?;
        let output = realise(&networked, &step.networked).await;
        let output = output.map_err(|error| explain(error, &networked))?;
        let unknown = || PipelineError::Record {
            path: step.networked.to_string(),
            reason: "it was not realised".to_owned(),
        };
        let output = output.ok_or_else(unknown)?;
        let info = recording.store.query(&output)?.ok_or_else(unknown)?;
        if let Some(part) = lock.variants.get_mut(self.variant()) {
            part.runs.insert(step.networked, info.nar_hash);
        }
        Ok(Some(record))
    }
}

/// A derivation and what it needs, alone: the files of the model, which the image needs, are not there.
fn without_image(
    graph: &DerivationGraph,
    derivation: &StorePath,
) -> Result<DerivationGraph, PipelineError> {
    let needed = graph.input_closure(std::slice::from_ref(derivation));
    let mut alone = DerivationGraph::new();
    for one in graph.iter() {
        if needed.contains(one.as_path()) {
            let inserted = alone.insert(one.clone());
            inserted.map_err(|source| RecipeError::Graph {
                subject: one.name().to_owned(),
                source,
            })?;
        }
    }
    Ok(alone)
}

/// Whether it was this command that failed, and nothing else.
fn failed_itself(error: &PipelineError, step: &StepDerivation) -> bool {
    let PipelineError::Realise(error @ RealiseError::Failed { derivation, .. }) = error else {
        return false;
    };
    *derivation == step.derivation && error.kind() == ErrorKind::BuildFailed
}

/// Names the command that failed.
pub(super) fn explain(error: PipelineError, derivations: &Instantiated) -> PipelineError {
    let steps = &derivations.steps;
    match error {
        PipelineError::Realise(source) => {
            let failed = |step: &&StepDerivation| source.derivation() == Some(&step.derivation);
            match steps.iter().find(failed) {
                Some(step) => PipelineError::Step {
                    step: step.name.clone(),
                    command: step.command.clone(),
                    has_network: step.recorded || step.derivation == step.networked,
                    source: Box::new(source),
                },
                None => PipelineError::Realise(source),
            }
        }
        error => error,
    }
}

/// What a command was called.
fn step_name(record: &StorePath) -> &str {
    record.name().strip_suffix(".drv").unwrap_or(record.name())
}

/// A secret that a command sees and nobody has given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step} ({command}) needs the secret {id}, and none of this name was given")]
pub struct MissingSecret {
    /// What the command is called.
    pub step: String,
    /// What it runs.
    pub command: String,
    /// What the secret is called.
    pub id: String,
}

/// Whether every secret is given that commands will see in this run: those whose result is there need none.
pub fn check_secrets(
    store: &Store,
    derivations: &Instantiated,
    has: &dyn Fn(&str) -> bool,
) -> Result<(), PipelineError> {
    let steps = derivations.steps.iter();
    let steps: Vec<_> = steps.filter(|step| !step.secrets.is_empty()).collect();
    if steps.is_empty() {
        return Ok(());
    }
    let targets = derivations.steps.iter();
    let targets = targets.map(|step| (step.derivation.clone(), "out".to_owned()));
    let targets: Vec<_> = targets.collect();
    let planned = realise::plan(&derivations.graph, &targets, store)?;
    let is_run = |step: &StepDerivation| {
        let mut planned = planned.steps.iter();
        planned.any(|planned| {
            planned.derivation == step.derivation && matches!(planned.action, Action::Build { .. })
        })
    };
    for step in steps.into_iter().filter(|step| is_run(step)) {
        if let Some(id) = step.secrets.iter().find(|id| !has(id)) {
            return Err(PipelineError::Secret(MissingSecret {
                step: step.name.clone(),
                command: step.command.clone(),
                id: id.clone(),
            }));
        }
    }
    Ok(())
}
