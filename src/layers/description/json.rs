//! The text of a description: one line of JSON, keys sorted, no blanks, a line feed at the end.
//!
//! ```text
//! {"diffId":"sha256:…","digest":"sha256:…",
//!  "entries":[{"kind":"directory","mode":"0755","path":"venv"},
//!             {"kind":"file","mode":"0644","path":"venv/a.py","sha256":"…","size":12},
//!             {"gid":42,"kind":"symlink","mode":"0777","path":"venv/b","target":"a.py","uid":7}],
//!  "mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","name":"numpy","recipe":"gzip-wheel-splice-1","size":345,
//!  "source":{"filename":"….whl","kind":"wheel","omit":[],"python":"3.11","wheel":"/nix/store/…"},
//!  "uncompressedSize":1536,"version":1}
//! ```
//!
//! or `"source":{"kind":"trees","omit":[],"prefix":"src","trees":[{"control":"/nix/store/…","out":"/nix/store/…"}]}`.
//! Version 2 is the same with changes: `"source":{"changes":"/nix/store/…","kind":"changes"}`, and what is removed among the
//! entries, as `{"kind":"removed","path":"venv/old"}`. All other layers are written as version 1.
//! Owners stand only where they are not 0; a prefix, what a tree leaves out (`"omit":["venv/a"]`), a wheel's bytecode
//! (`"bytecode":"/nix/store/…"`) and a waiver for a
//! wheel's RECORD (`"record":"waived"`) stand only where there is one; so does `"time"`, the seconds since 1970, where
//! somebody asked for another one than 1980-01-01.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use cognix_derivations::{Sha256, StorePath};

use super::{
    ChangesSource, DiffId, Entry, EntryKind, LayerDescription, LayerDigest, LayerSource,
    PythonVersion, RecordPolicy, TreeSource, TreesSource, WheelSource, broken_rule,
};
use crate::layers::{
    compress::{Recipe, UnknownRecipe},
    modes::{Mode, Recorded},
    path::ImagePath,
    timestamp::Timestamp,
};

/// What every layer was before there were changes.
const PLAIN: u64 = 1;
/// A layer that may change what lies below it. A cognix that would not know what its whiteouts mean reads version 1 only.
const WITH_CHANGES: u64 = 2;

