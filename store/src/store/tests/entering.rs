//! The ways in, alone and at the same time.

use super::*;

#[test]
fn all_9_imported_trees_are_normal() {
    let (_folder, store) = empty();
    let info = store
        .import(&name("tree"), &mut |place| {
            fs::create_dir_all(place.join("bin"))?;
            fs::write(place.join("bin/run"), "#!/bin/sh\n")?;
            fs::set_permissions(place.join("bin/run"), fs::Permissions::from_mode(0o6711))?;
            fs::write(place.join("text"), "text")?;
            fs::set_permissions(place.join("text"), fs::Permissions::from_mode(0o600))?;
            std::os::unix::fs::symlink("bin/run", place.join("link"))
        })
        .expect("import");
    let real = store.real_path(&info.path);
    let mode = |inside: &str| {
        let metadata = fs::symlink_metadata(real.join(inside)).expect("metadata");
        use std::os::unix::fs::MetadataExt as _;
        (metadata.mode() & 0o7777, metadata.mtime())
    };
    assert_eq!(mode(""), (0o555, 1));
    assert_eq!(mode("bin"), (0o555, 1));
    assert_eq!(mode("bin/run"), (0o555, 1));
    assert_eq!(mode("text"), (0o444, 1));
    assert_eq!(mode("link").1, 1);
    let report = verify(&store);
    assert_eq!((report.problems, report.unregistered), (vec![], vec![]));
}

/// The path is the one that `nix-store --print-fixed-path` tells.
#[test]
fn a_file_can_be_known_by_its_bytes_alone() {
    let (_folder, store) = empty();
    let info = store
        .import_file(&name("hello.txt"), &mut b"hello\n".as_slice())
        .expect("import");
    assert_eq!(
        info.path.to_string(),
        "/nix/store/gy454w1cxaq731grqwylhzf4pp9r5izh-hello.txt"
    );
    let real = store.real_path(&info.path);
    assert_eq!(fs::read(&real).expect("the file"), b"hello\n");
    let report = verify(&store);
    assert_eq!((report.problems, report.unregistered), (vec![], vec![]));
}

#[test]
fn store_4_equal_content_is_one_path_and_a_failed_import_leaves_nothing() {
    let (_folder, store) = empty();
    let one = add_file(&store, "x", "text");
    let two = add_file(&store, "x", "text");
    let other = add_file(&store, "y", "text");
    assert_eq!(one, two);
    assert_ne!(one.path, other.path);
    let failed = store.import(&name("z"), &mut |place| {
        fs::write(place, "half")?;
        Err(io::Error::other("no more"))
    });
    assert!(matches!(failed, Err(StoreError::Io { .. })));
    let unsupported = store.import(&name("z"), &mut |place| {
        std::os::unix::net::UnixListener::bind(place).map(drop)
    });
    assert!(matches!(unsupported, Err(StoreError::Unsupported { .. })));
    assert_eq!(
        fs::read_dir(store.layout().store_dir())
            .expect("list")
            .count(),
        2
    );
    assert_eq!(verify(&store).unregistered, [""; 0]);
}

#[test]
fn store_5_threads_and_handles_share_a_store() {
    let (folder, store) = empty();
    let second = Store::open(folder.path()).expect("open again");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = if thread % 2 == 0 { &store } else { &second };
            scope.spawn(move || {
                for number in 0..12 {
                    add_file(store, "same", &format!("{number}"));
                    add_file(store, "own", &format!("{thread} {number}"));
                    store
                        .add_text(&name("text"), &[number], &BTreeSet::new())
                        .expect("add");
                }
            });
        }
    });
    assert_eq!(store.all_paths().expect("paths").len(), 12 + 8 * 12 + 12);
    let report = verify(&second);
    assert_eq!((report.problems, report.unregistered), (vec![], vec![]));
}

#[test]
fn crash_1_an_unregistered_path_at_the_final_name_is_replaced() {
    let (_folder, store) = empty();
    let (other_folder, other) = empty();
    let info = add_file(&other, "x", "text");
    let text = other
        .add_text(&name("t"), b"text", &BTreeSet::new())
        .expect("add");
    drop(other_folder);
    fs::create_dir_all(store.real_path(&info.path).join("torn")).expect("create");
    fs::set_permissions(
        store.real_path(&info.path),
        fs::Permissions::from_mode(0o555),
    )
    .expect("chmod");
    fs::write(store.real_path(&text), "te").expect("write");
    assert_eq!(verify(&store).unregistered.len(), 2);
    assert_eq!(add_file(&store, "x", "text").path, info.path);
    store
        .add_text(&name("t"), b"text", &BTreeSet::new())
        .expect("add");
    let report = verify(&store);
    assert_eq!((report.problems, report.unregistered), (vec![], vec![]));
}

