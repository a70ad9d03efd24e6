//! From the lock to derivations: one file per kind of thing an image is made of.
//!
//! Pure. Versions come from the lock, the model's files as one store path; nothing is fetched, built or looked up.
//! Every recipe but that of commands returns derivations whose builders are versioned builtins, so the same lock gives the
//! same `.drv` whichever cognix made it.
//!
//! ```text
//! archive ─fetch─▶ python ─▶ layer (for Pythons not of Debian) ───┐
//! .deb  ─fetch─▶ deb ─┬──────────────────────▶ layer (per group) ─┐
//!                     └─▶ system configuration ─▶ layer ──────────┤
//!                           └─▶ scripts that no rule covers ─▶ layer ─┤
//! source archive ─fetch─▶ wheel (built in a sandbox, then as any wheel) ─┐
//! wheel ─fetch─▶ bytecode ─▶ layer (described from both files) ───┼─▶ image
//!            └─▶ tree ─▶ layer (per group, when there are many) ──┤
//!             virtual environment ─▶ layer ───────────────────────┤
//! the project's own entry points ─▶ tree ─▶ layer ─────────────────┤
//! derivations of the spec ─▶ layer (each, or in place of a wheel)─┤
//! build.run, each on all of these ─▶ layer ───────────────────────┤
//!             source (a store path) ─▶ layer ─────────────────────┘
//! ```
//!
//! The tree of an installed wheel ([`wheel_tree`]) is a derivation too, for those who need files rather than layers; an
//! image depends on it only where small wheels share a layer, because there are more wheels than layers.

mod additions;
mod bytecode;
mod changes_layer;
pub mod cog_runtime;
mod editable;
mod fetch;
mod image;
mod interpreter;
pub mod labels;
mod python_packages;
mod run_steps;
mod sdist;
mod source;
mod system_packages;
mod system_root;
mod system_scripts;
#[cfg(test)]
mod tests;
mod wheel_groups;

use std::collections::BTreeMap;

use cognix_derivations::{
    Derivation, DerivationBuilder, DerivationError, DerivationGraph, GraphError, Output, StorePath,
    downstream_placeholder,
};
use serde::Serialize;

use crate::lock::platform::{Platform, PythonVersion};
use crate::lock::python::SourceReason;
use crate::lock::{LockedDeb, LockedPlatform, LockedWheel};

pub use additions::{Additions, Extra};
use bytecode::Compiler;
pub use bytecode::{REPORT, compiled_package};
pub use cog_runtime::Runtime;
pub use editable::EditablePackage;
pub use interpreter::InterpreterFetch;
use python_packages::Packages;
pub use python_packages::wheel_tree;
pub use run_steps::{RunSecret, RunStep, RunSteps, StepDerivation};
pub use sdist::{ask_backend, source_builds, wheel_name};
pub use source::PREFIX as SOURCE_PREFIX;
pub use system_root::{SystemRoot, system_root};

/// Why a lock cannot become derivations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// A name or value that no derivation can hold.
    #[error("{subject} cannot be a derivation")]
    Derivation {
        /// The lock entry or part of the image.
        subject: String,
        /// What the format refuses.
        source: DerivationError,
    },
    /// Two parts of an image that need each other, or one that does not exist.
    #[error("{subject} does not fit into the graph")]
    Graph {
        /// The lock entry or part of the image.
        subject: String,
        /// What does not fit.
        source: GraphError,
    },
    /// The lock does not say how a source is built: most likely it was edited by hand.
    #[error("the lock does not say what {0} is built with; run `cognix lock --update {0}`")]
    Build(String),
    /// The lock was written for a Python that this cognix does not know.
    #[error("the lock asks for Python {0}, which this cognix cannot provide; run `cognix lock`")]
    Python(String),
    /// The lock is for fewer layers than there are: most likely it was edited by hand.
    #[error(
        "the image has {layers} layers, more than the {budget} of layers.budget; run `cognix lock --update`"
    )]
    Budget {
        /// How many there are.
        layers: usize,
        /// How many there may be.
        budget: u32,
    },
    /// Two layers of one name could not be told apart in plans and messages.
    #[error(
        "the extra package {name} has the name of another layer of the image; give it another `name`"
    )]
    LayerName {
        /// The name.
        name: String,
    },
    /// An output cannot lie there.
    #[error(
        "the destination of the extra package {name} must be an absolute path such as /opt/x, found {destination:?}"
    )]
    Destination {
        /// The name of its layer.
        name: String,
        /// The path.
        destination: String,
    },
}

