//! The text of a `.drv` file.
//!
//! ```text
//! derivation ::= Derive(outputs,inputs,sources,system,builder,arguments,environment)
//! outputs    ::= [ ("name","path","method+algorithm","digest") … ]      sorted by name
//! inputs     ::= [ ("/nix/store/….drv",["output" …]) … ]                 sorted by path, outputs sorted
//! sources    ::= [ "/nix/store/…" … ]                                    sorted
//! system, builder ::= "…"      arguments ::= [ "…" … ]
//! environment ::= [ ("name","value") … ]                                 sorted by name
//! ```
//!
//! Lists are separated by commas, nothing else stands between the tokens, and there is no newline at the end. Strings
//! escape `"`, `\`, newline, carriage return and tab; all other bytes stand for themselves.
//! Reading is `nix-derivation`'s; the writer is ours, because hash modulo and realisation ids need two more forms of the
//! same text. What is read must be what the writer writes, which makes each the judge of the other.

use std::collections::{BTreeMap, BTreeSet};

use nix_derivation as upstream;
use upstream::store_path::build_text_path;

use super::output::{ContentAddressMethod, Output};
use super::{DerivationError, MAX_ATERM_BYTES, Parts, STRUCTURED_ATTRS};
use crate::digest::{HashAlgorithm, Sha256};
use crate::store_path::{ContentAddress, STORE_DIR, StorePath};

/// Which text of a derivation is wanted.
pub(super) struct Form<'a> {
    /// In place of the input derivations: the hash modulo of each, with the outputs taken from all that share it.
    pub(super) inputs: Option<&'a BTreeMap<Sha256, BTreeSet<String>>>,
    /// Leaves out what follows from the derivation itself: output paths, and the variables named like outputs.
    pub(super) mask_outputs: bool,
}

/// The text of the `.drv` file itself.
pub(super) fn write(parts: &Parts) -> Vec<u8> {
    write_form(
        parts,
        &Form {
            inputs: None,
            mask_outputs: false,
        },
    )
}

/// The text in one of its forms.
pub(super) fn write_form(parts: &Parts, form: &Form<'_>) -> Vec<u8> {
    let mut text = Vec::with_capacity(2048);
    text.extend_from_slice(b"Derive(");
    list(&mut text, &parts.outputs, |text, (name, output)| {
        write_output(text, name, output, form.mask_outputs);
    });
    text.push(b',');
    match form.inputs {
        None => list(
            &mut text,
            &parts.input_derivations,
            |text, (path, outputs)| {
                text.push(b'(');
                store_path(text, path);
                text.push(b',');
                list(text, outputs, |text, output| {
                    string(text, output.as_bytes())
                });
                text.push(b')');
            },
        ),
        Some(inputs) => list(&mut text, inputs, |text, (digest, outputs)| {
            text.push(b'(');
            string(text, digest.to_string().as_bytes());
            text.push(b',');
            list(text, outputs, |text, output| {
                string(text, output.as_bytes())
            });
            text.push(b')');
        }),
    }
    text.push(b',');
    list(&mut text, &parts.input_sources, |text, path| {
        store_path(text, path)
    });
    text.push(b',');
    string(&mut text, parts.system.as_bytes());
    text.push(b',');
    string(&mut text, parts.builder.as_bytes());
    text.push(b',');
    list(&mut text, &parts.args, |text, arg| {
        string(text, arg.as_bytes())
    });
    text.push(b',');
    list(&mut text, &parts.env, |text, (key, value)| {
        let masked = form.mask_outputs && parts.outputs.contains_key(key);
        text.push(b'(');
        string(text, key.as_bytes());
        text.push(b',');
        string(text, if masked { b"" } else { value });
        text.push(b')');
    });
    text.push(b')');
    text
}

fn write_output(text: &mut Vec<u8>, name: &str, output: &Output, mask: bool) {
    text.push(b'(');
    string(text, name.as_bytes());
    text.push(b',');
    match output.path() {
        Some(path) if !mask => store_path(text, path),
        _ => string(text, b""),
    }
    let (method, digest) = match output {
        Output::InputAddressed(_) | Output::Deferred => (String::new(), String::new()),
        Output::Fixed { ca, .. } => {
            let hash = ca.hash();
            let prefix = method_of(ca).prefix();
            (format!("{prefix}{}", hash.algorithm()), hash.to_hex())
        }
        Output::Floating { method, algorithm } => {
            (format!("{}{algorithm}", method.prefix()), String::new())
        }
    };
    text.push(b',');
    string(text, method.as_bytes());
    text.push(b',');
    string(text, digest.as_bytes());
    text.push(b')');
}

fn list<T>(
    text: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    text.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        write(text, item);
    }
    text.push(b']');
}

