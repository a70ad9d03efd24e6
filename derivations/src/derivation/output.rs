//! What a derivation makes, and what is known about it before it is made.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{DerivationError, Parts};
use crate::digest::HashAlgorithm;
use crate::store_path::{
    ContentAddress, StorePath, StorePathError, StorePathName, check_name, content_addressed_path,
};

/// One output of a derivation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The path follows from the derivation.
    InputAddressed(StorePath),
    /// The content is known beforehand, so the path is too.
    Fixed {
        /// What the content must be.
        ca: ContentAddress,
        /// Where it will be; follows from `ca` and the derivation's name.
        path: StorePath,
    },
    /// The path follows from the content, once that is there.
    Floating {
        /// How the content is hashed.
        method: ContentAddressMethod,
        /// With which algorithm.
        algorithm: HashAlgorithm,
    },
    /// Input-addressed, but an input has no path yet.
    Deferred,
}

impl Output {
    /// The path, where it is known before building.
    pub const fn path(&self) -> Option<&StorePath> {
        match self {
            Self::InputAddressed(path) | Self::Fixed { path, .. } => Some(path),
            Self::Floating { .. } | Self::Deferred => None,
        }
    }
}

/// How content becomes a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentAddressMethod {
    /// The bytes of one file.
    Flat,
    /// The archive of a tree.
    Recursive,
    /// The bytes of one text file, which may refer to other paths.
    Text,
}

impl ContentAddressMethod {
    /// The name in Nix's JSON: `flat`, `nar` or `text`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Recursive => "nar",
            Self::Text => "text",
        }
    }

    /// What stands before the algorithm in texts.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Flat => "",
            Self::Recursive => "r:",
            Self::Text => "text:",
        }
    }
}

/// The name of an output's path, which is the derivation's own for `out`; an error if it is not valid.
pub(super) fn check_path_name<'a>(
    derivation: &'a str,
    output: &str,
) -> Result<Cow<'a, str>, StorePathError> {
    let name = if output == "out" {
        Cow::Borrowed(derivation)
    } else {
        Cow::Owned(format!("{derivation}-{output}"))
    };
    check_name(&name)?;
    Ok(name)
}

/// Where a fixed output of this derivation will be.
pub(super) fn fixed_path(
    derivation: &str,
    ca: &ContentAddress,
) -> Result<StorePath, StorePathError> {
    let name = StorePathName::parse(derivation)?;
    content_addressed_path(&name, ca, &BTreeSet::new(), false)
}

/// The output names that Nix accepts: those of store paths, except `drv`.
pub(super) fn check_output_name(parts: &Parts, output: &str) -> Result<(), DerivationError> {
    if output == "drv" {
        return parts.invalid("an output cannot be called drv");
    }
    check_name(output).map_err(|source| parts.path_error(source))
}

/// One kind of output per derivation; a fixed one is alone and called `out`.
pub(super) fn check(parts: &Parts) -> Result<(), DerivationError> {
    let Some(first) = parts.outputs.values().next() else {
        return parts.invalid("it has no output");
    };
    for (name, output) in &parts.outputs {
        check_output_name(parts, name)?;
        check_path_name(&parts.name, name).map_err(|source| parts.path_error(source))?;
        if std::mem::discriminant(first) != std::mem::discriminant(output) {
            return parts.invalid("its outputs are of different kinds");
        }
        match (first, output) {
            (
                Output::Floating { algorithm, .. },
                Output::Floating {
                    algorithm: other, ..
                },
            ) if algorithm != other => {
                return parts.invalid("its floating outputs have different hash algorithms");
            }
            (Output::Fixed { .. }, _) if parts.outputs.len() != 1 || name != "out" => {
                return parts.invalid("a fixed output must be the only one and be called out");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Paths that are known are those of the content, and stand in the environment too.
pub(super) fn check_known_paths(parts: &Parts) -> Result<(), DerivationError> {
    for (name, output) in &parts.outputs {
        if let Some(path) = output.path() {
            check_known_path(parts, name, output, path)?;
        }
    }
    Ok(())
}

fn check_known_path(
    parts: &Parts,
    name: &str,
    output: &Output,
    path: &StorePath,
) -> Result<(), DerivationError> {
    if let Output::Fixed { ca, .. } = output {
        let expected = fixed_path(&parts.name, ca).map_err(|source| parts.path_error(source))?;
        if *path != expected {
            return parts.invalid(format_args!(
                "its fixed output claims {path}, but its content address gives {expected}"
            ));
        }
    }
    match parts.env.get(name) {
        Some(value) if value == path.to_string().as_bytes() => Ok(()),
        Some(value) => parts.invalid(format_args!(
            "its output {name:?} is {path}, but the environment says {:?}",
            String::from_utf8_lossy(value)
        )),
        None if parts.env.contains_key(super::STRUCTURED_ATTRS) => Ok(()),
        None => parts.invalid(format_args!(
            "its output {name:?} is missing from the environment"
        )),
    }
}