/// A text is no description of a layer, or not one that this cognix can trust to mean what it says.
#[derive(Debug, thiserror::Error)]
pub enum DescriptionError {
    /// Made by a newer cognix.
    #[error(
        "layer description has version {found}, this cognix reads versions {PLAIN} and {WITH_CHANGES}; a newer cognix is needed"
    )]
    Version {
        /// The version it says it has.
        found: u64,
    },
    /// Not JSON, or not of the shape of a description.
    #[error("layer description is not valid JSON of a known version")]
    Json(#[source] serde_json::Error),
    /// The bytes of the layer cannot be made here.
    #[error(transparent)]
    Recipe(#[from] UnknownRecipe),
    /// The recipe makes bytes of another type than the description promises.
    #[error("layer description has media type {found:?}, but recipe {recipe} makes {}", recipe.media_type())]
    MediaType {
        /// What it says.
        found: String,
        /// How the bytes are made.
        recipe: Recipe,
    },
    /// The list of entries breaks a rule that everything else relies on.
    #[error("layer description lists {path}, which {problem}")]
    Entry {
        /// The path of the entry.
        path: ImagePath,
        /// The broken rule.
        problem: &'static str,
    },
    /// The values are fine, but not in the one spelling that is written.
    #[error("layer description is not canonical: sorted keys, no blanks, a line feed at the end")]
    NotCanonical,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    diff_id: DiffId,
    digest: LayerDigest,
    entries: Vec<EntryFile>,
    media_type: String,
    name: String,
    recipe: String,
    size: u64,
    source: SourceFile,
    #[serde(default, skip_serializing_if = "Timestamp::is_default")]
    time: Timestamp,
    uncompressed_size: u64,
    version: u64,
}

/// Fields in the order of their names; which of them an entry has depends on its kind.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryFile {
    #[serde(default, skip_serializing_if = "is_zero")]
    gid: u32,
    kind: KindFile,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    path: ImagePath,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    uid: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindFile {
    Directory,
    File,
    Removed,
    Symlink,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SourceKind {
    Changes,
    Trees,
    Wheel,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytecode: Option<StorePath>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changes: Option<StorePath>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    kind: SourceKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    omit: Option<BTreeSet<ImagePath>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<ImagePath>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    python: Option<PythonVersion>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<RecordFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trees: Option<Vec<TreeSource>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wheel: Option<StorePath>,
}

/// Where a wheel's RECORD is believed, nothing is said about it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RecordFile {
    Waived,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub(super) fn parse(text: &[u8]) -> Result<LayerDescription, DescriptionError> {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    let Version { version } = serde_json::from_slice(text).map_err(DescriptionError::Json)?;
    if ![PLAIN, WITH_CHANGES].contains(&version) {
        return Err(DescriptionError::Version { found: version });
    }
    let file: File = serde_json::from_slice(text).map_err(DescriptionError::Json)?;
    let recipe: Recipe = file.recipe.parse()?;
    if file.media_type != recipe.media_type() {
        return Err(DescriptionError::MediaType {
            found: file.media_type,
            recipe,
        });
    }
    let description = LayerDescription {
        name: file.name,
        recipe,
        digest: file.digest,
        diff_id: file.diff_id,
        size: file.size,
        uncompressed_size: file.uncompressed_size,
        time: file.time,
        source: LayerSource::try_from(file.source)?,
        entries: file
            .entries
            .into_iter()
            .map(Entry::try_from)
            .collect::<Result<_, _>>()?,
    };
    let removed = description.entries.iter().find(|entry| entry.is_removed());
    if let Some(entry) = removed
        && !description.has_changes()
    {
        return Err(DescriptionError::Entry {
            path: entry.path.clone(),
            problem: "is removed, which only layers of changes can do",
        });
    }
    if let Some((path, problem)) = broken_rule(&description.entries) {
        return Err(DescriptionError::Entry {
            path: path.clone(),
            problem,
        });
    }
    if write(&description) == text {
        Ok(description)
    } else {
        Err(DescriptionError::NotCanonical)
    }
}

pub(super) fn write(description: &LayerDescription) -> Vec<u8> {
    let file = File {
        diff_id: description.diff_id,
        digest: description.digest,
        entries: description.entries.iter().map(EntryFile::from).collect(),
        media_type: description.media_type().to_owned(),
        name: description.name.clone(),
        recipe: description.recipe.id().to_owned(),
        size: description.size,
        source: SourceFile::from(&description.source),
        time: description.time,
        uncompressed_size: description.uncompressed_size,
        version: match description.has_changes() {
            true => WITH_CHANGES,
            false => PLAIN,
        },
    };
    let mut text = serde_json::to_vec(&file).expect("texts and numbers always have a JSON form");
    text.push(b'\n');
    text
}

impl From<&Entry> for EntryFile {
    fn from(entry: &Entry) -> Self {
        let Recorded { gid, mode, uid } = entry.recorded;
        if entry.is_removed() {
            return Self {
                gid: 0,
                kind: KindFile::Removed,
                mode: None,
                path: entry.path.clone(),
                sha256: None,
                size: None,
                target: None,
                uid: 0,
            };
        }
        let (kind, sha256, size, target) = match &entry.kind {
            EntryKind::Directory => (KindFile::Directory, None, None, None),
            EntryKind::Removed => (KindFile::Removed, None, None, None),
            EntryKind::File { size, sha256 } => (KindFile::File, Some(*sha256), Some(*size), None),
            EntryKind::Symlink { target } => (KindFile::Symlink, None, None, Some(target.clone())),
        };
        Self {
            gid,
            kind,
            mode: Some(mode),
            path: entry.path.clone(),
            sha256,
            size,
            target,
            uid,
        }
    }
}

impl TryFrom<EntryFile> for Entry {
    type Error = DescriptionError;

    fn try_from(file: EntryFile) -> Result<Self, DescriptionError> {
        let EntryFile {
            gid,
            kind,
            mode,
            path,
            sha256,
            size,
            target,
            uid,
        } = file;
        let (kind, mode) = match (kind, sha256, size, target, mode) {
            (KindFile::Directory, None, None, None, Some(mode)) => (EntryKind::Directory, mode),
            (KindFile::File, Some(sha256), Some(size), None, Some(mode)) => {
                (EntryKind::File { size, sha256 }, mode)
            }
            (KindFile::Symlink, None, None, Some(target), Some(mode)) => {
                (EntryKind::Symlink { target }, mode)
            }
            (KindFile::Removed, None, None, None, None) => (EntryKind::Removed, Mode::PLAIN),
            _ => {
                return Err(DescriptionError::Entry {
                    path,
                    problem: "has other keys than its kind asks for",
                });
            }
        };
        Ok(Self {
            path,
            kind,
            recorded: Recorded { gid, mode, uid },
        })
    }
}

impl From<&LayerSource> for SourceFile {
    fn from(source: &LayerSource) -> Self {
        match source.clone() {
            LayerSource::Wheel(WheelSource {
                wheel,
                filename,
                python,
                omit,
                record,
                bytecode,
            }) => Self {
                bytecode,
                changes: None,
                filename: Some(filename),
                kind: SourceKind::Wheel,
                omit: Some(omit),
                prefix: None,
                python: Some(python),
                record: (record == RecordPolicy::Waived).then_some(RecordFile::Waived),
                trees: None,
                wheel: Some(wheel),
            },
            LayerSource::Trees(TreesSource {
                trees,
                prefix,
                omit,
            }) => Self {
                bytecode: None,
                changes: None,
                filename: None,
                kind: SourceKind::Trees,
                omit: Some(omit),
                prefix,
                python: None,
                record: None,
                trees: Some(trees),
                wheel: None,
            },
            LayerSource::Changes(ChangesSource { changes }) => Self {
                bytecode: None,
                changes: Some(changes),
                filename: None,
                kind: SourceKind::Changes,
                omit: None,
                prefix: None,
                python: None,
                record: None,
                trees: None,
                wheel: None,
            },
        }
    }
}

impl TryFrom<SourceFile> for LayerSource {
    type Error = DescriptionError;

    fn try_from(file: SourceFile) -> Result<Self, DescriptionError> {
        match file {
            SourceFile {
                kind: SourceKind::Wheel,
                filename: Some(filename),
                python: Some(python),
                wheel: Some(wheel),
                omit: Some(omit),
                record,
                bytecode,
                changes: None,
                prefix: None,
                trees: None,
            } => Ok(Self::Wheel(WheelSource {
                wheel,
                filename,
                python,
                omit,
                record: match record {
                    None => RecordPolicy::Checked,
                    Some(RecordFile::Waived) => RecordPolicy::Waived,
                },
                bytecode,
            })),
            SourceFile {
                kind: SourceKind::Trees,
                trees: Some(trees),
                prefix,
                omit: Some(omit),
                changes: None,
                bytecode: None,
                filename: None,
                python: None,
                record: None,
                wheel: None,
            } => Ok(Self::Trees(TreesSource {
                trees,
                prefix,
                omit,
            })),
            SourceFile {
                kind: SourceKind::Changes,
                bytecode: None,
                changes: Some(changes),
                filename: None,
                omit: None,
                prefix: None,
                python: None,
                record: None,
                trees: None,
                wheel: None,
            } => Ok(Self::Changes(ChangesSource { changes })),
            _ => Err(DescriptionError::Json(serde::de::Error::custom(
                "source has other keys than its kind asks for",
            ))),
        }
    }
}
