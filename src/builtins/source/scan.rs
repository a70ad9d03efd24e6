//! Walks a project.

use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::ignore::{Matched, Rules};
use super::{LEFT_OUT, Modified, SourceEntry, SourceError, SourceKind};

/// How many folders may be inside each other below the root: with it and a file inside, an archive's limit is reached.
const MAX_DEPTH: usize = cognix_derivations::nar::MAX_DEPTH - 2;
/// The longest path.
const MAX_PATH_BYTES: usize = 4095;

/// Lists a project in the order of an archive.
pub(super) fn scan(root: &Path, rules: &Rules) -> Result<Vec<SourceEntry>, SourceError> {
    let mut walk = Walk {
        root,
        rules,
        entries: Vec::new(),
    };
    walk.folder("", None, false, 0)?;
    Ok(walk.entries)
}

struct Walk<'r> {
    root: &'r Path,
    rules: &'r Rules,
    entries: Vec<SourceEntry>,
}

impl Walk<'_> {
    /// Lists one folder. A folder that is itself left out is walked only for what exceptions take back.
    fn folder(
        &mut self,
        path: &str,
        matched: Option<&Matched>,
        left_out: bool,
        depth: usize,
    ) -> Result<(), SourceError> {
        let mut children: Vec<(Vec<u8>, fs::DirEntry)> = match self.read(path) {
            Ok(children) => children,
            Err(SourceError::Read { source, .. })
                if left_out && source.kind() == io::ErrorKind::PermissionDenied =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        children.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, child) in children {
            let relative = if path.is_empty() {
                String::from_utf8_lossy(&name).into_owned()
            } else {
                format!("{path}/{}", String::from_utf8_lossy(&name))
            };
            if path.is_empty() && LEFT_OUT.contains(&relative.as_str()) {
                continue;
            }
            let (child_left_out, child_matched) = self.rules.matches(&relative, matched);
            let failed = |source| SourceError::Read {
                path: self.root.join(&relative),
                source,
            };
            let kind = child.file_type().map_err(failed)?;
            if kind.is_dir() {
                if child_left_out && !self.rules.may_keep_below(&relative) {
                    continue;
                }
                check_name(&name, &relative)?;
                self.subfolder(relative, &child_matched, child_left_out, depth)?;
            } else if !child_left_out {
                check_name(&name, &relative)?;
                let kind = self.leaf(&child, &relative, kind)?;
                self.entries.push(SourceEntry {
                    path: relative,
                    kind,
                });
            }
        }
        Ok(())
    }

    /// Lists a folder inside another; one that is left out is an entry only when something in it is not.
    fn subfolder(
        &mut self,
        relative: String,
        matched: &Matched,
        left_out: bool,
        depth: usize,
    ) -> Result<(), SourceError> {
        if depth >= MAX_DEPTH {
            return Err(SourceError::TooDeep {
                path: PathBuf::from(relative),
                limit: MAX_DEPTH,
            });
        }
        let before = self.entries.len();
        self.entries.push(SourceEntry {
            path: relative.clone(),
            kind: SourceKind::Directory,
        });
        self.folder(&relative, Some(matched), left_out, depth + 1)?;
        if left_out && self.entries.len() == before + 1 {
            self.entries.pop();
        }
        Ok(())
    }

    fn read(&self, path: &str) -> Result<Vec<(Vec<u8>, fs::DirEntry)>, SourceError> {
        let full = self.root.join(path);
        let failed = |source| SourceError::Read {
            path: full.clone(),
            source,
        };
        let children = fs::read_dir(&full).map_err(failed)?;
        children
            .map(|child| {
                child
                    .map(|child| (child.file_name().into_vec(), child))
                    .map_err(failed)
            })
            .collect()
    }

    fn leaf(
        &self,
        child: &fs::DirEntry,
        relative: &str,
        kind: fs::FileType,
    ) -> Result<SourceKind, SourceError> {
        let failed = |source| SourceError::Read {
            path: self.root.join(relative),
            source,
        };
        if kind.is_symlink() {
            let target = fs::read_link(child.path())
                .map_err(failed)?
                .into_os_string()
                .into_vec();
            return Ok(SourceKind::Symlink { target });
        }
        if kind.is_file() {
            let metadata = child.metadata().map_err(failed)?;
            let executable = metadata.mode() & 0o100 != 0;
            return Ok(SourceKind::File {
                size: metadata.len(),
                executable,
                modified: Modified::of(&metadata),
            });
        }
        let kind = match kind {
            kind if kind.is_socket() => "a socket",
            kind if kind.is_fifo() => "a pipe",
            kind if kind.is_block_device() || kind.is_char_device() => "a device",
            _ => "of an unknown kind",
        };
        Err(SourceError::Special {
            path: PathBuf::from(relative),
            kind,
        })
    }
}

/// What is kept must have a name that a layer can carry.
fn check_name(name: &[u8], relative: &str) -> Result<(), SourceError> {
    let reason = if std::str::from_utf8(name).is_err() {
        "is not UTF-8"
    } else if relative.len() > MAX_PATH_BYTES {
        "makes a path of more than 4,095 bytes"
    } else {
        return Ok(());
    };
    Err(SourceError::Name {
        path: PathBuf::from(std::ffi::OsStr::from_bytes(relative.as_bytes())),
        reason,
    })
}
