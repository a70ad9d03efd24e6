//! From layers to an image: configuration, manifest, index, and how they lie on disk.
//!
//! [`assemble`] is pure: what an image runs with and the descriptions of its layers give the bytes of its configuration and
//! its manifest, and so its digest, before any layer has bytes. [`write()`] puts an image where people want it: a layout
//! folder or one of two archives. Layer bytes come from the caller, are verified while they pass, and stay nowhere else.
//!
//! Every JSON text is canonical: keys sorted, no blanks. Times are those of the layers' entries.
//! What the image runs with is decided elsewhere; pushing to a registry is another room.

mod archive;
mod canonical;
mod destination;
mod error;
mod index;
mod layer;
mod layout;
mod parts;
mod platform;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cognix_derivations::Sha256;
use oci_spec::image::{
    ANNOTATION_CREATED, ConfigBuilder, Descriptor, DescriptorBuilder, Digest, HistoryBuilder,
    ImageConfiguration, ImageConfigurationBuilder, ImageManifest, ImageManifestBuilder, MediaType,
    Os, RootFsBuilder, Sha256Digest,
};
use serde::{Deserialize, Serialize};

use crate::layers::Timestamp;
use crate::layers::description::LayerDescription;

pub use destination::{Destination, DestinationError};
pub use error::ImageError;
pub use index::{INDEX_MEDIA_TYPE, ImageIndex, Named};
pub use layer::LayerBytes;
pub use parts::{Process, runtime_of};
pub use platform::{Platform, UnknownPlatform};

/// The media type of an image's manifest.
pub const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// What an image runs with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// Environment, in the order in which it is listed.
    pub env: Vec<(String, String)>,
    /// The program that is always started.
    pub entrypoint: Vec<String>,
    /// What it is started with, unless somebody says otherwise.
    pub cmd: Vec<String>,
    /// Where it is started.
    pub working_dir: String,
    /// Ports it listens on, such as `5000/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// What the image says about itself. Those of `org.opencontainers.image.` are annotations of the manifest too, so that
    /// registries show them.
    pub labels: BTreeMap<String, String>,
    /// What the manifest says besides, where only registries and their users look.
    pub annotations: BTreeMap<String, String>,
    /// When the image was made, as far as it says: the time of every entry of its layers, so that the digest says nothing
    /// about the day.
    pub created: Timestamp,
    /// The machine it is for.
    pub platform: Platform,
}

/// An image: its two texts, and the layers they speak of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Canonical, or as somebody else wrote it; the diff ids in it are those of `layers`.
    config: Vec<u8>,
    config_digest: Sha256,
    /// Refers to `config` and `layers`, in this order.
    manifest: Vec<u8>,
    manifest_digest: Sha256,
    layers: Vec<LayerDescription>,
    /// As `config` says.
    platform: Platform,
}

impl Image {
    /// Puts together what was kept apart, and makes sure that it belongs together.
    pub fn from_parts(
        config: Vec<u8>,
        manifest: Vec<u8>,
        layers: Vec<LayerDescription>,
    ) -> Result<Self, ImageError> {
        let platform = parts::check(&config, &manifest, &layers)?;
        Ok(Self::new(config, manifest, layers, platform))
    }

    fn new(
        config: Vec<u8>,
        manifest: Vec<u8>,
        layers: Vec<LayerDescription>,
        platform: Platform,
    ) -> Self {
        Self {
            config_digest: Sha256::of(&config),
            config,
            manifest_digest: Sha256::of(&manifest),
            manifest,
            layers,
            platform,
        }
    }

    /// The text of the configuration.
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// The digest of the configuration, which container engines call the image's id.
    pub const fn config_digest(&self) -> Sha256 {
        self.config_digest
    }

