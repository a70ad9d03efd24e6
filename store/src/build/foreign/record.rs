//! `changes.json`: what a tree of changes cannot say by itself, and `modes.json`, which packages have beside their trees.
//!
//! A build of [`super::OutputKind::Changes`] leaves `tree/`, which holds what was added or changed, and this record:
//!
//! ```json
//! {"modes":{"home/app":{"gid":1000,"mode":"0750","uid":1000}},"removed":["usr/share/doc"],"version":1}
//! ```
//!
//! with a line feed at the end. `modes` has everything in `tree/` whose mode or owner is not the ordinary one, directories
//! that are only passed through included: 0755 for directories and files that the store calls executable, 0644 for other
//! files, owned by 0:0. A link has the mode 0777 and is there only for its owner. `removed` is sorted, and a directory that
//! is gone stands there once. The text is part of an output, so there is one text for one record.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of the record in an output.
pub const CHANGES_FILE: &str = "changes.json";

/// The name of the tree in an output.
pub const CHANGES_TREE: &str = "tree";

/// The name of the record beside a package's tree.
pub(super) const MODES_FILE: &str = "modes.json";

const VERSION: u64 = 1;

/// What a tree of changes cannot say by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangesRecord {
    /// Modes and owners that are not the ordinary ones, by path below the root.
    pub modes: BTreeMap<String, Owned>,
    /// What is gone, sorted, none of it below another.
    pub removed: Vec<String>,
}

/// Mode and owner of one path; fields in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owned {
    /// Group number.
    pub gid: u32,
    /// Twelve permission bits; four octal digits in the text.
    #[serde(serialize_with = "write_mode", deserialize_with = "read_mode")]
    pub mode: u32,
    /// User number.
    pub uid: u32,
}

/// A text is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Made by a newer cognix, or no record at all.
    #[error(
        "has version {found}, and this cognix knows version {VERSION}: a newer cognix is needed"
    )]
    Version {
        /// The version.
        found: u64,
    },
    /// Not a record, or damaged.
    #[error("cannot be read")]
    Json(#[source] serde_json::Error),
    /// The values are fine, but not in the one spelling that is written.
    #[error("is not canonical: sorted, without blanks, with a line feed at the end")]
    NotCanonical,
    /// A path that leads out of the tree, or none.
    #[error("names {path:?}, which is no path below the root")]
    Path {
        /// What stands there.
        path: String,
    },
}

impl ChangesRecord {
    /// Reads the text of [`CHANGES_FILE`].
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        check_version(text)?;
        let Shape { modes, removed, .. } =
            serde_json::from_slice(text).map_err(RecordError::Json)?;
        let record = Self { modes, removed };
        check_paths(record.modes.keys().chain(&record.removed))?;
        let mut sorted = record.removed.clone();
        keep_uppermost(&mut sorted);
        match record.to_json() == text && sorted == record.removed {
            true => Ok(record),
            false => Err(RecordError::NotCanonical),
        }
    }

    /// The canonical text, with a line feed at the end.
    pub fn to_json(&self) -> Vec<u8> {
        let shape = Shape {
            modes: self.modes.clone(),
            removed: self.removed.clone(),
            version: VERSION,
        };
        let mut text =
            serde_json::to_vec(&shape).expect("texts and numbers always have a JSON form");
        text.push(b'\n');
        text
    }
}

/// Sorts paths and drops those below others.
pub(super) fn keep_uppermost(paths: &mut Vec<String>) {
    // By parts, so that what is below a path comes right after it.
    paths.sort_unstable_by(|one, other| one.split('/').cmp(other.split('/')));
    paths.dedup_by(|path, above| {
        path.strip_prefix(above.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    paths.sort_unstable();
}

/// Reads the text of [`MODES_FILE`].
pub(super) fn parse_modes(text: &[u8]) -> Result<BTreeMap<String, Owned>, RecordError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Modes {
        entries: BTreeMap<String, Owned>,
        #[expect(dead_code, reason = "checked before the rest is read")]
        version: u64,
    }
    check_version(text)?;
    let Modes { entries, .. } = serde_json::from_slice(text).map_err(RecordError::Json)?;
    check_paths(entries.keys())?;
    Ok(entries)
}

fn check_version(text: &[u8]) -> Result<(), RecordError> {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    let Version { version } = serde_json::from_slice(text).map_err(RecordError::Json)?;
    match version {
        VERSION => Ok(()),
        found => Err(RecordError::Version { found }),
    }
}

fn check_paths<'a>(mut paths: impl Iterator<Item = &'a String>) -> Result<(), RecordError> {
    let leads_out = |path: &&String| {
        let mut parts = path.split('/');
        parts.any(|part| matches!(part, "" | "." | "..") || part.contains('\0'))
    };
    match paths.find(leads_out) {
        None => Ok(()),
        Some(path) => Err(RecordError::Path { path: path.clone() }),
    }
}

/// The file as it is written; fields in the order of their names.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    modes: BTreeMap<String, Owned>,
    removed: Vec<String>,
    version: u64,
}

fn write_mode<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

fn read_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.len() == 4 && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if digits => Ok(mode),
        _ => Err(serde::de::Error::custom(format!(
            "mode {:?} is not four octal digits",
            text.chars().take(80).collect::<String>()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = concat!(
        r#"{"modes":{"home/app":{"gid":1000,"mode":"0750","uid":1000}},"removed":["usr/share/doc"],"version":1}"#,
        "\n"
    );

    #[test]
    fn a_record_has_one_text() {
        let record = ChangesRecord::parse(TEXT.as_bytes()).expect("a record");
        assert_eq!(record.modes["home/app"].mode, 0o750);
        assert_eq!(record.removed, ["usr/share/doc"]);
        assert_eq!(record.to_json(), TEXT.as_bytes());
    }

    #[test]
    fn what_would_not_be_written_is_refused() {
        let removed =
            |paths: &str| format!("{{\"modes\":{{}},\"removed\":[{paths}],\"version\":1}}\n");
        for (text, message) in [
            (String::new(), "cannot be read"),
            (removed(r#""b","a""#), "canonical"),
            (removed(r#""a","a/b""#), "canonical"),
            (removed(r#""/a""#), "no path"),
            (removed(r#""a/../b""#), "no path"),
            (TEXT.replace("0750", "750"), "cannot be read"),
            (TEXT.replace(":1}", ":2}"), "newer"),
            (TEXT.trim_end().to_owned(), "canonical"),
        ] {
            let error = ChangesRecord::parse(text.as_bytes()).expect_err(&text);
            assert!(error.to_string().contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_below_something_removed_is_not_told() {
        let mut paths = ["a/b", "a-b", "a", "c/d", "a/b/c", "c/d"]
            .map(str::to_owned)
            .to_vec();
        keep_uppermost(&mut paths);
        assert_eq!(paths, ["a", "a-b", "c/d"]);
    }
}
