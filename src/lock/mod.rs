//! The lock: every byte an image needs, named before anything is built.
//!
//! `cognix.lock` holds one entry per wheel and per Debian package, each with version, SHA-256, size and where it comes from,
//! as URLs relative to a named input (`mirror://pypi/…`), and for each variant of the model and each platform which of
//! them it has. It also holds the requests that were resolved, so that a changed `cog.yaml` is noticed and the difference
//! can be told.
//!
//! Resolving happens here and nowhere else: after the lock, no stage asks an index or the clock. What the image *runs
//! with* (environment, command, labels) is not locked, because changing it must not need a network.

pub mod cuda_manifest;
pub mod debian;
pub mod exchange;
mod file;
pub mod inputs;
mod layers;
mod moves;
pub mod platform;
mod preferences;
pub mod python;
mod request;
mod resolve;
mod shared_paths;
mod sources;
pub mod standalone;
mod system;
#[cfg(test)]
pub(crate) mod tests;
pub mod why;

use std::collections::BTreeMap;

use cognix_derivations::{Sha256, StorePath};

pub use crate::spec::PinnedArchive;
pub use file::{FILE_NAME, LockFileError};
pub use inputs::{InputError, LockedInput, LockedInputs, WantedInput};
pub use layers::{BudgetTooSmall, UnknownRule};
pub use moves::{Move, PackageKind, UnknownPackage};
pub use platform::Architecture;
pub use request::{Change, IndexOptions, LockRequest, PinnedVersions};
pub use resolve::{Question, ResolveContext, ResolveError, Resolved, resolve};
pub use shared_paths::{Commands, IdleRule, PathConflicts};
pub use sources::{BuildRoom, Sandbox};

/// Everything the images of a model are made of apart from the model's own files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Python packages uploaded after this moment were not considered (RFC 3339, UTC).
    pub exclude_newer: String,
    /// What is locked of the spec's inputs that are no package sources.
    pub inputs: LockedInputs,
    /// What was chosen for each variant, by its name.
    pub variants: BTreeMap<String, VariantLock>,
}

/// What was chosen for one image of a model, for every platform it is built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantLock {
    /// What was asked for; the lock is current exactly when a fresh request equals it.
    pub request: LockRequest,
    /// What was chosen, one entry for each platform of the request.
    pub platforms: BTreeMap<Architecture, PlatformLock>,
    /// What commands of `build.run` made that were run with a network: the hash of the output, by the derivation.
    pub runs: BTreeMap<StorePath, Sha256>,
}

/// What was chosen for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformLock {
    /// The interpreter.
    pub interpreter: LockedInterpreter,
    /// Debian packages and the release files they were chosen from.
    pub debian: DebianLock,
    /// The Debian packages that Python packages are built with, where some are; they are no part of the image.
    pub build: Option<DebianLock>,
    /// Python packages.
    pub python: PythonLock,
}

/// One platform of a lock, and what all platforms share.
#[derive(Debug, Clone, Copy)]
pub struct LockedPlatform<'a> {
    /// The platform.
    pub architecture: Architecture,
    /// What was asked for.
    pub request: &'a LockRequest,
    /// The interpreter.
    pub interpreter: &'a LockedInterpreter,
    /// Debian packages and the release files they were chosen from.
    pub debian: &'a DebianLock,
    /// The Debian packages that Python packages are built with, where some are.
    pub build: Option<&'a DebianLock>,
    /// Python packages.
    pub python: &'a PythonLock,
}

impl Lock {
    /// The digest of all requests: that of the only variant, or of every variant's by name.
    pub fn request_digest(&self) -> Sha256 {
        let mut variants = self.variants.iter();
        match (variants.next(), variants.next()) {
            (Some((_, only)), None) => only.request_digest(),
            _ => {
                let line = |(name, variant): (&String, &VariantLock)| {
                    format!("{name} {}\n", variant.request_digest())
                };
                let lines: String = self.variants.iter().map(line).collect();
                Sha256::of(lines.as_bytes())
            }
        }
    }

