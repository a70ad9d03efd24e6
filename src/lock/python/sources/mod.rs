//! Packages that come as source: what has to be known about one before it is built.
//!
//! The resolver asks for the dependencies of whatever it considers. Those of a wheel stand in the wheel. Those of a source
//! archive stand in it too where it says that they cannot change (PKG-INFO of metadata 2.2 or later, or `[project]` of
//! pyproject.toml, neither with the fields in question as dynamic); else its build backend is asked, which is a program and
//! runs elsewhere ([`Backends`]). What the backend needs itself is resolved here in the same way, which is asked again where
//! that is a source too, and locked beside the archive.
//!
//! ```text
//! archive ─ fetch ─▶ pyproject.toml, PKG-INFO ─┬─▶ build requirements ─ resolve ─▶ wheels ─┐
//!                                              └─▶ static metadata ─┐      Backends::ask ◀─┘
//!                                                                   └─▶ SourceFacts ◀─┘
//! ```

mod archive;
mod build_system;
mod fetch;
mod learn;
mod repository;

use std::collections::BTreeMap;

use cognix_derivations::Sha256;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uv_pypi_types::ResolutionMetadata;

use super::chosen::Place;
use super::{LockedWheel, WheelOrigin};

pub(super) use learn::learn;
pub(super) use repository::{RepositoryReference, named, tell};

/// How a source archive becomes a wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceBuild {
    /// The object of the build backend, as `build-backend` spells it.
    pub backend: String,
    /// Folders of the archive that the backend is imported from, relative to its top.
    pub backend_path: Vec<String>,
    /// What the backend needs, one wheel or source archive per package, sorted by name.
    pub requires: Vec<LockedWheel>,
    /// How those of them are built that are source archives, by package name.
    pub builds: BTreeMap<String, Self>,
    /// Why it is built here.
    pub reason: SourceReason,
    /// Of a source that is a commit, what its repository says of it.
    pub revision: Option<Revision>,
}

impl SourceBuild {
    /// Everything that it is built with, and that this is built with.
    pub fn all_requires(&self) -> Vec<&LockedWheel> {
        let below = self.builds.values().flat_map(Self::all_requires);
        self.requires.iter().chain(below).collect()
    }
}

/// What a repository says of a commit, apart from its files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// When it was made, where the package's version is made of its history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The nearest tag, the number of commits since, and the commit, in the form of `git describe --long`; there too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub describe: Option<String>,
    /// The branch, tag or commit that the requirement asks for; none for the default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// The commit that a reference of a repository is known to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCommit {
    /// The repository's address, without credentials.
    pub repository: String,
    /// The reference; none for the default branch.
    pub reference: Option<String>,
    /// The commit.
    pub commit: String,
}

/// Why a package is built here and not taken as a wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceReason {
    /// No wheel of it fits.
    NoWheel,
    /// Somebody asked for it: `--no-binary`, or `wheels.noBinary` of a spec.
    NoBinary,
    /// A requirement names the archive itself.
    Named,
}

impl std::fmt::Display for SourceReason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::NoWheel => "no wheel of it fits",
            Self::NoBinary => "asked for with --no-binary",
            Self::Named => "a requirement names its source",
        })
    }
}

/// Runs build backends, which are programs of strangers.
pub trait Backends: Send + Sync {
    /// Asks one about a source archive.
    fn ask<'a>(
        &'a self,
        question: &'a BackendQuestion<'a>,
    ) -> BoxFuture<'a, Result<BackendAnswer, BackendError>>;
}

/// What a backend is asked.
#[derive(Debug, Clone, Copy)]
pub struct BackendQuestion<'a> {
    /// The archive.
    pub source: &'a LockedWheel,
    /// The backend, and the wheels that are there for it.
    pub build: &'a SourceBuild,
    /// Whether the package's metadata is wanted too.
    pub metadata: bool,
    /// Whether the wheels are all that the backend has asked for: it then makes metadata whatever it asks for again.
    pub complete: bool,
}

/// What a backend answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendAnswer {
    /// What it needs besides `[build-system].requires`, as requirement lines.
    pub requires: Vec<String>,
    /// The text of METADATA, if it was wanted and everything for it was there.
    pub metadata: Option<String>,
}

/// Why a backend gives no answer.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BackendError(pub Box<dyn std::error::Error + Send + Sync>);

/// A source archive that the resolver wants to know about.
#[derive(Clone)]
pub(super) struct SourceFile {
    pub(super) name: String,
    /// Not known where a requirement names the archive.
    pub(super) version: Option<String>,
    pub(super) filename: String,
    pub(super) place: Place,
    pub(super) sha256: Option<Sha256>,
    /// Not known of a reference of a repository before that is asked.
    pub(super) origin: Option<WheelOrigin>,
    pub(super) yanked: bool,
    pub(super) reason: SourceReason,
}

/// What is known about a source archive.
#[derive(Clone)]
pub(super) struct SourceFacts {
    pub(super) filename: String,
    pub(super) origin: WheelOrigin,
    /// The reference of a repository that was asked for.
    pub(super) repository: Option<RepositoryReference>,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    /// The package's name as the package spells it.
    pub(super) spelling: String,
    pub(super) metadata: ResolutionMetadata,
    pub(super) build: SourceBuild,
    /// What is worth a word.
    pub(super) warnings: Vec<String>,
}

impl SourceFacts {
    /// What is taken for known of a source that cannot be built: that it needs nothing.
    pub(super) fn nothing(file: SourceFile) -> Option<Self> {
        let version = file.version.as_deref().unwrap_or("0").parse().ok()?;
        let repository = match &file.place {
            Place::Repository(asked) => Some(asked.clone()),
            _ => None,
        };
        Some(Self {
            origin: file.origin.unwrap_or(WheelOrigin::Url {
                url: file.filename.clone(),
            }),
            filename: file.filename,
            repository,
            sha256: Sha256::of(&[]),
            size: 0,
            spelling: file.name.clone(),
            metadata: ResolutionMetadata {
                name: file.name.parse().ok()?,
                version,
                requires_dist: Box::default(),
                requires_python: None,
                provides_extra: Box::default(),
                dynamic: false,
            },
            build: SourceBuild {
                backend: String::new(),
                backend_path: Vec::new(),
                requires: Vec::new(),
                builds: BTreeMap::new(),
                reason: file.reason,
                revision: None,
            },
            warnings: Vec::new(),
        })
    }

    /// Whether these are the facts about a file.
    pub(super) fn are_about(&self, file: &SourceFile) -> bool {
        match &file.place {
            Place::Repository(asked) => self.repository.as_ref() == Some(asked),
            _ => self.filename == file.filename && file.origin.as_ref() == Some(&self.origin),
        }
    }
}
