//! The caller's side: starts a sandbox, reads its log, ends it.

mod clean;
mod control_group;
mod folder;
mod log;
mod process;
mod trees;
mod workspace;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::changes::Changes;
use crate::error::SandboxError;
use crate::request::{Access, Request};
use control_group::ControlGroup;
use workspace::Workspace;

/// What starts sandboxes: a program whose `main` begins with [`run_if_asked`](crate::run_if_asked).
#[derive(Debug, Clone)]
pub struct Sandbox {
    program: PathBuf,
    overlays: bool,
}

/// The running program.
const CURRENT: &str = "/proc/self/exe";

impl Sandbox {
    /// Sandboxes whose first process is `program`, an executable whose `main` begins with
    /// [`run_if_asked`](crate::run_if_asked). Tests need this, because a test's `main` is not its own.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            overlays: true,
        }
    }

    /// Sandboxes whose first process is the running program.
    #[must_use]
    pub fn current() -> Self {
        Self::new(CURRENT)
    }

    /// Composes roots without overlay file systems, from links and copies. That is slower; it is done by itself where
    /// the machine refuses overlays.
    #[must_use]
    pub fn without_overlays(mut self) -> Self {
        self.overlays = false;
        self
    }

    /// Runs a program to its end and passes on its log line by line, without line feeds and with secrets masked.
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
        if self.program == Path::new(CURRENT) && !crate::ASKED.load(Ordering::Relaxed) {
            return Err(SandboxError::Setup {
                attempted:
                    "starting this program again, whose main does not begin with run_if_asked"
                        .to_owned(),
                source: io::ErrorKind::Unsupported.into(),
            });
        }
        match self.attempt(request, self.overlays, cancelled, log) {
            // Nothing was run yet.
            Err(Stopped::NoOverlays(_)) if self.overlays => {
                self.attempt(request, false, cancelled, log)
            }
            result => result,
        }
        .map_err(|stopped| match stopped {
            Stopped::NoOverlays(error) | Stopped::For(error) => error,
        })
    }

    fn attempt(
        &self,
        request: &Request,
        overlays: bool,
        cancelled: &dyn Fn() -> bool,
        log: &mut dyn FnMut(&[u8]),
    ) -> Result<Finished, Stopped> {
        let group = ControlGroup::for_limits(&request.limits);
        let counted = group.as_ref().is_some_and(ControlGroup::counts_processes);
        let (workspace, order) = Workspace::prepare(request, counted, overlays)?;
        let ended = process::run(&self.program, &order, request, group, cancelled, log)?;
        let mut changes = None;
        if request.access == Access::Changes {
            workspace.note_points(&ended.made)?;
            changes = Some(workspace.changes(request, &ended.symlinks)?);
            workspace.keep()?;
        } else {
            workspace.empty()?;
        }
        Ok(Finished {
            outcome: ended.outcome,
            changes,
            log_truncated: ended.log_truncated,
        })
    }

    /// Removes a workspace with everything in it, folders without write permission included.
    ///
    /// # Errors
    /// Something in it belongs to somebody else.
    pub fn clean(workspace: &Path) -> Result<(), SandboxError> {
        clean::remove(
            &std::path::absolute(workspace).map_err(workspace::io_error("find", workspace))?,
        )
    }
}

/// Why a run came to no end of its own.
enum Stopped {
    /// Overlays are refused; it can be tried without.
    NoOverlays(SandboxError),
    For(SandboxError),
}

impl From<SandboxError> for Stopped {
    fn from(error: SandboxError) -> Self {
        Self::For(error)
    }
}

/// A program that came to its end.
#[derive(Debug)]
pub struct Finished {
    /// How.
    pub outcome: Outcome,
    /// What it changed on the root; present with [`Access::Changes`], whatever the outcome.
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

    fn from_wait_status(status: i32) -> Self {
        let status = std::os::unix::process::ExitStatusExt::from_raw(status);
        let status: std::process::ExitStatus = status;
        match std::os::unix::process::ExitStatusExt::signal(&status) {
            Some(signal) => Self::Signalled(signal),
            None => Self::Exited(status.code().unwrap_or(-1)),
        }
    }
}
