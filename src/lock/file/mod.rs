//! The text of `cognix.lock`.
//!
//! ```text
//! { "debian": [ {deb}… ],                               every .deb once, whichever images have it
//!   "excludeNewer": TIME,
//!   "inputs": { NAME: {file, image, path or other name} },
//!   "python": [ {wheel}… ],                             every wheel once
//!   "variants": {
//!     "default": {
//!       "config": { "digest": HEX, "request": {…} },    what the variant's part answers
//!       "platforms": {
//!         "linux/amd64": {
//!           "build": {debian},                         what sources are built with; version 3
//!           "debian": { "packages": { GROUP: [ FILE… ] }, "releases": [ {release}… ] },
//!           "interpreter": { "debian": NAME } or { "standalone": {archive} },
//!           "python": [ FILE… ] } },
//!       "runs": { DERIVATION: HEX } } },                what commands made with a network; version 3
//!   "version": 2 }
//! ```
//!
//! A variant names packages by their files ([`references`]), and says beside the name what holds there alone: the layer,
//! paths left out, further dependencies. Version 1 had one image and its packages in place of the names; it is still read,
//! as the variant `default`. Version 3 is version 2 with `runs` or with packages
//! that are built from source (`build`), and only a lock that has some is written as such; some of version 2 have the latter.
//!
//! Two-space indented JSON with keys and lists in a fixed order and a final newline, so that equal locks are equal
//! bytes and a change is a small diff. The version is looked at first. Unknown keys, duplicates and edges to packages
//! that are not there are refused, because each of them means that the file was not written by this program.

mod entries;
mod places;
mod references;
mod shapes;
#[cfg(test)]
mod tests;
mod version_1;

use std::path::{Path, PathBuf};

use super::Lock;
use shapes::{LockShape, VersionShape};

/// The name of the file beside `cog.yaml`.
pub const FILE_NAME: &str = "cognix.lock";

/// The newest version: that of locks that record what commands made, or packages that are built from source.
const VERSION: u64 = 3;
/// The version of all other locks, which is the same without either.
const PLAIN: u64 = 2;

/// Why a `cognix.lock` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockFileError {
    /// The file is there but cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A newer cognix wrote it.
    #[error(
        "{FILE_NAME}: has format version {found}, this cognix reads versions up to {VERSION}; use a newer cognix"
    )]
    Version {
        /// The version in the file.
        found: u64,
    },
    /// A merge of two branches was not finished.
    #[error(
        "{FILE_NAME}:{line}: holds a merge conflict marker; choose one side or delete the file and lock again"
    )]
    MergeMarker {
        /// One-based.
        line: usize,
    },
    /// Not the JSON that cognix writes.
    #[error("{FILE_NAME}:{line}:{column}: {message}; delete the file and run `cognix lock`")]
    Syntax {
        /// One-based.
        line: usize,
        /// One-based.
        column: usize,
        /// What was expected.
        message: String,
    },
    /// JSON of the right shape that contradicts itself.
    #[error("{FILE_NAME}:{line}: {message}; delete the file and run `cognix lock`")]
    Inconsistent {
        /// One-based.
        line: usize,
        /// What contradicts what.
        message: String,
    },
}

impl Lock {
    /// Reads the lock of a project; `None` when there is none.
    pub fn read(project: &Path) -> Result<Option<Self>, LockFileError> {
        let path = project.join(FILE_NAME);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LockFileError::Io {
                action: "read",
                path,
                source,
            }),
        }
    }

    /// Writes the lock beside `cog.yaml`, whole or not at all.
    pub fn write(&self, project: &Path) -> Result<(), LockFileError> {
        let path = project.join(FILE_NAME);
        let io = |source| LockFileError::Io {
            action: "write",
            path: path.clone(),
            source,
        };
        let mut temporary = tempfile::Builder::new()
            .prefix(".cognix.lock.")
            .tempfile_in(project)
            .map_err(io)?;
        std::io::Write::write_all(&mut temporary, self.to_text().as_bytes()).map_err(io)?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        temporary.as_file().set_permissions(readable).map_err(io)?;
        temporary.as_file().sync_all().map_err(io)?;
        temporary.persist(&path).map_err(|error| io(error.error))?;
        std::fs::File::open(project)
            .and_then(|folder| folder.sync_all())
            .map_err(io)
    }

    /// The canonical text.
    pub fn to_text(&self) -> String {
        to_text(&LockShape::from(self))
    }

    /// Reads the text back; everything that cognix would not write is refused.
    pub fn parse(text: &str) -> Result<Self, LockFileError> {
        // Ours is indented, so that no line of it begins like the marks between two sides.
        let marks = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];
        let is_mark = |line: &str| marks.iter().any(|mark| line.starts_with(mark));
        if let Some(line) = text.lines().position(is_mark) {
            return Err(LockFileError::MergeMarker { line: line + 1 });
        }
        let VersionShape { version } = serde_json::from_str(text).map_err(syntax)?;
        match version {
            1 => version_1::parse(text),
            PLAIN | VERSION => {
                let shape: LockShape = serde_json::from_str(text).map_err(syntax)?;
                let lock = shape.into_lock(text)?;
                let mut canonical = LockShape::from(&lock);
                if version == PLAIN && shapes::may_be_plain(&lock) {
                    canonical.version = PLAIN;
                }
                check_canonical(text, &to_text(&canonical))?;
                Ok(lock)
            }
            found => Err(LockFileError::Version { found }),
        }
    }
}

fn to_text(shape: &LockShape) -> String {
    let mut text =
        serde_json::to_string_pretty(shape).expect("strings, numbers and lists are always JSON");
    text.push('\n');
    text
}

/// Refuses what means a lock and is not the text of one: a key twice, another order, or line ends that a version control
/// system has changed.
fn check_canonical(text: &str, canonical: &str) -> Result<(), LockFileError> {
    if text == canonical {
        return Ok(());
    }
    let lines = text.split('\n').zip(canonical.split('\n'));
    let same = lines.take_while(|(one, other)| one == other).count();
    Err(LockFileError::Inconsistent {
        line: same + 1,
        message: "is not as cognix writes it".to_owned(),
    })
}

fn syntax(error: serde_json::Error) -> LockFileError {
    let message = error.to_string();
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(message, _)| message)
        .to_owned();
    LockFileError::Syntax {
        line: error.line(),
        column: error.column(),
        message,
    }
}
