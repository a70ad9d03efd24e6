//! The text of `cognix.lock`.
//!
//! ```text
//! { "config": { "digest": HEX, "request": {…} },          what the lock answers
//!   "excludeNewer": TIME,
//!   "platforms": {
//!     "linux/amd64": {
//!       "debian": { "packages": [ {deb}… ], "releases": [ {release}… ] },
//!       "interpreter": { "debian": NAME } or { "standalone": {archive} },
//!       "python": [ {wheel}… ] } },
//!   "version": 1 }
//! ```
//!
//! Two-space indented JSON with keys and lists in a fixed order and a final newline, so that equal locks are equal
//! bytes and a change is a small diff. The version is looked at first. Unknown keys, duplicates and edges to packages
//! that are not there are refused, because each of them means that the file was not written by this program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cognix_derivations::Sha256;
use serde::{Deserialize, Serialize};
use uv_distribution_filename::WheelFilename;

use super::python::WheelOrigin;
use super::{
    Architecture, DebGroup, DebianLock, Lock, LockRequest, LockedArchive, LockedDeb,
    LockedInterpreter, LockedWheel, PlatformLock, PythonLock, debian, python,
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
        // Ours is indented, so that no line of it begins like the marks between two sides.
        let marks = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];
        let is_mark = |line: &str| marks.iter().any(|mark| line.starts_with(mark));
        if let Some(line) = text.lines().position(is_mark) {
            return Err(LockFileError::MergeMarker { line: line + 1 });
        }
        let VersionShape { version } = serde_json::from_str(text).map_err(syntax)?;
        if version != VERSION {
            return Err(LockFileError::Version { found: version });
        }
        let shape: LockShape = serde_json::from_str(text).map_err(syntax)?;
        shape.check(text)?;
        let lock = shape.into_lock(text)?;
        check_canonical(text, &lock.to_text())?;
        Ok(lock)
    }
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

