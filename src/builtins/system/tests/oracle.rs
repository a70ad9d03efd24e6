//! The whole system, against Debian's own tools on real packages.
//!
//! `oracle.sh` fetches packages and lets mmdebstrap install them; the variable `COGNIX_DEBIAN_ORACLE` names the folder.
//! Every path has to be the same: kind, content, link, mode and owner. What differs on purpose stands in two lists here.

use std::{
    collections::BTreeMap,
    env,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    process::Command,
};

use super::*;
use crate::{
    builtins::deb::{Expected, Limits, Unpacker},
    layers::modes::{Mode, ModesRecord},
};

/// Paths that Debian's tools make and we do not.
const ONLY_DEBIAN: [(&str, &str); 23] = [
    (
        "*/__pycache__*",
        "compiled Python files are an output of their own",
    ),
    ("dev/*", "the runtime's"),
    (
        "etc/apt/*",
        "apt is not in an image that has only these packages",
    ),
    ("etc/fstab", "written by mmdebstrap itself"),
    ("etc/hostname", "the runtime's"),
    ("etc/hosts", "the runtime's"),
    ("etc/resolv.conf", "the runtime's"),
    ("etc/rc?.d/*", "nothing starts services in an image"),
    ("etc/systemd/*", "nothing starts services in an image"),
    ("etc/*.dpkg-old", "what an upgrade would have left behind"),
    ("var/cache/apt*", "apt's"),
    ("var/cache/debconf/*", "nobody is asked"),
    ("var/cache/ldconfig/aux-cache", "holds times"),
    ("var/lib/apt*", "apt's"),
    ("var/lib/dpkg/*-old", "what dpkg had before the last change"),
    ("var/lib/dpkg/arch", "written by mmdebstrap itself"),
    (
        "var/lib/dpkg/lock*",
        "empty, for processes that run together",
    ),
    (
        "var/lib/dpkg/triggers/Lock",
        "empty, for processes that run together",
    ),
    (
        "var/lib/python*",
        "a mark that the packages' scripts leave for each other",
    ),
    ("var/lib/systemd/*", "nothing starts services in an image"),
    ("var/log/apt*", "apt's"),
    (
        "var/log/*.log",
        "what the tools said while they ran, with times",
    ),
    (
        "var/cache/fontconfig*",
        "made by fontconfig's script, which no rule covers",
    ),
];
/// Paths that we make and Debian's tools do not.
const ONLY_OURS: [(&str, &str); 2] = [
    ("usr/sbin/tini", "where Cog looks for it"),
    (
        "usr/local/share/fonts",
        "mmdebstrap configures fontconfig-config before there is a /usr/local",
    ),
];
/// Scripts that no rule covers, among those of the packages that the test is made for.
const RUN: [&str; 1] = ["fontconfig postinst"];

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Directory(Mode, u32, u32),
    File(Mode, u32, u32, PathBuf),
    Link(PathBuf),
    Other,
}

fn oracle() -> PathBuf {
    let folder = env::var_os("COGNIX_DEBIAN_ORACLE");
    PathBuf::from(
        folder.expect("COGNIX_DEBIAN_ORACLE names the folder that tests/oracle.sh has filled"),
    )
}

fn field(deb: &Path, name: &str) -> String {
    let output = Command::new("dpkg-deb")
        .arg("-f")
        .arg(deb)
        .arg(name)
        .output()
        .expect("dpkg-deb runs");
    String::from_utf8(output.stdout)
        .expect("fields are text")
        .trim()
        .to_owned()
}

/// Every package of the folder, unpacked.
fn unpack(folder: &Path) -> Vec<Package> {
    let mut packages = Vec::new();
    for entry in fs::read_dir(oracle().join("debs")).expect("a folder of packages") {
        let deb = entry.expect("an entry").path();
        if deb.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        let fields = ["Package", "Version", "Architecture"].map(|name| field(&deb, name));
        let [package, version, architecture] = &fields;
        let place = folder.join(package);
        fs::create_dir(&place).expect("each package once");
        let unpacked = Package {
            name: package.clone(),
            out: place.join("out"),
            control: place.join("control"),
        };
        let unpacker = Unpacker {
            expected: Expected {
                package,
                version,
                architecture,
            },
            limits: Limits::default(),
            cancelled: &|| false,
        };
        unpacker
            .unpack(&deb, &unpacked.out, &unpacked.control)
            .unwrap_or_else(|error| panic!("{}: {error}", deb.display()));
        packages.push(unpacked);
    }
    assert!(!packages.is_empty(), "the folder holds no packages");
    packages
}

/// All trees as one, with the recorded modes.
fn compose(trees: &[(PathBuf, PathBuf)]) -> BTreeMap<String, Found> {
    let mut root = BTreeMap::new();
    let mut recorded = BTreeMap::new();
    for (out, control) in trees {
        let modes = fs::read(control.join(MODES_FILE)).expect("a record");
        let modes = ModesRecord::parse(&modes).expect("a canonical record");
        recorded.extend(
            modes
                .iter()
                .map(|(path, at)| (path.as_str().to_owned(), at)),
        );
        walk(out, out, &mut |path, found| {
            let found = match found {
                Found::File(mode, _, _, place) => {
                    Found::File(Mode::of_file(mode.bits() & 0o100 != 0), 0, 0, place)
                }
                Found::Directory(..) => Found::Directory(Mode::EXECUTABLE, 0, 0),
                found => found,
            };
            let before = root.insert(path.clone(), found);
            assert!(
                matches!(before, None | Some(Found::Directory(..))),
                "{path} has two owners"
            );
        });
    }
    for (path, at) in recorded {
        match root.get_mut(&path) {
            Some(Found::File(mode, uid, gid, _) | Found::Directory(mode, uid, gid)) => {
                (*mode, *uid, *gid) = (at.mode, at.uid, at.gid)
            }
            other => panic!("{path} has a record, but is {other:?}"),
        }
    }
    root
}

