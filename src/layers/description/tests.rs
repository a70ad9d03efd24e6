use proptest::prelude::*;

use super::*;

const WHEEL: &str = concat!(
    r#"{"diffId":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","#,
    r#""digest":"sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865","#,
    r#""entries":[{"kind":"directory","mode":"0755","path":"venv"},"#,
    r#"{"kind":"file","mode":"0644","path":"venv/a.py","#,
    r#""sha256":"4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865","size":2},"#,
    r#"{"gid":42,"kind":"symlink","mode":"0777","path":"venv/b","target":"a.py","uid":7}],"#,
    r#""mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","name":"a","recipe":"gzip-wheel-splice-1","size":345,"#,
    r#""source":{"filename":"a-1-py3-none-any.whl","kind":"wheel","omit":["venv/c"],"python":"3.11","#,
    r#""wheel":"/nix/store/00000000000000000000000000000000-a-1-py3-none-any.whl"},"#,
    r#""uncompressedSize":1536,"version":1}"#,
    "\n"
);

fn store_path(name: &str) -> StorePath {
    StorePath::parse(&format!("/nix/store/{}-{name}", "0".repeat(32))).expect("a store path")
}

#[test]
fn a_wheel_layer_is_read_and_written() {
    let description = LayerDescription::parse(WHEEL.as_bytes()).expect("a description");
    assert_eq!(
        String::from_utf8(description.to_json()).expect("JSON is text"),
        WHEEL
    );
    assert_eq!(
        description.store_paths(),
        [&store_path("a-1-py3-none-any.whl")]
    );
    assert_eq!(
        description.entry("venv/b").map(|entry| entry.recorded.gid),
        Some(42)
    );
    assert_eq!(description.entry("venv/c"), None);
}

#[test]
fn refuses_what_it_would_not_write() {
    for (from, to, message) in [
        ("\"version\":1", "\"version\":3,\"more\":0", "version 3"),
        ("\"version\":1", "\"version\":1,\"more\":0", "not valid"),
        ("}\n", "}", "canonical"),
        (":1536", ": 1536", "canonical"),
        (
            "\"omit\":[\"venv/c\"]",
            "\"omit\":[\"venv/c\",\"venv/c\"]",
            "canonical",
        ),
        (
            "gzip-wheel-splice-1",
            "gzip-wheel-splice-9",
            "gzip-wheel-splice-9",
        ),
        ("tar+gzip", "tar+zstd", "media type"),
        ("\"venv/b\"", "\"venv/a\"", "out of order"),
        ("\"venv/b\"", "\"venv/a.py\"", "twice"),
        ("\"venv/b\"", "\"venv/a.py/b\"", "does not lie"),
        ("\"venv/b\"", "\"w/b\"", "does not lie"),
        ("\"venv/b\"", "\"venv/../b\"", "not valid"),
        ("\"target\":\"a.py\"", "\"size\":1", "other keys"),
        ("\"python\":\"3.11\",", "", "not valid"),
        (
            "\"python\":\"3.11\",",
            "\"python\":\"3.11\",\"record\":\"checked\",",
            "not valid",
        ),
        ("\"python\":\"3.11\"", "\"python\":\"3.011\"", "not valid"),
        ("sha256:e3b0", "SHA256:e3b0", "not valid"),
        ("sha256:e3b0", "sha256:E3b0", "not valid"),
    ] {
        assert!(WHEEL.contains(from), "{from}");
        let text = WHEEL.replacen(from, to, 1);
        let error = LayerDescription::parse(text.as_bytes())
            .expect_err(&text)
            .to_string();
        assert!(error.contains(message), "{from} -> {to}: {error}");
    }
}

/// Names whose order differs from the order of their trees: `-` and `.` come before `/`.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a".to_owned()),
        Just("a-".to_owned()),
        Just("a.b".to_owned()),
        "[a-c0é\"\\\\\n ]{1,3}"
    ]
}

fn kind() -> impl Strategy<Value = (EntryKind, u32)> {
    prop_oneof![
        (any::<u64>(), any::<[u8; 32]>(), 0..0o10000_u32).prop_map(|(size, bytes, mode)| (
            EntryKind::File {
                size,
                sha256: Sha256::from_bytes(bytes)
            },
            mode
        )),
        ".{0,5}".prop_map(|target| (EntryKind::Symlink { target }, 0o777)),
        (0..0o10000_u32).prop_map(|mode| (EntryKind::Directory, mode)),
    ]
}

prop_compose! {
    fn entries()(
        leaves in prop::collection::btree_map(prop::collection::vec(name(), 1..4), (kind(), 0..3_u32, 0..3_u32), 0..8),
    ) -> Vec<Entry> {
        let mut entries = std::collections::BTreeMap::new();
        for (parts, ((kind, mode), uid, gid)) in leaves {
            let Ok(path) = ImagePath::parse(parts.join("/")) else { continue };
            let above: Vec<_> = path.ancestors().collect();
            let is_file = |path: &ImagePath| entries.get(path).is_some_and(|entry: &Entry| !entry.is_directory());
            if above.iter().any(is_file) || entries.contains_key(&path) {
                continue;
            }
            for above in above {
                entries.entry(above.clone()).or_insert_with(|| Entry::directory(above));
            }
            let recorded = Recorded { gid, mode: Mode::new(mode).expect("twelve bits"), uid };
            entries.insert(path.clone(), Entry { path, kind, recorded });
        }
        entries.into_values().collect()
    }
}

proptest! {
    #[test]
    fn writing_and_reading_is_identity(
        entries in entries(),
        name in ".{0,8}",
        digests in any::<[[u8; 32]; 2]>(),
        sizes in any::<[u64; 2]>(),
        time in prop::sample::select(vec![315_532_800, 315_532_801, 1_700_000_000]),
        control in any::<bool>(),
    ) {
        let tree = TreeSource {
            control: control.then(|| store_path("control")),
            omit: entries.iter().map(|entry| entry.path.clone()).skip(1).take(2).collect(),
            out: store_path("tree"),
        };
        let omit = entries.iter().map(|entry| entry.path.clone()).take(2).collect();
        let prefix = entries.first().map(|entry| entry.path.clone());
        let description = LayerDescription {
            time: crate::layers::Timestamp::new(time).expect("after 1980"),
            name,
            recipe: Recipe::FOR_TREES,
            digest: LayerDigest(Sha256::from_bytes(digests[0])),
            diff_id: DiffId(Sha256::from_bytes(digests[1])),
            size: sizes[0],
            uncompressed_size: sizes[1],
            source: LayerSource::Trees(TreesSource { trees: vec![tree; 2], prefix, omit }),
            entries,
        };
        let text = description.to_json();
        prop_assert_eq!(text.last(), Some(&b'\n'));
        prop_assert_eq!(LayerDescription::parse(&text).expect("what was just written"), description);
        // Sorted keys: the same as a map sorts them.
        let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        prop_assert_eq!(format!("{value}\n").into_bytes(), text);
    }

    #[test]
    fn all_1_foreign_bytes_never_panic(at in 0..WHEEL.len(), byte in any::<u8>()) {
        let mut text = WHEEL.as_bytes().to_vec();
        text[at] = byte;
        if let Ok(description) = LayerDescription::parse(&text) {
            prop_assert_eq!(description.to_json(), text);
        }
        prop_assert!(LayerDescription::parse(&WHEEL.as_bytes()[..at]).is_err());
    }
}
