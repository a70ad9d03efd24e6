//! Reads an image's texts again: whether they belong together, and what the image runs with.

use std::collections::BTreeMap;

use cognix_derivations::Sha256;
use serde::Deserialize;

use super::{ImageError, Platform};
use crate::layers::description::{DiffId, LayerDescription, LayerDigest};

/// How the process of an image is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// `NAME=VALUE`.
    pub env: Vec<String>,
    /// The program that is always started.
    pub entrypoint: Vec<String>,
    /// What it is started with, unless somebody says otherwise.
    pub cmd: Vec<String>,
    /// Where it is started.
    pub working_dir: String,
    /// What the image says about itself.
    pub labels: BTreeMap<String, String>,
}

/// What an image runs with, from the text of its configuration.
pub fn runtime_of(config: &[u8]) -> Result<Process, ImageError> {
    let process = parse::<ConfigText>("configuration", config)?.config;
    Ok(Process {
        env: process.env.unwrap_or_default(),
        entrypoint: process.entrypoint.unwrap_or_default(),
        cmd: process.cmd.unwrap_or_default(),
        working_dir: process.working_dir.unwrap_or_default(),
        labels: process.labels.unwrap_or_default(),
    })
}

/// The manifest names the configuration and the layers, the configuration the layers' diff ids, and nothing else. Returns
/// the platform that the configuration names.
pub(super) fn check(
    config: &[u8],
    manifest: &[u8],
    layers: &[LayerDescription],
) -> Result<Platform, ImageError> {
    let manifest: ManifestText = parse("manifest", manifest)?;
    let text = parse::<ConfigText>("configuration", config)?;
    let diff_ids = text.rootfs.diff_ids;
    let platform = Platform::of_config(&text.os, &text.architecture);
    let expected = Descriptor {
        digest: LayerDigest(Sha256::of(config)),
        size: config.len() as u64,
    };
    let fault = if manifest.config != expected {
        Some(format!(
            "the manifest names configuration {}",
            manifest.config.digest
        ))
    } else if manifest.layers.len() != layers.len() || diff_ids.len() != layers.len() {
        Some(format!(
            "{} layers in the manifest, {} in the configuration, {} descriptions",
            manifest.layers.len(),
            diff_ids.len(),
            layers.len()
        ))
    } else {
        let named = manifest.layers.into_iter().zip(diff_ids);
        layers
            .iter()
            .zip(named)
            .find_map(|(layer, (named, diff_id))| {
                let described = Descriptor {
                    digest: layer.digest,
                    size: layer.size,
                };
                let fits = named == described && diff_id == layer.diff_id;
                (!fits).then(|| format!("the image has another layer in place of {}", layer.name))
            })
    };
    match (fault, platform) {
        (None, Some(platform)) => Ok(platform),
        (Some(reason), _) => Err(ImageError::Parts { reason }),
        (None, None) => Err(ImageError::Parts {
            reason: format!("no image is for {}/{}", text.os, text.architecture),
        }),
    }
}

fn parse<'a, T: Deserialize<'a>>(what: &str, text: &'a [u8]) -> Result<T, ImageError> {
    serde_json::from_slice(text).map_err(|error| ImageError::Parts {
        reason: format!("the {what} cannot be read: {error}"),
    })
}

#[derive(Deserialize)]
struct ManifestText {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize, PartialEq)]
struct Descriptor {
    digest: LayerDigest,
    size: u64,
}

#[derive(Deserialize)]
struct ConfigText {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    config: ProcessText,
    #[serde(default)]
    os: String,
    rootfs: RootFsText,
}

#[derive(Deserialize)]
struct RootFsText {
    diff_ids: Vec<DiffId>,
}

/// Engines write `null` for what is not there.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ProcessText {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}
