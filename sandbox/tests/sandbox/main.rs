//! Sandboxes, started for real: once as the user who runs the tests and, if that is root, once more as an ordinary user.
//!
//! This test has its own `main`, because a sandbox's first process is the program that asks for it.

#![expect(clippy::print_stdout, reason = "this is a test runner")]

mod changes;
mod escape;
mod limits;
mod network;
mod probes;
mod root;
mod setting;
mod surroundings;
mod visible;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};

/// Marks the second pass, which is not root.
const ORDINARY: &str = "COGNIX_SANDBOX_ORDINARY";
/// A user that owns nothing.
const NOBODY: u32 = 65534;

/// A test and the name it is found by.
pub(crate) type Test = (&'static str, fn());

fn main() -> ExitCode {
    cognix_sandbox::run_if_asked();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, word] = &words[..]
        && first == "--sleep-in-a-sandbox"
    {
        limits::sleep_in_a_sandbox(word);
    }
    let tests = [
        visible::TESTS,
        changes::TESTS,
        root::TESTS,
        network::TESTS,
        limits::TESTS,
        surroundings::TESTS,
        escape::TESTS,
    ]
    .concat();
    let arguments = Arguments::from_args();
    let root = rustix::process::geteuid().is_root();
    let twice = root && std::env::var_os(ORDINARY).is_none() && !arguments.list;
    if !arguments.list {
        let user = if root { "root" } else { "an ordinary user" };
        println!("\nas {user}:");
    }
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let mut failed = conclusion.has_failed();
    if twice {
        let program = std::env::current_exe().expect("the test knows its file");
        let status = Command::new(program)
            .args(&words)
            .env(ORDINARY, "1")
            .current_dir("/")
            .uid(NOBODY)
            .gid(NOBODY)
            .status()
            .expect("the tests start again as an ordinary user");
        failed |= !status.success();
    }
    match failed {
        false => ExitCode::SUCCESS,
        true => ExitCode::FAILURE,
    }
}
