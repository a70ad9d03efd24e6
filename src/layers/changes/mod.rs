//! What a program left behind on a root: the entries it added or changed, and those it removed, as one layer.
//!
//! ```text
//! PATH/tree          added and changed files, links and directories, and every directory above them
//! PATH/changes.json  {"modes":{"root/.ssh":{"gid":0,"mode":"0700","uid":0}},"removed":["usr/share/doc"],"version":1}
//! ```
//!
//! The record has modes and owners that are not ordinary (as [`super::modes`] has them), those of the directories above
//! changed entries included, and what was removed: each path once, nothing below a removed directory. It is one line of
//! canonical JSON with a line feed at the end.
//!
//! In the layer, what was removed is an empty file `.wh.NAME` (a *whiteout*) in the directory where it was. A directory
//! that was removed and made anew has a whiteout for each thing that it held before and holds no more; the marks that
//! empty a whole directory (*opaque* ones) are never written, because engines disagree about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    path::{Path, PathBuf},
};

use cognix_derivations::{HashingWriter, StorePath};
use serde::{Deserialize, Serialize};

use super::{
    LayerError, LayerRequest,
    description::{
        ChangesSource, DiffId, Entry, LayerDescription, LayerDigest, LayerSource, TreeSource,
    },
    modes::{Mode, ModesError, ModesRecord, Recorded},
    path::ImagePath,
    stream::{self, Content, Item, Streamed, not_read},
    tar::WHITEOUT,
    tree::{
        TreeInput,
        scan::{self, Found, FoundKind},
    },
};

/// The folder of the entries, in an output that holds changes.
pub const TREE_FOLDER: &str = "tree";
/// The name of the record beside it.
pub const CHANGES_FILE: &str = "changes.json";

const VERSION: u64 = 1;

/// What is recorded beside the entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangesRecord {
    /// Modes and owners that are not ordinary; what is not named is 0755 or 0644 and root's.
    pub modes: ModesRecord,
    /// What was there before and is no more.
    pub removed: BTreeSet<ImagePath>,
}

/// A record of changes that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// Made by a newer cognix, or no record at all.
    #[error(
        "record of changes has version {found}, this cognix reads version {VERSION}; a newer cognix is needed"
    )]
    Version {
        /// The version it says it has.
        found: u64,
    },
    /// Not a record, or damaged.
    #[error("record of changes is not valid JSON of version {VERSION}")]
    Json(#[source] serde_json::Error),
    /// The values are fine, but not in the one spelling that is written.
    #[error(
        "record of changes is not canonical: sorted keys and paths, no blanks, a line feed at the end"
    )]
    NotCanonical,
    /// An owner that no layer can have.
    #[error(transparent)]
    Modes(#[from] ModesError),
    /// The entries do not fit to the record.
    #[error("{path} {problem}")]
    Entry {
        /// The entry.
        path: ImagePath,
        /// What does not fit.
        problem: &'static str,
    },
}

/// The file's shape; fields in the order of their names.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    modes: BTreeMap<ImagePath, Recorded>,
    removed: BTreeSet<ImagePath>,
    version: u64,
}

impl ChangesRecord {
    /// Reads the text of [`CHANGES_FILE`], which has to be canonical.
    pub fn parse(text: &[u8]) -> Result<Self, ChangesError> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let Version { version } = serde_json::from_slice(text).map_err(ChangesError::Json)?;
        if version != VERSION {
            return Err(ChangesError::Version { found: version });
        }
        let file: File = serde_json::from_slice(text).map_err(ChangesError::Json)?;
        let record = Self {
            modes: ModesRecord::of(file.modes)?,
            removed: file.removed,
        };
        if record.to_json() == text {
            Ok(record)
        } else {
            Err(ChangesError::NotCanonical)
        }
    }

    /// The canonical text, with a line feed at the end.
    pub fn to_json(&self) -> Vec<u8> {
        let modes = self.modes.iter();
        let file = File {
            modes: modes
                .map(|(path, recorded)| (path.clone(), recorded))
                .collect(),
            removed: self.removed.clone(),
            version: VERSION,
        };
        let mut text =
            serde_json::to_vec(&file).expect("texts and numbers always have a JSON form");
        text.push(b'\n');
        text
    }
}

/// An output that holds changes, read without the contents of its files.
#[derive(Debug)]
pub struct ChangesInput {
    source: ChangesSource,
    record: ChangesRecord,
    found: Vec<Found>,
}

