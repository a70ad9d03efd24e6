use std::path::Path;

use super::*;

fn folder() -> (tempfile::TempDir, String) {
    let root = tempfile::tempdir().expect("a folder");
    let layout = root.path().join("new/layout").display().to_string();
    (root, layout)
}

/// Every file below a folder with its content.
fn files(directory: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for part in ["", "blobs/sha256"] {
        let Ok(entries) = std::fs::read_dir(Path::new(directory).join(part)) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let content = std::fs::read(&path).expect("a file");
                files.insert(
                    path.strip_prefix(directory)
                        .expect("below")
                        .display()
                        .to_string(),
                    content,
                );
            }
        }
    }
    files
}

fn index(directory: &str) -> serde_json::Value {
    let text = std::fs::read(Path::new(directory).join("index.json")).expect("an index");
    serde_json::from_slice(&text).expect("JSON")
}

fn tags(directory: &str) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("none").to_owned();
    let manifests = index(directory)["manifests"]
        .as_array()
        .expect("a list")
        .clone();
    let tag = |entry: &serde_json::Value| {
        text(&entry["annotations"]["org.opencontainers.image.ref.name"])
    };
    manifests
        .iter()
        .map(|entry| (tag(entry), text(&entry["digest"])))
        .collect()
}

#[test]
fn a_new_layout_holds_the_image_and_nothing_else() {
    let world = World::new();
    let (_root, layout) = folder();
    world.put(&format!("oci:{layout}:v1")).expect("written");
    let image = world.image();
    let mut expected = BTreeMap::from([
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), format!(
            concat!(
                r#"{{"manifests":[{{"annotations":{{"org.opencontainers.image.ref.name":"v1"}},"digest":"sha256:{}","#,
                r#""mediaType":"application/vnd.oci.image.manifest.v1+json","platform":{{"architecture":"amd64","os":"linux"}},"#,
                r#""size":{}}}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}}"#,
            ),
            image.manifest_digest(), image.manifest().len()
        ).into_bytes()),
    ]);
    let texts = [
        (image.config_digest(), image.config().to_vec()),
        (image.manifest_digest(), image.manifest().to_vec()),
    ];
    let layers = world
        .made
        .iter()
        .map(|made| (made.description.digest.0, made.compressed.clone()));
    for (digest, content) in texts.into_iter().chain(layers) {
        expected.insert(format!("blobs/sha256/{digest}"), content);
    }
    assert_eq!(files(&layout), expected);
    assert_eq!(world.asked(), ["base", "numpy 2.1.0"]);
}

#[test]
fn what_is_there_is_not_made_again() {
    let world = World::new();
    let (_root, layout) = folder();
    world.put(&format!("oci:{layout}:v1")).expect("written");
    let before = files(&layout);
    world.asked();
    world.put(&format!("oci:{layout}:v1")).expect("written");
    assert_eq!(world.asked(), [""; 0]);
    assert_eq!(files(&layout), before);

    // Of the right size but damaged, or cut short: made again.
    let digest = world.descriptions[0].digest.0.to_string();
    let blob = Path::new(&layout).join("blobs/sha256").join(digest);
    let mut damaged = std::fs::read(&blob).expect("a blob");
    damaged[20] ^= 1;
    for content in [&damaged[..], &damaged[..10]] {
        std::fs::write(&blob, content).expect("written");
        world.put(&format!("oci:{layout}:v1")).expect("written");
        assert_eq!(world.asked(), ["base"]);
        assert_eq!(files(&layout), before);
    }
}

#[test]
fn other_tags_stay_and_the_same_tag_moves() {
    let (one, two) = (
        World::new(),
        World::of(vec![layer("other", "opt", b"other\n")]),
    );
    let digest = |world: &World| format!("sha256:{}", world.image().manifest_digest());
    let (_root, layout) = folder();
    let named = |tag: &str, world: &World| (tag.to_owned(), digest(world));
    one.put(&format!("oci:{layout}:a")).expect("written");
    one.put(&format!("oci:{layout}:b")).expect("written");
    one.put(&format!("oci:{layout}")).expect("written");
    two.put(&format!("oci:{layout}:a")).expect("written");
    assert_eq!(
        tags(&layout),
        [named("a", &two), named("b", &one), named("none", &one)]
    );
    two.put(&format!("oci:{layout}")).expect("written");
    assert_eq!(
        tags(&layout),
        [named("a", &two), named("b", &one), named("none", &two)]
    );
}

#[test]
fn what_others_wrote_into_the_index_stays() {
    let world = World::new();
    let (_root, layout) = folder();
    world.put(&format!("oci:{layout}")).expect("written");
    let mut changed = index(&layout);
    changed["annotations"] = serde_json::json!({"by": "others"});
    let signature = serde_json::json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": "a/signature",
        "digest": format!("sha256:{}", Sha256::of(b"")), "size": 0,
    });
    changed["manifests"]
        .as_array_mut()
        .expect("a list")
        .insert(0, signature.clone());
    std::fs::write(format!("{layout}/index.json"), changed.to_string()).expect("written");
    world.put(&format!("oci:{layout}:v2")).expect("written");
    world.put(&format!("oci:{layout}")).expect("written");
    let index = index(&layout);
    assert_eq!(index["annotations"]["by"], "others");
    assert_eq!(index["manifests"][0], signature);
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(3));
}

