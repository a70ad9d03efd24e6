//! What is known about an image: before it is built (a plan) and afterwards (a record).

use std::collections::BTreeMap;

use cognix_derivations::{Sha256, StorePath};
use cognix_store::realise::plan::Action;
use cognix_store::{Realised, Store, realise};
use serde::Serialize;

use super::{PipelineError, Project, without_bytecode};
use crate::builtins::image::{CONFIG_FILE, LAYERS_FILE, LayerSummary, MANIFEST_FILE};
use crate::builtins::system::SCRIPTS_FILE;
pub use crate::builtins::system::Scripts;
use crate::layers::Entry;
use crate::layers::LayerDescription;
use crate::lock::Architecture;
use crate::recipes::{Held, Instantiated};
use crate::spec::DEFAULT_VARIANT;

/// A finished image in the store.
#[derive(Debug, Clone)]
pub struct ImageRecord {
    /// The output that holds configuration, manifest and the list of layers.
    pub out_path: StorePath,
    /// The digest of the manifest, as `sha256:…`: the image's identity.
    pub digest: String,
    /// The manifest's media type.
    pub media_type: String,
    /// The manifest's size in bytes.
    pub size: u64,
    /// The digest of the configuration, as `sha256:…`.
    pub config_digest: String,
    /// The layers from bottom to top.
    pub layers: Vec<ImageLayer>,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// The configuration.
    pub config: Vec<u8>,
}

/// One layer of a finished image.
pub type ImageLayer = LayerSummary;

impl ImageRecord {
    /// Reads the image that an output holds.
    pub fn read(store: &Store, out_path: &StorePath) -> Result<Self, PipelineError> {
        let folder = store.real_path(out_path);
        let manifest = fs_err::read(folder.join(MANIFEST_FILE))?;
        let config = fs_err::read(folder.join(CONFIG_FILE))?;
        let layers = fs_err::read(folder.join(LAYERS_FILE))?;
        let layers: Vec<ImageLayer> =
            serde_json::from_slice(&layers).map_err(|error| PipelineError::Record {
                path: format!("{out_path}/{LAYERS_FILE}"),
                reason: error.to_string(),
            })?;
        Ok(Self {
            out_path: out_path.clone(),
            digest: format!("sha256:{}", Sha256::of(&manifest)),
            media_type: crate::image::MANIFEST_MEDIA_TYPE.to_owned(),
            size: manifest.len() as u64,
            config_digest: format!("sha256:{}", Sha256::of(&config)),
            layers,
            manifest,
            config,
        })
    }

    /// The size of everything a registry would hold.
    pub fn total_size(&self) -> u64 {
        let layers: u64 = self.layers.iter().map(|layer| layer.size).sum();
        layers + self.manifest.len() as u64 + self.config.len() as u64
    }
}

impl Project {
    /// Reads the image that was just realised and makes it a root, so that nothing it needs is ever swept away.
    pub fn record_image(
        &self,
        store: &Store,
        architecture: Architecture,
        instantiated: &Instantiated,
        realised: &Realised,
    ) -> Result<ImageRecord, PipelineError> {
        let key = (instantiated.image.clone(), "out".to_owned());
        let out_path = realised
            .outputs
            .get(&key)
            .ok_or_else(|| PipelineError::Record {
                path: instantiated.image.to_string(),
                reason: "it was not realised".to_owned(),
            })?;
        let name = root_name(self.image_name(), self.variant(), architecture);
        store.add_root(&name, out_path)?;
        ImageRecord::read(store, out_path)
    }
}

/// The image's name as one path component; a mark that no image's name has tells variants and platforms apart.
fn root_name(image: &str, variant: &str, architecture: Architecture) -> String {
    let platform = format!("+{}", architecture.debian());
    // Of a variant that is called as a platform is, the platform is always said.
    let is_platform = Architecture::ALL
        .iter()
        .any(|known| known.debian() == variant);
    let mut place = match variant {
        DEFAULT_VARIANT => String::new(),
        variant => format!("+{variant}"),
    };
    if architecture != Architecture::Amd64 || is_platform {
        place.push_str(&platform);
    }
    let name: String = image
        .chars()
        .map(|letter| {
            if matches!(letter, '/' | ':' | '@') {
                '-'
            } else {
                letter
            }
        })
        .collect();
    name + &place
}

