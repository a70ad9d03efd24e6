//! An error of any stage, and what kind of failure it is.

use std::error::Error;

use cognix_derivations::StorePathError;
use cognix_store::build::foreign::ForeignError;
use cognix_store::{ErrorKind, RealiseError, StoreError};

use super::variants::VariantError;
use crate::builtins::source::SourceError;
use crate::config::ConfigErrors;
use crate::container::ContainerError;
use crate::image::ImageError;
use crate::layers::LayerError;
use crate::lock::exchange::ExchangeError;
use crate::lock::python::{BackendError, CutoffError, PythonError, PythonErrorKind};
use crate::lock::why::WhyError;
use crate::lock::{Architecture, InputError, LockFileError, ResolveError};
use crate::mirrors::MirrorsError;
use crate::recipes::RecipeError;
use crate::spec::SpecError;

/// An error of any stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// `cog.yaml` is not valid, or asks for what cannot be built.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// `cognix.nix` is not valid.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// No Python of this version can be provided.
    #[error("Python {0} cannot be provided")]
    Python(String),
    /// Versions cannot come from two locks.
    #[error(
        "the versions of {import} cannot be taken: build.python_requirements takes those of {own}; name one of them"
    )]
    TwoLocks {
        /// The lock that is to be imported.
        import: String,
        /// The lock of the model's own project.
        own: String,
    },
    /// The lock was made for other platforms.
    #[error(
        "the lock has no {0}; run `cognix lock --platform {0}` or add it to platforms in cognix.nix"
    )]
    NotLocked(Architecture),
    /// The lock was made before the spec had this variant.
    #[error("the lock has no variant {0}; run `cognix lock`")]
    VariantNotLocked(String),
    /// A variant cannot be chosen, or not be built.
    #[error(transparent)]
    Variant(#[from] VariantError),
    /// A variable names an SDK that the image cannot have.
    #[error(transparent)]
    Sdk(#[from] super::SdkError),
    /// The lock cannot be read or written.
    #[error(transparent)]
    LockFile(#[from] LockFileError),
    /// Versions cannot be chosen.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A lock of another tool cannot be read or written.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// A package cannot be explained.
    #[error(transparent)]
    Why(#[from] WhyError),
    /// A date that is none.
    #[error("--exclude-newer")]
    Cutoff(#[source] CutoffError),
    /// It is not known where a package source is.
    #[error(transparent)]
    Mirrors(#[from] MirrorsError),
    /// The model's files cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A file was written between looking at it and copying it.
    #[error("the model's files changed while they were being read")]
    SourceChanged,
    /// Its programs do not run on this machine.
    #[error("{derivation} cannot be built here")]
    System {
        /// The derivation's name.
        derivation: String,
        /// What it is built on.
        source: ForeignError,
    },
    /// A command of `build.run` failed, or could not be run.
    #[error("{step} of build.run failed: {command}")]
    Step {
        /// What it is called.
        step: String,
        /// What the shell ran.
        command: String,
        /// Whether it had a network.
        has_network: bool,
        /// What happened.
        source: Box<RealiseError>,
    },
    /// A maintainer script failed, or could not be run.
    #[error("{script} of {package} failed when it was run for the image")]
    Script {
        /// The Debian package.
        package: String,
        /// Which script.
        script: String,
        /// What happened.
        source: Box<RealiseError>,
    },
    /// A command sees a secret that nobody has given. Nothing was built.
    #[error(transparent)]
    Secret(#[from] super::MissingSecret),
    /// The lock cannot become derivations.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A store path cannot be computed.
    #[error(transparent)]
    StorePath(#[from] StorePathError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Fetching or building.
    #[error(transparent)]
    Realise(#[from] RealiseError),
    /// A Python that Debian does not ship, on a machine that cannot reach those who do.
    #[error("Python {version} cannot be had: its archive is {url}")]
    Interpreter {
        /// The whole version.
        version: String,
        /// The archive, relative to its package source.
        url: String,
        /// What happened.
        source: RealiseError,
    },
    /// A layer's bytes cannot be made.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The image cannot be written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A finished image in the store is not what this program writes.
    #[error("{path} is no image: {reason}")]
    Record {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A command cannot be run in the image.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Disk or input/output.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl PipelineError {
    /// What kind of failure it is. A full disk or a missing right is one, whatever was being done.
    pub fn kind(&self) -> ErrorKind {
        match self.stage_kind() {
            kind @ (ErrorKind::Input
            | ErrorKind::Configuration
            | ErrorKind::BuildFailed
            | ErrorKind::Io) => system_kind(self).unwrap_or(kind),
            kind => kind,
        }
    }

    fn stage_kind(&self) -> ErrorKind {
        match self {
            Self::Config(_)
            | Self::Spec(_)
            | Self::Python(_)
            | Self::NotLocked(_)
            | Self::VariantNotLocked(_)
            | Self::LockFile(_)
            | Self::Mirrors(_) => ErrorKind::Configuration,
            Self::Variant(VariantError::Name { .. } | VariantError::TorchSource { .. }) => {
                ErrorKind::Configuration
            }
            Self::Variant(_) | Self::Cutoff(_) => ErrorKind::Input,
            Self::Exchange(error) => exchange_kind(error),
            Self::TwoLocks { .. } => ErrorKind::Input,
            Self::Why(WhyError::Unknown(_)) => ErrorKind::Input,
            Self::Why(_) => ErrorKind::Configuration,
            Self::Resolve(error) => resolve_kind(error),
            Self::Sdk(_) | Self::Source(_) | Self::SourceChanged => ErrorKind::Input,
            Self::Recipe(_) | Self::Secret(_) | Self::System { .. } => ErrorKind::Configuration,
            Self::StorePath(_) | Self::Record { .. } => ErrorKind::Internal,
            Self::Store(error) => error.kind(),
            Self::Image(_) | Self::Layer(_) => ErrorKind::Io,
            Self::Realise(error) => error.kind(),
            Self::Interpreter { source, .. } => source.kind(),
            Self::Step { source, .. } | Self::Script { source, .. } => source.kind(),
            Self::Container(ContainerError::NoRuntime { .. }) => ErrorKind::Unavailable,
            Self::Container(_) => ErrorKind::Io,
            Self::Io(_) => ErrorKind::Io,
            Self::Interrupted => ErrorKind::Interrupted,
        }
    }
}
/// What the system said below all stages, where that decides.
fn system_kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    use std::io::ErrorKind as Io;
    let said = error.downcast_ref::<std::io::Error>();
    match said.map(std::io::Error::kind) {
        Some(Io::PermissionDenied | Io::ReadOnlyFilesystem) => Some(ErrorKind::Rights),
        Some(Io::StorageFull | Io::QuotaExceeded) => Some(ErrorKind::Io),
        _ => system_kind(error.source()?),
    }
}

fn exchange_kind(error: &ExchangeError) -> ErrorKind {
    match error {
        ExchangeError::Io { .. } => ErrorKind::Io,
        ExchangeError::OtherFile { .. } => ErrorKind::Hash,
        ExchangeError::Locate { .. } => ErrorKind::Unavailable,
        _ => ErrorKind::Input,
    }
}

/// Why a build backend could not be asked.
fn backend_kind(error: &BackendError) -> ErrorKind {
    if let Some(error) = error.0.downcast_ref::<PipelineError>() {
        return error.kind();
    }
    error
        .0
        .downcast_ref::<ResolveError>()
        .map_or(ErrorKind::BuildFailed, resolve_kind)
}

fn resolve_kind(error: &ResolveError) -> ErrorKind {
    match error {
        ResolveError::Variant { source, .. } => resolve_kind(source),
        ResolveError::Input(InputError::Interrupted) => ErrorKind::Interrupted,
        ResolveError::Input(InputError::Reference { .. }) => ErrorKind::Configuration,
        ResolveError::Input(_) => ErrorKind::Unavailable,
        ResolveError::Python(PythonError::Backend { source, .. }) => backend_kind(source),
        ResolveError::Python(error) => match error.kind() {
            PythonErrorKind::Request => ErrorKind::Input,
            PythonErrorKind::Unavailable => ErrorKind::Unavailable,
            PythonErrorKind::Configuration => ErrorKind::Configuration,
            PythonErrorKind::Disk => ErrorKind::Io,
            PythonErrorKind::Cancelled => ErrorKind::Interrupted,
            PythonErrorKind::Build => ErrorKind::BuildFailed,
            PythonErrorKind::Internal => ErrorKind::Internal,
        },
        ResolveError::Debian(error) => error.kind(),
        ResolveError::Conflict(_) => ErrorKind::Input,
        ResolveError::Exchange(error) => exchange_kind(error),
        ResolveError::IdleRule(_) | ResolveError::Grouping(_) | ResolveError::Budget(_) => {
            ErrorKind::Configuration
        }
        ResolveError::Interpreter { .. } => ErrorKind::Unavailable,
        _ => ErrorKind::Configuration,
    }
}
