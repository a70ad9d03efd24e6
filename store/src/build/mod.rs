//! What a builder is, and what it is given.
//!
//! A [`Builder`] turns a resolved derivation into files below paths it is told. It decides nothing about the store: hashing,
//! references, naming and registering happen afterwards, the same way for all. The store itself has two: downloading, and
//! running foreign programs in a sandbox ([`foreign`]). All others are handed to it.

pub mod foreign;
mod log;
mod request;
#[cfg(any(test, feature = "fixtures"))]
mod scripted;

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use log::{BuildLog, Unlogged};
pub(crate) use log::{LogFile, visible};
pub use request::BuildRequest;
#[cfg(any(test, feature = "fixtures"))]
pub use scripted::Scripted;

/// Makes the outputs of derivations of one kind.
///
/// The same request must give the same files, whatever the machine, the time and the number of builds. Outputs may not refer
/// to each other or to themselves, because their paths follow from their content.
pub trait Builder: Send + Sync {
    /// What derivations call it, such as `builtin:cognix-wheel-1`.
    fn name(&self) -> &str;

    /// Makes every output. Runs on a thread of its own; looks at [`BuildRequest::check_cancelled`] now and then.
    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError>;
}

/// A builder could not make its outputs. What it has written is removed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// The derivation does not say what the builder needs to know: it was made by another version, or by hand.
    #[error("attribute {name:?} {reason}")]
    Attribute {
        /// The name in the environment.
        name: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("cannot work on {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A foreign program did not make its outputs, or was not run at all.
    #[error(transparent)]
    Foreign(#[from] foreign::ForeignError),
    /// The input is not what it should be, in the builder's own words.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
}

impl BuildError {
    /// Takes any error as the reason.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }

    /// For `map_err`: adds the path that was being worked on.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// How the names of builders begin that are part of a program.
const BUILTIN: &str = "builtin:";

/// The builders that a realiser knows, by name.
#[derive(Clone, Default)]
pub struct Builders {
    builtin: BTreeMap<String, Arc<dyn Builder>>,
    foreign: Option<Arc<dyn Builder>>,
}

impl Builders {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; a later one of the same name takes its place.
    #[must_use]
    pub fn with(mut self, builder: impl Builder + 'static) -> Self {
        self.insert(Arc::new(builder));
        self
    }

    /// Adds one; a later one of the same name takes its place.
    pub fn insert(&mut self, builder: Arc<dyn Builder>) {
        self.builtin.insert(builder.name().to_owned(), builder);
    }

    /// Adds the one that builds every derivation whose builder is no builtin but a program; a later one takes its place.
    #[must_use]
    pub fn with_foreign(mut self, builder: impl Builder + 'static) -> Self {
        self.foreign = Some(Arc::new(builder));
        self
    }

    /// The builder of a derivation that calls it so.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Builder>> {
        let foreign = self.foreign.as_ref();
        let foreign = foreign.filter(|_| !name.starts_with(BUILTIN));
        self.builtin.get(name).or(foreign)
    }

    /// The names of all builtins.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.builtin.keys().map(String::as_str)
    }
}

impl std::fmt::Debug for Builders {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let foreign = self.foreign.as_ref().map(|builder| builder.name());
        formatter
            .debug_set()
            .entries(self.names().chain(foreign))
            .finish()
    }
}