    /// The part for one variant; `None` if the lock was not made for it.
    pub fn variant(&self, name: &str) -> Option<&VariantLock> {
        self.variants.get(name)
    }

    /// What differs between the inputs that are locked and those that are wanted now.
    pub fn input_changes(&self, wanted: &BTreeMap<String, WantedInput>) -> Vec<Change> {
        inputs::changes(&self.inputs, wanted)
    }

    /// Every platform of every variant.
    pub fn platforms(&self) -> impl Iterator<Item = &PlatformLock> {
        let variants = self.variants.values();
        variants.flat_map(|variant| variant.platforms.values())
    }

    /// The bytes to be fetched for all images when nothing is there yet.
    pub fn download_size(&self) -> u64 {
        let files: BTreeMap<Sha256, u64> = self.platforms().flat_map(PlatformLock::files).collect();
        files.values().sum()
    }
}

impl VariantLock {
    /// The digest of the request, recorded in the file: drift is noticed by comparing one line.
    pub fn request_digest(&self) -> Sha256 {
        self.request.digest()
    }

    /// How many layers an image of any platform has at most, `further` of them of what the lock does not tell of: commands
    /// and extra packages.
    pub fn most_layers(&self, further: usize) -> usize {
        let layers = self.platforms.values().map(|platform| {
            let others = layers::others(&platform.interpreter, self.request.bytecode, further);
            layers::count(platform, others)
        });
        layers.max().unwrap_or_default()
    }

    /// The part for one platform; `None` if the lock was not made for it.
    pub fn platform(&self, architecture: Architecture) -> Option<LockedPlatform<'_>> {
        let locked = self.platforms.get(&architecture)?;
        Some(LockedPlatform {
            architecture,
            request: &self.request,
            interpreter: &locked.interpreter,
            debian: &locked.debian,
            build: locked.build.as_ref(),
            python: &locked.python,
        })
    }
}

impl PlatformLock {
    /// Digest and size of every file.
    fn files(&self) -> impl Iterator<Item = (Sha256, u64)> {
        let debs = self.debian.packages.iter();
        let build = self.build.iter().flat_map(|debian| &debian.packages);
        let debs = debs.chain(build).map(|deb| (deb.sha256, deb.size));
        let wheels = self.python.packages.iter();
        let build = wheels.clone().flat_map(LockedWheel::build_requires);
        let wheels = wheels.map(|wheel| &wheel.package).chain(build);
        let wheels = wheels.map(|wheel| (wheel.sha256, wheel.size));
        let archive = self.interpreter.archive();
        let archive = archive.map(|archive| (archive.sha256, archive.size.unwrap_or(0)));
        debs.chain(wheels).chain(archive)
    }
}

/// Where the image's Python comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockedInterpreter {
    /// A package among the locked Debian packages.
    Debian {
        /// The package's name: `python3.11`.
        package: String,
    },
    /// An archive with a whole interpreter.
    Standalone(LockedArchive),
}

impl LockedInterpreter {
    /// The archive, if the interpreter is one.
    pub fn archive(&self) -> Option<&LockedArchive> {
        match self {
            Self::Debian { .. } => None,
            Self::Standalone(archive) => Some(archive),
        }
    }
}

/// One file that is no package, relative to a named input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedArchive {
    /// The version of what it holds.
    pub version: String,
    /// The named input.
    pub input: String,
    /// The file's path below the input.
    pub path: String,
    /// The digest of the file.
    pub sha256: Sha256,
    /// Its size in bytes, where the source told it.
    pub size: Option<u64>,
}

impl LockedArchive {
    /// The last part of the path.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// The Debian part of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianLock {
    /// The verified release files, in the order base suite, updates, security.
    pub releases: Vec<debian::LockedRelease>,
    /// One entry per package, sorted by name.
    pub packages: Vec<LockedDeb>,
}