impl ChangesInput {
    /// Reads the output and checks that its entries and its record fit together.
    pub fn load(
        source: ChangesSource,
        locate: &dyn Fn(&StorePath) -> PathBuf,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, LayerError> {
        let output = locate(&source.changes);
        let owner = source.changes.name().to_owned();
        let broken = |error| LayerError::Changes {
            owner: owner.clone(),
            source: error,
        };
        let record = output.join(CHANGES_FILE);
        let text = std::fs::read(&record).map_err(|error| not_read(&record, error))?;
        let record = ChangesRecord::parse(&text).map_err(broken)?;
        let found = scan_tree(&output.join(TREE_FOLDER), &source, &record, cancelled)?;
        check(&found, &record).map_err(broken)?;
        Ok(Self {
            source,
            record,
            found,
        })
    }

    /// Every entry of the layer, by path.
    fn items(&self) -> BTreeMap<&ImagePath, Item<'_>> {
        let removed = self.record.removed.iter().map(|path| Item {
            path,
            recorded: Recorded::root(Mode::PLAIN),
            content: Content::Removed,
        });
        let found = self.found.iter().map(|found| Item {
            path: &found.path,
            // The record is complete, so a directory that it does not name is an ordinary one.
            recorded: found.recorded.unwrap_or(Recorded::root(Mode::EXECUTABLE)),
            content: match &found.kind {
                FoundKind::Directory => Content::Directory,
                FoundKind::File { size } => Content::File {
                    size: *size,
                    real: &found.real,
                },
                FoundKind::Symlink { target } => Content::Symlink { target },
            },
        });
        removed.chain(found).map(|item| (item.path, item)).collect()
    }

    fn write_tar(
        &self,
        request: &LayerRequest<'_>,
        out: &mut impl Write,
    ) -> Result<Vec<Entry>, LayerError> {
        stream::write_entries(request, self.items().into_values(), out)
    }

    fn stream(
        &self,
        request: &LayerRequest<'_>,
        out: impl Write,
    ) -> Result<(Streamed, Vec<Entry>), LayerError> {
        stream::compress(request, "changes", out, |tar| self.write_tar(request, tar))
    }
}

fn scan_tree(
    root: &Path,
    source: &ChangesSource,
    record: &ChangesRecord,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Found>, LayerError> {
    let metadata = root
        .symlink_metadata()
        .map_err(|error| not_read(root, error))?;
    if !metadata.is_dir() {
        return Err(not_read(root, io::ErrorKind::NotADirectory.into()));
    }
    let tree = TreeInput {
        root: root.to_owned(),
        source: TreeSource {
            control: None,
            omit: BTreeSet::new(),
            out: source.changes.clone(),
        },
        modes: Some(record.modes.clone()),
        package: None,
    };
    scan::scan(&tree, None, cancelled)
}

/// What was removed lies in a directory of the tree, where nothing else is; no entry looks like a mark.
fn check(found: &[Found], record: &ChangesRecord) -> Result<(), ChangesError> {
    let problem = |path: &ImagePath, problem| {
        let path = path.clone();
        Err(ChangesError::Entry { path, problem })
    };
    let at = |path: &ImagePath| {
        let place = found.binary_search_by(|found| found.path.cmp(path));
        place.ok().map(|place| &found[place].kind)
    };
    for path in &record.removed {
        if at(path).is_some() {
            return problem(path, "is removed and there at once");
        }
        let parent = path.parent();
        let is_directory = |parent: &ImagePath| at(parent) == Some(&FoundKind::Directory);
        if !parent.as_ref().is_none_or(is_directory) {
            return problem(path, "is removed from a directory that is not in the tree");
        }
    }
    match found
        .iter()
        .find(|found| found.path.name().starts_with(WHITEOUT))
    {
        Some(found) => problem(
            &found.path,
            "has a name by which layers say that something is removed; no image can hold it",
        ),
        None => Ok(()),
    }
}

/// Describes the layer of one output that holds changes.
pub fn describe_changes(
    request: &LayerRequest<'_>,
    changes: ChangesInput,
) -> Result<LayerDescription, LayerError> {
    let (streamed, entries) = changes.stream(request, io::sink())?;
    let source = LayerSource::Changes(changes.source);
    Ok(streamed.description(request, source, entries))
}

/// Makes the bytes again; the caller compares the digest and the size that come back.
pub(super) fn write_changes(
    description: &LayerDescription,
    source: &ChangesSource,
    locate: &dyn Fn(&StorePath) -> PathBuf,
    out: &mut dyn Write,
) -> Result<(LayerDigest, u64), LayerError> {
    let changes = ChangesInput::load(source.clone(), locate, &|| false)?;
    let (streamed, _) = changes.stream(&LayerRequest::of(description), out)?;
    Ok((streamed.digest, streamed.size))
}

/// Makes the tar stream without compressing it; the caller compares the digest and the size that come back.
pub(super) fn write_changes_tar(
    description: &LayerDescription,
    source: &ChangesSource,
    locate: &dyn Fn(&StorePath) -> PathBuf,
    out: &mut dyn Write,
) -> Result<(DiffId, u64), LayerError> {
    let changes = ChangesInput::load(source.clone(), locate, &|| false)?;
    let mut tar = HashingWriter::new(out);
    changes.write_tar(&LayerRequest::of(description), &mut tar)?;
    let (_, diff_id, size) = tar.finish();
    Ok((DiffId(diff_id), size))
}

#[cfg(test)]
mod tests;
