//! What a layer is, without its bytes: digests, sizes, what it is made of, and every path in it.
//!
//! A description is the output of a derivation, so a cache hit tells everything about a layer without a download, and the
//! store paths in its text make it refer to what its bytes are made of. With those at hand, [`super::write()`] makes the
//! bytes again. The text is canonical JSON; `json.rs` draws how it looks.

mod json;

use std::{cmp::Ordering, collections::BTreeSet, fmt, str::FromStr};

use cognix_derivations::{DigestError, Sha256, StorePath};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    compress::Recipe,
    modes::{Mode, Recorded},
    path::ImagePath,
    timestamp::Timestamp,
};

pub use crate::builtins::wheel::RecordPolicy;
pub use json::DescriptionError;

/// A layer as data. Values read from text and values made by this room keep two rules: the entries are sorted by the
/// bytes of their paths without repetition, and every parent of an entry is an entry itself, a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerDescription {
    /// What people call the layer, as the recipes name it.
    pub name: String,
    /// How the compressed bytes are made.
    pub recipe: Recipe,
    /// When every entry was last changed.
    pub time: Timestamp,
    /// The digest of the compressed bytes, by which registries know the layer.
    pub digest: LayerDigest,
    /// The digest of the tar stream, which the image's configuration lists.
    pub diff_id: DiffId,
    /// The length of the compressed bytes.
    pub size: u64,
    /// The length of the tar stream.
    pub uncompressed_size: u64,
    /// What the bytes are made of.
    pub source: LayerSource,
    /// Every path in the layer.
    pub entries: Vec<Entry>,
}

/// The digest of a layer's compressed bytes. Its text is `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerDigest(pub Sha256);

/// The digest of a layer's tar stream. Its text is `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiffId(pub Sha256);

/// What the bytes of a layer are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerSource {
    /// A wheel file, as it would be installed.
    Wheel(WheelSource),
    /// Trees in the store, merged.
    Trees(TreesSource),
    /// What a program changed of everything that lies below.
    Changes(ChangesSource),
}

/// One output that holds changes; see [`super::changes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesSource {
    /// The output.
    pub changes: StorePath,
}

/// One wheel and how it is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WheelSource {
    /// The wheel file.
    pub wheel: StorePath,
    /// Its name on the package index, which says what it holds.
    pub filename: String,
    /// The interpreter, major and minor version.
    pub python: PythonVersion,
    /// Files that are left out, because another layer brings them with the same bytes, or by a rule of the lock.
    pub omit: BTreeSet<ImagePath>,
    /// Whether the wheel's own list of its files is believed.
    pub record: RecordPolicy,
    /// A tree of further files that lie among the wheel's: its bytecode, if the image has any.
    pub bytecode: Option<StorePath>,
}

/// Trees of the store, in the order in which their modes count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreesSource {
    /// The trees.
    pub trees: Vec<TreeSource>,
    /// The directory they are put in; none for the root.
    pub prefix: Option<ImagePath>,
    /// Files and links that are left out, because another layer brings them.
    pub omit: BTreeSet<ImagePath>,
}

/// One tree and what is recorded about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeSource {
    /// The output whose `modes.json` applies, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<StorePath>,
    /// Files and links of this tree that are left out, by their place in the image: another tree or layer brings them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub omit: BTreeSet<ImagePath>,
    /// The tree itself.
    pub out: StorePath,
}

/// Major and minor version of an interpreter: `3.11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PythonVersion(pub u8, pub u8);

/// One path in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies.
    pub path: ImagePath,
    /// What it is.
    pub kind: EntryKind,
    /// Mode and owner, as the layer has them.
    pub recorded: Recorded,
}

/// What lies at a path. Hard links do not occur: every name has its own content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Its length.
        size: u64,
        /// Its content.
        sha256: Sha256,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as it is written.
        target: String,
    },
    /// Whatever the layers below have there is gone, with everything below it. Its mode and owner say nothing.
    Removed,
}

impl LayerDescription {
    /// Reads the canonical text.
    pub fn parse(text: &[u8]) -> Result<Self, DescriptionError> {
        json::parse(text)
    }

    /// The canonical text, with a line feed at the end.
    pub fn to_json(&self) -> Vec<u8> {
        json::write(self)
    }

    /// What OCI calls the compressed bytes.
    pub fn media_type(&self) -> &'static str {
        self.recipe.media_type()
    }

    /// The store paths that are needed to make the bytes, in the order in which the text names them.
    pub fn store_paths(&self) -> Vec<&StorePath> {
        self.source.store_paths()
    }

    /// Whether it may change what lies below it.
    pub fn has_changes(&self) -> bool {
        matches!(self.source, LayerSource::Changes(_))
    }

    /// Whether it holds nothing, because the program whose changes it has has made none. Such a layer is left out.
    pub fn is_in_vain(&self) -> bool {
        self.has_changes() && self.entries.is_empty()
    }

    /// The entry at a path.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        find(&self.entries, path)
    }
}

