//! What specs say: one file's part ([`Spec`]), and the whole that later stages work with ([`Settings`]).

use std::collections::BTreeMap;

use cognix_derivations::Sha256;
use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::error::{SpecError, SpecReason};

/// Debian's releases, by which a suite's name tells whether it is for another one.
const RELEASES: [&str; 7] = [
    "buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid",
];

/// What one file says; everything is optional, because a model's file only names what differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spec {
    /// A sentence for people.
    pub description: Option<String>,
    /// Package sources by name.
    pub inputs: BTreeMap<String, PartialInput>,
    /// Packages below every model.
    pub base: PartialBase,
    /// How images are cut.
    pub layers: PartialLayers,
    /// What images are built for.
    pub platforms: Option<Vec<Architecture>>,
    /// See [`WheelPolicy::waivers`].
    pub waivers: Option<Vec<Sha256>>,
    /// See [`WheelPolicy::no_binary`].
    pub no_binary: Option<Vec<String>>,
    /// See [`WheelPolicy::build_packages`].
    pub build_packages: Option<Vec<String>>,
    /// See [`RunPolicy::network`].
    pub run_network: Option<bool>,
    /// See [`Settings::bytecode`].
    pub bytecode: Option<bool>,
    /// Whether there are outputs; what they are needs an evaluator.
    pub has_outputs: bool,
}

/// A package source as far as one file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialInput {
    /// How the source is read.
    pub kind: Option<InputKind>,
    /// Where it is.
    pub url: Option<String>,
    /// Suites of a Debian archive.
    pub suites: Option<Vec<String>>,
    /// Components of a Debian archive.
    pub components: Option<Vec<String>>,
    /// Files with the keys that sign a Debian archive.
    pub keys: Option<Vec<String>>,
    /// Hashes that release files of a Debian archive must have.
    pub releases: Option<BTreeMap<String, Sha256>>,
    /// See [`Input::archives`].
    pub archives: Option<Vec<PinnedArchive>>,
    /// Packages that come from a Python index and no other.
    pub packages: Option<Vec<String>>,
    /// See [`Input::sha256`].
    pub sha256: Option<Sha256>,
    /// See [`Input::path`].
    pub path: Option<String>,
    /// See [`Input::reference`].
    pub reference: Option<String>,
    /// See [`Input::digest`].
    pub digest: Option<Sha256>,
    /// The input that this one is another name of.
    pub follows: Option<String>,
    /// Where the input is written: file, line and column.
    pub place: (String, u32, u32),
}

/// The `base` section as far as one file says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartialBase {
    /// See [`Base::tier`].
    pub tier: Option<BaseTier>,
    /// See [`Base::packages`].
    pub packages: Option<Vec<String>>,
    /// See [`Base::recommends`].
    pub recommends: Option<bool>,
    /// See [`Base::leave_out_scripts`].
    pub leave_out_scripts: Option<Vec<String>>,
}

/// The `layers` section as far as one file says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartialLayers {
    /// See [`LayerPolicy::budget`].
    pub budget: Option<u32>,
    /// See [`LayerPolicy::conflicts`].
    pub conflicts: Option<BTreeMap<String, String>>,
    /// See [`LayerPolicy::grouping`].
    pub grouping: Option<String>,
    /// See [`LayerRecipes::tree`].
    pub tree: Option<String>,
    /// See [`LayerRecipes::wheel`].
    pub wheel: Option<String>,
}

/// How a package source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// The machine's own index of Python packages, or a mirror of it.
    Pypi,
    /// A Debian archive.
    Debian,
    /// A further index of Python packages, at an address.
    Index,
    /// One file at an address, or a folder of files that are named one by one.
    Url,
    /// Files of the project.
    Path,
    /// An image of a registry.
    Oci,
}

/// A file of one's own that stands for an interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedArchive {
    /// Where it is below its package source.
    pub path: String,
    /// What it runs on.
    pub platform: Architecture,
    /// The digest of the file.
    pub sha256: Sha256,
    /// The whole version of the interpreter.
    pub version: String,
}