/// What an image is made from.
#[derive(Debug, Clone, Copy)]
pub struct Ingredients<'a> {
    /// The packages.
    pub lock: LockedPlatform<'a>,
    /// The model's files.
    pub source: &'a StorePath,
    /// What the image runs with.
    pub runtime: &'a Runtime,
    /// What the spec adds.
    pub additions: &'a Additions,
    /// The model's own project, where it is a package.
    pub project: Option<&'a EditablePackage>,
    /// The commands that change the image.
    pub steps: &'a RunSteps,
}

/// The derivations of one image.
#[derive(Debug)]
pub struct Instantiated {
    /// All of them.
    pub graph: DerivationGraph,
    /// The derivation whose output is the image.
    pub image: StorePath,
    /// The fetch of a standalone interpreter.
    pub interpreter: Option<InterpreterFetch>,
    /// What becomes of the packages' scripts.
    pub system: Option<System>,
    /// The layers from bottom to top.
    pub layers: Vec<LayerDerivation>,
    /// The commands that change the image, in their order.
    pub steps: Vec<StepDerivation>,
    /// Size in bytes of what each fetch will download; 0 where the lock does not know it.
    pub downloads: BTreeMap<StorePath, u64>,
}

/// The derivations that take the place of the packages' installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// What rules make; its `control` output says what becomes of each script.
    pub configuration: StorePath,
    /// What the scripts change that are run; nothing, mostly.
    pub scripts: StorePath,
}

/// The derivation that describes one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDerivation {
    /// The layer's name, unique in the image.
    pub name: String,
    /// What kind of content it holds: `debian`, `system`, `python`, `wheel`, `extra`, `run` or `source`.
    pub group: &'static str,
    /// The derivation.
    pub derivation: StorePath,
    /// The fetches it needs, which is what can be said about its size before anything was built.
    pub fetches: Vec<StorePath>,
    /// The packages in it, where it is made of packages, in the lock's order.
    pub holds: Vec<Held>,
}

/// A package in a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The size of the file it comes from.
    pub size: u64,
    /// Whether it is a wheel that may break its own RECORD.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub waived: bool,
    /// How it becomes a wheel, if it is built from source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<HeldBuild>,
}

/// How a package is built from source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldBuild {
    /// The build backend.
    pub backend: String,
    /// Why it is built here.
    pub reason: SourceReason,
    /// What the backend needs, each with its version.
    pub requires: Vec<String>,
}

impl From<&LockedDeb> for Held {
    fn from(deb: &LockedDeb) -> Self {
        Self {
            name: deb.name.clone(),
            version: deb.version.clone(),
            size: deb.size,
            waived: false,
            build: None,
        }
    }
}

impl From<&LockedWheel> for Held {
    fn from(wheel: &LockedWheel) -> Self {
        Self {
            name: wheel.name.clone(),
            version: wheel.version.clone(),
            size: wheel.size,
            waived: wheel.waived,
            build: wheel.build.as_ref().map(|build| HeldBuild {
                backend: build.backend.clone(),
                reason: build.reason,
                requires: build
                    .requires
                    .iter()
                    .map(|wheel| match build.builds.contains_key(&wheel.name) {
                        true => format!("{} {} (from source)", wheel.name, wheel.version),
                        false => format!("{} {}", wheel.name, wheel.version),
                    })
                    .collect(),
            }),
        }
    }
}

