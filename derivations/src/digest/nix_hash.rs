//! A digest that knows its algorithm, as fixed outputs have it.

use std::fmt;
use std::str::FromStr;

use nix_derivation as upstream;

use super::{DigestError, Sha256, hex};

/// The algorithms that Nix accepts for fixed outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// 32 bytes; experimental in Nix.
    Blake3,
    /// 16 bytes; only ever read, never chosen.
    Md5,
    /// 20 bytes; only ever read, never chosen.
    Sha1,
    /// 32 bytes.
    Sha256,
    /// 64 bytes.
    Sha512,
}

impl HashAlgorithm {
    /// The name in texts: `md5`, `sha1`, `sha256`, `sha512` or `blake3`.
    pub const fn as_str(self) -> &'static str {
        self.to_upstream().as_str()
    }

    pub(crate) const fn from_upstream(algorithm: upstream::HashAlgorithm) -> Self {
        match algorithm {
            upstream::HashAlgorithm::Blake3 => Self::Blake3,
            upstream::HashAlgorithm::Md5 => Self::Md5,
            upstream::HashAlgorithm::Sha1 => Self::Sha1,
            upstream::HashAlgorithm::Sha256 => Self::Sha256,
            upstream::HashAlgorithm::Sha512 => Self::Sha512,
        }
    }

    const fn to_upstream(self) -> upstream::HashAlgorithm {
        match self {
            Self::Blake3 => upstream::HashAlgorithm::Blake3,
            Self::Md5 => upstream::HashAlgorithm::Md5,
            Self::Sha1 => upstream::HashAlgorithm::Sha1,
            Self::Sha256 => upstream::HashAlgorithm::Sha256,
            Self::Sha512 => upstream::HashAlgorithm::Sha512,
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for HashAlgorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.parse()
            .map(Self::from_upstream)
            .map_err(|error| DigestError::from_upstream(text, &error))
    }
}

/// A digest of any algorithm that Nix accepts. `Display` is `ALGORITHM:NIXBASE32`; parsing takes every spelling that
/// Nix takes: `ALGORITHM:` with base16, nixbase32 or base64, and SRI.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NixHash(upstream::NixHash);

impl NixHash {
    /// Takes a digest that was computed elsewhere; `None` when the length does not fit the algorithm.
    pub fn from_bytes(algorithm: HashAlgorithm, bytes: &[u8]) -> Option<Self> {
        upstream::NixHash::from_algorithm_and_digest(algorithm.to_upstream(), bytes)
            .ok()
            .map(Self)
    }

    /// Hashes bytes that are in memory.
    pub fn of(algorithm: HashAlgorithm, bytes: &[u8]) -> Self {
        Self(upstream::hash_bytes(algorithm.to_upstream(), bytes))
    }

    /// Which algorithm made it.
    pub fn algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::from_upstream(self.0.algorithm())
    }

    /// The digest itself.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.digest_as_bytes()
    }

    /// The digest as [`Sha256`], if that is its algorithm.
    pub fn sha256(&self) -> Option<Sha256> {
        match &self.0 {
            upstream::NixHash::Sha256(bytes) => Some(Sha256::from_bytes(*bytes)),
            _ => None,
        }
    }

    /// Lower-case base16 without a prefix.
    pub fn to_hex(&self) -> String {
        hex(self.as_bytes())
    }

    /// `ALGORITHM-BASE64`.
    pub fn to_sri(&self) -> String {
        self.0.to_sri_string()
    }

    pub(crate) const fn from_upstream(hash: upstream::NixHash) -> Self {
        Self(hash)
    }

    pub(crate) fn to_upstream(&self) -> upstream::NixHash {
        self.0.clone()
    }
}

impl From<Sha256> for NixHash {
    fn from(digest: Sha256) -> Self {
        Self(upstream::NixHash::Sha256(*digest.as_bytes()))
    }
}

impl fmt::Display for NixHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.to_nix_nixbase32_string())
    }
}

impl fmt::Debug for NixHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NixHash({self})")
    }
}

impl FromStr for NixHash {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        upstream::NixHash::parse(text)
            .map(Self)
            .map_err(|error| DigestError::from_upstream(text, &error))
    }
}

/// Computes a [`NixHash`] piece by piece.
#[derive(Debug)]
pub struct NixHasher(upstream::NixHasher);

impl NixHasher {
    /// Starts with no bytes.
    pub fn new(algorithm: HashAlgorithm) -> Self {
        Self(upstream::NixHasher::new(algorithm.to_upstream()))
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added.
    pub fn finish(self) -> NixHash {
        NixHash(self.0.finalize())
    }
}
