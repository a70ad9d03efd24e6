//! Makes derivations.

use std::collections::{BTreeMap, BTreeSet};

use super::output::{ContentAddressMethod, Output, fixed_path};
use super::{Derivation, DerivationError, Parts, aterm, placeholder};
use crate::closure::{DerivationGraph, GraphError};
use crate::digest::HashAlgorithm;
use crate::store_path::{ContentAddress, StorePath};

/// A derivation in the making. [`DerivationBuilder::build`] adds to the environment what Nix's own `derivation` would, so
/// that a real Nix makes the same `.drv` of the same attributes.
///
/// ```
/// use cognix_derivations::Derivation;
///
/// let hello = Derivation::builder("hello")
///     .system("builtin")
///     .builder("builtin:cognix-example-1")
///     .env("greeting", "hello")
///     .floating_output("out")
///     .build()?;
/// assert_eq!(hello.env_str("outputHashMode"), Some("recursive"));
/// # Ok::<(), cognix_derivations::DerivationError>(())
/// ```
#[derive(Debug, Clone)]
pub struct DerivationBuilder {
    /// `outputs` holds what was asked for; paths are filled in on building.
    parts: Parts,
    /// In the order of asking, as Nix's `outputs` attribute is.
    output_names: Vec<String>,
    /// See [`DerivationBuilder::plain_environment`].
    is_plain: bool,
}

impl DerivationBuilder {
    /// Starts a derivation of this name (without `.drv`).
    pub fn new(name: &str) -> Self {
        Self {
            parts: Parts {
                name: name.to_owned(),
                outputs: BTreeMap::new(),
                input_derivations: BTreeMap::new(),
                input_sources: BTreeSet::new(),
                system: String::new(),
                builder: String::new(),
                args: Vec::new(),
                env: BTreeMap::new(),
            },
            output_names: Vec::new(),
            is_plain: false,
        }
    }

    /// Adds nothing to the environment but the outputs' paths: for somebody who read an expression, and knows which
    /// attributes were written in it.
    #[must_use]
    pub fn plain_environment(mut self) -> Self {
        self.is_plain = true;
        self
    }

    /// The kind of machine that can build it; `builtin` for builders inside the program.
    #[must_use]
    pub fn system(mut self, system: &str) -> Self {
        system.clone_into(&mut self.parts.system);
        self
    }

    /// What builds it: a program's path, or `builtin:NAME`.
    #[must_use]
    pub fn builder(mut self, builder: &str) -> Self {
        builder.clone_into(&mut self.parts.builder);
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.parts.args.push(arg.into());
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.parts.env.insert(key.to_owned(), value.into());
        self
    }

    /// Sets the whole environment, in place of what was set before.
    #[must_use]
    pub fn environment(mut self, environment: BTreeMap<String, Vec<u8>>) -> Self {
        self.parts.env = environment;
        self
    }

    /// Takes in an output of another derivation. Its path stands in the environment or the arguments as
    /// [`super::downstream_placeholder`], or as itself where it is known beforehand.
    #[must_use]
    pub fn input_derivation(mut self, derivation: &StorePath, output: &str) -> Self {
        self.parts
            .input_derivations
            .entry(derivation.clone())
            .or_default()
            .insert(output.to_owned());
        self
    }

    /// Takes in a store path as it is.
    #[must_use]
    pub fn input_source(mut self, path: &StorePath) -> Self {
        self.parts.input_sources.insert(path.clone());
        self
    }

    /// The one output `out`, whose content is known. Sets `outputHash` (SRI), `outputHashAlgo` and `outputHashMode` unless
    /// the environment has them already.
    #[must_use]
    pub fn fixed_output(mut self, ca: ContentAddress) -> Self {
        if !self.is_plain {
            self.describe_hash(&ca);
        }
        // An invalid name is reported by `build`, which computes the path again; until then any output will do.
        let output = match fixed_path(&self.parts.name, &ca) {
            Ok(path) => Output::Fixed { ca, path },
            Err(_) => Output::Deferred,
        };
        self.output("out", output)
    }