#[test]
fn folders_that_are_no_layout_are_left_alone() {
    let world = World::new();
    let root = tempfile::tempdir().expect("a folder");
    for (name, file, content, reason) in [
        ("mine", "thesis.txt", "text", "none called oci-layout"),
        (
            "newer",
            "oci-layout",
            r#"{"imageLayoutVersion":"2.0.0"}"#,
            "its version is not 1.0.0",
        ),
        ("empty", "oci-layout", "", "does not say which version"),
    ] {
        let directory = root.path().join(name);
        std::fs::create_dir(&directory).expect("a folder");
        std::fs::write(directory.join(file), content).expect("written");
        let directory = directory.display().to_string();
        let before = files(&directory);
        let error = world
            .put(&format!("oci:{directory}:v1"))
            .expect_err("refused")
            .to_string();
        assert!(
            error.contains("is not an OCI layout") && error.contains(reason),
            "{error}"
        );
        assert_eq!(files(&directory), before);
    }
    let file = root.path().join("file");
    std::fs::write(&file, "").expect("written");
    let error = world
        .put(&format!("oci:{}", file.display()))
        .expect_err("refused");
    assert!(error.to_string().contains("it is a file"), "{error}");
}

#[test]
fn a_broken_index_is_refused_before_anything_is_written() {
    let world = World::new();
    let (_root, layout) = folder();
    world.put(&format!("oci:{layout}:v1")).expect("written");
    for text in [
        "",
        "[]",
        r#"{"schemaVersion":1,"manifests":[]}"#,
        r#"{"schemaVersion":2,"manifests":{}}"#,
    ] {
        std::fs::write(format!("{layout}/index.json"), text).expect("written");
        let before = files(&layout);
        let error = world.put(&format!("oci:{layout}:v1")).expect_err("refused");
        assert!(matches!(error, ImageError::BrokenIndex { .. }), "{error}");
        assert_eq!(files(&layout), before);
    }
}

/// CRASH-3: after a failure the layout is what it was, but for whole blobs that nobody speaks of.
#[test]
fn crash_3_a_failure_leaves_the_old_image() {
    let old = World::of(vec![layer("old", "opt", b"old\n")]);
    let (_root, layout) = folder();
    old.put(&format!("oci:{layout}:v1")).expect("written");
    let before = tags(&layout);

    let mut other_bytes = World::new();
    other_bytes.made[1].compressed.push(0);
    let error = other_bytes
        .put(&format!("oci:{layout}:v1"))
        .expect_err("refused");
    assert!(
        matches!(&error, ImageError::LayerMismatch { name, .. } if name == "numpy 2.1.0"),
        "{error}"
    );
    other_bytes.made.clear();
    let error = other_bytes
        .put(&format!("oci:{layout}:v1"))
        .expect_err("refused");
    assert!(matches!(&error, ImageError::Layer { .. }), "{error}");

    assert_eq!(tags(&layout), before);
    for (name, content) in files(&layout) {
        if let Some(digest) = name.strip_prefix("blobs/sha256/") {
            assert_eq!(Sha256::of(&content).to_string(), digest);
        }
    }
}

/// CRASH-4: what a killed writer left is swept; a layout without an index is an empty one.
#[test]
fn crash_4_leftovers_are_swept() {
    let world = World::new();
    let (_root, layout) = folder();
    std::fs::create_dir_all(format!("{layout}/blobs/sha256")).expect("a folder");
    std::fs::write(
        format!("{layout}/oci-layout"),
        r#"{"imageLayoutVersion": "1.0.0"}"#,
    )
    .expect("written");
    std::fs::write(format!("{layout}/blobs/sha256/.cognix-x"), "half").expect("written");
    world.put(&format!("oci:{layout}:v1")).expect("written");
    assert_eq!(files(&layout).len(), 6);
    assert!(!files(&layout).contains_key("blobs/sha256/.cognix-x"));
}

#[test]
fn several_writers_of_one_layout_take_turns() {
    let world = World::new();
    let (_root, layout) = folder();
    std::thread::scope(|scope| {
        for tag in ["a", "b", "c", "d"] {
            let (world, layout) = (&world, &layout);
            scope.spawn(move || world.put(&format!("oci:{layout}:{tag}")).expect("written"));
        }
    });
    let mut found: Vec<_> = tags(&layout).into_iter().map(|(tag, _)| tag).collect();
    found.sort();
    assert_eq!(found, ["a", "b", "c", "d"]);
    assert_eq!(world.asked().len(), 2);
}
