//! Places for what is being made.
//!
//! A [`Staging`] is a folder `tmp-PID-NUMBER` in the store folder. Its owner holds a flock on it, so that a sweep (ours or
//! that of Nix's garbage collector) can tell what is alive from what a killed process has left. Outputs are written inside
//! and leave by rename. What is still inside when the owner drops it is removed.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cognix_derivations::StorePath;
use rustix::fs::FlockOperation;

use crate::error::StoreError;
use crate::guard::{PathLock, is_same_file, sweep_lock};
use crate::layout::{DOWNLOAD_SUFFIX, LOCK_SUFFIX, Layout, TEMPORARY_PREFIX};

/// How long an unfinished download is kept for somebody to go on with it.
const DOWNLOADS_KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// Numbers the names of this process.
static NEXT_NAME: AtomicU64 = AtomicU64::new(0);

/// Orders the stagings of this process by when they were opened.
static NEXT_AGE: AtomicU64 = AtomicU64::new(0);

/// A folder of our own below the store folder.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    /// Open since before anything was written inside; holds the lock, and reports errors of writing back.
    directory: File,
    age: u64,
}

impl Staging {
    /// Makes a new folder and locks it.
    pub(crate) fn new(layout: &Layout) -> Result<Self, StoreError> {
        loop {
            let number = NEXT_NAME.fetch_add(1, Ordering::Relaxed);
            let name = format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id());
            let path = layout.store_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                // Left by a killed process that had our number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(StoreError::io("create", &path)(error)),
            }
            // A sweep may have taken the folder between its creation and our lock; then we make another.
            if let Some(directory) = lock_directory(&path) {
                let age = NEXT_AGE.fetch_add(1, Ordering::Relaxed);
                return Ok(Self {
                    path,
                    directory,
                    age,
                });
            }
        }
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A descriptor from before anything was written inside.
    pub(crate) fn directory(&self) -> &File {
        &self.directory
    }

    /// Of two stagings of this process, the one with the smaller age was open before anything was written to the other.
    pub(crate) fn age(&self) -> u64 {
        self.age
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is swept by a later process.
        let _ = remove_tree(&self.path);
    }
}

/// Removes what killed processes have left: temporary folders and lock files that nobody holds. Whether somebody is alive
/// is told by locks alone, never by process numbers or age. Errors are left for the next sweep.
pub(crate) fn sweep(layout: &Layout) {
    let Ok(entries) = fs::read_dir(layout.store_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        if name.starts_with(TEMPORARY_PREFIX) {
            if let Some(_lock) = lock_directory(&path) {
                let _ = remove_tree(&path);
            }
        } else if name.ends_with(LOCK_SUFFIX) {
            let _ = sweep_lock(&path);
        }
    }
    sweep_downloads(layout);
}

/// Removes downloads that nobody has gone on with for long. Whoever works on one holds the lock of its store path.
fn sweep_downloads(layout: &Layout) {
    let Ok(entries) = fs::read_dir(layout.downloads()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let path = name
            .to_str()
            .and_then(|name| name.strip_suffix(DOWNLOAD_SUFFIX))
            .and_then(|name| StorePath::from_base_name(name).ok());
        let old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > DOWNLOADS_KEPT));
        if let Some(path) = path.filter(|_| old)
            && let Ok(Some(_lock)) = PathLock::try_acquire(layout, &path)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Opens and locks a folder, if it is one, nobody holds it, and the name still stands for it.
fn lock_directory(path: &Path) -> Option<File> {
    use rustix::fs::{CWD, Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty()).ok()?);
    rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive).ok()?;
    is_same_file(&directory, path).then_some(directory)
}

/// Removes a file, a link or a whole tree, also one that has been normalised. Absent is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.is_dir() {
        return fs::remove_file(path);
    }
    // Only who may write a folder may remove what it holds, and normalised folders are read-only.
    let mut waiting = vec![path.to_owned()];
    while let Some(directory) = waiting.pop() {
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&directory)? {
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

    fn layout() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layout = Layout::new(folder.path());
        fs::create_dir_all(layout.store_dir()).expect("a store folder");
        (folder, layout)
    }

    fn names(layout: &Layout) -> usize {
        fs::read_dir(layout.store_dir()).expect("list").count()
    }

    #[test]
    fn crash_4_only_what_nobody_holds_is_swept() {
        let (_folder, layout) = layout();
        let alive = Staging::new(&layout).expect("staging");
        let dead = layout.store_dir().join("tmp-1-0");
        fs::create_dir_all(dead.join("tree/deep")).expect("create");
        fs::set_permissions(dead.join("tree"), Permissions::from_mode(0o555)).expect("chmod");
        fs::write(layout.store_dir().join("x.lock"), "").expect("write");
        fs::write(layout.store_dir().join("tmp-file"), "not ours").expect("write");
        sweep(&layout);
        assert!(alive.path().exists());
        assert!(!dead.exists());
        assert_eq!(names(&layout), 2);
        drop(alive);
        assert_eq!(names(&layout), 1);
    }

    #[test]
    fn normalised_trees_can_be_removed() {
        let (_folder, layout) = layout();
        let staging = Staging::new(&layout).expect("staging");
        let tree = staging.path().join("x/y/z");
        fs::create_dir_all(&tree).expect("create");
        fs::write(tree.join("file"), "text").expect("write");
        std::os::unix::fs::symlink("/", tree.join("link")).expect("link");
        for folder in [&tree, tree.parent().expect("parent")] {
            fs::set_permissions(folder, Permissions::from_mode(0o555)).expect("chmod");
        }
        drop(staging);
        assert_eq!(names(&layout), 0);
    }
}
