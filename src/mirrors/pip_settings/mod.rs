//! Which Python package indexes this machine uses.
//!
//! The addresses are never part of a project: they come from the command line, from the `url` of an input in
//! `cognix.nix`, or from the settings that uv and pip already have on this machine, in that order. Where nothing is
//! configured the resolver library's own default stands in.
//!
//! ```text
//! default index   --index  >  input url  >  UV_DEFAULT_INDEX, UV_INDEX_URL  >  PIP_INDEX_URL  >  pip.conf  >  built in
//! extra indexes   --extra-index  >  UV_INDEX, UV_EXTRA_INDEX_URL  >  PIP_EXTRA_INDEX_URL  >  pip.conf
//! ```
//!
//! Of the extra indexes the first source that names any is used as a whole. `find-links` and `no-index` are ignored on
//! purpose: a folder of wheels on one machine is nothing that another machine could fetch a locked wheel from.
//! Addresses may carry credentials, so they live in [`PackageIndexUrl`], which never prints them.

mod pip_conf;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use url::Url;

pub use pip_conf::Machine;
use pip_conf::PipConf;

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
            Self::Variable(name) => write!(formatter, "the environment variable {name}"),
            Self::PipConf(path) => write!(formatter, "{}", path.display()),
            Self::BuiltIn => formatter.write_str("the built-in default"),
        }
    }
}

/// The address of a package index, perhaps with a user and a password.
///
/// `Display` and `Debug` leave out the user part, the query and the fragment. It cannot be serialised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageIndexUrl(Url);

impl PackageIndexUrl {
    /// Accepts an http or https address with a host, and uv's `NAME=ADDRESS`, whose name is dropped.
    pub fn parse(text: &str, origin: &Origin) -> Result<Self, PipSettingsError> {
        let refuse = |reason| PipSettingsError::Address {
            origin: origin.clone(),
            reason,
        };
        let text = text.trim();
        let address = match text.split_once('=') {
            Some((name, rest)) if !name.contains([':', '/', '?', '@']) => rest,
            _ => text,
        };
        let url = Url::parse(address).map_err(|_| refuse("it is not an absolute address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("only http and https are supported"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refuse("it names no host"));
        }
        Ok(Self(url))
    }

    /// The address as it is, for requests only: it may hold a password.
    pub(crate) fn expose(&self) -> &Url {
        &self.0
    }

    /// Adds this index's credentials to an address on exactly the same scheme, host and port.
    ///
    /// Any other address is left as it is, so that a password never travels to where it does not belong.
    pub(crate) fn authorise(&self, url: &mut Url) {
        if url.origin() == self.0.origin() && url.username().is_empty() && url.password().is_none()
        {
            // Neither call can fail: the address is http or https and has a host, being of the same origin.
            let _ = url.set_username(self.0.username());
            let _ = url.set_password(self.0.password());
        }
    }
}

impl fmt::Display for PackageIndexUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&shown(&self.0))
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
    /// Extra indexes given on the command line.
    pub command_line_extra: Vec<String>,
    /// The `url` of the package index input in `cognix.nix`.
    pub input: Option<String>,
}

/// The package indexes to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageIndexes {
    extra: Vec<PackageIndexUrl>,
    default: PackageIndexUrl,
    origin: Origin,
}

impl PackageIndexes {
    /// Exactly one index.
    pub fn only(index: PackageIndexUrl, origin: Origin) -> Self {
        Self {
            extra: Vec::new(),
            default: index,
            origin,
        }
    }

    /// Reads the machine's settings as far as the choice leaves them open.
    pub fn discover(choice: &IndexChoice, machine: &Machine<'_>) -> Result<Self, PipSettingsError> {
        let pip_conf = PipConf::read(machine)?;
        let (default, origin) = default_index(choice, machine, &pip_conf)?;
        let extra = extra_indexes(choice, machine, &pip_conf)?;
        Ok(Self {
            extra,
            default,
            origin,
        })
    }

    /// The indexes in the order in which a name is looked up: extra ones first, as uv does, so that the first that
    /// knows a name supplies it.
    pub fn in_order(&self) -> impl Iterator<Item = &PackageIndexUrl> {
        self.extra.iter().chain(std::iter::once(&self.default))
    }

    /// The index that is asked last.
    pub fn default(&self) -> &PackageIndexUrl {
        &self.default
    }

    /// The indexes that are asked before the default one.
    pub fn extra(&self) -> &[PackageIndexUrl] {
        &self.extra
    }

    /// Where the default index was found.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl fmt::Display for PackageIndexes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for extra in &self.extra {
            write!(formatter, "{extra}, ")?;
        }
        write!(formatter, "{}", self.default)
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
    let built_in = uv_distribution_types::PYPI_URL.clone();
    Ok((PackageIndexUrl(Url::from(built_in)), Origin::BuiltIn))
}

fn extra_indexes(
    choice: &IndexChoice,
    machine: &Machine<'_>,
    pip_conf: &PipConf,
) -> Result<Vec<PackageIndexUrl>, PipSettingsError> {
    let variables = |names: &[&'static str]| -> Vec<(Origin, String)> {
        let set = names
            .iter()
            .filter_map(|name| Some((Origin::Variable(name), machine.variable(name)?)));
        set.collect()
    };
    let sources = [
        choice
            .command_line_extra
            .iter()
            .map(|value| (Origin::CommandLine, value.clone()))
            .collect(),
        variables(&["UV_INDEX", "UV_EXTRA_INDEX_URL"]),
        variables(&["PIP_EXTRA_INDEX_URL"]),
        pip_conf
            .value("extra-index-url")
            .map(|(path, value)| (Origin::PipConf(path), value))
            .into_iter()
            .collect(),
    ];
    for source in sources {
        let mut indexes = Vec::new();
        for (origin, value) in &source {
            for address in value.split_whitespace() {
                let index = PackageIndexUrl::parse(address, origin)?;
                if !indexes.contains(&index) {
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
