//! An error of any stage, and what kind of failure it is.

use std::error::Error;

use cognix_derivations::{StorePath, StorePathError};
use cognix_sandbox::{Outcome, SandboxError};
use cognix_store::build::foreign::ForeignError;
use cognix_store::realise::StepError;
use cognix_store::{BuildError, ErrorKind, FetchError, RealiseError, StoreError};

use super::missing_program;
use super::variants::VariantError;
use crate::builtins::source::SourceError;
use crate::config::ConfigErrors;
use crate::container::ContainerError;
use crate::image::ImageError;
use crate::layers::LayerError;
use crate::lock::debian::DebianError;
use crate::lock::exchange::ExchangeError;
use crate::lock::platform::Platform;
use crate::lock::python::{BackendError, CutoffError, PythonError, PythonErrorKind};
use crate::lock::why::WhyError;
use crate::lock::{Architecture, InputError, LockFileError, ResolveError};
use crate::mirrors::MirrorsError;
use crate::mirrors::standalone::{SETTING, STANDALONE};
use crate::recipes::{self, RecipeError};
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

    /// What the user can do, where the message does not say it already.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::SourceChanged => "run the build again when nothing writes to the project",
            Self::Source(SourceError::Read { .. }) => {
                "make it readable, or name it in .dockerignore"
            }
            Self::Resolve(error) => return resolve_hint(error),
            Self::Secret(missing) => {
                let id = &missing.id;
                return Some(format!(
                    "give it with --secret id={id},src=FILE or --secret id={id},env=VARIABLE"
                ));
            }
            Self::Realise(error) => return realise_hint(error, self.kind()),
            Self::Interpreter { .. } => return Some(other_interpreter()),
            Self::System { derivation, .. } if recipes::compiled_package(derivation).is_some() => {
                WITHOUT_BYTECODE
            }
            Self::System { .. } => ELSEWHERE_BUILT,
            Self::Script {
                source, package, ..
            } => {
                let log = realise_hint(source, self.kind());
                let way_out = format!(
                    "a package that is missing may be what it needs: name it in system_packages; or leave its scripts out: \
                     base.leaveOutScripts = [ \"{package}\" ]; in cognix.nix"
                );
                let hints: Vec<String> = log.into_iter().chain([way_out]).collect();
                return Some(hints.join("\n  "));
            }
            Self::Step {
                source,
                has_network,
                ..
            } => {
                let hint = realise_hint(source, self.kind());
                let failed = self.kind() == ErrorKind::BuildFailed && !has_network;
                let other = missing_program::hint(source)
                    .or_else(|| failed.then(|| WITHOUT_NETWORK.to_owned()));
                let hints: Vec<String> = other.into_iter().chain(hint).collect();
                return (!hints.is_empty()).then(|| hints.join("\n  "));
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn resolve_hint(error: &ResolveError) -> Option<String> {
    let hint = match error {
        ResolveError::Variant { source, .. } => return resolve_hint(source),
        ResolveError::Debian(DebianError::Untrusted { .. }) => {
            "an archive with keys of its own names them in cognix.nix: inputs.NAME.keys = [ ./key.gpg ];"
        }
        ResolveError::Debian(DebianError::Fetch { .. }) => ELSEWHERE,
        ResolveError::Python(PythonError::Unavailable {
            with_torch: true, ..
        }) => TORCH_ELSEWHERE,
        ResolveError::Python(PythonError::Unavailable { .. }) => ELSEWHERE,
        ResolveError::Conflict(conflicts) => {
            return Some(format!(
                "say in cognix.nix which of them keeps it: {}\n  or leave one of them out of the requirements",
                conflicts.rule()
            ));
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

const WITHOUT_NETWORK: &str = "a command of build.run has no network: what it needs can be an input of cognix.nix, or `cognix lock \
    --allow-network` runs it with one and records what it makes";

const TORCH_ELSEWHERE: &str = "a pinned torch comes from torch's own index, as with Cog: look at the network, name a mirror with \
    --mirror pytorch=URL,\n  or give torch as a range (torch>=2.6.0,<2.6.1) to take the build of the default index";

const ELSEWHERE_BUILT: &str =
    "build it on such a machine, or choose with --platform one that this machine is";

const WITHOUT_BYTECODE: &str = "`bytecode = false;` in cognix.nix, or in one of its images, leaves bytecode out; otherwise build it \
    on such a machine, or choose with --platform one that this machine is";

const NO_SANDBOX_FOR_BYTECODE: &str = "the sandbox was for Python's bytecode: `bytecode = false;` in cognix.nix, or in one of its \
    images, leaves bytecode out";

const ELSEWHERE: &str = "look at the network, or name another mirror with --mirror NAME=URL";

/// Every way around an archive that is not to be had here.
fn other_interpreter() -> String {
    let pythons = Platform::debian_pythons().map(|python| format!("\"{python}\""));
    format!(
        "name a mirror of {STANDALONE} with --mirror {STANDALONE}=URL, with inputs.{STANDALONE}.url in cognix.nix or with \
         {SETTING}; or take a Python that Debian ships: python_version {}",
        pythons.collect::<Vec<_>>().join(" or ")
    )
}

fn realise_hint(error: &RealiseError, kind: ErrorKind) -> Option<String> {
    let step = match error {
        RealiseError::Failed { source, .. } => Some(source),
        _ => None,
    };
    match (error, step) {
        (_, Some(StepError::Fetch(error))) => fetch_hint(error),
        (_, Some(StepError::Build(BuildError::Foreign(foreign)))) => {
            let derivation = error.derivation()?;
            foreign_hint(foreign, derivation)
        }
        (RealiseError::Store(_), _) | (_, Some(StepError::Store(_)))
            if kind == ErrorKind::Rights =>
        {
            Some("the store must be yours: choose another with --store or COGNIX_STORE".to_owned())
        }
        _ => None,
    }
}

/// What may help a package that cannot be built.
const SOURCE_BUILD: &str = "if it misses a library or a program, name the Debian package of it in wheels.buildPackages of cognix.nix; \
    overrides can give it variables and patches (docs/sources.md), and a version with a wheel needs no build";

/// Whether it builds a Python package, or asks about one.
fn is_source_build(derivation: &StorePath) -> bool {
    let name = derivation.name();
    name.ends_with(".whl.drv") || name.ends_with("-build.json.drv")
}

fn foreign_hint(error: &ForeignError, derivation: &StorePath) -> Option<String> {
    let hint = match error {
        error if error.has_log() => {
            let log = format!("`cognix log {derivation}` shows the whole log");
            return Some(match limit_hint(error) {
                Some(limit) => format!("{limit}\n  {log}"),
                None if is_source_build(derivation) => format!("{log}\n  {SOURCE_BUILD}"),
                None => log,
            });
        }
        ForeignError::Unavailable(_) if is_bytecode(derivation) => NO_SANDBOX_FOR_BYTECODE,
        ForeignError::System { .. } if is_bytecode(derivation) => WITHOUT_BYTECODE,
        ForeignError::MissingSecret { id } => {
            return Some(format!(
                "give its value with --secret id={id},src=FILE or --secret id={id},env=VARIABLE"
            ));
        }
        ForeignError::Network => {
            "fetch what it needs with cognix.fetchurl in cognix.nix and give it as an input, or allow it with --allow-network"
        }
        ForeignError::Start(_) => {
            "a program is looked for in the derivation's root only: cognix.root in cognix.nix is the image's Debian packages"
        }
        ForeignError::System { .. } => ELSEWHERE_BUILT,
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What lets a program use more, where that is what it was ended for, or may have failed for.
fn limit_hint(error: &ForeignError) -> Option<&'static str> {
    const KILLED: i32 = 9;
    Some(match error {
        ForeignError::Limit { source, .. } => match source {
            SandboxError::TimedOut { .. } => {
                "--timeout TIME, or COGNIX_TIMEOUT, lets programs run longer"
            }
            SandboxError::Silent { .. } => {
                "--max-silent-time TIME, or COGNIX_MAX_SILENT_TIME, lets programs be silent for longer"
            }
            SandboxError::DiskFull { .. } => {
                "--max-disk SIZE, or COGNIX_MAX_DISK, lets programs keep more"
            }
            _ => return None,
        },
        ForeignError::Ended { outcome, log, .. } => {
            let is_refused = |line: &String| FORK_REFUSED.iter().any(|text| line.contains(text));
            match outcome {
                Outcome::Signalled(KILLED) => {
                    "most likely there was not enough memory: of the machine, or by --max-memory or COGNIX_MAX_MEMORY"
                }
                _ if log.iter().any(is_refused) => {
                    "--max-processes N, or COGNIX_MAX_PROCESSES, lets programs have more processes"
                }
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// What programs say that may have no more processes.
const FORK_REFUSED: [&str; 2] = ["Resource temporarily unavailable", "Cannot fork"];

fn is_bytecode(derivation: &StorePath) -> bool {
    let name = derivation.name();
    recipes::compiled_package(name.strip_suffix(".drv").unwrap_or(name)).is_some()
}

fn fetch_hint(error: &FetchError) -> Option<String> {
    let hint = match error {
        error if error.is_gone() => return Some(gone_hint(error)),
        FetchError::Mismatch { .. } | FetchError::Size { .. } => {
            "nothing of it was kept; try another mirror with --mirror NAME=URL"
        }
        error if error.kind() == ErrorKind::Unavailable => ELSEWHERE,
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What to do about a file that no source has any more. Debian's archives drop a version once there is a newer one.
fn gone_hint(error: &FetchError) -> String {
    let place = match error {
        FetchError::Status { url, .. } => url.as_str(),
        FetchError::AllFailed { name, .. } => name.as_str(),
        _ => "",
    };
    let file = place.rsplit('/').next().unwrap_or_default();
    match file.strip_suffix(".deb").and_then(|rest| rest.split('_').next()) {
        Some(package) => format!(
            "the pinned version of {package} is gone from the archive, which keeps only the newest; run `cognix lock \
             --update {package}` to take what is there now, or name a mirror that still has it with --mirror NAME=URL"
        ),
        None => "the pinned file is gone from where it was; run `cognix lock --update` to choose what is there now"
            .to_owned(),
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
