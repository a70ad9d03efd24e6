use super::*;

fn octal(field: &[u8]) -> u64 {
    field
        .iter()
        .take_while(|byte| (b'0'..=b'7').contains(*byte))
        .fold(0, |number, digit| number * 8 + u64::from(digit - b'0'))
}

/// Names and contents of a tar file, in order.
fn entries(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut entries = Vec::new();
    let mut rest = archive;
    while rest[0] != 0 {
        let (header, after) = rest.split_at(512);
        let name = header[..100]
            .split(|byte| *byte == 0)
            .next()
            .expect("a part");
        let size = octal(&header[124..136]) as usize;
        assert_eq!(octal(&header[136..148]), 315_532_800);
        entries.push((
            String::from_utf8(name.to_vec()).expect("UTF-8"),
            after[..size].to_vec(),
        ));
        rest = &after[size.next_multiple_of(512)..];
    }
    assert_eq!(rest, END);
    entries
}

fn put(world: &World, transport: &str, name: &str) -> Result<Vec<u8>, ImageError> {
    let root = tempfile::tempdir().expect("a folder");
    let file = root.path().join("new/image.tar");
    world.put(&format!("{transport}:{}:{name}", file.display()))?;
    let left: Vec<_> = std::fs::read_dir(root.path().join("new"))
        .expect("a folder")
        .collect();
    assert_eq!(left.len(), 1);
    Ok(std::fs::read(file).expect("an archive"))
}

#[test]
fn an_oci_archive_is_the_layout_in_order() {
    let world = World::new();
    let archive = put(&world, "oci-archive", "v1").expect("written");
    assert_eq!(put(&world, "oci-archive", "v1").expect("written"), archive);
    let entries = entries(&archive);
    let names: Vec<_> = entries.iter().map(|(name, _)| name.clone()).collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(names, sorted);
    assert_eq!(
        (names.len(), &*names[0], &*names[1]),
        (8, "blobs/", "blobs/sha256/")
    );
    assert_eq!((&*names[6], &*names[7]), ("index.json", "oci-layout"));
    for (name, content) in &entries[2..6] {
        assert_eq!(name, &format!("blobs/sha256/{}", Sha256::of(content)));
    }
    assert!(
        String::from_utf8_lossy(&entries[6].1)
            .contains(r#""org.opencontainers.image.ref.name":"v1""#)
    );
}

#[test]
fn a_docker_archive_holds_plain_tar_streams() {
    let world = World::new();
    let archive = put(&world, "docker-archive", "me/model").expect("written");
    assert_eq!(
        put(&world, "docker-archive", "me/model:latest").expect("written"),
        archive
    );
    let entries: BTreeMap<_, _> = entries(&archive).into_iter().collect();
    let image = world.image();
    let config = format!("{}.json", image.config_digest());
    let layers = [0, 1].map(|at: usize| format!("{}.tar", image.layers()[at].diff_id.0));
    assert_eq!(entries.len(), 4);
    assert_eq!(entries[&config], image.config());
    for layer in &layers {
        assert_eq!(format!("{}.tar", Sha256::of(&entries[layer])), *layer);
    }
    assert_eq!(
        String::from_utf8_lossy(&entries["manifest.json"]),
        format!(
            r#"[{{"Config":"{config}","Layers":["{}","{}"],"RepoTags":["me/model:latest"]}}]"#,
            layers[0], layers[1]
        )
    );
}

#[test]
fn the_same_layer_twice_is_one_file() {
    let same = || layer("same", "etc", b"same\n");
    let world = World::of(vec![same(), same()]);
    assert_eq!(
        entries(&put(&world, "docker-archive", "me/model").expect("written")).len(),
        3
    );
    assert_eq!(
        entries(&put(&world, "oci-archive", "v1").expect("written")).len(),
        7
    );
}

/// CRASH-3: an archive is replaced whole or not at all.
#[test]
fn crash_3_a_failure_leaves_the_old_archive() {
    for transport in ["oci-archive", "docker-archive"] {
        let root = tempfile::tempdir().expect("a folder");
        let file = root.path().join("image.tar");
        std::fs::write(&file, "old").expect("written");
        let mut world = World::new();
        world.made[0].compressed[15] ^= 1;
        world.made[0].tar[15] ^= 1;
        assert!(
            world
                .put(&format!("{transport}:{}", file.display()))
                .is_err()
        );
        assert_eq!(std::fs::read(&file).expect("a file"), b"old");
        assert_eq!(std::fs::read_dir(root.path()).expect("a folder").count(), 1);
        World::new()
            .put(&format!("{transport}:{}", file.display()))
            .expect("written");
        assert_ne!(std::fs::read(&file).expect("a file"), b"old");
    }
}

/// CRASH-4: what a killed writer left is swept, what a living one is writing stays.
#[test]
fn crash_4_leftovers_are_swept() {
    let root = tempfile::tempdir().expect("a folder");
    let [dead, living] =
        ["dead", "living"].map(|name| root.path().join(format!(".cognix-archive-{name}")));
    std::fs::write(&dead, "half").expect("written");
    let writer = std::fs::File::create(&living).expect("a file");
    writer.lock().expect("a lock");
    let file = root.path().join("image.tar");
    World::new()
        .put(&format!("oci-archive:{}", file.display()))
        .expect("written");
    assert!(!dead.exists() && living.exists() && file.exists());
}

/// A description whose two digests do not belong together is found out before the archive is there.
#[test]
fn diff_ids_are_verified() {
    let mut world = World::new();
    for change in [
        |layer: &mut LayerDescription| layer.diff_id = DiffId(Sha256::of(b"")),
        |layer: &mut LayerDescription| layer.uncompressed_size += 1,
    ] {
        change(&mut world.descriptions[0]);
        world.made[0].description = world.descriptions[0].clone();
        let error = put(&world, "docker-archive", "me/model").expect_err("refused");
        assert!(
            matches!(&error, ImageError::DiffIdMismatch { name, .. } if name == "base"),
            "{error}"
        );
    }
}
