//! Creating, opening, refusing to open.

use super::*;

#[test]
fn store_7_newer_schemas_and_lost_databases_are_refused() {
    let (folder, store) = empty();
    add_file(&store, "x", "x");
    let layout = store.layout().clone();
    drop(store);
    fs::write(layout.schema(), "11").expect("write");
    for result in [
        Store::open(folder.path()).map(Some),
        Store::open_existing(folder.path()),
    ] {
        let error = result.expect_err("too new");
        assert!(
            matches!(&error, StoreError::Schema { found, .. } if found == "11"),
            "{error}"
        );
        assert!(error.to_string().contains("version 10"), "{error}");
    }
    fs::write(layout.schema(), "10\n").expect("write");
    Store::open(folder.path()).expect("a newline does not matter");
    fs::remove_file(layout.database()).expect("remove");
    for result in [
        Store::open(folder.path()).map(Some),
        Store::open_existing(folder.path()),
    ] {
        assert!(matches!(result, Err(StoreError::MissingDatabase { .. })));
    }
}

#[test]
fn store_7_a_creation_that_was_cut_off_is_finished() {
    let (folder, store) = empty();
    let layout = store.layout().clone();
    drop(store);
    fs::remove_file(layout.schema()).expect("remove");
    fs::write(layout.database(), "").expect("write");
    let _ = fs::remove_file(layout.database().with_extension("sqlite-wal"));
    let store = Store::open(folder.path()).expect("open");
    assert_eq!(fs::read_to_string(layout.schema()).expect("read"), "10");
    add_file(&store, "x", "x");
    assert!(verify(&store).is_sound());
}

#[test]
fn store_7_looking_finishes_no_creation() {
    let (folder, store) = empty();
    let layout = store.layout().clone();
    drop(store);
    fs::remove_file(layout.schema()).expect("remove");
    fs::write(layout.database(), "").expect("write");
    let _ = fs::remove_file(layout.database().with_extension("sqlite-wal"));
    assert!(Store::open_existing(folder.path()).expect("look").is_none());
    assert!(!layout.schema().exists());
    fs::write(layout.schema(), "10").expect("write");
    let result = Store::open_existing(folder.path());
    assert!(
        matches!(result, Err(StoreError::Damaged { .. })),
        "{result:?}"
    );
}

#[test]
fn store_8_a_store_without_realisations_gets_them_with_the_first_write() {
    let (folder, store) = empty();
    let database = store.layout().database();
    drop(store);
    let connection = rusqlite::Connection::open(&database).expect("open");
    connection
        .execute_batch("DROP TABLE RealisationsRefs; DROP TABLE Realisations; DROP TABLE SchemaMigrations; DROP TRIGGER IF EXISTS DeleteSelfRefsViaRealisations")
        .expect("drop");
    let tables = schema_of(&database);
    let store = Store::open_existing(folder.path())
        .expect("open")
        .expect("a store");
    let id = "sha256:1b65c7df3cde3a9e4f50f7dcc7978816f9567951cce607db00a6c1d6221676f2!out";
    let id = id.parse().expect("an id");
    assert_eq!(store.realisation(&id).expect("query"), None);
    assert_eq!(schema_of(&database), tables, "looking changes nothing");
    add_file(&store, "x", "x");
    assert!(schema_of(&database).len() > tables.len());
    assert_eq!(store.realisation(&id).expect("query"), None);
}

#[test]
fn store_7_many_can_create_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::thread::scope(|scope| {
        for number in 0..6 {
            let root = folder.path();
            scope.spawn(move || {
                let store = Store::open(root).expect("open");
                add_file(&store, "x", &number.to_string());
            });
        }
    });
    let store = Store::open(folder.path()).expect("open");
    assert_eq!(store.all_paths().expect("paths").len(), 6);
}

#[test]
fn store_7_nothing_is_created_by_looking() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(Store::open_existing(folder.path()).expect("look").is_none());
    assert!(
        Store::open_existing(&folder.path().join("absent"))
            .expect("look")
            .is_none()
    );
    assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 0);
}

#[test]
fn crash_5_a_damaged_database_is_named_as_such() {
    let (folder, store) = empty();
    let database = store.layout().database();
    drop(store);
    fs::write(
        &database,
        [b"not a database".as_slice(), &[0; 4096]].concat(),
    )
    .expect("write");
    let error = Store::open(folder.path()).expect_err("damaged");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("build again"), "{error}");
}

#[test]
fn crash_5_a_writer_waits_and_says_so_once() {
    let (_folder, store) = empty();
    let recorder = Arc::new(crate::events::Recorder::default());
    let told = store.with_events(recorder.clone());
    let blocker = rusqlite::Connection::open(store.layout().database()).expect("open");
    blocker.execute_batch("BEGIN IMMEDIATE").expect("begin");
    let writer = std::thread::spawn(move || add_file(&told, "x", "x"));
    std::thread::sleep(std::time::Duration::from_millis(1500));
    blocker.execute_batch("COMMIT").expect("commit");
    let info = writer.join().expect("thread");
    assert!(store.is_valid(&info.path).expect("query"));
    let database = store.layout().database();
    assert_eq!(
        recorder.events(),
        [Event::WaitingForDatabase { path: database }]
    );
}

#[test]
fn store_8_without_write_access_a_store_can_be_read() {
    let (folder, store) = golden();
    let layout = store.layout().clone();
    drop(store);
    for directory in [layout.database_dir(), layout.store_dir().to_owned()] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o555)).expect("chmod");
    }
    fs::set_permissions(layout.database(), fs::Permissions::from_mode(0o444)).expect("chmod");
    let before = fs::read_dir(layout.database_dir()).expect("list").count();
    let store = Store::open_existing(folder.path())
        .expect("open")
        .expect("a store");
    assert_eq!(verify(&store).problems, []);
    drop(store);
    let after = fs::read_dir(layout.database_dir()).expect("list").count();
    assert_eq!(before, after);
    for directory in [layout.database_dir(), layout.store_dir().to_owned()] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
}

#[test]
fn a_store_without_durability_is_a_store() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open_with(folder.path(), Durability::None).expect("open");
    add_file(&store, "x", "x");
    assert!(verify(&store).is_sound());
}
