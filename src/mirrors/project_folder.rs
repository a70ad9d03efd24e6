//! A folder of the project as one file: `project-folder://PATH` is a tar archive of it.
//!
//! The archive is the same for the same files wherever and whenever it is made: entries sorted, owners 0, times 1980, modes
//! 0644 or 0755. What tools leave behind and what version control keeps for itself is no part of it ([`IGNORED`]).

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What the address of a folder of the project begins with.
pub(crate) const FOLDER: &str = "project-folder://";

/// Names that are no part of a folder's source.
const IGNORED: [&str; 5] = [".git", ".hg", ".svn", ".venv", "__pycache__"];

/// 1980-01-01, the first moment that wheels can hold.
const TIME: u64 = 315_532_800;

/// The name of the archive of a folder.
pub(crate) fn archive_name(path: &str) -> String {
    format!("{}.tar", path.rsplit('/').next().unwrap_or(path))
}

/// Writes the archive of a folder.
pub(crate) fn pack(folder: &Path, out: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    append(&mut archive, folder, Path::new("source"))?;
    archive.finish()
}

/// Writes the archive of a folder into another one, and gives its place; the same files have the same place.
pub(super) fn archive(folder: &Path, cache: &Path) -> io::Result<PathBuf> {
    use cognix_derivations::HashingWriter;

    fs::create_dir_all(cache)?;
    let mut writer = HashingWriter::new(tempfile::NamedTempFile::new_in(cache)?);
    pack(folder, &mut writer)?;
    let (file, sha256, _) = writer.finish();
    let place = cache.join(format!("{sha256}.tar"));
    file.persist(&place).map_err(|error| error.error)?;
    Ok(place)
}

fn append(archive: &mut tar::Builder<impl Write>, from: &Path, at: &Path) -> io::Result<()> {
    let mut entries = fs::read_dir(from)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    archive.append_data(
        &mut header(tar::EntryType::Directory, 0o755, 0),
        at,
        io::empty(),
    )?;
    for entry in entries {
        let name = entry.file_name();
        if IGNORED.iter().any(|ignored| name == *ignored) {
            continue;
        }
        let (path, at) = (entry.path(), at.join(&name));
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_symlink() {
            let mut link = header(tar::EntryType::Symlink, 0o777, 0);
            archive.append_link(&mut link, &at, fs::read_link(&path)?)?;
        } else if metadata.is_dir() {
            append(archive, &path, &at)?;
        } else if metadata.is_file() {
            let mode = match metadata.permissions().mode() & 0o111 {
                0 => 0o644,
                _ => 0o755,
            };
            let mut file = header(tar::EntryType::Regular, mode, metadata.len());
            archive.append_data(&mut file, &at, File::open(&path)?)?;
        } else {
            let message = format!("{} is no file, folder or link", path.display());
            return Err(io::Error::other(message));
        }
    }
    Ok(())
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(TIME);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_are_the_same_archive() {
        let made = |names: &[&str], mode: u32| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            for name in names {
                let path = folder.path().join(name);
                fs::create_dir_all(path.parent().expect("below it")).expect("writable");
                fs::write(&path, name).expect("writable");
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
            }
            let mut bytes = Vec::new();
            pack(folder.path(), &mut bytes).expect("readable");
            bytes
        };
        let one = made(&["a.py", "b/c.py"], 0o600);
        assert_eq!(
            one,
            made(&["b/c.py", "a.py", "__pycache__/a.pyc", ".git/HEAD"], 0o664)
        );
        assert_ne!(one, made(&["a.py", "b/c.py"], 0o755));
        let archive = tar::Archive::new(one.as_slice());
        let mut archive = archive;
        let entries = archive.entries().expect("an archive");
        let paths: Vec<_> = entries
            .map(|entry| entry.expect("sound").path().expect("UTF-8").into_owned())
            .collect();
        let expected = ["source", "source/a.py", "source/b", "source/b/c.py"];
        assert_eq!(paths, expected.map(PathBuf::from));
    }
}
