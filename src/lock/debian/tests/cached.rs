//! What is fetched, what is kept, and what works without a network.

use super::super::*;
use super::archive::{MadeSuite, MemoryArchive, lock, lock_with, now, request};

fn serve(suite: &MadeSuite) -> MemoryArchive {
    let mut archive = MemoryArchive::default();
    suite.serve(&mut archive);
    archive
}

fn asked(archive: &MemoryArchive) -> Vec<String> {
    std::mem::take(&mut archive.asked.lock().expect("no test panics while asking"))
}

#[tokio::test]
async fn the_second_lock_asks_for_the_release_only_and_is_equal() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let suite = MadeSuite::new(DEBIAN, "test", "a 1");
    let archive = serve(&suite);
    let first = lock_with(&archive, &request(&["a"]), cache.path(), false)
        .await
        .expect("cold");
    assert_eq!(
        asked(&archive),
        [suite.in_release_path(), suite.by_hash_path(".xz")]
    );
    let second = lock_with(&archive, &request(&["a"]), cache.path(), false)
        .await
        .expect("warm");
    assert_eq!(asked(&archive), [suite.in_release_path()]);
    let offline = lock_with(&archive, &request(&["a"]), cache.path(), true)
        .await
        .expect("offline");
    assert!(asked(&archive).is_empty());
    assert_eq!((&first, &first), (&second, &offline));
}

#[tokio::test]
async fn offline_without_cache_says_what_to_do() {
    let archive = serve(&MadeSuite::new(DEBIAN, "test", "a 1"));
    let cache = tempfile::tempdir().expect("a temporary folder");
    let error = lock_with(&archive, &request(&["a"]), cache.path(), true)
        .await
        .expect_err("nothing is cached");
    let expected =
        "the release file of suite `test` was never fetched; lock once without --offline";
    assert_eq!(
        (error.to_string().as_str(), error.kind().exit_code()),
        (expected, 69)
    );
}

#[tokio::test]
async fn damaged_and_outdated_files_of_the_cache_are_replaced() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let suite = MadeSuite {
        date: now() - 10,
        ..MadeSuite::new(DEBIAN, "test", "a 1")
    };
    let archive = serve(&suite);
    lock_with(&archive, &request(&["a"]), cache.path(), false)
        .await
        .expect("cold");
    let indexes = || {
        let folder = cache
            .path()
            .join("debian")
            .join(Sha256::of(b"memory:debian").to_string())
            .join("test");
        let entries = fs_err::read_dir(folder).expect("the suite's folder");
        let paths = entries.map(|entry| entry.expect("readable").path());
        paths
            .filter(|path| !path.ends_with("InRelease"))
            .collect::<Vec<_>>()
    };
    let first = indexes();
    assert_eq!(first.len(), 1);
    fs_err::write(&first[0], "Package: evil\n").expect("writable");
    asked(&archive);
    lock_with(&archive, &request(&["a"]), cache.path(), false)
        .await
        .expect("fetched again");
    assert_eq!(asked(&archive).len(), 2);

    let archive = serve(&MadeSuite::new(DEBIAN, "test", "a 2"));
    let lock = lock_with(&archive, &request(&["a"]), cache.path(), false)
        .await
        .expect("updated");
    assert_eq!(lock.packages[0].version, "2");
    let second = indexes();
    assert_eq!(second.len(), 1, "the old index is gone");
    assert_ne!(first, second);
}

#[tokio::test]
async fn archives_without_hashed_names_and_with_other_compressors_work() {
    let made = || MadeSuite::new(DEBIAN, "test", "a 1");
    for (suffixes, chosen) in [
        (&["", ".gz", ".xz"][..], ".xz"),
        (&["", ".gz"], ".gz"),
        (&[""], ""),
    ] {
        let suite = MadeSuite {
            suffixes,
            by_hash: false,
            ..made()
        };
        let archive = serve(&suite);
        lock(&archive, &request(&["a"]))
            .await
            .expect("any compressor");
        assert_eq!(
            asked(&archive),
            [suite.in_release_path(), suite.index_path(chosen)]
        );
    }
    let suite = made();
    let mut archive = serve(&suite);
    archive.files.remove(&suite.by_hash_path(".xz"));
    lock(&archive, &request(&["a"]))
        .await
        .expect("the name still works");
    assert_eq!(asked(&archive).last(), Some(&suite.index_path(".xz")));
}
