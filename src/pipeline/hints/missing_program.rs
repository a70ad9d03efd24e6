//! A command that calls a program which the image does not have, and what to do about it.
//!
//! Images of Cog begin with a whole Debian; images made here have what they ask for.

use cognix_store::build::foreign::ForeignError;
use cognix_store::realise::StepError;
use cognix_store::{BuildError, RealiseError};

/// Programs that are called otherwise than the Debian package that has them.
const PACKAGES: [(&str, &[&str]); 15] = [
    ("adduser", &["addgroup", "deluser"]),
    ("aria2", &["aria2c"]),
    ("gcc", &["cc"]),
    ("g++", &["c++"]),
    ("inetutils-ping", &["ping"]),
    ("iproute2", &["ip", "ss"]),
    ("locales", &["locale-gen", "update-locale"]),
    ("netcat-openbsd", &["nc", "netcat"]),
    (
        "openssh-client",
        &["ssh", "scp", "ssh-keygen", "ssh-keyscan"],
    ),
    ("p7zip-full", &["7z"]),
    (
        "passwd",
        &[
            "chpasswd", "groupadd", "groupdel", "groupmod", "useradd", "userdel", "usermod",
        ],
    ),
    ("procps", &["free", "pgrep", "pkill", "ps", "sysctl", "top"]),
    ("bzip2", &["bunzip2", "bzcat"]),
    ("util-linux", &["lscpu", "mount", "runuser", "su"]),
    ("xz-utils", &["unxz", "xz"]),
];

/// Programs that install Debian packages.
const INSTALLERS: [&str; 6] = [
    "add-apt-repository",
    "apt",
    "apt-cache",
    "apt-get",
    "apt-key",
    "aptitude",
];

/// What to do where the shell says that there is no such program.
pub(super) fn hint(error: &RealiseError) -> Option<String> {
    let RealiseError::Failed { source, .. } = error else {
        return None;
    };
    let StepError::Build(BuildError::Foreign(ForeignError::Ended { log, .. })) = source else {
        return None;
    };
    let program = log.iter().rev().find_map(|line| missing(line))?;
    Some(advice(program))
}

/// The program that a shell has not found: `/bin/sh: 1: NAME: not found`, `bash: line 1: NAME: command not found`.
fn missing(line: &str) -> Option<&str> {
    let before = line
        .strip_suffix(": command not found")
        .or_else(|| line.strip_suffix(": not found"))?;
    let (place, name) = before.rsplit_once(": ")?;
    let is_shell =
        place.contains("sh: ") && !name.is_empty() && !name.contains(char::is_whitespace);
    is_shell.then_some(name)
}

fn advice(program: &str) -> String {
    if INSTALLERS.contains(&program) {
        return format!(
            "{program} is not there: packages of Debian belong into build.system_packages, which the lock pins"
        );
    }
    if program.starts_with("pip") {
        return "pip is not there: a line `pip` in the requirements brings it".to_owned();
    }
    let other = PACKAGES
        .iter()
        .find(|(_, programs)| programs.contains(&program));
    let package = other.map_or(program, |(package, _)| package);
    if program.contains('/') {
        return format!(
            "{program} is not in the image; the package that has it belongs into build.system_packages"
        );
    }
    format!("the image has no {program}; build.system_packages: [{package}] may bring it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_say_what_they_do_not_find() {
        for (line, expected) in [
            ("/bin/sh: 1: useradd: not found", Some("useradd")),
            ("sh: 3: apt-get: not found", Some("apt-get")),
            ("bash: line 1: git: command not found", Some("git")),
            (
                "/opt/x.sh: line 7: ./configure: command not found",
                Some("./configure"),
            ),
            ("error: package numpy: not found", None),
            ("/bin/sh: 1: cannot open a: No such file", None),
            (": not found", None),
        ] {
            assert_eq!(missing(line), expected, "{line}");
        }
    }

    #[test]
    fn the_package_is_named_as_debian_names_it() {
        assert!(advice("useradd").contains("[passwd]"));
        assert!(advice("cmake").contains("[cmake]"));
        assert!(advice("apt-get").contains("build.system_packages"));
        assert!(advice("pip3").contains("requirements"));
    }
}
