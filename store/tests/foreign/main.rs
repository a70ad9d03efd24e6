//! Foreign programs, built for real, in stores of their own.
//!
//! This test has its own `main`, because a sandbox's first process is the program that asks for it.

mod bench;
mod building;
mod checking;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A test and the name it is found by.
pub(crate) type Test = (&'static str, fn());

fn main() -> ExitCode {
    cognix_sandbox::run_if_asked();
    let tests = [building::TESTS, checking::TESTS].concat().into_iter();
    let trials = tests.map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
