//! Which Python package indexes this machine uses for a model that names none.
//!
//! The addresses come from the command line, from the `url` of an input in `cognix.nix`, or from the settings that uv
//! and pip already have on this machine, in that order. Where nothing is configured the resolver library's own default
//! stands in.
//!
//! ```text
//! default index   --mirror pypi=  >  input url  >  UV_DEFAULT_INDEX, UV_INDEX_URL  >  PIP_INDEX_URL  >  pip.conf  >  built in
//! extra indexes   UV_INDEX, UV_EXTRA_INDEX_URL  >  PIP_EXTRA_INDEX_URL  >  pip.conf
//! ```
//!
//! Of the extra indexes the first source that names any is used as a whole. `find-links` and `no-index` are ignored on
//! purpose: a folder of wheels on one machine is nothing that another machine could fetch a locked wheel from.
//! All of them together are the source `pypi` of a lock; what a model names itself is in [`super::package_indexes`].
//! Addresses may carry credentials, so they live in [`PackageIndexUrl`], which never prints them.

mod pip_conf;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use url::Url;

pub use pip_conf::Machine;
use pip_conf::PipConf;

use super::credentials::Credentials;

/// Why the machine's settings do not name a usable package index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipSettingsError {
    /// The value is not printed, because it may hold a password.
    #[error(
        "{origin} does not hold the address of a package index: {reason}; expected something like https://HOST/simple"
    )]
    Address {
        /// Where the value stands.
        origin: Origin,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file is there but cannot be read.
    #[error("cannot read pip's settings in {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A netrc file with a mistake. What it says is not shown, because it holds passwords.
    #[error(
        "cannot read the netrc file {path}: it is not made of `machine HOST login NAME password PASSWORD`"
    )]
    Netrc {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what pip would accept.
    #[error("cannot read pip's settings in {path}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
}

/// Where an index address was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An option of this program.
    CommandLine,
    /// The `url` of a package index input in `cognix.nix`.
    Input,
    /// The model's requirement files.
    Requirements,
    /// An environment variable.
    Variable(&'static str),
    /// A pip settings file.
    PipConf(PathBuf),
    /// The resolver library's default.
    BuiltIn,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => formatter.write_str("the command line"),
            Self::Input => formatter.write_str("the input's url in cognix.nix"),
            Self::Requirements => formatter.write_str("the model's requirement files"),
            Self::Variable(name) => write!(formatter, "the environment variable {name}"),
            Self::PipConf(path) => write!(formatter, "{}", path.display()),
            Self::BuiltIn => formatter.write_str("the built-in default"),
        }
    }
}

/// The address of a package index, perhaps with credentials.
///
/// `Display` and `Debug` show the address alone, without query and fragment. It cannot be serialised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageIndexUrl {
    /// Without a user part.
    url: Url,
    credentials: Option<Credentials>,
}

impl PackageIndexUrl {
    /// Accepts an http or https address with a host, and uv's `NAME=ADDRESS`, whose name is dropped.
    pub fn parse(text: &str, origin: &Origin) -> Result<Self, PipSettingsError> {
        let refuse = |reason| PipSettingsError::Address {
            origin: origin.clone(),
            reason,
        };
        let (_, address) = split_name(text.trim());
        let mut url = Url::parse(address).map_err(|_| refuse("it is not an absolute address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("only http and https are supported"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refuse("it names no host"));
        }
        let credentials = Credentials::of(&url);
        // Neither call can fail: the address has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        Ok(Self { url, credentials })
    }

    /// The address, without credentials.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The address with its credentials, for requests only; none if there are no credentials.
    pub(super) fn with_credentials(&self) -> Option<Url> {
        let mut url = self.url.clone();
        self.credentials.as_ref()?.apply(&mut url);
        Some(url)
    }

    /// The address of something below this one, with the same credentials.
    pub(super) fn below(&self, path: &str) -> Self {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(path.split('/').filter(|part| !part.is_empty()));
        }
        let credentials = self.credentials.clone();
        Self { url, credentials }
    }

    /// Takes over credentials unless there are some.
    pub(super) fn or_credentials(&mut self, credentials: impl FnOnce() -> Option<Credentials>) {
        self.credentials = self.credentials.take().or_else(credentials);
    }

    /// Replaces the credentials by others, if there are others.
    pub(super) fn replace_credentials(&mut self, credentials: Option<Credentials>) {
        self.credentials = credentials.or(self.credentials.take());
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Whether two addresses are of the same index: a slash at the end makes no difference.
    pub(super) fn is_same(&self, other: &Url) -> bool {
        let plain = |url: &Url| shown(url).trim_end_matches('/').to_owned();
        plain(&self.url) == plain(other) && self.url.query() == other.query()
    }

    /// Adds this index's credentials to an address on exactly the same scheme, host and port.
    ///
    /// Any other address is left as it is, so that a password never travels to where it does not belong.
    pub(crate) fn authorise(&self, url: &mut Url) {
        if let Some(credentials) = &self.credentials
            && url.origin() == self.url.origin()
        {
            credentials.apply(url);
        }
    }
}

/// uv's `NAME=ADDRESS`, or an address alone.
pub(super) fn split_name(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, rest)) if !name.contains([':', '/', '?', '@']) => (Some(name), rest),
        _ => (None, text),
    }
}

