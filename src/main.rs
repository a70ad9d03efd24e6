//! The program: arguments in, exit status out.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: a sandbox is entered by starting this program again.
    cognix_sandbox::run_if_asked();
    ExitCode::from(cognix::cli::run())
}
