//! Where named package sources are on this machine.
//!
//! A lock names its sources (`mirror://pypi/…`, `mirror://debian/…`) and holds no address. This room knows the addresses:
//! from the command line, from the `url` of an input in `cognix.nix`, from the machine's own settings (pip's and uv's for
//! wheels, uv's for interpreters, apt's for Debian packages), or from a library's default, in this order.
//!
//! Addresses found here are candidates. Whoever fetches from them checks every byte against the lock, so a mirror can
//! fail a build or slow it, never change a result.

pub mod apt_sources;
pub mod pip_settings;
pub mod python_index;
pub mod standalone;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cognix_store::MirrorError;
use cognix_store::fetch::BoxFuture;
use url::Url;

use apt_sources::{AptError, DebianSources, SourceChoice};
use pip_settings::{IndexChoice, Machine, PackageIndexes, PipSettingsError};
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
    Python(#[from] PipSettingsError),
    /// The machine's Debian settings cannot be used.
    #[error(transparent)]
    Debian(#[from] AptError),
    /// The machine's settings for standalone interpreters cannot be used.
    #[error(transparent)]
    Standalone(#[from] StandaloneError),
}

/// The package sources of a project on this machine.
pub struct Mirrors {
    /// Addresses by source name, from the command line or else from `cognix.nix`.
    chosen: BTreeMap<String, SourceChoice>,
    cache: PathBuf,
    offline: bool,
    python: OnceLock<PythonIndex>,
    debian: OnceLock<DebianSources>,
    standalone: OnceLock<StandaloneSource>,
}

/// The name of the Python package index.
const PYTHON: &str = "pypi";

/// Where apt keeps its settings.
const APT: &str = "/etc/apt";

impl Mirrors {
    /// The sources with these names; `inputs` holds the addresses that `cognix.nix` gives, `arguments` those of `--mirror`.
    ///
    /// The machine's settings are read when they are first needed: a build that fetches nothing reads none.
    pub fn new(
        inputs: BTreeMap<String, Option<String>>,
        arguments: &[String],
        cache: PathBuf,
        offline: bool,
    ) -> Result<Self, MirrorsError> {
        let address = |(name, input)| {
            (
                name,
                SourceChoice {
                    command_line: None,
                    input,
                },
            )
        };
        let mut chosen: BTreeMap<String, SourceChoice> = inputs.into_iter().map(address).collect();
        for argument in arguments {
            let (name, url) = argument
                .split_once('=')
                .ok_or_else(|| MirrorsError::Argument(argument.clone()))?;
            let known = chosen.keys().cloned().collect::<Vec<_>>().join(", ");
            let address = chosen.get_mut(name).ok_or_else(|| MirrorsError::Unknown {
                name: name.to_owned(),
                known,
            })?;
            address.command_line = Some(url.to_owned());
        }
        Ok(Self {
            chosen,
            cache,
            offline,
            python: OnceLock::new(),
            debian: OnceLock::new(),
            standalone: OnceLock::new(),
        })
    }

    /// The folder for what is downloaded to choose from.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Whether nothing may be asked.
    pub fn offline(&self) -> bool {
        self.offline
    }

    /// The Python package indexes.
    pub fn python_indexes(&self) -> Result<PackageIndexes, MirrorsError> {
        let address = self.chosen.get(PYTHON);
        let choice = IndexChoice {
            command_line: address.and_then(|address| address.command_line.clone()),
            command_line_extra: Vec::new(),
            input: address.and_then(|address| address.input.clone()),
        };
        Ok(PackageIndexes::discover(&choice, &Machine::current())?)
    }

    fn python(&self) -> Result<&PythonIndex, MirrorsError> {
        if let Some(python) = self.python.get() {
            return Ok(python);
        }
        let index = PythonIndex::new(self.python_indexes()?, self.python_cache(), self.offline);
        Ok(self.python.get_or_init(|| index))
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
        choices.remove(PYTHON);
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
        let Some((name, path)) = url
            .strip_prefix("mirror://")
            .and_then(|rest| rest.split_once('/'))
        else {
            let invalid = |error: url::ParseError| MirrorError::Invalid {
                url: url.to_owned(),
                reason: error.to_string(),
            };
            return Ok(vec![Url::parse(url).map_err(invalid)?]);
        };
        let not_configured = |error: MirrorsError| MirrorError::NotConfigured {
            mirror: format!("mirror://{name}"),
            advice: error.to_string(),
        };
        if name == PYTHON {
            let (project, file) = path.split_once('/').unwrap_or((path, ""));
            let located = self
                .python()
                .map_err(not_configured)?
                .locate(project, file)
                .await;
            return located.map_err(|error| MirrorError::Failed {
                mirror: format!("mirror://{name}"),
                file: path.to_owned(),
                source: error.into(),
            });
        }
        if name == STANDALONE {
            let source = self.standalone().map_err(not_configured)?;
            return source
                .candidates(path)
                .map_err(|error| MirrorError::Failed {
                    mirror: format!("mirror://{name}"),
                    file: path.to_owned(),
                    source: error.into(),
                });
        }
        let candidates = self
            .debian_sources()
            .map_err(not_configured)?
            .candidates(url);
        candidates.map_err(|error| MirrorError::Failed {
            mirror: format!("mirror://{name}"),
            file: path.to_owned(),
            source: error.into(),
        })
    }
}

impl cognix_store::Mirrors for Mirrors {
    fn candidates<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<Url>, MirrorError>> {
        Box::pin(self.locate(url))
    }
}
