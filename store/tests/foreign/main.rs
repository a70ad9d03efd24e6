//! Foreign programs, built for real, in stores of their own.
//!
//! This test has its own `main`, because a sandbox's first process is the program that asks for it.

#![expect(clippy::print_stdout, reason = "this is a test runner")]

mod bench;
mod building;
mod checking;

use std::process::ExitCode;

/// A test and the name it is found by.
pub(crate) type Test = (&'static str, fn());

fn main() -> ExitCode {
    cognix_sandbox::run_if_asked();
    let tests: Vec<Test> = [building::TESTS, checking::TESTS].concat();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
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
    let mut failed = 0;
    for (name, test) in tests {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let started = std::time::Instant::now();
        let good = std::panic::catch_unwind(test).is_ok();
        failed += usize::from(!good);
        let word = if good { "ok" } else { "FAILED" };
        let seconds = started.elapsed().as_secs_f32();
        println!("test {name} ... {word} ({seconds:.1} s)");
    }
    println!("\n{failed} failed");
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
