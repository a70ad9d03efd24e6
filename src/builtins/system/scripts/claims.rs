//! What the rules do for single packages: programs that mean something there and would mean something else elsewhere.
//!
//! A claim names the programs that it covers, so a later version of a script that calls another one is noticed. That the
//! rules leave the same files behind is what the comparison with Debian's own tools shows.

use super::{Verdict, commands};
use crate::builtins::system::shell::{Effect, pattern_matches};

/// The name under which a claim covers files that are written by the script itself.
const WRITES: &str = ">";
/// The name under which a claim covers programs whose name is not known: hooks, filters.
const UNKNOWN: &str = "?";

struct Claim {
    /// A pattern of package names.
    package: &'static str,
    /// What of its scripts is covered.
    programs: &'static [&'static str],
    verdict: Verdict,
}

const fn rule(
    package: &'static str,
    programs: &'static [&'static str],
    rule: &'static str,
) -> Claim {
    Claim {
        package,
        programs,
        verdict: Verdict::Rule(rule),
    }
}

const fn left_out(
    package: &'static str,
    programs: &'static [&'static str],
    reason: &'static str,
) -> Claim {
    Claim {
        package,
        programs,
        verdict: Verdict::LeftOut(reason),
    }
}

const MARK: &str = "a mark by which its own scripts know that they have compiled Python files";

static CLAIMS: &[Claim] = &[
    rule(
        "base-files",
        &[WRITES, "chmod", "chown", "cp", "ln", "mkdir", "rmdir"],
        "files of the base system",
    ),
    rule(
        "base-passwd",
        &["chmod", "cp", "update-passwd"],
        "users and groups",
    ),
    left_out(
        "base-passwd",
        &[WRITES, "rm"],
        "comparison with the users of an older system: there is none",
    ),
    rule(
        "ca-certificates",
        &[WRITES, "chgrp", "chmod", "chown", "mkdir", "mv", "rm"],
        "certificates",
    ),
    rule("dash", &["cp", "ln", "mv", "rm", "touch"], "diversions"),
    rule("debianutils", &["cp"], "shells"),
    left_out("dpkg", &["mv"], "repair of an old database: it is new"),
    rule(
        "fontconfig-config",
        &["chmod", "chown", "ln", "mkdir", "rm"],
        "settings of fontconfig",
    ),
    rule("libc-bin", &["cp"], "name services"),
    rule("libpam-modules", &["touch"], "files of PAM"),
    rule("libpam-runtime", &["rm"], "lists of PAM"),
    rule(
        "login",
        &["chmod", "chown", "touch"],
        "files of the base system",
    ),
    rule(
        "netbase",
        &[WRITES],
        "/etc/networks; /etc/hosts is the runtime's",
    ),
    rule("openssl", &["ln"], "certificates"),
    left_out("python3.*-minimal", &["touch", "rm"], MARK),
    left_out("python3.*-minimal", &[UNKNOWN], commands::BYTECODE),
    rule("usr-is-merged", &["rm", "rmdir"], "merged /usr"),
    rule(
        "python3.*-minimal",
        &["chmod", "chown", "mkdir"],
        "directories of Python",
    ),
    rule("readline-common", &["cp", "ln"], "/etc/inputrc"),
    rule(
        "tzdata",
        &[WRITES, "cp", "ln", "mv", "rm"],
        "the time zone, which is UTC",
    ),
];

/// What is known about an effect because this package has it.
pub(super) fn verdict(package: &str, effect: &Effect) -> Option<Verdict> {
    let program = match effect {
        Effect::Call(words) => words.first()?.as_deref().unwrap_or(UNKNOWN),
        Effect::Write(_) => WRITES,
        Effect::Unfollowed => return None,
    };
    let claim = CLAIMS.iter().find(|claim| {
        pattern_matches(claim.package, package) && claim.programs.contains(&program)
    })?;
    Some(claim.verdict.clone())
}
