//! The output of a build whose work is the difference that it made to its root.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use cognix_sandbox::{Change, Changes, Entry, Kind, Lower};

use super::error::ForeignError;
use super::record::{CHANGES_FILE, CHANGES_TREE, ChangesRecord, Owned, keep_uppermost};
use super::root::recorded;
use crate::build::BuildError;

/// The mode of directories and of files that can be run.
const EXECUTABLE: u32 = 0o755;

/// The mode of other files.
const PLAIN: u32 = 0o644;

/// Links have no mode of their own.
const LINK: u32 = 0o777;

/// Writes `tree/` and `changes.json` into a new folder. Files are linked, so that nothing is copied: the folder is whole
/// when the sandbox's workspace is gone.
pub(super) fn write(changes: &Changes, lowers: &[Lower], place: &Path) -> Result<(), BuildError> {
    let tree = place.join(CHANGES_TREE);
    for folder in [place, &tree] {
        fs::create_dir(folder).map_err(BuildError::io(folder))?;
    }
    let mut record = ChangesRecord::default();
    for (path, change) in &changes.entries {
        // The root itself is a directory that is as before.
        let Some(name) = text(path)? else {
            continue;
        };
        let target = tree.join(path);
        match change {
            Change::Removed => record.removed.push(name),
            Change::Unchanged => {
                fs::create_dir(&target).map_err(BuildError::io(&target))?;
                if let Some(mode) = recorded(lowers, path) {
                    let owned = Owned {
                        gid: mode.gid,
                        mode: mode.mode,
                        uid: mode.uid,
                    };
                    note(&mut record, name, owned, EXECUTABLE);
                }
            }
            Change::Present(entry) => {
                let ordinary = put(entry, &target)?;
                let owned = Owned {
                    gid: entry.gid,
                    mode: match entry.kind {
                        Kind::Symlink { .. } => LINK,
                        Kind::File { .. } | Kind::Directory => entry.mode,
                    },
                    uid: entry.uid,
                };
                note(&mut record, name, owned, ordinary);
            }
        }
    }
    keep_uppermost(&mut record.removed);
    let file = place.join(CHANGES_FILE);
    fs::write(&file, record.to_json()).map_err(BuildError::io(&file))
}

/// Notes what a store cannot hold.
fn note(record: &mut ChangesRecord, name: String, owned: Owned, ordinary: u32) {
    if (owned.mode, owned.uid, owned.gid) != (ordinary, 0, 0) {
        record.modes.insert(name, owned);
    }
}

/// Puts an entry into the tree; the mode that it would have without a record.
fn put(entry: &Entry, target: &Path) -> Result<u32, BuildError> {
    match &entry.kind {
        Kind::Directory => {
            fs::create_dir(target).map_err(BuildError::io(target))?;
            Ok(EXECUTABLE)
        }
        Kind::Symlink { target: text } => {
            symlink(text, target).map_err(BuildError::io(target))?;
            Ok(LINK)
        }
        Kind::File { bytes, .. } => {
            // The store keeps the owner's execute bit and nothing else.
            let ordinary = match entry.mode & 0o100 {
                0 => PLAIN,
                _ => EXECUTABLE,
            };
            fs::hard_link(bytes, target).map_err(BuildError::io(target))?;
            fs::set_permissions(target, fs::Permissions::from_mode(ordinary))
                .map_err(BuildError::io(target))?;
            Ok(ordinary)
        }
    }
}

/// A path as records hold it; none for the root.
fn text(path: &Path) -> Result<Option<String>, ForeignError> {
    match path.to_str() {
        None => Err(ForeignError::Name {
            path: path.to_owned(),
        }),
        Some("" | ".") => Ok(None),
        Some(text) => Ok(Some(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use cognix_sandbox::Mode;

    use super::*;

    fn entry(kind: Kind, mode: u32, uid: u32) -> Change {
        let gid = uid;
        Change::Present(Entry {
            kind,
            mode,
            uid,
            gid,
        })
    }

    #[test]
    fn changes_become_a_tree_and_a_record() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (lower, bytes) = (folder.path().join("lower"), folder.path().join("bytes"));
        fs::create_dir_all(lower.join("var/mail")).expect("create");
        fs::write(&bytes, "text").expect("write");
        let file = || Kind::File {
            bytes: bytes.clone(),
            size: 4,
        };
        let link = Kind::Symlink {
            target: "/etc/x".into(),
        };
        let entries: [(&str, Change); 11] = [
            ("", Change::Unchanged),
            ("etc", Change::Removed),
            ("etc/x", Change::Removed),
            ("home", entry(Kind::Directory, 0o755, 0)),
            ("home/app", entry(Kind::Directory, 0o750, 1000)),
            ("home/app/link", entry(link, 0o777, 0)),
            ("usr", Change::Unchanged),
            ("usr/run", entry(file(), 0o755, 0)),
            ("usr/suid", entry(file(), 0o4755, 0)),
            ("var", Change::Unchanged),
            ("var/mail", Change::Unchanged),
        ];
        let changes = Changes {
            entries: BTreeMap::from(entries.map(|(path, change)| (PathBuf::from(path), change))),
            sockets: Vec::new(),
        };
        let mail = Mode {
            mode: 0o2775,
            uid: 0,
            gid: 8,
        };
        let lower = Lower {
            modes: BTreeMap::from([(PathBuf::from("var/mail"), mail)]),
            ..Lower::new(lower)
        };
        let place = folder.path().join("out");
        write(&changes, &[lower], &place).expect("written");
        let record = fs::read_to_string(place.join("changes.json")).expect("a record");
        assert_eq!(
            record,
            concat!(
                r#"{"modes":{"home/app":{"gid":1000,"mode":"0750","uid":1000},"#,
                r#""usr/suid":{"gid":0,"mode":"4755","uid":0},"var/mail":{"gid":8,"mode":"2775","uid":0}},"#,
                r#""removed":["etc"],"version":1}"#,
                "\n"
            )
        );
        ChangesRecord::parse(record.as_bytes()).expect("what is written can be read");
        assert_eq!(
            fs::read(place.join("tree/usr/run")).expect("a file"),
            b"text"
        );
        assert!(place.join("tree/var/mail").is_dir());
        assert!(!place.join("tree/etc").exists());
    }

    #[test]
    fn names_that_are_not_utf_8_are_refused() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(b"x\xff"));
        let changes = Changes {
            entries: BTreeMap::from([(path, entry(Kind::Directory, 0o755, 0))]),
            sockets: Vec::new(),
        };
        let error = write(&changes, &[], &folder.path().join("out")).expect_err("refused");
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }
}