fn walk(folder: &Path, root: &Path, take: &mut dyn FnMut(String, Found)) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let place = entry.expect("an entry").path();
        let path = place
            .strip_prefix(root)
            .expect("below its root")
            .to_str()
            .expect("UTF-8")
            .to_owned();
        let metadata = place.symlink_metadata().expect("it was just listed");
        let mode = Mode::new(metadata.mode() & 0o7777).expect("masked");
        let kind = metadata.file_type();
        if kind.is_dir() {
            take(path, Found::Directory(mode, metadata.uid(), metadata.gid()));
            walk(&place, root, take);
        } else if kind.is_file() {
            take(
                path,
                Found::File(mode, metadata.uid(), metadata.gid(), place),
            );
        } else if kind.is_symlink() {
            take(path, Found::Link(fs::read_link(&place).expect("a link")));
        } else {
            assert!(
                kind.is_char_device()
                    || kind.is_block_device()
                    || kind.is_fifo()
                    || kind.is_socket()
            );
            take(path, Found::Other);
        }
    }
}

fn is_same(left: &Found, right: &Found) -> bool {
    match (left, right) {
        (
            Found::File(left_mode, left_uid, left_gid, left),
            Found::File(right_mode, right_uid, right_gid, right),
        ) => {
            let read = |path: &Path| fs::read(path).expect("a file");
            (left_mode, left_uid, left_gid) == (right_mode, right_uid, right_gid)
                && read(left) == read(right)
        }
        (left, right) => left == right,
    }
}

fn is_listed(path: &str, list: &[(&str, &str)]) -> bool {
    list.iter()
        .any(|(pattern, _)| shell::pattern_matches(pattern, path))
}

#[test]
fn debian_oracle_every_path_is_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let packages = unpack(folder.path());
    let (out, control) = (
        folder.path().join("system-out"),
        folder.path().join("system-control"),
    );
    let notes = configure(packages.clone(), &out, &control, &|| false)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(notes, Vec::<String>::new());
    let scripts = control.join(SCRIPTS_FILE);
    let trees = packages
        .into_iter()
        .map(|package| (package.out, package.control))
        .chain([(out, control)]);
    let ours = compose(&trees.collect::<Vec<_>>());
    let mut debian = BTreeMap::new();
    let root = oracle().join("root");
    walk(&root, &root, &mut |path, found| {
        drop(debian.insert(path, found))
    });

    let scripts = fs::read(&scripts).expect("a report");
    let scripts: Scripts = serde_json::from_slice(&scripts).expect("a report");
    let run = scripts.run();
    let run = run.map(|(package, outcome)| format!("{package} {}", outcome.script));
    let run: Vec<String> = run
        .filter(|script| !RUN.contains(&script.as_str()))
        .collect();
    assert_eq!(run, Vec::<String>::new());
    let mut differences = Vec::new();
    for (path, found) in &ours {
        match debian.get(path) {
            Some(theirs) if !is_same(found, theirs) => {
                differences.push(format!("{path}: {found:?} and {theirs:?}"))
            }
            None if !is_listed(path, &ONLY_OURS) => {
                differences.push(format!("{path} is ours only"))
            }
            _ => {}
        }
    }
    for path in debian.keys().filter(|path| !ours.contains_key(*path)) {
        if !is_listed(path, &ONLY_DEBIAN) {
            differences.push(format!("{path} is Debian's only"));
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn debian_oracle_unpacks_as_dpkg_deb_does() {
    for entry in fs::read_dir(oracle().join("debs")).expect("a folder of packages") {
        let deb = entry.expect("an entry").path();
        if deb.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let status = Command::new("dpkg-deb")
            .arg("-x")
            .arg(&deb)
            .arg(folder.path().join("theirs"))
            .status();
        assert!(
            status.expect("dpkg-deb runs").success(),
            "{}",
            deb.display()
        );
        let fields = ["Package", "Version", "Architecture"].map(|name| field(&deb, name));
        let [package, version, architecture] = &fields;
        let unpacker = Unpacker {
            expected: Expected {
                package,
                version,
                architecture,
            },
            limits: Limits::default(),
            cancelled: &|| false,
        };
        let (out, control) = (folder.path().join("out"), folder.path().join("control"));
        unpacker
            .unpack(&deb, &out, &control)
            .unwrap_or_else(|error| panic!("{}: {error}", deb.display()));
        let ours = compose(&[(out, control)]);
        let theirs = folder.path().join("theirs");
        let mut count = 0;
        walk(&theirs, &theirs, &mut |path, found| {
            let path = ImagePath::parse(path).expect("a path of a package");
            let is_alias = matches!(found, Found::Link(_))
                && crate::builtins::deb::Alias::at(path.as_str()).is_some();
            let place = if is_alias {
                path
            } else {
                crate::builtins::deb::follow_aliases(&path).0
            };
            let own = ours
                .get(place.as_str())
                .unwrap_or_else(|| panic!("{}: {place} is missing", deb.display()));
            assert!(
                is_same(own, &found),
                "{}: {place}: {own:?} and {found:?}",
                deb.display()
            );
            count += 1;
        });
        assert!(count > 0, "{} is empty", deb.display());
    }
}
