//! The alphabet of store paths.
//!
//! Thirty-two digits and lower-case letters without `e`, `o`, `t`, `u`, read from the last bit to the first.
//! Only the canonical spelling is accepted: padding bits must be zero, so that equal bytes have one text.

use nix_derivation::nixbase32 as upstream;

/// The 32 characters, in the order of their values.
pub const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// The bytes are not canonical nixbase32: a character outside the alphabet, a wrong length or stray padding bits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not canonical nixbase32: {reason}")]
pub struct NixBase32Error {
    reason: String,
}

/// How many characters the text of `bytes` bytes has.
pub const fn encoded_len(bytes: usize) -> usize {
    upstream::encoded_len(bytes)
}

/// Writes bytes as text.
pub fn encode(bytes: &[u8]) -> String {
    upstream::encode(bytes)
}

/// Reads text back into bytes.
pub fn decode(text: &str) -> Result<Vec<u8>, NixBase32Error> {
    upstream::decode(text.as_bytes()).map_err(|error| NixBase32Error {
        reason: error.to_string(),
    })
}