/// Everything that the specs together decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Package sources by name.
    pub inputs: BTreeMap<String, Input>,
    /// Other names of inputs, and the input that each means.
    pub follows: BTreeMap<String, String>,
    /// Packages below every model.
    pub base: Base,
    /// How images are cut.
    pub layers: LayerPolicy,
    /// What images are built for.
    pub platforms: Vec<Architecture>,
    /// How wheels are read.
    pub wheels: WheelPolicy,
    /// How commands of `build.run` are run.
    pub run: RunPolicy,
    /// Whether Python's bytecode is in the image, compiled beforehand.
    pub bytecode: bool,
}

/// How commands of `build.run` are run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunPolicy {
    /// Whether locking may run them with a network, and record what they make.
    pub network: bool,
}

/// How wheels are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WheelPolicy {
    /// Digests of wheels whose files may differ from what their RECORD says.
    pub waivers: Vec<Sha256>,
    /// Packages that are built from source even where there are wheels; `:all:` are those of the model.
    pub no_binary: Vec<String>,
    /// Debian packages that are there while packages are built, besides those that always are.
    pub build_packages: Vec<String>,
}

/// A package source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The name, which URLs in a lock start with: `mirror://NAME/…`.
    pub name: String,
    /// How it is read.
    pub kind: InputKind,
    /// Where it is; the machine's own settings decide when absent.
    pub url: Option<String>,
    /// Suites of a Debian archive, for every release that it has.
    pub suites: Vec<String>,
    /// Components of a Debian archive.
    pub components: Vec<String>,
    /// Files with the keys that sign a Debian archive, relative to the project; Debian's own keys when empty.
    pub keys: Vec<String>,
    /// The hash that the release file of a suite must have; for an archive of the past, whose release has expired.
    pub releases: BTreeMap<String, Sha256>,
    /// Interpreters that stand for those that the program knows by itself, at most one for each platform and Python.
    pub archives: Vec<PinnedArchive>,
    /// Packages that come from a Python index and no other; when there are any, nothing else comes from it.
    pub packages: Vec<String>,
    /// The digest that the file at an address must have; the lock records it where the spec does not say it.
    pub sha256: Option<Sha256>,
    /// Files of the project, below its folder.
    pub path: Option<String>,
    /// An image of a registry, as in `registry.example/name:tag`.
    pub reference: Option<String>,
    /// The digest of that image's manifest; the lock records it where the spec does not say it.
    pub digest: Option<Sha256>,
    /// Where the input is written: line and column. Python indexes are asked in this order.
    pub place: (u32, u32),
}

/// Debian packages below every model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// How much of a Debian system is there.
    pub tier: BaseTier,
    /// Packages that are there besides.
    pub packages: Vec<String>,
    /// Whether recommended packages come along.
    pub recommends: bool,
    /// Packages whose maintainer scripts are not run.
    pub leave_out_scripts: Vec<String>,
}

/// How much of a Debian system lies below a model.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum BaseTier {
    /// What the interpreter, TLS, time zones and names need: no shell, no package manager.
    Minimal,
    /// The same with `/bin/sh` and the tools that scripts and people expect.
    Shell,
    /// Everything that Debian marks `Essential: yes`.
    Essential,
}

impl BaseTier {
    /// Every tier, the smallest first.
    pub const ALL: [Self; 3] = [Self::Minimal, Self::Shell, Self::Essential];

    /// The tier as a spec writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Shell => "shell",
            Self::Essential => "essential",
        }
    }
}

impl std::fmt::Display for BaseTier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How an image is cut into layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPolicy {
    /// The largest number of layers.
    pub budget: u32,
    /// Which package keeps an image path that several bring with different contents, by path.
    pub conflicts: BTreeMap<String, String>,
    /// The rule by which packages share layers.
    pub grouping: String,
    /// How their bytes are made.
    pub recipes: LayerRecipes,
}

/// Identifiers of the recipes that make layer bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRecipes {
    /// For layers made of file trees.
    pub tree: String,
    /// For layers made of wheels.
    pub wheel: String,
}

