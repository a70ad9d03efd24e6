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
//! escape `"`, `\`, newline, carriage return and tab; all other bytes stand for themselves. The system escapes nothing.
//! Reading is `nix-derivation`'s; the writer is ours, because hash modulo and realisation ids need two more forms of the
//! same text. What is read must be what the writer writes, which makes each the judge of the other.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use nix_derivation as upstream;

use super::output::{ContentAddressMethod, Output};
use super::{DerivationError, MAX_ATERM_BYTES, Parts, STRUCTURED_ATTRS};
use crate::digest::{HashAlgorithm, Sha256, push_hex};
use crate::store_path::{ContentAddress, STORE_DIR, StorePath, text_path};

/// Which text of a derivation is wanted.
pub(super) struct Form<'a> {
    /// In place of the input derivations: their hashes modulo and what is taken from each, sorted.
    pub(super) inputs: Option<&'a [(Sha256, &'a BTreeSet<String>)]>,
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
        Some(inputs) => list(
            &mut text,
            inputs.chunk_by(|one, other| one.0 == other.0),
            |text, same| {
                text.extend_from_slice(b"(\"");
                push_hex(text, same[0].0.as_bytes());
                text.extend_from_slice(b"\",");
                write_hashed_outputs(text, same);
                text.push(b')');
            },
        ),
    }
    text.push(b',');
    list(&mut text, &parts.input_sources, |text, path| {
        store_path(text, path)
    });
    text.push(b',');
    text.push(b'"');
    text.extend_from_slice(parts.system.as_bytes());
    text.push(b'"');
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

/// The outputs taken from all inputs that share a hash.
fn write_hashed_outputs(text: &mut Vec<u8>, same: &[(Sha256, &BTreeSet<String>)]) {
    let string = |text: &mut Vec<u8>, output: &String| string(text, output.as_bytes());
    match same {
        [(_, outputs)] => list(text, *outputs, string),
        several => {
            let outputs: BTreeSet<&String> =
                several.iter().flat_map(|(_, outputs)| *outputs).collect();
            list(text, outputs, |text, output| string(text, output));
        }
    }
}

fn write_output(text: &mut Vec<u8>, name: &str, output: &Output, mask: bool) {
    text.push(b'(');
    string(text, name.as_bytes());
    text.push(b',');
    match output.path() {
        Some(path) if !mask => store_path(text, path),
        _ => string(text, b""),
    }
    text.extend_from_slice(b",\"");
    match output {
        Output::InputAddressed(_) | Output::Deferred => text.extend_from_slice(b"\",\""),
        Output::Fixed { ca, .. } => {
            let hash = ca.hash();
            text.extend_from_slice(method_of(ca).prefix().as_bytes());
            text.extend_from_slice(hash.algorithm().as_str().as_bytes());
            text.extend_from_slice(b"\",\"");
            push_hex(text, hash.as_bytes());
        }
        Output::Floating { method, algorithm } => {
            text.extend_from_slice(method.prefix().as_bytes());
            text.extend_from_slice(algorithm.as_str().as_bytes());
            text.extend_from_slice(b"\",\"");
        }
    }
    text.extend_from_slice(b"\")");
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
    // Most values need no escape, and looking at many bytes at once says so soonest.
    for chunk in value.chunks(64) {
        if chunk
            .iter()
            .fold(false, |any, byte| any | escape(*byte).is_some())
        {
            for byte in chunk {
                match escape(*byte) {
                    Some(escaped) => text.extend_from_slice(&[b'\\', escaped]),
                    None => text.push(*byte),
                }
            }
        } else {
            text.extend_from_slice(chunk);
        }
    }
    text.push(b'"');
}

/// What stands behind a backslash for this byte.
const fn escape(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        _ => None,
    }
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

/// The path of the `.drv` file: that of a text which refers to all inputs. The name has been checked.
pub(super) fn path(parts: &Parts) -> StorePath {
    let digest = Sha256::of(&write(parts));
    text_path(&format!("{}.drv", parts.name), &digest, references(parts))
}

/// Everything that the text refers to, sorted, none of them twice.
fn references(parts: &Parts) -> impl Iterator<Item = &StorePath> {
    let mut derivations = parts.input_derivations.keys().peekable();
    let mut sources = parts.input_sources.iter().peekable();
    std::iter::from_fn(move || match (derivations.peek(), sources.peek()) {
        (Some(derivation), Some(source)) => match derivation.cmp(source) {
            Ordering::Less => derivations.next(),
            Ordering::Greater => sources.next(),
            Ordering::Equal => {
                derivations.next();
                sources.next()
            }
        },
        (Some(_), None) => derivations.next(),
        (None, _) => sources.next(),
    })
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
