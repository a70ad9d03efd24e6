//! What the user can do about an error, where its message does not say it already.

mod missing_program;
#[cfg(test)]
mod tests;

use cognix_derivations::StorePath;
use cognix_sandbox::{Outcome, SandboxError};
use cognix_store::build::foreign::ForeignError;
use cognix_store::realise::StepError;
use cognix_store::{BuildError, ErrorKind, FetchError, RealiseError};

use super::PipelineError;
use crate::builtins::source::SourceError;
use crate::lock::ResolveError;
use crate::lock::debian::DebianError;
use crate::lock::platform::Platform;
use crate::lock::python::PythonError;
use crate::mirrors::standalone::{SETTING, STANDALONE};
use crate::recipes;

impl PipelineError {
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

const SOURCE_BUILD: &str = "if it misses a library or a program, name the Debian package of it in wheels.buildPackages of cognix.nix; \
    overrides can give it variables and patches (docs/sources.md), and a version with a wheel needs no build";

const MISSING_CRATES: &str = "its archive does not bring the Rust crates that it needs, and crates are not fetched: take a version with \
    a wheel, or an archive of it with the crates (`cargo vendor`)";

/// What may help a package that cannot be built.
fn source_build_hint(error: &ForeignError) -> &'static str {
    // cargo says so of every crate that it cannot fetch.
    let is_crate = |line: &String| line.contains("` as a dependency of package `");
    match error {
        ForeignError::Ended { log, .. } if log.iter().any(is_crate) => MISSING_CRATES,
        _ => SOURCE_BUILD,
    }
}

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
                None if is_source_build(derivation) => {
                    format!("{log}\n  {}", source_build_hint(error))
                }
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
