//! A package's entry in dpkg's database: its stanza of the status file, and the names of its files.
//!
//! The stanza is written as dpkg itself writes it, field by field in dpkg's order, so that the status file of an image is
//! the one that dpkg would have left behind and stays as it is when dpkg writes it again.

use md5::{Digest as _, Md5};

use super::control::Fields;

/// The state of a package that was installed by somebody and has been configured.
pub const INSTALLED: &str = "install ok installed";

/// The order in which dpkg writes the fields that it knows; all others follow as they stand in the control file.
const ORDER: [&str; 25] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
    "Description",
];

/// The stanza, with a line feed at its end. `conffiles` are paths with the MD5 sums that dpkg compares them by.
pub(super) fn stanza(fields: &Fields<'_>, conffiles: &[(String, String)]) -> Vec<u8> {
    let mut stanza = Vec::new();
    for name in ORDER {
        match name {
            "Status" => line(&mut stanza, name, INSTALLED.as_bytes()),
            "Conffiles" if !conffiles.is_empty() => {
                stanza.extend_from_slice(b"Conffiles:\n");
                for (path, sum) in conffiles {
                    stanza.extend_from_slice(format!(" {path} {sum}\n").as_bytes());
                }
            }
            "Conffiles" => {}
            // What is not said to be so is not said at all.
            "Essential" | "Protected" | "Multi-Arch" => match fields.get(name) {
                Some(value) if value != b"no" => line(&mut stanza, name, value),
                _ => {}
            },
            _ => {
                if let Some(value) = fields.get(name) {
                    line(&mut stanza, name, value);
                }
            }
        }
    }
    let is_known = |name: &str| ORDER.iter().any(|known| known.eq_ignore_ascii_case(name));
    for (name, value) in fields.iter().filter(|(name, _)| !is_known(name)) {
        line(&mut stanza, name, value);
    }
    stanza
}

fn line(stanza: &mut Vec<u8>, name: &str, value: &[u8]) {
    stanza.extend_from_slice(name.as_bytes());
    stanza.push(b':');
    // A value that begins on the next line has no blank before it.
    if !value.starts_with(b"\n") {
        stanza.push(b' ');
    }
    stanza.extend_from_slice(value);
    stanza.push(b'\n');
}

/// The name that dpkg gives a package's files in its database: with the architecture where several may be installed.
pub(super) fn database_name(fields: &Fields<'_>, package: &str, architecture: &str) -> String {
    match fields.get("Multi-Arch") {
        Some(b"same") => format!("{package}:{architecture}"),
        _ => package.to_owned(),
    }
}

/// The paths that the package's list of settings names. Lines with a flag before the path name files to be removed.
pub(super) fn conffile_paths(list: &[u8]) -> impl Iterator<Item = &str> {
    let lines = list.split(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| std::str::from_utf8(line.trim_ascii()).ok());
    lines.filter(|line| line.starts_with('/'))
}

/// The sum by which dpkg tells a changed file from an unchanged one; nothing is trusted because of it.
pub(super) fn md5(contents: &[u8]) -> String {
    let sum = Md5::digest(contents);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line of the list of files: an archive's name as dpkg keeps it.
pub(super) fn listed(name: &[u8]) -> Vec<u8> {
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let name = name.strip_prefix(b"/").unwrap_or(name);
    let name = if name.is_empty() {
        b".".as_slice()
    } else {
        name
    };
    [b"/", name, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stanza_has_the_order_of_dpkg() {
        let control = "Package: greeting\nVersion: 1\nArchitecture: amd64\nHomepage: x\nEssential: no\n\
            Description: a greeting\n and more\n";
        let control = control.replace("Version", "depends: libc6 (>= 2.34)\nVersion");
        let fields = Fields::parse(control.as_bytes()).expect("a stanza");
        let conffiles = [("/etc/greeting".to_owned(), md5(b""))];
        let text = String::from_utf8(stanza(&fields, &conffiles)).expect("text");
        assert_eq!(
            text,
            "Package: greeting\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\
             Depends: libc6 (>= 2.34)\nConffiles:\n /etc/greeting d41d8cd98f00b204e9800998ecf8427e\n\
             Description: a greeting\n and more\nHomepage: x\n"
        );
    }

    #[test]
    fn names_are_those_of_dpkg() {
        for (name, expected) in [
            ("./", "/.\n"),
            ("./usr/", "/usr\n"),
            ("./usr/bin/x", "/usr/bin/x\n"),
            ("usr/bin/x", "/usr/bin/x\n"),
        ] {
            assert_eq!(listed(name.as_bytes()), expected.as_bytes());
        }
        let same = Fields::parse(b"Multi-Arch: same\n").expect("a stanza");
        assert_eq!(database_name(&same, "libx1", "amd64"), "libx1:amd64");
        let plain = Fields::parse(b"Multi-Arch: foreign\n").expect("a stanza");
        assert_eq!(database_name(&plain, "x", "amd64"), "x");
    }

    #[test]
    fn conffiles_are_paths() {
        let list = b"/etc/a\nremove-on-upgrade /etc/b\n\n/etc/c";
        assert_eq!(
            conffile_paths(list).collect::<Vec<_>>(),
            ["/etc/a", "/etc/c"]
        );
    }
}
