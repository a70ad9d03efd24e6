//! How the hash part of a path is computed.
//!
//! ```text
//! path        ::= /nix/store/HASH-NAME       HASH is SHA-256 of the fingerprint, folded to 20 bytes, in nixbase32
//! fingerprint ::= KIND:sha256:DIGEST:/nix/store:NAME                             DIGEST in base16
//! KIND        ::= text[:REFERENCE …]         a text; the digest is that of its bytes
//!               | source[:REFERENCE …][:self]    a tree; the digest is that of its archive
//!               | output:OUTPUT              what a derivation makes; the digest is that of the derivation
//!               | rewrite:DRV:name:OUTPUT    where a floating output lies while it is made; the digest is all zeros
//! ```

use super::{HASH_CHARS, STORE_DIR, StorePath};
use crate::digest::{Sha256, push_hex};

/// The path of a text. The references must be sorted and none of them twice, the name must be valid.
pub(crate) fn text_path<'a>(
    name: &str,
    digest: &Sha256,
    references: impl IntoIterator<Item = &'a StorePath>,
) -> StorePath {
    let mut fingerprint = Fingerprint::new(b"text");
    for reference in references {
        fingerprint.reference(reference);
    }
    fingerprint.finish(digest, name)
}

/// The path of an archive, with the same rules.
pub(super) fn source_path<'a>(
    name: &str,
    digest: &Sha256,
    references: impl IntoIterator<Item = &'a StorePath>,
    self_reference: bool,
) -> StorePath {
    let mut fingerprint = Fingerprint::new(b"source");
    for reference in references {
        fingerprint.reference(reference);
    }
    if self_reference {
        fingerprint.0.extend_from_slice(b":self");
    }
    fingerprint.finish(digest, name)
}

/// The path of what a derivation makes. `name` is that of the path, and valid.
pub(crate) fn input_addressed_path(name: &str, output: &str, digest: &Sha256) -> StorePath {
    let mut fingerprint = Fingerprint::new(b"output:");
    fingerprint.0.extend_from_slice(output.as_bytes());
    fingerprint.finish(digest, name)
}

/// The path that a floating output has while it is made. `name` is that of the path, and valid.
pub(crate) fn scratch_path(derivation: &StorePath, name: &str, output: &str) -> StorePath {
    let kind = format!("rewrite:{}:name:{output}", derivation.as_base_name());
    Fingerprint::new(kind.as_bytes()).finish(&Sha256::from_bytes([0; 32]), name)
}

struct Fingerprint(Vec<u8>);

impl Fingerprint {
    fn new(kind: &[u8]) -> Self {
        let mut text = Vec::with_capacity(512);
        text.extend_from_slice(kind);
        Self(text)
    }

    fn reference(&mut self, path: &StorePath) {
        self.0.push(b':');
        self.0.extend_from_slice(STORE_DIR.as_bytes());
        self.0.push(b'/');
        self.0.extend_from_slice(path.as_base_name().as_bytes());
    }

    fn finish(mut self, digest: &Sha256, name: &str) -> StorePath {
        debug_assert_eq!(super::name::fault(name), None);
        self.0.extend_from_slice(b":sha256:");
        push_hex(&mut self.0, digest.as_bytes());
        self.0.push(b':');
        self.0.extend_from_slice(STORE_DIR.as_bytes());
        self.0.push(b':');
        self.0.extend_from_slice(name.as_bytes());
        let hash_part = fold(&Sha256::of(&self.0));
        let mut base_name = String::with_capacity(HASH_CHARS + 1 + name.len());
        base_name.extend(hash_part.map(char::from));
        base_name.push('-');
        base_name.push_str(name);
        StorePath {
            base_name: base_name.into(),
        }
    }
}

/// Folds a digest to 20 bytes and writes them in nixbase32.
fn fold(digest: &Sha256) -> [u8; HASH_CHARS] {
    let mut folded = [0; 20];
    for (index, byte) in digest.as_bytes().iter().enumerate() {
        folded[index % 20] ^= byte;
    }
    // Five bytes are eight characters, the last ones first.
    let mut text = [0; HASH_CHARS];
    for (bytes, characters) in folded.chunks_exact(5).zip(text.rchunks_exact_mut(8)) {
        let value = bytes
            .iter()
            .rev()
            .fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
        for (index, character) in characters.iter_mut().rev().enumerate() {
            let digit = value >> (5 * index) & 31;
            *character = crate::nixbase32::ALPHABET[usize::try_from(digit).unwrap_or_default()];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use nix_derivation as upstream;
    use proptest::prelude::*;
    use upstream::store_path::{build_ca_path, build_output_path, build_text_path};

    use super::*;
    use crate::{ContentAddress, HashAlgorithm, NixHash, content_addressed_path};

    fn names() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9+_?=-][a-zA-Z0-9+._?=-]{0,60}"
    }

    fn paths() -> impl Strategy<Value = BTreeSet<StorePath>> {
        proptest::collection::btree_set(
            ("[0-9a-df-np-sv-z]{32}", names()).prop_map(|(hash, name)| {
                StorePath::from_base_name(&format!("{hash}-{name}")).expect("valid")
            }),
            0..5,
        )
    }

    proptest! {
        /// Two who compute paths, one answer.
        #[test]
        fn paths_are_those_of_upstream(
            name in names(),
            output in "[a-z]{1,8}",
            bytes: Vec<u8>,
            references in paths(),
            self_reference: bool,
        ) {
            let others: Vec<_> = references.iter().map(StorePath::to_upstream).collect();
            let digest = Sha256::of(&bytes);
            prop_assert_eq!(
                text_path(&name, &digest, &references).base_name(),
                build_text_path(&name, &bytes, &others).expect("valid").to_basename()
            );
            let ca = upstream::CAHash::Nar(upstream::NixHash::Sha256(*digest.as_bytes()));
            prop_assert_eq!(
                source_path(&name, &digest, &references, self_reference).base_name(),
                build_ca_path(&name, &ca, &others, self_reference).expect("valid").to_basename()
            );
            for algorithm in [HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
                let hash = NixHash::of(algorithm, &bytes);
                for ca in [ContentAddress::Flat(hash.clone()), ContentAddress::Recursive(hash)] {
                    prop_assert_eq!(
                        content_addressed_path(&name.parse().expect("valid"), &ca, &BTreeSet::new(), false)
                            .expect("valid").base_name(),
                        build_ca_path(&name, &ca.to_upstream(), &[], false).expect("valid").to_basename()
                    );
                }
            }
            let modulo = (*digest.as_bytes()).into();
            prop_assert_eq!(
                input_addressed_path(&format!("{name}-{output}x"), &format!("{output}x"), &digest).base_name(),
                build_output_path(modulo, &format!("{output}x"), &name).expect("valid").to_basename()
            );
        }

        /// Whoever reads a base name, the same ones are store paths.
        #[test]
        fn base_names_are_those_of_upstream(
            text in "([0-9a-z]{31,33}|[0-9a-df-np-sv-z]{32})[-.]?[a-z.-]{0,4}[/ ]?"
        ) {
            prop_assert_eq!(
                super::super::is_base_name(&text),
                upstream::StorePath::from_basename(text.as_bytes()).is_ok()
            );
        }
    }
}