fn string(text: &mut Vec<u8>, value: &[u8]) {
    text.push(b'"');
    let mut start = 0;
    for (index, byte) in value.iter().enumerate() {
        let escaped = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => continue,
        };
        text.extend_from_slice(&value[start..index]);
        text.extend_from_slice(&[b'\\', escaped]);
        start = index + 1;
    }
    text.extend_from_slice(&value[start..]);
    text.push(b'"');
}

/// A store path has no byte that needs escaping.
fn store_path(text: &mut Vec<u8>, path: &StorePath) {
    text.push(b'"');
    text.extend_from_slice(STORE_DIR.as_bytes());
    text.push(b'/');
    text.extend_from_slice(path.as_base_name().as_bytes());
    text.push(b'"');
}

pub(super) const fn method_of(ca: &ContentAddress) -> ContentAddressMethod {
    match ca {
        ContentAddress::Text(_) => ContentAddressMethod::Text,
        ContentAddress::Flat(_) => ContentAddressMethod::Flat,
        ContentAddress::Recursive(_) => ContentAddressMethod::Recursive,
    }
}

/// The path of the `.drv` file: that of a text which refers to all inputs.
pub(super) fn path(parts: &Parts) -> Result<StorePath, DerivationError> {
    let references: Vec<_> = parts.references().map(StorePath::to_upstream).collect();
    build_text_path(&format!("{}.drv", parts.name), &write(parts), &references)
        .map(|path| StorePath::from_upstream(&path))
        .or_else(|error| parts.invalid(error))
}

/// Reads a text and makes sure that it is the one [`write`] gives.
pub(super) fn parse(name: &str, text: &[u8]) -> Result<Parts, DerivationError> {
    if text.len() > MAX_ATERM_BYTES {
        return Err(DerivationError::TooLarge {
            name: name.to_owned(),
            size: text.len(),
        });
    }
    let malformed = |reason: String| DerivationError::Malformed {
        name: name.to_owned(),
        reason,
    };
    let parsed = upstream::Derivation::from_aterm_bytes(text, name)
        .map_err(|error| malformed(error.to_string()))?;
    let parts = from_upstream(&parsed).map_err(malformed)?;
    let canonical = write(&parts);
    if canonical == text {
        return Ok(parts);
    }
    let offset = canonical
        .iter()
        .zip(text)
        .take_while(|(a, b)| a == b)
        .count();
    Err(DerivationError::NotCanonical {
        name: name.to_owned(),
        offset,
    })
}

fn from_upstream(parsed: &upstream::Derivation) -> Result<Parts, String> {
    let mut outputs = BTreeMap::new();
    for (output_name, output) in parsed.outputs() {
        let path = output
            .path(parsed.name(), output_name)
            .map_err(|error| error.to_string())?;
        outputs.insert(output_name.clone(), output_from_upstream(output, path)?);
    }
    let mut input_derivations = BTreeMap::new();
    for (path, input) in parsed.input_derivations() {
        if input.is_dynamic() {
            return Err("dynamic derivations are not supported".to_owned());
        }
        input_derivations.insert(StorePath::from_upstream(path), input.outputs().clone());
    }
    let mut env = parsed.environment().clone();
    if let Some(attrs) = parsed.structured_attrs() {
        env.insert(STRUCTURED_ATTRS.to_owned(), attrs.canonical_json().to_vec());
    }
    Ok(Parts {
        name: parsed.name().to_owned(),
        outputs,
        input_derivations,
        input_sources: parsed
            .input_sources()
            .iter()
            .map(StorePath::from_upstream)
            .collect(),
        system: parsed.system().to_owned(),
        builder: parsed.builder().to_owned(),
        args: parsed.arguments().to_vec(),
        env,
    })
}

fn output_from_upstream(
    output: &upstream::Output,
    path: Option<upstream::StorePath>,
) -> Result<Output, String> {
    Ok(match output {
        upstream::Output::InputAddressed { path } => {
            Output::InputAddressed(StorePath::from_upstream(path))
        }
        upstream::Output::Fixed { ca } => Output::Fixed {
            ca: ContentAddress::from_upstream(ca).ok_or("the git method is not supported")?,
            path: StorePath::from_upstream(&path.ok_or("a fixed output has no path")?),
        },
        upstream::Output::Floating {
            method,
            hash_algorithm,
        } => Output::Floating {
            method: match method {
                upstream::ContentAddressMethod::Flat => ContentAddressMethod::Flat,
                upstream::ContentAddressMethod::Nar => ContentAddressMethod::Recursive,
                upstream::ContentAddressMethod::Text => ContentAddressMethod::Text,
                upstream::ContentAddressMethod::Git => {
                    return Err("the git method is not supported".to_owned());
                }
            },
            algorithm: HashAlgorithm::from_upstream(*hash_algorithm),
        },
        upstream::Output::Deferred => Output::Deferred,
        upstream::Output::Impure { .. } => {
            return Err("impure outputs are not supported".to_owned());
        }
    })
}
