//! A root made of the machine's own `/usr`, and shell scripts to run on it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cognix_sandbox::{Access, Finished, Identity, Lower, Mount, Request, Sandbox, SandboxError};

/// One sandbox's surroundings.
pub(crate) struct Setting {
    folder: tempfile::TempDir,
    pub(crate) request: Request,
    pub(crate) sandbox: Sandbox,
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) result: Result<Finished, SandboxError>,
    pub(crate) lines: Vec<String>,
}

impl Setting {
    /// `/usr` of the machine, read-only, and a tree that leads to it.
    pub(crate) fn new(identity: Identity, access: Access) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = folder.path().join("tree");
        fs::create_dir(&tree).expect("a tree");
        for name in ["usr", "etc", "root"] {
            fs::create_dir(tree.join(name)).expect("a folder of the tree");
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), tree.join(name)).expect("a link of the tree");
        }
        let mut request = Request::new("/bin/sh", folder.path().join("work"));
        request.identity = identity;
        request.access = access;
        request.directory = PathBuf::from("/");
        request.root.push(Lower::new(&tree));
        request.mounts.push(Mount {
            source: PathBuf::from("/usr"),
            target: PathBuf::from("/usr"),
            writable: false,
        });
        request
            .env
            .insert("PATH".into(), "/usr/bin:/bin:/usr/sbin:/sbin".into());
        Self {
            folder,
            request,
            sandbox: Sandbox::current(),
        }
    }

    pub(crate) fn builder() -> Self {
        Self::new(Identity::Builder, Access::ReadOnly)
    }

    pub(crate) fn root() -> Self {
        Self::new(Identity::Root, Access::Changes)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A further tree, on top of the others: paths with contents, folders end with `/`.
    pub(crate) fn tree(&mut self, entries: &[(&str, &str)]) -> PathBuf {
        let tree = self
            .folder
            .path()
            .join(format!("tree-{}", self.request.root.len()));
        fs::create_dir(&tree).expect("a tree");
        for (path, text) in entries {
            let place = tree.join(path);
            if path.ends_with('/') {
                fs::create_dir_all(&place).expect("a folder");
            } else {
                fs::create_dir_all(place.parent().expect("a parent")).expect("a folder");
                fs::write(&place, text).expect("a file");
            }
        }
        canonical(&tree);
        self.request.root.push(Lower::new(&tree));
        tree
    }

    /// Runs a shell script.
    pub(crate) fn sh(&self, script: &str) -> Ran {
        self.run("/bin/sh", &["-c", script])
    }

    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Ran {
        let mut request = self.request.clone();
        request.program = program.into();
        request.args = args.iter().map(OsString::from).collect();
        run(&self.sandbox, &request)
    }
}

/// Modes as a store has them.
fn canonical(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a tree") {
        let path = entry.expect("an entry").path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            canonical(&path);
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).expect("a mode");
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).expect("a mode");
}

impl Drop for Setting {
    fn drop(&mut self) {
        // Trees are as unwritable as those of a store.
        let _ = Sandbox::clean(self.folder.path());
    }
}

pub(crate) fn run(sandbox: &Sandbox, request: &Request) -> Ran {
    let mut lines = Vec::new();
    let result = sandbox.run(request, &|| false, &mut |line| {
        lines.push(String::from_utf8_lossy(line).into_owned());
    });
    Ran { result, lines }
}

impl Ran {
    /// The log of a program that ended well.
    #[track_caller]
    pub(crate) fn good(&self) -> String {
        let log = self.lines.join("\n");
        match &self.result {
            Ok(finished) => assert!(finished.outcome.success(), "{:?}\n{log}", finished.outcome),
            Err(error) => panic!("{error:?}\n{log}"),
        }
        log
    }
}
