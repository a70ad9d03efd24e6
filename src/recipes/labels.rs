//! What Cog writes on an image.
//!
//! Labels that would depend on the checkout rather than on what is in the image (`org.opencontainers.image.revision`
//! and `.version`, which Cog takes from git) are left out: the same files must give the same digest.

use std::collections::BTreeMap;

use crate::lock::LockedPlatform;

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

/// What `pip freeze` would print in the image, with names in their normalised form.
fn pip_freeze(lock: LockedPlatform<'_>) -> String {
    lock.python
        .packages
        .iter()
        .map(|wheel| format!("{}=={}\n", wheel.name, wheel.version))
        .collect()
}