/// Turns a lock and a model's files into the derivations of an image.
pub fn instantiate(ingredients: Ingredients<'_>) -> Result<Instantiated, RecipeError> {
    let lock = ingredients.lock;
    let python = python_of(lock)?;
    let mut builder = Instantiation {
        timestamp: ingredients.runtime.created,
        ..Instantiation::from(ingredients.additions.graph.clone())
    };
    // Below the packages: it moves only with a new lock, and what it says of directories that it shares gives way to
    // what Debian says of them.
    let interpreter = interpreter::layer(&mut builder, lock, python)?;
    let debs = system_packages::debs(&mut builder, lock.debian)?;
    system_packages::layers(&mut builder, lock, &debs)?;
    let mut compiler = match lock.request.bytecode {
        true => {
            let steps = ingredients.steps;
            let interpreter = interpreter.as_ref();
            Some(Compiler::new(lock, python, &debs, interpreter, steps))
        }
        false => None,
    };
    if let Some(compiler) = &mut compiler {
        compiler.standard_library(&mut builder)?;
    }
    let packages = Packages {
        lock,
        python,
        replaced: &ingredients.additions.replaced,
        compiler: compiler.as_ref(),
    };
    python_packages::environment_layer(&mut builder, lock, python)?;
    let grouped = wheel_groups::group(&lock.python.packages);
    for wheel in grouped.single {
        match packages.replaced.get(&wheel.name) {
            Some(_) => packages.group_layer(&mut builder, &wheel.name, &[wheel])?,
            None => packages.wheel_layer(&mut builder, wheel)?,
        }
    }
    for (name, wheels) in grouped.groups {
        packages.group_layer(&mut builder, name, &wheels)?;
    }
    if let Some(project) = ingredients.project {
        editable::layer(&mut builder, lock, python, project)?;
    }
    let commands = ingredients.steps.commands.len();
    additions::layers(&mut builder, lock, ingredients.additions, commands)?;
    let steps = run_steps::layers(&mut builder, lock, python, ingredients.steps)?;
    source::layer(&mut builder, lock, ingredients.source, compiler.as_ref())?;
    let layers = builder.layers.len();
    if u32::try_from(layers).is_ok_and(|layers| layers > lock.request.budget) {
        let budget = lock.request.budget;
        return Err(RecipeError::Budget { layers, budget });
    }
    let image = image::image(&mut builder, ingredients.runtime)?;
    let Instantiation {
        graph,
        layers,
        root: _,
        downloads,
        system,
        timestamp: _,
    } = builder;
    Ok(Instantiated {
        graph,
        image,
        system,
        interpreter,
        layers,
        steps,
        downloads,
    })
}

/// The Python of a lock, if it is one that can be provided.
pub fn python_of(lock: LockedPlatform<'_>) -> Result<PythonVersion, RecipeError> {
    let unknown = || RecipeError::Python(lock.request.python.clone());
    let python = lock.request.python.parse().map_err(|_| unknown())?;
    Platform::for_python(python, lock.architecture)
        .map(|platform| platform.python)
        .ok_or_else(unknown)
}

/// The graph while it grows.
#[derive(Debug, Default)]
pub struct Instantiation {
    /// What was instantiated so far.
    pub graph: DerivationGraph,
    layers: Vec<LayerDerivation>,
    system: Option<System>,
    /// What the layers so far come to for a program that runs on them.
    root: Vec<run_steps::RootPart>,
    downloads: BTreeMap<StorePath, u64>,
    timestamp: Option<u64>,
}

impl From<DerivationGraph> for Instantiation {
    /// Goes on with a graph that is there already.
    fn from(graph: DerivationGraph) -> Self {
        Self {
            graph,
            ..Self::default()
        }
    }
}

impl Instantiation {
    /// Adds a derivation; `subject` names it in an error.
    fn add(
        &mut self,
        subject: &str,
        derivation: Result<Derivation, DerivationError>,
    ) -> Result<StorePath, RecipeError> {
        let subject = || subject.to_owned();
        let derivation = derivation.map_err(|source| RecipeError::Derivation {
            subject: subject(),
            source,
        })?;
        self.graph
            .insert(derivation)
            .map_err(|source| RecipeError::Graph {
                subject: subject(),
                source,
            })
    }

    /// Adds a layer's derivation, with the time that its files are to have.
    fn add_layer(
        &mut self,
        subject: &str,
        derivation: DerivationBuilder,
    ) -> Result<StorePath, RecipeError> {
        let derivation = match self.timestamp {
            Some(timestamp) => derivation.env("time", timestamp.to_string()),
            None => derivation,
        };
        self.add(subject, derivation.build())
    }

    /// The text by which a derivation refers to another's output: the path when it is known, else its placeholder.
    fn reference(&self, derivation: &StorePath, output: &str) -> String {
        let known = self.graph.get(derivation);
        let output_of = known.and_then(|known| known.outputs().get(output));
        let path = output_of.and_then(Output::path);
        path.map_or_else(
            || downstream_placeholder(derivation, output),
            StorePath::to_string,
        )
    }
}

/// One tree of a layer or of the system configuration, as builtins read it.
#[derive(Debug, Serialize)]
struct TreeReference {
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    omit: Vec<String>,
    out: String,
}

/// Structured data as one environment string.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("strings, lists and maps with string keys are always JSON")
}
