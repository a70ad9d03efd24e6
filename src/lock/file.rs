//! The text of `cognix.lock`.
//!
//! ```text
//! { "config":  { "digest": HEX, "request": {…} },          what the lock answers
//!   "debian":  { "packages": [ {deb}… ], "releases": [ {release}… ] },
//!   "python":  { "excludeNewer": TIME, "packages": [ {wheel}… ] },
//!   "version": 1 }
//! ```
//!
//! Two-space indented JSON with keys and lists in a fixed order and a final newline, so that equal locks are equal
//! bytes and a change is a small diff. The version is looked at first. Unknown keys, duplicates and edges to packages
//! that are not there are refused, because each of them means that the file was not written by this program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cognix_derivations::Sha256;
use serde::{Deserialize, Serialize};
use uv_distribution_filename::WheelFilename;

use super::{
    DebGroup, DebianLock, Lock, LockRequest, LockedDeb, LockedWheel, PythonLock, debian, python,
};

/// The name of the file beside `cog.yaml`.
pub const FILE_NAME: &str = "cognix.lock";

const VERSION: u64 = 1;

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
        "{FILE_NAME}: has format version {found}, this cognix reads version {VERSION}; use a newer cognix"
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
        let shape = LockShape::from(self);
        let mut text = serde_json::to_string_pretty(&shape)
            .expect("strings, numbers and lists are always JSON");
        text.push('\n');
        text
    }

    /// Reads the text back; everything that cognix would not write is refused.
    pub fn parse(text: &str) -> Result<Self, LockFileError> {
        if let Some(line) = text
            .lines()
            .position(|line| line.starts_with("<<<<<<<") || line.starts_with(">>>>>>>"))
        {
            return Err(LockFileError::MergeMarker { line: line + 1 });
        }
        let VersionShape { version } = serde_json::from_str(text).map_err(syntax)?;
        if version != VERSION {
            return Err(LockFileError::Version { found: version });
        }
        let shape: LockShape = serde_json::from_str(text).map_err(syntax)?;
        shape.check(text)?;
        shape.into_lock(text)
    }
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