#[test]
fn store_1_damage_is_found_and_named() {
    let (_folder, store) = empty();
    let [changed, missing, loose, fine] =
        ["changed", "missing", "loose", "fine"].map(|name| add_file(&store, name, name).path);
    let real = store.real_path(&changed);
    let writable =
        |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("chmod");
    writable(&real);
    fs::write(&real, "Changed").expect("write");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o444)).expect("chmod");
    let times = fs::FileTimes::new().set_modified(UNIX_EPOCH + std::time::Duration::from_secs(1));
    fs::File::open(&real)
        .and_then(|file| file.set_times(times))
        .expect("times");
    fs::remove_file(store.real_path(&missing)).expect("remove");
    writable(&store.real_path(&loose));
    let report = verify(&store);
    let mut found: Vec<(&str, &StorePath)> = report
        .problems
        .iter()
        .map(|problem| match problem {
            Problem::Changed { path, .. } => ("changed", path),
            Problem::Missing { path } => ("missing", path),
            Problem::Metadata { path, .. } => ("metadata", path),
            other => panic!("unexpected: {other}"),
        })
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("changed", &changed),
            ("metadata", &loose),
            ("missing", &missing)
        ]
    );
    assert!(store.is_valid(&fine).expect("query"));
    let quick = store
        .verify(false, &CancellationToken::new())
        .expect("verify");
    assert_eq!(quick.problems, [Problem::Missing { path: missing }]);
}

#[test]
fn store_1_a_path_that_does_not_follow_from_its_address_is_found() {
    let (_folder, store) = empty();
    let one = add_file(&store, "one", "one");
    let connection = rusqlite::Connection::open(store.layout().database()).expect("open");
    let forged = add_file(&store, "two", "two")
        .ca
        .expect("an address")
        .to_string();
    connection
        .execute(
            "UPDATE ValidPaths SET ca = ?1 WHERE path = ?2",
            (forged, one.path.to_string()),
        )
        .expect("update");
    let report = verify(&store);
    assert!(matches!(&report.problems[..], [Problem::Address { path, .. }] if *path == one.path));
}

/// Attributes, modes and times of texts are those that normalising gives.
#[test]
fn all_9_texts_are_normal_and_enter_together() {
    let (_folder, store) = empty();
    let text = |text_name: &str, bytes: &[u8], references: &[&StorePath]| Text {
        name: name(text_name),
        bytes: bytes.to_vec(),
        references: references.iter().copied().cloned().collect(),
    };
    let first = text("first", b"one\n", &[]);
    let path = store
        .add_texts(std::slice::from_ref(&first))
        .expect("one text")
        .remove(0);
    let second = text("second", b"", &[]);
    let empty_path = content_addressed_path(
        &second.name,
        &ContentAddress::Text(cognix_derivations::Sha256::of(b"")),
        &BTreeSet::new(),
        false,
    )
    .expect("a path");
    // One that is there, one twice, and one that refers to another of the same batch.
    let third = text("third", path.to_string().as_bytes(), &[&path, &empty_path]);
    let paths = store
        .add_texts(&[third, first, second.clone(), second])
        .expect("texts");
    assert_eq!(
        paths[1..],
        [path.clone(), empty_path.clone(), empty_path.clone()]
    );
    let info = store.query(&paths[0]).expect("query").expect("valid");
    assert_eq!(info.references, [path, empty_path].into());
    for path in &paths {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = fs::symlink_metadata(store.real_path(path)).expect("metadata");
        assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o444, 1));
    }
    let report = verify(&store);
    assert_eq!((report.problems, report.unregistered), (vec![], vec![]));
}

#[test]
fn store_3_a_text_that_refers_to_what_is_not_there_does_not_enter() {
    let (_folder, store) = empty();
    let absent =
        StorePath::from_base_name("00000000000000000000000000000000-absent").expect("valid");
    let fine = Text {
        name: name("fine"),
        bytes: b"text".to_vec(),
        references: BTreeSet::new(),
    };
    let broken = Text {
        references: [absent].into(),
        ..fine.clone()
    };
    assert!(matches!(
        store.add_texts(&[fine, broken]),
        Err(StoreError::MissingReference { .. })
    ));
    assert_eq!(store.all_paths().expect("paths").len(), 0);
}
