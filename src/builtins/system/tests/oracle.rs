//! Unpacking, against Debian's own tools on real packages.
//!
//! `oracle.sh` fetches packages; the variable `COGNIX_DEBIAN_ORACLE` names the folder, or several of which the
//! first is taken. Every path has to be the same: kind,
//! content, link, mode and owner. What installing makes of them is compared in `tests/it/debian.rs`.

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

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Directory(Mode, u32, u32),
    File(Mode, u32, u32, PathBuf),
    Link(PathBuf),
    Other,
}

fn oracle() -> PathBuf {
    let folders = env::var_os("COGNIX_DEBIAN_ORACLE");
    let folders = folders.expect("COGNIX_DEBIAN_ORACLE names folders that oracle.sh has filled");
    env::split_paths(&folders).next().unwrap_or_default()
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
