//! The scripted double: a builder for tests.

use std::sync::{Arc, Mutex, PoisonError};

use super::{BuildError, BuildRequest, Builder};

type Script = dyn Fn(&BuildRequest<'_>) -> Result<(), BuildError> + Send + Sync;

/// A builder that does what a test says, and remembers what it was asked for. Clones share the memory.
#[derive(Clone)]
pub struct Scripted {
    name: String,
    script: Arc<Script>,
    built: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// A builder of this name.
    pub fn new(
        name: &str,
        script: impl Fn(&BuildRequest<'_>) -> Result<(), BuildError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            script: Arc::new(script),
            built: Arc::default(),
        }
    }

    /// A builder that writes the attribute of each output's name plus `Text` (or nothing) to that output.
    pub fn writes_text(name: &str) -> Self {
        Self::new(name, |request| {
            for (output, path) in request.outputs {
                let text = request
                    .optional_env(&format!("{output}Text"))?
                    .unwrap_or("");
                std::fs::write(path, text).map_err(BuildError::io(path))?;
            }
            Ok(())
        })
    }

    /// The names of the derivations it has built, in order of starting.
    pub fn built(&self) -> Vec<String> {
        self.built
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Builder for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        self.built
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.derivation.name().to_owned());
        (self.script)(request)
    }
}
