//! The root: overlays over the trees, what is bound into it, and the move into it.
//!
//! Mount points are made in the composed root, because only there the links of all trees are known. For a writable root
//! they are made once in an overlay that is thrown away: its upper folder then is the topmost tree below the real one, so
//! that they are no change.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat2, statat};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::skeleton;
use crate::kernel;
use crate::order::{Attempt, Binding, Cause, Composition, Order, Report, Step};

/// Composes the root and moves into it. The old root is gone afterwards, but for the folder that changes go to.
pub(super) fn enter(order: &Order) -> Step<Option<OwnedFd>> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .or_fail(Cause::Mount, || "making mounts private".to_owned())?;
    chdir(&order.staging).or_fail(Cause::Setup, || "entering the workspace".to_owned())?;
    let secrets = keep_secrets(order)?;
    let bindings: Vec<&Binding> = order.mounts.iter().chain(&secrets).collect();
    match &order.root {
        Composition::Overlay { groups, layers } => {
            for (number, group) in groups.iter().enumerate() {
                overlay(&format!("group/{number}"), group, None)?;
            }
            overlay("root", layers, Some("points"))?;
            if order.writable {
                bind_all(&open_root()?, &bindings)?;
                unmount("root", UnmountFlags::DETACH).or_fail(Cause::Mount, || {
                    "unmounting the draft of the root".to_owned()
                })?;
                let mut layers = layers.clone();
                layers.push("points".to_owned());
                overlay("root", &layers, Some("upper"))?;
            }
        }
        Composition::Folder => {
            let folder = clone_tree(OsStr::new("merged"))?;
            let place = open_root()?;
            attach(&folder, &place).or_fail(Cause::Mount, || "binding the root".to_owned())?;
        }
    }
    let upper = match &order.root {
        _ if !order.writable => None,
        Composition::Overlay { .. } => Some(open_folder("upper")?),
        Composition::Folder => Some(open_folder("merged")?),
    };
    let root = open_root()?;
    let mut made = skeleton::mount(&root, order)?;
    made.extend(bind_all(&root, &bindings)?);
    if matches!(order.root, Composition::Folder) {
        super::report(&Report::Made(made));
    }
    let mut attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    if !order.writable {
        attributes |= libc::MOUNT_ATTR_RDONLY;
    }
    kernel::restrict_mount(root.as_fd(), false, attributes)
        .or_fail(Cause::Mount, || "restricting the root".to_owned())?;
    fchdir(&root).or_fail(Cause::Mount, || "entering the root".to_owned())?;
    pivot_root(".", ".").or_fail(Cause::Mount, || "changing the root".to_owned())?;
    unmount(".", UnmountFlags::DETACH)
        .or_fail(Cause::Mount, || "leaving the old root".to_owned())?;
    chdir("/").or_fail(Cause::Mount, || "entering the root".to_owned())?;
    Ok(upper)
}

fn open_root() -> Step<OwnedFd> {
    open_folder("root")
}

fn open_folder(name: &str) -> Step<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(name, flags, Mode::empty()).or_fail(Cause::Setup, || format!("opening {name}"))
}

/// Mounts an overlay of the staging folder's `layers`, bottom first. Their names are short and relative, because the
/// kernel takes one page of options.
fn overlay(target: &str, layers: &[String], upper: Option<&str>) -> Step<()> {
    let lower: Vec<&str> = layers.iter().rev().map(String::as_str).collect();
    let mut options = format!("userxattr,lowerdir={}", lower.join(":"));
    if let Some(upper) = upper {
        // Nothing of it outlives a crash of the machine, so nothing needs to be written through.
        options.push_str(&format!(",upperdir={upper},workdir={upper}-work,volatile"));
    } else if lower.len() == 1 {
        options.push_str(":l/empty");
    }
    let options = std::ffi::CString::new(options)
        .map_err(std::io::Error::other)
        .or_fail(Cause::Setup, || "naming the trees of the root".to_owned())?;
    mount(
        c"overlay",
        target,
        c"overlay",
        MountFlags::NOSUID | MountFlags::NODEV,
        options.as_c_str(),
    )
    .or_fail(Cause::Overlay, || {
        format!("mounting an overlay of {} trees", layers.len())
    })
}

