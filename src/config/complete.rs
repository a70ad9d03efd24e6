//! What a model comes to once defaults are chosen and files are read.
//!
//! Pure: everything comes from a model and the requirements that were read for it.

use std::collections::BTreeMap;
use std::path::Path;

use super::frameworks::{self, Frameworks, Notes, Wish};
use super::image_name;
use super::installer;
use super::model::{Build, Model, SecretMount};
use super::position::Spanned;
use super::python::PythonVersion;
use super::reference::Reference;
use super::requirements::{Install, check_python};
use super::sdk::SdkVersion;

/// The values that later stages work with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The Python of the image.
    pub python: PythonVersion,
    /// Whether a GPU is asked for.
    pub gpu: bool,
    /// Debian packages, in the order of the file, each once.
    pub system_packages: Vec<Spanned<String>>,
    /// CUDA, cuDNN, torch and TensorFlow.
    pub frameworks: Frameworks,
    /// What is handed to the resolver of Python packages.
    pub install: Install,
    /// Commands that change the image, in the order in which they run.
    pub steps: Vec<Step>,
    /// Variables of the image, by name.
    pub environment: BTreeMap<String, String>,
    /// The code that answers predictions.
    pub run: Option<Reference>,
    /// The code that trains.
    pub train: Option<Reference>,
    /// How many predictions run at a time; absent when the code decides.
    pub concurrency: Option<u32>,
    /// The release of the SDK; absent for the newest.
    pub sdk: Option<SdkVersion>,
    /// The name of the image.
    pub image: String,
}

/// A command that changes the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What the shell runs.
    pub command: String,
    /// Secrets that it sees as files.
    pub mounts: Vec<SecretMount>,
}

/// Chooses every value that the file leaves open; a value that cannot be chosen is an error among the notes.
pub(super) fn complete(
    model: &Model,
    root: &Path,
    file_name: &str,
    mut install: Install,
    notes: &mut Notes,
) -> Effective {
    let build = model.build.as_ref();
    let python = build.map_or_else(default_python, |build| build.python_version.value.clone());
    let gpu = build.and_then(|build| build.gpu.as_ref());
    let wish = Wish {
        file: file_name,
        python: &python,
        gpu: gpu.filter(|gpu| gpu.value).map(|gpu| gpu.position),
        cuda: build.and_then(|build| build.cuda.as_ref()),
        cudnn: build.and_then(|build| build.cudnn.as_ref()),
    };
    notes.refusals.extend(check_python(&install, &python));
    let frameworks = frameworks::choose(&wish, &mut install, notes);
    if let Some(build) = build {
        installer::require(build, file_name, &mut install);
    }
    let mut system_packages: Vec<Spanned<String>> = Vec::new();
    for package in build.iter().flat_map(|build| &build.system_packages) {
        if !system_packages
            .iter()
            .any(|known| known.value == package.value)
        {
            system_packages.push(package.clone());
        }
    }
    let named = model.image.as_ref().or(model.model.as_ref());
    Effective {
        python,
        gpu: model.gpu(),
        system_packages,
        frameworks,
        install,
        steps: build.map(steps).unwrap_or_default(),
        environment: model
            .environment
            .iter()
            .map(|entry| (entry.name.clone(), entry.value.value.clone()))
            .collect(),
        run: model.run.as_ref().map(|run| run.value.clone()),
        train: model.train.as_ref().map(|train| train.value.clone()),
        concurrency: model.concurrency.as_ref().map(|max| max.value),
        sdk: build
            .and_then(|build| build.sdk_version.as_ref())
            .map(|version| version.value.clone()),
        image: named.map_or_else(|| image_name::of_folder(root), |name| name.value.clone()),
    }
}

/// Those of `run`, then those of `pre_install`: Cog runs them in this order, whatever the names say.
fn steps(build: &Build) -> Vec<Step> {
    let run = build.run.iter().map(|item| Step {
        command: item.value.command.trim().to_owned(),
        mounts: item.value.mounts.clone(),
    });
    let pre_install = build.pre_install.iter().map(|command| Step {
        command: command.value.trim().to_owned(),
        mounts: Vec::new(),
    });
    let steps = run.chain(pre_install);
    steps.filter(|step| !step.command.is_empty()).collect()
}

fn default_python() -> PythonVersion {
    PythonVersion::parse(PythonVersion::DEFAULT)
        .expect("the default version is written in this program, and valid")
}