impl InputKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Pypi,
        Self::Debian,
        Self::Index,
        Self::Url,
        Self::Path,
        Self::Oci,
    ];

    /// The kind as a spec writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pypi => "pypi",
            Self::Debian => "debian",
            Self::Index => "index",
            Self::Url => "url",
            Self::Path => "path",
            Self::Oci => "oci",
        }
    }

    /// Whether Python packages are looked up there.
    pub fn is_index(self) -> bool {
        matches!(self, Self::Pypi | Self::Index)
    }

    /// The keys that have a meaning for an input of this kind, besides its type.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Pypi | Self::Index => &["url", "packages"],
            Self::Debian => &["url", "suites", "components", "keys", "releases"],
            Self::Url => &["url", "sha256", "archives"],
            Self::Path => &["path"],
            Self::Oci => &["reference", "digest"],
        }
    }
}

impl Input {
    /// The suites of one Debian release: `bookworm`, `bookworm-updates`, `bookworm-security`. A suite whose name says no
    /// release, as archives other than Debian's have them, is for every release.
    pub fn suites_of<'i>(&'i self, codename: &'i str) -> impl Iterator<Item = &'i str> {
        let release = |suite: &str| {
            let word = suite.split('-').next().unwrap_or_default();
            RELEASES.into_iter().find(|release| *release == word)
        };
        let of_release = move |suite: &&str| release(suite).is_none_or(|name| name == codename);
        self.suites.iter().map(String::as_str).filter(of_release)
    }
}

impl Settings {
    /// The Python package indexes, in the order written.
    pub fn indexes(&self) -> Vec<&Input> {
        let inputs = self.inputs.values();
        let mut indexes: Vec<_> = inputs.filter(|input| input.kind.is_index()).collect();
        indexes.sort_by_key(|input| input.place);
        indexes
    }
}

impl Spec {
    /// This spec with another one over it: what that names replaces what stands here, key by key.
    pub fn extend(mut self, over: Self) -> Self {
        for (name, input) in over.inputs {
            match self.inputs.get_mut(&name) {
                Some(known) => known.extend(input),
                None => {
                    self.inputs.insert(name, input);
                }
            }
        }
        Self {
            description: over.description.or(self.description),
            inputs: self.inputs,
            base: PartialBase {
                tier: over.base.tier.or(self.base.tier),
                packages: over.base.packages.or(self.base.packages),
                recommends: over.base.recommends.or(self.base.recommends),
                leave_out_scripts: over.base.leave_out_scripts.or(self.base.leave_out_scripts),
            },
            layers: PartialLayers {
                budget: over.layers.budget.or(self.layers.budget),
                conflicts: over.layers.conflicts.or(self.layers.conflicts),
                grouping: over.layers.grouping.or(self.layers.grouping),
                tree: over.layers.tree.or(self.layers.tree),
                wheel: over.layers.wheel.or(self.layers.wheel),
            },
            platforms: over.platforms.or(self.platforms),
            waivers: over.waivers.or(self.waivers),
            no_binary: over.no_binary.or(self.no_binary),
            build_packages: over.build_packages.or(self.build_packages),
            run_network: over.run_network.or(self.run_network),
            bytecode: over.bytecode.or(self.bytecode),
            has_outputs: over.has_outputs || self.has_outputs,
        }
    }

    /// The whole, if nothing is missing.
    pub fn settings(self) -> Result<Settings, SpecError> {
        let mut inputs = BTreeMap::new();
        let mut follows = BTreeMap::new();
        for (name, input) in &self.inputs {
            let Some(target) = &input.follows else {
                inputs.insert(name.clone(), input.clone().complete(name.clone())?);
                continue;
            };
            let is_end = |input: &PartialInput| input.follows.is_none();
            if !self.inputs.get(target).is_some_and(is_end) {
                let key = format!("inputs.{name}.follows");
                let found = target.clone();
                return Err(input.error(SpecReason::Follows { key, found }));
            }
            follows.insert(name.clone(), target.clone());
        }
        Ok(Settings {
            inputs,
            follows,
            base: Base {
                tier: set("base.tier", self.base.tier)?,
                packages: set("base.packages", self.base.packages)?,
                recommends: set("base.recommends", self.base.recommends)?,
                leave_out_scripts: self.base.leave_out_scripts.unwrap_or_default(),
            },
            layers: LayerPolicy {
                budget: set("layers.budget", self.layers.budget)?,
                conflicts: self.layers.conflicts.unwrap_or_default(),
                grouping: set("layers.grouping", self.layers.grouping)?,
                recipes: LayerRecipes {
                    tree: set("layers.recipes.tree", self.layers.tree)?,
                    wheel: set("layers.recipes.wheel", self.layers.wheel)?,
                },
            },
            platforms: set("platforms", self.platforms)?,
            wheels: WheelPolicy {
                waivers: self.waivers.unwrap_or_default(),
                no_binary: self.no_binary.unwrap_or_default(),
                build_packages: self.build_packages.unwrap_or_default(),
            },
            run: RunPolicy {
                network: self.run_network.unwrap_or_default(),
            },
            bytecode: set("bytecode", self.bytecode)?,
        })
    }
}

