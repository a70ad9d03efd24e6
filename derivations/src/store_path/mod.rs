//! Store paths: names, the store directory, and how a path is computed from content.
//!
//! `/nix/store/HASH-NAME`: HASH is 20 bytes in 32 characters of nixbase32, NAME at most 211 bytes of a small alphabet.
//! A value of these types is always valid, so nobody checks again.

mod compute;
mod content_address;
mod name;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use nix_derivation as upstream;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use content_address::{ContentAddress, content_addressed_path};
pub use name::StorePathName;

pub(crate) use compute::{input_addressed_path, scratch_path, text_path};
pub(crate) use name::check as check_name;

/// The store directory: part of every hash, so the same for everyone, whatever folder holds the store.
pub const STORE_DIR: &str = "/nix/store";

const HASH_CHARS: usize = 32;

/// A text is not a store path, or a path cannot be computed from what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorePathError {
    /// Not directly below the store directory, a broken hash part or a name outside the rules.
    #[error("{text:?} is not a store path: {reason}")]
    Malformed {
        /// The text as it was given, cut at 300 characters.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Names have 1 to 211 bytes of letters, digits and `+-._?=`, and are not forms of `.` or `..`.
    #[error("{name:?} cannot name a store path: {reason}")]
    Name {
        /// The name as it was given, cut at 300 characters.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Only text and recursive SHA-256 paths may refer to others, and only the latter to itself.
    #[error("the path of {name:?} cannot be computed: {reason}")]
    References {
        /// The name of the path that was wanted.
        name: String,
        /// Which rule forbids it.
        reason: String,
    },
}

impl StorePathError {
    fn malformed(text: &str, reason: impl fmt::Display) -> Self {
        Self::Malformed {
            text: text.chars().take(300).collect(),
            reason: reason.to_string(),
        }
    }
}

/// A valid store path. Ordered by base name, cheap to clone.
///
/// Its text is the absolute path, in `Display` and in serde.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath {
    /// `HASH-NAME`: 32 characters of nixbase32, a hyphen and a valid name, all ASCII.
    base_name: Arc<str>,
}

impl StorePath {
    /// Reads `/nix/store/HASH-NAME`.
    pub fn parse(path: &str) -> Result<Self, StorePathError> {
        let base_name = path
            .strip_prefix(STORE_DIR)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| {
                StorePathError::malformed(path, format_args!("it does not start with {STORE_DIR}/"))
            })?;
        Self::from_base_name(base_name)
    }

    /// Reads `HASH-NAME`.
    pub fn from_base_name(base_name: &str) -> Result<Self, StorePathError> {
        if !is_base_name(base_name) {
            // Upstream has the words for what is wrong, and the last one.
            let parsed = upstream::StorePath::from_basename(base_name.as_bytes())
                .map_err(|error| StorePathError::malformed(base_name, error))?;
            debug_assert_eq!(parsed.to_basename(), base_name);
        }
        Ok(Self {
            base_name: base_name.into(),
        })
    }

    /// `HASH-NAME`, as a folder of the store lists it.
    pub fn base_name(&self) -> String {
        self.base_name.as_ref().to_owned()
    }

    /// [`Self::base_name`] without a copy.
    pub fn as_base_name(&self) -> &str {
        &self.base_name
    }

    /// What follows the hash part.
    pub fn name(&self) -> &str {
        &self.base_name[HASH_CHARS + 1..]
    }

    /// The 32 characters before the name; what reference scanning looks for.
    pub fn hash_part(&self) -> &str {
        &self.base_name[..HASH_CHARS]
    }

    /// Whether this names a `.drv` file.
    pub fn is_derivation(&self) -> bool {
        self.name().ends_with(".drv")
    }

    pub(crate) fn from_upstream(path: &upstream::StorePath) -> Self {
        Self {
            base_name: path.to_basename().into(),
        }
    }

    pub(crate) fn to_upstream(&self) -> upstream::StorePath {
        upstream::StorePath::from_basename(self.base_name.as_bytes())
            .expect("a store path was valid when it was made")
    }
}

/// Whether this is 32 characters of nixbase32, a hyphen and a name.
fn is_base_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > HASH_CHARS
        && bytes[HASH_CHARS] == b'-'
        && bytes[..HASH_CHARS].iter().all(|byte| {
            matches!(byte, b'0'..=b'9' | b'a'..=b'z') && !matches!(byte, b'e' | b'o' | b't' | b'u')
        })
        && name::fault(&text[HASH_CHARS + 1..]).is_none()
}

impl fmt::Display for StorePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(STORE_DIR)?;
        formatter.write_str("/")?;
        formatter.write_str(&self.base_name)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StorePath({self})")
    }
}

impl FromStr for StorePath {
    type Err = StorePathError;

    fn from_str(path: &str) -> Result<Self, StorePathError> {
        Self::parse(path)
    }
}

impl Serialize for StorePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StorePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
