//! Derivations: what they are, how they are written, how they are named.
//!
//! A [`Derivation`] says how outputs come to be: inputs, builder, arguments, environment. It is always valid and always
//! canonical: [`Derivation::parse`] accepts exactly what [`Derivation::to_aterm`] writes. What can only be known with its
//! inputs at hand (hash modulo, the paths of input-addressed outputs, realisation ids) is in [`crate::DerivationGraph`].
//!
//! Not supported, because nothing of ours makes them: dynamic derivations, impure outputs, the Git method.

mod aterm;
mod builder;
mod json;
mod modulo;
mod output;
mod placeholder;
mod realisation_id;
mod resolve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::store_path::{ContentAddress, StorePath, StorePathError, check_name};

pub use builder::DerivationBuilder;
pub(crate) use modulo::InputHashes;
pub use output::{ContentAddressMethod, Output};
pub use placeholder::{downstream_placeholder, placeholder};
pub use realisation_id::RealisationId;

/// The longest `.drv` that is read. It bounds what a hostile text can make us allocate.
pub const MAX_ATERM_BYTES: usize = 16 << 20;

/// The name under which structured attributes travel in the environment.
const STRUCTURED_ATTRS: &str = "__json";

/// A text is not a derivation, or the parts do not make one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DerivationError {
    /// Not the grammar of a `.drv` file.
    #[error("{name}.drv is malformed: {reason}")]
    Malformed {
        /// The name that was given.
        name: String,
        /// Where and why.
        reason: String,
    },
    /// Too long to be read.
    #[error("{name}.drv has {size} bytes, more than the limit of {MAX_ATERM_BYTES}")]
    TooLarge {
        /// The name that was given.
        name: String,
        /// How long it is.
        size: usize,
    },
    /// The text says the same as a derivation but is not spelled as Nix spells it: unsorted, repeated, oddly escaped, or
    /// with another output path than its content gives. Nobody else would compute the same path from it.
    #[error("{name}.drv is not canonical: it differs from its own value at byte {offset}")]
    NotCanonical {
        /// The name that was given.
        name: String,
        /// The first byte that differs.
        offset: usize,
    },
    /// A rule about the parts of a derivation is broken.
    #[error("derivation {name:?} is invalid: {reason}")]
    Invalid {
        /// The derivation's name.
        name: String,
        /// Which rule.
        reason: String,
    },
    /// A name or path in it is invalid.
    #[error("derivation {name:?} is invalid")]
    Path {
        /// The derivation's name.
        name: String,
        /// What is wrong with the path.
        #[source]
        source: StorePathError,
    },
    /// A derivation can only be resolved when every output it takes in is there.
    #[error("{derivation} cannot be resolved: output {output:?} of {input} is not realised")]
    Unresolved {
        /// The derivation that was to be resolved.
        derivation: StorePath,
        /// The input that lacks an output.
        input: StorePath,
        /// The output that is missing.
        output: String,
    },
}

/// One derivation: always valid, canonical, cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    /// The rules of [`Parts::check`] hold.
    parts: Arc<Parts>,
    /// Computed from `parts` alone.
    path: StorePath,
}

/// The fields of a derivation while its path is not computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Without `.drv`.
    name: String,
    outputs: BTreeMap<String, Output>,
    input_derivations: BTreeMap<StorePath, BTreeSet<String>>,
    input_sources: BTreeSet<StorePath>,
    system: String,
    builder: String,
    args: Vec<String>,
    env: BTreeMap<String, Vec<u8>>,
}

impl Derivation {
    /// Starts a derivation of this name (without `.drv`).
    pub fn builder(name: &str) -> DerivationBuilder {
        DerivationBuilder::new(name)
    }

    /// Reads a `.drv` file. `name` is the name of its path, with or without `.drv`: the text does not hold it.
    pub fn parse(name: &str, aterm: &[u8]) -> Result<Self, DerivationError> {
        let name = name.strip_suffix(".drv").unwrap_or(name);
        let parts = aterm::parse(name, aterm)?;
        parts.check()?;
        output::check_known_paths(&parts)?;
        Ok(Self::from_checked(parts))
    }

    /// The text of its `.drv` file.
    pub fn to_aterm(&self) -> Vec<u8> {
        aterm::write(&self.parts)
    }

    /// The path of its `.drv` file.
    pub fn path(&self) -> StorePath {
        self.path.clone()
    }

    /// [`Self::path`] without a copy.
    pub const fn as_path(&self) -> &StorePath {
        &self.path
    }

    /// Its name, without `.drv`.
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// What it makes, by name. Never empty.
    pub fn outputs(&self) -> &BTreeMap<String, Output> {
        &self.parts.outputs
    }

    /// The outputs of other derivations that it takes in.
    pub fn input_derivations(&self) -> &BTreeMap<StorePath, BTreeSet<String>> {
        &self.parts.input_derivations
    }

    /// The store paths that it takes in as they are.
    pub fn input_sources(&self) -> &BTreeSet<StorePath> {
        &self.parts.input_sources
    }

    /// Everything its `.drv` file refers to: input derivations and input sources.
    pub fn references(&self) -> BTreeSet<StorePath> {
        self.parts.references().cloned().collect()
    }