/// What a build would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The version of this format.
    pub version: u32,
    /// The derivation of the image.
    pub drv_path: String,
    /// How many derivations the image stands on, itself included.
    pub derivations: usize,
    /// Of these, those whose outputs are there.
    pub cached: usize,
    /// Of these, those that would be built.
    pub build: usize,
    /// What would be fetched, in sum.
    pub fetch: FetchTotals,
    /// What would be fetched, each.
    pub downloads: Vec<Download>,
    /// The commands that change the image, in their order.
    pub steps: Vec<PlannedStep>,
    /// The layers from bottom to top.
    pub layers: Vec<PlannedLayer>,
    /// What they come to.
    pub totals: LayerTotals,
    /// What becomes of the packages' maintainer scripts. Not known before the packages were unpacked once.
    pub scripts: Option<Scripts>,
    /// Modules that have no bytecode, by package, with their reasons; of packages that were compiled here before.
    pub without_bytecode: BTreeMap<String, Vec<String>>,
}

/// The files a build would fetch.
#[derive(Debug, Serialize)]
pub struct FetchTotals {
    /// How many.
    pub files: usize,
    /// Their sizes together, as far as the lock knows them.
    pub bytes: u64,
}

/// One file that a build would fetch.
#[derive(Debug, Serialize)]
pub struct Download {
    /// The file's name.
    pub name: String,
    /// Its size in bytes, where the lock knows it.
    pub size: Option<u64>,
    /// Where it comes from, relative to a named source.
    pub url: String,
}

/// One command of `build.run`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// What it and its layer are called.
    pub name: String,
    /// What the shell runs.
    pub command: String,
    /// The derivation that runs it.
    pub drv_path: String,
    /// The secrets that it sees.
    pub secrets: Vec<String>,
    /// Whether the lock records what it makes, because it needs a network.
    pub recorded: bool,
    /// Whether it would be run.
    pub runs: bool,
}

/// One layer of the image to be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedLayer {
    /// The layer's name.
    pub name: String,
    /// The derivation of its description: the same one makes the same layer.
    pub drv_path: String,
    /// The kind of its content.
    pub group: &'static str,
    /// The packages in it, where it is made of packages.
    pub holds: Vec<Held>,
    /// The size of the files it is made from, which is all that is known before it is built.
    pub fetch_bytes: u64,
    /// The compressed size, where the layer was described before.
    pub size: Option<u64>,
    /// The size of the tar stream, where the layer was described before.
    pub uncompressed_size: Option<u64>,
    /// How many files and links it has, where the layer was described before.
    pub files: Option<usize>,
    /// The digest, where the layer was described before.
    pub digest: Option<String>,
}

/// What the layers of an image come to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerTotals {
    /// How many there may be.
    pub budget: u32,
    /// How many of them were described before; their sizes are real ones.
    pub described: usize,
    /// The compressed size of all layers: of those that were described, and of the files that the others are made from.
    pub bytes: u64,
}

