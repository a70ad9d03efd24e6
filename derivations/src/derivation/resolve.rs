//! Puts what inputs were realised as in place of the inputs.

use std::collections::BTreeMap;

use super::{Derivation, DerivationError, Output, Parts, downstream_placeholder};
use crate::store_path::StorePath;

/// Characters of a placeholder after its slash: a SHA-256 in nixbase32.
const PLACEHOLDER_CHARS: usize = 52;

/// The parts of the resolved derivation; deferred outputs are still deferred.
pub(super) fn resolve(
    derivation: &Derivation,
    realised: &BTreeMap<(StorePath, String), StorePath>,
) -> Result<Parts, DerivationError> {
    let mut parts = derivation.parts.as_ref().clone();
    let mut paths = BTreeMap::new();
    for (input, outputs) in std::mem::take(&mut parts.input_derivations) {
        for output in outputs {
            let key = (input.clone(), output);
            let Some(path) = realised.get(&key) else {
                let (input, output) = key;
                return Err(DerivationError::Unresolved {
                    derivation: derivation.path(),
                    input,
                    output,
                });
            };
            paths.insert(downstream_placeholder(&key.0, &key.1), path.to_string());
            parts.input_sources.insert(path.clone());
        }
    }
    parts.builder = replace_text(parts.builder, &paths);
    for arg in &mut parts.args {
        *arg = replace_text(std::mem::take(arg), &paths);
    }
    parts.env = std::mem::take(&mut parts.env)
        .into_iter()
        .map(|(key, value)| (replace_text(key, &paths), replace(value, &paths)))
        .collect();
    for (name, output) in &parts.outputs {
        if *output == Output::Deferred {
            parts.env.insert(name.clone(), Vec::new());
        }
    }
    Ok(parts)
}

fn replace_text(text: String, paths: &BTreeMap<String, String>) -> String {
    String::from_utf8(replace(text.into_bytes(), paths))
        .expect("replacing whole ASCII texts by ASCII texts leaves UTF-8")
}

/// Replaces in one pass, so that nothing that was put in is looked at again. A placeholder is a slash and 52 characters,
/// and each slash starts at most one.
fn replace(value: Vec<u8>, paths: &BTreeMap<String, String>) -> Vec<u8> {
    if paths.is_empty() || !value.contains(&b'/') {
        return value;
    }
    let mut replaced = Vec::with_capacity(value.len());
    let mut rest = value.as_slice();
    while let Some(slash) = rest.iter().position(|byte| *byte == b'/') {
        replaced.extend_from_slice(&rest[..slash]);
        rest = &rest[slash..];
        let path = rest
            .get(..=PLACEHOLDER_CHARS)
            .and_then(|candidate| std::str::from_utf8(candidate).ok())
            .and_then(|candidate| paths.get(candidate));
        match path {
            Some(path) => {
                replaced.extend_from_slice(path.as_bytes());
                rest = &rest[PLACEHOLDER_CHARS + 1..];
            }
            None => {
                replaced.push(b'/');
                rest = &rest[1..];
            }
        }
    }
    replaced.extend_from_slice(rest);
    replaced
}
