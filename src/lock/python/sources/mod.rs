//! Packages that come as source: what has to be known about one before it is built.
//!
//! The resolver asks for the dependencies of whatever it considers. Those of a wheel stand in the wheel. Those of a source
//! archive stand in it too where it says that they cannot change (PKG-INFO of metadata 2.2 or later, or `[project]` of
//! pyproject.toml, neither with the fields in question as dynamic); else its build backend is asked, which is a program and
//! runs elsewhere ([`Backends`]). What the backend needs itself is resolved here, from wheels only, and locked beside the
//! archive.
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

use cognix_derivations::Sha256;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uv_pypi_types::ResolutionMetadata;

use super::chosen::Place;
use super::{LockedWheel, WheelOrigin};

pub(super) use learn::learn;

/// How a source archive becomes a wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceBuild {
    /// The object of the build backend, as `build-backend` spells it.
    pub backend: String,
    /// Folders of the archive that the backend is imported from, relative to its top.
    pub backend_path: Vec<String>,
    /// What the backend needs, one wheel per package, sorted by name.
    pub requires: Vec<LockedWheel>,
    /// Why it is built here.
    pub reason: SourceReason,
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
            Self::Named => "a requirement names the archive",
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
    pub(super) origin: WheelOrigin,
    pub(super) yanked: bool,
    pub(super) reason: SourceReason,
}

/// What is known about a source archive.
#[derive(Clone)]
pub(super) struct SourceFacts {
    pub(super) filename: String,
    pub(super) origin: WheelOrigin,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    /// The package's name as the package spells it.
    pub(super) spelling: String,
    pub(super) metadata: ResolutionMetadata,
    pub(super) build: SourceBuild,
}

impl SourceFacts {
    /// Whether these are the facts about a file.
    pub(super) fn are_about(&self, file: &SourceFile) -> bool {
        self.filename == file.filename && self.origin == file.origin
    }
}
