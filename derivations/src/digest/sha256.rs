//! SHA-256, the digest of Nix and OCI.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

use super::{DigestError, HashAlgorithm, NixHash, hex, unhex};

/// A SHA-256 digest. Its text is 64 lower-case hexadecimal digits, in `Display` and in serde.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// Takes a digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Hashes bytes that are in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// `sha256-` and base64, as package indexes and Nix's newer texts spell it.
    pub fn to_sri(&self) -> String {
        NixHash::from(*self).to_sri()
    }

    /// 52 characters of nixbase32, without a prefix.
    pub fn to_nixbase32(&self) -> String {
        crate::nixbase32::encode(&self.0)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sha256({self})")
    }
}

/// Accepts base16, nixbase32 and SRI, the first two with or without `sha256:`.
impl FromStr for Sha256 {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        if let Some(bytes) = unhex(text) {
            return Ok(Self(bytes));
        }
        let hash: NixHash = if text.contains([':', '-']) {
            text.parse()?
        } else {
            format!("sha256:{text}").parse()?
        };
        hash.sha256().ok_or_else(|| DigestError::Algorithm {
            text: text.to_owned(),
            found: hash.algorithm(),
            expected: HashAlgorithm::Sha256,
        })
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Only the canonical text is read back, so that writing what was read gives the same bytes.
impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        unhex(&text)
            .filter(|_| !text.bytes().any(|byte| byte.is_ascii_uppercase()))
            .map(Self)
            .ok_or_else(|| {
                serde::de::Error::custom(DigestError::malformed(
                    &text,
                    "expected 64 lower-case hexadecimal digits",
                ))
            })
    }
}

/// Computes a [`Sha256`] piece by piece; also a writer that only hashes.
#[derive(Clone, Default)]
pub struct Sha256Hasher(sha2::Sha256);

impl Sha256Hasher {
    /// Starts with no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added.
    pub fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

impl fmt::Debug for Sha256Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sha256Hasher")
    }
}

impl io::Write for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
