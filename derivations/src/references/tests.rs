use proptest::prelude::*;

use super::*;

fn path(hash: &str) -> StorePath {
    StorePath::from_base_name(&format!("{hash}-x")).unwrap()
}

proptest! {
    /// Wherever a hash part stands and however the stream is cut, it is found.
    #[test]
    fn references_are_found_across_cuts(
        hash in "[0-9a-df-np-sv-z]{32}", before in prop::collection::vec(any::<u8>(), 0..100),
        after in prop::collection::vec(any::<u8>(), 0..100), chunk in 1usize..80,
    ) {
        let wanted = path(&hash);
        let absent = path(&"1".repeat(32));
        let mut bytes = before.clone();
        bytes.extend_from_slice(hash.as_bytes());
        bytes.extend_from_slice(&after);
        let mut scanner = ReferenceScanner::new(&BTreeSet::from([wanted.clone(), absent]));
        let mut hasher = SelfReferenceHasher::new(&wanted);
        for piece in bytes.chunks(chunk) {
            scanner.write_all(piece).unwrap();
            hasher.write_all(piece).unwrap();
        }
        prop_assert_eq!(scanner.finish(), BTreeSet::from([wanted]));
        let mut expected = before.clone();
        expected.extend_from_slice(&[0; 32]);
        expected.extend_from_slice(&after);
        expected.extend_from_slice(format!("|{}", before.len()).as_bytes());
        prop_assert_eq!(hasher.finish(), (Sha256::of(&expected), vec![before.len() as u64]));
    }

    #[test]
    fn without_a_self_reference_the_digest_is_plain(bytes: Vec<u8>) {
        let mut hasher = SelfReferenceHasher::new(&path(&"0".repeat(32)));
        hasher.write_all(&bytes).unwrap();
        prop_assert_eq!(hasher.finish(), (Sha256::of(&bytes), vec![]));
    }
}

#[test]
fn box_6_paths_that_nobody_declared_are_found_however_the_stream_is_cut() {
    let known = path(&"1".repeat(32));
    let stray = "/nix/store/00000000000000000000000000000000-";
    let text = format!(
        "x/nix/store/{}-x {stray}y {stray}z /nix/store/short-x /nix/store//nix/store/{}x",
        "1".repeat(32),
        "2".repeat(32)
    );
    for chunk in 1..text.len() {
        let mut scanner = StrayScanner::new(&BTreeSet::from([known.clone()]));
        for piece in text.as_bytes().chunks(chunk) {
            scanner.write_all(piece).unwrap();
        }
        assert_eq!(
            scanner.finish(),
            BTreeSet::from([stray.to_owned()]),
            "{chunk}"
        );
    }
}