    /// The text of the manifest.
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// The digest of the manifest, which registries call the image's digest.
    pub const fn manifest_digest(&self) -> Sha256 {
        self.manifest_digest
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[LayerDescription] {
        &self.layers
    }

    /// The machine it is for.
    pub const fn platform(&self) -> Platform {
        self.platform
    }
}

/// Makes the image of these layers, lowest first.
pub fn assemble(runtime: &RuntimeConfig, layers: &[LayerDescription]) -> Result<Image, ImageError> {
    let mut names = runtime.env.iter().map(|(name, _)| name);
    if let Some(name) = names.find(|name| name.is_empty() || name.contains('=')) {
        let name = name.clone();
        return Err(ImageError::Environment { name });
    }
    let config = canonical::json(&configuration(runtime, layers));
    let manifest = canonical::json(&manifest(runtime, &config, layers));
    Ok(Image::new(
        config,
        manifest,
        layers.to_vec(),
        runtime.platform,
    ))
}

/// Puts an image, or an index of several, where people want it. `compressed` writes the compressed bytes of a layer, `tar` the plain ones; which of
/// them is asked depends on the destination, from several threads at a time, and only for layers that are not there yet.
///
/// What was at the destination before stays until the new image is complete.
pub fn write(
    named: Named<'_>,
    destination: &Destination,
    compressed: &LayerBytes<'_>,
    tar: &LayerBytes<'_>,
) -> Result<(), ImageError> {
    match destination {
        Destination::OciLayout { directory, tag } => {
            layout::write(named, directory, tag.as_deref(), compressed)
        }
        Destination::OciArchive { file, tag } => {
            archive::write_oci(named, file, tag.as_deref(), compressed)
        }
        Destination::DockerArchive { file, reference } => match named {
            Named::Image(image) => archive::write_docker(image, file, reference.as_deref(), tar),
            Named::Index(_) => Err(ImageError::DockerArchiveOfSeveral { file: file.clone() }),
        },
        Destination::Registry(reference) => Err(ImageError::Registry {
            reference: reference.clone(),
        }),
    }
}

fn manifest(runtime: &RuntimeConfig, config: &[u8], layers: &[LayerDescription]) -> ImageManifest {
    let layer_descriptors = layers
        .iter()
        .map(|layer| descriptor(layer.media_type().into(), layer.digest.0, layer.size));
    let config = descriptor(
        MediaType::ImageConfig,
        Sha256::of(config),
        config.len() as u64,
    );
    let mut manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MANIFEST_MEDIA_TYPE)
        .config(config)
        .layers(layer_descriptors.collect::<Vec<_>>());
    let mut annotations = runtime.labels.clone();
    annotations.retain(|key, _| key.starts_with("org.opencontainers.image."));
    annotations.insert(ANNOTATION_CREATED.to_owned(), runtime.created.rfc_3339());
    annotations.extend(runtime.annotations.clone());
    manifest = manifest.annotations(annotations.into_iter().collect::<HashMap<_, _>>());
    manifest
        .build()
        .expect("schema version, configuration and layers are set")
}

fn configuration(runtime: &RuntimeConfig, layers: &[LayerDescription]) -> ImageConfiguration {
    let mut config = ConfigBuilder::default();
    if !runtime.env.is_empty() {
        let env = runtime
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        config = config.env(env.collect::<Vec<_>>());
    }
    if !runtime.entrypoint.is_empty() {
        config = config.entrypoint(runtime.entrypoint.clone());
    }
    if !runtime.cmd.is_empty() {
        config = config.cmd(runtime.cmd.clone());
    }
    if !runtime.working_dir.is_empty() {
        config = config.working_dir(runtime.working_dir.clone());
    }
    if !runtime.exposed_ports.is_empty() {
        config = config.exposed_ports(runtime.exposed_ports.iter().cloned().collect::<Vec<_>>());
    }
    if !runtime.labels.is_empty() {
        let labels = runtime.labels.clone().into_iter();
        config = config.labels(labels.collect::<HashMap<_, _>>());
    }
    let created = runtime.created.rfc_3339();
    let history = layers.iter().map(|layer| {
        HistoryBuilder::default()
            .created(created.as_str())
            .created_by(format!("cognix layer {}", layer.name))
            .build()
            .expect("no field of a history entry is required")
    });
    let diff_ids = layers.iter().map(|layer| layer.diff_id.to_string());
    let mut configuration = ImageConfigurationBuilder::default()
        .created(created.as_str())
        .architecture(runtime.platform.arch())
        .os(Os::Linux);
    if let Some(variant) = runtime.platform.variant() {
        configuration = configuration.variant(variant);
    }
    configuration
        .config(
            config
                .build()
                .expect("no field of a configuration is required"),
        )
        .rootfs(
            RootFsBuilder::default()
                .typ("layers")
                .diff_ids(diff_ids.collect::<Vec<_>>())
                .build()
                .expect("type and diff ids are set"),
        )
        .history(history.collect::<Vec<_>>())
        .build()
        .expect("architecture, system and layers are set")
}

fn descriptor(media_type: MediaType, digest: Sha256, size: u64) -> Descriptor {
    let digest: Sha256Digest = digest
        .to_string()
        .parse()
        .expect("64 hexadecimal digits are a digest");
    DescriptorBuilder::default()
        .media_type(media_type)
        .digest(Digest::from(digest))
        .size(size)
        .build()
        .expect("media type, digest and size are set")
}

#[cfg(test)]
mod tests;
