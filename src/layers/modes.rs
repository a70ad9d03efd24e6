//! What a store tree cannot hold: special modes and owners, as `modes.json` beside it.
//!
//! The store keeps one execute bit per file and nothing else, so a package that ships a setuid program, a sticky
//! directory or a file of group `shadow` records that here, and the layer step applies it. Only deviations are written:
//! what is 0755 or 0644 by the store's execute bit, a directory 0755, and owned by 0:0, has no entry.
//!
//! Policy: everything recorded is applied as it stands, setuid included, because an image made of Debian packages has
//! these modes when Docker builds it too. The text is canonical, since it is part of a derivation's output:
//!
//! ```json
//! {"entries":{"tmp":{"gid":0,"mode":"1777","uid":0}},"version":1}
//! ```
//!
//! with a line feed at the end. Paths are relative to the tree the record lies beside.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::path::ImagePath;

const VERSION: u64 = 1;
/// The name of the record in a package's `control` output.
pub const MODES_FILE: &str = "modes.json";
/// The largest owner that seven octal digits of a tar header hold.
const OWNER_MAX: u32 = 0o7_777_777;

/// Twelve permission bits, written as four octal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(u16);

impl Mode {
    /// A directory that nothing is recorded about, and a file with an execute bit.
    pub const EXECUTABLE: Self = Self(0o755);
    /// A file without an execute bit that nothing is recorded about.
    pub const PLAIN: Self = Self(0o644);
    /// A symbolic link; nobody looks at it.
    pub const LINK: Self = Self(0o777);

    /// The permission bits of a number as `stat` or a tar header gives it, whose type bits have to be gone already.
    pub fn new(bits: u32) -> Option<Self> {
        u16::try_from(bits)
            .ok()
            .filter(|bits| *bits <= 0o7777)
            .map(Self)
    }

    /// The number as a tar header holds it.
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }

    /// What a file of the store gets without a record.
    pub fn of_file(executable: bool) -> Self {
        if executable {
            Self::EXECUTABLE
        } else {
            Self::PLAIN
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04o}", self.0)
    }
}

impl FromStr for Mode {
    type Err = ModesError;

    /// Exactly four octal digits, so that one mode has one text.
    fn from_str(text: &str) -> Result<Self, ModesError> {
        let digits = text.len() == 4 && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let bits = digits.then(|| u16::from_str_radix(text, 8).ok()).flatten();
        bits.map(Self).ok_or_else(|| ModesError::Mode {
            found: text.chars().take(80).collect(),
        })
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Mode and owner of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Group number.
    pub gid: u32,
    /// Permission bits.
    pub mode: Mode,
    /// User number.
    pub uid: u32,
}

impl Recorded {
    /// Owned by root, as nearly everything.
    pub fn root(mode: Mode) -> Self {
        Self {
            gid: 0,
            mode,
            uid: 0,
        }
    }
}

/// What a path is, which decides what its ordinary mode would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedKind {
    /// Ordinarily 0755.
    Directory,
    /// Ordinarily 0755 or 0644; the store keeps the owner's execute bit.
    File,
    /// Its mode is never recorded, its owner may be.
    Symlink,
}

/// Deviations of one package's tree, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModesRecord {
    entries: BTreeMap<ImagePath, Recorded>,
}

