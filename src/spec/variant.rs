//! Variants: the images that a spec makes of one model, as plain values.
//!
//! [`Variant`] is what locking needs, known before anything is locked. [`Derivations`] is what instantiating needs,
//! known once the versions are. Who makes them out of a spec is no matter here.

use std::collections::{BTreeMap, BTreeSet};

use cognix_derivations::{DerivationGraph, Sha256, StorePath};

use super::architecture::Architecture;
use super::settings::{PartialBase, PartialLayers};

/// The variant that a model has whose spec names none.
pub const DEFAULT_VARIANT: &str = "default";

/// One image of a model: what it changes of what the model's configuration and the rest of the spec say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variant {
    /// Its name below `images`.
    pub name: String,
    /// `python`.
    pub python: Option<String>,
    /// `packages`, requirement lines: one about a project that the model's requirements name replaces that line.
    pub packages: Vec<String>,
    /// `systemPackages`, added to the model's.
    pub system_packages: Vec<String>,
    /// `gpu`.
    pub gpu: Option<bool>,
    /// `cuda`.
    pub cuda: Option<String>,
    /// `cudnn`.
    pub cudnn: Option<String>,
    /// `torch`.
    pub torch: Option<Torch>,
    /// `base`, over the spec's.
    pub base: PartialBase,
    /// `layers` and `compression`, over the spec's.
    pub layers: PartialLayers,
    /// `bytecode`, in place of the spec's.
    pub bytecode: Option<bool>,
    /// `platforms`, in place of the spec's.
    pub platforms: Option<Vec<Architecture>>,
    /// `environment`, over the model's.
    pub environment: BTreeMap<String, String>,
    /// What overrides pin, by the normalised name of the Python package.
    pub pins: BTreeMap<String, Pin>,
    /// Whether the variant has extra packages or replaces any: whether there is something to ask for before
    /// instantiating.
    pub has_derivations: bool,
    /// How many extra packages the variant has: each is a layer.
    pub extra_packages: usize,
}

impl Variant {
    /// A variant that changes nothing.
    pub fn unchanged(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

/// Where torch comes from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Torch {
    /// `mode`.
    pub mode: TorchMode,
    /// `version`.
    pub version: Option<String>,
    /// `gpuArchs`, as in `5.2`.
    pub gpu_archs: Vec<String>,
}

/// How torch is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TorchMode {
    /// `wheel`: somebody else has built it.
    #[default]
    Wheel,
    /// `source`: for the GPUs of the model's own.
    Source,
}

/// What an override says about a Python package before it is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// This version and no other.
    Version(String),
    /// The wheel at this address.
    Url {
        /// The address.
        url: String,
        /// The digest that the file must have.
        sha256: Sha256,
    },
}

/// What a spec says of one variant on one platform once versions are locked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Derivations {
    /// Every derivation that is named below, and what they need.
    pub graph: DerivationGraph,
    /// Texts that the derivations refer to, by the path they have in a store.
    pub texts: BTreeMap<StorePath, StoreText>,
    /// Files of the project that the derivations refer to, likewise.
    pub sources: BTreeMap<StorePath, ProjectFiles>,
    /// What comes into the image besides, in the order written.
    pub extra_packages: Vec<ExtraPackage>,
    /// Python packages that come from a derivation's `out` in place of their wheel, by normalised name.
    pub replaced: BTreeMap<String, StorePath>,
}

/// A text of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreText {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The store paths that it names.
    pub references: BTreeSet<StorePath>,
}

/// A file or a folder of the project as it enters the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectFiles {
    /// Where it is below the project, with `/`; empty for the project itself.
    pub path: String,
    /// What a filter has kept of a folder, by the path below it; everything when absent.
    pub kept: Option<BTreeSet<String>>,
    /// Whether it is one file that is known by the hash of its contents, not by that of its archive.
    pub flat: bool,
}

/// An output of a derivation that has a place in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraPackage {
    /// The name of its layer, unique among the variant's.
    pub name: String,
    /// The derivation.
    pub derivation: StorePath,
    /// The output.
    pub output: String,
    /// The absolute path in the image.
    pub destination: String,
}
