//! Running a command inside an image's root, through an OCI runtime of the machine.
//!
//! cognix does not isolate processes itself here: it unpacks the layers into a bundle, writes the runtime's
//! `config.json` from the image's configuration and starts `runc` or a program like it. The root is the caller's own
//! copy and is gone afterwards; the network is the machine's, as a server started by hand should be reachable.

mod bundle;
mod config;
mod unpack;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

pub use bundle::Bundle;
pub use config::{RunOptions, write_config};
pub use unpack::{Directory, close, unpack_layer};

/// Why a command could not be run in an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// Nothing on this machine can start a container.
    #[error("no OCI runtime on this machine: looked for {tried}")]
    NoRuntime {
        /// The names that were looked for.
        tried: String,
    },
    /// The runtime is there but could not be started.
    #[error("cannot start {runtime}")]
    Start {
        /// The program.
        runtime: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bundle could not be written.
    #[error("cannot write {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A layer holds something that cannot be unpacked.
    #[error("layer {layer}: cannot unpack {path}")]
    Unpack {
        /// The layer's name.
        layer: String,
        /// The entry.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The configuration is not one that the runtime specification can hold.
    #[error("the image's configuration cannot be run")]
    Config(#[source] oci_spec::OciSpecError),
}

/// The runtimes that are looked for, best first.
const RUNTIMES: [&str; 3] = ["runc", "crun", "youki"];

/// A program that starts containers from bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    program: PathBuf,
}

impl Runtime {
    /// The runtime that was named, or the first one found in `search_path` (the value of `PATH`).
    pub fn find(
        named: Option<PathBuf>,
        search_path: Option<OsString>,
    ) -> Result<Self, ContainerError> {
        let folders: Vec<PathBuf> = search_path.iter().flat_map(std::env::split_paths).collect();
        let in_folders = |name: &Path| {
            let mut candidates = folders.iter().map(|folder| folder.join(name));
            candidates.find(|program| program.is_file())
        };
        let (found, tried) = match named {
            Some(path) if path.components().count() > 1 => {
                let tried = path.display().to_string();
                (path.is_file().then_some(path), tried)
            }
            Some(name) => (in_folders(&name), name.display().to_string()),
            None => {
                let mut names = RUNTIMES.iter().map(Path::new);
                (names.find_map(in_folders), RUNTIMES.join(", "))
            }
        };
        found
            .map(|program| Self { program })
            .ok_or(ContainerError::NoRuntime { tried })
    }

    /// Runs the bundle until its command ends.
    ///
    /// What a keyboard sends reaches the command through the runtime, which is in the same process group; signals that
    /// are meant for us are passed on. Needs a tokio runtime with I/O.
    pub async fn run(&self, bundle: &Bundle) -> Result<ExitStatus, ContainerError> {
        let failed = |source| ContainerError::Start {
            runtime: self.program.clone(),
            source,
        };
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut quit = signal(SignalKind::quit()).map_err(failed)?;
        let mut child = Command::new(&self.program)
            .arg("--root")
            .arg(bundle.path().join("state"))
            .args(["run", "--bundle"])
            .arg(bundle.path())
            .arg(bundle.id())
            .spawn()
            .map_err(failed)?;
        loop {
            let received = tokio::select! {
                status = child.wait() => return status.map_err(failed),
                _ = terminate.recv() => Signal::TERM,
                _ = hangup.recv() => Signal::HUP,
                _ = interrupt.recv() => Signal::INT,
                _ = quit.recv() => Signal::QUIT,
            };
            if matches!(received, Signal::INT | Signal::QUIT) && has_keyboard() {
                continue;
            }
            let process = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            if let Some(process) = process {
                // It may have ended in this very moment; then its status says everything.
                let _ = kill_process(process, received);
            }
        }
    }
}

/// Whether we are what the terminal shows: then an interrupt came from its keyboard, and the runtime got it too.
fn has_keyboard() -> bool {
    std::fs::File::open("/dev/tty")
        .ok()
        .and_then(|terminal| rustix::termios::tcgetpgrp(terminal).ok())
        .is_some_and(|group| group == rustix::process::getpgrp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_named_or_found() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["crun", "mine"] {
            std::fs::write(folder.path().join(name), "").expect("writable");
        }
        let find = |named: Option<&str>| {
            let found = Runtime::find(named.map(PathBuf::from), Some(folder.path().into()));
            match found {
                Ok(runtime) => {
                    let name = runtime.program.file_name().expect("a file").to_owned();
                    Ok(name.into_string().expect("UTF-8"))
                }
                Err(error) => Err(error.to_string()),
            }
        };
        assert_eq!(find(None).as_deref(), Ok("crun"));
        assert_eq!(find(Some("mine")).as_deref(), Ok("mine"));
        let path = folder.path().join("mine");
        assert_eq!(find(path.to_str()).as_deref(), Ok("mine"));
        for missing in ["runc", "/nowhere/runc"] {
            let message = find(Some(missing)).expect_err("it is not there");
            assert!(
                message.ends_with(&format!("looked for {missing}")),
                "{message}"
            );
        }
    }
}
