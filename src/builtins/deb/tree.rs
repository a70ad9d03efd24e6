//! Writes a tree of files below one open directory.
//!
//! Every step goes from an open directory to a name in it and never follows a link, everything is created exclusively,
//! and what was written is remembered, so that a second claim to a path and an entry below a link are told apart from
//! what the disk says. Modes are not set: the store keeps the owner's execute bit and normalises the rest.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::{
    fd::OwnedFd,
    fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat},
};

use crate::layers::path::ImagePath;

/// What was written at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory, its own entry or the parent of one.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
}

impl NodeKind {
    /// The word for messages.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Directory => "a directory",
            Self::File => "a regular file",
            Self::Symlink => "a symbolic link",
        }
    }
}

/// A path that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The path is taken.
    #[error("{path} exists already as {}, this is {}", existing.describe(), found.describe())]
    Exists {
        /// The path in the image.
        path: ImagePath,
        /// What is there.
        existing: NodeKind,
        /// What should have been written.
        found: NodeKind,
    },
    /// Something above the path is no directory: an attempt to write through a link.
    #[error("{path} lies below {parent}, which is {}, expected a directory", existing.describe())]
    Below {
        /// The path in the image.
        path: ImagePath,
        /// The path above it.
        parent: ImagePath,
        /// What that is.
        existing: NodeKind,
    },
    /// The disk is full, or the folder of the output is not ours.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: a verb that fits before a path.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A tree that is being written.
pub struct TreeWriter {
    place: PathBuf,
    root: OwnedFd,
    nodes: BTreeMap<ImagePath, NodeKind>,
    /// The directory that was used last; neighbours in an archive are neighbours in the tree.
    last: Option<(ImagePath, OwnedFd)>,
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl TreeWriter {
    /// Creates the tree's root, which must not exist.
    pub fn create(place: &Path) -> Result<Self, TreeError> {
        let failed = |source: rustix::io::Errno| TreeError::Io {
            action: "create",
            path: place.to_owned(),
            source: source.into(),
        };
        mkdirat(CWD, place, Mode::from_raw_mode(0o755)).map_err(failed)?;
        let root = openat(CWD, place, DIRECTORY, Mode::empty()).map_err(failed)?;
        Ok(Self {
            place: place.to_owned(),
            root,
            nodes: BTreeMap::new(),
            last: None,
        })
    }

    /// What was written at a path so far.
    pub fn kind(&self, path: &str) -> Option<NodeKind> {
        self.nodes.get(path).copied()
    }

    /// A directory with everything above it; one that exists already is fine.
    pub fn directory(&mut self, path: &ImagePath) -> Result<(), TreeError> {
        match self.kind(path.as_str()) {
            Some(NodeKind::Directory) => return Ok(()),
            Some(existing) => return Err(exists(path, existing, NodeKind::Directory)),
            None => {}
        }
        let parent = self.parent_of(path)?;
        mkdirat(parent, path.name(), Mode::from_raw_mode(0o755))
            .map_err(|error| self.io("create", path, error))?;
        self.nodes.insert(path.clone(), NodeKind::Directory);
        Ok(())
    }

    /// A new file, open for writing.
    pub fn file(&mut self, path: &ImagePath, executable: bool) -> Result<File, TreeError> {
        if let Some(existing) = self.kind(path.as_str()) {
            return Err(exists(path, existing, NodeKind::File));
        }
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let parent = self.parent_of(path)?;
        let file = openat(parent, path.name(), flags, mode)
            .map_err(|error| self.io("create", path, error))?;
        self.nodes.insert(path.clone(), NodeKind::File);
        Ok(file.into())
    }

    /// A new file with these contents.
    pub fn file_with(
        &mut self,
        path: &ImagePath,
        executable: bool,
        contents: &[u8],
    ) -> Result<(), TreeError> {
        let mut file = self.file(path, executable)?;
        file.write_all(contents)
            .map_err(|error| self.io("write", path, error))
    }

    /// A new symbolic link; its target is text and looked up nowhere.
    pub fn symlink(&mut self, path: &ImagePath, target: &str) -> Result<(), TreeError> {
        if let Some(existing) = self.kind(path.as_str()) {
            return Err(exists(path, existing, NodeKind::Symlink));
        }
        let parent = self.parent_of(path)?;
        symlinkat(target, parent, path.name()).map_err(|error| self.io("create", path, error))?;
        self.nodes.insert(path.clone(), NodeKind::Symlink);
        Ok(())
    }

    /// Reads a file that was written before.
    pub fn open(&mut self, path: &ImagePath) -> Result<File, TreeError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let parent = self.parent_of(path)?;
        openat(parent, path.name(), flags, Mode::empty())
            .map(File::from)
            .map_err(|error| self.io("open", path, error))
    }

    /// The error for something that went wrong with a file of this tree.
    pub fn io(
        &self,
        action: &'static str,
        path: &ImagePath,
        source: impl Into<io::Error>,
    ) -> TreeError {
        TreeError::Io {
            action,
            path: self.place.join(path.as_str()),
            source: source.into(),
        }
    }

    /// The open directory above a path, made with everything above it where it is missing.
    fn parent_of(&mut self, path: &ImagePath) -> Result<&OwnedFd, TreeError> {
        let Some(parent) = path.parent() else {
            return Ok(&self.root);
        };
        if self.last.as_ref().is_none_or(|(last, _)| *last != parent) {
            let directory = self.open_directory(path, &parent)?;
            self.last = Some((parent, directory));
        }
        let (_, directory) = self.last.as_ref().expect("it was set just above");
        Ok(directory)
    }

    /// Walks from the root, one name at a time.
    fn open_directory(
        &mut self,
        path: &ImagePath,
        directory: &ImagePath,
    ) -> Result<OwnedFd, TreeError> {
        let mut open: Option<OwnedFd> = None;
        for step in directory.ancestors().chain([directory.clone()]) {
            let above = open.as_ref().unwrap_or(&self.root);
            match self.nodes.get(&step).copied() {
                Some(NodeKind::Directory) => {}
                Some(existing) => {
                    return Err(TreeError::Below {
                        path: path.clone(),
                        parent: step,
                        existing,
                    });
                }
                None => {
                    mkdirat(above, step.name(), Mode::from_raw_mode(0o755))
                        .map_err(|error| self.io("create", &step, error))?;
                    self.nodes.insert(step.clone(), NodeKind::Directory);
                }
            }
            let next = openat(above, step.name(), DIRECTORY, Mode::empty());
            open = Some(next.map_err(|error| self.io("open", &step, error))?);
        }
        Ok(open.expect("a directory's path has at least one part"))
    }
}

fn exists(path: &ImagePath, existing: NodeKind, found: NodeKind) -> TreeError {
    TreeError::Exists {
        path: path.clone(),
        existing,
        found,
    }
}