impl PartialInput {
    fn extend(&mut self, over: Self) {
        self.kind = over.kind.or(self.kind);
        self.url = over.url.or(self.url.take());
        self.suites = over.suites.or(self.suites.take());
        self.components = over.components.or(self.components.take());
        self.keys = over.keys.or(self.keys.take());
        self.releases = over.releases.or(self.releases.take());
        self.archives = over.archives.or(self.archives.take());
        self.packages = over.packages.or(self.packages.take());
        self.sha256 = over.sha256.or(self.sha256);
        self.path = over.path.or(self.path.take());
        self.reference = over.reference.or(self.reference.take());
        self.digest = over.digest.or(self.digest);
        self.follows = over.follows.or(self.follows.take());
        self.place = over.place;
    }

    fn error(&self, reason: SpecReason) -> SpecError {
        SpecError {
            place: Some(self.place.clone()),
            reason: Box::new(reason),
        }
    }

    /// The keys that the input has, by name.
    fn keys(&self) -> impl Iterator<Item = &'static str> {
        let keys = [
            ("url", self.url.is_some()),
            ("suites", self.suites.is_some()),
            ("components", self.components.is_some()),
            ("keys", self.keys.is_some()),
            ("releases", self.releases.is_some()),
            ("archives", self.archives.is_some()),
            ("packages", self.packages.is_some()),
            ("sha256", self.sha256.is_some()),
            ("path", self.path.is_some()),
            ("reference", self.reference.is_some()),
            ("digest", self.digest.is_some()),
        ];
        keys.into_iter()
            .filter_map(|(key, is_set)| is_set.then_some(key))
    }

    fn complete(self, name: String) -> Result<Input, SpecError> {
        let key = |key: &str| format!("inputs.{name}.{key}");
        let missing = |name: &str| self.error(SpecReason::Missing { key: key(name) });
        let kind = self.kind.ok_or_else(|| missing("type"))?;
        if let Some(other) = self.keys().find(|key| !kind.keys().contains(key)) {
            let (key, kind) = (key(other), kind.name());
            return Err(self.error(SpecReason::NotForKind { key, kind }));
        }
        let required = match kind {
            InputKind::Pypi | InputKind::Url => None,
            InputKind::Index => self.url.is_none().then_some("url"),
            InputKind::Path => self.path.is_none().then_some("path"),
            InputKind::Oci => self.reference.is_none().then_some("reference"),
            InputKind::Debian if self.suites.is_none() => Some("suites"),
            InputKind::Debian => self.components.is_none().then_some("components"),
        };
        if let Some(required) = required {
            return Err(missing(required));
        }
        Ok(Input {
            name,
            kind,
            url: self.url,
            suites: self.suites.unwrap_or_default(),
            components: self.components.unwrap_or_default(),
            keys: self.keys.unwrap_or_default(),
            releases: self.releases.unwrap_or_default(),
            archives: self.archives.unwrap_or_default(),
            packages: self.packages.unwrap_or_default(),
            sha256: self.sha256,
            path: self.path,
            reference: self.reference,
            digest: self.digest,
            place: (self.place.1, self.place.2),
        })
    }
}

/// A setting that no file names: only possible when the built-in spec was not extended but replaced.
fn set<T>(key: &str, value: Option<T>) -> Result<T, SpecError> {
    value.ok_or_else(|| SpecError {
        place: Some((super::FILE_NAME.to_owned(), 1, 1)),
        reason: Box::new(SpecReason::Missing {
            key: key.to_owned(),
        }),
    })
}
