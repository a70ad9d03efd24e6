//! Tells the formats apart and gives every reader the same face: text in, entries for one environment out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use cognix_derivations::Sha256;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use uv_normalize::PackageName;
use uv_pep440::{Version, VersionSpecifiers};
use uv_pep508::{MarkerEnvironment, MarkerTree};

use super::{ExchangeError, poetry, pylock, uv_lock};
use crate::lock::PinnedVersions;

/// The largest lock that is read.
const MAX_BYTES: u64 = 64 << 20;

/// A lock of another tool, read and understood.
#[derive(Debug)]
pub struct ForeignLock {
    file: String,
    document: Document,
}

#[derive(Debug)]
enum Document {
    Pylock(pylock::Document),
    Uv(uv_lock::Document),
    Poetry(poetry::Document),
}

/// One package as a foreign lock has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) version: Option<Version>,
    /// One-based.
    pub(super) line: u32,
    pub(super) origin: Origin,
    /// The commit of a repository, as a requirement names it: `git+https://host/repository@COMMIT`.
    pub(super) commit: Option<String>,
    /// Empty when the lock gives no hashes.
    pub(super) files: Vec<EntryFile>,
}

impl Entry {
    /// `NAME==VERSION`, or the name and the commit.
    fn pin(&self) -> String {
        match (&self.commit, &self.version) {
            (Some(commit), _) => format!("{} @ {commit}", self.name),
            (None, Some(version)) => format!("{}=={version}", self.name),
            (None, None) => self.name.clone(),
        }
    }
}

/// A marker in words; empty where there is none.
pub(super) fn condition(marker: &MarkerTree) -> String {
    marker
        .contents()
        .map(|marker| marker.to_string())
        .unwrap_or_default()
}

/// A commit of a repository as a requirement names it.
pub(super) fn commit(address: &str, commit: &str, subdirectory: Option<&str>) -> String {
    let address = match address.starts_with("git+") {
        true => address.to_owned(),
        false => format!("git+{address}"),
    };
    match subdirectory {
        Some(folder) => format!("{address}@{commit}#subdirectory={folder}"),
        None => format!("{address}@{commit}"),
    }
}

/// Where a foreign lock has a package from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A release of a package index, or a file behind an address.
    Release,
    /// A repository, a folder or the project itself: no release says the same.
    Elsewhere(&'static str),
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryFile {
    pub(super) name: Option<String>,
    pub(super) sha256: Sha256,
}

impl ForeignLock {
    /// Reads a lock; which tool wrote it is seen from what it holds, not from its name.
    pub fn read(path: &Path) -> Result<Self, ExchangeError> {
        Self::read_as(&path.display().to_string(), path)
    }

    /// The same under another name for messages.
    pub fn read_as(file: &str, path: &Path) -> Result<Self, ExchangeError> {
        let io = |source| ExchangeError::Io {
            path: path.to_owned(),
            source,
        };
        let size = std::fs::metadata(path).map_err(io)?.len();
        if size > MAX_BYTES {
            let reason = format!("it has {size} bytes, more than the {MAX_BYTES} that are read");
            return Err(io(std::io::Error::other(reason)));
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        Self::parse(file, &text)
    }

    /// Understands the text of a lock; `file` is its name in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, ExchangeError> {
        let source = Source { file, text };
        let probe: Probe = source.toml()?;
        let document = match probe {
            Probe {
                lock_version: Some(_),
                ..
            } => Document::Pylock(pylock::Document::parse(source)?),
            Probe {
                metadata:
                    Some(ProbeMetadata {
                        lock_version: Some(_),
                    }),
                ..
            } => Document::Poetry(poetry::Document::parse(source)?),
            Probe {
                version: Some(_),
                revision,
                requires_python,
                ..
            } if revision.is_some() || requires_python.is_some() => {
                Document::Uv(uv_lock::Document::parse(source)?)
            }
            _ => {
                let file = file.to_owned();
                return Err(ExchangeError::UnknownFormat { file });
            }
        };
        Ok(Self {
            file: file.to_owned(),
            document,
        })
    }

    /// The name that messages give the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The command that brings the lock up to date.
    pub fn command(&self) -> &'static str {
        match &self.document {
            Document::Pylock(_) => "the tool that wrote it",
            Document::Uv(_) => "`uv lock`",
            Document::Poetry(_) => "`poetry lock`",
        }
    }

    /// Everything that the lock may hold a model to, for a request: versions, and a digest of what else decides.
    pub fn pinned(&self) -> PinnedVersions {
        let (entries, conditions) = self.everything();
        let versions: BTreeSet<String> = entries.iter().map(|entry| entry.pin()).collect();
        let files = entries.iter().flat_map(|entry| {
            let files = entry.files.iter();
            files.map(|file| {
                format!(
                    "{} {} {}",
                    entry.pin(),
                    file.name.as_deref().unwrap_or_default(),
                    file.sha256
                )
            })
        });
        let said: BTreeSet<String> = files.chain(conditions).collect();
        let said: Vec<String> = said.into_iter().collect();
        PinnedVersions {
            file: self.file.clone(),
            sha256: Sha256::of(said.join("\n").as_bytes()),
            versions: versions.into_iter().collect(),
        }
    }

    /// The commits of packages that the lock has from repositories, as requirements name them.
    pub fn commits(&self) -> BTreeMap<String, String> {
        let (entries, _) = self.everything();
        let commits = entries.into_iter();
        commits
            .filter_map(|entry| Some((entry.name.clone(), entry.commit.clone()?)))
            .collect()
    }

    /// Every package that some environment may need, and the conditions between them.
    fn everything(&self) -> (Vec<&Entry>, Vec<String>) {
        match &self.document {
            Document::Pylock(document) => document.everything(),
            Document::Uv(document) => document.everything(),
            Document::Poetry(document) => document.everything(),
        }
    }

    /// What the lock holds for one environment.
    pub(super) fn entries(
        &self,
        environment: &MarkerEnvironment,
    ) -> Result<Vec<Entry>, ExchangeError> {
        match &self.document {
            Document::Pylock(document) => document.entries(&self.file, environment),
            Document::Uv(document) => document.entries(&self.file, environment),
            Document::Poetry(document) => document.entries(&self.file, environment),
        }
    }
}

