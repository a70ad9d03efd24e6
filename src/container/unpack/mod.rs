//! Unpacks the bytes of one layer into a root.
//!
//! The layers are our own: no hard links, no devices, every parent before its entries. They are still unpacked as hostile
//! input would be: [`tar`] refuses to leave the root or to follow a link out of it, and what is removed is looked for
//! without following any.
//!
//! A directory may be closed to its owner, and a later layer may have something to put there. Until [`close`] it is left
//! open.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use super::ContainerError;

/// What the name of an empty file begins with that stands for something removed.
const WHITEOUT: &str = ".wh.";
/// What an owner needs to put something into a directory.
const OPEN: u32 = 0o700;

/// A directory of a layer, and the mode it has there.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    mode: u32,
}

/// Unpacks an uncompressed layer above those that were unpacked before. Owners are applied only when `owners` is set, which
/// needs root. Returns the directories in it, which [`close`] has to be told of when all layers are there.
pub fn unpack_layer(
    name: &str,
    layer: impl Read,
    root: &Path,
    owners: bool,
) -> Result<Vec<Directory>, ContainerError> {
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 16, layer));
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(owners);
    archive.set_preserve_mtime(true);
    archive.set_overwrite(true);
    let broken = |path: &str, source| ContainerError::Unpack {
        layer: name.to_owned(),
        path: path.to_owned(),
        source,
    };
    let mut directories = Vec::new();
    for entry in archive
        .entries()
        .map_err(|source| broken("the archive", source))?
    {
        let mut entry = entry.map_err(|source| broken("the archive", source))?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let unpacked = unpack_entry(&mut entry, root, owners);
        directories.extend(unpacked.map_err(|source| broken(&path, source))?);
    }
    // The end of the archive is two empty blocks, and the reader is content with one. Who writes the rest must not find
    // that nobody listens.
    io::copy(&mut archive.into_inner(), &mut io::sink())
        .map(|_| directories)
        .map_err(|source| broken("the archive", source))
}

/// Closes the directories that are to be closed; `directories` are those of all layers, in their order.
pub fn close(directories: Vec<Directory>) -> Result<(), ContainerError> {
    let modes = directories.into_iter();
    // The last layer that has a directory says its mode.
    let modes: BTreeMap<PathBuf, u32> = modes.map(|found| (found.path, found.mode)).collect();
    // What lies deeper comes later in the order of paths, and is closed first.
    for (path, mode) in modes.into_iter().rev() {
        let is_closed = mode & OPEN != OPEN;
        if is_closed && path.symlink_metadata().is_ok_and(|there| there.is_dir()) {
            fs::set_permissions(&path, Permissions::from_mode(mode))
                .map_err(|source| ContainerError::Io { path, source })?;
        }
    }
    Ok(())
}

fn unpack_entry<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    root: &Path,
    owners: bool,
) -> io::Result<Option<Directory>> {
    let path = entry.path()?.into_owned();
    let name = path.file_name().and_then(|name| name.to_str());
    if let Some(gone) = name.and_then(|name| name.strip_prefix(WHITEOUT)) {
        let parts: Vec<_> = Path::new(gone).components().collect();
        if !matches!(parts[..], [Component::Normal(_)]) {
            return Err(io::Error::other("nothing can be removed by this name"));
        }
        remove(&place(root, &path.with_file_name(gone))?)?;
        return Ok(None);
    }
    let place = place(root, &path)?;
    let header = entry.header();
    let is_directory = header.entry_type().is_dir();
    make_room(&place, is_directory)?;
    let mode = header.mode()? & 0o7777;
    if !is_directory || mode & OPEN == OPEN {
        if !entry.unpack_in(root)? {
            return Err(io::Error::other("the path leaves the root"));
        }
    } else {
        // Never closed, not even for a moment: other layers may be unpacked at the same time.
        match fs::create_dir(&place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if owners {
            let owner = |id: u64| u32::try_from(id).map_err(io::Error::other);
            let (user, group) = (owner(header.uid()?)?, owner(header.gid()?)?);
            std::os::unix::fs::lchown(&place, Some(user), Some(group))?;
        }
        fs::set_permissions(&place, Permissions::from_mode(mode | OPEN))?;
    }
    Ok(is_directory.then_some(Directory { path: place, mode }))
}

/// Where an entry lies below the root, if no link leads there.
fn place(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut place = root.to_owned();
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        match part {
            Component::Normal(name) => place.push(name),
            Component::CurDir => continue,
            _ => return Err(io::Error::other("the path leaves the root")),
        }
        let is_last = parts.peek().is_none();
        if !is_last && !place.symlink_metadata()?.is_dir() {
            return Err(io::Error::other("a directory above it is none"));
        }
    }
    Ok(place)
}

/// A directory may stay where one is to be; everything else gives way.
fn make_room(place: &Path, directory: bool) -> io::Result<()> {
    match place.symlink_metadata() {
        Ok(there) if there.is_dir() && directory => Ok(()),
        // Files are written over by the archive's reader, which does not follow links.
        Ok(there) if there.is_file() && !directory => Ok(()),
        Ok(_) => remove(place),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove(place: &Path) -> io::Result<()> {
    match place.symlink_metadata()?.is_dir() {
        true => fs::remove_dir_all(place),
        false => fs::remove_file(place),
    }
}

#[cfg(test)]
mod tests;
