//! Why no wheels could be chosen.

use std::path::PathBuf;

use cognix_derivations::Sha256;

use uv_normalize::PackageName;

use super::BackendError;
use crate::mirrors::git::GitError;
use crate::mirrors::python_index::{PythonIndexError, explain};

/// Why no wheels could be chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PythonError {
    /// A line that is not a requirement, or asks for something other than a package of an index.
    #[error("cannot use the requirement {line:?}: {reason}")]
    Requirement {
        /// The line as given.
        line: String,
        /// What is wrong with it, and what to write instead.
        reason: String,
    },
    /// No Python like this can be resolved for.
    #[error("cannot choose wheels for this Python or platform: {0}")]
    Target(String),
    /// A misspelt name, most often, or a package of an index that is not configured here.
    #[error(
        "the package index does not know {package} (asked: {indexes}); check the spelling, or set UV_EXTRA_INDEX_URL to the index that has it{report}"
    )]
    UnknownPackage {
        /// The normalised name.
        package: String,
        /// The indexes asked, without credentials.
        indexes: String,
        /// Empty, or the resolver's own account of what needs it.
        report: String,
    },
    /// A project without releases, or a web page (of a login, perhaps) where a project page should be.
    #[error(
        "the page of {package} in the package index lists no files (asked: {indexes}); it has no releases, or the address is not that of a package index"
    )]
    NoFiles {
        /// The normalised name.
        package: String,
        /// The indexes asked, without credentials.
        indexes: String,
    },
    /// The package exists, but only as source for what was asked.
    #[error(
        "{package} is published as source only (no wheel for {what}); ask for a version that has wheels\n{report}"
    )]
    SourceOnly {
        /// The package.
        name: PackageName,
        /// Name, and version where only that version has none.
        package: String,
        /// The Python and platform.
        what: String,
        /// The resolver's own account.
        report: String,
    },
    /// The index does not say when files were uploaded, so that none can be said to be old enough.
    #[error(
        "the package index (asked: {indexes}) does not say when the files of {package} were uploaded, so that none can be said to be older than {cutoff}; use an index that does, or leave out --exclude-newer"
    )]
    NoUploadTimes {
        /// The normalised name.
        package: String,
        /// The limit.
        cutoff: String,
        /// The name that a lock knows the index by.
        index: String,
        /// The indexes asked, without credentials.
        indexes: String,
    },
    /// The requirements contradict each other, or nothing fits the image's Python.
    #[error("the Python requirements cannot be met for {what}\n{report}{hints}")]
    NoSolution {
        /// The Python and platform.
        what: String,
        /// The resolver's own account.
        report: String,
        /// Empty, or a `hint: …` per line.
        hints: String,
    },
    /// The file that fits is another one than the author of the requirements has seen.
    #[error(
        "the SHA-256 of {filename} is {sha256}, which is not among the --hash options of {line:?}; it is the wheel for {what}: if it is the right one, write its digest again (`pip-compile --generate-hashes` and `uv pip compile --generate-hashes` do it), and if it is not, find out where it comes from"
    )]
    Digest {
        /// The file.
        filename: String,
        /// Its digest.
        sha256: Sha256,
        /// The requirement.
        line: String,
        /// The Python and platform.
        what: String,
    },
    /// A file of the project is not where another machine would find it.
    #[error(
        "{path} is outside the project, so no other machine would find it; copy it into the project"
    )]
    OutsideProject {
        /// The file.
        path: PathBuf,
    },
    /// An index wants to know who is asking.
    #[error("cannot resolve the Python requirements: {0}")]
    Refused(String),
    /// A wheel that a requirement names itself is for another Python or platform.
    #[error("{filename} is not for {what}; name a wheel that is")]
    DoesNotFit {
        /// The file.
        filename: String,
        /// The Python and platform.
        what: String,
    },
    /// Without a digest a file cannot be locked.
    #[error(
        "the package index gives no SHA-256 for {filename}, so it cannot be locked; use an index that does"
    )]
    NoDigest {
        /// The file.
        filename: String,
    },
    /// The index or its file server did not answer as one: the network, a proxy, the address or its credentials.
    #[error(
        "cannot resolve the Python requirements: {reason}; the package index is {indexes}, set by {origin}"
    )]
    Unavailable {
        /// What went wrong, outermost first.
        reason: String,
        /// The indexes asked, without credentials.
        indexes: String,
        /// Whether torch's own index is among them.
        with_torch: bool,
        /// Where the address of the last of them stands.
        origin: String,
    },
    /// A chosen file cannot be looked into.
    #[error("cannot look into {filename} in the package index: {reason}")]
    Wheel {
        /// The file.
        filename: String,
        /// What went wrong.
        reason: String,
    },
    /// A chosen file is there and is not the wheel that the index promises.
    #[error("{filename} in the package index is not a usable wheel: {reason}")]
    BadWheel {
        /// The file.
        filename: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A source archive is there and cannot be used.
    #[error("{filename} is not a usable source archive: {reason}")]
    BadSource {
        /// The file.
        filename: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A repository, or a commit of it, cannot be had.
    #[error(transparent)]
    Repository(GitError),
    /// The programs that a source is built with cannot be had.
    #[error(
        "{package} has to be built from source ({filename}), and what its build needs cannot be chosen"
    )]
    BuildRequirements {
        /// The package.
        package: String,
        /// The archive.
        filename: String,
        /// Why not.
        source: Box<Self>,
    },
    /// The program that builds a source gives no answer.
    #[error(
        "{package} has to be built from source ({filename}), and its build backend {backend} cannot be asked"
    )]
    Backend {
        /// The package.
        package: String,
        /// The archive.
        filename: String,
        /// The backend.
        backend: String,
        /// Why not.
        source: BackendError,
    },
    /// A source is built with itself.
    #[error(
        "{0}: none of these can be built first; name a version that has wheels in a constraint, or a wheel of one of them"
    )]
    BuildCycle(String),
    /// Sources are built with sources, deeper than anybody writes.
    #[error("{0}: that is deeper than builds may need each other")]
    BuildDepth(String),
    /// Several sources cannot be built. Never empty.
    #[error("{} packages have to be built from source and cannot be:{}", .0.len(), listed(.0))]
    Builds(Vec<Self>),
    /// The network is switched off and the cache does not suffice.
    #[error(
        "the network is switched off and the cache does not hold what is needed: {0}; run once without --offline"
    )]
    Offline(String),
    /// The index could not be reached at all.
    #[error(transparent)]
    Index(#[from] PythonIndexError),
    /// A file of ours cannot be read or written.
    #[error("{path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No thread can be started.
    #[error("cannot start the resolver's thread")]
    Thread(#[source] std::io::Error),
    /// Cancelled by the caller.
    #[error("cancelled")]
    Cancelled,
    /// The resolver broke a promise: a fault of ours or of the library.
    #[error("the Python resolver failed: {0}")]
    Internal(String),
}

/// Who can do something about a [`PythonError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PythonErrorKind {
    /// The author of the requirements.
    Request,
    /// Whoever runs the index or the network.
    Unavailable,
    /// Whoever set up this machine's indexes and certificates.
    Configuration,
    /// This machine's disk.
    Disk,
    /// Nobody: it was asked for.
    Cancelled,
    /// Whoever wrote a program that a package is built with, or set up this machine for running it.
    Build,
    /// The authors of this program.
    Internal,
}

