//! Finds the file that a thread means: from its folder, through its descriptors, below its root.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2, readlink, stat};
use rustix::io::Errno;

use crate::kernel::{self, Answer};

/// The longest path, with its end.
const LONGEST: usize = 4096;
const PAGE: usize = 4096;

/// A thread that waits for an answer.
pub(super) struct Caller {
    thread: u32,
    /// Whether it may have another root than we.
    rooted: bool,
}

impl Caller {
    pub(super) fn new(thread: u32, rooted: bool) -> Self {
        Self { thread, rooted }
    }

    /// What an open descriptor stands for.
    pub(super) fn open(&self, descriptor: i32) -> Result<OwnedFd, Errno> {
        if descriptor < 0 {
            return Err(Errno::BADF);
        }
        let path = self.proc(&format!("fd/{descriptor}"));
        openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(
            |error| match error {
                Errno::NOENT => Errno::BADF,
                other => other,
            },
        )
    }

    /// What a path in the thread's memory leads to.
    pub(super) fn at(&self, folder: i32, address: u64, flags: i32) -> Result<OwnedFd, Errno> {
        let path = if address == 0 && flags & libc::AT_EMPTY_PATH != 0 {
            CString::default()
        } else {
            self.text(address)?
        };
        let path = self.own(path)?;
        if path.is_empty() {
            if flags & libc::AT_EMPTY_PATH == 0 {
                return Err(Errno::NOENT);
            }
            return if folder == libc::AT_FDCWD {
                openat(
                    CWD,
                    self.proc("cwd"),
                    OFlags::PATH | OFlags::CLOEXEC,
                    Mode::empty(),
                )
            } else {
                self.open(folder)
            };
        }
        let mut how = OFlags::PATH | OFlags::CLOEXEC;
        if flags & libc::AT_SYMLINK_NOFOLLOW != 0 {
            how |= OFlags::NOFOLLOW;
        }
        let absolute = path.as_bytes().first() == Some(&b'/');
        let start = if folder == libc::AT_FDCWD {
            self.proc("cwd")
        } else {
            self.proc(&format!("fd/{folder}"))
        };
        let root = self.proc("root");
        if !self.rooted || same(&root)? {
            // Absolute paths and links lead where they lead for us.
            let path = OsStr::from_bytes(path.as_bytes());
            return openat(CWD, start.join(path), how, Mode::empty());
        }
        let start = if absolute { root.clone() } else { start };
        // Another root: the path is put together as seen from there, and resolved below it.
        let inside = place(&start)?;
        let inside = inside
            .strip_prefix(place(&root)?)
            .map_err(|_| Errno::NOENT)?;
        let whole = Path::new(".")
            .join(inside)
            .join(Path::new(OsStr::from_bytes(
                path.as_bytes()
                    .strip_prefix(b"/")
                    .unwrap_or(path.as_bytes()),
            )));
        let root = openat(CWD, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        openat2(&root, whole, how, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// A path that means the thread itself would mean us. The C library changes modes without following links that way.
    fn own(&self, path: CString) -> Result<CString, Errno> {
        let bytes = path.as_bytes();
        for (prefix, inside) in [
            ("/proc/self/", ""),
            ("/proc/thread-self/", ""),
            ("/dev/fd/", "fd/"),
        ] {
            if let Some(rest) = bytes.strip_prefix(prefix.as_bytes()) {
                let own = format!("/proc/{}/{inside}", self.thread);
                return CString::new([own.as_bytes(), rest].concat()).map_err(|_| Errno::INVAL);
            }
        }
        Ok(path)
    }

    /// Puts an answer into the thread's memory.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<Answer, Errno> {
        match kernel::write_memory(self.thread, address, bytes) {
            Ok(count) if count == bytes.len() => {}
            _ => return Err(Errno::FAULT),
        }
        Ok(Answer::Success)
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.thread))
    }

    /// A text in the thread's memory, read page by page because the next page may not be there.
    fn text(&self, address: u64) -> Result<CString, Errno> {
        let mut text = Vec::new();
        let mut address = address;
        while text.len() < LONGEST {
            let mut piece = [0; PAGE];
            let rest = PAGE - usize::try_from(address).unwrap_or(0) % PAGE;
            let count = kernel::read_memory(self.thread, address, &mut piece[..rest])
                .map_err(|_| Errno::FAULT)?;
            if count == 0 {
                return Err(Errno::FAULT);
            }
            if let Some(end) = piece[..count].iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&piece[..end]);
                if text.len() >= LONGEST {
                    break;
                }
                return CString::new(text).map_err(|_| Errno::FAULT);
            }
            text.extend_from_slice(&piece[..count]);
            address += count as u64;
        }
        Err(Errno::NAMETOOLONG)
    }
}

/// Whether a root is ours.
fn same(root: &Path) -> Result<bool, Errno> {
    let (theirs, ours) = (stat(root)?, stat("/")?);
    Ok((theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino))
}

/// Where something of a thread lies, as seen from our root.
fn place(link: &Path) -> Result<PathBuf, Errno> {
    let path = readlink(link, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}
