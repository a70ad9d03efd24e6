//! The first process of the process namespace: builds the root, starts the program, reaps, and ends everything when the
//! caller's pipe closes (BOX-5).
//!
//! It cannot be traced, read or stopped from inside: it is not dumpable, and a first process gets no signal that it does
//! not ask for.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{DumpableBehavior, Pid, WaitOptions, set_dumpable_behavior, setsid, wait};

use super::emulation::Emulation;
use super::{program, report, root};
use crate::kernel;
use crate::order::{Attempt, Cause, Order, Report, Step};

/// Becomes the first process.
pub(super) fn run(order: &Order) -> ! {
    if let Err(failure) = supervise(order) {
        report(&Report::Failed(failure));
    }
    // The kernel now kills whatever is left in the namespace.
    kernel::exit(0)
}

fn supervise(order: &Order) -> Step<()> {
    // Rights that files are made with are those that are asked for.
    rustix::process::umask(rustix::fs::Mode::empty());
    let _ = setsid();
    let _ = rustix::thread::set_name(c"init");
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .or_fail(Cause::Setup, || "closing the first process".to_owned())?;
    let upper = root::enter(order)?;
    rustix::system::sethostname(b"localhost")
        .or_fail(Cause::Namespace, || "setting the host name".to_owned())?;
    rustix::system::setdomainname(b"(none)")
        .or_fail(Cause::Namespace, || "setting the domain name".to_owned())?;
    if !order.host_network {
        kernel::raise_loopback().or_fail(Cause::Network, || {
            "switching on the loopback interface".to_owned()
        })?;
    }
    let signals =
        kernel::child_signals().or_fail(Cause::Setup, || "watching processes".to_owned())?;
    let (child, listener) = program::start(order)?;
    let mut emulation = listener.map(|listener| Emulation::new(listener, order, upper));
    loop {
        let stdin = kernel::standard(0);
        let mut events = vec![
            PollFd::new(&stdin, PollFlags::IN),
            PollFd::new(&signals, PollFlags::IN),
        ];
        if let Some(emulation) = &emulation {
            events.push(PollFd::new(emulation.listener(), PollFlags::IN));
        }
        if poll(&mut events, None).is_err() {
            continue;
        }
        let ready: Vec<PollFlags> = events.iter().map(PollFd::revents).collect();
        if !ready[0].is_empty() {
            return Ok(());
        }
        if !ready[1].is_empty() {
            let mut information = [0; 128];
            let _ = rustix::io::read(&signals, &mut information);
            if let Some(status) = reap(child) {
                report(&Report::Ended(status));
                return Ok(());
            }
        }
        let more = match (&emulation, ready.get(2)) {
            (Some(emulation), Some(ready)) if ready.contains(PollFlags::IN) => emulation.answer(),
            (_, Some(ready)) => ready.is_empty(),
            _ => true,
        };
        if !more {
            emulation = None;
        }
    }
}

/// Takes every ended child; the wait status of the program if it is among them.
fn reap(program: Pid) -> Option<i32> {
    let mut ended = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == program {
            ended = Some(status.as_raw());
        }
    }
    ended
}
