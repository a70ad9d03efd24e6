//! Runs the machine's `git`, so that nothing but the machine's owner decides what it does.
//!
//! The user's own settings stay, because they say how repositories are reached. What could run a program or change what is
//! read is switched off: hooks, file system monitors, replacements, lazy fetches, transports that are commands. The
//! repository's own settings are never read: we work in a bare one of ours.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal};

use super::GitError;

/// Settings that stand before every command.
const SETTINGS: [&str; 7] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.recurseSubmodules=false",
    "protocol.ext.allow=never",
];

/// Variables of a git that we may be started by.
const FOREIGN: [&str; 12] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_WORK_TREE",
    "GIT_DEFAULT_HASH",
];

/// A command in a bare repository of ours, or in none.
pub(super) fn git(repository: Option<&Path>) -> std::process::Command {
    let mut command = std::process::Command::new("git");
    for variable in FOREIGN {
        command.env_remove(variable);
    }
    command
        .env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        // Its words are looked at.
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    match repository {
        Some(repository) => command.arg("--git-dir").arg(repository),
        // No repository that happens to be around us.
        None => command.env("GIT_DIR", "/dev/null"),
    };
    command
}

/// What a command wrote, if it succeeded; else the last words of its complaint.
pub(super) async fn output<S: AsRef<OsStr>>(
    repository: Option<&Path>,
    about: &str,
    arguments: &[S],
) -> Result<Result<Vec<u8>, String>, GitError> {
    let mut command = git(repository);
    command.args(arguments);
    let output = run(command).await.map_err(|error| failed(error, about))?;
    Ok(match output.status.success() {
        true => Ok(output.stdout),
        false => Err(said(&output.stderr)),
    })
}

/// Runs a command. Dropping the future ends it, and what it has started.
pub(super) async fn run(mut command: std::process::Command) -> std::io::Result<Output> {
    struct Running(Option<Pid>);
    impl Drop for Running {
        fn drop(&mut self) {
            if let Some(git) = self.0 {
                end(git, 0);
            }
        }
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = tokio::process::Command::from(command).spawn()?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let mut running = Running(id.and_then(Pid::from_raw));
    let output = child.wait_with_output().await;
    running.0 = None;
    output
}

/// Ends a program that we started, and first the helpers that it has, which git leaves behind.
fn end(program: Pid, depth: usize) {
    const DEEPEST: usize = 8;
    let id = program.as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|id| id.parse().ok());
    for child in children.filter_map(Pid::from_raw) {
        if depth < DEEPEST {
            end(child, depth + 1);
        }
    }
    // One that has ended by itself needs no more.
    let _ = rustix::process::kill_process(program, Signal::TERM);
}

/// Why git could not be started.
pub(super) fn failed(error: std::io::Error, about: &str) -> GitError {
    match error.kind() {
        std::io::ErrorKind::NotFound => GitError::NoGit(about.to_owned()),
        _ => GitError::Run(error),
    }
}

/// The complaint of a command in one line.
pub(super) fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("warning:"));
    let words: Vec<&str> = lines
        .map(|line| line.strip_prefix("fatal: ").unwrap_or(line))
        .collect();
    let words = match words.is_empty() {
        true => "git gave no reason".to_owned(),
        false => words.join("; "),
    };
    crate::mirrors::python_index::clean(&words)
}
