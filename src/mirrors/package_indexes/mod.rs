//! The Python package indexes of a model, in the order in which a name is looked up, and by the names that a lock
//! knows them by.
//!
//! ```text
//! a wheel of …                                            is locked as
//! the machine's own indexes                               mirror://pypi/PROJECT/FILE
//! an input of cognix.nix                                  mirror://INPUT/PROJECT/FILE
//! torch's indexes                                         mirror://pytorch/cu124/PROJECT/FILE
//! an index or a page that a requirement file names        mirror://HOST-AND-PATH/PROJECT/FILE
//! a folder that a requirement file names                  project://FOLDER/FILE
//! ```
//!
//! The first index that knows a name supplies it; versions of several indexes are never mixed. Asked are, in this order:
//! the indexes that a package is pinned to, and no others; torch's indexes, for torch's packages; `--extra-index-url`;
//! the inputs, as they are written; the machine's extra indexes; the default one, or `--index-url` in its place.
//!
//! Every name can be given another address: by `--mirror NAME=URL`, or, for inputs, by uv's `UV_INDEX=NAME=URL`. The
//! address of the public index in a requirement file means `pypi`, so that the machine's mirror of it is used.

mod discovery;
mod find_links;
mod name;
#[cfg(test)]
mod tests;
mod torch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use url::Url;
use uv_normalize::PackageName;

use super::credentials::{Credentials, Netrc};
use super::pip_settings::{Machine, MachineIndexes, Origin, PackageIndexUrl, PipSettingsError};

use discovery::Discovery;
pub use find_links::FindLinks;
use name::Names;

/// The name under which a lock refers to the machine's own package indexes.
pub const PYPI: &str = "pypi";

/// The name under which a lock refers to torch's package indexes: `pytorch/cu124`.
pub const PYTORCH: &str = "pytorch";

/// What a model says about package indexes.
#[derive(Debug, Clone, Default)]
pub struct ModelIndexes {
    /// The project's folder.
    pub root: PathBuf,
    /// The inputs of type `pypi` in `cognix.nix`, in the order written.
    pub inputs: Vec<IndexInput>,
    /// `--index-url` of the requirement files.
    pub index: Option<String>,
    /// `--extra-index-url`, in the order written.
    pub extra_indexes: Vec<String>,
    /// `--find-links`: pages, or folders of the project.
    pub find_links: Vec<String>,
    /// `--no-index`: no index is asked.
    pub no_index: bool,
}

impl ModelIndexes {
    /// The names that a lock can know an index of this model by, apart from those of torch's.
    pub fn names(&self) -> BTreeSet<String> {
        let mut names = Names::new(self.inputs.iter().map(|input| input.name.as_str()));
        let pages = self.find_links.iter().filter(|text| text.contains("://"));
        let indexes = self.extra_indexes.iter().chain(&self.index);
        let indexes = indexes.filter(|text| torch::variant(text).is_none());
        for url in pages
            .chain(indexes)
            .filter_map(|text| Url::parse(text).ok())
        {
            names.of(&url);
        }
        names.all()
    }
}

/// A package index that `cognix.nix` names.
#[derive(Debug, Clone, Default)]
pub struct IndexInput {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: Option<String>,
    /// Packages that come from this index and no other; when there are any, nothing else comes from it.
    pub packages: Vec<String>,
}

/// Why the package indexes of a model are not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageIndexesError {
    /// An address that is none.
    #[error(transparent)]
    Settings(#[from] PipSettingsError),
    /// Nobody says where an input is.
    #[error(
        "no address is known for the package index {name}; set inputs.{name}.url in cognix.nix, UV_INDEX={name}=URL on this machine, or --mirror {name}=URL"
    )]
    NoAddress {
        /// The input.
        name: String,
    },
    /// A package that is pinned and can be none.
    #[error(
        "inputs.{input}.packages in cognix.nix names {name:?}, which is not the name of a Python package"
    )]
    Package {
        /// The input.
        input: String,
        /// What stands there.
        name: String,
    },
    /// A package that is pinned twice.
    #[error(
        "{package} is pinned to two package indexes, {first} and {second}; keep one of them in cognix.nix"
    )]
    PinnedTwice {
        /// The package.
        package: String,
        /// An input.
        first: String,
        /// Another input.
        second: String,
    },
    /// A `--find-links` that another machine could not follow.
    #[error("--find-links {value:?} of a requirement file cannot be used: {reason}")]
    FindLinks {
        /// As written, without credentials.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Which packages an index is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those that no other index is asked for first.
    Any,
    /// These, which come from nowhere else.
    Pinned(BTreeSet<PackageName>),
    /// torch and what is released with it; if it does not know one of them, the others are asked.
    Torch,
    /// What the Cog SDK needs, when the model's own indexes do not have it.
    Sdk,
}

