use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::digest::Sha256;

const HELLO: &str = "/nix/store/8lfhm01afw5sywci3vw8c1lx8rvkd0fm-t1.txt";

#[test]
fn parts_of_a_path() {
    let path = StorePath::parse(HELLO).unwrap();
    assert_eq!(path.hash_part(), "8lfhm01afw5sywci3vw8c1lx8rvkd0fm");
    assert_eq!(path.name(), "t1.txt");
    assert_eq!(path.base_name(), "8lfhm01afw5sywci3vw8c1lx8rvkd0fm-t1.txt");
    assert!(!path.is_derivation());
    assert_eq!(
        serde_json::to_string(&path).unwrap(),
        format!("\"{HELLO}\"")
    );
    assert_eq!(
        serde_json::from_str::<StorePath>(&format!("\"{HELLO}\"")).unwrap(),
        path
    );
}

/// STORE-4 and ALL-4: what is refused, with what is wrong.
#[test]
fn store_4_what_is_no_store_path() {
    let hash = "8lfhm01afw5sywci3vw8c1lx8rvkd0fm";
    for text in [
        "",
        "/",
        "/nix/store",
        "/nix/store/",
        "t1.txt",
        "nix/store/8lfhm01afw5sywci3vw8c1lx8rvkd0fm-t1.txt",
        "/nix/store/8lfhm01afw5sywci3vw8c1lx8rvkd0f-t1.txt",
        "/nix/store/elfhm01afw5sywci3vw8c1lx8rvkd0fm-t1.txt",
        &format!("/nix/store/{hash}"),
        &format!("/nix/store/{hash}-"),
        &format!("/nix/store/{hash}-a/b"),
        &format!("/nix/store/{hash}-.."),
        &format!("/nix/store/{hash}-.-x"),
        &format!("/nix/store/{hash}-é"),
        &format!("/nix/store/{hash}-{}", "x".repeat(212)),
        &format!("/nix//store/{hash}-x"),
        &format!("/nix/store/{}-x", hash.to_uppercase()),
    ] {
        let error = StorePath::parse(text).unwrap_err();
        assert!(
            error.to_string().contains("is not a store path"),
            "{text}: {error}"
        );
    }
}

#[test]
fn any_text_can_be_made_a_name() {
    for (text, name) in [
        ("numpy-2.1.0.whl", "numpy-2.1.0.whl"),
        ("", "_"),
        (".hidden", "_hidden"),
        ("..", "_."),
        ("a b/c", "a_b_c"),
        ("é", "__"),
        ("python3.11+dfsg~1", "python3.11+dfsg_1"),
    ] {
        assert_eq!(StorePathName::sanitized(text).as_str(), name);
    }
    assert_eq!(
        StorePathName::sanitized(&"x".repeat(500)).as_str().len(),
        211
    );
}

/// DRV-3: what may not refer to others.
#[test]
fn drv_3_fixed_outputs_have_no_references() {
    let name = StorePathName::parse("x").unwrap();
    let others = BTreeSet::from([StorePath::parse(HELLO).unwrap()]);
    let none = BTreeSet::new();
    let digest = Sha256::of(b"");
    let flat = ContentAddress::Flat(digest.into());
    let text = ContentAddress::Text(digest);
    let recursive = ContentAddress::Recursive(digest.into());
    assert!(content_addressed_path(&name, &flat, &others, false).is_err());
    assert!(content_addressed_path(&name, &flat, &none, true).is_err());
    assert!(content_addressed_path(&name, &text, &none, true).is_err());
    let plain = content_addressed_path(&name, &recursive, &none, false).unwrap();
    let to_itself = content_addressed_path(&name, &recursive, &none, true).unwrap();
    let to_others = content_addressed_path(&name, &recursive, &others, false).unwrap();
    assert_eq!(BTreeSet::from([plain, to_itself, to_others]).len(), 3);
}

proptest! {
    #[test]
    fn sanitized_names_are_names(text: String) {
        let name = StorePathName::sanitized(&text);
        prop_assert_eq!(StorePathName::parse(name.as_str()).unwrap(), name);
    }

    #[test]
    fn paths_are_read_back(hash in "[0-9a-df-np-sv-z]{32}", name in "[0-9a-zA-Z+_?=-][0-9a-zA-Z+._?=-]{0,210}") {
        let text = format!("/nix/store/{hash}-{name}");
        let path = StorePath::parse(&text).unwrap();
        prop_assert_eq!(path.to_string(), text);
        prop_assert_eq!(StorePath::from_upstream(&path.to_upstream()), path);
    }

    #[test]
    fn order_is_that_of_base_names(one in "[0-9a-df-np-sv-z]{32}-[a-z]{1,4}", two in "[0-9a-df-np-sv-z]{32}-[a-z]{1,4}") {
        let [a, b] = [&one, &two].map(|text| StorePath::from_base_name(text).unwrap());
        prop_assert_eq!(a.cmp(&b), one.cmp(&two));
    }

    #[test]
    fn any_text_is_refused_or_read_back(text: String) {
        if let Ok(path) = StorePath::parse(&text) {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn content_addresses_are_read_back(bytes: [u8; 32], kind in 0..3) {
        let digest = Sha256::from_bytes(bytes);
        let ca = match kind {
            0 => ContentAddress::Text(digest),
            1 => ContentAddress::Flat(digest.into()),
            _ => ContentAddress::Recursive(digest.into()),
        };
        prop_assert_eq!(ca.to_string().parse::<ContentAddress>().unwrap(), ca);
    }
}
