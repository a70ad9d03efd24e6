//! What one image of several changes of a configuration, before it is completed.
//!
//! The changes are applied to the model, so that the tables of CUDA and frameworks work as if the configuration itself said
//! it. What they say has no line here: messages name the key instead, as in `images.cuda.python`.

use std::collections::{BTreeMap, BTreeSet};

use super::cuda::CudaVersion;
use super::environment;
use super::finding::Finding;
use super::model::{Build, Model};
use super::parse::Draft;
use super::position::{Position, Spanned};
use super::python::{CONCURRENCY_MINIMUM, PythonVersion};
use super::reason::Reason;
use super::requirements::{self, Install, Project, RequirementLine, Requirements};

/// Changes of a configuration; what is absent or empty changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adjustments {
    /// The file that they stand in.
    pub file: String,
    /// What they are called there: `images.cuda`.
    pub place: String,
    /// The Python of the image.
    pub python: Option<String>,
    /// Requirements: one about a package that the configuration's requirements name replaces those, others are added.
    pub packages: Vec<String>,
    /// Further Debian packages.
    pub system_packages: Vec<String>,
    /// Whether a GPU is asked for.
    pub gpu: Option<bool>,
    /// The version of CUDA.
    pub cuda: Option<String>,
    /// The major version of cuDNN.
    pub cudnn: Option<String>,
    /// The version of torch.
    pub torch: Option<String>,
    /// Versions of packages that count where a requirement names the package, by normalised name.
    pub pins: BTreeMap<String, String>,
    /// Variables of the image, over those of the configuration.
    pub environment: BTreeMap<String, String>,
}

/// The keys, in the order of the columns that stand for them: what was adjusted has the line 0.
const KEYS: [&str; 8] = [
    "python",
    "packages",
    "systemPackages",
    "gpu",
    "cuda",
    "cudnn",
    "torch.version",
    "environment",
];
/// The first column that stands for a pin.
const PINS: u32 = 100;

/// The place that stands for a key.
fn at(key: &str) -> Position {
    let column = KEYS.iter().position(|known| *known == key);
    let column = column.and_then(|column| u32::try_from(column).ok());
    Position {
        line: 0,
        column: column.expect("only keys of the list are adjusted"),
    }
}

impl Adjustments {
    /// Changes what was read of a configuration without mistakes.
    pub(super) fn apply(
        &self,
        draft: &mut Draft,
        requirements: &mut Requirements,
        project: &Project,
    ) {
        let model = &mut draft.model;
        let mut errors = Vec::new();
        let mut wrong = |key: &str, reason| {
            errors.push(Finding {
                file: self.file.clone(),
                position: Some(at(key)),
                key: String::new(),
                reason,
            });
        };
        if self.changes_build() {
            let build = model.build.get_or_insert_with(empty_build);
            if let Some(gpu) = self.gpu {
                build.gpu = Some(Spanned::new(gpu, at("gpu")));
            }
            if let Some(text) = &self.python {
                match PythonVersion::parse(text) {
                    Ok(python) => build.python_version = Spanned::new(python, at("python")),
                    Err(reason) => wrong("python", reason),
                }
            }
            if let Some(text) = &self.cuda {
                let gpu = build.gpu.as_ref().is_some_and(|gpu| gpu.value);
                match CudaVersion::parse(text, gpu) {
                    Ok(cuda) => build.cuda = Some(Spanned::new(cuda, at("cuda"))),
                    Err(reason) => wrong("cuda", reason),
                }
            }
            if let Some(text) = &self.cudnn {
                build.cudnn = Some(Spanned::new(text.clone(), at("cudnn")));
            }
            let added = self.system_packages.iter();
            let added = added.map(|name| Spanned::new(name.clone(), at("systemPackages")));
            build.system_packages.extend(added);
        }
        for (name, value) in &self.environment {
            match environment::parse(&format!("{name}={value}")) {
                Ok(variable) => {
                    let variable = Spanned::new(variable, at("environment"));
                    let known = model.environment.iter_mut();
                    match { known }.find(|known| known.value.name == *name) {
                        Some(known) => *known = variable,
                        None => model.environment.push(variable),
                    }
                }
                Err(reason) => wrong("environment", reason),
            }
        }
        if let Some(reason) = self.concurrency(model) {
            wrong("python", reason);
        }
        draft.errors.append(&mut errors);
        self.require(requirements, project);
    }

