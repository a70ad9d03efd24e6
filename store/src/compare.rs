//! How two trees differ, file by file.
//!
//! Only what an archive holds counts: kinds, names, execute bits, contents, texts of links. For two texts, the first line
//! that differs says most about where the difference comes from; for others, the first byte that does.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, FileType, Metadata};
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::build::visible;

/// One difference between two trees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileDifference {
    /// The path below both trees, empty for the trees themselves.
    pub path: PathBuf,
    /// What differs.
    #[serde(flatten)]
    pub kind: DifferenceKind,
}

/// What differs at one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum DifferenceKind {
    /// Only the first tree has it.
    OnlyFirst,
    /// Only the second tree has it.
    OnlySecond,
    /// They are different kinds of things.
    Type {
        /// In the first tree.
        first: &'static str,
        /// In the second tree.
        second: &'static str,
    },
    /// One can be executed, the other cannot.
    Executable {
        /// Whether that is the first.
        first: bool,
    },
    /// Links with different texts.
    Target {
        /// In the first tree.
        first: String,
        /// In the second tree.
        second: String,
    },
    /// Texts that differ.
    Line {
        /// The first line that differs, counted from one.
        line: u64,
        /// That line in the first tree, from a little before the difference; none where the text has ended.
        first: Option<String>,
        /// That line in the second tree.
        second: Option<String>,
    },
    /// Other contents that differ.
    Bytes {
        /// The first byte that differs, counted from zero.
        offset: u64,
        /// The size in the first tree.
        first: u64,
        /// The size in the second tree.
        second: u64,
    },
}

/// More than these say nothing new.
pub const MOST_DIFFERENCES: usize = 100;

/// How much of a file is looked at for text.
const CHUNK: usize = 64 << 10;

/// How much of a line is shown.
const EXCERPT: usize = 120;

/// How much of a line is shown before the place where it differs.
const BEFORE: usize = 40;

/// How two trees differ, in order of paths; the first [`MOST_DIFFERENCES`] differences.
pub fn differences(first: &Path, second: &Path) -> io::Result<Vec<FileDifference>> {
    let mut found = Vec::new();
    compare(first, second, Path::new(""), &mut found)?;
    Ok(found)
}

fn compare(
    first: &Path,
    second: &Path,
    below: &Path,
    found: &mut Vec<FileDifference>,
) -> io::Result<()> {
    if found.len() >= MOST_DIFFERENCES {
        return Ok(());
    }
    let mut note = |kind| {
        found.push(FileDifference {
            path: below.to_owned(),
            kind,
        });
    };
    let (one, other) = (look(first)?, look(second)?);
    let (one, other) = match (one, other) {
        (Some(one), Some(other)) => (one, other),
        (Some(_), None) => {
            note(DifferenceKind::OnlyFirst);
            return Ok(());
        }
        (None, _) => {
            note(DifferenceKind::OnlySecond);
            return Ok(());
        }
    };
    let kinds = (kind(one.file_type()), kind(other.file_type()));
    if kinds.0 != kinds.1 {
        note(DifferenceKind::Type {
            first: kinds.0,
            second: kinds.1,
        });
    } else if one.is_symlink() {
        let text = |path: &Path| fs::read_link(path).map(|text| text.display().to_string());
        let (first, second) = (text(first)?, text(second)?);
        if first != second {
            note(DifferenceKind::Target { first, second });
        }
    } else if one.is_dir() {
        let mut names: BTreeSet<OsString> = BTreeSet::new();
        for folder in [first, second] {
            for entry in fs::read_dir(folder)? {
                names.insert(entry?.file_name());
            }
        }
        for name in names {
            let (first, second) = (first.join(&name), second.join(&name));
            compare(&first, &second, &below.join(&name), found)?;
        }
    } else {
        let executable = |metadata: &Metadata| metadata.permissions().mode() & 0o100 != 0;
        if executable(&one) != executable(&other) {
            note(DifferenceKind::Executable {
                first: executable(&one),
            });
        }
        if let Some(kind) = contents(first, second)? {
            note(kind);
        }
    }
    Ok(())
}

fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn kind(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "directory"
    } else if kind.is_symlink() {
        "link"
    } else {
        "file"
    }
}

/// How the bytes of two files differ.
fn contents(first: &Path, second: &Path) -> io::Result<Option<DifferenceKind>> {
    let Some(place) = first_difference(first, second)? else {
        return Ok(None);
    };
    let sizes = (fs::metadata(first)?.len(), fs::metadata(second)?.len());
    if is_text(first)? && is_text(second)? {
        return Ok(Some(DifferenceKind::Line {
            line: place.line,
            first: excerpt(first, &place)?,
            second: excerpt(second, &place)?,
        }));
    }
    Ok(Some(DifferenceKind::Bytes {
        offset: place.offset,
        first: sizes.0,
        second: sizes.1,
    }))
}

