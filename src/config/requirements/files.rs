//! The project's folder, and paths that must stay in it.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::super::position::Position;
use super::super::reason::Reason;

/// The project's folder with links resolved.
#[derive(Debug, Clone)]
pub(in super::super) struct Project {
    root: PathBuf,
}

/// Something of the project.
#[derive(Debug)]
pub(super) struct Inside {
    /// Where it is on this machine, links resolved.
    pub(super) real: PathBuf,
    /// Its path below the project, parts joined by `/`; links in the last part are kept.
    pub(super) relative: String,
    pub(super) is_folder: bool,
}

impl Project {
    pub(in super::super) fn new(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: fs::canonicalize(root)?,
        })
    }

    /// The project's own folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Looks a path up that is written in a file of `folder`; what it leads to must be in the project.
    pub(super) fn find(&self, folder: &Path, path: &str) -> Result<Inside, Reason> {
        let shown = || path.to_owned();
        let written = folder.join(path);
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Reason::FileMissing { path: shown() }
            }
            _ => Reason::Unreadable(error),
        };
        let real = fs::canonicalize(&written).map_err(unreadable)?;
        if !real.starts_with(&self.root) {
            return Err(Reason::OutsideProject { path: shown() });
        }
        let is_folder = fs::metadata(&real).map_err(unreadable)?.is_dir();
        // A wheel's own name says what it is, so a link is followed for its contents only.
        let named = match (written.parent(), written.components().next_back()) {
            (Some(parent), Some(Component::Normal(name))) => {
                fs::canonicalize(parent).map_err(unreadable)?.join(name)
            }
            _ => real.clone(),
        };
        let below = named
            .strip_prefix(&self.root)
            .or_else(|_| real.strip_prefix(&self.root));
        let below = below.map_err(|_| Reason::OutsideProject { path: shown() })?;
        let parts: Vec<_> = below
            .components()
            .map(|part| part.as_os_str().to_string_lossy())
            .collect();
        Ok(Inside {
            relative: parts.join("/"),
            real,
            is_folder,
        })
    }
}

/// A whole file as text, if it is not larger than `limit`.
pub(in super::super) fn read_text(
    path: &Path,
    limit: usize,
) -> Result<String, (Option<Position>, Reason)> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| (None, Reason::Unreadable(error)))?;
    // One byte more than the limit tells a file that is too large, without reading all of it.
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| (None, Reason::Unreadable(error)))?;
    if bytes.len() > limit {
        return Err((None, Reason::TooLarge { limit }));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        (Some(Position::of_offset(&text, valid)), Reason::NotUtf8)
    })
}
