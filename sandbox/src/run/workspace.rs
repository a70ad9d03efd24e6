//! The folder of one run: what is mounted is laid out here, and what the program writes lies here.
//!
//! ```text
//! WORKSPACE/          0700, so that nobody else enters
//! ├── l/0 l/1 …       links to the trees, bottom first; l/empty
//! ├── g/0 g/1 …       trees that are made up: the skeleton, what a tree removes, real modes
//! ├── group/0 …       mount points of overlays that are trees of another
//! ├── points/         upper folder of the draft: the mount points
//! ├── upper/          upper folder of a writable root: the changes
//! ├── merged/         the root itself where there are no overlays
//! ├── root/           where the root is composed
//! ├── secrets/        where memory for secrets is mounted
//! ├── files/          hosts, resolv.conf, hostname
//! └── tmp/ build/     writable folders of a read-only root
//! ```

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use crate::changes::{self, Changes, Written};
use crate::error::SandboxError;
use crate::order::{Binding, Composition, Order, SecretFile};
use crate::record::{ATTRIBUTE, SymlinkOwners};
use crate::request::{Access, Identity, Lower, Mount, Network, Request, SecretPlace};
use crate::run::folder::{Known, Merge};
use crate::run::{clean, trees};

/// A workspace that is emptied when it is dropped.
pub(super) struct Workspace {
    folder: PathBuf,
    /// Mount points that were made inside the sources of other mounts, innermost last.
    points: Vec<PathBuf>,
    kept: bool,
    /// What was in a root without overlays.
    known: Known,
}

impl Workspace {
    /// Lays out everything for a request.
    pub(super) fn prepare(
        request: &Request,
        processes_counted: bool,
        overlays: bool,
    ) -> Result<(Self, Order), SandboxError> {
        let folder = std::path::absolute(&request.workspace)
            .map_err(io_error("find", &request.workspace))?;
        make(&folder, 0o700)?;
        let mut workspace = Self {
            folder,
            points: Vec::new(),
            kept: false,
            known: Known::new(),
        };
        clean::empty(&workspace.folder)?;
        for name in [
            "l",
            "l/empty",
            "g",
            "group",
            "points-work",
            "upper-work",
            "root",
            "secrets",
            "files",
        ] {
            make(&workspace.folder.join(name), 0o700)?;
        }
        for name in ["points", "upper"] {
            make(&workspace.folder.join(name), 0o755)?;
        }
        if request.access == Access::Changes {
            attributes_work(&workspace.folder.join("upper"))?;
        }
        let root = if overlays {
            workspace.layers(request)?
        } else {
            workspace.merged(request)?
        };
        let mounts = workspace.mounts(request)?;
        let order = workspace.order(request, root, mounts, processes_counted);
        Ok((workspace, order))
    }

    /// Keeps what the program wrote on a writable root, and nothing else.
    pub(super) fn keep(mut self) -> Result<(), SandboxError> {
        self.kept = true;
        for entry in fs::read_dir(&self.folder).map_err(io_error("read", &self.folder))? {
            let entry = entry.map_err(io_error("read", &self.folder))?;
            if entry.file_name() != "upper" && entry.file_name() != "merged" {
                clean::remove(&entry.path())?;
            }
        }
        self.remove_points();
        Ok(())
    }

    /// Empties the workspace.
    pub(super) fn empty(mut self) -> Result<(), SandboxError> {
        self.kept = true;
        self.remove_points();
        clean::empty(&self.folder)
    }

    /// One folder with everything.
    fn merged(&mut self, request: &Request) -> Result<Composition, SandboxError> {
        let folder = self.folder.join("merged");
        make(&folder, 0o755)?;
        let mut merge = Merge::into(
            &folder,
            request.access == Access::Changes,
            request.identity == Identity::Root,
        );
        merge.add(&Lower::new(self.skeleton(request)?))?;
        for lower in &request.root {
            merge.add(lower)?;
        }
        self.known = merge.finish(&trees::modes(&request.root))?;
        Ok(Composition::Folder)
    }

    /// Takes note of mount points that were made in a root without overlays, so that they are no change.
    pub(super) fn note_points(&self, made: &[PathBuf]) -> Result<(), SandboxError> {
        for path in made {
            let Ok(found) = fs::symlink_metadata(self.folder.join("merged").join(path)) else {
                continue;
            };
            let place = self.folder.join("points").join(path);
            if found.is_dir() {
                make_all(&self.folder.join("points"), &place)?;
            } else {
                if let Some(parent) = place.parent() {
                    make_all(&self.folder.join("points"), parent)?;
                }
                write(&place, "")?;
            }
        }
        Ok(())
    }

    /// What the program changed on a writable root.
    pub(super) fn changes(
        &self,
        request: &Request,
        symlinks: &SymlinkOwners,
    ) -> Result<Changes, SandboxError> {
        let whole = self.folder.join("merged").exists();
        changes::read(&Written {
            folder: &self.folder.join(if whole { "merged" } else { "upper" }),
            whole,
            known: &self.known,
            emulated: request.identity == Identity::Root,
            lowers: &request.root,
            hidden: &[&self.folder.join("g/0"), &self.folder.join("points")],
            symlinks,
        })
    }