/// One package index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageIndex {
    /// The name that a lock knows it by. The machine's own indexes share one.
    pub name: String,
    /// Where it is.
    pub url: PackageIndexUrl,
    /// Where its address was found.
    pub origin: Origin,
    /// What it is asked for.
    pub scope: Scope,
}

/// The package indexes to use.
#[derive(Debug, Clone)]
pub struct PackageIndexes {
    indexes: Vec<PackageIndex>,
    find_links: Vec<FindLinks>,
    netrc: Arc<Netrc>,
}

/// Where a package is looked for, before the indexes that are asked for any package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route<'a> {
    /// Here and nowhere else.
    Only(&'a PackageIndex),
    /// Here, then as every other package; mostly empty.
    First(Vec<&'a PackageIndex>),
}

impl PackageIndexes {
    /// Exactly one index, the machine's own.
    pub fn only(url: PackageIndexUrl, origin: Origin) -> Self {
        Self {
            indexes: vec![PackageIndex {
                name: PYPI.to_owned(),
                url,
                origin,
                scope: Scope::Any,
            }],
            find_links: Vec::new(),
            netrc: Arc::default(),
        }
    }

    /// Finds the addresses of everything that a model names, and the machine's own indexes.
    ///
    /// `mirrors` are addresses from the command line, by name.
    pub fn discover(
        model: &ModelIndexes,
        mirrors: &BTreeMap<String, String>,
        machine: &Machine<'_>,
    ) -> Result<Self, PackageIndexesError> {
        let mut discovery = Discovery::new(model, mirrors, machine)?;
        let inputs = discovery.inputs()?;
        let find_links = find_links::of_model(model, &mut discovery)?;
        let mut indexes = discovery.model_indexes()?;
        indexes.extend(inputs);
        discovery.add_default(&mut indexes)?;
        let mut found = Self {
            indexes,
            find_links,
            netrc: Arc::new(Netrc::read(machine)?),
        };
        found.add_credentials(&discovery.machine_indexes, machine);
        found.check_pins()?;
        Ok(found)
    }

    /// All indexes, in the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = &PackageIndex> {
        self.indexes.iter()
    }

    /// The indexes that are asked for any package.
    pub fn general(&self) -> impl Iterator<Item = &PackageIndex> {
        self.iter().filter(|index| index.scope == Scope::Any)
    }

    /// The indexes that are asked for the Cog SDK's packages when no other knows them.
    pub fn of_sdk(&self) -> impl Iterator<Item = &PackageIndex> {
        self.iter().filter(|index| index.scope == Scope::Sdk)
    }

    /// The machine's own indexes, if the model's stand in their place and they are left for the SDK.
    pub fn sdk_only(&self) -> Option<Self> {
        let indexes: Vec<_> = self.of_sdk().cloned().collect();
        (!indexes.is_empty()).then(|| Self {
            indexes: indexes
                .into_iter()
                .map(|index| PackageIndex {
                    scope: Scope::Any,
                    ..index
                })
                .collect(),
            find_links: Vec::new(),
            netrc: Arc::clone(&self.netrc),
        })
    }

    /// Pages and folders with links to files.
    pub fn find_links(&self) -> &[FindLinks] {
        &self.find_links
    }

    /// Where a package is looked for first.
    pub fn route(&self, package: &PackageName) -> Route<'_> {
        let pinned = |index: &&PackageIndex| matches!(&index.scope, Scope::Pinned(packages) if packages.contains(package));
        if let Some(index) = self.iter().find(pinned) {
            return Route::Only(index);
        }
        let torch = self.iter().filter(|index| index.scope == Scope::Torch);
        let torch = torch.filter(|_| torch::is_released_with_torch(package));
        Route::First(torch.collect())
    }

    /// The names of all indexes and pages, each once.
    pub fn names(&self) -> BTreeSet<&str> {
        let pages = self.find_links.iter().filter_map(FindLinks::name);
        self.iter()
            .map(|index| index.name.as_str())
            .chain(pages)
            .collect()
    }

    /// Where the address of the index that is asked last was found.
    pub fn origin(&self) -> &Origin {
        self.general()
            .last()
            .map_or(&Origin::Requirements, |index| &index.origin)
    }

    /// Adds the credentials that this machine has for an address.
    pub(crate) fn authorise(&self, url: &mut Url) {
        self.iter().for_each(|index| index.url.authorise(url));
        self.find_links
            .iter()
            .filter_map(FindLinks::url)
            .for_each(|page| page.authorise(url));
        // The netrc file knows hosts only; what it says does not travel in the open unless to this machine.
        if (url.scheme() == "https" || is_loopback(url))
            && let Some(credentials) = self.netrc.of(url)
        {
            credentials.apply(url);
        }
    }

    /// Addresses with their credentials, where there are any.
    pub(super) fn with_credentials(&self) -> impl Iterator<Item = Url> {
        let pages = self.find_links.iter().filter_map(FindLinks::url);
        let addresses = self.iter().map(|index| &index.url).chain(pages);
        addresses.filter_map(PackageIndexUrl::with_credentials)
    }

    fn add_credentials(&mut self, known: &MachineIndexes, machine: &Machine<'_>) {
        let netrc = Arc::clone(&self.netrc);
        let of_machine = |url: &Url| {
            let extra = known.extra().iter().map(|index| &index.url);
            let mut same = extra
                .chain([known.default()])
                .filter(|known| known.is_same(url));
            same.find_map(|known| known.credentials().cloned())
        };
        let add = |name: &str, url: &mut PackageIndexUrl| {
            let named = Some(name).filter(|name| !name.is_empty());
            url.replace_credentials(named.and_then(|name| Credentials::of_index(name, machine)));
            let address = url.url().clone();
            url.or_credentials(|| of_machine(&address).or_else(|| netrc.of(&address)));
        };
        for index in &mut self.indexes {
            // The machine's extra indexes have names of their own, if any.
            let is_extra = index.name == PYPI && !index.url.is_same(known.default().url());
            add(if is_extra { "" } else { &index.name }, &mut index.url);
        }
        for page in &mut self.find_links {
            if let FindLinks::Page { name, url, .. } = page {
                add(name, url);
            }
        }
    }

    fn check_pins(&self) -> Result<(), PackageIndexesError> {
        let mut pinned: BTreeMap<&PackageName, &str> = BTreeMap::new();
        for index in self.iter() {
            let Scope::Pinned(packages) = &index.scope else {
                continue;
            };
            for package in packages {
                if let Some(first) = pinned.insert(package, &index.name) {
                    return Err(PackageIndexesError::PinnedTwice {
                        package: package.to_string(),
                        first: first.to_owned(),
                        second: index.name.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

impl PackageIndexes {
    /// Whether one of torch's own indexes is asked.
    pub fn with_torch(&self) -> bool {
        let mut names = self.indexes.iter().map(|index| &index.name);
        names.any(|name| name.split('/').next() == Some(PYTORCH))
    }
}

impl fmt::Display for PackageIndexes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut places: Vec<String> = Vec::new();
        for index in self
            .indexes
            .iter()
            .filter(|index| index.scope != Scope::Sdk)
        {
            places.push(index.url.to_string());
        }
        places.extend(self.find_links.iter().map(ToString::to_string));
        places.dedup();
        match places.is_empty() {
            true => formatter.write_str("none"),
            false => formatter.write_str(&places.join(", ")),
        }
    }
}
