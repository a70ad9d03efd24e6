//! Why outputs could not be made.

use cognix_derivations::{DerivationError, GraphError, NixHash, StorePath};

use crate::build::BuildError;
use crate::error::StoreError;
use crate::fetch::FetchError;

/// Classes of failure, one per exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// What was asked for cannot be.
    Input,
    /// No source has the file, or none can be reached.
    Unavailable,
    /// The disk or the database.
    Io,
    /// The store belongs to somebody else.
    Rights,
    /// A setting is missing or unusable.
    Configuration,
    /// A builder failed.
    BuildFailed,
    /// A builder took longer, or used more, than it may.
    TimedOut,
    /// Content is not what its hash says.
    Hash,
    /// The same derivation gave two results.
    NotReproducible,
    /// Somebody asked to stop.
    Interrupted,
    /// A defect in this program.
    Internal,
}

impl ErrorKind {
    /// The exit code of a program that fails like this: those of Nix for builds, those of `sysexits.h` for the rest.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Input => 65,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Io => 74,
            Self::Rights => 77,
            Self::Configuration => 78,
            Self::BuildFailed => 100,
            Self::TimedOut => 101,
            Self::Hash => 102,
            Self::NotReproducible => 104,
            Self::Interrupted => 130,
        }
    }
}

impl StoreError {
    /// Which kind of failure this is, for exit codes.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. }
            | Self::Database { .. }
            | Self::Damaged { .. }
            | Self::MissingDatabase { .. }
            | Self::NotDurable { .. } => ErrorKind::Io,
            Self::Schema { .. } => ErrorKind::Configuration,
            Self::ReadOnly { .. } => ErrorKind::Rights,
            Self::NotValid { .. }
            | Self::MissingReference { .. }
            | Self::Unsupported { .. }
            | Self::Path(_)
            | Self::Derivation(_) => ErrorKind::Input,
            Self::OtherRealisation { .. } => ErrorKind::NotReproducible,
            Self::Cancelled => ErrorKind::Interrupted,
        }
    }
}

/// A run did not make all targets. What it did make is valid and stays.
#[derive(Debug, thiserror::Error)]
pub enum RealiseError {
    /// Somebody asked for an output that the graph does not have.
    #[error("{derivation} with output {output:?} is not in the graph")]
    UnknownTarget {
        /// The derivation.
        derivation: StorePath,
        /// The output.
        output: String,
    },
    /// The first derivation that failed; others were not started after it.
    #[error("{name} failed{}", needed_by(chain))]
    Failed {
        /// Its name.
        name: String,
        /// Its path.
        derivation: StorePath,
        /// The names of those who need it: its user, the user's user, and so on up to a target. Empty for a target.
        chain: Vec<String>,
        /// What happened.
        source: StepError,
    },
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
}

fn needed_by(chain: &[String]) -> String {
    match chain {
        [] => String::new(),
        chain => format!(" (needed by {})", chain.join(", needed by ")),
    }
}

impl RealiseError {
    /// The derivation that failed, if it was one.
    pub fn derivation(&self) -> Option<&StorePath> {
        match self {
            Self::UnknownTarget { derivation, .. } | Self::Failed { derivation, .. } => {
                Some(derivation)
            }
            Self::Store(_) | Self::Cancelled => None,
        }
    }

    /// Which kind of failure this is, for exit codes.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownTarget { .. } => ErrorKind::Input,
            Self::Failed { source, .. } => source.kind(),
            Self::Store(error) => error.kind(),
            Self::Cancelled => ErrorKind::Interrupted,
        }
    }
}

/// What happened to one derivation.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The file could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The builder failed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The derivation could not be resolved.
    #[error(transparent)]
    Derivation(#[from] DerivationError),
    /// The resolved derivation contradicts itself.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A builder that this program does not have: the derivation is from a newer cognix.
    #[error("builder {builder:?} is not supported by this cognix")]
    NoBuilder {
        /// What the derivation calls it.
        builder: String,
    },
    /// The builder said that it is done, but it is not.
    #[error("the builder did not make output {output:?}")]
    MissingOutput {
        /// The output.
        output: String,
    },
    /// The output of a fixed-output derivation is not what it must be.
    #[error("the output does not have the locked content: expected {}, got {}", expected.to_sri(), actual.to_sri())]
    Mismatch {
        /// What the derivation says.
        expected: NixHash,
        /// What there is.
        actual: NixHash,
    },
    /// Something about the derivation that this program cannot do.
    #[error("{what} is not supported")]
    Unsupported {
        /// What it asks for.
        what: String,
    },
    /// A fixed output is known by its content alone, so it may not depend on anything.
    #[error("the fixed output refers to {reference}")]
    FixedReference {
        /// What it refers to.
        reference: StorePath,
    },
    /// The path of such an output follows from its content, so the content cannot hold the path. Most often a program was
    /// told where it is installed; a path relative to the file itself, or below a fixed folder of the image, can be told
    /// instead.
    #[error(
        "output {output:?} holds the path of {} output {to:?}, which is not known before it is built",
        if output == to { "its own" } else { "the same derivation's" }
    )]
    OwnReference {
        /// The output that refers.
        output: String,
        /// The output that it refers to.
        to: String,
    },
    /// Nobody would keep what the output needs. The text came in as one that nobody recognised as a path.
    #[error("output {output:?} holds the store path {path}…, which is no input of the derivation")]
    Undeclared {
        /// The output.
        output: String,
        /// The beginning of the path.
        path: String,
    },
    /// A bug in a builder, or in the store.
    #[error("the builder panicked")]
    Panicked,
    /// Somebody asked to stop, or another derivation failed.
    #[error("interrupted")]
    Cancelled,
}

impl StepError {
    /// Which kind of failure this is, for exit codes.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Fetch(error) => error.kind(),
            Self::Store(StoreError::Unsupported { .. }) => ErrorKind::BuildFailed,
            Self::Store(error) => error.kind(),
            Self::Mismatch { .. } => ErrorKind::Hash,
            Self::Build(BuildError::Io { .. }) => ErrorKind::Io,
            Self::Build(BuildError::Foreign(error)) => error.kind(),
            Self::Build(BuildError::Cancelled) | Self::Cancelled => ErrorKind::Interrupted,
            Self::Derivation(_) | Self::Graph(_) => ErrorKind::Input,
            _ => ErrorKind::BuildFailed,
        }
    }

    /// Whether a log says more.
    pub fn has_log(&self) -> bool {
        matches!(self, Self::Build(BuildError::Foreign(error)) if error.has_log())
    }

    /// Whether this is the echo of a failure or an interruption elsewhere.
    pub(super) fn is_cancellation(&self) -> bool {
        self.kind() == ErrorKind::Interrupted
    }

    /// One line for an event: the message and those of its causes.
    pub(super) fn line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line
    }
}