    fn remove_points(&mut self) {
        for point in self.points.drain(..).rev() {
            // What the program put there stays, and then its folder does too.
            match fs::symlink_metadata(&point) {
                Ok(found) if found.is_dir() => drop(fs::remove_dir(&point)),
                Ok(found) if found.is_file() && found.len() == 0 => drop(fs::remove_file(&point)),
                _ => {}
            }
        }
    }

    /// Links to the trees, and the trees that are made up.
    fn layers(&self, request: &Request) -> Result<Composition, SandboxError> {
        let mut layers = vec![self.link(0, &self.skeleton(request)?)?];
        let mut plain = 1;
        let mut only_plain = true;
        let mut made_up = 1;
        for lower in &request.root {
            if !lower.removed.is_empty() {
                let tree = self.folder.join(format!("g/{made_up}"));
                made_up += 1;
                trees::whiteouts(&tree, &lower.removed)?;
                layers.push(self.link(layers.len(), &tree)?);
                only_plain = false;
            }
            let found =
                fs::metadata(&lower.tree).map_err(io_error("read the tree", &lower.tree))?;
            if !found.is_dir() {
                return Err(io_error("use as a tree", &lower.tree)(
                    io::ErrorKind::NotADirectory.into(),
                ));
            }
            layers.push(self.link(
                layers.len(),
                &std::path::absolute(&lower.tree).map_err(io_error("find", &lower.tree))?,
            )?);
            let tree = self.folder.join(format!("g/{made_up}"));
            if trees::directory_modes(&tree, lower)? {
                made_up += 1;
                layers.push(self.link(layers.len(), &tree)?);
            }
            if only_plain {
                plain = layers.len();
            }
        }
        trees::group(layers, plain, &self.folder)
    }

    fn link(&self, number: usize, tree: &Path) -> Result<String, SandboxError> {
        let name = format!("l/{number}");
        let link = self.folder.join(&name);
        symlink(tree, &link).map_err(io_error("make the link", &link))?;
        Ok(name)
    }

    /// The bottom of every root.
    fn skeleton(&self, request: &Request) -> Result<PathBuf, SandboxError> {
        let tree = self.folder.join("g/0");
        make(&tree, 0o755)?;
        for name in ["dev", "proc", "sys", "etc"] {
            make(&tree.join(name), 0o755)?;
        }
        make(&tree.join("tmp"), 0o1777)?;
        if request.access == Access::ReadOnly {
            make(&tree.join("build"), 0o755)?;
        }
        let (passwd, group) = match request.identity {
            Identity::Root => ("root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n"),
            Identity::Builder => (
                "root:x:0:0:Nix build user:/build:/noshell\nnixbld:x:1000:100:Nix build user:/build:/noshell\n",
                "root:x:0:\nnixbld:!:100:\n",
            ),
        };
        let nobody = "nobody:x:65534:65534:Nobody:/:/noshell\n";
        let nogroup = "nogroup:x:65534:\n";
        for (name, text) in [
            ("etc/passwd", format!("{passwd}{nobody}")),
            ("etc/group", format!("{group}{nogroup}")),
            ("etc/hosts", HOSTS.to_owned()),
        ] {
            write(&tree.join(name), &text)?;
        }
        Ok(tree)
    }

    /// What is bound: the skeleton's own files and folders, then what was asked for.
    fn mounts(&mut self, request: &Request) -> Result<Vec<Binding>, SandboxError> {
        let mut bindings = Vec::new();
        let mut bind = |source: PathBuf, target: &str, writable| {
            bindings.push(Binding {
                source: source.into(),
                target: target.into(),
                writable,
                optional: true,
            });
        };
        let files = self.folder.join("files");
        let changes = request.access == Access::Changes;
        if changes {
            write(&files.join("hosts"), HOSTS)?;
            write(&files.join("hostname"), "localhost\n")?;
            bind(files.join("hosts"), "/etc/hosts", true);
            bind(files.join("hostname"), "/etc/hostname", true);
        } else {
            for (name, mode) in [("tmp", 0o1777), ("build", 0o755)] {
                make(&self.folder.join(name), mode)?;
                bind(self.folder.join(name), &format!("/{name}"), true);
            }
        }
        let host = request.network == Network::Host;
        if changes || host {
            let resolver = if host {
                fs::read_to_string("/etc/resolv.conf").unwrap_or_default()
            } else {
                String::new()
            };
            write(&files.join("resolv.conf"), &resolver)?;
            bind(files.join("resolv.conf"), "/etc/resolv.conf", changes);
        }
        for (number, mount) in request.mounts.iter().enumerate() {
            self.nested_point(&request.mounts[..number], mount)?;
            bindings.push(Binding {
                source: std::path::absolute(&mount.source)
                    .map_err(io_error("find", &mount.source))?
                    .into(),
                target: mount.target.clone().into(),
                writable: mount.writable,
                optional: false,
            });
        }
        Ok(bindings)
    }

