//! A configuration as JSON: what `cognix config` prints, and what Cog writes into an image's label.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::complete::Effective;
use super::finding::{ConfigErrors, Finding};
use super::frameworks::Framework;
use super::load::Loaded;
use super::model::{Model, RunCommand, SecretMount, Weight, WeightSource};
use super::position::Spanned;
use super::reference::Reference;
use super::requirements::{Install, RequirementLine};

/// The version of both objects below.
const VERSION: u32 = 1;

/// What `cognix config --format json` prints for a valid configuration.
#[derive(Debug, Serialize)]
pub struct Report<'l> {
    version: u32,
    python_version: &'l str,
    gpu: bool,
    cuda: Option<&'l str>,
    cudnn: Option<&'l str>,
    /// The tag of NVIDIA's image that Cog would build on.
    cuda_image: Option<&'l str>,
    torch: Option<&'l str>,
    tensorflow: Option<&'l str>,
    system_packages: Vec<String>,
    /// Requirements as they were read.
    python_packages: &'l [String],
    install: InstallReport<'l>,
    run: Option<&'l str>,
    /// The same as `run`, under its old name.
    predict: Option<&'l str>,
    train: Option<&'l str>,
    environment: &'l BTreeMap<String, String>,
    image: &'l str,
    concurrency: Option<u32>,
    warnings: &'l [Finding],
    /// What keeps an image from being built.
    unsupported: &'l [Finding],
}

/// What is handed to the resolver.
#[derive(Debug, Serialize)]
struct InstallReport<'l> {
    index: Option<&'l str>,
    extra_indexes: &'l [String],
    find_links: &'l [String],
    no_index: bool,
    prerelease: bool,
    requirements: Vec<&'l str>,
    constraints: Vec<&'l str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overrides: Vec<&'l str>,
    /// The lock whose versions hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<&'l str>,
}

impl<'l> InstallReport<'l> {
    fn new(install: &'l Install) -> Self {
        fn texts(lines: &[RequirementLine]) -> Vec<&str> {
            lines.iter().map(|line| line.text.as_str()).collect()
        }
        Self {
            index: install.options.index.as_deref(),
            extra_indexes: &install.options.extra_indexes,
            find_links: &install.options.find_links,
            no_index: install.options.no_index,
            prerelease: install.options.prerelease,
            requirements: texts(&install.requirements),
            constraints: texts(&install.constraints),
            overrides: texts(&install.overrides),
            lock: install
                .project
                .as_ref()
                .and_then(|project| project.lock.as_deref()),
        }
    }
}

impl Loaded {
    /// The configuration for people and programs to read.
    pub fn report(&self) -> Report<'_> {
        let effective = &self.effective;
        let frameworks = &effective.frameworks;
        fn version(framework: &Option<Framework>) -> Option<&str> {
            framework
                .as_ref()
                .map(|framework| framework.version.as_str())
        }
        fn text(reference: &Option<Reference>) -> Option<&str> {
            reference.as_ref().map(|reference| reference.text.as_str())
        }
        Report {
            version: VERSION,
            python_version: &effective.python.text,
            gpu: effective.gpu,
            cuda: frameworks.cuda.as_deref(),
            cudnn: frameworks.cudnn.as_deref(),
            cuda_image: frameworks.cuda_image.as_deref(),
            torch: version(&frameworks.torch),
            tensorflow: version(&frameworks.tensorflow),
            system_packages: values(&effective.system_packages),
            python_packages: &self.python_packages,
            install: InstallReport::new(&effective.install),
            run: text(&effective.run),
            predict: text(&effective.run),
            train: text(&effective.train),
            environment: &effective.environment,
            image: &effective.image,
            concurrency: effective.concurrency,
            warnings: &self.warnings,
            unsupported: &self.unsupported,
        }
    }

    /// The completed configuration as Cog writes it into the label `run.cog.config`: compact, `run` under its old name.
    pub fn label(&self) -> String {
        let label = Label::new(&self.model, &self.effective);
        serde_json::to_string(&label).expect("texts, numbers and lists are always JSON")
    }
}

