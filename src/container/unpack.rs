//! Unpacks the bytes of one layer into a root.
//!
//! The layers are our own: no whiteouts, no hard links, no devices, every parent before its entries. They are still
//! unpacked as hostile input would be: [`tar`] refuses to leave the root or to follow a link out of it.

use std::io::{BufReader, Read};
use std::path::Path;

use super::ContainerError;

/// Unpacks an uncompressed layer. Owners are applied only when `owners` is set, which needs root.
pub fn unpack_layer(
    name: &str,
    layer: impl Read,
    root: &Path,
    owners: bool,
) -> Result<(), ContainerError> {
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
    for entry in archive
        .entries()
        .map_err(|source| broken("the archive", source))?
    {
        let mut entry = entry.map_err(|source| broken("the archive", source))?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let inside = entry
            .unpack_in(root)
            .map_err(|source| broken(&path, source))?;
        if !inside {
            return Err(broken(
                &path,
                std::io::Error::other("the path leaves the root"),
            ));
        }
    }
    // The end of the archive is two empty blocks, and the reader is content with one. Who writes the rest must not find
    // that nobody listens.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink())
        .map(|_| ())
        .map_err(|source| broken("the archive", source))
}
