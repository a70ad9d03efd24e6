//! The last steps before the program: limits, rights, descriptors, and then its own start (BOX-3, BOX-4, LIM-3).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit, setsid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, CpuSet, clear_ambient_capability_set,
    remove_capability_from_bounding_set, sched_getaffinity, sched_setaffinity, set_capabilities,
    set_no_new_privs,
};

use super::{filter, report};
use crate::kernel;
use crate::order::{Attempt, Cause, Order, Report, Step};

/// What root may do inside: the usual set of a container without raw sockets, devices and file capabilities.
const ROOT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT);

/// Starts the program as a child of this process.
pub(super) fn start(order: &Order) -> Step<(Pid, Option<OwnedFd>)> {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .or_fail(Cause::Setup, || "connecting the program".to_owned())?;
    let child = kernel::fork().or_fail(Cause::Setup, || "starting a process".to_owned())?;
    if let Some(child) = child.and_then(Pid::from_raw) {
        drop(theirs);
        let listener = if order.emulate { receive(&ours) } else { None };
        return Ok((child, listener));
    }
    drop(ours);
    if let Err(failure) = become_program(order, &theirs) {
        report(&Report::Failed(failure));
    }
    kernel::exit(127)
}

fn become_program(order: &Order, first: &OwnedFd) -> Step<()> {
    let _ = setsid();
    kernel::default_signals();
    bound(order)?;
    let log = kernel::standard(2)
        .as_fd()
        .try_clone_to_owned()
        .or_fail(Cause::Setup, || "connecting the log".to_owned())?;
    // Reports still go to descriptor 1 until the program takes over; the command puts the log there.
    let mut command = Command::new(&order.program);
    command
        .args(&order.args)
        .env_clear()
        .envs(order.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    rustix::process::chdir(&order.directory).or_fail(Cause::Setup, || {
        format!("entering {}", order.directory.display())
    })?;
    rustix::process::umask(Mode::from_raw_mode(order.umask));
    let status = rustix::io::fcntl_dupfd_cloexec(kernel::standard(1), 3)
        .or_fail(Cause::Setup, || "connecting reports".to_owned())?;
    command.stdout(log);
    drop_rights(order)?;
    let failed = || "filtering system calls".to_owned();
    let program = filter::program(order.emulate);
    if let Some(listener) =
        kernel::filter(&program, order.emulate).or_fail(Cause::Filter, failed)?
    {
        send(first, &listener).or_fail(Cause::Filter, failed)?;
    }
    let error = command.exec();
    // The command may have replaced descriptor 1 already.
    let failure =
        Err::<(), io::Error>(error).or_fail(Cause::Program, || order.program.display().to_string());
    if let Err(failure) = failure {
        let _ = rustix::io::write(&status, &Report::Failed(failure).line());
    }
    kernel::exit(127)
}

/// Passes a descriptor to the first process.
fn send(socket: &OwnedFd, descriptor: &OwnedFd) -> rustix::io::Result<()> {
    let descriptors = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    message.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(
        socket,
        &[io::IoSlice::new(b"l")],
        &mut message,
        SendFlags::empty(),
    )
    .map(drop)
}

/// Takes the descriptor, unless the program's process ended before it could send one.
fn receive(socket: &OwnedFd) -> Option<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut pieces = [io::IoSliceMut::new(&mut byte)];
    while let Err(rustix::io::Errno::INTR) =
        recvmsg(socket, &mut pieces, &mut message, RecvFlags::CMSG_CLOEXEC)
    {}
    message.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    })
}

/// Limits of this process, which its children inherit.
fn bound(order: &Order) -> Step<()> {
    let failed = || "setting limits".to_owned();
    let limit = |resource, bound: u64| {
        let maximum = getrlimit(resource).maximum;
        let bound = maximum.map_or(bound, |maximum| maximum.min(bound));
        setrlimit(
            resource,
            Rlimit {
                current: Some(bound),
                maximum: Some(bound),
            },
        )
    };
    limit(Resource::Core, 0).or_fail(Cause::Setup, failed)?;
    limit(
        Resource::Nproc,
        u64::from(order.processes).saturating_add(2),
    )
    .or_fail(Cause::Setup, failed)?;
    if let Some(memory) = order.memory {
        limit(Resource::As, memory).or_fail(Cause::Setup, failed)?;
    }
    if let Some(disk) = order.disk {
        limit(Resource::Fsize, disk).or_fail(Cause::Setup, failed)?;
    }
    if let Some(cores) = order.cores {
        let allowed = sched_getaffinity(None).or_fail(Cause::Setup, failed)?;
        let mut fewer = CpuSet::new();
        for core in (0..CpuSet::MAX_CPU)
            .filter(|core| allowed.is_set(*core))
            .take(cores.max(1))
        {
            fewer.set(core);
        }
        sched_setaffinity(None, &fewer).or_fail(Cause::Setup, failed)?;
    }
    // Some container runtimes forbid to choose; then addresses are random, which must not matter either.
    let _ = kernel::randomise_addresses(order.random_addresses);
    Ok(())
}

/// Gives up every right that the program does not need, for good.
fn drop_rights(order: &Order) -> Step<()> {
    let failed = || "giving up rights".to_owned();
    let kept = if order.emulate {
        ROOT
    } else {
        CapabilitySet::empty()
    };
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The kernel knows no further one.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error).or_fail(Cause::Setup, failed),
        }
    }
    let _ = clear_ambient_capability_set();
    set_no_new_privs(true).or_fail(Cause::Setup, failed)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        },
    )
    .or_fail(Cause::Setup, failed)
}
