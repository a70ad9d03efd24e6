use serde_json::Value;

use super::*;

fn for_platform(world: &World, platform: Platform) -> Image {
    let runtime = RuntimeConfig {
        platform,
        ..runtime()
    };
    assemble(&runtime, &world.descriptions).expect("valid")
}

fn both(world: &World) -> [Image; 2] {
    [Platform::Arm64, Platform::Amd64].map(|platform| for_platform(world, platform))
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("JSON")
}

#[test]
fn an_index_is_canonical_and_sorted_by_platform() {
    let [arm, amd] = both(&World::new());
    let index = ImageIndex::new(vec![arm.clone(), amd.clone()]).expect("two platforms");
    let other_order = ImageIndex::new(vec![amd.clone(), arm.clone()]).expect("two platforms");
    assert_eq!(index, other_order);
    let descriptor = |image: &Image, platform: &str| {
        format!(
            r#"{{"digest":"sha256:{}","mediaType":"application/vnd.oci.image.manifest.v1+json","platform":{platform},"size":{}}}"#,
            image.manifest_digest(),
            image.manifest().len()
        )
    };
    let expected = format!(
        r#"{{"manifests":[{},{}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}}"#,
        descriptor(&amd, r#"{"architecture":"amd64","os":"linux"}"#),
        descriptor(
            &arm,
            r#"{"architecture":"arm64","os":"linux","variant":"v8"}"#
        ),
    );
    assert_eq!(String::from_utf8_lossy(index.text()), expected);
    assert_eq!(index.digest(), Sha256::of(expected.as_bytes()));

    let error = ImageIndex::new(vec![arm.clone(), arm]).expect_err("the same twice");
    assert!(error.to_string().contains("two images for linux/arm64"));
}

#[test]
fn the_platform_stands_in_the_configuration() {
    let [arm, amd] = both(&World::new());
    let (arm, amd) = (json(arm.config()), json(amd.config()));
    assert_eq!(
        (&arm["architecture"], &arm["variant"]),
        (&"arm64".into(), &"v8".into())
    );
    assert_eq!(
        (&amd["architecture"], &amd["variant"]),
        (&"amd64".into(), &Value::Null)
    );
}

#[test]
fn an_image_of_another_platform_is_read_again() {
    let world = World::new();
    let [arm, _] = both(&world);
    let (config, manifest) = (arm.config().to_vec(), arm.manifest().to_vec());
    let again = Image::from_parts(config, manifest, world.descriptions.clone());
    assert_eq!(again.expect("its own parts"), arm);
}

#[test]
fn a_layout_names_the_index_and_holds_every_blob_once() {
    let world = World::new();
    let images = both(&world);
    let index = ImageIndex::new(images.to_vec()).expect("two platforms");
    let root = tempfile::tempdir().expect("a folder");
    let layout = root.path().join("layout");
    let destination = format!("oci:{}:v1", layout.display());
    world.put(&destination).expect("one image first");
    world
        .put_named(Named::Index(&index), &destination)
        .expect("written");
    let text = std::fs::read(layout.join("index.json")).expect("an index");
    let named = &json(&text)["manifests"];
    assert_eq!(named.as_array().map(Vec::len), Some(1), "{named}");
    assert_eq!(named[0]["digest"], format!("sha256:{}", index.digest()));
    assert_eq!(named[0]["mediaType"], INDEX_MEDIA_TYPE);
    assert!(named[0]["platform"].is_null());
    let blob = |digest: Sha256| std::fs::read(layout.join("blobs/sha256").join(digest.to_string()));
    assert_eq!(blob(index.digest()).expect("the index"), index.text());
    for image in &images {
        assert_eq!(
            blob(image.manifest_digest()).expect("a manifest"),
            image.manifest()
        );
        assert_eq!(
            blob(image.config_digest()).expect("a configuration"),
            image.config()
        );
    }

    let archive = root.path().join("image.tar");
    let destination = format!("oci-archive:{}:v1", archive.display());
    world
        .put_named(Named::Index(&index), &destination)
        .expect("written");
    let archive = std::fs::read(archive).expect("an archive");
    let digest = index.digest().to_string();
    assert!(archive.windows(64).any(|part| part == digest.as_bytes()));
}

#[test]
fn a_docker_archive_has_no_place_for_several() {
    let world = World::new();
    let index = ImageIndex::new(both(&world).to_vec()).expect("two platforms");
    let error = world
        .put_named(Named::Index(&index), "docker-archive:never-written.tar")
        .expect_err("refused")
        .to_string();
    assert!(
        error.contains("oci-archive") && error.contains("one platform"),
        "{error}"
    );
    assert!(!std::path::Path::new("never-written.tar").exists());
}

#[test]
fn an_asked_time_is_when_everything_was_made() {
    let world = World::new();
    let runtime = RuntimeConfig {
        created: Timestamp::new(1_700_000_000).expect("after 1980"),
        ..runtime()
    };
    let image = assemble(&runtime, &world.descriptions).expect("valid");
    let (config, manifest) = (json(image.config()), json(image.manifest()));
    let time = Value::from("2023-11-14T22:13:20Z");
    assert_eq!(config["created"], time);
    assert_eq!(config["history"][0]["created"], time);
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.created"],
        time
    );
}

#[test]
fn annotations_stand_in_the_manifest_alone_and_win() {
    let annotations = [
        ("org.opencontainers.image.title", "other"),
        ("com.example.team", "vision"),
    ];
    let runtime = RuntimeConfig {
        annotations: annotations
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..runtime()
    };
    let image = assemble(&runtime, &[]).expect("valid");
    let (config, manifest) = (json(image.config()), json(image.manifest()));
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.title"],
        "other"
    );
    assert_eq!(manifest["annotations"]["com.example.team"], "vision");
    assert_eq!(
        config["config"]["Labels"]["org.opencontainers.image.title"],
        "model"
    );
    assert_eq!(config["config"]["Labels"]["com.example.team"], Value::Null);
}
