//! Small systems made up of a few packages, and golden files of the original tools (`golden/make.sh`).

mod alternatives;
mod certificates;
mod database;
mod linker_cache;
#[cfg(feature = "oracle-tests")]
mod oracle;
mod rules;
mod scripts;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
};

use tempfile::TempDir;

use super::*;

/// Packages in the making.
struct System {
    folder: TempDir,
    /// Packages whose scripts are left out.
    left_out: BTreeSet<String>,
    packages: Vec<Package>,
}

impl System {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            left_out: BTreeSet::new(),
            packages: Vec::new(),
        }
    }

    /// Begins the next package; files and links that follow are its own.
    fn package(mut self, name: &str) -> Self {
        let at = |output: &str| self.folder.path().join("packages").join(name).join(output);
        let package = Package {
            name: name.to_owned(),
            out: at("out"),
            control: at("control"),
        };
        fs::create_dir_all(&package.out).expect("room for folders");
        fs::create_dir_all(&package.control).expect("room for folders");
        self.packages.push(package);
        self
    }

    fn last(&self) -> &Package {
        self.packages.last().expect("a package was begun")
    }

    fn place(&self, path: &str) -> PathBuf {
        let place = self.last().out.join(path);
        fs::create_dir_all(place.parent().expect("a path below a root")).expect("room for folders");
        place
    }

    fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        fs::write(self.place(path), contents).expect("room for a small file");
        self
    }

    fn executable(self, path: &str) -> Self {
        let place = self.place(path);
        fs::write(&place, b"x").expect("room for a small file");
        fs::set_permissions(&place, fs::Permissions::from_mode(0o555)).expect("an own file");
        self
    }

    fn directory(self, path: &str) -> Self {
        fs::create_dir_all(self.place(path)).expect("room for folders");
        self
    }

    fn link(self, path: &str, target: &str) -> Self {
        symlink(target, self.place(path)).expect("room for a link");
        self
    }

    fn control(self, name: &str, contents: &str) -> Self {
        fs::write(self.last().control.join(name), contents).expect("room for a small file");
        self
    }

    fn configure(&self) -> Result<Configured<'_>, SystemError> {
        let place = tempfile::tempdir_in(self.folder.path())
            .expect("a temporary folder")
            .keep();
        let (out, control) = (place.join("out"), place.join("control"));
        let notes = configure(
            self.packages.clone(),
            &self.left_out,
            &out,
            &control,
            &|| false,
        )?;
        Ok(Configured {
            _system: self,
            place,
            notes,
        })
    }

    fn configured(&self) -> Configured<'_> {
        self.configure().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// What the rules have made.
struct Configured<'a> {
    _system: &'a System,
    place: PathBuf,
    notes: Vec<String>,
}

impl Configured<'_> {
    fn at(&self, path: &str) -> PathBuf {
        self.place.join("out").join(path)
    }

    fn read(&self, path: &str) -> Vec<u8> {
        let path = self.at(path);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.read(path)).expect("text")
    }

    fn link(&self, path: &str) -> String {
        let target = fs::read_link(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        target
            .into_os_string()
            .into_string()
            .expect("a UTF-8 target")
    }

    fn has(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    fn control(&self, name: &str) -> String {
        let place = self.place.join("control").join(name);
        fs::read_to_string(place).expect("a text")
    }

    fn modes(&self) -> String {
        fs::read_to_string(self.place.join("control").join(MODES_FILE)).expect("a record")
    }

    /// Every path with what is there, sorted.
    fn list(&self) -> Vec<String> {
        fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                found.push(
                    path.strip_prefix(root)
                        .expect("below its root")
                        .display()
                        .to_string(),
                );
                if path.is_dir() && !path.is_symlink() {
                    walk(&path, root, found);
                }
            }
        }
        let root = self.place.join("out");
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found.sort();
        found
    }
}
