//! What a model comes to once defaults are chosen and files are read.
//!
//! Pure: everything comes from a [`Loaded`] configuration. So far this is the path without a GPU; CUDA, cuDNN and the
//! frameworks' own indexes are not chosen here yet, and [`super::unsupported`] says so.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::image_name;
use super::load::Loaded;
use super::position::Spanned;
use super::python::PythonVersion;
use super::reason::Reason;
use super::reference::Reference;
use super::requirements::{self, RequirementLine};
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
    /// Python requirements, in the order of the file, without the Cog runtime's own packages.
    pub requirements: Vec<RequirementLine>,
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

/// Chooses every value that the file leaves open.
pub fn complete(loaded: &Loaded) -> Effective {
    let model = &loaded.model;
    let build = model.build.as_ref();
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
        python: build.map_or_else(default_python, |build| build.python_version.value.clone()),
        gpu: model.gpu(),
        system_packages,
        requirements: requirement_lines(loaded)
            .into_iter()
            .filter(|line| !is_runtime(line))
            .collect(),
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
        image: named.map_or_else(
            || image_name::of_folder(&loaded.root),
            |name| name.value.clone(),
        ),
    }
}

fn default_python() -> PythonVersion {
    PythonVersion::parse(PythonVersion::DEFAULT)
        .expect("the default version is written in this program, and valid")
}

/// Every requirement as it was read, from the requirements file or from `python_packages`.
pub(super) fn requirement_lines(loaded: &Loaded) -> Vec<RequirementLine> {
    if let Some(file) = &loaded.requirements {
        return requirements::lines(&file.text, &file.path);
    }
    let packages = loaded
        .model
        .build
        .iter()
        .flat_map(|build| &build.python_packages);
    let lines = packages.flat_map(|package| {
        requirements::lines(&package.value, &loaded.file_name)
            .into_iter()
            .map(|line| RequirementLine {
                // The item says where it is; lines inside an item have no place of their own.
                line: package.position.line,
                column: package.position.column,
                ..line
            })
    });
    lines.collect()
}

/// Lines that ask for the Cog runtime itself: `sdk_version` decides about that.
pub(super) fn ignored_requirements(loaded: &Loaded) -> Vec<Finding> {
    let lines = requirement_lines(loaded).into_iter().filter(is_runtime);
    lines
        .map(|line| Finding {
            position: Some(line.position()),
            key: String::new(),
            reason: Reason::RuntimeRequirement { line: line.text },
            file: line.file,
        })
        .collect()
}

fn is_runtime(line: &RequirementLine) -> bool {
    matches!(line.package().as_deref(), Some("cog" | "coglet"))
}