/// Puts secrets into memory that is never swapped out, and says where they are to appear.
fn keep_secrets(order: &Order) -> Step<Vec<Binding>> {
    if order.secrets.is_empty() {
        return Ok(Vec::new());
    }
    mount(
        c"ramfs",
        "secrets",
        c"ramfs",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        c"mode=0700",
    )
    .or_fail(Cause::Mount, || "mounting memory for secrets".to_owned())?;
    let mut bindings = Vec::new();
    for (number, secret) in order.secrets.iter().enumerate() {
        let source = format!("secrets/{number}");
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(secret.mode)
            .open(&source)
            .and_then(|mut file| file.write_all(&secret.value))
            .or_fail(Cause::Setup, || "writing a secret to memory".to_owned())?;
        rustix::fs::chmod(&source, Mode::from_raw_mode(secret.mode))
            .or_fail(Cause::Setup, || "setting the mode of a secret".to_owned())?;
        bindings.push(Binding {
            source: OsString::from(source),
            target: secret.target.clone(),
            writable: false,
            optional: false,
        });
    }
    Ok(bindings)
}

/// Binds everything in order; returns the mount points that were made.
fn bind_all(root: &OwnedFd, bindings: &[&Binding]) -> Step<Vec<OsString>> {
    let mut made = Vec::new();
    for binding in bindings {
        let tree = clone_tree(&binding.source)?;
        let mut attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
        if !binding.writable {
            attributes |= libc::MOUNT_ATTR_RDONLY;
        }
        kernel::restrict_mount(tree.as_fd(), true, attributes).or_fail(Cause::Mount, || {
            format!("restricting the mount at {}", binding.target.display())
        })?;
        let stat = statat(&tree, "", AtFlags::EMPTY_PATH).or_fail(Cause::Setup, || {
            format!("looking at {}", binding.source.display())
        })?;
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let place = match point(root, &binding.target, directory, &mut made) {
            Err(_) if binding.optional => continue,
            place => place?,
        };
        attach(&tree, &place).or_fail(Cause::Setup, || {
            format!(
                "mounting {} at {}",
                binding.source.display(),
                binding.target.display()
            )
        })?;
    }
    Ok(made)
}

/// A mount of its own of what is at a path of the host.
pub(super) fn clone_tree(source: &OsStr) -> Step<OwnedFd> {
    open_tree(
        CWD,
        source,
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE,
    )
    .or_fail(Cause::Setup, || {
        format!("opening {} for a mount", source.display())
    })
}

/// Puts a mount at its place.
pub(super) fn attach(tree: &OwnedFd, place: &OwnedFd) -> rustix::io::Result<()> {
    move_mount(
        tree,
        "",
        place,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
}

/// Finds a path inside the root, making what is missing. Links are followed as a process inside would follow them.
pub(super) fn point(
    root: &OwnedFd,
    target: &OsStr,
    directory: bool,
    made: &mut Vec<OsString>,
) -> Step<OwnedFd> {
    let attempted = || format!("making the mount point {}", target.display());
    let parts: Vec<&OsStr> = Path::new(target)
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    let mut place = open_inside(root, OsStr::new(".")).or_fail(Cause::Setup, attempted)?;
    let mut path = OsString::new();
    for (number, name) in parts.iter().enumerate() {
        if number > 0 {
            path.push("/");
        }
        path.push(name);
        place = match open_inside(root, &path) {
            Err(Errno::NOENT) => {
                if directory || number + 1 < parts.len() {
                    mkdirat(&place, *name, Mode::from_raw_mode(0o755))
                } else {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                    rustix::fs::openat(&place, *name, flags, Mode::from_raw_mode(0o644)).map(drop)
                }
                .or_fail(Cause::Setup, attempted)?;
                made.push(path.clone());
                open_inside(root, &path).or_fail(Cause::Setup, attempted)?
            }
            opened => opened.or_fail(Cause::Setup, attempted)?,
        };
    }
    Ok(place)
}

/// Opens a path as a process whose root is `root` would find it.
fn open_inside(root: &OwnedFd, path: &OsStr) -> rustix::io::Result<OwnedFd> {
    openat2(
        root,
        path.as_bytes(),
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
}
