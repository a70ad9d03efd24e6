//! The folder that a container runs from, alive for as long as somebody uses it.
//!
//! ```text
//! PARENT/lock         held while a bundle is made or swept
//! PARENT/RANDOM/lock  held by cognix, and by the runtime that inherits it
//! PARENT/RANDOM/rootfs
//! ```
//!
//! A bundle is removed when it is dropped. One whose cognix was killed is swept by the next, unless its container still
//! runs. Whether somebody uses it is told by locks alone, which the kernel releases.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::io::FdFlags;

use super::ContainerError;

/// The folder of the container's root, inside the bundle.
pub(super) const ROOT: &str = "rootfs";
const LOCK: &str = "lock";

/// A folder with a root, for one container.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    /// Closed last, so that nobody sweeps what is being removed.
    _lock: File,
}

impl Bundle {
    /// Makes an empty bundle below `parent`, and removes what killed processes have left there.
    pub fn create(parent: &Path) -> Result<Self, ContainerError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ContainerError::Io { path, source }
        };
        fs::create_dir_all(parent).map_err(failed(parent))?;
        let guard_file = parent.join(LOCK);
        let guard = open_lock(&guard_file).map_err(failed(&guard_file))?;
        guard.lock().map_err(failed(&guard_file))?;
        sweep(parent);

        let folder = tempfile::Builder::new().prefix("exec-").tempdir_in(parent);
        let path = folder.map_err(failed(parent))?.keep();
        let lock = locked(&path).map_err(failed(&path))?;
        let bundle = Self { path, _lock: lock };
        fs::create_dir(bundle.root()).map_err(failed(&bundle.path))?;
        Ok(bundle)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The container's root.
    pub fn root(&self) -> PathBuf {
        self.path.join(ROOT)
    }

    /// What the container is called: unique on this machine.
    pub fn id(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        format!("cognix-{}", name.to_string_lossy())
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // What cannot be removed now is swept by a later process.
        let _ = remove(&self.path);
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path)
}

/// Takes the lock of a new bundle. The descriptor is inherited: a container outlives a cognix that is killed, and its
/// root must not be swept from under it.
fn locked(bundle: &Path) -> io::Result<File> {
    let lock = open_lock(&bundle.join(LOCK))?;
    lock.lock()?;
    rustix::io::fcntl_setfd(&lock, FdFlags::empty())?;
    Ok(lock)
}

/// Removes the bundles that nobody holds. Errors are left for the next sweep.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir()
            && let Ok(lock) = open_lock(&path.join(LOCK))
            && lock.try_lock().is_ok()
        {
            let _ = remove(&path);
        }
    }
}

/// Removes a tree, also one in which a command has taken away the right to remove things.
fn remove(path: &Path) -> io::Result<()> {
    if fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    let mut waiting = vec![path.to_owned()];
    while let Some(folder) = waiting.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    fs::remove_dir_all(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundles(parent: &Path) -> usize {
        let entries = fs::read_dir(parent).expect("a folder");
        entries
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .count()
    }

    #[test]
    fn crash_4_a_bundle_lives_as_long_as_its_lock() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let alive = Bundle::create(parent.path()).expect("a bundle");
        let dead = parent.path().join("exec-killed");
        fs::create_dir_all(dead.join("rootfs/closed")).expect("folders");
        fs::write(dead.join("rootfs/closed/file"), "text").expect("a file");
        fs::set_permissions(dead.join("rootfs/closed"), Permissions::from_mode(0o500))
            .expect("our own");
        let second = Bundle::create(parent.path()).expect("a bundle");
        assert!(alive.root().is_dir() && second.root().is_dir() && !dead.exists());
        assert_ne!(alive.id(), second.id());
        drop((alive, second));
        assert_eq!(bundles(parent.path()), 0);
    }
}
