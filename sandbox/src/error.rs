//! What can go wrong with a sandbox.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The program was not run to its end. Nothing of it is left, and nothing it made is of use.
///
/// That a program ends with an error of its own is no error here: see [`Outcome`](crate::Outcome).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The machine does not give what a sandbox promises, so nothing is run on it without these promises.
    #[error("this machine allows no sandbox: {missing}: {source}; {remedy}")]
    Unavailable {
        /// What is refused.
        missing: String,
        /// What to change on the machine.
        remedy: String,
        /// What the system said.
        source: io::Error,
    },
    /// The request names something that does not exist or cannot be mounted.
    #[error("cannot set up the sandbox: {attempted}: {source}")]
    Setup {
        /// What was tried.
        attempted: String,
        /// What the system said.
        source: io::Error,
    },
    /// The program is not in the root, is not executable, or its interpreter is missing.
    #[error("cannot start {program} in the sandbox: {source}")]
    Program {
        /// The program as it was named.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The program made something that no change can tell: a device or a pipe.
    #[error(
        "the program left {kind} at /{}, which cannot be kept; remove it before the end",
        path.display()
    )]
    Kind {
        /// What it is.
        kind: &'static str,
        /// Where, relative to the root.
        path: PathBuf,
    },
    /// It may be waiting for something that never comes.
    #[error("the program ran longer than {} seconds", limit.as_secs())]
    TimedOut {
        /// How long it may run.
        limit: Duration,
    },
    /// It may be waiting for something that never comes.
    #[error("the program said nothing for {} seconds", limit.as_secs())]
    Silent {
        /// How long it may be silent.
        limit: Duration,
    },
    /// The program kept more on the disk than it may.
    #[error("the program wrote more than {limit} bytes")]
    DiskFull {
        /// How much it may keep.
        limit: u64,
    },
    /// The caller asked for the end.
    #[error("the program was stopped")]
    Cancelled,
    /// The sandbox's own processes ended without a word: killed from outside, or a fault.
    #[error("the sandbox ended unexpectedly: {reason}")]
    Lost {
        /// What is known.
        reason: String,
    },
    /// The disk is full, a folder is not ours, or the machine has a fault.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: a verb that fits before a path.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
