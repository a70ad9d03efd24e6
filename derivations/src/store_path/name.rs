//! The name part of a store path.

use std::fmt;
use std::str::FromStr;

use super::StorePathError;

/// The longest name, in bytes: with the hash part it still fits a file name with room for `.lock` and the like.
const MAX_LEN: usize = 211;

/// A name that a store path may have, by the rules of Nix 2.26 and newer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePathName(String);

impl StorePathName {
    /// Checks a name.
    pub fn parse(name: &str) -> Result<Self, StorePathError> {
        check(name)?;
        Ok(Self(name.to_owned()))
    }

    /// Makes a name from any text: other bytes become `_`, a leading dot too, and what is too long is cut.
    pub fn sanitized(text: &str) -> Self {
        let mut name: String = text
            .bytes()
            .take(MAX_LEN)
            .map(|byte| if allowed(byte) { char::from(byte) } else { '_' })
            .collect();
        if name.is_empty() || name.starts_with('.') {
            name.replace_range(..usize::from(!name.is_empty()), "_");
        }
        debug_assert_eq!(fault(&name), None);
        Self(name)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text may be a name.
pub(crate) fn check(name: &str) -> Result<(), StorePathError> {
    match fault(name) {
        None => Ok(()),
        Some(reason) => Err(StorePathError::Name {
            name: name.chars().take(300).collect(),
            reason,
        }),
    }
}

fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte)
}

/// What is wrong with a name, if anything.
pub(super) fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > MAX_LEN {
        Some("it is longer than 211 bytes")
    } else if !name.bytes().all(allowed) {
        Some("it has characters other than letters, digits and +-._?=")
    } else if matches!(name.split('-').next(), Some("." | "..")) {
        Some("its part before the first hyphen is . or ..")
    } else {
        None
    }
}

impl fmt::Display for StorePathName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for StorePathName {
    type Err = StorePathError;

    fn from_str(name: &str) -> Result<Self, StorePathError> {
        Self::parse(name)
    }
}
