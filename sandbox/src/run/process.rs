//! One sandbox while it runs: its pipes, its clocks, its end.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::control_group::ControlGroup;
use super::log::Log;
use super::{Outcome, Stopped, clean};
use crate::error::SandboxError;
use crate::order::{Cause, Failure, NAME, Order, Report};
use crate::record::SymlinkOwners;
use crate::request::Request;

/// How often clocks and the caller are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long the sandbox may take to end by itself once its pipe is closed; its first process is killed then.
const GRACE: Duration = Duration::from_secs(2);

/// What a finished sandbox tells.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) log_truncated: bool,
    /// Owners of symlinks, by inode and time of birth.
    pub(super) symlinks: SymlinkOwners,
    /// Mount points that were made in a root without overlays.
    pub(super) made: Vec<PathBuf>,
}

struct Running {
    child: Child,
    /// Its end is the sandbox's end.
    order: Option<ChildStdin>,
    status: Option<std::process::ChildStdout>,
    log: Option<OwnedFd>,
    /// The first process of the namespace.
    first: Option<OwnedFd>,
    reports: Vec<u8>,
    failure: Option<Failure>,
    ended: Option<i32>,
    symlinks: SymlinkOwners,
    made: Vec<PathBuf>,
}

/// Runs an order to its end.
pub(super) fn run(
    program: &Path,
    order: &Order,
    request: &Request,
    group: Option<ControlGroup>,
    cancelled: &dyn Fn() -> bool,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<Ended, Stopped> {
    let mut running = Running::start(program, order, group.as_ref())?;
    let secrets = request.secrets.iter().map(|secret| &secret.value[..]);
    let mut log = Log::new(sink, request.limits.log, request.limits.line).masking(secrets);
    let started = Instant::now();
    let mut heard = started;
    let mut looked = started;
    let mut buffer = vec![0; 64 << 10];
    let mut stopped = None;
    while running.status.is_some() || running.log.is_some() {
        let (reports, lines) = running.wait()?;
        if lines && running.read_log(&mut buffer, &mut log) {
            heard = Instant::now();
        }
        if reports {
            running.read_reports();
        }
        let limits = &request.limits;
        let stop = if cancelled() {
            Some(SandboxError::Cancelled)
        } else if started.elapsed() >= limits.time {
            Some(SandboxError::TimedOut { limit: limits.time })
        } else if heard.elapsed() >= limits.silence {
            Some(SandboxError::Silent {
                limit: limits.silence,
            })
        } else if let Some(limit) = limits.disk
            && looked.elapsed() >= Duration::from_secs(2)
        {
            let full = clean::usage(&request.workspace) > limit;
            looked = Instant::now();
            full.then_some(SandboxError::DiskFull { limit })
        } else {
            None
        };
        if stop.is_some() && running.ended.is_none() {
            stopped = stop;
            break;
        }
    }
    running.end();
    log.finish();
    if let Some(stopped) = stopped {
        return Err(stopped.into());
    }
    if let Some(failure) = running.failure.take() {
        let no_overlays = failure.cause == Cause::Overlay;
        let error = SandboxError::from(failure);
        return Err(if no_overlays {
            Stopped::NoOverlays(error)
        } else {
            error.into()
        });
    }
    let Some(status) = running.ended else {
        return Err(SandboxError::Lost {
            reason: "its first process ended before the program did; it may have been killed for lack of memory".to_owned(),
        }
        .into());
    };
    Ok(Ended {
        outcome: Outcome::from_wait_status(status),
        log_truncated: log.truncated,
        symlinks: std::mem::take(&mut running.symlinks),
        made: std::mem::take(&mut running.made),
    })
}

impl Running {
    fn start(
        program: &Path,
        order: &Order,
        group: Option<&ControlGroup>,
    ) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::Io {
            action: "start the sandbox with",
            path: program.to_owned(),
            source,
        };
        let (log, end) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        let mut command = Command::new(program);
        command
            .arg0(NAME)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(end))
            // What a terminal sends to the caller is not for the sandbox; the caller ends it.
            .process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        drop(command);
        let mut running = Self {
            order: child.stdin.take(),
            status: child.stdout.take(),
            log: Some(log),
            child,
            first: None,
            reports: Vec::new(),
            failure: None,
            ended: None,
            symlinks: BTreeMap::new(),
            made: Vec::new(),
        };
        if let Some(group) = group {
            group.admit(running.child.id())?;
        }
        if let Some(pipe) = running.order.as_mut() {
            // If the process has ended already, its report or its silence says more than a broken pipe.
            let _ = order.send(pipe);
        }
        Ok(running)
    }

    /// Waits a little for reports and for the log.
    fn wait(&self) -> Result<(bool, bool), SandboxError> {
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(TICK.subsec_nanos()),
        };
        let status = self
            .status
            .as_ref()
            .map(|status| PollFd::new(status, PollFlags::IN));
        let log = self.log.as_ref().map(|log| PollFd::new(log, PollFlags::IN));
        let has_status = status.is_some();
        let mut events: Vec<PollFd<'_>> = status.into_iter().chain(log).collect();
        match poll(&mut events, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                return Err(SandboxError::Setup {
                    attempted: "waiting for the sandbox".to_owned(),
                    source: error.into(),
                });
            }
        }
        let ready = |position: usize| {
            events
                .get(position)
                .is_some_and(|event| !event.revents().is_empty())
        };
        Ok(if has_status {
            (ready(0), ready(1))
        } else {
            (false, ready(0))
        })
    }

    /// Whether something was said.
    fn read_log(&mut self, buffer: &mut [u8], log: &mut Log<'_>) -> bool {
        let Some(pipe) = &self.log else {
            return false;
        };
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(0) => self.log = None,
            Ok(count) => {
                log.push(&buffer[..count]);
                return true;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => self.log = None,
        }
        false
    }

    fn read_reports(&mut self) {
        let Some(pipe) = self.status.as_mut() else {
            return;
        };
        let mut buffer = [0; 4096];
        match pipe.read(&mut buffer) {
            Ok(0) => self.status = None,
            Ok(count) => self.reports.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => self.status = None,
        }
        while let Some(end) = self.reports.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.reports.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Report::First(pid)) => {
                    self.first = Pid::from_raw(pid)
                        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
                }
                Ok(Report::Failed(failure)) => {
                    self.failure.get_or_insert(failure);
                }
                Ok(Report::Ended(status)) => self.ended = Some(status),
                Ok(Report::Symlink { identity, owner }) => {
                    self.symlinks.insert(identity, owner);
                }
                Ok(Report::Made(made)) => self.made = made.into_iter().map(PathBuf::from).collect(),
                Err(_) => {}
            }
        }
    }

    /// Ends every process of the sandbox and waits until they are gone.
    fn end(&mut self) {
        self.order = None;
        // Nobody reads any more; what still writes must not wait for a reader.
        self.log = None;
        let asked = Instant::now();
        let mut killed = false;
        while let Ok(None) = self.child.try_wait() {
            if asked.elapsed() >= GRACE && !killed {
                killed = true;
                if let Some(first) = &self.first {
                    let _ = pidfd_send_signal(first.as_fd(), Signal::KILL);
                } else {
                    let _ = self.child.kill();
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // Stage 1 may have been killed from outside; the first process then still has to be gone.
        if let Some(first) = &self.first {
            let _ = pidfd_send_signal(first.as_fd(), Signal::KILL);
            let mut events = [PollFd::new(first, PollFlags::IN)];
            while let Err(rustix::io::Errno::INTR) = poll(&mut events, None) {}
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