    /// Makes the point of a mount that lies inside the source of an earlier one, so that it can be removed afterwards.
    fn nested_point(&mut self, earlier: &[Mount], mount: &Mount) -> Result<(), SandboxError> {
        let Some((outer, inside)) = earlier.iter().rev().find_map(|outer| {
            let inside = mount.target.strip_prefix(&outer.target).ok()?;
            Some((outer, inside))
        }) else {
            return Ok(());
        };
        let plain = inside
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !outer.writable || !plain || inside.as_os_str().is_empty() {
            return Ok(());
        }
        let directory = fs::metadata(&mount.source)
            .map_err(io_error("read", &mount.source))?
            .is_dir();
        let mut place = outer.source.clone();
        let count = inside.components().count();
        for (number, part) in inside.components().enumerate() {
            place.push(part);
            match fs::symlink_metadata(&place) {
                Ok(found) if found.is_symlink() => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if directory || number + 1 < count {
                        make(&place, 0o755)?;
                    } else {
                        write(&place, "")?;
                    }
                    self.points.push(place.clone());
                }
                Err(error) => return Err(io_error("read", &place)(error)),
            }
        }
        Ok(())
    }

    fn order(
        &self,
        request: &Request,
        root: Composition,
        mounts: Vec<Binding>,
        counted: bool,
    ) -> Order {
        let mut env = request.env.clone();
        let mut secrets = Vec::new();
        for secret in &request.secrets {
            match &secret.place {
                SecretPlace::File { target, mode } => secrets.push(SecretFile {
                    target: target.clone().into(),
                    mode: *mode & 0o777,
                    value: secret.value.clone(),
                }),
                SecretPlace::Variable(name) => {
                    let value = std::os::unix::ffi::OsStringExt::from_vec(secret.value.clone());
                    env.insert(name.clone(), value);
                }
            }
        }
        let variation = request.variation.clone().unwrap_or_default();
        Order {
            staging: self.folder.clone().into(),
            root,
            writable: request.access == Access::Changes,
            mounts,
            secrets,
            user: match request.identity {
                Identity::Builder => (1000, 100),
                Identity::Root => (0, 0),
            },
            host_root: rustix::process::geteuid().is_root(),
            emulate: request.identity == Identity::Root,
            modes: trees::modes(&request.root),
            program: request.program.clone(),
            args: request.args.clone(),
            env: env.into_iter().collect::<Vec<(OsString, OsString)>>(),
            directory: request.directory.clone().into(),
            host_network: request.network == Network::Host,
            processes: request.limits.processes,
            counted,
            memory: request.limits.memory,
            disk: request.limits.disk,
            first_pid: variation.first_pid,
            cores: variation.cores,
            umask: variation.umask.unwrap_or(0o022),
            random_addresses: variation.random_addresses,
        }
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if !self.kept {
            self.remove_points();
            // A run that failed reports its own error; what could not be removed is swept with the folder's parent.
            let _ = clean::empty(&self.folder);
        }
    }
}

/// Owners are recorded as attributes; without them changes would be lost silently.
fn attributes_work(folder: &Path) -> Result<(), SandboxError> {
    let set = rustix::fs::setxattr(folder, ATTRIBUTE, b"0:0:0", rustix::fs::XattrFlags::empty());
    set.and_then(|()| rustix::fs::removexattr(folder, ATTRIBUTE))
        .map_err(|error| SandboxError::Unavailable {
            missing: format!("the file system of {} holds no extended attributes", folder.display()),
            remedy: "put the store on one that does: ext4, XFS, Btrfs, ZFS, or memory with Linux 6.6 or newer".to_owned(),
            source: error.into(),
        })
}

const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";

/// A path relative to the root, without anything that leads elsewhere.
pub(super) fn relative(path: &Path) -> Result<PathBuf, SandboxError> {
    let path = path.strip_prefix("/").unwrap_or(path);
    if path.as_os_str().is_empty()
        || !path
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
    {
        return Err(SandboxError::Setup {
            attempted: format!("using {} as a path inside the root", path.display()),
            source: io::ErrorKind::InvalidInput.into(),
        });
    }
    Ok(path.to_owned())
}

pub(super) fn make_all(base: &Path, folder: &Path) -> Result<(), SandboxError> {
    let Ok(inside) = folder.strip_prefix(base) else {
        return Ok(());
    };
    let mut place = base.to_owned();
    for part in inside.components() {
        place.push(part);
        make(&place, 0o755)?;
    }
    Ok(())
}

/// Makes a folder with exactly this mode; one that is there gets it.
pub(super) fn make(folder: &Path, mode: u32) -> Result<(), SandboxError> {
    match DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        result => result.map_err(io_error("make the folder", folder))?,
    }
    set_mode(folder, mode)
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), SandboxError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(io_error("set the mode of", path))
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), SandboxError> {
    fs::write(path, text).map_err(io_error("write", path))?;
    set_mode(path, 0o644)
}

pub(super) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> SandboxError + 'a {
    move |source| SandboxError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
