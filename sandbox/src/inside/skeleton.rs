//! What every root has: `/dev`, `/proc` and `/sys`, each with no more than a build needs (BOX-2).

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, open_tree,
};

use super::root::{attach, clone_tree, point};
use crate::kernel;
use crate::order::{Attempt, Cause, Order, Step};

/// Devices that hold no state and tell nothing of the machine.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// Parts of `/proc` that tell of the machine or let one change it; those of them that exist are covered.
const COVERED: [&str; 14] = [
    "acpi",
    "asound",
    "interrupts",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "latency_stats",
    "sched_debug",
    "scsi",
    "sysrq-trigger",
    "timer_list",
    "timer_stats",
];
/// Parts of `/proc` that can be read. A real root inside is the host's root for their permissions.
const READ_ONLY: [&str; 4] = ["bus", "fs", "irq", "sys"];

/// Mounts the skeleton into the root; returns the mount points that were made.
pub(super) fn mount(root: &OwnedFd, order: &Order) -> Step<Vec<OsString>> {
    let mut made = Vec::new();
    let mut place = |name: &str| point(root, OsStr::new(name), true, &mut made);
    let (dev, sys, proc) = (place("/dev")?, place("/sys")?, place("/proc")?);
    devices(&dev, root)?;
    let empty = file_system("tmpfs", &[("mode", "0555"), ("size", "4k")], true)?;
    attach(&empty, &sys).or_fail(Cause::Mount, || "mounting an empty /sys".to_owned())?;
    processes(&proc, root, order)?;
    Ok(made)
}

fn devices(dev: &OwnedFd, root: &OwnedFd) -> Step<()> {
    let failed = || "making /dev".to_owned();
    let tree = file_system(
        "tmpfs",
        &[("mode", "0755"), ("size", "1m"), ("nr_inodes", "4096")],
        false,
    )?;
    attach(&tree, dev).or_fail(Cause::Mount, failed)?;
    let dev = point(root, OsStr::new("/dev"), true, &mut Vec::new())?;
    for name in DEVICES {
        let device = clone_tree(OsStr::new(&format!("/dev/{name}")))?;
        let place = file(&dev, name)?;
        attach(&device, &place).or_fail(Cause::Mount, || format!("binding /dev/{name}"))?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlinkat(target, &dev, name).or_fail(Cause::Mount, failed)?;
    }
    let pts = file_system("devpts", &[("ptmxmode", "0666"), ("mode", "0620")], false)?;
    let shm = file_system("tmpfs", &[("mode", "1777")], false)?;
    for (name, tree) in [("pts", pts), ("shm", shm)] {
        mkdirat(&dev, name, Mode::from_raw_mode(0o755)).or_fail(Cause::Mount, failed)?;
        let place = open(&dev, name).or_fail(Cause::Mount, failed)?;
        attach(&tree, &place).or_fail(Cause::Mount, || format!("mounting /dev/{name}"))?;
    }
    Ok(())
}

fn processes(place: &OwnedFd, root: &OwnedFd, order: &Order) -> Step<()> {
    let tree = file_system("proc", &[], false)?;
    attach(&tree, place).or_fail(Cause::Proc, || "mounting /proc".to_owned())?;
    let proc = point(root, OsStr::new("/proc"), true, &mut Vec::new())?;
    limit_processes(&proc, order)?;
    if let Some(first) = order.first_pid {
        let last = first.saturating_sub(1).max(1);
        write(&proc, "sys/kernel/ns_last_pid", last).or_fail(Cause::Proc, || {
            "choosing the number of the first process".to_owned()
        })?;
    }
    let failed = || "covering parts of /proc".to_owned();
    for name in READ_ONLY {
        let Ok(place) = open(&proc, name) else {
            continue;
        };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        let tree = open_tree(&proc, name, flags).or_fail(Cause::Proc, failed)?;
        kernel::restrict_mount(tree.as_fd(), true, libc::MOUNT_ATTR_RDONLY)
            .or_fail(Cause::Proc, failed)?;
        attach(&tree, &place).or_fail(Cause::Proc, failed)?;
    }
    for name in COVERED {
        let Ok(place) = open(&proc, name) else {
            continue;
        };
        let cover = if openat(
            &proc,
            name,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .is_ok()
        {
            file_system("tmpfs", &[("mode", "0555"), ("size", "4k")], true)?
        } else {
            clone_tree(OsStr::new("/dev/null"))?
        };
        attach(&cover, &place).or_fail(Cause::Proc, failed)?;
    }
    Ok(())
}

/// The namespace's own bound on process numbers is a bound on processes that even the host's root cannot pass (LIM-3).
fn limit_processes(proc: &OwnedFd, order: &Order) -> Step<()> {
    // Numbers start again at 300 and the bound itself is not given out; the first process is not the program's.
    let bound = order.processes.saturating_add(2).max(301);
    let result = write(proc, "sys/kernel/pid_max", bound);
    if result.is_ok() || order.counted {
        return Ok(());
    }
    // The kernel's bound per user holds for everyone but the host's root.
    if order.host_root {
        return result.or_fail(Cause::ProcessCount, || {
            format!("limiting the number of processes to {}", order.processes)
        });
    }
    Ok(())
}

fn write(proc: &OwnedFd, path: &str, value: u32) -> rustix::io::Result<()> {
    let file = openat(proc, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, value.to_string().as_bytes()).map(drop)
}

fn open(folder: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    openat(
        folder,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn file(folder: &OwnedFd, name: &str) -> Step<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::from_raw_mode(0o644))
        .and_then(|_| open(folder, name))
        .or_fail(Cause::Mount, || format!("making /dev/{name}"))
}

/// A new file system that is mounted nowhere yet.
fn file_system(name: &str, options: &[(&str, &str)], read_only: bool) -> Step<OwnedFd> {
    let cause = if name == "proc" {
        Cause::Proc
    } else {
        Cause::Mount
    };
    let make = || {
        let context = fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in options {
            fsconfig_set_string(context.as_fd(), *key, *value)?;
        }
        if name == "devpts" {
            fsconfig_set_flag(context.as_fd(), "newinstance")?;
        }
        fsconfig_create(context.as_fd())?;
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        if name != "devpts" {
            attributes |= MountAttrFlags::MOUNT_ATTR_NODEV;
        }
        if read_only {
            attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
        }
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    make().or_fail(cause, || format!("mounting {name}"))
}
