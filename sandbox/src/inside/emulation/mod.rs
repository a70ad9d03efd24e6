//! Root without root: owners and set-id modes that are asked for are recorded, not made.
//!
//! One user exists inside, so real changes of owners would fail, for the host's root and for an ordinary user alike. The
//! kernel asks the first process instead. It finds the file as the calling thread would, records what was asked for, and
//! answers. Nothing here waits for a file: everything is opened as a mere path.
//!
//! Answers are about bookkeeping, never about protection: a program that changes its arguments meanwhile fools itself.

mod appearance;
mod target;

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd};

use libc::c_long;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Uid, XattrFlags, chmod, chownat, fstat, getxattr, setxattr,
};
use rustix::io::Errno;

use super::report;
use crate::kernel::{self, Answer, Question};
use crate::order::{Order, Report};
use crate::record::{ATTRIBUTE, EXACT, Record, SymlinkOwners};
use appearance::{Appearance, Looks};
use target::Caller;

const FCHMODAT2: c_long = 452;

/// The thread's own folder.
#[cfg(target_arch = "x86_64")]
const HERE: i32 = libc::AT_FDCWD;
/// Questions about looks.
const LOOKING: &[c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
];

/// Answers the program's questions.
pub(super) struct Emulation {
    listener: OwnedFd,
    appearance: Appearance,
    /// Owners of symlinks, which cannot have attributes.
    symlinks: RefCell<SymlinkOwners>,
    /// Whether some process changed its root.
    rooted: Cell<bool>,
}

/// What was asked for.
enum Wish {
    Owner {
        uid: u32,
        gid: u32,
    },
    Mode(u32),
    /// To be told what it looks like, at an address.
    Looks(u64),
    /// The same with flags and a mask.
    LongLooks {
        address: u64,
        flags: i32,
        mask: u32,
    },
}

