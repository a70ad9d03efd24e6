//! Makes a file that is normal from the start: what writing a text and [`super::normalise`] would do, in a few calls of the
//! system. A graph has thousands of them.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;

use cognix_derivations::nar::Encoder;
use cognix_derivations::{HashingWriter, Sha256};
use rustix::fs::{Mode, OFlags};

use super::{nar_error, remove_attributes, times};
use crate::error::StoreError;

/// Creates a file with this text. `folder` is open, and the one that `path` is in.
pub(crate) fn write_text(folder: &File, path: &Path, text: &[u8]) -> Result<(), StoreError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o444);
    let name = path.file_name().unwrap_or_default();
    let mut file = rustix::fs::openat(folder, name, flags, mode)
        .map(File::from)
        .map_err(StoreError::errno("create", path))?;
    file.write_all(text)
        .map_err(StoreError::io("write", path))?;
    // A folder may hand down attributes, and the mask of the process may take bits away.
    remove_attributes(file.as_fd(), path)?;
    rustix::fs::fchmod(&file, mode).map_err(StoreError::errno("change the mode of", path))?;
    rustix::fs::futimens(&file, &times()).map_err(StoreError::errno("set the time of", path))
}

/// Digest and size of the archive of a file with this text. `path` is for messages.
pub(crate) fn hash_text(text: &[u8], path: &Path) -> Result<(Sha256, u64), StoreError> {
    let hash = || {
        let mut archive = Encoder::new(HashingWriter::new(std::io::sink()))?;
        archive.regular_bytes(None, false, text)?;
        archive.finish()
    };
    let (_, digest, size) = hash().map_err(nar_error(path))?.finish();
    Ok((digest, size))
}
