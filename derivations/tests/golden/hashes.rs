use std::collections::BTreeSet;
use std::io::Write;

use cognix_derivations::references::{ReferenceScanner, SelfReferenceHasher};
use cognix_derivations::{
    ContentAddress, HashAlgorithm, NixHash, Sha256, StorePath, StorePathName,
    content_addressed_path, nixbase32,
};
use serde_json::Value;

use super::{json, text};

fn list<'a>(vectors: &'a Value, key: &str) -> &'a [Value] {
    vectors[key].as_array().expect("a list")
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex"))
        .collect()
}

fn check_spellings(hash: &NixHash, expected: &Value) {
    let algorithm = text(expected, "algo");
    assert_eq!(hash.algorithm().as_str(), algorithm);
    assert_eq!(hash.to_hex(), text(expected, "base16"));
    assert_eq!(hash.to_sri(), text(expected, "sri"));
    assert_eq!(nixbase32::encode(hash.as_bytes()), text(expected, "nix32"));
    assert_eq!(
        nixbase32::decode(text(expected, "nix32")).expect("canonical"),
        hash.as_bytes()
    );
    for spelling in ["base16", "nix32", "base64"] {
        let spelled = format!("{algorithm}:{}", text(expected, spelling));
        assert_eq!(
            spelled.parse::<NixHash>().expect("a digest"),
            *hash,
            "{spelled}"
        );
    }
    assert_eq!(
        text(expected, "sri").parse::<NixHash>().expect("SRI"),
        *hash
    );
    if let Some(digest) = hash.sha256() {
        assert_eq!(digest.to_string(), text(expected, "base16"));
        assert_eq!(digest.to_nixbase32(), text(expected, "nix32"));
        for spelling in ["base16", "nix32", "sri"] {
            assert_eq!(
                text(expected, spelling).parse::<Sha256>().expect("SHA-256"),
                digest
            );
        }
    }
}

#[test]
fn digests_in_every_spelling() {
    let vectors = json("hashes.json");
    for string in list(&vectors, "strings") {
        for expected in list(string, "hashes") {
            let algorithm: HashAlgorithm = text(expected, "algo").parse().expect("an algorithm");
            check_spellings(
                &NixHash::of(algorithm, text(string, "text").as_bytes()),
                expected,
            );
        }
    }
    for expected in list(&vectors, "patterns") {
        let algorithm: HashAlgorithm = text(expected, "algo").parse().expect("an algorithm");
        let bytes = unhex(text(expected, "base16"));
        let hash = NixHash::from_bytes(algorithm, &bytes).expect("the right length");
        check_spellings(&hash, expected);
    }
}

#[test]
fn spellings_are_refused_as_by_nix() {
    for case in list(&json("hashes.json"), "strictness") {
        let spelled = text(case, "text").parse::<NixHash>().ok();
        assert_eq!(
            spelled.map(|hash| hash.to_hex()).as_deref(),
            case["2.34.8"].as_str(),
            "{case}"
        );
    }
}

/// STORE-4: which names there are, and that equal content has an equal path.
#[test]
fn store_4_names() {
    for case in list(&json("hashes.json"), "names") {
        let name = StorePathName::parse(text(case, "name"));
        let path = case["2.34.8"].as_str();
        assert_eq!(name.is_ok(), path.is_some(), "{case}");
        if let (Ok(name), Some(path)) = (name, path) {
            let path = StorePath::parse(path).expect("Nix made it");
            assert_eq!(path.name(), name.as_str());
        }
    }
}

fn references(entry: &Value, path: &StorePath) -> (BTreeSet<StorePath>, bool) {
    let mut references: BTreeSet<_> = entry
        .as_array()
        .expect("a list")
        .iter()
        .map(|path| StorePath::parse(path.as_str().expect("a path")).expect("a store path"))
        .collect();
    let to_itself = references.remove(path);
    (references, to_itself)
}

fn content_address(case: &Value) -> ContentAddress {
    let kind = text(case, "kind");
    let content = match (case["contents"].as_str(), case["contents_hex"].as_str()) {
        (Some(contents), _) => contents.as_bytes().to_vec(),
        (None, Some(hex)) => unhex(hex),
        (None, None) => case["nar_hex"].as_str().map(unhex).unwrap_or_default(),
    };
    if kind == "text" {
        return ContentAddress::Text(Sha256::of(&content));
    }
    let algorithm = kind.rsplit('-').next().expect("a part");
    let algorithm = algorithm.parse().unwrap_or(HashAlgorithm::Sha256);
    let hash = match case["hash_base16"].as_str() {
        Some(hex) => NixHash::from_bytes(algorithm, &unhex(hex)).expect("the right length"),
        None => NixHash::of(algorithm, &content),
    };
    if kind.contains("-flat-") {
        ContentAddress::Flat(hash)
    } else {
        ContentAddress::Recursive(hash)
    }
}

#[test]
fn store_paths_from_content() {
    let vectors = json("hashes.json");
    let mut checked = 0;
    for case in list(&vectors, "store_paths") {
        let path = StorePath::parse(text(case, "path")).expect("a store path");
        let name = StorePathName::parse(text(case, "name")).expect("a name");
        // Those with references were hashed under the rule that left the positions out; `self_references` has both.
        let recorded = case["info"]["ca"].as_str();
        let ca = if text(case, "kind") == "content-addressed-with-references" {
            recorded
                .expect("a content address")
                .parse()
                .expect("Nix's text")
        } else {
            content_address(case)
        };
        if let Some(recorded) = recorded {
            assert_eq!(ca.to_string(), recorded);
            assert_eq!(recorded.parse::<ContentAddress>().expect("Nix's text"), ca);
        }
        let (others, to_itself) = match &case["info"]["references"] {
            Value::Null => Default::default(),
            entry => references(entry, &path),
        };
        let computed = content_addressed_path(&name, &ca, &others, to_itself);
        assert_eq!(computed.expect("computable"), path, "{case}");
        checked += 1;
    }
    assert_eq!(checked, 29);
}

/// The rule with positions, as Nix up to 2.16 and from 2.35 on has it.
#[test]
fn self_references_hash_with_positions() {
    let mut with_positions = 0;
    for case in list(&json("hashes.json"), "self_references") {
        let rules: Vec<_> = list(case, "rules")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        if !rules.contains(&"with-positions") {
            continue;
        }
        let path = StorePath::parse(text(case, "path")).expect("a store path");
        let archive = unhex(text(case, "nar_hex"));
        for chunk in [1, 7, 31, 32, 33, archive.len()] {
            let mut hasher = SelfReferenceHasher::new(&path);
            for bytes in archive.chunks(chunk) {
                hasher.write_all(bytes).expect("hashing cannot fail");
            }
            let (digest, positions) = hasher.finish();
            let expected: Vec<_> = list(case, "self_positions")
                .iter()
                .filter_map(Value::as_u64)
                .collect();
            assert_eq!(positions, expected);
            let ca = ContentAddress::Recursive(digest.into());
            assert_eq!(ca.to_string(), text(case, "ca"));
            let (others, to_itself) = references(&case["references"], &path);
            assert_eq!(to_itself, !positions.is_empty());
            let name = StorePathName::parse(text(case, "name")).expect("a name");
            assert_eq!(
                content_addressed_path(&name, &ca, &others, to_itself).expect("computable"),
                path
            );
            let mut scanner = ReferenceScanner::new(&others);
            scanner.write_all(&archive).expect("scanning cannot fail");
            assert_eq!(scanner.finish(), others);
        }
        with_positions += 1;
    }
    assert_eq!(with_positions, 5);
}
