//! The model: what `cog.yaml` says, read as Cog reads it.
//!
//! [`parse`] turns text into a [`Model`] in which every datum knows its line and column. [`load`] finds the file and
//! what it names, chooses what they leave open, and tells what of a valid model cannot be built. Errors come all
//! together, each with its place and, where there is one, a hint.
//!
//! Nothing here asks an index, runs anything, or looks at the model's code.

mod adjust;
mod complete;
mod credentials;
mod cuda;
mod decode;
mod environment;
mod finding;
mod frameworks;
mod image_name;
mod installer;
mod keys;
mod load;
mod model;
mod parse;
mod position;
mod python;
mod reason;
mod reference;
mod report;
mod repository;
mod requirements;
mod sdk;
mod sections;
mod support;
#[cfg(test)]
mod tests;
mod weights;
mod yaml;

pub use adjust::Adjustments;
pub use complete::{Effective, Step};
pub use cuda::CudaVersion;
pub use finding::{ConfigErrors, Finding};
pub use frameworks::{Framework, FrameworkReason, Frameworks};
pub use load::{DEFAULT_FILE, LoadOptions, Loaded, load, load_with, root};
pub use model::{Build, EnvironmentVariable, Model, RunCommand, SecretMount, Weight, WeightSource};
pub use parse::{Parsed, parse};
pub use position::{Position, Spanned};
pub use python::PythonVersion;
pub use reason::Reason;
pub use reference::Reference;
pub use report::Report;
pub use requirements::{
    IndexOptions, Install, NamedIndex, ProjectFile, ProjectPackage, ProjectReason, RequirementKind,
    RequirementLine, RequirementReason,
};
pub use sdk::SdkVersion;