impl Emulation {
    pub(super) fn new(listener: OwnedFd, order: &Order, upper: Option<OwnedFd>) -> Self {
        Self {
            listener,
            appearance: Appearance::new(order, upper),
            symlinks: RefCell::default(),
            rooted: Cell::new(false),
        }
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
            // Whatever is wrong with a question about looks, the kernel says it best.
            Err(_) if LOOKING.contains(&c_long::from(question.call)) => Answer::Proceed,
            Err(error) => Answer::Error(error.raw_os_error()),
        };
        // A thread that is gone needs no answer.
        let _ = kernel::answer(&self.listener, question.id, answer);
        true
    }

    fn decide(&self, question: &Question) -> Result<Answer, Errno> {
        let call = c_long::from(question.call);
        if call == libc::SYS_chroot {
            self.rooted.set(true);
            return Ok(Answer::Proceed);
        }
        let caller = Caller::new(question.thread, self.rooted.get());
        let [first, second, third, fourth, fifth, _] = question.arguments;
        let (file, wish) = match call {
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown => (caller.at(HERE, first, 0)?, owner(second, third)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lchown => (
                caller.at(HERE, first, libc::AT_SYMLINK_NOFOLLOW)?,
                owner(second, third),
            ),
            libc::SYS_fchown => (caller.open(low(first))?, owner(second, third)),
            libc::SYS_fchownat => (
                caller.at(low(first), second, low(fifth))?,
                owner(third, fourth),
            ),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chmod => (caller.at(HERE, first, 0)?, mode(second)),
            libc::SYS_fchmod => (caller.open(low(first))?, mode(second)),
            libc::SYS_fchmodat => (caller.at(low(first), second, 0)?, mode(third)),
            FCHMODAT2 => (caller.at(low(first), second, low(fourth))?, mode(third)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_stat => (caller.at(HERE, first, 0)?, Wish::Looks(second)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lstat => (
                caller.at(HERE, first, libc::AT_SYMLINK_NOFOLLOW)?,
                Wish::Looks(second),
            ),
            libc::SYS_fstat => (caller.open(low(first))?, Wish::Looks(second)),
            libc::SYS_newfstatat => (
                caller.at(low(first), second, low(fourth))?,
                Wish::Looks(third),
            ),
            libc::SYS_statx => {
                let flags = low(third);
                let wish = Wish::LongLooks {
                    address: fifth,
                    flags: flags & libc::AT_STATX_SYNC_TYPE,
                    mask: low(fourth).cast_unsigned(),
                };
                (caller.at(low(first), second, flags)?, wish)
            }
            _ => return Err(Errno::NOSYS),
        };
        // Between the question and the look at its thread, another thread could have got the number.
        if !kernel::is_waiting(&self.listener, question.id) {
            return Err(Errno::SRCH);
        }
        match wish {
            Wish::Owner { uid, gid } => self.give(&file, uid, gid),
            Wish::Mode(mode) => self.permit(&file, mode),
            Wish::Looks(address) => {
                let Some((mode, uid, gid)) = self.looks(&file)? else {
                    return Ok(Answer::Proceed);
                };
                let bytes = kernel::stat_bytes(&file, mode, uid, gid).map_err(|_| Errno::IO)?;
                caller.write(address, &bytes)
            }
            Wish::LongLooks {
                address,
                flags,
                mask,
            } => {
                let Some((mode, uid, gid)) = self.looks(&file)? else {
                    return Ok(Answer::Proceed);
                };
                let bytes = kernel::statx_bytes(&file, flags, mask, mode, uid, gid)
                    .map_err(|_| Errno::IO)?;
                caller.write(address, &bytes)
            }
        }
    }

    /// What a file looks like, unless it looks as it is.
    fn looks(&self, file: &OwnedFd) -> Result<Option<Looks>, Errno> {
        let Some(seen) = self.appearance.see(file)? else {
            return Ok(None);
        };
        let record = if seen.kind == FileType::Symlink {
            let owner = self
                .appearance
                .symlink(&seen.path)
                .and_then(|identity| self.symlinks.borrow().get(&identity).copied());
            owner.map(|(uid, gid)| Record { uid, gid, bits: 0 })
        } else if seen.is_untouched() {
            None
        } else {
            recorded(file)?
        };
        let looks = self.appearance.looks(&seen, record);
        Ok((!Appearance::plain(&seen, looks)).then_some(looks))
    }

    /// Gives a file to somebody. `u32::MAX` leaves a part as it is.
    fn give(&self, file: &OwnedFd, uid: u32, gid: u32) -> Result<Answer, Errno> {
        let stat = fstat(file)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let keep = |wanted: u32, old: u32| if wanted == u32::MAX { old } else { wanted };
        if kind == FileType::Symlink {
            // A symlink of a tree below gets its own copy, which then has an identity.
            chownat(
                file,
                "",
                Some(Uid::ROOT),
                Some(Gid::ROOT),
                AtFlags::EMPTY_PATH,
            )?;
            let (_, old_uid, old_gid) = self.looks(file)?.unwrap_or((0, 0, 0));
            let place = self.appearance.see(file)?;
            if let Some(identity) = place.and_then(|seen| self.appearance.symlink(&seen.path)) {
                let owner = (keep(uid, old_uid), keep(gid, old_gid));
                self.symlinks.borrow_mut().insert(identity, owner);
                report(&Report::Symlink { identity, owner });
            }
            return Ok(Answer::Success);
        }
        if !matches!(kind, FileType::RegularFile | FileType::Directory) {
            // Pipes, sockets and devices are no result.
            return Ok(Answer::Success);
        }
        let old = recorded(file)?;
        if (uid, gid) == (u32::MAX, u32::MAX) && old.is_none() {
            return Ok(Answer::Success);
        }
        let (mode, old_uid, old_gid) = self.looks(file)?.unwrap_or((0, 0, 0));
        let exact = old.map_or(0, |old| old.bits & EXACT);
        // As the kernel does: who gets a file does not get its powers.
        let bits = if kind == FileType::Directory {
            mode & 0o6000
        } else {
            0
        };
        let record = Record {
            uid: keep(uid, old_uid),
            gid: keep(gid, old_gid),
            bits: bits | exact,
        };
        // What stays as it is need not be copied from the tree it is in.
        let same = (record.uid, record.gid, bits) == (old_uid, old_gid, mode & 0o6000);
        if !same || old.is_some() {
            write(file, record)?;
        }
        Ok(Answer::Success)
    }

    /// Sets a mode, and records what must not be on the disk, and what would be taken for a mode of a store.
    fn permit(&self, file: &OwnedFd, mode: u32) -> Result<Answer, Errno> {
        let old = recorded(file)?;
        let looks = self.looks(file)?;
        if old.is_none() && looks.is_some_and(|(looks, ..)| looks == mode) {
            return Ok(Answer::Success);
        }
        let mut bits = mode & 0o6000;
        if matches!(mode, 0o444 | 0o555) {
            bits |= EXACT;
        }
        let special = looks.is_some_and(|(mode, ..)| mode & 0o6000 != 0);
        if bits == 0 && !special && old.is_none_or(|old| old.bits == 0) {
            return Ok(Answer::Proceed);
        }
        let (_, uid, gid) = looks.unwrap_or_default();
        chmod(proc_path(file), Mode::from_raw_mode(mode & 0o1777))?;
        let kind = FileType::from_raw_mode(fstat(file)?.st_mode);
        if matches!(kind, FileType::RegularFile | FileType::Directory) {
            write(file, Record { uid, gid, bits })?;
        }
        Ok(Answer::Success)
    }
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
