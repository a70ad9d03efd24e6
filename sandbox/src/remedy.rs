//! What a refusal of the machine means, and what to change there (BOX-7).

use std::fs;
use std::io;
use std::path::Path;

use crate::error::SandboxError;
use crate::order::{Cause, Failure};

/// What is known of the machine when something is refused.
#[derive(Debug, Default, Clone, Copy)]
struct Machine {
    /// Debian's switch for user namespaces is off.
    userns_off: bool,
    /// No user namespace may be made.
    userns_none: bool,
    /// AppArmor takes the rights in a user namespace from programs without a profile.
    apparmor: bool,
    /// This process runs under a filter for system calls, or in a container.
    contained: bool,
}

impl Machine {
    fn look() -> Self {
        let is = |path: &str, value: &str| {
            fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
        };
        let filtered = fs::read_to_string("/proc/self/status")
            .is_ok_and(|text| text.lines().any(|line| line == "Seccomp:\t2"));
        Self {
            userns_off: is("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            userns_none: is("/proc/sys/user/max_user_namespaces", "0"),
            apparmor: is(
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1",
            ),
            contained: filtered
                || Path::new("/.dockerenv").exists()
                || Path::new("/run/.containerenv").exists(),
        }
    }
}

impl From<Failure> for SandboxError {
    fn from(failure: Failure) -> Self {
        explain(failure, Machine::look())
    }
}

fn explain(failure: Failure, machine: Machine) -> SandboxError {
    let source = io::Error::from_raw_os_error(failure.errno);
    let old = failure.errno == libc::ENOSYS;
    match failure.cause {
        Cause::Program => SandboxError::Program {
            program: failure.attempted,
            source,
        },
        Cause::Setup if !old => SandboxError::Setup {
            attempted: failure.attempted,
            source,
        },
        cause => SandboxError::Unavailable {
            missing: format!("{} is refused", failure.attempted),
            remedy: remedy(cause, old, machine).to_owned(),
            source,
        },
    }
}

fn remedy(cause: Cause, old: bool, machine: Machine) -> &'static str {
    match cause {
        _ if old => "it needs Linux 5.12 or newer, not a kernel that is imitated",
        Cause::Proc if machine.contained => {
            "parts of /proc are covered here, as container runtimes do; start this container with all of it: \
             `--security-opt systempaths=unconfined` for Docker, `--security-opt unmask=ALL` for Podman, \
             `procMount: Unmasked` for Kubernetes"
        }
        Cause::ProcessCount => {
            "only Linux 6.14 or newer bounds the processes of its root; update it, give this user a control group \
             with the controller `pids`, or run as an ordinary user"
        }
        Cause::Filter => {
            "the kernel needs filters for system calls with user notification (CONFIG_SECCOMP_FILTER)"
        }
        _ if machine.userns_none => {
            "user namespaces are switched off; allow them: `sysctl user.max_user_namespaces=10000`"
        }
        _ if machine.userns_off => {
            "user namespaces are switched off for ordinary users; allow them: \
             `sysctl kernel.unprivileged_userns_clone=1`"
        }
        _ if machine.apparmor => {
            "AppArmor keeps programs without a profile from using user namespaces; give this program a profile that \
             says `userns,`, or allow all: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
        }
        _ if machine.contained => {
            "this container forbids it; start it with a filter that allows `unshare`, `mount` and `pivot_root`: \
             `--security-opt seccomp=unconfined --security-opt apparmor=unconfined` for Docker and Podman"
        }
        _ => {
            "the kernel needs user, mount, process and network namespaces (CONFIG_USER_NS, CONFIG_PID_NS, \
             CONFIG_NET_NS), and a security module must not forbid them"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cause: Cause, errno: i32, machine: Machine, expected: &str) {
        let failure = Failure {
            cause,
            attempted: "making a user namespace".to_owned(),
            errno,
        };
        let text = explain(failure, machine).to_string();
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn box_7_a_refusal_names_what_to_change() {
        let plain = Machine::default();
        let off = Machine {
            userns_off: true,
            ..plain
        };
        let none = Machine {
            userns_none: true,
            ..plain
        };
        let apparmor = Machine {
            apparmor: true,
            ..plain
        };
        let contained = Machine {
            contained: true,
            ..plain
        };
        let refused = libc::EPERM;
        check(
            Cause::UserNamespace,
            refused,
            off,
            "kernel.unprivileged_userns_clone=1",
        );
        check(
            Cause::UserNamespace,
            libc::ENOSPC,
            none,
            "user.max_user_namespaces=",
        );
        check(
            Cause::Mount,
            libc::EACCES,
            apparmor,
            "kernel.apparmor_restrict_unprivileged_userns=0",
        );
        check(Cause::Namespace, refused, contained, "seccomp=unconfined");
        check(Cause::Proc, refused, contained, "systempaths=unconfined");
        check(Cause::UserNamespace, refused, plain, "CONFIG_USER_NS");
        check(Cause::Setup, libc::ENOSYS, plain, "Linux 5.12");
        check(Cause::Filter, libc::EINVAL, plain, "CONFIG_SECCOMP_FILTER");
        check(Cause::ProcessCount, libc::EACCES, plain, "control group");
        check(
            Cause::UserNamespace,
            refused,
            off,
            "this machine allows no sandbox: making a user namespace is refused",
        );
    }
}
