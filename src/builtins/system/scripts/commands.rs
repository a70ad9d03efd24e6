//! Programs that scripts call, and what becomes of the calls whatever package makes them.

use super::Verdict;
use crate::builtins::system::{
    diversions,
    shell::{Found, Text, World},
};

/// Why questions are left out.
pub(super) const DEBCONF: &str =
    "questions of debconf: every answer is its default, and none is kept";
const SERVICES: &str = "services: nothing starts them in an image";
pub(super) const BYTECODE: &str =
    "compiled Python files: the image's bytecode is made apart, or not at all where it has none";
const KERNEL: &str = "settings of the kernel and of devices: an image has neither";
const CLEAN: &str = "clean-up of what an older version left behind: there is none";

/// Programs that only look, print or wait, and words of the shell itself.
const HARMLESS: [&str; 66] = [
    "[",
    "arch",
    "awk",
    "basename",
    "cat",
    "cd",
    "cmp",
    "command",
    "comm",
    "cut",
    "date",
    "debug",
    "df",
    "diff",
    "dirname",
    "dpkg-architecture",
    "dpkg-query",
    "dpkg-realpath",
    "dpkg-vendor",
    "du",
    "echo",
    "egrep",
    "error",
    "expr",
    "fgrep",
    "file",
    "getconf",
    "getent",
    "getopt",
    "grep",
    "hash",
    "head",
    "hostname",
    "id",
    "info",
    "ischroot",
    "join",
    "ls",
    "lsb_release",
    "md5sum",
    "mktemp",
    "nproc",
    "od",
    "paste",
    "pidof",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "runlevel",
    "seq",
    "setup_colors",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "tail",
    "tempfile",
    "test",
    "tr",
    "tty",
    "umask",
    "uname",
    "uniq",
    "wc",
];
/// More of the same: what changes only the shell that runs.
const SHELL: [&str; 8] = [
    "trap", "wait", "which", "type", "whoami", "warning", "ulimit", "getopts",
];
const OF_SERVICES: [&str; 13] = [
    "deb-systemd-helper",
    "deb-systemd-invoke",
    "initctl",
    "insserv",
    "invoke-rc.d",
    "kill",
    "killall",
    "rc-update",
    "service",
    "start-stop-daemon",
    "systemctl",
    "telinit",
    "update-rc.d",
];
const OF_PYTHON: [&str; 6] = [
    "py3clean",
    "py3compile",
    "pyclean",
    "pycompile",
    "pypyclean",
    "pypycompile",
];
const OF_THE_KERNEL: [&str; 7] = [
    "modprobe",
    "setcap",
    "sysctl",
    "systemd-hwdb",
    "udevadm",
    "update-binfmts",
    "update-initramfs",
];

/// What becomes of a call.
pub(super) fn verdict(world: &dyn World, words: &[Text]) -> Verdict {
    let Some(Some(program)) = words.first() else {
        return Verdict::Unknown;
    };
    let arguments = &words[1..];
    let first = arguments.first().and_then(Option::as_deref);
    match (program.as_str(), first) {
        (name, _) if HARMLESS.contains(&name) || SHELL.contains(&name) => Verdict::Nothing,
        (name, _) if OF_SERVICES.contains(&name) => Verdict::LeftOut(SERVICES),
        (name, _) if OF_PYTHON.contains(&name) => Verdict::LeftOut(BYTECODE),
        // The right to use a privileged port, say, is kept in an attribute that no layer of ours has.
        (name, _) if OF_THE_KERNEL.contains(&name) && name != "setcap" => Verdict::LeftOut(KERNEL),
        (name, _) if name.starts_with("db_") => Verdict::LeftOut(DEBCONF),
        (name, _) if is_python(name) && compiles(arguments) => Verdict::LeftOut(BYTECODE),
        ("exec", None) => Verdict::Nothing,
        ("." | "source", Some("/usr/share/debconf/confmodule")) => Verdict::LeftOut(DEBCONF),
        ("." | "source", Some("/usr/share/dpkg/sh/dpkg-error.sh")) => Verdict::Nothing,
        ("dpkg-maintscript-helper", _) => Verdict::Nothing,
        ("dpkg", Some(option)) => dpkg(option),
        ("dpkg-statoverride", Some("--list")) => Verdict::Nothing,
        ("dpkg-divert", _) => divert(arguments),
        ("dpkg-trigger", _) => trigger(arguments),
        ("ldconfig", _) => Verdict::Rule("the linker's cache"),
        ("update-alternatives", _) => alternatives(arguments),
        ("update-ca-certificates", _) => Verdict::Rule("certificates"),
        ("update-shells", _) => Verdict::Rule("shells"),
        ("pam-auth-update", _) => Verdict::Rule("lists of PAM"),
        ("rm" | "rmdir" | "unlink", _)
            if paths(arguments, |path| world.find(path, false).is_none()) =>
        {
            Verdict::LeftOut(CLEAN)
        }
        ("mkdir" | "install", _)
            if is_of_directories(program, arguments)
                && paths(arguments, |path| {
                    world.find(path, true) == Some(Found::Directory)
                }) =>
        {
            Verdict::Nothing
        }
        ("find", _) if !has_action(arguments) => Verdict::Nothing,
        ("sed" | "perl", _) if only_reads(program, arguments) => Verdict::Nothing,
        ("xargs", _) => arguments
            .iter()
            .position(|word| word.as_deref().is_some_and(|word| !word.starts_with('-')))
            .map_or(Verdict::Unknown, |at| match &arguments[at] {
                Some(name) if HARMLESS.contains(&name.as_str()) => Verdict::Nothing,
                _ => Verdict::Unknown,
            }),
        _ => Verdict::Unknown,
    }
}

