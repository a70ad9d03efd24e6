//! Hash modulo: what a derivation is, whichever way its fixed inputs are fetched.
//!
//! The hash of a derivation's text would change with every URL below it. So each input derivation is replaced by its own
//! hash modulo before hashing, and a fixed output's is made from its content address alone.

use std::collections::{BTreeMap, BTreeSet};

use super::aterm::{Form, method_of, write_form};
use super::output::{Output, path_name};
use super::{Derivation, DerivationError};
use crate::digest::Sha256;
use crate::store_path::StorePath;

/// The hashes of one derivation that others need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// What stands for it in the text of those who take it in.
    pub(crate) as_input: Sha256,
    /// Of the text without its own output paths: names its realisations, and its input-addressed outputs.
    pub(crate) masked: Sha256,
    /// Some output path, its own or of an input, is not known before building.
    pub(crate) deferred: bool,
}

impl Identity {
    /// Of a derivation with these inputs, which are all that it takes in.
    pub(crate) fn of(derivation: &Derivation, inputs: &BTreeMap<&StorePath, &Self>) -> Self {
        if let Some((ca, path)) = derivation.fixed_output() {
            let hash = ca.hash();
            let digest = Sha256::of(
                format!(
                    "fixed:out:{}{}:{}:{path}",
                    method_of(ca).prefix(),
                    hash.algorithm(),
                    hash.to_hex()
                )
                .as_bytes(),
            );
            return Self {
                as_input: digest,
                masked: digest,
                deferred: false,
            };
        }
        let mut deferred = derivation
            .outputs()
            .values()
            .any(|output| output.path().is_none());
        let mut hashes: BTreeMap<Sha256, BTreeSet<String>> = BTreeMap::new();
        for (path, identity) in inputs {
            deferred |= identity.deferred;
            let outputs = &derivation.input_derivations()[*path];
            hashes
                .entry(identity.as_input)
                .or_default()
                .extend(outputs.iter().cloned());
        }
        let hash = |mask_outputs| {
            let inputs = Some(&hashes);
            Sha256::of(&write_form(
                &derivation.parts,
                &Form {
                    inputs,
                    mask_outputs,
                },
            ))
        };
        Self {
            as_input: hash(false),
            masked: hash(true),
            deferred,
        }
    }
}

impl Derivation {
    /// DRV-2: an input-addressed output must be where the derivation's hash puts it, and must be deferred when that hash
    /// is not known yet. `Ok` for all other kinds: those were checked when the derivation was made.
    pub(crate) fn check_output_paths(
        &self,
        identity: &Identity,
        inputs_deferred: bool,
    ) -> Result<(), DerivationError> {
        for (name, output) in self.outputs() {
            let Output::InputAddressed(path) = output else {
                continue;
            };
            if inputs_deferred {
                return self.parts.invalid(format_args!(
                    "its output {name:?} claims {path}, but an input has no path yet"
                ));
            }
            let expected = input_addressed_path(self.name(), name, &identity.masked)
                .map_err(|source| self.parts.path_error(source))?;
            if *path != expected {
                return self.parts.invalid(format_args!(
                    "its output {name:?} claims {path}, but its content gives {expected}"
                ));
            }
        }
        Ok(())
    }
}

impl Derivation {
    /// Puts the paths that follow from the masked hash in place of deferred outputs.
    pub(super) fn with_input_addressed_paths(
        &self,
        identity: &Identity,
    ) -> Result<Self, DerivationError> {
        let mut parts = self.parts.as_ref().clone();
        for (name, output) in &mut parts.outputs {
            let path = input_addressed_path(self.name(), name, &identity.masked)
                .map_err(|source| self.parts.path_error(source))?;
            parts
                .env
                .insert(name.clone(), path.to_string().into_bytes());
            *output = Output::InputAddressed(path);
        }
        Self::from_parts(parts)
    }
}

/// Where an input-addressed output is, by the masked hash of its derivation.
fn input_addressed_path(
    derivation: &str,
    output: &str,
    masked: &Sha256,
) -> Result<StorePath, crate::StorePathError> {
    path_name(derivation, output)?;
    nix_derivation::store_path::build_output_path((*masked.as_bytes()).into(), output, derivation)
        .map(|path| StorePath::from_upstream(&path))
        .map_err(|error| crate::StorePathError::References {
            name: derivation.to_owned(),
            reason: error.to_string(),
        })
}