/// Just enough to tell the formats apart.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Probe {
    lock_version: Option<toml::Value>,
    version: Option<toml::Value>,
    revision: Option<toml::Value>,
    requires_python: Option<toml::Value>,
    metadata: Option<ProbeMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ProbeMetadata {
    lock_version: Option<toml::Value>,
}

/// A text under its name, for values with lines.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// Reads TOML of a shape.
    pub(super) fn toml<T: DeserializeOwned>(self) -> Result<T, ExchangeError> {
        toml::from_str(self.text).map_err(|error| {
            let (line, column) = self.place(error.span().map_or(0, |span| span.start));
            ExchangeError::Syntax {
                file: self.file.to_owned(),
                line,
                column,
                message: error.message().replace('\n', " "),
            }
        })
    }

    /// The line of a value.
    pub(super) fn line<T>(self, value: &Spanned<T>) -> u32 {
        self.place(value.span().start).0
    }

    fn place(self, offset: usize) -> (u32, u32) {
        let position = crate::config::Position::of_offset(self.text, offset);
        (position.line, position.column)
    }

    /// A complaint about a value.
    pub(super) fn wrong(self, line: u32, what: String) -> ExchangeError {
        let file = self.file.to_owned();
        ExchangeError::Value { file, line, what }
    }

    /// A package's name, normalised.
    pub(super) fn name(self, name: &Spanned<String>) -> Result<String, ExchangeError> {
        let parsed = PackageName::from_str(name.get_ref());
        parsed
            .map(|name| name.to_string())
            .map_err(|error| self.wrong(self.line(name), error.to_string()))
    }

    /// A version.
    pub(super) fn version(self, line: u32, version: &str) -> Result<Version, ExchangeError> {
        Version::from_str(version).map_err(|error| self.wrong(line, error.to_string()))
    }

    /// A list of version specifiers.
    pub(super) fn specifiers(
        self,
        line: u32,
        text: &str,
    ) -> Result<VersionSpecifiers, ExchangeError> {
        VersionSpecifiers::from_str(text).map_err(|error| {
            let reason = error.to_string();
            self.wrong(line, reason.lines().next().unwrap_or_default().to_owned())
        })
    }

    /// A condition on the environment.
    pub(super) fn marker(self, line: u32, text: &str) -> Result<MarkerTree, ExchangeError> {
        MarkerTree::from_str(text)
            .map_err(|error| self.wrong(line, format!("{text:?} is no marker: {}", error.message)))
    }

    /// One file of a package with its hashes; `None` when there is no hash at all.
    pub(super) fn file<'h>(
        self,
        line: u32,
        package: &str,
        name: Option<String>,
        hashes: impl Iterator<Item = (&'h str, &'h str)>,
    ) -> Result<Option<EntryFile>, ExchangeError> {
        let mut others = Vec::new();
        for (algorithm, digest) in hashes {
            if !algorithm.eq_ignore_ascii_case("sha256") {
                others.push(algorithm.to_owned());
                continue;
            }
            let sha256 = Some(digest.to_ascii_lowercase())
                .filter(|digest| digest.len() == 64)
                .and_then(|digest| digest.parse().ok());
            let Some(sha256) = sha256 else {
                return Err(self.wrong(line, format!("{digest:?} is not a SHA-256 in hexadecimal")));
            };
            return Ok(Some(EntryFile { name, sha256 }));
        }
        if others.is_empty() {
            return Ok(None);
        }
        Err(ExchangeError::WeakHash {
            file: self.file.to_owned(),
            line,
            package: package.to_owned(),
            name: name.unwrap_or_else(|| "a file".to_owned()),
            algorithms: others.join(", "),
        })
    }
}

/// Splits `sha256:HEX`.
pub(super) fn prefixed(hash: &str) -> (&str, &str) {
    hash.split_once(':').unwrap_or(("", hash))
}

/// The last part of an address or a path.
pub(super) fn file_name(address: &str) -> Option<String> {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    // The only character of a wheel's name that addresses escape is the plus of a local version.
    Some(name.replace("%2B", "+").replace("%2b", "+"))
}

/// An environment in words.
pub(super) fn platform(environment: &MarkerEnvironment) -> String {
    format!(
        "Python {} on {} {}",
        environment.python_full_version(),
        environment.platform_machine(),
        environment.sys_platform()
    )
}
