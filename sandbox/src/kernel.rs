//! The system calls that rustix does not have, or not as safe functions.
//!
//! This is where this package needs `unsafe`; nothing here decides anything.
#![expect(
    unsafe_code,
    reason = "namespaces, forks and system call filters have no safe interface; each block says why it holds"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::thread::UnshareFlags;

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// Splits the process. `None` in the child.
///
/// Only for processes with one thread: the child of several could wait for a lock whose holder was not copied.
pub(crate) fn fork() -> io::Result<Option<i32>> {
    // SAFETY: the sandbox's own processes never start a thread, so the child is a whole process.
    let pid = unsafe { libc::fork() };
    checked(libc::c_long::from(pid))?;
    Ok((pid != 0).then_some(pid))
}

/// Ends the process at once, without destructors.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: no memory is touched.
    unsafe { libc::_exit(status) }
}

/// Moves the process into new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: descriptors stay shared; the flag for them is never given.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: called before anything that owns a descriptor from `first` on exists.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) })?;
    Ok(())
}

/// Adds attributes to a mount, and to those below it if `recursive`.
pub(crate) fn restrict_mount(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attributes: u64,
) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is an empty C string, the structure is valid and its size is given.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })?;
    Ok(())
}

/// Switches the loopback interface of this network namespace on.
pub(crate) fn raise_loopback() -> io::Result<()> {
    // SAFETY: a new descriptor, owned by nobody else.
    let socket = unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        checked(libc::c_long::from(socket))?;
        OwnedFd::from_raw_fd(socket)
    };
    // SAFETY: an all-zero request is a valid value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = libc::c_char::try_from(*byte).unwrap_or_default();
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or_default();
    // SAFETY: the request is valid for the whole call, which reads it.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    }))?;
    Ok(())
}

/// A descriptor that is readable when a child has ended; the signal itself is blocked from now on.
pub(crate) fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised before use; the descriptor is new.
    unsafe {
        let mut signals: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut signals);
        libc::sigaddset(&raw mut signals, libc::SIGCHLD);
        checked(libc::c_long::from(libc::sigprocmask(
            libc::SIG_BLOCK,
            &raw const signals,
            std::ptr::null_mut(),
        )))?;
        let descriptor = libc::signalfd(
            -1,
            &raw const signals,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        );
        checked(libc::c_long::from(descriptor))?;
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// Gives every signal its ordinary effect: what the caller ignores, and what the first process waits for in another way,
/// would otherwise be kept from every program inside. CMake, for one, waits for ever without being told of its children.
pub(crate) fn default_signals() {
    // SAFETY: the set is initialised before use.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
    for signal in 1..=64 {
        // SAFETY: no handler is installed. Signals that cannot be changed refuse it.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Whether programs are loaded at random addresses from the next exec on.
pub(crate) fn randomise_addresses(random: bool) -> io::Result<()> {
    let persona = if random { 0 } else { libc::ADDR_NO_RANDOMIZE };
    // SAFETY: no memory is touched.
    checked(libc::c_long::from(unsafe {
        libc::personality(libc::c_ulong::try_from(persona).unwrap_or_default())
    }))?;
    Ok(())
}

/// The standard descriptors of the sandbox's own processes.
pub(crate) fn standard(number: i32) -> BorrowedFd<'static> {
    debug_assert!((0..=2).contains(&number), "only the standard descriptors");
    // SAFETY: the sandbox's own processes are started with all three and never close them.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// What the kernel tells of a file, with another mode and owner.
pub(crate) fn stat_bytes(file: &OwnedFd, mode: u32, uid: u32, gid: u32) -> io::Result<Vec<u8>> {
    // SAFETY: the structure is plain numbers, all zero is valid, and the kernel fills it; afterwards it is read as the
    // bytes it consists of, all of which are initialised.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        checked(libc::c_long::from(libc::fstat(
            file.as_raw_fd(),
            &raw mut stat,
        )))?;
        stat.st_mode = stat.st_mode & libc::S_IFMT | mode;
        stat.st_uid = uid;
        stat.st_gid = gid;
        let bytes =
            std::slice::from_raw_parts((&raw const stat).cast::<u8>(), size_of::<libc::stat>());
        Ok(bytes.to_vec())
    }
}