    fn describe_hash(&mut self, ca: &ContentAddress) {
        let hash = ca.hash();
        let mode = match aterm::method_of(ca) {
            ContentAddressMethod::Flat => "flat",
            ContentAddressMethod::Recursive => "recursive",
            ContentAddressMethod::Text => "text",
        };
        for (key, value) in [
            ("outputHash", hash.to_sri()),
            ("outputHashAlgo", hash.algorithm().to_string()),
            ("outputHashMode", mode.to_owned()),
        ] {
            self.parts
                .env
                .entry(key.to_owned())
                .or_insert_with(|| value.into_bytes());
        }
    }

    /// An output whose path follows from its content: recursive, SHA-256. Sets `outputHashMode` and `outputHashAlgo`, as an
    /// expression with `__contentAddressed` has them.
    #[must_use]
    pub fn floating_output(self, name: &str) -> Self {
        self.env("outputHashMode", "recursive")
            .env("outputHashAlgo", "sha256")
            .output(
                name,
                Output::Floating {
                    method: ContentAddressMethod::Recursive,
                    algorithm: HashAlgorithm::Sha256,
                },
            )
    }

    /// [`Self::floating_output`] by another method or algorithm, which the environment is not told.
    #[must_use]
    pub fn floating_output_with(
        self,
        name: &str,
        method: ContentAddressMethod,
        algorithm: HashAlgorithm,
    ) -> Self {
        self.output(name, Output::Floating { method, algorithm })
    }

    /// An output whose path follows from the derivation. With inputs, only [`Self::build_in`] knows it.
    #[must_use]
    pub fn input_addressed_output(self, name: &str) -> Self {
        self.output(name, Output::Deferred)
    }

    /// Finishes a derivation that needs to know nothing about its inputs.
    pub fn build(self) -> Result<Derivation, DerivationError> {
        let parts = self.finish();
        let input_addressed = parts
            .outputs
            .values()
            .any(|output| matches!(output, Output::Deferred));
        if input_addressed && !parts.input_derivations.is_empty() {
            return parts
                .invalid("its output paths follow from its inputs, so it needs their graph");
        }
        parts.check()?;
        if !input_addressed {
            return Ok(Derivation::from_checked(parts));
        }
        let masked = parts.masked_hash(&[]);
        Ok(Derivation::from_checked(
            parts.with_input_addressed_paths(&masked)?,
        ))
    }

    /// Finishes a derivation whose inputs are in a graph; needed for input-addressed outputs, possible for all.
    /// [`DerivationGraph::add`] also puts it there.
    pub fn build_in(self, graph: &DerivationGraph) -> Result<Derivation, GraphError> {
        let parts = self.into_parts()?;
        if parts.is_deferred() {
            Ok(graph.complete(parts)?.0)
        } else {
            Ok(Derivation::from_checked(parts))
        }
    }

    /// All parts, checked; input-addressed outputs are still deferred.
    pub(crate) fn into_parts(self) -> Result<Parts, DerivationError> {
        let parts = self.finish();
        parts.check()?;
        Ok(parts)
    }

    fn output(mut self, name: &str, output: Output) -> Self {
        if self.parts.outputs.insert(name.to_owned(), output).is_none() {
            self.output_names.push(name.to_owned());
        }
        self
    }

    /// Adds what `derivation` adds to the environment. `outputs` is only there when the attribute was written, which
    /// nobody does for a lone `out`.
    fn finish(self) -> Parts {
        let mut parts = self.parts;
        let mut set = |key: &str, value: &str| {
            parts.env.insert(key.to_owned(), value.as_bytes().to_vec());
        };
        if !self.is_plain {
            set("name", &parts.name);
            set("system", &parts.system);
            set("builder", &parts.builder);
            if self.output_names != ["out"] {
                set("outputs", &self.output_names.join(" "));
            }
        }
        for (name, output) in &parts.outputs {
            match output {
                Output::Floating { .. } => set(name, &placeholder(name)),
                Output::Deferred => set(name, ""),
                Output::Fixed { path, .. } | Output::InputAddressed(path) => {
                    set(name, &path.to_string());
                }
            }
        }
        parts
    }
}
