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
use std::sync::atomic::{AtomicUsize, Ordering};

/// Marks the second pass, which is not root.
const ORDINARY: &str = "COGNIX_SANDBOX_ORDINARY";
/// A user that owns nothing.
const NOBODY: u32 = 65534;

/// A test and the name it is found by.
pub(crate) type Test = (&'static str, fn());

fn main() -> ExitCode {
    cognix_sandbox::run_if_asked();
    let tests: Vec<Test> = [
        visible::TESTS,
        changes::TESTS,
        root::TESTS,
        network::TESTS,
        limits::TESTS,
        surroundings::TESTS,
        escape::TESTS,
    ]
    .concat();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, word] = &arguments[..]
        && first == "--sleep-in-a-sandbox"
    {
        limits::sleep_in_a_sandbox(word);
    }
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in &tests {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let chosen: Vec<Test> = tests
        .into_iter()
        .filter(|(name, _)| {
            wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
        })
        .collect();
    let failed = run_all(&chosen);
    let user = if rustix::process::geteuid().is_root() {
        "root"
    } else {
        "an ordinary user"
    };
    println!(
        "\nas {user}: {} passed, {failed} failed",
        chosen.len() - failed
    );
    let mut good = failed == 0;
    if rustix::process::geteuid().is_root() && std::env::var_os(ORDINARY).is_none() {
        let program = std::env::current_exe().expect("the test knows its file");
        let status = Command::new(program)
            .args(&arguments)
            .env(ORDINARY, "1")
            .current_dir("/")
            .uid(NOBODY)
            .gid(NOBODY)
            .status()
            .expect("the tests start again as an ordinary user");
        good &= status.success();
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_all(tests: &[Test]) -> usize {
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((name, test)) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = std::time::Instant::now();
                    let good = std::panic::catch_unwind(test).is_ok();
                    failed.fetch_add(usize::from(!good), Ordering::Relaxed);
                    let word = if good { "ok" } else { "FAILED" };
                    println!(
                        "test {name} ... {word} ({:.1} s)",
                        started.elapsed().as_secs_f32()
                    );
                }
            });
        }
    });
    failed.into_inner()
}
