//! Archives of file trees on disk: writing, reading back, hashing.
//!
//! For trees anywhere, not only in a store; what enters a store is read with stricter rules. The grammar is that of
//! `cognix_derivations::nar`, by the same crate; only its walking and restoring touch the disk, so they are used here.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use cognix_derivations::{HashingWriter, Sha256};
use nix_archive::nar::{self, CaseHack};

/// A tree that cannot be written as an archive, or an archive that cannot become a tree.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
pub struct NarFileError {
    /// The tree.
    pub path: PathBuf,
    /// What is wrong.
    pub source: nar::Error,
}

/// Writes a file, folder or link as a Nix archive.
pub fn dump(path: &Path, writer: &mut dyn Write) -> Result<(), NarFileError> {
    nar::encode_path(writer, path, CaseHack::Disabled).map_err(at(path))
}

/// Makes what an archive holds, at a path where nothing is. On an error what was made so far stays, for looking at.
pub fn restore(reader: &mut dyn Read, path: &Path) -> Result<(), NarFileError> {
    nar::restore_reader(reader, path, CaseHack::Disabled).map_err(at(path))
}

/// The digest and size of a tree's archive.
pub fn hash(path: &Path) -> Result<(Sha256, u64), NarFileError> {
    let mut writer = HashingWriter::new(std::io::sink());
    dump(path, &mut writer)?;
    let (_, digest, size) = writer.finish();
    Ok((digest, size))
}

fn at(path: &Path) -> impl FnOnce(nar::Error) -> NarFileError {
    let path = path.to_owned();
    move |source| NarFileError { path, source }
}