/// Compares the derivations of an image with what is in the store.
pub fn plan(
    store: &Store,
    instantiated: &Instantiated,
    budget: u32,
) -> Result<Plan, PipelineError> {
    let graph = &instantiated.graph;
    let wanted = [(instantiated.image.clone(), "out".to_owned())];
    let planned = realise::plan(graph, &wanted, store)?;
    let mut downloads = Vec::new();
    for step in &planned.steps {
        if let Action::Fetch { urls, size } = &step.action {
            let url = urls.first().cloned().unwrap_or_default();
            downloads.push(Download {
                name: step.name.clone(),
                size: *size,
                url,
            });
        }
    }
    let build = planned.builds();
    downloads.sort_by(|one, other| one.name.cmp(&other.name));
    let fetch = FetchTotals {
        files: downloads.len(),
        bytes: downloads.iter().filter_map(|download| download.size).sum(),
    };
    let layers = planned_layers(store, instantiated)?;
    let steps = instantiated.steps.iter().map(|step| PlannedStep {
        name: step.name.clone(),
        command: step.command.clone(),
        drv_path: step.derivation.to_string(),
        secrets: step.secrets.iter().cloned().collect(),
        recorded: step.recorded,
        runs: planned
            .steps
            .iter()
            .any(|planned| planned.derivation == step.derivation),
    });
    Ok(Plan {
        steps: steps.collect(),
        version: 1,
        drv_path: instantiated.image.to_string(),
        derivations: planned.derivations,
        cached: planned.derivations - planned.steps.len(),
        build,
        fetch,
        downloads,
        totals: LayerTotals {
            budget,
            described: layers.iter().filter(|layer| layer.size.is_some()).count(),
            bytes: layers
                .iter()
                .map(|layer| layer.size.unwrap_or(layer.fetch_bytes))
                .sum(),
        },
        layers,
        scripts: scripts(store, instantiated)?,
        without_bytecode: without_bytecode(store, instantiated)?,
    })
}

/// What becomes of the packages' scripts, where that was worked out before.
pub fn scripts(
    store: &Store,
    instantiated: &Instantiated,
) -> Result<Option<Scripts>, PipelineError> {
    let Some(system) = &instantiated.system else {
        return Ok(None);
    };
    let control = known_output(store, instantiated, &system.configuration, "control")?;
    let Some(control) = control else {
        return Ok(None);
    };
    let text = fs_err::read(store.real_path(&control).join(SCRIPTS_FILE))?;
    let scripts = serde_json::from_slice(&text).map_err(|error| PipelineError::Record {
        path: format!("{control}/{SCRIPTS_FILE}"),
        reason: error.to_string(),
    })?;
    Ok(Some(scripts))
}

/// An output that is in the store.
pub(super) fn known_output(
    store: &Store,
    instantiated: &Instantiated,
    derivation: &StorePath,
    output: &str,
) -> Result<Option<StorePath>, PipelineError> {
    let id = instantiated.graph.realisation_id(derivation, output);
    let Some(path) = id.map(|id| store.realisation(&id)).transpose()?.flatten() else {
        return Ok(None);
    };
    Ok(store.is_valid(&path)?.then_some(path))
}

fn planned_layers(
    store: &Store,
    instantiated: &Instantiated,
) -> Result<Vec<PlannedLayer>, PipelineError> {
    let mut layers = Vec::new();
    for layer in &instantiated.layers {
        let fetch_bytes = layer
            .fetches
            .iter()
            .filter_map(|fetch| instantiated.downloads.get(fetch))
            .sum();
        let described = described(store, instantiated, &layer.derivation)?;
        if described.as_ref().is_some_and(LayerDescription::is_in_vain) {
            continue;
        }
        layers.push(PlannedLayer {
            name: layer.name.clone(),
            drv_path: layer.derivation.to_string(),
            group: layer.group,
            holds: layer.holds.clone(),
            fetch_bytes,
            size: described.as_ref().map(|description| description.size),
            uncompressed_size: described
                .as_ref()
                .map(|description| description.uncompressed_size),
            files: described.as_ref().map(|description| {
                let entries = description.entries.iter();
                let brought = |entry: &&Entry| !entry.is_directory() && !entry.is_removed();
                entries.filter(brought).count()
            }),
            digest: described.map(|description| description.digest.to_string()),
        });
    }
    Ok(layers)
}

fn described(
    store: &Store,
    instantiated: &Instantiated,
    derivation: &StorePath,
) -> Result<Option<LayerDescription>, PipelineError> {
    let Some(path) = known_output(store, instantiated, derivation, "out")? else {
        return Ok(None);
    };
    let text = fs_err::read(store.real_path(&path))?;
    let description = LayerDescription::parse(&text).map_err(|error| PipelineError::Record {
        path: path.to_string(),
        reason: error.to_string(),
    })?;
    Ok(Some(description))
}