impl PythonError {
    /// Whether it is about one source alone, so that others may be looked at all the same.
    pub(super) fn is_of_one_build(&self) -> bool {
        matches!(
            self,
            Self::Backend { .. } | Self::BuildRequirements { .. } | Self::BadSource { .. }
        )
    }

    /// What came of several builds.
    pub(super) fn of_builds(mut errors: Vec<Self>) -> Self {
        match errors.pop() {
            Some(only) if errors.is_empty() => only,
            last => Self::Builds(errors.into_iter().chain(last).collect()),
        }
    }

    /// Who can do something about it.
    pub fn kind(&self) -> PythonErrorKind {
        match self {
            Self::Requirement { .. }
            | Self::Digest { .. }
            | Self::OutsideProject { .. }
            | Self::DoesNotFit { .. }
            | Self::Target(_)
            | Self::UnknownPackage { .. }
            | Self::SourceOnly { .. }
            | Self::NoUploadTimes { .. }
            | Self::NoSolution { .. } => PythonErrorKind::Request,
            Self::Refused(_)
            | Self::NoDigest { .. }
            | Self::NoFiles { .. }
            | Self::Unavailable { .. }
            | Self::Wheel { .. }
            | Self::BadWheel { .. }
            | Self::BadSource { .. }
            | Self::Offline(_) => PythonErrorKind::Unavailable,
            Self::Index(error) => match error {
                PythonIndexError::Cache { .. } => PythonErrorKind::Disk,
                PythonIndexError::Setup(_) => PythonErrorKind::Configuration,
                _ => PythonErrorKind::Unavailable,
            },
            Self::Repository(error) => match error {
                GitError::NoGit(_) | GitError::Run(_) => PythonErrorKind::Configuration,
                GitError::Offline(_) | GitError::Unreachable { .. } => PythonErrorKind::Unavailable,
                GitError::Io { .. } | GitError::Archive { .. } => PythonErrorKind::Disk,
                GitError::UnknownReference { .. }
                | GitError::Gone { .. }
                | GitError::Tree { .. } => PythonErrorKind::Request,
            },
            Self::BuildRequirements { source, .. } => source.kind(),
            Self::BuildCycle(_) | Self::BuildDepth(_) => PythonErrorKind::Request,
            Self::Builds(errors) => errors.first().map_or(PythonErrorKind::Internal, Self::kind),
            Self::Backend { .. } => PythonErrorKind::Build,
            Self::Io { .. } => PythonErrorKind::Disk,
            Self::Thread(_) | Self::Internal(_) => PythonErrorKind::Internal,
            Self::Cancelled => PythonErrorKind::Cancelled,
        }
    }
}

/// Errors with their reasons, a line each.
fn listed(errors: &[PythonError]) -> String {
    let lines = errors.iter().map(|error| format!("\n  {}", explain(error)));
    lines.collect()
}