    /// The kind of machine that can build it; `builtin` for builders inside the program.
    pub fn system(&self) -> &str {
        &self.parts.system
    }

    /// What builds it: a program's path, or `builtin:NAME`.
    pub fn builder_name(&self) -> &str {
        &self.parts.builder
    }

    /// The builder's arguments.
    pub fn args(&self) -> &[String] {
        &self.parts.args
    }

    /// The builder's environment. Values are bytes.
    pub fn env(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.parts.env
    }

    /// One value of the environment, if it is there and is UTF-8.
    pub fn env_str(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.parts.env.get(key)?).ok()
    }

    /// What `nix derivation show` prints about it: version 4 of Nix's JSON. JSON has no bytes, so what is not UTF-8 in the
    /// environment is shown with replacement characters; Nix itself shows nothing at all then.
    pub fn to_json(&self) -> serde_json::Value {
        json::to_json(&self.parts)
    }

    /// For a fixed-output derivation, what its one output must be and where that will be.
    pub fn fixed_output(&self) -> Option<(&ContentAddress, &StorePath)> {
        match self.parts.outputs.get("out") {
            Some(Output::Fixed { ca, path }) => Some((ca, path)),
            _ => None,
        }
    }

    /// The path that an output has while it is made: its own where that is known, and the one that Nix makes up elsewhere.
    /// None when there is no such output.
    pub fn scratch_path(&self, output: &str) -> Option<StorePath> {
        let known = self.parts.outputs.get(output)?.path();
        known.cloned().or_else(|| {
            let name = output::check_path_name(&self.parts.name, output).ok()?;
            Some(crate::store_path::scratch_path(&self.path, &name, output))
        })
    }

    /// The same derivation with its inputs replaced by what they were realised as: placeholders by real paths, input
    /// derivations by input sources. Equal inputs give an equal result, whoever made them.
    ///
    /// Every output of every input derivation must be in `realised`.
    pub fn resolve(
        &self,
        realised: &BTreeMap<(StorePath, String), StorePath>,
    ) -> Result<Self, DerivationError> {
        let mut resolved = resolve::resolve(self, realised)?;
        resolved.check()?;
        if resolved.is_deferred() {
            // Without inputs nothing is left to wait for.
            let masked = resolved.masked_hash(&[]);
            resolved = resolved.with_input_addressed_paths(&masked)?;
        }
        output::check_known_paths(&resolved)?;
        Ok(Self::from_checked(resolved))
    }

    /// The parts must hold to all rules.
    pub(crate) fn from_checked(parts: Parts) -> Self {
        debug_assert_eq!(parts.check(), Ok(()));
        debug_assert_eq!(output::check_known_paths(&parts), Ok(()));
        Self {
            path: aterm::path(&parts),
            parts: Arc::new(parts),
        }
    }

    /// Whether it claims paths that follow from its hash.
    pub(crate) fn is_input_addressed(&self) -> bool {
        let mut outputs = self.parts.outputs.values();
        outputs.any(|output| matches!(output, Output::InputAddressed(_)))
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }
}

impl Parts {
    pub(crate) const fn input_derivations(&self) -> &BTreeMap<StorePath, BTreeSet<String>> {
        &self.input_derivations
    }

    /// Whether its output paths follow from its hash, and are not there yet.
    pub(crate) fn is_deferred(&self) -> bool {
        self.outputs
            .values()
            .all(|output| *output == Output::Deferred)
    }

    /// The path that it has as it is.
    pub(crate) fn path(&self) -> StorePath {
        aterm::path(self)
    }

    fn references(&self) -> impl Iterator<Item = &StorePath> {
        self.input_derivations.keys().chain(&self.input_sources)
    }

    fn invalid<T>(&self, reason: impl std::fmt::Display) -> Result<T, DerivationError> {
        Err(DerivationError::Invalid {
            name: self.name.clone(),
            reason: reason.to_string(),
        })
    }

    fn path_error(&self, source: StorePathError) -> DerivationError {
        DerivationError::Path {
            name: self.name.clone(),
            source,
        }
    }

    /// Everything that can be checked without the inputs, except for paths that are known; see
    /// [`output::check_known_paths`].
    fn check(&self) -> Result<(), DerivationError> {
        check_name(&format!("{}.drv", self.name)).map_err(|source| self.path_error(source))?;
        output::check(self)?;
        for (path, outputs) in &self.input_derivations {
            if !path.is_derivation() {
                return self.invalid(format_args!("its input derivation {path} is no .drv file"));
            }
            if outputs.is_empty() {
                return self.invalid(format_args!("it takes no output of {path}"));
            }
            for output in outputs {
                output::check_output_name(self, output)?;
            }
        }
        if self.system.is_empty() {
            return self.invalid("its system is empty");
        }
        if self.system.contains(['"', '\\']) {
            return self.invalid(
                "its system has a quote or a backslash, which a .drv file holds without escaping it",
            );
        }
        if self.builder.is_empty() {
            return self.invalid("its builder is empty");
        }
        if self.env.contains_key("") {
            return self.invalid("its environment has an empty name");
        }
        let attrs = self.env.get(STRUCTURED_ATTRS);
        if attrs.is_some_and(|json| serde_json::from_slice::<json::Object>(json).is_err()) {
            return self.invalid("its structured attributes are no JSON object");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