/// Where two files differ first.
struct Place {
    offset: u64,
    /// Counted from one.
    line: u64,
    /// Where that line begins.
    line_start: u64,
}

fn first_difference(first: &Path, second: &Path) -> io::Result<Option<Place>> {
    let mut place = Place {
        offset: 0,
        line: 1,
        line_start: 0,
    };
    let mut one = BufReader::with_capacity(CHUNK, File::open(first)?).bytes();
    let mut other = BufReader::with_capacity(CHUNK, File::open(second)?).bytes();
    loop {
        match (one.next().transpose()?, other.next().transpose()?) {
            (None, None) => return Ok(None),
            (one, other) if one != other => return Ok(Some(place)),
            (byte, _) => {
                place.offset += 1;
                if byte == Some(b'\n') {
                    place.line += 1;
                    place.line_start = place.offset;
                }
            }
        }
    }
}

/// Whether a file begins like a text.
fn is_text(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    File::open(path)?
        .take(CHUNK as u64)
        .read_to_end(&mut beginning)?;
    let control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b);
    if beginning.iter().any(control) {
        return Ok(false);
    }
    Ok(match std::str::from_utf8(&beginning) {
        Ok(_) => true,
        // A character may stand across the end.
        Err(error) => error.error_len().is_none() && beginning.len() == CHUNK,
    })
}

/// A line of a file around the place where it differs.
fn excerpt(path: &Path, place: &Place) -> io::Result<Option<String>> {
    use std::io::{Seek as _, SeekFrom};
    let start = place
        .line_start
        .max(place.offset.saturating_sub(BEFORE as u64));
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut text = Vec::new();
    file.take(EXCERPT as u64).read_to_end(&mut text)?;
    if text.is_empty() {
        return Ok(None);
    }
    let whole = text.len() < EXCERPT || text.contains(&b'\n');
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let before = if start > place.line_start { "…" } else { "" };
    let after = if whole { "" } else { "…" };
    Ok(Some(format!("{before}{}{after}", visible(line))))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn trees() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        for (tree, number) in [(&one, 1), (&other, 2)] {
            fs::create_dir_all(tree.join("same")).expect("create");
            let write = |name: &str, text: String| fs::write(tree.join(name), text).expect("write");
            write("same/file", "text".to_owned());
            write("text", format!("first\nsecond {number}\n"));
            write(
                "long",
                format!("{}{number}{}", "x".repeat(500), "y".repeat(500)),
            );
            write("bytes", format!("\0\0{number}"));
            write("more", "line\n".repeat(number));
            write("run", String::new());
            symlink(format!("target-{number}"), tree.join("link")).expect("link");
            write(&format!("only-{number}"), String::new());
        }
        fs::create_dir(one.join("kind")).expect("create");
        fs::write(other.join("kind"), "").expect("write");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(one.join("run"), mode).expect("chmod");
        (folder, one, other)
    }

    #[test]
    fn every_difference_is_told() {
        let (_folder, one, other) = trees();
        let found = differences(&one, &other).expect("readable");
        let text = serde_json::to_value(&found).expect("JSON");
        let x = "x".repeat(40);
        let y = "y".repeat(79);
        let expected = serde_json::json!([
            {"path": "bytes", "kind": "bytes", "offset": 2, "first": 3, "second": 3},
            {"path": "kind", "kind": "type", "first": "directory", "second": "file"},
            {"path": "link", "kind": "target", "first": "target-1", "second": "target-2"},
            {"path": "long", "kind": "line", "line": 1, "first": format!("…{x}1{y}…"), "second": format!("…{x}2{y}…")},
            {"path": "more", "kind": "line", "line": 2, "first": null, "second": "line"},
            {"path": "only-1", "kind": "onlyFirst"},
            {"path": "only-2", "kind": "onlySecond"},
            {"path": "run", "kind": "executable", "first": true},
            {"path": "text", "kind": "line", "line": 2, "first": "second 1", "second": "second 2"},
        ]);
        assert_eq!(text, expected);
        assert_eq!(differences(&one, &one).expect("readable"), []);
    }

    #[test]
    fn files_are_trees_too() {
        let (_folder, one, other) = trees();
        let found = differences(&one.join("text"), &other.join("text")).expect("readable");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, Path::new(""));
    }
}
