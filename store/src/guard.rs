//! One writer at a time: locks on store paths that the kernel releases.
//!
//! The protocol is Nix's own: an exclusive flock on `HASH-NAME.lock` beside the path, and a byte in the file once it has
//! been unlinked, so that whoever waited on a dead file opens a new one. A killed process leaves a file behind, never a
//! lock. Several locks are taken in sorted order. Nobody waits here in a system call, so that waiting can be cancelled.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cognix_derivations::StorePath;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::StoreError;
use crate::events::{Event, EventSink};
use crate::layout::Layout;

/// How long to sleep before looking at a lock again, at first and at most.
pub(crate) const POLL: (Duration, Duration) =
    (Duration::from_millis(5), Duration::from_millis(100));

/// The right to make one store path. Given back when dropped.
#[derive(Debug)]
pub(crate) struct PathLock {
    path: StorePath,
    file: File,
    location: PathBuf,
}

impl PathLock {
    /// Takes the lock, or returns `None` at once if somebody has it.
    pub(crate) fn try_acquire(
        layout: &Layout,
        path: &StorePath,
    ) -> Result<Option<Self>, StoreError> {
        let location = layout.path_lock(path);
        let file = try_lock(&location).map_err(StoreError::io("lock", &location))?;
        Ok(file.map(|file| Self {
            path: path.clone(),
            file,
            location,
        }))
    }

    /// Takes the lock, and says once if that takes a while. `cancelled` is asked again and again.
    pub(crate) fn acquire(
        layout: &Layout,
        path: &StorePath,
        events: &dyn EventSink,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, StoreError> {
        let mut delay = POLL.0;
        let mut told = false;
        loop {
            if let Some(lock) = Self::try_acquire(layout, path)? {
                return Ok(lock);
            }
            if cancelled() {
                return Err(StoreError::Cancelled);
            }
            if !told && delay == POLL.1 {
                told = true;
                events.emit(Event::WaitingForLock {
                    path: layout.path_lock(path),
                });
            }
            std::thread::sleep(delay);
            delay = (delay * 2).min(POLL.1);
        }
    }

    /// Takes several locks in sorted order.
    pub(crate) fn acquire_all(
        layout: &Layout,
        paths: &BTreeSet<&StorePath>,
        events: &dyn EventSink,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Self>, StoreError> {
        paths
            .iter()
            .map(|path| Self::acquire(layout, path, events, cancelled))
            .collect()
    }

    /// The path that may be made.
    pub(crate) fn path(&self) -> &StorePath {
        &self.path
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        retire(&self.location, &self.file);
    }
}

/// Opens and locks a lock file; `None` if somebody else has the lock.
fn try_lock(location: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(location)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        // A byte in the file says that it has been unlinked since we opened it: a lock that nobody else would see.
        if file.metadata()?.len() == 0 {
            return Ok(Some(file));
        }
    }
}

/// Unlinks a lock file that we hold, and marks it for those who have it open.
fn retire(location: &Path, file: &File) {
    // Both may fail only in ways that leave a file behind, which is harmless.
    if fs::remove_file(location).is_ok() {
        let _ = (&*file).write_all(b"d");
    }
}

/// Removes a lock file that nobody holds.
pub(crate) fn sweep_lock(location: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(location)?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && is_same_file(&file, location)
        && file.metadata()?.len() == 0
    {
        retire(location, &file);
    }
    Ok(())
}

/// Whether an open file is still what the name stands for.
pub(crate) fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Recorder;

    fn layout() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layout = Layout::new(folder.path());
        fs::create_dir_all(layout.store_dir()).expect("a store folder");
        (folder, layout)
    }

    fn path(digit: char) -> StorePath {
        StorePath::from_base_name(&format!("{}-x", digit.to_string().repeat(32))).expect("valid")
    }

    #[test]
    fn store_5_one_holder_at_a_time_and_no_file_is_left() {
        let (_folder, layout) = layout();
        let lock = PathLock::try_acquire(&layout, &path('1')).expect("lock");
        assert!(lock.is_some());
        assert!(
            PathLock::try_acquire(&layout, &path('1'))
                .expect("lock")
                .is_none()
        );
        assert!(
            PathLock::try_acquire(&layout, &path('2'))
                .expect("lock")
                .is_some()
        );
        drop(lock);
        assert!(
            PathLock::try_acquire(&layout, &path('1'))
                .expect("lock")
                .is_some()
        );
        assert_eq!(fs::read_dir(layout.store_dir()).expect("list").count(), 0);
    }

    #[test]
    fn store_5_many_threads_take_turns() {
        let (_folder, layout) = layout();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let lock =
                            PathLock::acquire(&layout, &path('1'), &crate::Silent, &|| false)
                                .expect("lock");
                        use std::sync::atomic::Ordering::SeqCst;
                        assert_eq!(inside.fetch_add(1, SeqCst), 0);
                        std::thread::yield_now();
                        assert_eq!(inside.fetch_sub(1, SeqCst), 1);
                        drop(lock);
                    }
                });
            }
        });
    }

    #[test]
    fn waiting_is_told_once_and_can_be_cancelled() {
        let (_folder, layout) = layout();
        let _held = PathLock::try_acquire(&layout, &path('1')).expect("lock");
        let recorder = Recorder::default();
        let asked = std::cell::Cell::new(0);
        let result = PathLock::acquire(&layout, &path('1'), &recorder, &|| {
            asked.set(asked.get() + 1);
            asked.get() > 7
        });
        assert!(matches!(result, Err(StoreError::Cancelled)));
        assert_eq!(recorder.events().len(), 1);
    }

    #[test]
    fn a_lock_file_of_a_dead_process_is_swept_but_not_one_in_use() {
        let (_folder, layout) = layout();
        let location = layout.path_lock(&path('1'));
        File::create(&location).expect("create");
        sweep_lock(&location).expect("sweep");
        assert!(!location.exists());
        let _held = PathLock::try_acquire(&layout, &path('1')).expect("lock");
        sweep_lock(&location).expect("sweep");
        assert!(location.exists());
    }
}
