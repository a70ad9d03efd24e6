//! What a builder is given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cognix_derivations::{Derivation, StorePath};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::{BuildError, BuildLog, Unlogged};
use crate::store::Store;

/// One build: a resolved derivation, and where its outputs go.
///
/// ```
/// # use cognix_store::{BuildError, BuildRequest, Builder};
/// struct Copy;
///
/// impl Builder for Copy {
///     fn name(&self) -> &str {
///         "builtin:cognix-copy-1"
///     }
///
///     fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
///         let from = request.input(&request.store_path("from")?)?;
///         let to = request.output("out")?;
///         std::fs::copy(from, to).map(drop).map_err(BuildError::io(to))
///     }
/// }
/// ```
#[derive(Debug)]
pub struct BuildRequest<'a> {
    /// What to build. All its inputs are input sources, and all of them are valid.
    pub derivation: &'a Derivation,
    /// Where the inputs are.
    pub store: &'a Store,
    /// By output name, the paths that the builder creates. Their folder is there, they are not.
    pub outputs: &'a BTreeMap<String, PathBuf>,
    /// Says when to stop.
    pub cancel: &'a CancellationToken,
    /// Takes what there is to say.
    pub log: &'a dyn BuildLog,
    /// Whether this is built a second time to be compared, under conditions that must not matter.
    pub is_rebuild: bool,
    /// On how many cores builds run: a hint that no result may depend on.
    pub cores: usize,
}

impl<'a> BuildRequest<'a> {
    /// A first build that nobody listens to.
    pub fn new(
        derivation: &'a Derivation,
        store: &'a Store,
        outputs: &'a BTreeMap<String, PathBuf>,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self {
            derivation,
            store,
            outputs,
            cancel,
            log: &Unlogged,
            is_rebuild: false,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The folder that the outputs go to, and that nobody else enters: a builder may put into it what it needs, under
    /// names that do not begin with `output-`. It is removed after the build.
    pub fn folder(&self) -> Result<PathBuf, BuildError> {
        let folder = self.outputs.values().find_map(|output| output.parent());
        folder
            .map(Path::to_owned)
            .ok_or_else(|| BuildError::failed("the derivation has no output"))
    }
    /// An attribute that must be there.
    pub fn env(&self, name: &str) -> Result<&str, BuildError> {
        if !self.derivation.env().contains_key(name) {
            return Err(attribute(name, "is missing"));
        }
        self.derivation
            .env_str(name)
            .ok_or_else(|| attribute(name, "is not UTF-8"))
    }

    /// An attribute that need not be there.
    pub fn optional_env(&self, name: &str) -> Result<Option<&str>, BuildError> {
        match self.derivation.env().contains_key(name) {
            true => self.env(name).map(Some),
            false => Ok(None),
        }
    }

    /// An attribute that holds JSON.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, BuildError> {
        serde_json::from_str(self.env(name)?)
            .map_err(|error| attribute(name, &format!("cannot be read: {error}")))
    }

    /// An attribute that holds a store path.
    pub fn store_path(&self, name: &str) -> Result<StorePath, BuildError> {
        StorePath::parse(self.env(name)?).map_err(|error| attribute(name, &error.to_string()))
    }

    /// Where an input really is. It must be a declared input, or something that one refers to: nothing else is part of the
    /// derivation's identity.
    pub fn input(&self, path: &StorePath) -> Result<PathBuf, BuildError> {
        let inputs = self.derivation.input_sources();
        if !inputs.contains(path) {
            let inputs: Vec<StorePath> = inputs.iter().cloned().collect();
            let closure = self.store.closure(&inputs).map_err(BuildError::failed)?;
            if !closure.contains(path) {
                return Err(BuildError::failed(format!(
                    "{path} is not an input of {}",
                    self.derivation.as_path()
                )));
            }
        }
        Ok(self.store.real_path(path))
    }

    /// Where an output goes.
    pub fn output(&self, name: &str) -> Result<&Path, BuildError> {
        self.outputs
            .get(name)
            .map(PathBuf::as_path)
            .ok_or_else(|| BuildError::failed(format!("the derivation has no output {name:?}")))
    }

    /// An error when somebody asked to stop. Cheap enough to be called for every file.
    pub fn check_cancelled(&self) -> Result<(), BuildError> {
        if self.cancel.is_cancelled() {
            return Err(BuildError::Cancelled);
        }
        Ok(())
    }
}

fn attribute(name: &str, reason: &str) -> BuildError {
    BuildError::Attribute {
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
}