/// The same in the longer form, with what is in `mask`.
pub(crate) fn statx_bytes(
    file: &OwnedFd,
    flags: i32,
    mask: u32,
    mode: u32,
    uid: u32,
    gid: u32,
) -> io::Result<Vec<u8>> {
    // SAFETY: as above; the path is an empty C string.
    unsafe {
        let mut stat: libc::statx = std::mem::zeroed();
        checked(libc::c_long::from(libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            flags | libc::AT_EMPTY_PATH,
            mask,
            &raw mut stat,
        )))?;
        let kind = u32::from(stat.stx_mode) & libc::S_IFMT;
        stat.stx_mode = u16::try_from(kind | mode).map_err(io::Error::other)?;
        stat.stx_uid = uid;
        stat.stx_gid = gid;
        let bytes =
            std::slice::from_raw_parts((&raw const stat).cast::<u8>(), size_of::<libc::statx>());
        Ok(bytes.to_vec())
    }
}

/// A system call that waits for an answer.
pub(crate) struct Question {
    pub(crate) id: u64,
    pub(crate) thread: u32,
    pub(crate) call: i32,
    pub(crate) arguments: [u64; 6],
}

/// What a waiting system call gets.
pub(crate) enum Answer {
    /// It is done.
    Success,
    /// The kernel does it itself.
    Proceed,
    /// It failed.
    Error(i32),
}

/// Filters this thread's system calls for good; with `supervised`, gives the descriptor on which questions come.
pub(crate) fn filter(
    program: &[libc::sock_filter],
    supervised: bool,
) -> io::Result<Option<OwnedFd>> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut(),
    };
    let install = |flags: libc::c_ulong| {
        // SAFETY: the program is valid for the whole call, which copies it.
        checked(unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        })
    };
    if !supervised {
        install(0)?;
        return Ok(None);
    }
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // Signals that do not kill would break off and repeat a call that is being answered; old kernels cannot prevent it.
    let descriptor =
        install(listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV).or_else(|error| {
            match error.raw_os_error() {
                Some(libc::EINVAL) => install(listener),
                _ => Err(error),
            }
        })?;
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: a new descriptor, owned by nobody else.
    let listener = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // Whoever asks hands its core to whoever answers, which halves the time of an answer; older kernels cannot.
    let sync: u64 = 1;
    // SAFETY: the flags are passed by value.
    unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS as _,
            sync,
        );
    }
    Ok(Some(listener))
}

/// Reads from another process's memory, at most as much as there is.
pub(crate) fn read_memory(thread: u32, address: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: the kernel writes at most `bytes.len()` bytes to where they are; the other address is only a number here.
    transfer(thread, address, &local, |thread, ours, theirs| unsafe {
        libc::process_vm_readv(thread, ours, 1, theirs, 1, 0)
    })
}

/// Writes to another process's memory.
pub(crate) fn write_memory(thread: u32, address: u64, bytes: &[u8]) -> io::Result<usize> {
    let local = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: the kernel reads `bytes`; the other address is only a number here.
    transfer(thread, address, &local, |thread, ours, theirs| unsafe {
        libc::process_vm_writev(thread, ours, 1, theirs, 1, 0)
    })
}

fn transfer(
    thread: u32,
    address: u64,
    local: &libc::iovec,
    call: impl FnOnce(i32, *const libc::iovec, *const libc::iovec) -> isize,
) -> io::Result<usize> {
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(
            usize::try_from(address).map_err(io::Error::other)?,
        ),
        iov_len: local.iov_len,
    };
    let thread = i32::try_from(thread).map_err(io::Error::other)?;
    let count = call(thread, local, &raw const remote);
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Takes the next question.
pub(crate) fn next_question(listener: &OwnedFd) -> io::Result<Question> {
    // SAFETY: the kernel wants it all zero, and fills it with plain numbers.
    let question = unsafe {
        let mut question: libc::seccomp_notif = std::mem::zeroed();
        checked(libc::c_long::from(libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV as _,
            &raw mut question,
        )))?;
        question
    };
    Ok(Question {
        id: question.id,
        thread: question.pid,
        call: question.data.nr,
        arguments: question.data.args,
    })
}

/// Whether the thread that asked still waits.
pub(crate) fn is_waiting(listener: &OwnedFd, id: u64) -> bool {
    // SAFETY: the number is valid for the whole call, which reads it.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _,
            &raw const id,
        )
    };
    result == 0
}

/// Answers a question.
pub(crate) fn answer(listener: &OwnedFd, id: u64, answer: Answer) -> io::Result<()> {
    let (error, flags) = match answer {
        Answer::Success => (0, 0),
        Answer::Proceed => (0, 1),
        Answer::Error(error) => (-error, 0),
    };
    let mut response = libc::seccomp_notif_resp {
        id,
        val: 0,
        error,
        flags,
    };
    // SAFETY: the response is valid for the whole call.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND as _,
            &raw mut response,
        )
    }))?;
    Ok(())
}
