//! The filter for system calls, as a program for the kernel (BOX-4).
//!
//! What namespaces and missing capabilities do not refuse already, and what is no business of a build: making namespaces
//! and mounts, kernel features with a history, other ways of calling the kernel, addresses that are not in a network
//! namespace. What tells of extended attributes answers that there are none, because no output can hold them. System
//! calls that are younger than this list do not exist inside.
//!
//! It is written here, because seccompiler has no action for notifying a supervisor.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W,
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_USER_NOTIF, c_long,
    sock_filter,
};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;
/// System calls of another size of pointers (x32) have this bit.
const OTHER_SIZE: u32 = 0x4000_0000;
/// The first system call that is younger than this list: those that set attributes of files by path.
const UNKNOWN: u32 = 463;
const FCHMODAT2: c_long = 452;

const SET_ID: u32 = 0o6000;
const NAMESPACES: u32 = 0x7e02_0080;
const CREATING: u32 = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)).cast_unsigned();
/// Local sockets, the two internet protocols and the kernel's own: others are not bound to a network namespace, or
/// nobody builds with them.
const FAMILIES: [i32; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];
/// Ioctls that put words into a terminal's mouth.
const TERMINAL: [u32; 2] = [0x5412, 0x541c];

/// Refused with "operation not permitted".
const REFUSED: &[c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS__sysctl,
];

/// Answered with this error, or with success where it is 0.
const ANSWERED: &[(c_long, i32)] = &[
    // Their arguments lie in memory, where a filter cannot see them; the older calls are used instead.
    (libc::SYS_clone3, libc::ENOSYS),
    (libc::SYS_openat2, libc::ENOSYS),
    (libc::SYS_setxattr, libc::ENOTSUP),
    (libc::SYS_lsetxattr, libc::ENOTSUP),
    (libc::SYS_fsetxattr, libc::ENOTSUP),
    (libc::SYS_getxattr, libc::ENODATA),
    (libc::SYS_lgetxattr, libc::ENODATA),
    (libc::SYS_fgetxattr, libc::ENODATA),
    (libc::SYS_removexattr, libc::ENODATA),
    (libc::SYS_lremovexattr, libc::ENODATA),
    (libc::SYS_fremovexattr, libc::ENODATA),
    (libc::SYS_listxattr, 0),
    (libc::SYS_llistxattr, 0),
    (libc::SYS_flistxattr, 0),
    // The caller's own further groups, which an ordinary user cannot give up, are nobody's business.
    (libc::SYS_getgroups, 0),
];

/// Changes of identity, which succeed for an emulated root: there is nobody else to become.
const IDENTITIES: &[c_long] = &[
    libc::SYS_setfsgid,
    libc::SYS_setfsuid,
    libc::SYS_setgid,
    libc::SYS_setgroups,
    libc::SYS_setregid,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_setreuid,
    libc::SYS_setuid,
];

/// What the supervisor answers for an emulated root.
pub(super) const SUPERVISED: &[c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_chroot,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
];

/// Which argument of a call is a mode.
const MODES: &[(c_long, u32)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, 1),
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (FCHMODAT2, 2),
];

/// Which arguments of a call are flags and a mode, of which the mode counts if something is made.
const OPENING: &[(c_long, u32, u32)] = &[
    (libc::SYS_openat, 2, 3),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1, 2),
];

/// Calls that make something of a kind and a mode.
const MAKING: &[(c_long, u32)] = &[
    (libc::SYS_mknodat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1),
];

