//! Files, directories and links that are the same in every Debian system.
//!
//! One function per package whose script would have made them, and each only when the package is there. Where the text
//! comes from another file of the package, it is copied from there; what a package ships already is left alone, as its
//! script would leave it.

use super::{
    SystemError,
    root::{Node, Owner, Root},
};
use crate::builtins::deb::ALIASES;

const MAIL: u32 = 8;
const UTMP: u32 = 43;
const STAFF: u32 = 50;

/// The links of merged `/usr` and of `/run`. They come first, because later paths lead through them.
pub(super) fn aliases(root: &mut Root<'_>) -> Result<(), SystemError> {
    for alias in ALIASES {
        if root.node(alias.path).is_none() && root.is_directory(alias.directory) {
            root.add_link("merged /usr", alias.path, alias.target)?;
        }
    }
    Ok(())
}

/// What the scripts of the base system would have made.
pub(super) fn base(root: &mut Root<'_>) -> Result<(), SystemError> {
    if root.package("base-files").is_some() {
        base_files(root)?;
        local_directories(root)?;
    }
    copy(
        root,
        "libc-bin",
        "usr/share/libc-bin/nsswitch.conf",
        "etc/nsswitch.conf",
    )?;
    copy(
        root,
        "readline-common",
        "usr/share/readline/inputrc",
        "etc/inputrc",
    )?;
    small_files(root)?;
    time_zone(root)?;
    fonts(root)?;
    python(root)?;
    if root.is_file("usr/bin/tini") {
        // Cog starts its images with /sbin/tini, and Debian has it in /usr/bin.
        link(root, "tini", "usr/sbin/tini", "../bin/tini")?;
    }
    Ok(())
}

fn base_files(root: &mut Root<'_>) -> Result<(), SystemError> {
    const RULE: &str = "base-files";
    for (template, place) in [
        ("dot.profile", "root/.profile"),
        ("dot.bashrc", "root/.bashrc"),
        ("profile", "etc/profile"),
        ("motd", "etc/motd"),
        ("info.dir", "usr/share/info/dir"),
    ] {
        copy(
            root,
            RULE,
            &format!("usr/share/base-files/{template}"),
            place,
        )?;
    }
    for path in ["mnt", "srv", "opt", "etc/opt", "var/opt", "media"] {
        root.add_directory(RULE, path, Owner::DIRECTORY)?;
    }
    root.add_directory(
        RULE,
        "var/mail",
        Owner {
            mode: 0o2775,
            gid: MAIL,
        },
    )?;
    root.add_directory(
        RULE,
        "run/lock",
        Owner {
            mode: 0o1777,
            gid: 0,
        },
    )?;
    link(root, RULE, "var/spool/mail", "../mail")?;
    for (path, mode) in [
        ("var/log/wtmp", 0o664),
        ("var/log/btmp", 0o660),
        ("var/log/lastlog", 0o664),
    ] {
        file(root, RULE, path, "", Owner { mode, gid: UTMP })?;
    }
    if root.exists("etc/dpkg/origins/debian") {
        link(root, RULE, "etc/dpkg/origins/default", "debian")?;
    }
    Ok(())
}

/// `/usr/local`, for the group of staff where the machine's owner has asked for that.
fn local_directories(root: &mut Root<'_>) -> Result<(), SystemError> {
    const RULE: &str = "base-files";
    let owner = local_owner(root);
    for path in [
        "",
        "/share",
        "/share/man",
        "/bin",
        "/games",
        "/lib",
        "/include",
        "/sbin",
        "/src",
        "/etc",
    ] {
        root.add_directory(RULE, &format!("usr/local{path}"), owner)?;
    }
    // Since Debian 13 the script knows one directory more.
    if script_mentions(root, RULE, "/usr/local/libexec")? {
        root.add_directory(RULE, "usr/local/libexec", owner)?;
    }
    link(root, RULE, "usr/local/man", "share/man")
}

fn local_owner(root: &Root<'_>) -> Owner {
    if root.exists("etc/staff-group-for-usr-local") {
        Owner {
            mode: 0o2775,
            gid: STAFF,
        }
    } else {
        Owner::DIRECTORY
    }
}

