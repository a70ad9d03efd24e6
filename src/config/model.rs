//! `cog.yaml` as one typed value, every datum with its place.
//!
//! A [`Model`] exists only when the file is valid by Cog's rules, so later stages check nothing again. What Cog reads
//! under two names is one field here, and what is not written is absent: defaults are chosen in [`super::complete`].

use super::cuda::CudaVersion;
use super::position::Spanned;
use super::python::PythonVersion;
use super::reference::Reference;
use super::sdk::SdkVersion;

/// A valid configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// How the image is built; absent in a file without a `build` section.
    pub build: Option<Build>,
    /// `image`: the name of the image, possibly with a tag.
    pub image: Option<Spanned<String>>,
    /// `model`: the repository of the image and its weights, without tag.
    pub model: Option<Spanned<String>>,
    /// `run`, or under its old name `predict`: the code that answers predictions.
    pub run: Option<Spanned<Reference>>,
    /// `train`: the code that trains.
    pub train: Option<Spanned<Reference>>,
    /// `concurrency.max`: how many predictions run at a time.
    pub concurrency: Option<Spanned<u32>>,
    /// `environment`, in the order of the file, names unique.
    pub environment: Vec<Spanned<EnvironmentVariable>>,
    /// `weights`, in the order of the file, names and targets unique.
    pub weights: Vec<Weight>,
}

/// The `build` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// `gpu`.
    pub gpu: Option<Spanned<bool>>,
    /// `python_version`.
    pub python_version: Spanned<PythonVersion>,
    /// `python_requirements`: a path relative to the project, or absolute and inside it.
    pub python_requirements: Option<Spanned<String>>,
    /// `python_packages`, each a requirement.
    pub python_packages: Vec<Spanned<String>>,
    /// `system_packages`, names of Debian packages.
    pub system_packages: Vec<Spanned<String>>,
    /// `run`: commands to run when everything is installed.
    pub run: Vec<Spanned<RunCommand>>,
    /// `pre_install`: commands that Cog runs after those of `run`, whatever the name says.
    pub pre_install: Vec<Spanned<String>>,
    /// `cuda`.
    pub cuda: Option<Spanned<CudaVersion>>,
    /// `cudnn`.
    pub cudnn: Option<Spanned<String>>,
    /// `sdk_version`.
    pub sdk_version: Option<Spanned<SdkVersion>>,
}

/// One command of `build.run`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunCommand {
    /// What the shell runs; empty for a null item.
    pub command: String,
    /// Secrets that it sees.
    pub mounts: Vec<SecretMount>,
}

/// A secret that one command sees as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMount {
    /// The name under which the secret is given on the command line.
    pub id: Spanned<String>,
    /// Where the command finds it.
    pub target: Spanned<String>,
}

/// One entry of `environment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentVariable {
    /// Letters, digits and `_`, not starting with a digit, not reserved.
    pub name: String,
    /// One line of anything.
    pub value: String,
}

/// One entry of `weights`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// A unique name.
    pub name: Spanned<String>,
    /// The absolute folder in the container.
    pub target: Spanned<String>,
    /// Where the files come from, at least one.
    pub sources: Vec<WeightSource>,
}

/// One source of a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightSource {
    /// `hf://`, `file://`, `https://` or a path.
    pub uri: Spanned<String>,
    /// Patterns of files to take; empty means all.
    pub include: Vec<Spanned<String>>,
    /// Patterns of files to leave.
    pub exclude: Vec<Spanned<String>>,
}

impl Model {
    /// Whether a GPU is asked for.
    pub fn gpu(&self) -> bool {
        self.build
            .as_ref()
            .and_then(|build| build.gpu.as_ref())
            .is_some_and(|gpu| gpu.value)
    }
}