#[derive(Deserialize)]
struct VersionShape {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockShape {
    config: ConfigShape,
    debian: DebianShape,
    python: PythonShape,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigShape {
    digest: Sha256,
    request: LockRequest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DebianShape {
    packages: Vec<DebShape>,
    releases: Vec<ReleaseShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DebShape {
    architecture: String,
    depends: Vec<String>,
    group: DebGroup,
    name: String,
    requested: bool,
    sha256: Sha256,
    size: u64,
    url: String,
    version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ReleaseShape {
    date: String,
    in_release_sha256: Sha256,
    input: String,
    suite: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PythonShape {
    exclude_newer: String,
    packages: Vec<WheelShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WheelShape {
    name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    omit: Vec<String>,
    requires: Vec<String>,
    sha256: Sha256,
    size: u64,
    url: String,
    version: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    yanked: bool,
}

impl LockShape {
    fn check(&self, text: &str) -> Result<(), LockFileError> {
        let wrong = |needle: &str, message: String| {
            Err(LockFileError::Inconsistent {
                line: line_of(text, needle),
                message,
            })
        };
        if self.config.request.digest() != self.config.digest {
            return wrong(
                "\"digest\"",
                "the digest does not fit the request below it: the file was edited".to_owned(),
            );
        }
        let debs = self
            .debian
            .packages
            .iter()
            .map(|deb| (deb.name.as_str(), &deb.depends));
        let wheels = self
            .python
            .packages
            .iter()
            .map(|wheel| (wheel.name.as_str(), &wheel.requires));
        for packages in [debs.collect::<Vec<_>>(), wheels.collect()] {
            let names: BTreeSet<&str> = packages.iter().map(|(name, _)| *name).collect();
            if let Some(pair) = packages.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
                let needle = format!("\"name\": \"{}\"", pair[1].0);
                return wrong(
                    &needle,
                    format!("{} stands twice or out of order", pair[1].0),
                );
            }
            for (name, edges) in &packages {
                if let Some(missing) = edges.iter().find(|edge| !names.contains(edge.as_str())) {
                    let needle = format!("\"name\": \"{name}\"");
                    return wrong(
                        &needle,
                        format!("{name} needs {missing}, which is not in the lock"),
                    );
                }
            }
        }
        Ok(())
    }

    fn into_lock(self, text: &str) -> Result<Lock, LockFileError> {
        let packages = self
            .debian
            .packages
            .into_iter()
            .map(|deb| deb.into_deb(text))
            .collect::<Result<_, _>>()?;
        let releases = self
            .debian
            .releases
            .into_iter()
            .map(ReleaseShape::into_release)
            .collect();
        let wheels = self
            .python
            .packages
            .into_iter()
            .map(|wheel| wheel.into_wheel(text))
            .collect::<Result<_, _>>()?;
        Ok(Lock {
            request: self.config.request,
            debian: DebianLock { releases, packages },
            python: PythonLock {
                exclude_newer: self.python.exclude_newer,
                packages: wheels,
            },
        })
    }
}

impl From<&Lock> for LockShape {
    fn from(lock: &Lock) -> Self {
        Self {
            config: ConfigShape {
                digest: lock.request.digest(),
                request: lock.request.clone(),
            },
            debian: DebianShape {
                packages: lock.debian.packages.iter().map(DebShape::from).collect(),
                releases: lock
                    .debian
                    .releases
                    .iter()
                    .map(ReleaseShape::from)
                    .collect(),
            },
            python: PythonShape {
                exclude_newer: lock.python.exclude_newer.clone(),
                packages: lock.python.packages.iter().map(WheelShape::from).collect(),
            },
            version: VERSION,
        }
    }
}

impl DebShape {
    fn into_deb(self, text: &str) -> Result<LockedDeb, LockFileError> {
        let (input, path) = split_mirror_url(&self.url, text)?;
        let package = debian::LockedDeb {
            name: self.name,
            version: self.version,
            architecture: self.architecture,
            input,
            path,
            size: self.size,
            sha256: self.sha256,
            depends: self.depends,
            requested: self.requested,
        };
        Ok(LockedDeb {
            package,
            group: self.group,
        })
    }
}

impl From<&LockedDeb> for DebShape {
    fn from(deb: &LockedDeb) -> Self {
        Self {
            architecture: deb.architecture.clone(),
            depends: deb.depends.clone(),
            group: deb.group,
            name: deb.name.clone(),
            requested: deb.requested,
            sha256: deb.sha256,
            size: deb.size,
            url: deb.url(),
            version: deb.version.clone(),
        }
    }
}

impl ReleaseShape {
    fn into_release(self) -> debian::LockedRelease {
        let Self {
            date,
            in_release_sha256,
            input,
            suite,
        } = self;
        debian::LockedRelease {
            input,
            suite,
            in_release_sha256,
            date,
        }
    }
}

impl From<&debian::LockedRelease> for ReleaseShape {
    fn from(release: &debian::LockedRelease) -> Self {
        Self {
            date: release.date.clone(),
            in_release_sha256: release.in_release_sha256,
            input: release.input.clone(),
            suite: release.suite.clone(),
        }
    }
}

impl WheelShape {
    fn into_wheel(self, text: &str) -> Result<LockedWheel, LockFileError> {
        let (index, path) = split_mirror_url(&self.url, text)?;
        let Some(filename) = path
            .strip_prefix(&format!("{}/", self.name))
            .map(str::to_owned)
        else {
            let message = format!(
                "the file of {} is not below its name: {}",
                self.name, self.url
            );
            return Err(LockFileError::Inconsistent {
                line: line_of(text, &self.url),
                message,
            });
        };
        let named = WheelFilename::from_str(&filename).ok();
        if !named.is_some_and(|named| {
            named.name.as_str() == self.name && named.version.to_string() == self.version
        }) {
            let message = format!("{filename} is not {} {}", self.name, self.version);
            return Err(LockFileError::Inconsistent {
                line: line_of(text, &self.url),
                message,
            });
        }
        let package = python::LockedWheel {
            name: self.name,
            version: self.version,
            filename,
            sha256: self.sha256,
            size: self.size,
            requires: self.requires,
            index,
            yanked: self.yanked,
        };
        Ok(LockedWheel {
            package,
            omit: self.omit,
        })
    }
}

impl From<&LockedWheel> for WheelShape {
    fn from(wheel: &LockedWheel) -> Self {
        Self {
            name: wheel.name.clone(),
            omit: wheel.omit.clone(),
            requires: wheel.requires.clone(),
            sha256: wheel.sha256,
            size: wheel.size,
            url: wheel.url(),
            version: wheel.version.clone(),
            yanked: wheel.yanked,
        }
    }
}

impl LockedDeb {
    /// Where the file comes from, relative to a named input.
    pub fn url(&self) -> String {
        format!("mirror://{}/{}", self.input, self.path)
    }

    /// The last part of the path: the file's name in the archive.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl LockedWheel {
    /// Where the file comes from, relative to a named input.
    pub fn url(&self) -> String {
        format!("mirror://{}/{}/{}", self.index, self.name, self.filename)
    }
}

/// Splits `mirror://INPUT/PATH`; the path must stay below the input.
fn split_mirror_url(url: &str, text: &str) -> Result<(String, String), LockFileError> {
    let split = url
        .strip_prefix("mirror://")
        .and_then(|rest| rest.split_once('/'));
    let (input, path) = split
        .filter(|(input, path)| !input.is_empty() && is_plain_path(path))
        .ok_or_else(|| {
            let message = format!("{url:?} is not of the form mirror://INPUT/PATH");
            LockFileError::Inconsistent {
                line: line_of(text, url),
                message,
            }
        })?;
    Ok((input.to_owned(), path.to_owned()))
}

fn is_plain_path(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(char::is_control)
}

fn line_of(text: &str, needle: &str) -> usize {
    text.lines()
        .position(|line| line.contains(needle))
        .map_or(1, |index| index + 1)
}
