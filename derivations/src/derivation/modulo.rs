//! Hash modulo: what a derivation is, whichever way its fixed inputs are fetched.
//!
//! The hash of a derivation's text would change with every URL below it. So each input derivation is replaced by its own
//! hash modulo before hashing, and a fixed output's is made from its content address alone. Of everything else there are
//! two: one that stands for the derivation where it is taken in, and a masked one, of the text without its own output
//! paths, which names its realisations and its input-addressed outputs.

use std::collections::BTreeSet;

use super::aterm::{Form, method_of, write_form};
use super::output::{Output, check_path_name};
use super::{Derivation, DerivationError, Parts};
use crate::digest::Sha256;
use crate::store_path::{StorePath, input_addressed_path};

/// The hash modulo of each input derivation, and the outputs that are taken from it; sorted.
pub(crate) type InputHashes<'a> = [(Sha256, &'a BTreeSet<String>)];

impl Parts {
    /// For a fixed output, the one hash that it has, whatever its inputs are.
    pub(crate) fn fixed_hash(&self) -> Option<Sha256> {
        let Some(Output::Fixed { ca, path }) = self.outputs.get("out") else {
            return None;
        };
        let hash = ca.hash();
        let text = format!(
            "fixed:out:{}{}:{}:{path}",
            method_of(ca).prefix(),
            hash.algorithm(),
            hash.to_hex()
        );
        Some(Sha256::of(text.as_bytes()))
    }

    /// What stands for it in the text of those who take it in. Not for fixed outputs.
    pub(crate) fn hash_as_input(&self, inputs: &InputHashes<'_>) -> Sha256 {
        self.hash(inputs, false)
    }

    /// Of the text without its own output paths. Not for fixed outputs.
    pub(crate) fn masked_hash(&self, inputs: &InputHashes<'_>) -> Sha256 {
        self.hash(inputs, true)
    }

    fn hash(&self, inputs: &InputHashes<'_>, mask_outputs: bool) -> Sha256 {
        Sha256::of(&write_form(
            self,
            &Form {
                inputs: Some(inputs),
                mask_outputs,
            },
        ))
    }

    /// Whether leaving out output paths leaves out nothing, so that both hashes are one.
    pub(crate) fn is_masked(&self) -> bool {
        self.outputs.iter().all(|(name, output)| {
            output.path().is_none() && self.env.get(name).is_none_or(Vec::is_empty)
        })
    }

    /// Puts the paths that follow from the masked hash in place of deferred outputs.
    pub(crate) fn with_input_addressed_paths(
        mut self,
        masked: &Sha256,
    ) -> Result<Self, DerivationError> {
        for (output, path) in self.input_addressed_paths(masked)? {
            let text = path.to_string().into_bytes();
            self.env.insert(output.clone(), text);
            self.outputs.insert(output, Output::InputAddressed(path));
        }
        Ok(self)
    }

    fn input_addressed_paths(
        &self,
        masked: &Sha256,
    ) -> Result<Vec<(String, StorePath)>, DerivationError> {
        self.outputs
            .keys()
            .map(|output| Ok((output.clone(), self.input_addressed_path(output, masked)?)))
            .collect()
    }

    /// Where an input-addressed output is, by the masked hash.
    fn input_addressed_path(
        &self,
        output: &str,
        masked: &Sha256,
    ) -> Result<StorePath, DerivationError> {
        let name = check_path_name(&self.name, output).map_err(|source| self.path_error(source))?;
        Ok(input_addressed_path(&name, output, masked))
    }
}

impl Derivation {
    /// DRV-2: an input-addressed output must be where the derivation's hash puts it, and must be deferred when that hash
    /// is not known yet (`None`). `Ok` for all other kinds: those were checked when the derivation was made.
    pub(crate) fn check_output_paths(
        &self,
        masked: Option<&Sha256>,
    ) -> Result<(), DerivationError> {
        for (name, output) in self.outputs() {
            let Output::InputAddressed(path) = output else {
                continue;
            };
            let Some(masked) = masked else {
                return self.parts.invalid(format_args!(
                    "its output {name:?} claims {path}, but an input has no path yet"
                ));
            };
            let expected = self.parts.input_addressed_path(name, masked)?;
            if *path != expected {
                return self.parts.invalid(format_args!(
                    "its output {name:?} claims {path}, but its content gives {expected}"
                ));
            }
        }
        Ok(())
    }
}
