//! Temporary roots: what this process needs must not be collected while it runs.
//!
//! The protocol is Nix's own, so that its garbage collector respects us: a file `temproots/PID` with NUL-terminated paths,
//! held under an exclusive flock while the process lives. When a collection is running, the path is also sent to its socket
//! and acknowledged there, because the collector has read the files already. A path is protected before its lock is taken
//! and before its validity is looked at for the last time (STORE-5).

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use cognix_derivations::StorePath;
use rustix::fs::FlockOperation;

use crate::error::StoreError;
use crate::guard::is_same_file;
use crate::layout::Layout;

/// All stores of one process share its one file per root.
static FILES: Mutex<BTreeMap<PathBuf, Weak<RootsFile>>> = Mutex::new(BTreeMap::new());

/// The temporary roots of this process in one store.
#[derive(Debug)]
pub(crate) struct TemporaryRoots {
    folder: PathBuf,
    gc_lock: PathBuf,
    socket: PathBuf,
    /// Opened when the first path is added.
    file: Mutex<Option<Arc<RootsFile>>>,
}

#[derive(Debug)]
struct RootsFile {
    path: PathBuf,
    file: File,
}

impl TemporaryRoots {
    /// No roots yet.
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            folder: layout.temporary_roots(),
            gc_lock: layout.gc_lock(),
            socket: layout.root().join("nix/var/nix/gc-socket/socket"),
            file: Mutex::default(),
        }
    }

    /// Protects these paths until the process ends.
    pub(crate) fn add(&self, paths: &[&StorePath]) -> Result<(), StoreError> {
        if paths.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for path in paths {
            text.extend(path.to_string().bytes().chain([0]));
        }
        self.protect(paths, &text)
            .map_err(StoreError::io("protect paths in", &self.folder))
    }

    fn protect(&self, paths: &[&StorePath], text: &[u8]) -> io::Result<()> {
        let mut own = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let roots = match &mut *own {
            Some(roots) => roots,
            none => none.insert(shared_file(&self.folder)?),
        };
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.gc_lock)?;
        // While we hold the shared lock, no collection begins; so whichever begins next reads the file below.
        while rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err() {
            match announce(&self.socket, paths) {
                Ok(()) => break,
                // The collection is about to begin or has just ended.
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        (&roots.file).write_all(text)
    }
}

impl Drop for RootsFile {
    fn drop(&mut self) {
        // Another thread may have opened a new file of that name already.
        if is_same_file(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn shared_file(folder: &Path) -> io::Result<Arc<RootsFile>> {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = files.get(folder).and_then(Weak::upgrade) {
        return Ok(file);
    }
    let file = Arc::new(open(folder)?);
    files.insert(folder.to_owned(), Arc::downgrade(&file));
    Ok(file)
}

fn open(folder: &Path) -> io::Result<RootsFile> {
    fs::create_dir_all(folder)?;
    let path = folder.join(std::process::id().to_string());
    loop {
        // No other process has our number, so a file of that name is left from one that has ended.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        // A collector that came between creation and lock has marked the file as dead.
        if file.metadata()?.len() == 0 {
            return Ok(RootsFile { path, file });
        }
    }
}

/// Tells a running collection about paths, and waits until it has understood.
fn announce(socket: &Path, paths: &[&StorePath]) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    for path in paths {
        stream.write_all(format!("{path}\n").as_bytes())?;
        stream.read_exact(&mut [0])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_5_paths_are_written_as_nix_reads_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layout = Layout::new(folder.path());
        fs::create_dir_all(layout.temporary_roots()).expect("create");
        let roots = TemporaryRoots::new(&layout);
        let path = StorePath::from_base_name("00000000000000000000000000000000-x").expect("valid");
        roots.add(&[&path]).expect("add");
        let second = TemporaryRoots::new(&layout);
        second.add(&[&path]).expect("add");
        let file = layout
            .temporary_roots()
            .join(std::process::id().to_string());
        let line = "/nix/store/00000000000000000000000000000000-x\0";
        assert_eq!(fs::read_to_string(&file).expect("read"), line.repeat(2));
        let other = File::open(&file).expect("open");
        assert!(rustix::fs::flock(&other, FlockOperation::NonBlockingLockExclusive).is_err());
        drop((roots, second));
        assert!(!file.exists());
    }

    #[test]
    fn store_5_a_running_collection_is_told() {
        use std::io::BufRead as _;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layout = Layout::new(folder.path());
        fs::create_dir_all(layout.temporary_roots()).expect("create");
        let roots = TemporaryRoots::new(&layout);
        fs::create_dir_all(roots.socket.parent().expect("parent")).expect("create");
        let listener = std::os::unix::net::UnixListener::bind(&roots.socket).expect("bind");
        let lock = File::create(&roots.gc_lock).expect("create");
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).expect("lock");
        let collector = std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("accept");
            let mut reader = std::io::BufReader::new(&stream);
            let mut line = String::new();
            reader.read_line(&mut line).expect("read");
            (&stream).write_all(b"1").expect("write");
            line
        });
        let path = StorePath::from_base_name("00000000000000000000000000000000-x").expect("valid");
        roots.add(&[&path]).expect("add");
        assert_eq!(collector.join().expect("thread"), format!("{path}\n"));
    }
}
