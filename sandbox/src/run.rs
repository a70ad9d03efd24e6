//! The caller's side: starts a sandbox, reads its log, ends it.

use std::io;
use std::path::{Path, PathBuf};

use crate::changes::Changes;
use crate::error::SandboxError;
use crate::request::Request;

/// What starts sandboxes: a program whose `main` begins with [`run_if_asked`](crate::run_if_asked).
#[derive(Debug, Clone)]
pub struct Sandbox {
    program: PathBuf,
}

impl Sandbox {
    /// Sandboxes whose first process is `program`, an executable whose `main` begins with
    /// [`run_if_asked`](crate::run_if_asked). Tests need this, because a test's `main` is not its own.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
        }
    }

    /// Sandboxes whose first process is the running program.
    #[must_use]
    pub fn current() -> Self {
        Self::new("/proc/self/exe")
    }

    /// Runs a program to its end and passes on its log line by line, without line feeds.
    ///
    /// `cancelled` is asked several times a second. When this returns, no process and no mount of the sandbox is left,
    /// and the workspace is empty unless the result has [`Finished::changes`].
    ///
    /// # Errors
    /// The machine allows no sandbox, the request cannot be set up, a limit was reached, or the caller cancelled.
    pub fn run(
        &self,
        request: &Request,
        cancelled: &dyn Fn() -> bool,
        log: &mut dyn FnMut(&[u8]),
    ) -> Result<Finished, SandboxError> {
        let _ = (request, cancelled, log);
        Err(SandboxError::Unavailable {
            missing: format!("starting {}", self.program.display()),
            remedy: "this build of the program has no sandbox yet".to_owned(),
            source: io::ErrorKind::Unsupported.into(),
        })
    }

    /// Removes a workspace with everything in it, folders without write permission included.
    ///
    /// # Errors
    /// Something in it belongs to somebody else.
    pub fn clean(workspace: &Path) -> Result<(), SandboxError> {
        std::fs::remove_dir_all(workspace).map_err(|source| SandboxError::Io {
            action: "remove",
            path: workspace.to_owned(),
            source,
        })
    }
}

/// A program that came to its end.
#[derive(Debug)]
pub struct Finished {
    /// How.
    pub outcome: Outcome,
    /// What it changed on the root; present with [`Access::Changes`](crate::Access::Changes), whatever the outcome.
    pub changes: Option<Changes>,
    /// Whether lines of the log are missing or cut.
    pub log_truncated: bool,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With this status; 0 is success.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

impl Outcome {
    /// Whether the program itself says that all went well.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }
}
