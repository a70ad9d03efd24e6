//! `builtin:cognix-image-1`: layer descriptions and a configuration become an image.
//!
//! The output is a folder of three small files: `config.json` and `manifest.json`, the bytes that a registry would hold,
//! and `layers.json`, which says where the description of each layer is. The layers' own bytes are not stored: they are
//! made again from what the descriptions refer to. Before anything is written, the layers are checked against each
//! other: no path in two of them, but for what layers of changes do to those below.

use cognix_derivations::StorePath;
use cognix_store::{BuildError, BuildRequest, Builder};
use serde::{Deserialize, Serialize};

use crate::image::{self, Platform, RuntimeConfig};
use crate::layers::{self, LayerDescription, StackError, Timestamp};
use crate::lock::Architecture;
use crate::recipes::Runtime;

/// The image's configuration, as a registry holds it.
pub const CONFIG_FILE: &str = "config.json";
/// The image's manifest, as a registry holds it.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The list of layers with their descriptions.
pub const LAYERS_FILE: &str = "layers.json";

/// One line of the list of layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LayerSummary {
    /// Where the full description is.
    pub description: StorePath,
    /// `sha256:…` of the uncompressed bytes.
    pub diff_id: String,
    /// `sha256:…` of the compressed bytes.
    pub digest: String,
    /// The media type of the compressed bytes.
    pub media_type: String,
    /// The layer's name.
    pub name: String,
    /// How the compressed bytes are made.
    pub recipe: String,
    /// The compressed size in bytes.
    pub size: u64,
    /// The store paths that it is made of.
    pub store_paths: Vec<StorePath>,
}

/// The builder.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImageBuilder;

impl Builder for ImageBuilder {
    fn name(&self) -> &str {
        "builtin:cognix-image-1"
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        let runtime: Runtime = request.json("runtime")?;
        let paths: Vec<StorePath> = request.json("layers")?;
        let layers = paths
            .into_iter()
            .map(|path| Ok((read(request, &path)?, path)))
            .collect::<Result<Vec<_>, BuildError>>()?;
        // Where a program was run in vain there is no layer.
        let layers = layers.into_iter().filter(|(layer, _)| !layer.is_in_vain());
        let (descriptions, paths): (Vec<_>, Vec<_>) = layers.unzip();
        let locate = |path: &StorePath| request.store.real_path(path);
        layers::stack_check(&descriptions).map_err(|error| match error {
            StackError::Conflict(conflict) => {
                BuildError::failed(conflict.with_packages(&descriptions, &locate))
            }
            absent => BuildError::failed(absent),
        })?;
        layers::omission_check(&descriptions).map_err(BuildError::failed)?;
        let image = image::assemble(&runtime_config(runtime)?, &descriptions)
            .map_err(BuildError::failed)?;
        let summaries: Vec<_> = paths
            .into_iter()
            .zip(&descriptions)
            .map(|(path, layer)| summary(path, layer))
            .collect();
        let mut list = serde_json::to_vec(&summaries).map_err(BuildError::failed)?;
        list.push(b'\n');
        let folder = request.output("out")?;
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(|source| BuildError::Io { path, source })
        };
        std::fs::create_dir(folder).map_err(|source| BuildError::Io {
            path: folder.to_owned(),
            source,
        })?;
        write(CONFIG_FILE, image.config())?;
        write(MANIFEST_FILE, image.manifest())?;
        write(LAYERS_FILE, &list)
    }
}

fn read(request: &BuildRequest<'_>, path: &StorePath) -> Result<LayerDescription, BuildError> {
    let file = request.input(path)?;
    let text = std::fs::read(&file).map_err(|source| BuildError::Io { path: file, source })?;
    LayerDescription::parse(&text).map_err(BuildError::failed)
}

fn summary(description: StorePath, layer: &LayerDescription) -> LayerSummary {
    LayerSummary {
        description,
        diff_id: layer.diff_id.to_string(),
        digest: layer.digest.to_string(),
        media_type: layer.media_type().to_owned(),
        name: layer.name.clone(),
        recipe: layer.recipe.to_string(),
        size: layer.size,
        store_paths: layer.store_paths().into_iter().cloned().collect(),
    }
}

fn runtime_config(runtime: Runtime) -> Result<RuntimeConfig, BuildError> {
    let created = runtime.created.map(Timestamp::new).transpose();
    let created = created.map_err(|error| BuildError::Attribute {
        name: "runtime".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(RuntimeConfig {
        env: runtime.env,
        entrypoint: runtime.entrypoint,
        cmd: runtime.cmd,
        working_dir: runtime.working_dir,
        exposed_ports: runtime
            .ports
            .into_iter()
            .map(|port| format!("{port}/tcp"))
            .collect(),
        labels: runtime.labels,
        annotations: runtime.annotations,
        created: created.unwrap_or_default(),
        platform: match runtime.architecture {
            Architecture::Amd64 => Platform::Amd64,
            Architecture::Arm64 => Platform::Arm64,
        },
    })
}
