//! The sandbox's own processes, from the start to the program.
//!
//! Stage 1 is the caller's program, started again: one thread, no environment, three descriptors. It makes the
//! namespaces and waits. Its child is the first process of the new process namespace and does everything else. Both end
//! when the caller's pipe closes. Nothing here prints: what goes wrong is reported on the pipe that stage 1 got as its
//! standard output.

mod emulation;
mod filter;
mod first;
mod namespaces;
mod program;
mod root;
mod skeleton;

use std::io;

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::kernel;
use crate::order::{Attempt, Cause, Order, Report, Step};

/// Where reports go.
const STATUS: i32 = 1;

/// Becomes stage 1.
pub(crate) fn enter() -> ! {
    let status = match stage_one() {
        Ok(status) => status,
        Err(failure) => {
            report(&Report::Failed(failure));
            1
        }
    };
    kernel::exit(status)
}

fn stage_one() -> Step<i32> {
    kernel::close_from(3).or_fail(Cause::Setup, || "closing descriptors".to_owned())?;
    let order = Order::receive(&mut io::stdin().lock())
        .or_fail(Cause::Setup, || "reading the order".to_owned())?;
    namespaces::enter(&order)?;
    let child = kernel::fork().or_fail(Cause::Namespace, || {
        "starting the first process of a process namespace".to_owned()
    })?;
    let Some(child) = child else {
        first::run(&order);
    };
    report(&Report::First(child));
    // Its end is the end of every process in its namespace: the kernel waits for them before it lets go of the first.
    while let Err(rustix::io::Errno::INTR) = waitpid(Pid::from_raw(child), WaitOptions::empty()) {}
    Ok(0)
}

/// Tells the caller. If it is gone, there is nobody to tell.
fn report(report: &Report) {
    let mut line = &report.line()[..];
    while !line.is_empty() {
        match rustix::io::write(kernel::standard(STATUS), line) {
            Ok(written) => line = &line[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
