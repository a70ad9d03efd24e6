//! Commands that change the image: `build.run`, each as one derivation that runs it on everything below.
//!
//! ```text
//! packages, configuration, environment, wheels, additions ─▶ run-1 ─▶ run-2 ─▶ …     each above those before it
//!                                                              └─▶ layer  └─▶ layer
//! ```
//!
//! A command sees the image as Cog's would be at that point: everything but the model's files, as root, in `/`, with the
//! environment that Cog has set by then. It has no network. What it makes is the difference that it leaves.
//!
//! A command that needs the network can be *recorded*: it was run with one while locking, and the lock has the hash of
//! what it made, by the derivation that it was. The derivation is then one of a fixed output, whose place in the store is
//! the same. A record is for exactly the packages, the commands before and the environment that it was made of: with
//! anything else the derivation is another one.

use std::collections::{BTreeMap, BTreeSet};

use cognix_derivations::{ContentAddress, Derivation, DerivationBuilder, Sha256, StorePath};
use cognix_store::build::foreign::{self, Entry, Identity, OutputKind, Plan, SecretUse};

use super::changes_layer::changes_layer;
use super::{Instantiation, RecipeError, python_packages};
use crate::lock::platform::PythonVersion;
use crate::lock::{LockedPlatform, LockedWheel};

/// What runs a command: Docker's default.
const SHELL: &str = "/bin/sh";

/// One command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunStep {
    /// What the shell runs.
    pub command: String,
    /// Secrets that it sees.
    pub secrets: Vec<RunSecret>,
}

/// A secret that a command sees as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSecret {
    /// What it is called.
    pub id: String,
    /// The file in the image.
    pub target: String,
}

/// The commands of an image.
#[derive(Debug, Clone, Default)]
pub struct RunSteps {
    /// In their order.
    pub commands: Vec<RunStep>,
    /// What they find in their environment.
    pub environment: BTreeMap<String, String>,
    /// What commands made that were run with a network, by the derivations that they were.
    pub recorded: BTreeMap<StorePath, Sha256>,
    /// The command, counted from 0, that is to be run with a network although there is no record of it.
    pub with_network: Option<usize>,
}

/// The derivation of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepDerivation {
    /// What it is called: `run-1`.
    pub name: String,
    /// What the shell runs.
    pub command: String,
    /// The secrets that it sees.
    pub secrets: BTreeSet<String>,
    /// The derivation.
    pub derivation: StorePath,
    /// What it would be with a network and without a record: the name of its record.
    pub networked: StorePath,
    /// Whether its output is recorded.
    pub recorded: bool,
}

/// A part of the root that a command sees, bottom to top.
#[derive(Debug, Clone)]
pub(super) enum RootPart {
    /// The tree of a derivation, with modes in its `control` or without.
    Tree {
        derivation: StorePath,
        control: bool,
    },
    /// An installed wheel.
    Wheel(Box<LockedWheel>),
    /// Whatever a layer holds, where it is not simply the trees it is made of.
    Layer(StorePath),
    /// What a program changed.
    Changes(StorePath),
}

/// Adds every command and its layer.
pub(super) fn layers(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    python: PythonVersion,
    steps: &RunSteps,
) -> Result<Vec<StepDerivation>, RecipeError> {
    if steps.commands.is_empty() {
        return Ok(Vec::new());
    }
    let mut root = Root::default();
    for part in std::mem::take(&mut builder.root) {
        root.add(builder, lock, part, python)?;
    }
    let mut added = Vec::new();
    for (index, step) in steps.commands.iter().enumerate() {
        let name = format!("run-{}", index + 1);
        let derivation = |root: &Root, network| root.derivation(lock, &name, step, steps, network);
        let networked = built(&name, derivation(&root, true))?.path();
        let recorded = steps.recorded.get(&networked);
        let derivation = match recorded {
            Some(hash) => {
                let address = ContentAddress::Recursive((*hash).into());
                root.derivation_of(lock, &name, step, steps, true)
                    .fixed_output(address)
            }
            None => derivation(&root, steps.with_network == Some(index)),
        };
        let derivation = builder.add(&name, derivation.build())?;
        let changes = RootPart::Changes(derivation.clone());
        root.add(builder, lock, changes, python)?;
        changes_layer(builder, lock, &name, "run", &derivation)?;
        added.push(StepDerivation {
            name,
            command: step.command.clone(),
            secrets: step
                .secrets
                .iter()
                .map(|secret| secret.id.clone())
                .collect(),
            derivation,
            networked,
            recorded: recorded.is_some(),
        });
    }
    Ok(added)
}

