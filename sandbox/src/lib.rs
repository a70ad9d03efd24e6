//! Runs one program in namespaces of its own, on a root composed of read-only trees, and tells what it changed.
//!
//! This package knows namespaces, mounts, system calls and limits. It knows nothing of Nix, Cog or OCI, keeps nothing
//! and prints nothing: a [`Request`] goes in, lines of a log and a [`Finished`] come out.
//!
//! ```text
//! caller ─ Sandbox::run ─▶ stage 1 (the same program, started again; namespaces, ids, mounts)
//!                             └─▶ first process of the new process namespace (supervises, emulates root)
//!                                    └─▶ the requested program
//! ```
//!
//! When the caller dies, a pipe closes, the first process ends, and the kernel ends everything below it: sessions,
//! double forks and all.
//!
//! # Why no library does this
//!
//! hakoniwa is under the LGPL, which a statically linked program cannot honour, and composes no roots. libcontainer is a
//! whole container runtime: it wants a bundle, has its own model of processes, and pins a version of the OCI types.
//! bubblewrap is a separate program that the machine would need, under the LGPL as well. None of them reports changes or
//! emulates owners. What is left is thin: `rustix` and `libc` for the system calls. The system call filter is written
//! here, because seccompiler has no action for user notification.

mod changes;
mod error;
mod inside;
mod kernel;
mod order;
mod record;
mod remedy;
mod request;
mod run;

use std::sync::atomic::{AtomicBool, Ordering};

pub use changes::{Change, Changes, Entry, Kind};
pub use error::SandboxError;
pub use request::{
    Access, Identity, Limits, Lower, Mode, Mount, Network, Request, Secret, SecretPlace, Variation,
};
pub use run::{Finished, Outcome, Sandbox};

/// Whether the running program has said that it can be a sandbox's first process. Another one, started again, would do all
/// that it does once more instead.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Becomes the sandbox's first process if this process was started as one, and returns at once otherwise.
///
/// It is the first line of `main`, before threads, arguments and the environment are looked at: a sandbox is entered by
/// starting the same program again under another name.
pub fn run_if_asked() {
    ASKED.store(true, Ordering::Relaxed);
    if std::env::args_os()
        .next()
        .is_some_and(|name| name == order::NAME)
    {
        inside::enter();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It would run these tests again, and those would run them again.
    #[test]
    fn a_program_that_did_not_ask_is_not_started_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let request = Request::new("/bin/sh", folder.path().join("work"));
        let result = Sandbox::current().run(&request, &|| false, &mut |_| {});
        let error = result.expect_err("refused");
        assert!(error.to_string().contains("run_if_asked"), "{error}");
    }
}
