//! Where named package sources are on this machine.
//!
//! A lock names its sources (`mirror://pypi/…`, `mirror://debian/…`, `project://…`) and holds no address. This room knows the addresses:
//! from the command line, from the `url` of an input in `cognix.nix`, from the machine's own settings (pip's and uv's for
//! wheels, uv's for interpreters, apt's for Debian packages), or from a library's default, in this order.
//!
//! Addresses found here are candidates. Whoever fetches from them checks every byte against the lock, so a mirror can
//! fail a build or slow it, never change a result.

pub mod apt_sources;
mod credentials;
pub mod git;
pub mod package_indexes;
pub mod pip_settings;
pub(crate) mod project_folder;
pub mod python_index;
pub mod standalone;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cognix_store::MirrorError;
use cognix_store::fetch::BoxFuture;
use url::Url;

use apt_sources::{AptError, DebianSources, SourceChoice};
use git::{Git, GitAddress};
use package_indexes::{ModelIndexes, PackageIndexes, PackageIndexesError};
use pip_settings::{Machine, shown};
use python_index::PythonIndex;
use standalone::{STANDALONE, StandaloneError, StandaloneSource};

/// Why it is not known where a package source is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorsError {
    /// `--mirror` with something else than `NAME=URL`.
    #[error("--mirror {0:?} is not of the form NAME=URL")]
    Argument(String),
    /// `--mirror` for a source that the model does not have.
    #[error("--mirror names {name:?}, but the package sources are {known}")]
    Unknown {
        /// What was named.
        name: String,
        /// What could be named.
        known: String,
    },
    /// The machine's Python settings cannot be used.
    #[error(transparent)]
    Python(#[from] PackageIndexesError),
    /// The machine's Debian settings cannot be used.
    #[error(transparent)]
    Debian(#[from] AptError),
    /// The machine's settings for standalone interpreters cannot be used.
    #[error(transparent)]
    Standalone(#[from] StandaloneError),
}

/// The package sources of a project on this machine.
pub struct Mirrors {
    /// Addresses by source name, from the command line or else from `cognix.nix`; Python's apart.
    chosen: BTreeMap<String, SourceChoice>,
    indexes: ModelIndexes,
    /// Addresses of Python's sources from the command line.
    arguments: BTreeMap<String, String>,
    cache: PathBuf,
    offline: bool,
    python: OnceLock<PythonIndex>,
    debian: OnceLock<DebianSources>,
    standalone: OnceLock<StandaloneSource>,
}

/// What a project says about its package sources.
#[derive(Debug, Clone, Default)]
pub struct ProjectSources {
    /// The addresses that `cognix.nix` gives to inputs that are no Python package indexes.
    pub inputs: BTreeMap<String, Option<String>>,
    /// The Python package indexes of `cognix.nix` and of the requirement files.
    pub indexes: ModelIndexes,
}

/// Where apt keeps its settings.
const APT: &str = "/etc/apt";

impl Mirrors {
    /// The sources of a project; `arguments` are those of `--mirror`.
    ///
    /// The machine's settings are read when they are first needed: a build that fetches nothing reads none.
    pub fn new(
        sources: ProjectSources,
        arguments: &[String],
        cache: PathBuf,
        offline: bool,
    ) -> Result<Self, MirrorsError> {
        let choice = |(name, input)| {
            let command_line = None;
            (
                name,
                SourceChoice {
                    command_line,
                    input,
                },
            )
        };
        let mut mirrors = Self {
            chosen: sources.inputs.into_iter().map(choice).collect(),
            indexes: sources.indexes,
            arguments: BTreeMap::new(),
            cache,
            offline,
            python: OnceLock::new(),
            debian: OnceLock::new(),
            standalone: OnceLock::new(),
        };
        let python = mirrors.indexes.names();
        for argument in arguments {
            let (name, url) = argument
                .split_once('=')
                .ok_or_else(|| MirrorsError::Argument(argument.clone()))?;
            if let Some(choice) = mirrors.chosen.get_mut(name) {
                choice.command_line = Some(url.to_owned());
            } else if python.contains(name) {
                mirrors.arguments.insert(name.to_owned(), url.to_owned());
            } else {
                let known = mirrors.chosen.into_keys().chain(python);
                let known: BTreeSet<_> = known.collect();
                return Err(MirrorsError::Unknown {
                    name: name.to_owned(),
                    known: known.into_iter().collect::<Vec<_>>().join(", "),
                });
            }
        }
        Ok(mirrors)
    }

    /// The folder for what is downloaded to choose from.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The project's folder, which files of the model's own are in.
    pub fn project(&self) -> &Path {
        &self.indexes.root
    }

    /// Whether nothing may be asked.
    pub fn offline(&self) -> bool {
        self.offline
    }

    /// The Python package indexes.
    pub fn python_indexes(&self) -> Result<PackageIndexes, MirrorsError> {
        let found = PackageIndexes::discover(&self.indexes, &self.arguments, &Machine::current());
        Ok(found?)
    }

    fn python(&self) -> Result<&PythonIndex, MirrorsError> {
        if let Some(python) = self.python.get() {
            return Ok(python);
        }
        let index = PythonIndex::new(self.python_indexes()?, self.python_cache(), self.offline);
        Ok(self.python.get_or_init(|| index))
    }

    /// The names of all files that an index has of a Python project, if this machine knows them.
    pub async fn python_files(&self, index: &str, project: &str) -> Option<Vec<String>> {
        self.python().ok()?.files(index, project).await.ok()
    }

    /// Where the Python resolver keeps index pages.
    pub fn python_cache(&self) -> PathBuf {
        self.cache.join("python")
    }
}

impl Mirrors {
    /// The addresses of the Debian archives.
    pub fn debian_sources(&self) -> Result<&DebianSources, MirrorsError> {
        if let Some(sources) = self.debian.get() {
            return Ok(sources);
        }
        let mut choices = self.chosen.clone();
        choices.remove(STANDALONE);
        let sources = DebianSources::discover(&choices, Path::new(APT))?;
        Ok(self.debian.get_or_init(|| sources))
    }

    /// Where archives of standalone interpreters are.
    pub fn standalone(&self) -> Result<&StandaloneSource, MirrorsError> {
        if let Some(source) = self.standalone.get() {
            return Ok(source);
        }
        let choice = self.chosen.get(STANDALONE).cloned().unwrap_or_default();
        let source = StandaloneSource::discover(&choice, &Machine::current())?;
        Ok(self.standalone.get_or_init(|| source))
    }

    async fn locate(&self, url: &str) -> Result<Vec<Url>, MirrorError> {
        if let Some(path) = url.strip_prefix("project://") {
            return self.locate_file(url, path);
        }
        if let Some(path) = url.strip_prefix(project_folder::FOLDER) {
            return self.locate_folder(url, path);
        }
        if let Some(address) = GitAddress::parse(url) {
            return self.locate_tree(url, address).await;
        }
        let Some(rest) = url.strip_prefix("mirror://") else {
            return self.locate_address(url);
        };
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let not_configured = |error: MirrorsError| MirrorError::NotConfigured {
            mirror: format!("mirror://{name}"),
            advice: error.to_string(),
        };
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| MirrorError::Failed {
            mirror: format!("mirror://{name}"),
            file: path.to_owned(),
            source,
        };
        if name == STANDALONE {
            let source = self.standalone().map_err(not_configured)?;
            return source
                .candidates(path)
                .map_err(|error| failed(error.into()));
        }
        if self.chosen.contains_key(name) {
            let sources = self.debian_sources().map_err(not_configured)?;
            return sources
                .candidates(url)
                .map_err(|error| failed(error.into()));
        }
        // The name of an index may have several parts; project and file are the last two.
        let mut parts = rest.rsplitn(3, '/');
        let (file, project) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let index = parts.next().unwrap_or(name);
        let python = self.python().map_err(not_configured)?;
        let located = python.locate(index, project, file).await;
        located.map_err(|error| failed(error.into()))
    }

    /// A file of the project, which must still be below it when all links are followed.
    fn locate_file(&self, url: &str, path: &str) -> Result<Vec<Url>, MirrorError> {
        let root = self.indexes.root.canonicalize();
        let found = root.and_then(|root| Ok((root.join(path).canonicalize()?, root)));
        match found {
            Ok((file, root)) if file.starts_with(&root) => {
                Ok(Url::from_file_path(file).into_iter().collect())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(MirrorError::Missing {
                    mirror: "the project".to_owned(),
                    file: path.to_owned(),
                })
            }
            found => Err(MirrorError::Invalid {
                url: url.to_owned(),
                reason: match found {
                    Err(error) => error.to_string(),
                    Ok(_) => "it leads out of the project".to_owned(),
                },
            }),
        }
    }

    /// An archive of a folder of the project, made now.
    fn locate_folder(&self, url: &str, path: &str) -> Result<Vec<Url>, MirrorError> {
        let mut made = Vec::new();
        for folder in self.locate_file(url, path)? {
            let folder = folder.to_file_path().unwrap_or_default();
            let place = project_folder::archive(&folder, &self.cache.join("project-folders"));
            let place = place.map_err(|error| MirrorError::Invalid {
                url: url.to_owned(),
                reason: error.to_string(),
            })?;
            made.extend(Url::from_file_path(place));
        }
        Ok(made)
    }

    /// The files of a commit, asked for now where the cache does not have them.
    async fn locate_tree(
        &self,
        url: &str,
        address: Result<GitAddress, String>,
    ) -> Result<Vec<Url>, MirrorError> {
        let address = address.map_err(|reason| MirrorError::Invalid {
            url: url.to_owned(),
            reason,
        })?;
        let git = Git::new(&self.python_cache(), self.offline);
        let found = git.tree(&address.repository, &address.commit).await;
        let (_, archive) = found.map_err(|error| MirrorError::Failed {
            mirror: address.repository.clone(),
            file: format!("the files of its commit {}", address.commit),
            source: Box::new(error),
        })?;
        Ok(Url::from_file_path(archive).into_iter().collect())
    }

    /// A real address, with the credentials that this machine has for it.
    fn locate_address(&self, url: &str) -> Result<Vec<Url>, MirrorError> {
        let mut parsed = Url::parse(url).map_err(|error| MirrorError::Invalid {
            url: url.to_owned(),
            reason: error.to_string(),
        })?;
        let python = self.python().map_err(|error| MirrorError::Invalid {
            url: shown(&parsed),
            reason: error.to_string(),
        })?;
        python.indexes().authorise(&mut parsed);
        Ok(vec![parsed])
    }
}

impl cognix_store::Mirrors for Mirrors {
    fn candidates<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<Url>, MirrorError>> {
        Box::pin(self.locate(url))
    }
}