/// `{version, errors, warnings}`.
impl Serialize for ConfigErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("version", &VERSION)?;
        map.serialize_entry("errors", &self.errors)?;
        map.serialize_entry("warnings", &self.warnings)?;
        map.end()
    }
}

/// Cog's own shape of a configuration; what is empty is left out, as there.
#[derive(Serialize)]
struct Label {
    build: LabelBuild,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predict: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<LabelConcurrency>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environment: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    weights: Vec<LabelWeight>,
}

#[derive(Serialize)]
struct LabelConcurrency {
    max: u32,
}

#[derive(Serialize, Default)]
struct LabelBuild {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gpu: bool,
    python_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    python_requirements: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    python_packages: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    run: Vec<LabelCommand>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system_packages: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pre_install: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cuda: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cudnn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdk_version: Option<String>,
}

#[derive(Serialize)]
struct LabelCommand {
    command: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<LabelMount>,
}

#[derive(Serialize)]
struct LabelMount {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    target: String,
}

#[derive(Serialize)]
struct LabelWeight {
    name: String,
    target: String,
    source: LabelSources,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LabelSources {
    One(LabelSource),
    Several(Vec<LabelSource>),
}

#[derive(Serialize)]
struct LabelSource {
    uri: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exclude: Vec<String>,
}

impl Label {
    fn new(model: &Model, effective: &Effective) -> Self {
        let text =
            |value: &Option<Spanned<String>>| value.as_ref().map(|value| value.value.clone());
        let reference = |value: &Option<Reference>| value.as_ref().map(|value| value.text.clone());
        let build = model
            .build
            .as_ref()
            .map_or_else(LabelBuild::default, |build| LabelBuild {
                gpu: effective.gpu,
                python_version: String::new(),
                python_requirements: text(&build.python_requirements),
                python_packages: values(&build.python_packages),
                run: build.run.iter().map(LabelCommand::new).collect(),
                system_packages: values(&build.system_packages),
                pre_install: values(&build.pre_install),
                cuda: effective.frameworks.cuda.clone(),
                cudnn: effective.frameworks.cudnn.clone(),
                sdk_version: build
                    .sdk_version
                    .as_ref()
                    .map(|version| version.to_string()),
            });
        Self {
            build: LabelBuild {
                python_version: effective.python.text.clone(),
                ..build
            },
            image: text(&model.image),
            model: text(&model.model),
            predict: reference(&effective.run),
            train: reference(&effective.train),
            concurrency: effective.concurrency.map(|max| LabelConcurrency { max }),
            environment: model
                .environment
                .iter()
                .map(|entry| format!("{}={}", entry.name, entry.value.value))
                .collect(),
            weights: model.weights.iter().map(LabelWeight::new).collect(),
        }
    }
}

impl LabelCommand {
    fn new(command: &Spanned<RunCommand>) -> Self {
        let mount = |mount: &SecretMount| LabelMount {
            kind: "secret",
            id: mount.id.value.clone(),
            target: mount.target.value.clone(),
        };
        Self {
            command: command.command.clone(),
            mounts: command.mounts.iter().map(mount).collect(),
        }
    }
}

impl LabelWeight {
    fn new(weight: &Weight) -> Self {
        let source = |source: &WeightSource| LabelSource {
            uri: source.uri.value.clone(),
            include: values(&source.include),
            exclude: values(&source.exclude),
        };
        let source = match weight.sources.as_slice() {
            [one] => LabelSources::One(source(one)),
            several => LabelSources::Several(several.iter().map(source).collect()),
        };
        Self {
            name: weight.name.value.clone(),
            target: weight.target.value.clone(),
            source,
        }
    }
}

fn values(list: &[Spanned<String>]) -> Vec<String> {
    list.iter().map(|item| item.value.clone()).collect()
}