/// Files that are empty or hold a few lines. `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` are left to whoever
/// starts the image.
fn small_files(root: &mut Root<'_>) -> Result<(), SystemError> {
    const NETWORKS: &str = "default\t\t0.0.0.0\nloopback\t127.0.0.0\nlink-local\t169.254.0.0\n\n";
    if root.package("netbase").is_some() {
        file(root, "netbase", "etc/networks", NETWORKS, Owner::FILE)?;
    }
    if root.package("libpam-modules").is_some() {
        file(root, "libpam-modules", "etc/environment", "", Owner::FILE)?;
        file(
            root,
            "libpam-modules",
            "etc/security/opasswd",
            "",
            Owner {
                mode: 0o600,
                gid: 0,
            },
        )?;
    }
    for (package, path, text) in [
        ("login", "/etc/subuid", "etc/subuid"),
        ("login", "/etc/subgid", "etc/subgid"),
        ("login", "/var/log/faillog", "var/log/faillog"),
        ("base-passwd", "/etc/subuid", "etc/subuid"),
        ("base-passwd", "/etc/subgid", "etc/subgid"),
    ] {
        if script_mentions(root, package, path)? {
            file(root, "login", text, "", Owner::FILE)?;
        }
    }
    Ok(())
}

/// UTC, as the package's own default is. `/etc/timezone` is no longer made since Debian 13, only kept where it is.
fn time_zone(root: &mut Root<'_>) -> Result<(), SystemError> {
    if root.package("tzdata").is_none() {
        return Ok(());
    }
    link(
        root,
        "tzdata",
        "etc/localtime",
        "/usr/share/zoneinfo/Etc/UTC",
    )?;
    let writes = script_mentions(root, "tzdata", "> \"$DPKG_ROOT/etc/timezone\"")?;
    if writes && !script_mentions(root, "tzdata", "-f \"$DPKG_ROOT/etc/timezone\"")? {
        file(root, "tzdata", "etc/timezone", "Etc/UTC\n", Owner::FILE)?;
    }
    Ok(())
}

/// The two settings of fontconfig that its questions have answers for without anybody being asked.
fn fonts(root: &mut Root<'_>) -> Result<(), SystemError> {
    const AVAILABLE: &str = "/usr/share/fontconfig/conf.avail";
    let Some(package) = root.package("fontconfig-config") else {
        return Ok(());
    };
    let script = root.control(package, "postinst")?.unwrap_or_default();
    let bitmaps = ["70-no-bitmaps-except-emoji.conf", "70-no-bitmaps.conf"];
    let bitmaps = bitmaps
        .into_iter()
        .find(|name| root.is_file(&format!("{AVAILABLE}/{name}")));
    for name in ["10-hinting-slight.conf"].into_iter().chain(bitmaps) {
        if root.is_file(&format!("{AVAILABLE}/{name}")) {
            link(
                root,
                "fontconfig-config",
                &format!("etc/fonts/conf.d/{name}"),
                &format!("{AVAILABLE}/{name}"),
            )?;
        }
    }
    // For the group of staff: until Debian 12 whatever the machine's owner has asked for elsewhere.
    let owner = match String::from_utf8_lossy(&script).contains("staff-group-for-usr-local") {
        true => local_owner(root),
        false => Owner {
            mode: 0o2775,
            gid: STAFF,
        },
    };
    root.add_directory("fontconfig-config", "usr/local/share/fonts", owner)
}

/// The local site directory of every Python that is there.
fn python(root: &mut Root<'_>) -> Result<(), SystemError> {
    let is_minimal = |name: &&str| name.starts_with("python3.") && name.ends_with("-minimal");
    let names = root
        .packages()
        .iter()
        .map(|package| package.name.as_str())
        .filter(is_minimal);
    for name in names {
        let version = name.trim_end_matches("-minimal");
        let owner = local_owner(root);
        root.add_directory("python", &format!("usr/local/lib/{version}"), owner)?;
        root.add_directory(
            "python",
            &format!("usr/local/lib/{version}/dist-packages"),
            owner,
        )?;
    }
    Ok(())
}

