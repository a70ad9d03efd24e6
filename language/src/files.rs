//! The project's files, as far as an evaluation may see them.

use std::collections::BTreeMap;
use std::io::Read;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    Regular {
        /// Whether its owner may run it.
        executable: bool,
    },
    /// A folder.
    Directory,
    /// A symbolic link; it is never followed here.
    Symlink,
    /// A device, a pipe or a socket.
    Other,
}

impl FileKind {
    /// The word that `builtins.readFileType` and filters use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regular { .. } => "regular",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Other => "unknown",
        }
    }
}

/// A file of the project cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct FilesError {
    /// The path below the project's folder.
    pub path: String,
    /// What the system said.
    pub reason: String,
}

/// The files of a project. Paths are relative to its folder: `""` is the folder itself, `a/b` a file below. They have no
/// `.`, `..` or empty parts, and no part but the last one is a link: links are resolved by the evaluator, which refuses
/// those that lead out of the project.
pub trait Files {
    /// What stands at a path; `None` where there is nothing.
    fn kind(&self, path: &str) -> Result<Option<FileKind>, FilesError>;
    /// The contents of a file, and how many bytes they are.
    fn open(&self, path: &str) -> Result<(Box<dyn Read + '_>, u64), FilesError>;
    /// The names in a folder, in any order.
    fn list(&self, path: &str) -> Result<Vec<String>, FilesError>;
    /// What a link says.
    fn link(&self, path: &str) -> Result<String, FilesError>;
}

/// A project in memory, for tests and for expressions that have none.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles {
    entries: BTreeMap<String, MemoryFile>,
}

#[derive(Debug, Clone)]
enum MemoryFile {
    Regular { contents: Vec<u8>, executable: bool },
    Directory,
    Symlink(String),
}

impl MemoryFiles {
    /// A project without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a file, and the folders on the way.
    #[must_use]
    pub fn with_file(self, path: &str, contents: impl Into<Vec<u8>>) -> Self {
        let contents = contents.into();
        let executable = false;
        self.with(
            path,
            MemoryFile::Regular {
                contents,
                executable,
            },
        )
    }

    /// With a file that its owner may run.
    #[must_use]
    pub fn with_program(self, path: &str, contents: impl Into<Vec<u8>>) -> Self {
        let contents = contents.into();
        let executable = true;
        self.with(
            path,
            MemoryFile::Regular {
                contents,
                executable,
            },
        )
    }

    /// With a symbolic link.
    #[must_use]
    pub fn with_link(self, path: &str, target: &str) -> Self {
        self.with(path, MemoryFile::Symlink(target.to_owned()))
    }

    fn with(mut self, path: &str, file: MemoryFile) -> Self {
        for (index, _) in path.match_indices('/') {
            let folder = path[..index].to_owned();
            self.entries.entry(folder).or_insert(MemoryFile::Directory);
        }
        self.entries.insert(path.to_owned(), file);
        self
    }

    fn missing(path: &str, reason: &str) -> FilesError {
        FilesError {
            path: path.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

impl Files for MemoryFiles {
    fn kind(&self, path: &str) -> Result<Option<FileKind>, FilesError> {
        if path.is_empty() {
            return Ok(Some(FileKind::Directory));
        }
        Ok(self.entries.get(path).map(|file| match file {
            MemoryFile::Regular { executable, .. } => FileKind::Regular {
                executable: *executable,
            },
            MemoryFile::Directory => FileKind::Directory,
            MemoryFile::Symlink(_) => FileKind::Symlink,
        }))
    }

    fn open(&self, path: &str) -> Result<(Box<dyn Read + '_>, u64), FilesError> {
        match self.entries.get(path) {
            Some(MemoryFile::Regular { contents, .. }) => {
                Ok((Box::new(contents.as_slice()), contents.len() as u64))
            }
            _ => Err(Self::missing(path, "no such file")),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<String>, FilesError> {
        let prefix = match path {
            "" => String::new(),
            path => format!("{path}/"),
        };
        let below = self
            .entries
            .keys()
            .filter_map(|entry| entry.strip_prefix(&prefix));
        Ok(below
            .filter(|name| !name.is_empty() && !name.contains('/'))
            .map(str::to_owned)
            .collect())
    }

    fn link(&self, path: &str) -> Result<String, FilesError> {
        match self.entries.get(path) {
            Some(MemoryFile::Symlink(target)) => Ok(target.clone()),
            _ => Err(Self::missing(path, "not a link")),
        }
    }
}
