//! Finds store hashes in a stream of bytes.
//!
//! A path refers to another when the other's hash part occurs anywhere in its archive. [`ReferenceScanner`] looks for
//! many at once. A path that refers to itself cannot be hashed as it is: [`SelfReferenceHasher`] hashes it with its own
//! hash part replaced by zeros, and with the places where it stood.

use std::collections::BTreeSet;
use std::io::{self, Write};

use nix_archive::nar as upstream;

use crate::digest::{Sha256, Sha256Hasher};
use crate::nixbase32;
use crate::store_path::StorePath;

/// A writer that looks for the hash parts of candidates in what it is given.
#[derive(Debug)]
pub struct ReferenceScanner {
    candidates: Vec<StorePath>,
    scanner: upstream::ReferenceScanner,
}

impl ReferenceScanner {
    /// Looks for these paths.
    pub fn new(candidates: &BTreeSet<StorePath>) -> Self {
        let candidates: Vec<_> = candidates.iter().cloned().collect();
        let pattern = upstream::ReferencePattern::new(candidates.iter().map(StorePath::hash_part))
            .expect("a hash part has 32 characters of nixbase32");
        Self {
            candidates,
            scanner: pattern.scanner(),
        }
    }

    /// The paths that were found.
    pub fn finish(self) -> BTreeSet<StorePath> {
        let found = self.scanner.matches();
        found.map(|index| self.candidates[index].clone()).collect()
    }
}

impl Write for ReferenceScanner {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.scanner.scan(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const HASH_CHARS: usize = 32;

/// A writer that looks for store paths that are none of those it knows: whoever writes one has it from somewhere else.
///
/// Only whole paths count, `/nix/store/` with a hash part and a dash. A hash part alone says nothing of what it belongs to.
#[derive(Debug)]
pub struct StrayScanner {
    known: BTreeSet<[u8; HASH_CHARS]>,
    /// Bytes that may be the beginning of a path.
    pending: Vec<u8>,
    found: BTreeSet<String>,
}

/// What every store path begins with.
const PREFIX: &[u8] = b"/nix/store/";

/// More than these say nothing new.
const MOST_STRAYS: usize = 16;

impl StrayScanner {
    /// Knows these paths.
    pub fn new(known: &BTreeSet<StorePath>) -> Self {
        let hash_part = |path: &StorePath| {
            let mut part = [0; HASH_CHARS];
            part.copy_from_slice(path.hash_part().as_bytes());
            part
        };
        Self {
            known: known.iter().map(hash_part).collect(),
            pending: Vec::new(),
            found: BTreeSet::new(),
        }
    }

    /// The beginnings of the paths that were found, each up to its dash; sixteen of them at most.
    pub fn finish(self) -> BTreeSet<String> {
        self.found
    }

    fn look(&mut self, candidate: &[u8]) {
        let (hash_part, dash) = candidate.split_at(HASH_CHARS);
        let is_hash = hash_part
            .iter()
            .all(|byte| nixbase32::ALPHABET.contains(byte));
        if is_hash
            && dash == b"-"
            && !self.known.contains(hash_part)
            && self.found.len() < MOST_STRAYS
        {
            let text = [PREFIX, candidate].concat();
            self.found
                .insert(String::from_utf8_lossy(&text).into_owned());
        }
    }
}

impl Write for StrayScanner {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const LENGTH: usize = PREFIX.len() + HASH_CHARS + 1;
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        let mut rest = pending.as_slice();
        while let Some(place) = memchr::memmem::find(rest, PREFIX) {
            rest = &rest[place..];
            let Some(candidate) = rest.get(PREFIX.len()..LENGTH) else {
                break;
            };
            self.look(candidate);
            rest = &rest[PREFIX.len()..];
        }
        let keep = rest.len().min(LENGTH - 1);
        self.pending = rest[rest.len() - keep..].to_vec();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes an archive that may contain the hash part of its own path: the hash part becomes zeros, and the offset of each
/// place follows the archive as `|OFFSET`. So the digest does not depend on the path it leads to.
///
/// Nix up to 2.16 and from 2.35 on does this; 2.17 to 2.34 left the offsets out by mistake. Without self-references both
/// give the plain digest.
#[derive(Debug)]
pub struct SelfReferenceHasher {
    hash_part: [u8; HASH_CHARS],
    hasher: Sha256Hasher,
    /// Bytes that may be the beginning of a hash part: fewer than 32 between two writes.
    pending: Vec<u8>,
    /// Bytes that were hashed.
    hashed: u64,
    positions: Vec<u64>,
}

impl SelfReferenceHasher {
    /// Hashes for a path that was built under `path`'s hash part.
    pub fn new(path: &StorePath) -> Self {
        let mut hash_part = [0; HASH_CHARS];
        hash_part.copy_from_slice(path.hash_part().as_bytes());
        Self {
            hash_part,
            hasher: Sha256Hasher::new(),
            pending: Vec::new(),
            hashed: 0,
            positions: Vec::new(),
        }
    }

    /// The digest, and the offsets of the places that were replaced.
    pub fn finish(mut self) -> (Sha256, Vec<u64>) {
        self.hasher.update(&self.pending);
        for position in &self.positions {
            self.hasher.update(format!("|{position}").as_bytes());
        }
        (self.hasher.finish(), self.positions)
    }

    fn hash(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.hashed += bytes.len() as u64;
    }
}

impl Write for SelfReferenceHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        let mut rest = pending.as_slice();
        while let Some(place) = memchr::memmem::find(rest, &self.hash_part) {
            self.hash(&rest[..place]);
            self.positions.push(self.hashed);
            self.hash(&[0; HASH_CHARS]);
            rest = &rest[place + HASH_CHARS..];
        }
        let keep = rest.len().min(HASH_CHARS - 1);
        let (complete, unclear) = rest.split_at(rest.len() - keep);
        self.hash(complete);
        self.pending = unclear.to_vec();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
