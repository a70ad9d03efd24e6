//! Root without root: owners and set-id modes that are asked for are recorded, not made.
//!
//! One user exists inside, so real changes of owners would fail, for the host's root and for an ordinary user alike. The
//! kernel asks the first process instead. It finds the file as the calling thread would, records what was asked for, and
//! answers. Nothing here waits for a file: everything is opened as a mere path.
//!
//! Answers are about bookkeeping, never about protection: a program that changes its arguments meanwhile fools itself.

mod target;

use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use libc::c_long;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags, chmod, chownat, fstat, getxattr,
    openat2, readlink, setxattr,
};
use rustix::io::Errno;

use super::report;
use crate::kernel::{self, Answer, Question};
use crate::order::Report;
use crate::record::{ATTRIBUTE, Record, identity};
use target::Caller;

const FCHMODAT2: c_long = 452;

/// Answers the program's questions.
pub(super) struct Emulation {
    listener: OwnedFd,
    /// The folder on the disk that changes go to; symlinks are known by their place in it.
    upper: Option<OwnedFd>,
}

/// What was asked for.
enum Wish {
    Owner { uid: u32, gid: u32 },
    Mode(u32),
}

impl Emulation {
    pub(super) fn new(listener: OwnedFd, upper: Option<OwnedFd>) -> Self {
        Self { listener, upper }
    }

    pub(super) fn listener(&self) -> &OwnedFd {
        &self.listener
    }

    /// Answers one question; false if there will be no more.
    pub(super) fn answer(&self) -> bool {
        let question = match kernel::next_question(&self.listener) {
            Ok(question) => question,
            // The thread was killed meanwhile.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => {
                return true;
            }
            Err(_) => return false,
        };
        let answer = match self.decide(&question) {
            Ok(answer) => answer,
            Err(error) => Answer::Error(error.raw_os_error()),
        };
        // A thread that is gone needs no answer.
        let _ = kernel::answer(&self.listener, question.id, answer);
        true
    }

    fn decide(&self, question: &Question) -> Result<Answer, Errno> {
        let caller = Caller::new(question.thread);
        let call = c_long::from(question.call);
        let [first, second, third, fourth, fifth, _] = question.arguments;
        let here = libc::AT_FDCWD;
        let nofollow = libc::AT_SYMLINK_NOFOLLOW;
        let (file, wish) = match call {
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown => (caller.at(here, first, 0)?, owner(second, third)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lchown => (caller.at(here, first, nofollow)?, owner(second, third)),
            libc::SYS_fchown => (caller.open(low(first))?, owner(second, third)),
            libc::SYS_fchownat => (
                caller.at(low(first), second, low(fifth))?,
                owner(third, fourth),
            ),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chmod => (caller.at(here, first, 0)?, mode(second)),
            libc::SYS_fchmod => (caller.open(low(first))?, mode(second)),
            libc::SYS_fchmodat => (caller.at(low(first), second, 0)?, mode(third)),
            FCHMODAT2 => (caller.at(low(first), second, low(fourth))?, mode(third)),
            _ => return Err(Errno::NOSYS),
        };
        // Between the question and the look at its thread, another thread could have got the number.
        if !kernel::is_waiting(&self.listener, question.id) {
            return Err(Errno::SRCH);
        }
        match wish {
            Wish::Owner { uid, gid } => self.give(&file, uid, gid),
            Wish::Mode(mode) => permit(&file, mode),
        }
    }

    /// Gives a file to somebody. `u32::MAX` leaves a part as it is.
    fn give(&self, file: &OwnedFd, uid: u32, gid: u32) -> Result<Answer, Errno> {
        let stat = fstat(file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                self.give_symlink(file, uid, gid)?;
                return Ok(Answer::Success);
            }
            FileType::RegularFile | FileType::Directory => {}
            // Pipes, sockets and devices are no result.
            _ => return Ok(Answer::Success),
        }
        let old = recorded(file)?;
        let (old_uid, old_gid, old_bits) =
            old.map_or((0, 0, 0), |old| (old.uid, old.gid, old.bits));
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let record = Record {
            uid: if uid == u32::MAX { old_uid } else { uid },
            gid: if gid == u32::MAX { old_gid } else { gid },
            // As the kernel does: who gets a file does not get its powers.
            bits: if directory { old_bits } else { 0 },
        };
        if old.is_none()
            && record
                == (Record {
                    uid: 0,
                    gid: 0,
                    bits: 0,
                })
            && (uid, gid) == (u32::MAX, u32::MAX)
        {
            return Ok(Answer::Success);
        }
        write(file, record)?;
        Ok(Answer::Success)
    }

    fn give_symlink(&self, file: &OwnedFd, uid: u32, gid: u32) -> Result<(), Errno> {
        let Some(upper) = &self.upper else {
            return Ok(());
        };
        // A symlink of a tree below gets its own copy, which then has an identity.
        chownat(
            file,
            "",
            Some(Uid::ROOT),
            Some(Gid::ROOT),
            AtFlags::EMPTY_PATH,
        )?;
        let path = readlink(proc_path(file), Vec::new())?;
        let path = std::path::PathBuf::from(OsString::from_vec(path.into_bytes()));
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        let parent = parent.strip_prefix("/").unwrap_or(parent);
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        let resolve = rustix::fs::ResolveFlags::BENEATH | rustix::fs::ResolveFlags::NO_SYMLINKS;
        let folder = openat2(
            upper,
            parent,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        );
        // It lies in a mount of its own.
        let Ok(folder) = folder else {
            return Ok(());
        };
        if let Ok(identity) = identity(&folder, name) {
            let keep = |part: u32| if part == u32::MAX { 0 } else { part };
            report(&Report::Symlink {
                identity,
                owner: (keep(uid), keep(gid)),
            });
        }
        Ok(())
    }
}

