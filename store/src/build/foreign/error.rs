//! Why a foreign program did not make its outputs.

use std::path::PathBuf;

use cognix_derivations::StorePath;
use cognix_sandbox::{Outcome, SandboxError};

use super::record::RecordError;
use crate::realise::ErrorKind;

/// A foreign program did not make its outputs. What it has written is removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignError {
    /// Programs of another machine do not run on this one.
    #[error("it is built on {system} only, and this machine is {host}")]
    System {
        /// What the derivation says.
        system: String,
        /// What this machine is.
        host: &'static str,
    },
    /// Something of Nix that this program does not have.
    #[error("{what} is not supported")]
    Unsupported {
        /// What the derivation asks for.
        what: String,
    },
    /// The attributes that are handed over as data cannot be read.
    #[error("its attribute __json cannot be read")]
    StructuredAttributes {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Whoever runs the build has to know the value; it is part of nothing.
    #[error("it needs the secret {id:?}, which was not given")]
    MissingSecret {
        /// What it is called.
        id: String,
    },
    /// What comes from a network can be another thing tomorrow.
    #[error("it asks for the network, which a build has only with permission")]
    Network,
    /// The program itself says that it failed, or it was killed.
    #[error("{program} {}{}", ended(*outcome), last_lines(log))]
    Ended {
        /// What was run.
        program: String,
        /// How it ended.
        outcome: Outcome,
        /// The end of its log.
        log: Vec<String>,
    },
    /// The program was ended because it used more than it may.
    #[error("{source}{}", last_lines(log))]
    Limit {
        /// Which limit, in the sandbox's words.
        source: SandboxError,
        /// The end of its log.
        log: Vec<String>,
    },
    /// The program is not in the root.
    #[error(transparent)]
    Start(SandboxError),
    /// The machine gives no sandbox, or one that would promise less.
    #[error(transparent)]
    Unavailable(SandboxError),
    /// The sandbox itself failed.
    #[error(transparent)]
    Sandbox(SandboxError),
    /// A part of the root is not what it should be: damaged, or made by a newer cognix.
    #[error("{} {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: RecordError,
    },
    /// A tree has a folder where one below it has a link to a folder, as merged `/usr` has it for `/bin`: everything behind
    /// the link would be gone.
    #[error(
        "the root cannot be made: {tree} has a folder {name:?}, which would hide the link to {target} of the trees below; \
         put what is in it into {target}"
    )]
    HiddenLink {
        /// The tree with the folder.
        tree: StorePath,
        /// The folder.
        name: String,
        /// Where the link leads.
        target: String,
    },
    /// A name that a record cannot hold.
    #[error(
        "the program left {path:?}, whose name is not UTF-8, which image descriptions cannot hold"
    )]
    Name {
        /// The path below the root.
        path: PathBuf,
    },
    /// A build whose output is the difference it made has one output.
    #[error("its output is the changes it makes, so it has one output, out")]
    Outputs,
    /// Whoever has the output would have the secret. Nothing was kept.
    #[error("the output holds the value of a secret, in {path:?}")]
    SecretInOutput {
        /// Where, below the output.
        path: PathBuf,
    },
}

impl ForeignError {
    /// Which kind of failure this is, for exit codes.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Limit { .. } => ErrorKind::TimedOut,
            Self::MissingSecret { .. } | Self::Network | Self::System { .. } => {
                ErrorKind::Configuration
            }
            Self::Unavailable(_) => ErrorKind::Rights,
            Self::Sandbox(SandboxError::Cancelled) => ErrorKind::Interrupted,
            Self::Sandbox(SandboxError::Io { .. } | SandboxError::Lost { .. }) => ErrorKind::Io,
            _ => ErrorKind::BuildFailed,
        }
    }

    /// Whether a log says more.
    pub const fn has_log(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Limit { .. })
    }

    /// Sorts an error of the sandbox.
    pub(super) fn of(error: SandboxError, log: Vec<String>) -> Self {
        match error {
            SandboxError::TimedOut { .. }
            | SandboxError::Silent { .. }
            | SandboxError::DiskFull { .. } => Self::Limit { source: error, log },
            SandboxError::Program { .. } => Self::Start(error),
            SandboxError::Unavailable { .. } => Self::Unavailable(error),
            error => Self::Sandbox(error),
        }
    }
}

fn ended(outcome: Outcome) -> String {
    match outcome {
        Outcome::Exited(status) => format!("ended with status {status}"),
        Outcome::Signalled(signal) => format!("was killed by signal {signal}"),
    }
}

fn last_lines(log: &[String]) -> String {
    match log {
        [] => ", and said nothing".to_owned(),
        [line] => format!("; it said:\n    {line}"),
        lines => format!("; the end of its log:\n    {}", lines.join("\n    ")),
    }
}
