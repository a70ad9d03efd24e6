//! New namespaces, and the one user and group that exist in them.

use std::fs;

use rustix::process::{getegid, geteuid};
use rustix::thread::{UnshareFlags, set_thread_groups};

use crate::kernel;
use crate::order::{Attempt, Cause, Order, Step};

/// Moves this process into namespaces of its own (BOX-1). The process namespace begins with its next child.
pub(super) fn enter(order: &Order) -> Step<()> {
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        // Root's other groups would open files to the program; an ordinary user's cannot be given up, and open only
        // what that user could open anyway.
        let _ = set_thread_groups(&[]);
    }
    kernel::unshare(UnshareFlags::NEWUSER).or_fail(Cause::UserNamespace, || {
        "making a user namespace".to_owned()
    })?;
    // An ordinary user may map exactly one user and one group, so root does no more: the result is the same for both.
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{} {} 1", order.user.0, uid.as_raw())),
        ("gid_map", format!("{} {} 1", order.user.1, gid.as_raw())),
    ] {
        fs::write(format!("/proc/self/{file}"), text).or_fail(Cause::UserNamespace, || {
            format!("writing {file} of a user namespace")
        })?;
    }
    let mut flags =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if !order.host_network {
        flags |= UnshareFlags::NEWNET;
    }
    kernel::unshare(flags).or_fail(Cause::Namespace, || {
        "making mount, process, network, IPC and host name namespaces".to_owned()
    })?;
    // Only the name of a control group would be seen without it; kernels without control groups refuse it.
    let _ = kernel::unshare(UnshareFlags::NEWCGROUP);
    Ok(())
}
