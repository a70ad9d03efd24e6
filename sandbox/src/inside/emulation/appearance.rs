//! How a file looks: the owner and the mode that it stands for, not those that it can have here.
//!
//! Trees of a store have modes 0444 and 0555 and one owner. A program that copies what it sees would carry these on, so
//! it is shown what the same file has in truth.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode as Bits, OFlags, ResolveFlags, StatxFlags, getxattr, openat2, readlink,
    statx,
};
use rustix::io::Errno;

use crate::order::{Order, Owned};
use crate::record::{EXACT, Inode, Record, identity};

/// What is known of the root.
pub(super) struct Appearance {
    /// The folder on the disk that changes go to.
    upper: Option<OwnedFd>,
    /// Whether the root is an overlay; otherwise its files have their modes.
    overlay: bool,
    /// The root's mount.
    mount: u64,
    /// Modes and owners that are not ordinary.
    modes: BTreeMap<PathBuf, (u32, u32, u32)>,
}

/// A file, as it is here.
pub(super) struct Seen {
    pub(super) kind: FileType,
    raw: u32,
    /// Relative to the root.
    pub(super) path: PathBuf,
    origin: Origin,
}

/// Where a file on the root comes from.
#[derive(PartialEq, Eq)]
enum Origin {
    /// A tree below.
    Below,
    /// A tree below, and it was changed since.
    Copied,
    /// The program made it.
    Made,
}

/// Paths come from the kernel, without links.
const BELOW: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

impl Seen {
    /// Whether nothing can have been recorded of it.
    pub(super) fn is_untouched(&self) -> bool {
        self.origin == Origin::Below
    }
}

/// A mode, a user and a group.
pub(super) type Looks = (u32, u32, u32);

impl Appearance {
    pub(super) fn new(order: &Order, upper: Option<OwnedFd>) -> Self {
        let mount = statx(rustix::fs::CWD, "/", AtFlags::empty(), StatxFlags::MNT_ID)
            .map_or(0, |root| root.stx_mnt_id);
        let owned = |owned: &Owned| {
            (
                PathBuf::from(&owned.path),
                (owned.mode, owned.uid, owned.gid),
            )
        };
        Self {
            upper,
            overlay: matches!(order.root, crate::order::Composition::Overlay { .. }),
            mount,
            modes: order.modes.iter().map(owned).collect(),
        }
    }

    /// Looks at a file; `None` if it does not lie on the root, or has no looks of its own.
    pub(super) fn see(&self, file: &OwnedFd) -> Result<Option<Seen>, Errno> {
        let wanted = StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::NLINK | StatxFlags::MNT_ID;
        let found = statx(file, "", AtFlags::EMPTY_PATH, wanted)?;
        let raw = u32::from(found.stx_mode);
        let kind = FileType::from_raw_mode(raw);
        let known = matches!(
            kind,
            FileType::RegularFile | FileType::Directory | FileType::Symlink
        );
        if found.stx_mnt_id != self.mount || found.stx_nlink == 0 || !known {
            return Ok(None);
        }
        let path = readlink(super::proc_path(file), Vec::new())?;
        let path = PathBuf::from(OsString::from_vec(path.into_bytes()));
        let path = path.strip_prefix("/").unwrap_or(&path).to_owned();
        let origin = self.origin(&path);
        Ok(Some(Seen {
            kind,
            raw: raw & 0o7777,
            path,
            origin,
        }))
    }

    /// What a file stands for, given what was recorded of it.
    pub(super) fn looks(&self, seen: &Seen, record: Option<Record>) -> Looks {
        let (mut mode, mut uid, mut gid) = (seen.raw, 0, 0);
        if seen.origin != Origin::Made && self.overlay {
            let ordinary = match seen.raw {
                0o444 => 0o644,
                0o555 => 0o755,
                other => other,
            };
            match self.modes.get(&seen.path) {
                Some((real, user, group)) => {
                    let untouched = ordinary != seen.raw || seen.raw == real & 0o1777;
                    if untouched || seen.origin == Origin::Below {
                        mode = *real;
                    }
                    (uid, gid) = (*user, *group);
                }
                None => mode = ordinary,
            }
        }
        if let Some(record) = record {
            if record.bits & EXACT != 0 {
                mode = seen.raw;
            }
            mode = mode & !0o6000 | record.bits & 0o6000;
            (uid, gid) = (record.uid, record.gid);
        }
        if seen.kind == FileType::Symlink {
            mode = 0o777;
        }
        (mode, uid, gid)
    }

    /// Whether the file looks as it is, so that the kernel can tell.
    pub(super) fn plain(seen: &Seen, looks: Looks) -> bool {
        looks == (seen.raw, 0, 0)
    }

    /// The identity of a symlink on the disk.
    pub(super) fn symlink(&self, path: &Path) -> Option<Inode> {
        let (folder, name) = self.parent(path)?;
        identity(&folder, name).ok()
    }

    fn origin(&self, path: &Path) -> Origin {
        let Some(upper) = &self.upper else {
            return Origin::Below;
        };
        if !self.overlay || path.as_os_str().is_empty() {
            return Origin::Made;
        }
        let how = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat2(upper, path, how, Bits::empty(), BELOW) {
            Ok(file) => {
                let mut value = [0; 256];
                match getxattr(super::proc_path(&file), "user.overlay.origin", &mut value) {
                    Ok(_) | Err(Errno::RANGE) => Origin::Copied,
                    Err(_) => Origin::Made,
                }
            }
            Err(_) => Origin::Below,
        }
    }

    /// The folder on the disk that would hold a changed file.
    fn parent<'p>(&self, path: &'p Path) -> Option<(OwnedFd, &'p OsStr)> {
        let upper = self.upper.as_ref()?;
        let name = path.file_name()?;
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let how = OFlags::PATH | OFlags::CLOEXEC;
        let folder = openat2(upper, parent, how, Bits::empty(), BELOW).ok()?;
        Some((folder, name))
    }
}