#[derive(Deserialize)]
struct VersionShape {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LockShape {
    config: ConfigShape,
    exclude_newer: String,
    platforms: BTreeMap<Architecture, PlatformShape>,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlatformShape {
    debian: DebianShape,
    interpreter: InterpreterShape,
    python: Vec<WheelShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum InterpreterShape {
    Debian(String),
    Standalone(ArchiveShape),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchiveShape {
    sha256: Sha256,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    url: String,
    version: String,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<String>,
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
#[serde(deny_unknown_fields)]
struct WheelShape {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<String>,
    name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    omit: Vec<String>,
    requires: Vec<String>,
    sha256: Sha256,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spelling: Option<String>,
    url: String,
    version: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    waived: bool,
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
        if !self
            .platforms
            .keys()
            .eq(self.config.request.platforms.iter())
        {
            return wrong(
                "\"platforms\"",
                "the platforms are not those of the request".to_owned(),
            );
        }
        for platform in self.platforms.values() {
            platform.check(text)?;
        }
        Ok(())
    }

    fn into_lock(self, text: &str) -> Result<Lock, LockFileError> {
        let platforms = self.platforms.into_iter();
        let platforms = platforms
            .map(|(architecture, platform)| Ok((architecture, platform.into_platform(text)?)));
        Ok(Lock {
            request: self.config.request,
            exclude_newer: self.exclude_newer,
            platforms: platforms.collect::<Result<_, _>>()?,
        })
    }
}

impl PlatformShape {
    fn check(&self, text: &str) -> Result<(), LockFileError> {
        let wrong = |name: &str, message: String| {
            Err(LockFileError::Inconsistent {
                line: line_of(text, &format!("\"name\": \"{name}\"")),
                message,
            })
        };
        let debs = self
            .debian
            .packages
            .iter()
            .map(|deb| (deb.name.as_str(), &deb.depends));
        let wheels = self
            .python
            .iter()
            .map(|wheel| (wheel.name.as_str(), &wheel.requires));
        for packages in [debs.collect::<Vec<_>>(), wheels.collect()] {
            let names: BTreeSet<&str> = packages.iter().map(|(name, _)| *name).collect();
            if let Some(pair) = packages.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
                let message = format!("{} stands twice or out of order", pair[1].0);
                return wrong(pair[1].0, message);
            }
            for (name, edges) in &packages {
                let mut edges = edges.iter().map(|edge| split_edge(edge).0);
                if let Some(missing) = edges.find(|edge| !names.contains(edge)) {
                    let message = format!("{name} needs {missing}, which is not in the lock");
                    return wrong(name, message);
                }
            }
        }
        if let InterpreterShape::Debian(package) = &self.interpreter
            && !self.debian.packages.iter().any(|deb| deb.name == *package)
        {
            return Err(LockFileError::Inconsistent {
                line: line_of(text, "\"interpreter\""),
                message: format!("the interpreter {package} is not among the Debian packages"),
            });
        }
        Ok(())
    }

    fn into_platform(self, text: &str) -> Result<PlatformLock, LockFileError> {
        let packages = self.debian.packages.into_iter();
        let packages = packages.map(|deb| deb.into_deb(text));
        let releases = self.debian.releases.into_iter();
        let wheels = self.python.into_iter().map(|wheel| wheel.into_wheel(text));
        Ok(PlatformLock {
            interpreter: self.interpreter.into_interpreter(text)?,
            debian: DebianLock {
                releases: releases.map(ReleaseShape::into_release).collect(),
                packages: packages.collect::<Result<_, _>>()?,
            },
            python: PythonLock {
                packages: wheels.collect::<Result<_, _>>()?,
            },
        })
    }
}

impl From<&PlatformLock> for PlatformShape {
    fn from(platform: &PlatformLock) -> Self {
        let releases = platform.debian.releases.iter();
        Self {
            debian: DebianShape {
                packages: platform
                    .debian
                    .packages
                    .iter()
                    .map(DebShape::from)
                    .collect(),
                releases: releases.map(ReleaseShape::from).collect(),
            },
            interpreter: InterpreterShape::from(&platform.interpreter),
            python: platform
                .python
                .packages
                .iter()
                .map(WheelShape::from)
                .collect(),
        }
    }
}

impl InterpreterShape {
    fn into_interpreter(self, text: &str) -> Result<LockedInterpreter, LockFileError> {
        match self {
            Self::Debian(package) => Ok(LockedInterpreter::Debian { package }),
            Self::Standalone(archive) => {
                let (input, path) = split_mirror_url(&archive.url, text)?;
                Ok(LockedInterpreter::Standalone(LockedArchive {
                    version: archive.version,
                    input,
                    path,
                    sha256: archive.sha256,
                    size: archive.size,
                }))
            }
        }
    }
}

impl From<&LockedInterpreter> for InterpreterShape {
    fn from(interpreter: &LockedInterpreter) -> Self {
        match interpreter {
            LockedInterpreter::Debian { package } => Self::Debian(package.clone()),
            LockedInterpreter::Standalone(archive) => Self::Standalone(ArchiveShape {
                sha256: archive.sha256,
                size: archive.size,
                url: archive.url(),
                version: archive.version.clone(),
            }),
        }
    }
}

impl From<&Lock> for LockShape {
    fn from(lock: &Lock) -> Self {
        Self {
            config: ConfigShape {
                digest: lock.request.digest(),
                request: lock.request.clone(),
            },
            exclude_newer: lock.exclude_newer.clone(),
            platforms: lock
                .platforms
                .iter()
                .map(|(architecture, platform)| (*architecture, PlatformShape::from(platform)))
                .collect(),
            version: VERSION,
        }
    }
}

impl DebShape {
    fn into_deb(self, text: &str) -> Result<LockedDeb, LockFileError> {
        let (input, path) = split_mirror_url(&self.url, text)?;
        let (depends, bounds) = split_edges(self.depends);
        let package = debian::LockedDeb {
            name: self.name,
            version: self.version,
            architecture: self.architecture,
            input,
            path,
            size: self.size,
            sha256: self.sha256,
            depends,
            requested: self.requested,
        };
        Ok(LockedDeb {
            package,
            group: self.group,
            bounds,
            layer: self.layer,
        })
    }
}

impl From<&LockedDeb> for DebShape {
    fn from(deb: &LockedDeb) -> Self {
        Self {
            architecture: deb.architecture.clone(),
            depends: edges(&deb.depends, &deb.bounds, true),
            group: deb.group,
            layer: deb.layer.clone(),
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
        let (origin, filename) = wheel_origin(&self.name, &self.url, text)?;
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
        let (requires, bounds) = split_edges(self.requires);
        let package = python::LockedWheel {
            name: self.name,
            spelling: self.spelling,
            version: self.version,
            filename,
            sha256: self.sha256,
            size: self.size,
            requires,
            origin,
            yanked: self.yanked,
        };
        Ok(LockedWheel {
            package,
            layer: self.layer,
            omit: self.omit,
            bounds,
            waived: self.waived,
        })
    }
}

impl From<&LockedWheel> for WheelShape {
    fn from(wheel: &LockedWheel) -> Self {
        Self {
            layer: wheel.layer.clone(),
            name: wheel.name.clone(),
            omit: wheel.omit.clone(),
            requires: edges(&wheel.requires, &wheel.bounds, false),
            sha256: wheel.sha256,
            size: wheel.size,
            spelling: wheel.spelling.clone(),
            url: wheel.url(),
            version: wheel.version.clone(),
            waived: wheel.waived,
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
    /// Where the file comes from: `mirror://INDEX/NAME/FILE`, `project://PATH`, or the address that was asked for.
    pub fn url(&self) -> String {
        match &self.origin {
            WheelOrigin::Index { input } => {
                format!("mirror://{input}/{}/{}", self.name, self.filename)
            }
            WheelOrigin::Project { path } => format!("{PROJECT}{path}"),
            WheelOrigin::Url { url } => url.clone(),
        }
    }
}

impl LockedArchive {
    /// Where the file comes from, relative to a named input.
    pub fn url(&self) -> String {
        format!("mirror://{}/{}", self.input, self.path)
    }
}

/// Edges as the file has them: each name with what is said about it, `numpy>=1.21` or `libc6 (>= 2.36)`.
fn edges(names: &[String], bounds: &BTreeMap<String, String>, spaced: bool) -> Vec<String> {
    let edge = |name: &String| match bounds.get(name) {
        Some(bound) if spaced || bound.starts_with('@') => format!("{name} {bound}"),
        Some(bound) => format!("{name}{bound}"),
        None => name.clone(),
    };
    names.iter().map(edge).collect()
}

/// A name of an edge, and what follows it.
fn split_edge(edge: &str) -> (&str, &str) {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let (name, bound) = edge.split_at(edge.find(|c| !in_name(c)).unwrap_or(edge.len()));
    (name, bound.trim_start())
}

fn split_edges(edges: Vec<String>) -> (Vec<String>, BTreeMap<String, String>) {
    let split = edges.iter().map(|edge| split_edge(edge));
    let bounds = split.clone().filter(|(_, bound)| !bound.is_empty());
    let bounds = bounds.map(|(name, bound)| (name.to_owned(), bound.to_owned()));
    (
        split.clone().map(|(name, _)| name.to_owned()).collect(),
        bounds.collect(),
    )
}

/// What the address of a file of the project begins with.
const PROJECT: &str = "project://";

/// Where a wheel comes from, and the name of its file.
fn wheel_origin(name: &str, url: &str, text: &str) -> Result<(WheelOrigin, String), LockFileError> {
    let wrong = |message: String| LockFileError::Inconsistent {
        line: line_of(text, url),
        message,
    };
    if let Some(path) = url.strip_prefix(PROJECT) {
        if !is_plain_path(path) {
            return Err(wrong(format!("{url:?} is not below the project")));
        }
        let filename = path.rsplit('/').next().unwrap_or(path).to_owned();
        let path = path.to_owned();
        return Ok((WheelOrigin::Project { path }, filename));
    }
    if url.starts_with("https://") || url.starts_with("http://") {
        let parsed = url::Url::parse(url).map_err(|error| wrong(format!("{url:?}: {error}")))?;
        let last = parsed.path().rsplit('/').next().unwrap_or_default();
        let decoded = percent_encoding::percent_decode_str(last).decode_utf8_lossy();
        let filename = decoded.into_owned();
        let url = url.to_owned();
        return Ok((WheelOrigin::Url { url }, filename));
    }
    // An index of several parts has a name of several parts: `pytorch/cu124`.
    let (input, path) = split_mirror_url(url, text)?;
    let path = format!("{input}/{path}");
    let below = format!("/{name}/");
    let split = path.rsplit_once('/').and_then(|(folder, filename)| {
        let input = format!("{folder}/").strip_suffix(&below)?.to_owned();
        Some((input, filename.to_owned()))
    });
    let (input, filename) =
        split.ok_or_else(|| wrong(format!("the file of {name} is not below its name: {url}")))?;
    Ok((WheelOrigin::Index { input }, filename))
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