/// Adds a file where nothing is.
fn file(
    root: &mut Root<'_>,
    rule: &'static str,
    path: &str,
    text: &str,
    owner: Owner,
) -> Result<(), SystemError> {
    if root.canonical(path, false).is_some() {
        return Ok(());
    }
    root.add_file(rule, path, text.as_bytes().to_vec(), owner)
}

/// Adds a link where nothing is.
fn link(
    root: &mut Root<'_>,
    rule: &'static str,
    path: &str,
    target: &str,
) -> Result<(), SystemError> {
    if root.canonical(path, false).is_some() {
        return Ok(());
    }
    root.add_link(rule, path, target)
}

/// Copies a template of a package to its place.
fn copy(
    root: &mut Root<'_>,
    package: &'static str,
    template: &str,
    place: &str,
) -> Result<(), SystemError> {
    if root.package(package).is_none() || root.canonical(place, false).is_some() {
        return Ok(());
    }
    // The list of info pages is made only where there is a place for info pages.
    let has_place = !place.starts_with("usr/share/info/") || root.is_directory("usr/share/info");
    match root.read(template)? {
        Some(text) if has_place => root.add_file(package, place, text, Owner::FILE),
        _ => Ok(()),
    }
}

/// Whether the script that a package would run after its installation holds this text.
fn script_mentions(root: &Root<'_>, package: &str, text: &str) -> Result<bool, SystemError> {
    let Some(package) = root.package(package) else {
        return Ok(false);
    };
    let script = root.control(package, "postinst")?.unwrap_or_default();
    Ok(script
        .windows(text.len())
        .any(|window| window == text.as_bytes()))
}

/// The users and groups that Debian gives fixed numbers. Passwords live in `/etc/passwd` itself, where every account is
/// locked: there is no shadow file before somebody asks for one, as in a system made by debootstrap without `passwd`.
pub(super) fn accounts(root: &mut Root<'_>) -> Result<(), SystemError> {
    for name in ["passwd", "group"] {
        copy(
            root,
            "base-passwd",
            &format!("usr/share/base-passwd/{name}.master"),
            &format!("etc/{name}"),
        )?;
    }
    Ok(())
}

/// The shells that packages announce, each also by the name that it has after merged `/usr`.
pub(super) fn shells(root: &mut Root<'_>) -> Result<(), SystemError> {
    const TEMPLATE: &str = "usr/share/debianutils/shells";
    if root.package("debianutils").is_none() || root.exists("etc/shells") {
        return Ok(());
    }
    let template = read_lines(root, TEMPLATE)?;
    let mut shells = Vec::new();
    let folder = format!("{TEMPLATE}.d");
    let files: Vec<String> = root
        .below(&folder)
        .filter(|(_, node)| **node != Node::Directory)
        .map(|(path, _)| path.as_str().to_owned())
        .collect();
    for file in [TEMPLATE.to_owned()].into_iter().chain(files) {
        for line in read_lines(root, &file)? {
            let shell = line.split('#').next().unwrap_or_default().to_owned();
            if !shell.is_empty() {
                let real = real_shell(root, &shell);
                for shell in [shell, real] {
                    if !shells.contains(&shell) {
                        shells.push(shell);
                    }
                }
            }
        }
    }
    let mut listed: Vec<String> = Vec::new();
    let mut text = String::new();
    for line in template.into_iter().chain(shells.iter().cloned()) {
        if line.starts_with('#') || line.is_empty() || !listed.contains(&line) {
            text.push_str(&line);
            text.push('\n');
            listed.push(line);
        }
    }
    root.add_file("debianutils", "etc/shells", text.into_bytes(), Owner::FILE)?;
    root.add_file(
        "debianutils",
        "var/lib/shells.state",
        (shells.join("\n") + "\n").into_bytes(),
        Owner::FILE,
    )
}

/// The shell in the directory that its own directory leads to.
fn real_shell(root: &Root<'_>, shell: &str) -> String {
    let (folder, name) = shell.rsplit_once('/').unwrap_or(("", shell));
    match root.canonical(folder, true) {
        Some(folder) => format!("/{}/{name}", folder.as_str()),
        None => shell.to_owned(),
    }
}

fn read_lines(root: &Root<'_>, path: &str) -> Result<Vec<String>, SystemError> {
    let text = root.read(path)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .map(str::to_owned)
        .collect())
}
