//! What Cog writes on an image.
//!
//! Labels that would depend on the checkout rather than on what is in the image (`org.opencontainers.image.revision`
//! and `.version`, which Cog takes from git) are written on request only: the same files must give the same digest.

use std::collections::BTreeMap;

use crate::lock::python::WheelOrigin;
use crate::lock::{LockedPlatform, LockedWheel};

/// The version of Cog whose behaviour the image follows.
pub const COG_VERSION: &str = "0.22.0";

/// The labels of an image; `config` is the completed configuration as compact JSON.
pub fn labels(lock: LockedPlatform<'_>, config: String) -> BTreeMap<String, String> {
    let labels = [
        ("run.cog.version", COG_VERSION.to_owned()),
        ("run.cog.config", config),
        // Empty, as Cog leaves it when the schema was not made: the server then accepts any input.
        ("run.cog.openapi_schema", String::new()),
        ("run.cog.pip_freeze", pip_freeze(lock)),
        ("run.cog.has_init", "true".to_owned()),
    ];
    labels
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// What the manifest says besides the labels; `name` is the one that the model gives its image.
pub fn annotations(name: Option<&str>) -> BTreeMap<String, String> {
    let title = name.map(title).filter(|title| !title.is_empty());
    title
        .map(|title| {
            (
                "org.opencontainers.image.title".to_owned(),
                title.to_owned(),
            )
        })
        .into_iter()
        .collect()
}

/// The last part of a name, without tag and digest.
fn title(name: &str) -> &str {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(['@', ':']).next().unwrap_or(last)
}

/// What `python -m pip freeze` prints of these packages: names as each spells its own, in the order of their lower-case
/// letters; a wheel that came from no index with where it came from, and its digest. pip is not part of its own list.
fn pip_freeze(lock: LockedPlatform<'_>) -> String {
    let wheels = lock.python.packages.iter();
    let mut lines: Vec<(String, String)> = wheels
        .filter(|wheel| !unlisted(&lock.request.python).contains(&wheel.name.as_str()))
        .map(|wheel| {
            let name = wheel.spelling.as_deref().unwrap_or(&wheel.name);
            (name.to_lowercase(), frozen(name, wheel))
        })
        .collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

fn frozen(name: &str, wheel: &LockedWheel) -> String {
    let digest = wheel.sha256;
    match &wheel.origin {
        WheelOrigin::Index { .. } => format!("{name}=={}", wheel.version),
        // Where it is in the image, as the model's files are.
        WheelOrigin::Project { path } => format!("{name} @ file:///src/{path}#sha256={digest}"),
        WheelOrigin::Folder { path } => format!("{name} @ file:///src/{path}"),
        WheelOrigin::Git(address) => format!("{name} @ {address}"),
        WheelOrigin::Url { url } => {
            let url = url.split('#').next().unwrap_or(url);
            format!("{name} @ {url}#sha256={digest}")
        }
    }
}

/// What pip leaves out: itself, and on Pythons that came with them the packages that install others.
fn unlisted(python: &str) -> &'static [&'static str] {
    match python {
        "3.10" | "3.11" => &["distribute", "pip", "setuptools", "wheel"],
        _ => &["pip"],
    }
}