/// The filter; `emulate` for a root whose owners a supervisor keeps.
pub(super) fn program(emulate: bool) -> Vec<sock_filter> {
    let refuse = errno(libc::EPERM);
    let mut program = Vec::new();
    program.push(load(4));
    program.extend([
        jump(BPF_JEQ, ARCHITECTURE, 1, 0),
        answer(SECCOMP_RET_KILL_PROCESS),
    ]);
    program.push(load(0));
    program.extend([jump(BPF_JGE, OTHER_SIZE, 0, 1), answer(errno(libc::ENOSYS))]);
    program.extend([jump(BPF_JGE, UNKNOWN, 0, 1), answer(errno(libc::ENOSYS))]);
    for &(call, flags, mode) in OPENING {
        when(
            &mut program,
            call,
            &[
                argument(flags),
                jump(BPF_JSET, CREATING, 0, 3),
                argument(mode),
                jump(BPF_JSET, SET_ID, 0, 1),
                answer(refuse),
                answer(SECCOMP_RET_ALLOW),
            ],
        );
    }
    #[cfg(target_arch = "x86_64")]
    when(
        &mut program,
        libc::SYS_creat,
        &[
            argument(1),
            jump(BPF_JSET, SET_ID, 0, 1),
            answer(refuse),
            answer(SECCOMP_RET_ALLOW),
        ],
    );
    for &(call, kind) in MAKING {
        when(
            &mut program,
            call,
            &[
                argument(kind),
                jump(BPF_JSET, SET_ID, 4, 0),
                and(libc::S_IFMT),
                jump(BPF_JEQ, libc::S_IFCHR, 2, 0),
                jump(BPF_JEQ, libc::S_IFBLK, 1, 0),
                answer(SECCOMP_RET_ALLOW),
                answer(refuse),
            ],
        );
    }
    when(
        &mut program,
        libc::SYS_clone,
        &[
            argument(0),
            jump(BPF_JSET, NAMESPACES, 0, 1),
            answer(refuse),
            answer(SECCOMP_RET_ALLOW),
        ],
    );
    when(
        &mut program,
        libc::SYS_ioctl,
        &[
            argument(1),
            jump(BPF_JEQ, TERMINAL[0], 1, 0),
            jump(BPF_JEQ, TERMINAL[1], 0, 1),
            answer(refuse),
            answer(SECCOMP_RET_ALLOW),
        ],
    );
    let mut families = vec![argument(0)];
    for (left, family) in (0..FAMILIES.len()).rev().zip(FAMILIES) {
        let allow = u8::try_from(left + 1).unwrap_or(u8::MAX);
        families.push(jump(BPF_JEQ, family.cast_unsigned(), allow, 0));
    }
    families.extend([answer(errno(libc::EAFNOSUPPORT)), answer(SECCOMP_RET_ALLOW)]);
    when(&mut program, libc::SYS_socket, &families);
    when(&mut program, libc::SYS_socketpair, &families);
    for &call in REFUSED {
        when(&mut program, call, &[answer(refuse)]);
    }
    for &(call, error) in ANSWERED {
        when(&mut program, call, &[answer(errno(error))]);
    }
    if emulate {
        for &call in SUPERVISED {
            when(&mut program, call, &[answer(SECCOMP_RET_USER_NOTIF)]);
        }
        for &call in IDENTITIES {
            when(&mut program, call, &[answer(errno(0))]);
        }
    } else {
        for &(call, mode) in MODES {
            when(
                &mut program,
                call,
                &[
                    argument(mode),
                    jump(BPF_JSET, SET_ID, 0, 1),
                    answer(refuse),
                    answer(SECCOMP_RET_ALLOW),
                ],
            );
        }
    }
    program.push(answer(SECCOMP_RET_ALLOW));
    program
}

/// Runs `body`, which always answers, for one call.
fn when(program: &mut Vec<sock_filter>, call: c_long, body: &[sock_filter]) {
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let call = u32::try_from(call).unwrap_or(u32::MAX);
    program.push(jump(BPF_JEQ, call, 0, length));
    program.extend_from_slice(body);
}

fn statement(code: u32, value: u32) -> sock_filter {
    sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt: 0,
        jf: 0,
        k: value,
    }
}

fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

/// The lower half of an argument: everything that is looked at has 32 bits.
fn argument(number: u32) -> sock_filter {
    load(16 + 8 * number)
}

fn and(mask: u32) -> sock_filter {
    statement(BPF_ALU | BPF_AND | BPF_K, mask)
}

fn answer(action: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, action)
}

fn errno(error: i32) -> u32 {
    SECCOMP_RET_ERRNO | error.cast_unsigned()
}

fn jump(test: u32, value: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter {
        jt: yes,
        jf: no,
        ..statement(BPF_JMP | test | BPF_K, value)
    }
}
