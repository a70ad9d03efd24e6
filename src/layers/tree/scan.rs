//! Reads what lies in a tree of the store: paths, kinds, sizes and recorded modes, but no content.

use std::{
    fs::{self, Metadata},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::{
    super::{
        LayerError,
        modes::{Mode, ModesRecord, Recorded},
        path::{ImagePath, InvalidImagePath},
    },
    TreeInput,
};

/// One path of one tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::layers) struct Found {
    /// Where the tree has it in the image, before links of other trees are followed.
    pub(in crate::layers) path: ImagePath,
    pub(in crate::layers) kind: FoundKind,
    /// None for a directory about which its tree records nothing: another tree may know better.
    pub(in crate::layers) recorded: Option<Recorded>,
    /// Where the content is.
    pub(in crate::layers) real: PathBuf,
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::layers) enum FoundKind {
    Directory,
    File { size: u64 },
    Symlink { target: String },
}

/// Everything below a tree's root, sorted by path.
///
/// A tree may be a single file or link: it then lies in the directory of the prefix under the name that it has in the
/// store, or exactly at the prefix where that ends in this name.
pub(in crate::layers) fn scan(
    tree: &TreeInput,
    prefix: Option<&ImagePath>,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Found>, LayerError> {
    let nothing = ModesRecord::new();
    let modes = tree.modes.as_ref().unwrap_or(&nothing);
    let scan = Scan {
        owner: tree.owner(),
        modes,
        prefix,
    };
    let root = &tree.root;
    let metadata = root
        .symlink_metadata()
        .map_err(|source| not_read(root, source))?;
    if !metadata.is_dir() {
        return Ok(vec![scan.single(root, &metadata)?]);
    }
    let mut found = Vec::new();
    let mut recorded = 0;
    // Directories are kept on a list and not on the stack, however deep a tree is.
    let mut open = vec![(tree.root.clone(), None::<ImagePath>)];
    while let Some((directory, above)) = open.pop() {
        if cancelled() {
            return Err(LayerError::Cancelled);
        }
        for entry in fs::read_dir(&directory).map_err(|source| not_read(&directory, source))? {
            let entry = entry.map_err(|source| not_read(&directory, source))?;
            let real = entry.path();
            let metadata = entry.metadata().map_err(|source| not_read(&real, source))?;
            let below = scan.path_below_root(above.as_ref(), &entry.file_name())?;
            let one = scan.found(&below, real, &metadata)?;
            recorded += usize::from(modes.get(below.as_str()).is_some());
            if one.kind == FoundKind::Directory {
                open.push((one.real.clone(), Some(below)));
            }
            found.push(one);
        }
    }
    if recorded != modes.iter().count() {
        return Err(scan.superfluous_mode(&tree.root));
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

struct Scan<'a> {
    owner: &'a str,
    modes: &'a ModesRecord,
    prefix: Option<&'a ImagePath>,
}

impl Scan<'_> {
    /// A tree that is one file.
    fn single(&self, root: &Path, metadata: &Metadata) -> Result<Found, LayerError> {
        let below = ImagePath::parse(self.owner).map_err(|source| self.bad_path(source))?;
        let found = self.found(&below, root.to_owned(), metadata)?;
        match self.prefix {
            Some(prefix) if prefix.name() == self.owner => Ok(Found {
                path: prefix.clone(),
                ..found
            }),
            _ => Ok(found),
        }
    }

    fn path_below_root(
        &self,
        above: Option<&ImagePath>,
        name: &std::ffi::OsStr,
    ) -> Result<ImagePath, LayerError> {
        let Some(text) = name.to_str() else {
            let path = above
                .map_or_else(PathBuf::new, |above| PathBuf::from(above.as_str()))
                .join(name);
            return Err(LayerError::NotUtf8 {
                owner: self.owner.to_owned(),
                path,
            });
        };
        let path = match above {
            None => ImagePath::parse(text),
            Some(above) => above.join(text),
        };
        path.map_err(|source| self.bad_path(source))
    }

    fn found(
        &self,
        below: &ImagePath,
        real: PathBuf,
        metadata: &Metadata,
    ) -> Result<Found, LayerError> {
        let path = match self.prefix {
            None => below.clone(),
            Some(prefix) => prefix
                .join(below.as_str())
                .map_err(|source| self.bad_path(source))?,
        };
        let recorded = self.modes.get(below.as_str());
        let (kind, recorded) = if metadata.is_dir() {
            (FoundKind::Directory, recorded)
        } else if metadata.is_file() {
            let ordinary = Mode::of_file(metadata.mode() & 0o100 != 0);
            let recorded = recorded.unwrap_or(Recorded::root(ordinary));
            (
                FoundKind::File {
                    size: metadata.len(),
                },
                Some(recorded),
            )
        } else if metadata.is_symlink() {
            let target = fs::read_link(&real).map_err(|source| not_read(&real, source))?;
            let Some(target) = target.to_str() else {
                let path = PathBuf::from(path.as_str());
                return Err(LayerError::NotUtf8 {
                    owner: self.owner.to_owned(),
                    path,
                });
            };
            let recorded = recorded.unwrap_or(Recorded::root(Mode::LINK));
            (
                FoundKind::Symlink {
                    target: target.to_owned(),
                },
                Some(recorded),
            )
        } else {
            let found = special(metadata);
            return Err(LayerError::Kind {
                owner: self.owner.to_owned(),
                path: path.to_string(),
                found,
            });
        };
        Ok(Found {
            path,
            kind,
            recorded,
            real,
        })
    }

    fn bad_path(&self, source: InvalidImagePath) -> LayerError {
        LayerError::Path {
            owner: self.owner.to_owned(),
            source,
        }
    }

    /// The first recorded path that is not in the tree.
    fn superfluous_mode(&self, root: &Path) -> LayerError {
        let absent = |path: &ImagePath| root.join(path.as_str()).symlink_metadata().is_err();
        let path = self
            .modes
            .iter()
            .map(|(path, _)| path)
            .find(|path| absent(path));
        let path = path.or_else(|| self.modes.iter().map(|(path, _)| path).next());
        let path = path
            .expect("only a record with entries can have too many")
            .clone();
        LayerError::ModesPath {
            owner: self.owner.to_owned(),
            path,
        }
    }
}

fn special(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn not_read(path: &Path, source: std::io::Error) -> LayerError {
    LayerError::Read {
        path: path.to_owned(),
        source,
    }
}