impl fmt::Display for PackageIndexUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&shown(&self.url))
    }
}

impl fmt::Debug for PackageIndexUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PackageIndexUrl({self})")
    }
}

/// An address without its user part, query and fragment, as it may be printed and logged.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// What was chosen before the machine's own settings are looked at.
#[derive(Debug, Clone, Default)]
pub struct IndexChoice {
    /// The default index given on the command line.
    pub command_line: Option<String>,
    /// The `url` of the package index input in `cognix.nix`.
    pub input: Option<String>,
}

/// The package indexes of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineIndexes {
    extra: Vec<ExtraIndex>,
    default: PackageIndexUrl,
    origin: Origin,
}

/// An index that is asked before the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExtraIndex {
    /// The name that uv's `NAME=ADDRESS` gives it.
    pub(super) name: Option<String>,
    pub(super) url: PackageIndexUrl,
    pub(super) origin: Origin,
}

impl MachineIndexes {
    /// Reads the machine's settings as far as the choice leaves them open.
    pub fn discover(choice: &IndexChoice, machine: &Machine<'_>) -> Result<Self, PipSettingsError> {
        let pip_conf = PipConf::read(machine)?;
        let (default, origin) = default_index(choice, machine, &pip_conf)?;
        Ok(Self {
            extra: extra_indexes(machine, &pip_conf)?,
            default,
            origin,
        })
    }

    /// The index that is asked last.
    pub fn default(&self) -> &PackageIndexUrl {
        &self.default
    }

    /// The indexes that are asked before the default one.
    pub(super) fn extra(&self) -> &[ExtraIndex] {
        &self.extra
    }

    /// Adds the credentials of uv's variables for named indexes.
    pub(super) fn name_credentials(&mut self, machine: &Machine<'_>) {
        for index in &mut self.extra {
            let named = index.name.as_deref();
            let credentials = named.and_then(|name| Credentials::of_index(name, machine));
            index.url.replace_credentials(credentials);
        }
    }

    /// Where the default index was found.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

fn default_index(
    choice: &IndexChoice,
    machine: &Machine<'_>,
    pip_conf: &PipConf,
) -> Result<(PackageIndexUrl, Origin), PipSettingsError> {
    let chosen = [
        (Origin::CommandLine, choice.command_line.clone()),
        (Origin::Input, choice.input.clone()),
    ];
    let variables = ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"]
        .map(|name| (Origin::Variable(name), machine.variable(name)));
    let file = pip_conf
        .value("index-url")
        .map(|(path, value)| (Origin::PipConf(path), Some(value)));
    for (origin, value) in chosen.into_iter().chain(variables).chain(file) {
        if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
            return Ok((PackageIndexUrl::parse(&value, &origin)?, origin));
        }
    }
    let built_in = PackageIndexUrl {
        url: built_in().clone(),
        credentials: None,
    };
    Ok((built_in, Origin::BuiltIn))
}

/// The default index of the resolver library: what `pypi` means where nothing else is configured.
pub(super) fn built_in() -> &'static Url {
    &uv_distribution_types::PYPI_URL
}

fn extra_indexes(
    machine: &Machine<'_>,
    pip_conf: &PipConf,
) -> Result<Vec<ExtraIndex>, PipSettingsError> {
    let variables = |names: &[&'static str]| -> Vec<(Origin, String)> {
        let set = names
            .iter()
            .filter_map(|name| Some((Origin::Variable(name), machine.variable(name)?)));
        set.collect()
    };
    let sources = [
        variables(&["UV_INDEX", "UV_EXTRA_INDEX_URL"]),
        variables(&["PIP_EXTRA_INDEX_URL"]),
        pip_conf
            .value("extra-index-url")
            .map(|(path, value)| (Origin::PipConf(path), value))
            .into_iter()
            .collect(),
    ];
    for source in sources {
        let mut indexes: Vec<ExtraIndex> = Vec::new();
        for (origin, value) in &source {
            for text in value.split_whitespace() {
                let index = ExtraIndex {
                    name: split_name(text).0.map(str::to_owned),
                    url: PackageIndexUrl::parse(text, origin)?,
                    origin: origin.clone(),
                };
                if indexes.iter().all(|known| known.url != index.url) {
                    indexes.push(index);
                }
            }
        }
        if !indexes.is_empty() {
            return Ok(indexes);
        }
    }
    Ok(Vec::new())
}