/// Sets a mode, and records what must not be on the disk.
fn permit(file: &OwnedFd, mode: u32) -> Result<Answer, Errno> {
    let bits = mode & 0o6000;
    let old = recorded(file)?;
    if bits == 0 && old.is_none_or(|old| old.bits == 0) {
        return Ok(Answer::Proceed);
    }
    chmod(proc_path(file), Mode::from_raw_mode(mode & 0o1777))?;
    let kind = FileType::from_raw_mode(fstat(file)?.st_mode);
    if matches!(kind, FileType::RegularFile | FileType::Directory) {
        let (uid, gid) = old.map_or((0, 0), |old| (old.uid, old.gid));
        write(file, Record { uid, gid, bits })?;
    }
    Ok(Answer::Success)
}

fn recorded(file: &OwnedFd) -> Result<Option<Record>, Errno> {
    let mut value = [0; 64];
    match getxattr(proc_path(file), ATTRIBUTE, &mut value) {
        Ok(length) => Ok(Record::parse(&value[..length])),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(file: &OwnedFd, record: Record) -> Result<(), Errno> {
    match setxattr(
        proc_path(file),
        ATTRIBUTE,
        record.text().as_bytes(),
        XattrFlags::empty(),
    ) {
        // A file system without attributes is no place for results: memory, the kernel's own.
        Err(Errno::OPNOTSUPP) => Ok(()),
        result => result,
    }
}

/// A path that leads to an open file, whatever happened to its name.
fn proc_path(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn owner(uid: u64, gid: u64) -> Wish {
    Wish::Owner {
        uid: low(uid).cast_unsigned(),
        gid: low(gid).cast_unsigned(),
    }
}

fn mode(mode: u64) -> Wish {
    Wish::Mode(low(mode).cast_unsigned() & 0o7777)
}

/// The half of a register that the kernel looks at for arguments of 32 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the kernel cuts it off as well"
)]
fn low(register: u64) -> i32 {
    (register as u32).cast_signed()
}