/// One Debian package, and the layer group it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedDeb {
    /// What the resolver chose.
    pub package: debian::LockedDeb,
    /// Which part of the system it belongs to.
    pub group: DebGroup,
    /// What it says about a package that it depends on, by that package's name: `(>= 2.36)`, or `for` and the words of the
    /// dependency where they are others than the name. Nothing where any version of that name will do.
    pub bounds: BTreeMap<String, String>,
    /// The layer that holds its files, where its group has several: the name of the requested package that it came with,
    /// or that of a layer that several of those share.
    pub layer: Option<String>,
}

impl std::ops::Deref for LockedDeb {
    type Target = debian::LockedDeb;

    fn deref(&self) -> &Self::Target {
        &self.package
    }
}

impl LockedDeb {
    /// The name of the layer that holds its files.
    pub fn layer_name(&self) -> &str {
        self.layer.as_deref().unwrap_or(self.group.name())
    }
}

/// The parts of the system that Debian packages are grouped in, from the most stable to the least.
///
/// A package belongs to the first group whose roots need it, so that asking for one more system package
/// never moves a file out of the base layer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum DebGroup {
    /// What every Debian system has, and the few packages that every model needs.
    Base,
    /// The interpreter and what only it needs.
    Python,
    /// What the model's `system_packages` asked for, with dependencies.
    SystemPackages,
}

impl DebGroup {
    /// Every group, in layer order.
    pub const ALL: [Self; 3] = [Self::Base, Self::Python, Self::SystemPackages];

    /// The group's name in layers, plans and the lock.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Python => "python",
            Self::SystemPackages => "system-packages",
        }
    }
}

/// The Python part of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonLock {
    /// One entry per wheel or source archive, sorted by normalised name.
    pub packages: Vec<LockedWheel>,
}

/// One wheel or source archive, and the paths it leaves to another wheel that brings the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedWheel {
    /// What the resolver chose.
    pub package: python::LockedWheel,
    /// The layer that it shares with other wheels; none if it has one of its own.
    pub layer: Option<String>,
    /// Image paths left to another wheel, which brings them with equal contents or owns them by a rule of the request.
    pub omit: Vec<String>,
    /// What it says about a package that it requires, by that package's name: `[standard]>=0.3`. Nothing where any version
    /// will do.
    pub bounds: BTreeMap<String, String>,
    /// Whether its files may differ from what its RECORD says: a waiver of the request names it.
    pub waived: bool,
    /// How it becomes a wheel, if it is a source archive.
    pub build: Option<python::SourceBuild>,
}

impl LockedWheel {
    /// What it is built with, and what that is built with; none if it is a wheel.
    pub fn build_requires(&self) -> impl Iterator<Item = &python::LockedWheel> {
        self.build
            .iter()
            .flat_map(python::SourceBuild::all_requires)
    }
}

impl std::ops::Deref for LockedWheel {
    type Target = python::LockedWheel;

    fn deref(&self) -> &Self::Target {
        &self.package
    }
}

/// How layer bytes are made; recorded, so that an old lock keeps giving old bytes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRecipes {
    /// The rule by which packages share layers.
    pub grouping: String,
    /// Recipe id for layers made from file trees.
    pub tree: String,
    /// Recipe id for layers spliced from wheels.
    pub wheel: String,
}

/// Named package sources without their addresses: what a lock may know of an input.
pub type InputPins = BTreeMap<String, InputPin>;

/// One named package source.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputPin {
    /// Archives of the model's own, for the Python and the platforms that are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub archives: Vec<PinnedArchive>,
    /// Components to read, for Debian archives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// Packages that come from this index and no other, for Python indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// The place in the order in which Python indexes are asked, from 1 on; the machine's own are asked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// Hashes that the release files of suites must have, for Debian archives of the past.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub releases: BTreeMap<String, Sha256>,
    /// Suites to read, for Debian archives, in order of preference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suites: Vec<String>,
    /// `pypi`, `debian` or `url`.
    #[serde(rename = "type")]
    pub kind: String,
}