fn dpkg(option: &str) -> Verdict {
    const ASKS: [&str; 12] = [
        "--compare-versions",
        "--get-selections",
        "--list",
        "--listfiles",
        "--print-architecture",
        "--print-foreign-architectures",
        "--search",
        "--status",
        "-L",
        "-S",
        "-l",
        "-s",
    ];
    let asks = ASKS.contains(&option)
        || option.starts_with("--assert")
        || option.starts_with("--validate");
    if asks {
        Verdict::Nothing
    } else {
        Verdict::Unknown
    }
}

fn divert(arguments: &[Text]) -> Verdict {
    if arguments.iter().any(Option::is_none) {
        return Verdict::Unknown;
    }
    let has = |option: &str| arguments.iter().any(|word| word.as_deref() == Some(option));
    match diversions::is_addition(arguments) {
        _ if ["--list", "--listpackage", "--truename", "--remove"]
            .into_iter()
            .any(has) =>
        {
            Verdict::Nothing
        }
        true => Verdict::Rule("diversions"),
        false => Verdict::Unknown,
    }
}

fn trigger(arguments: &[Text]) -> Verdict {
    let mut words = arguments.iter();
    loop {
        match words.next() {
            Some(Some(option))
                if option.starts_with("--by-package")
                    || option == "--no-await"
                    || option == "--await" => {}
            Some(Some(option)) if option == "--check-supported" => return Verdict::Nothing,
            Some(Some(name)) if !name.starts_with('-') => return Verdict::Activates(name.clone()),
            _ => return Verdict::Unknown,
        }
    }
}

fn alternatives(arguments: &[Text]) -> Verdict {
    let known = |wanted: &[&str]| {
        let mut words = arguments.iter().flatten();
        words.any(|word| wanted.contains(&word.as_str()))
    };
    if known(&["--install"]) {
        Verdict::Rule("alternatives")
    } else if known(&[
        "--auto",
        "--display",
        "--list",
        "--query",
        "--remove",
        "--remove-all",
    ]) {
        Verdict::Nothing
    } else {
        Verdict::Unknown
    }
}

/// Whether all words but the options are known, and this holds for each.
fn paths(arguments: &[Text], holds: impl Fn(&str) -> bool) -> bool {
    let mut words = arguments
        .iter()
        .filter(|word| !word.as_deref().is_some_and(|word| word.starts_with('-')));
    words.all(|word| word.as_deref().is_some_and(&holds))
}

/// Whether nothing but directories is made, without a mode that would have to be compared.
fn is_of_directories(program: &str, arguments: &[Text]) -> bool {
    let mut options = arguments
        .iter()
        .flatten()
        .filter(|word| word.starts_with('-'));
    match program {
        "mkdir" => options.all(|option| option == "-p" || option == "--parents"),
        _ => {
            let options: Vec<_> = options.collect();
            options == ["-d"]
        }
    }
}

fn has_action(arguments: &[Text]) -> bool {
    const ACTIONS: [&str; 5] = ["-delete", "-exec", "-ok", "-fprint", "-fls"];
    let acts = |word: &Text| match word {
        None => true,
        Some(word) => ACTIONS.iter().any(|action| word.starts_with(action)),
    };
    arguments.iter().skip(1).any(acts)
}

/// Whether an editor of streams leaves files as they are.
fn only_reads(program: &str, arguments: &[Text]) -> bool {
    // A program may follow its option without a blank, so letters count up to the first that takes a value.
    let edits = |word: &String| match word.strip_prefix('-') {
        Some(long) if long.starts_with('-') => long.starts_with("-in-place"),
        Some(letters) => letters
            .split(['e', 'f'])
            .next()
            .unwrap_or_default()
            .contains('i'),
        None => false,
    };
    let runs = program == "perl"
        && arguments
            .iter()
            .any(|word| word.as_deref() != Some("-e") && word.as_deref() != Some(""));
    !runs && !arguments.iter().flatten().any(edits)
}

fn is_python(program: &str) -> bool {
    let name = program.strip_prefix("/usr/bin/").unwrap_or(program);
    name.strip_prefix("python").is_some_and(|version| {
        version
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    })
}

fn compiles(arguments: &[Text]) -> bool {
    let mut words = arguments.iter().flatten();
    words.any(|word| {
        word.ends_with("/py_compile.py")
            || word.ends_with("/compileall.py")
            || word == "compileall"
            || word == "py_compile"
    })
}
