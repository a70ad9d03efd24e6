//! Finds the file that a thread means: from its folder, through its descriptors, below its root.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2, readlink, stat};
use rustix::io::Errno;

use crate::kernel::Answer;

/// The longest path, with its end.
const LONGEST: usize = 4096;
const PAGE: u64 = 4096;

/// A thread that waits for an answer.
pub(super) struct Caller {
    thread: u32,
}

impl Caller {
    pub(super) fn new(thread: u32) -> Self {
        Self { thread }
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
        if path.as_bytes().starts_with(b"/proc/") {
            // It would be ours, and nothing there is kept.
            return Err(Errno::XDEV);
        }
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
        let start = if path.as_bytes().first() == Some(&b'/') {
            self.proc("root")
        } else if folder == libc::AT_FDCWD {
            self.proc("cwd")
        } else {
            self.proc(&format!("fd/{folder}"))
        };
        let root = self.proc("root");
        let (theirs, ours) = (stat(&root)?, stat("/")?);
        if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino) {
            // Absolute paths and links lead where they lead for us.
            let start = openat(CWD, start, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            return openat(&start, path, how, Mode::empty());
        }
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

    /// Puts an answer into the thread's memory.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<Answer, Errno> {
        OpenOptions::new()
            .write(true)
            .open(self.proc("mem"))
            .and_then(|memory| memory.write_all_at(bytes, address))
            .map_err(|_| Errno::FAULT)?;
        Ok(Answer::Success)
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.thread))
    }

    /// A text in the thread's memory, read page by page because the next page may not be there.
    fn text(&self, address: u64) -> Result<CString, Errno> {
        let memory = File::open(self.proc("mem")).map_err(|_| Errno::FAULT)?;
        let mut text = Vec::new();
        let mut address = address;
        while text.len() < LONGEST {
            let mut piece = vec![0; usize::try_from(PAGE - address % PAGE).unwrap_or(1)];
            let count = memory
                .read_at(&mut piece, address)
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

/// Where something of a thread lies, as seen from our root.
fn place(link: &Path) -> Result<PathBuf, Errno> {
    let path = readlink(link, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}