    fn changes_build(&self) -> bool {
        let texts = [&self.python, &self.cuda, &self.cudnn];
        self.gpu.is_some()
            || texts.iter().any(|text| text.is_some())
            || !self.system_packages.is_empty()
    }

    /// A Python that is too old for what the configuration asks of it.
    fn concurrency(&self, model: &Model) -> Option<Reason> {
        self.python.as_ref()?;
        let python = &model.build.as_ref()?.python_version.value;
        let too_old =
            model.concurrency.as_ref()?.value > 1 && python.numbers() < CONCURRENCY_MINIMUM;
        too_old.then(|| Reason::ConcurrencyPython {
            python: python.text.clone(),
        })
    }

    /// Puts requirements in place of others.
    fn require(&self, requirements: &mut Requirements, project: &Project) {
        let spanned = |text: &String, key: &str| Spanned::new(text.clone(), at(key));
        let packages = self.packages.iter().map(|text| spanned(text, "packages"));
        let torch = self.torch.iter();
        let torch = torch.map(|version| spanned(&format!("torch=={version}"), "torch.version"));
        let lines: Vec<_> = packages.chain(torch).collect();
        merge(
            requirements,
            requirements::from_list(project, &lines, &self.file),
        );
        let pins = (PINS..).zip(&self.pins).filter(|(_, (name, _))| {
            let mut lines = requirements.install.requirements.iter();
            lines.any(|line| line.name.as_ref() == Some(*name))
        });
        let pins = pins.map(|(column, (name, version))| {
            let position = Position { line: 0, column };
            Spanned::new(format!("{name}=={version}"), position)
        });
        let pins: Vec<_> = pins.collect();
        merge(
            requirements,
            requirements::from_list(project, &pins, &self.file),
        );
    }

    /// Gives a finding about something adjusted its key in place of a line.
    pub(super) fn relocate(&self, finding: &mut Finding) {
        let Some(Position { line: 0, column }) = finding.position else {
            return;
        };
        let pin = column.checked_sub(PINS).and_then(|pin| {
            let pin = usize::try_from(pin).ok()?;
            self.pins.keys().nth(pin)
        });
        let key = KEYS.get(usize::try_from(column).unwrap_or(usize::MAX));
        finding.file.clone_from(&self.file);
        finding.position = None;
        finding.key = match (pin, key) {
            (Some(package), _) => format!("overrides.{package}"),
            (None, Some(key)) => format!("{}.{key}", self.place),
            (None, None) => self.place.clone(),
        };
    }
}

/// What a configuration without the section comes to.
fn empty_build() -> Build {
    let python = PythonVersion::parse(PythonVersion::DEFAULT)
        .expect("the default version is written in this program, and valid");
    Build {
        gpu: None,
        python_version: Spanned::new(python, Position::START),
        python_requirements: None,
        python_packages: Vec::new(),
        system_packages: Vec::new(),
        run: Vec::new(),
        pre_install: Vec::new(),
        cuda: None,
        cudnn: None,
        sdk_version: None,
    }
}

/// Adds requirements; those about packages that others are about take their place.
fn merge(into: &mut Requirements, added: Requirements) {
    into.errors.extend(added.errors);
    into.warnings.extend(added.warnings);
    into.refusals.extend(added.refusals);
    let Install {
        requirements,
        constraints,
        overrides,
        options,
        project,
    } = added.install;
    let install = &mut into.install;
    let names: BTreeSet<String> = requirements
        .iter()
        .filter_map(|line| line.name.clone())
        .collect();
    for name in names {
        let about = |line: &RequirementLine| line.name.as_ref() == Some(&name);
        let place = install.requirements.iter().position(about);
        let place = place.unwrap_or(install.requirements.len());
        install.requirements.retain(|line| !about(line));
        let own = requirements.iter().filter(|line| about(line)).cloned();
        install.requirements.splice(place..place, own);
    }
    let unnamed = requirements.into_iter().filter(|line| line.name.is_none());
    install.requirements.extend(unnamed);
    install.constraints.extend(constraints);
    install.overrides.extend(overrides);
    install.project = project.or(install.project.take());
    install.options.no_binary.extend(options.no_binary);
    install.options.indexes.extend(options.indexes);
    for url in options.extra_indexes {
        if !install.options.extra_indexes.contains(&url) {
            install.options.extra_indexes.push(url);
        }
    }
    install.options.find_links.extend(options.find_links);
    install.options.index = options.index.or(install.options.index.take());
    install.options.no_index |= options.no_index;
    install.options.prerelease |= options.prerelease;
}
