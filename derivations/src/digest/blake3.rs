//! BLAKE3, which names file contents inside a store and nothing outside it.

use std::fmt;
use std::io;
use std::str::FromStr;

use super::{DigestError, hex, unhex};

/// A BLAKE3 digest. Its text is 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blake3([u8; 32]);

impl Blake3 {
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
        Self(*::blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for Blake3 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Blake3 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Blake3({self})")
    }
}

impl FromStr for Blake3 {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        unhex(text)
            .map(Self)
            .ok_or_else(|| DigestError::malformed(text, "expected 64 hexadecimal digits"))
    }
}

/// Computes a [`Blake3`] piece by piece; also a writer that only hashes.
#[derive(Clone, Default)]
pub struct Blake3Hasher(::blake3::Hasher);

impl Blake3Hasher {
    /// Starts with no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added.
    pub fn finish(self) -> Blake3 {
        Blake3(*self.0.finalize().as_bytes())
    }
}

impl fmt::Debug for Blake3Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Blake3Hasher")
    }
}

impl io::Write for Blake3Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
