//! Digests and their texts.
//!
//! SHA-256 is what Nix and OCI speak, BLAKE3 finds contents inside a store; they are different types, so the compiler
//! keeps them apart. [`NixHash`] is for the places where Nix allows other algorithms: fixed outputs.
//! Hashing happens while streaming, through one reader or writer that counts and digests.

mod blake3;
mod nix_hash;
mod sha256;
mod streams;

pub use blake3::{Blake3, Blake3Hasher};
pub use nix_hash::{HashAlgorithm, NixHash, NixHasher};
pub use sha256::{Sha256, Sha256Hasher};
pub use streams::{HashingReader, HashingWriter};

/// A text is not a digest, or not one of the wanted algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Wrong length, wrong alphabet or an unknown algorithm.
    #[error("{text:?} is not a digest: {reason}")]
    Malformed {
        /// The text as it was given, cut at 80 characters.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A well-formed digest of another algorithm.
    #[error("{text:?} is a digest of {found}, expected {expected}")]
    Algorithm {
        /// The text as it was given.
        text: String,
        /// The algorithm it names.
        found: HashAlgorithm,
        /// The algorithm that was wanted.
        expected: HashAlgorithm,
    },
}

impl DigestError {
    pub(crate) fn malformed(text: &str, reason: impl std::fmt::Display) -> Self {
        Self::Malformed {
            text: text.chars().take(80).collect(),
            reason: reason.to_string(),
        }
    }

    /// The upstream messages quote the text again, at full length.
    pub(crate) fn from_upstream(text: &str, error: &nix_derivation::hash::Error) -> Self {
        use nix_derivation::hash::Error;
        match error {
            Error::UnknownAlgorithm(_) => Self::malformed(
                text,
                "expected one of the algorithms md5, sha1, sha256, sha512 and blake3",
            ),
            Error::UnknownContentAddressMethod(_) => {
                Self::malformed(text, "unknown content address method")
            }
            Error::Unparseable(_) => Self::malformed(
                text,
                "expected ALGORITHM:DIGEST in base16, nixbase32 or base64, or ALGORITHM-BASE64",
            ),
            error => Self::malformed(text, error),
        }
    }
}

/// Lower-case base16, as all texts of ours spell it.
fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    String::from_utf8(text).expect("digits are ASCII")
}

/// [`hex`] at the end of a text.
pub(crate) fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.extend(bytes.iter().flat_map(|byte| {
        [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]
    }));
}

/// Base16 in either case; `None` for anything else.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