fn built(subject: &str, derivation: DerivationBuilder) -> Result<Derivation, RecipeError> {
    derivation
        .build()
        .map_err(|source| RecipeError::Derivation {
            subject: subject.to_owned(),
            source,
        })
}

/// The root that a command sees, and what it needs.
#[derive(Default)]
struct Root {
    entries: Vec<Entry<String>>,
    inputs: Vec<(StorePath, &'static str)>,
}

impl Root {
    fn add(
        &mut self,
        builder: &mut Instantiation,
        lock: LockedPlatform<'_>,
        part: RootPart,
        python: PythonVersion,
    ) -> Result<(), RecipeError> {
        let (derivation, control) = match part {
            RootPart::Tree {
                derivation,
                control,
            } => (derivation, control),
            RootPart::Wheel(wheel) => (
                python_packages::wheel_tree(builder, lock, &wheel, python)?,
                false,
            ),
            RootPart::Layer(layer) => (layer_tree(builder, &layer)?, true),
            RootPart::Changes(changes) => {
                let reference = builder.reference(&changes, "out");
                self.entries.push(Entry::Changes(reference));
                self.inputs.push((changes, "out"));
                return Ok(());
            }
        };
        let reference = |output| builder.reference(&derivation, output);
        self.entries.push(Entry::Tree {
            tree: reference("out"),
            control: control.then(|| reference("control")),
        });
        self.inputs.push((derivation.clone(), "out"));
        if control {
            self.inputs.push((derivation, "control"));
        }
        Ok(())
    }

    /// A command whose output is found by what is in it.
    fn derivation(
        &self,
        lock: LockedPlatform<'_>,
        name: &str,
        step: &RunStep,
        steps: &RunSteps,
        network: bool,
    ) -> DerivationBuilder {
        let derivation = self.derivation_of(lock, name, step, steps, network);
        derivation.floating_output("out")
    }

    fn derivation_of(
        &self,
        lock: LockedPlatform<'_>,
        name: &str,
        step: &RunStep,
        steps: &RunSteps,
        network: bool,
    ) -> DerivationBuilder {
        let secrets = step.secrets.iter().map(|secret| SecretUse {
            env: None,
            id: secret.id.clone(),
            target: Some(secret.target.clone()),
        });
        let plan = Plan {
            root: self.entries.clone(),
            environment: Some(steps.environment.clone()),
            directory: "/".to_owned(),
            identity: Identity::Root,
            output: OutputKind::Changes,
            secrets: secrets.collect(),
            network,
        };
        let system = format!("{}-linux", lock.architecture.machine());
        let derivation = Derivation::builder(name)
            .system(&system)
            .builder(SHELL)
            .arg("-c")
            .arg(step.command.as_str())
            .env(foreign::ATTRIBUTE, plan.to_json());
        self.inputs
            .iter()
            .fold(derivation, |derivation, (input, output)| {
                derivation.input_derivation(input, output)
            })
    }
}

/// Adds what a layer holds as a tree, with its modes beside it.
fn layer_tree(builder: &mut Instantiation, layer: &StorePath) -> Result<StorePath, RecipeError> {
    let derivation = Derivation::builder("layer-tree")
        .floating_output("out")
        .floating_output("control")
        .system("builtin")
        .builder("builtin:cognix-layer-tree-1")
        .env("layer", builder.reference(layer, "out"))
        .input_derivation(layer, "out");
    builder.add("the tree of a layer", derivation.build())
}
