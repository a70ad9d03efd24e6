//! What the image runs with: the Cog SDK as a requirement, environment, command and port as Cog sets them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lock::Architecture;

/// The oldest SDK that an image may have, as in Cog.
pub const MINIMUM_SDK: &str = "0.16.0";

/// Programs of the virtual environment first, then the places of every Debian system.
const PATH: &str = "/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// 1980-01-01, the time of every file in an image unless somebody asks for another: what a command makes stays the same
/// then.
const SOURCE_DATE_EPOCH: &str = "315532800";

/// Where the CUDA driver's libraries appear when a container gets a GPU. Cog starts the list with an empty entry,
/// which means the working directory; that entry is left out here. Cog also knows x86 only.
fn library_path(architecture: Architecture) -> String {
    format!(
        "/usr/lib/{}:/usr/local/nvidia/lib64:/usr/local/nvidia/bin",
        architecture.triplet()
    )
}

/// The part of an image's configuration that does not come from its layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// What the manifest says besides the labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The machine that the image is for.
    #[serde(rename = "platform")]
    pub architecture: Architecture,
    /// The command's words.
    pub cmd: Vec<String>,
    /// When the image was made and its files were last changed, in seconds since 1970; none for 1980-01-01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// The program that runs the command.
    pub entrypoint: Vec<String>,
    /// Environment variables in order.
    pub env: Vec<(String, String)>,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// TCP ports that the command listens on.
    pub ports: Vec<u16>,
    /// The working directory.
    #[serde(rename = "workingDir")]
    pub working_dir: String,
}

/// What a model decides about its run time.
#[derive(Debug, Clone, Default)]
pub struct ModelSettings {
    /// The machine that the image is for.
    pub architecture: Architecture,
    /// The image's Python, where somebody chose a coglet wheel as the SDK: Cog then says so in the environment.
    pub coglet_python: Option<String>,
    /// `file.py:Name` of the runner.
    pub predict: Option<String>,
    /// `file.py:Name` of the trainer.
    pub train: Option<String>,
    /// How many predictions may run at once.
    pub max_concurrency: Option<u32>,
    /// The model's own variables, in order.
    pub environment: Vec<(String, String)>,
}

/// What every image has in its environment, before a model adds to it.
fn fixed_environment(architecture: Architecture) -> Vec<(String, String)> {
    let library_path = library_path(architecture);
    let fixed = [
        ("PATH", PATH),
        ("LANG", "C.UTF-8"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("PYTHONUNBUFFERED", "1"),
        ("LD_LIBRARY_PATH", &library_path),
        ("NVIDIA_DRIVER_CAPABILITIES", "all"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    fixed.into_iter().map(owned).collect()
}

/// What commands of `build.run` find in their environment: what Cog has set by then, and the time that programs take for
/// that of the build. What the image says about its runner comes later.
pub fn step_environment(settings: &ModelSettings) -> BTreeMap<String, String> {
    // What Python compiles by the way would be compared with times that are others in an image.
    let always = [
        ("HOME", "/root"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH),
    ];
    let always = always.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut environment: BTreeMap<_, _> = always.into();
    environment.extend(fixed_environment(settings.architecture));
    environment.extend(settings.environment.iter().cloned());
    environment
}

/// What an image of this model runs with.
pub fn runtime(settings: &ModelSettings, labels: BTreeMap<String, String>) -> Runtime {
    let mut env = fixed_environment(settings.architecture);
    let concurrency = settings.max_concurrency.map(|max| max.to_string());
    let coglet = settings.coglet_python.as_ref().map(|_| "coglet".to_owned());
    let model = [
        ("COG_PREDICT_TYPE_STUB", settings.predict.as_ref()),
        ("COG_TRAIN_TYPE_STUB", settings.train.as_ref()),
        ("COG_MAX_CONCURRENCY", concurrency.as_ref()),
        ("R8_COG_VERSION", coglet.as_ref()),
        ("R8_PYTHON_VERSION", settings.coglet_python.as_ref()),
    ];
    env.extend(
        model
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.clone()))),
    );
    // A model's variable replaces an image's of the same name: two entries would leave the choice to the runtime.
    env.retain(|(name, _)| settings.environment.iter().all(|(own, _)| own != name));
    env.extend(settings.environment.iter().cloned());
    Runtime {
        annotations: BTreeMap::new(),
        architecture: settings.architecture,
        created: None,
        cmd: ["python", "-m", "cog.server.http"]
            .map(str::to_owned)
            .to_vec(),
        entrypoint: ["/sbin/tini", "--"].map(str::to_owned).to_vec(),
        env,
        labels,
        ports: vec![5000],
        working_dir: "/src".to_owned(),
    }
}