static NOTHING: &BTreeSet<ImagePath> = &BTreeSet::new();

impl LayerSource {
    /// Every path that is left out, and of which tree; none for that of the whole layer.
    pub fn omitted(&self) -> impl Iterator<Item = (Option<&str>, &ImagePath)> {
        let (whole, trees) = match self {
            Self::Wheel(source) => (&source.omit, [].as_slice()),
            Self::Trees(source) => (&source.omit, source.trees.as_slice()),
            Self::Changes(_) => (NOTHING, [].as_slice()),
        };
        let of_trees = trees.iter().flat_map(|tree| {
            let owner = Some(tree.out.name());
            tree.omit.iter().map(move |path| (owner, path))
        });
        whole.iter().map(|path| (None, path)).chain(of_trees)
    }

    fn store_paths(&self) -> Vec<&StorePath> {
        match self {
            Self::Wheel(source) => source.bytecode.iter().chain([&source.wheel]).collect(),
            Self::Trees(source) => source
                .trees
                .iter()
                .flat_map(|tree| tree.control.iter().chain([&tree.out]))
                .collect(),
            Self::Changes(source) => vec![&source.changes],
        }
    }
}

impl Entry {
    /// A directory as nothing is recorded about it.
    pub fn directory(path: ImagePath) -> Self {
        Self {
            path,
            kind: EntryKind::Directory,
            recorded: Recorded::root(Mode::EXECUTABLE),
        }
    }

    /// What engines take for removed, and not for something that the layer brings.
    pub fn is_removed(&self) -> bool {
        self.kind == EntryKind::Removed
    }

    /// Whether it is a directory; directories are the only paths that several layers may have.
    pub fn is_directory(&self) -> bool {
        self.kind == EntryKind::Directory
    }
}

/// Says which rule of [`LayerDescription`] a list of entries breaks, and where.
fn broken_rule(entries: &[Entry]) -> Option<(&ImagePath, &'static str)> {
    let out_of_order = entries
        .windows(2)
        .find_map(|pair| match pair[0].path.cmp(&pair[1].path) {
            Ordering::Less => None,
            Ordering::Equal => Some((&pair[1].path, "occurs twice")),
            Ordering::Greater => Some((&pair[1].path, "is out of order")),
        });
    out_of_order.or_else(|| {
        // `a-b` lies between `a` and `a/b`, so the directories do not form a stack; neighbours share one, mostly.
        let mut known = None;
        entries.iter().find_map(|entry| {
            let parent = entry
                .path
                .as_str()
                .rsplit_once('/')
                .map(|(parent, _)| parent)?;
            if known != Some(parent) && !find(entries, parent).is_some_and(Entry::is_directory) {
                return Some((&entry.path, "does not lie in a directory of the layer"));
            }
            known = Some(parent);
            None
        })
    })
}

/// The entry at a path, in a sorted list.
fn find<'a>(entries: &'a [Entry], path: &str) -> Option<&'a Entry> {
    entries
        .binary_search_by(|entry| entry.path.as_str().cmp(path))
        .ok()
        .map(|at| &entries[at])
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.0, self.1)
    }
}

/// Not the version of an interpreter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a Python version, expected two numbers as in \"3.11\"")]
pub struct InvalidPythonVersion {
    found: String,
}

impl FromStr for PythonVersion {
    type Err = InvalidPythonVersion;

    /// Only the text that is written, so that one version has one text.
    fn from_str(text: &str) -> Result<Self, InvalidPythonVersion> {
        let parts = text
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let version = parts
            .map(|(major, minor)| Self(major, minor))
            .filter(|version| version.to_string() == text);
        version.ok_or_else(|| InvalidPythonVersion {
            found: text.chars().take(80).collect(),
        })
    }
}

impl Serialize for PythonVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PythonVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Text, parsing and serde of a digest in OCI's spelling.
macro_rules! oci_digest {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "sha256:{}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                let digest = Self(text.parse()?);
                if digest.to_string() == text {
                    return Ok(digest);
                }
                let reason = "expected sha256: and 64 lower-case hexadecimal digits".to_owned();
                Err(DigestError::Malformed {
                    text: text.chars().take(80).collect(),
                    reason,
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

oci_digest!(LayerDigest);
oci_digest!(DiffId);

#[cfg(test)]
mod tests;