/// A record that cannot be read, or a mode that cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum ModesError {
    /// Made by a newer cognix, or no record at all.
    #[error(
        "modes record has version {found}, this cognix reads version {VERSION}; a newer cognix is needed"
    )]
    Version {
        /// The version it says it has.
        found: u64,
    },
    /// Not a record, or damaged.
    #[error("modes record is not valid JSON of version {VERSION}")]
    Json(#[source] serde_json::Error),
    /// The values are fine, but not in the one spelling that is written.
    #[error("modes record is not canonical: sorted keys, no blanks, a line feed at the end")]
    NotCanonical,
    /// A mode that is not four octal digits, or has more than the twelve permission bits.
    #[error("mode {found:?} is not four octal digits")]
    Mode {
        /// What stands in its place.
        found: String,
    },
    /// A number that a tar header's field cannot hold.
    #[error("owner {uid}:{gid} of {path} is larger than {OWNER_MAX}")]
    Owner {
        /// The path it belongs to.
        path: ImagePath,
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

impl ModesRecord {
    /// An empty record: everything is ordinary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes deviations that were found; an owner that no layer can have is refused.
    pub fn of(entries: BTreeMap<ImagePath, Recorded>) -> Result<Self, ModesError> {
        let large = entries
            .iter()
            .find(|(_, at)| at.uid > OWNER_MAX || at.gid > OWNER_MAX);
        match large {
            None => Ok(Self { entries }),
            Some((path, Recorded { uid, gid, .. })) => Err(ModesError::Owner {
                path: path.clone(),
                uid: *uid,
                gid: *gid,
            }),
        }
    }

    /// Notes mode and owner of a path as a package ships them; ordinary ones leave no trace.
    ///
    /// `mode` is the header's number without its type bits. The first record of a path stays.
    pub fn record(
        &mut self,
        path: ImagePath,
        kind: RecordedKind,
        mode: u32,
        uid: u32,
        gid: u32,
    ) -> Result<(), ModesError> {
        let mode = Mode::new(mode).ok_or_else(|| ModesError::Mode {
            found: format!("{mode:o}"),
        })?;
        if uid > OWNER_MAX || gid > OWNER_MAX {
            return Err(ModesError::Owner { path, uid, gid });
        }
        let (mode, ordinary) = match kind {
            RecordedKind::Directory => (mode, mode == Mode::EXECUTABLE),
            RecordedKind::File => (mode, mode == Mode::EXECUTABLE || mode == Mode::PLAIN),
            RecordedKind::Symlink => (Mode::LINK, true),
        };
        if !ordinary || uid != 0 || gid != 0 {
            self.entries
                .entry(path)
                .or_insert(Recorded { gid, mode, uid });
        }
        Ok(())
    }

    /// What is recorded about a path.
    pub fn get(&self, path: &str) -> Option<Recorded> {
        self.entries.get(path).copied()
    }

    /// Every deviation, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&ImagePath, Recorded)> {
        self.entries
            .iter()
            .map(|(path, recorded)| (path, *recorded))
    }

    /// Whether everything is ordinary.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads the text of [`MODES_FILE`], which has to be canonical.
    pub fn parse(text: &[u8]) -> Result<Self, ModesError> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let Version { version } = serde_json::from_slice(text).map_err(ModesError::Json)?;
        if version != VERSION {
            return Err(ModesError::Version { found: version });
        }
        let File { entries, .. } = serde_json::from_slice(text).map_err(ModesError::Json)?;
        let record = Self::of(entries)?;
        if record.to_json() == text {
            Ok(record)
        } else {
            Err(ModesError::NotCanonical)
        }
    }

    /// The canonical text, with a line feed at the end.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Borrowed<'a> {
            entries: &'a BTreeMap<ImagePath, Recorded>,
            version: u64,
        }
        let mut text = serde_json::to_vec(&Borrowed {
            entries: &self.entries,
            version: VERSION,
        })
        .expect("texts and numbers always have a JSON form");
        text.push(b'\n');
        text
    }
}

/// The file's shape; fields in the order of their names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    entries: BTreeMap<ImagePath, Recorded>,
    #[expect(dead_code, reason = "checked before the rest is read")]
    version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TMP_AND_SHADOW: &str = concat!(
        r#"{"entries":{"etc/shadow":{"gid":42,"mode":"0640","uid":0},"tmp":{"gid":0,"mode":"1777","uid":0}},"version":1}"#,
        "\n"
    );

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text).expect("a plain path")
    }

    #[test]
    fn deb_6_keeps_deviations_only() {
        let mut record = ModesRecord::new();
        for (at, kind, mode, uid, gid) in [
            ("tmp", RecordedKind::Directory, 0o1777, 0, 0),
            ("etc", RecordedKind::Directory, 0o755, 0, 0),
            ("etc/shadow", RecordedKind::File, 0o640, 0, 42),
            ("etc/passwd", RecordedKind::File, 0o644, 0, 0),
            ("bin/ls", RecordedKind::File, 0o755, 0, 0),
            ("bin/sh", RecordedKind::Symlink, 0o755, 0, 0),
        ] {
            record
                .record(path(at), kind, mode, uid, gid)
                .expect("modes that Debian ships");
        }
        assert_eq!(
            String::from_utf8(record.to_json()).expect("JSON is text"),
            TMP_AND_SHADOW
        );
        assert_eq!(
            ModesRecord::parse(TMP_AND_SHADOW.as_bytes()).expect("what was just written"),
            record
        );
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        for (text, message) in [
            (r#"{"version":2,"surprise":true}"#, "version 2"),
            (r#"{"entries":{},"version":1}"#, "canonical"),
            ("{\"entries\":{},\"extra\":0,\"version\":1}\n", "not valid"),
            (
                "{\"entries\":{\"/tmp\":{\"gid\":0,\"mode\":\"1777\",\"uid\":0}},\"version\":1}\n",
                "not valid",
            ),
            (
                "{\"entries\":{\"tmp\":{\"gid\":0,\"mode\":\"17777\",\"uid\":0}},\"version\":1}\n",
                "not valid",
            ),
            (
                "{\"entries\":{\"tmp\":{\"gid\":9999999,\"mode\":\"1777\",\"uid\":0}},\"version\":1}\n",
                "larger",
            ),
            ("", "not valid"),
        ] {
            let error = ModesRecord::parse(text.as_bytes()).expect_err(text);
            assert!(error.to_string().contains(message), "{text}: {error}");
        }
        assert!(
            ModesRecord::new()
                .record(path("a"), RecordedKind::File, 0o100_644, 0, 0)
                .is_err()
        );
    }

    #[test]
    fn the_first_record_of_a_path_stays() {
        let mut record = ModesRecord::new();
        record
            .record(path("var/mail"), RecordedKind::Directory, 0o2775, 0, 8)
            .expect("a mode");
        record
            .record(path("var/mail"), RecordedKind::Directory, 0o700, 0, 0)
            .expect("a mode");
        assert_eq!(
            record.get("var/mail").map(|at| (at.mode.bits(), at.gid)),
            Some((0o2775, 8))
        );
    }
}
