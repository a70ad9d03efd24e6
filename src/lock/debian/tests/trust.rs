//! Nothing that no trusted key signed reaches a lock.

use super::super::signature::tests::{secret_key, signed};
use super::super::*;
use super::archive::{MadeSuite, MemoryArchive, key, lock, lock_lines, lock_with, now, request};

const LINES: &str = "a 1; Depends: b\nb 2";

fn suite() -> MadeSuite {
    MadeSuite::new(DEBIAN, "test", LINES)
}

/// Serves a suite, changes something, and gives the message that follows.
async fn refused(suite: &MadeSuite, change: impl FnOnce(&mut MemoryArchive)) -> (String, u8) {
    let mut archive = MemoryArchive::default();
    suite.serve(&mut archive);
    change(&mut archive);
    let error = lock(&archive, &request(&["a"]))
        .await
        .expect_err("the change must be noticed");
    (error.to_string(), error.kind().exit_code())
}

fn sign(archive: &mut MemoryArchive, suite: &MadeSuite, text: &str) {
    archive
        .files
        .insert(suite.in_release_path(), signed(key(), text).into_bytes());
}

#[tokio::test]
async fn a_signed_archive_gives_a_lock() {
    let lock = lock_lines(LINES, &["a"]).await.expect("all is well");
    let names: Vec<_> = lock
        .packages
        .iter()
        .map(|deb| (deb.name.as_str(), deb.requested))
        .collect();
    assert_eq!(names, [("a", true), ("b", false)]);
    assert_eq!(lock.packages[0].depends, ["b"]);
    assert_eq!(lock.packages[0].path, "pool/main/a_1_amd64.deb");
    assert_eq!(
        lock.packages[0].sha256,
        Sha256::of(b"pool/main/a_1_amd64.deb")
    );
    assert_eq!(
        (
            lock.releases[0].input.as_str(),
            lock.releases[0].suite.as_str()
        ),
        ("debian", "test")
    );
}

#[tokio::test]
async fn idx_4_unsigned_and_strange_signatures_are_refused() {
    let suite = suite();
    let unsigned = refused(&suite, |archive| {
        archive
            .files
            .insert(suite.in_release_path(), suite.release().into_bytes());
    });
    let (message, code) = unsigned.await;
    assert_eq!(
        message,
        "debian test is not a clear-signed release file: it starts with `Suite: some-test`"
    );
    assert_eq!(code, 102);
    let stranger = secret_key(pgp::composed::KeyType::Ed25519Legacy, true);
    let strange = refused(&suite, |archive| {
        archive.files.insert(
            suite.in_release_path(),
            signed(&stranger, &suite.release()).into_bytes(),
        );
    });
    let (message, _) = strange.await;
    assert!(
        message.starts_with("debian test is not signed by a trusted key: key "),
        "{message}"
    );
}

#[tokio::test]
async fn idx_4_tampering_with_the_release_is_noticed() {
    let suite = suite();
    let (message, _) = refused(&suite, |archive| {
        let text =
            signed(key(), &suite.release()).replace("Components: main", "Components: main more");
        archive
            .files
            .insert(suite.in_release_path(), text.into_bytes());
    })
    .await;
    assert!(
        message.ends_with("the signature does not fit the text"),
        "{message}"
    );
}

#[tokio::test]
async fn all_2_truncated_files_are_refused() {
    let suite = suite();
    let (message, _) = refused(&suite, |archive| {
        let mut bytes = signed(key(), &suite.release()).into_bytes();
        bytes.truncate(bytes.len() - 40);
        archive.files.insert(suite.in_release_path(), bytes);
    })
    .await;
    assert!(
        message.ends_with("it stops before the end of its signature"),
        "{message}"
    );
    let (message, code) = refused(&suite, |archive| {
        archive
            .files
            .get_mut(&suite.by_hash_path(".xz"))
            .expect("served")
            .pop();
    })
    .await;
    assert!(
        message.starts_with("main/binary-amd64/Packages.xz of debian test does not match"),
        "{message}"
    );
    assert_eq!(code, 102);
}

#[tokio::test]
async fn idx_4_indexes_must_match_size_and_hash() {
    let suite = suite();
    let (message, code) = refused(&suite, |archive| {
        let bytes = archive
            .files
            .get_mut(&suite.by_hash_path(".xz"))
            .expect("served");
        *bytes.last_mut().expect("not empty") ^= 1;
    })
    .await;
    assert!(
        message.contains("does not match its release file: expected "),
        "{message}"
    );
    assert_eq!(code, 102);
    let (message, code) = refused(&suite, |archive| {
        archive
            .files
            .get_mut(&suite.by_hash_path(".xz"))
            .expect("served")
            .push(0);
    })
    .await;
    assert!(
        message.starts_with("cannot fetch dists/test/main/binary-amd64/by-hash/"),
        "{message}"
    );
    assert_eq!(code, 69);
}

/// The compressed file is as promised, but holds something else than the promised index.
#[tokio::test]
async fn idx_4_decompressed_indexes_must_match_too() {
    let suite = suite();
    for (packages, expected) in [
        ("Package: a\n".repeat(99), "does not match"),
        (String::new(), "does not match"),
    ] {
        let other = MadeSuite {
            packages,
            ..MadeSuite::new(DEBIAN, "test", "")
        };
        let (message, code) = refused(&suite, |archive| {
            let promised = suite.release();
            let (kept, _) = promised.rsplit_once("Components").expect("a field of the text");
            let (plain, xz) = (suite.packages.as_bytes(), other.compressed(".xz"));
            let files = format!(
                "{kept}Components: main\nSHA256:\n {} {} main/binary-amd64/Packages\n {} {} main/binary-amd64/Packages.xz\n",
                Sha256::of(plain),
                plain.len(),
                Sha256::of(&xz),
                xz.len()
            );
            sign(archive, &suite, &files);
            archive.files.insert(other.by_hash_path(".xz"), xz);
        })
        .await;
        assert!(
            message.starts_with("main/binary-amd64/Packages of debian test")
                && message.contains(expected),
            "{message}"
        );
        assert_eq!(code, 102);
    }
}

#[tokio::test]
async fn idx_4_upward_paths_are_refused() {
    let suite = suite();
    let (message, _) = refused(&suite, |archive| {
        sign(
            archive,
            &suite,
            &suite
                .release()
                .replace("main/binary-amd64/Packages.xz", "../evil/Packages.xz"),
        );
    })
    .await;
    assert!(
        message.contains("expected a hash, a size and a path below the suite"),
        "{message}"
    );
    for path in [
        "../evil.deb",
        "/evil.deb",
        "pool/../../evil.deb",
        "pool//evil.deb",
        "",
    ] {
        let error = lock_lines(&format!("a 1; Filename: {path}"), &["a"])
            .await
            .expect_err(path);
        assert_eq!(
            error.to_string(),
            format!("test main: package `a` has an unusable Filename: `{path}`")
        );
    }
    for suite in ["../test", "te/st", "..", ""] {
        let mut request = request(&["a"]);
        request.sources[0].suite = suite.to_owned();
        let error = lock(&MemoryArchive::default(), &request)
            .await
            .expect_err(suite);
        assert!(
            error.to_string().ends_with("expected one plain name"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn lock_2_packages_without_strong_hash_or_size_are_refused() {
    for field in [
        "SHA256: d41d8cd98f00b204e9800998ecf8427e",
        "SHA256: ",
        "Size: -1",
        "Size: many",
        "Architecture: i386",
    ] {
        let error = lock_lines(&format!("a 1; {field}"), &["a"])
            .await
            .expect_err(field);
        assert!(
            error
                .to_string()
                .starts_with("test main: package `a` has an unusable "),
            "{error}"
        );
        assert_eq!(error.kind().exit_code(), 65);
    }
}

#[tokio::test]
async fn idx_4_another_suite_and_old_releases_are_refused() {
    let right = suite();
    let (message, _) = refused(&right, |archive| {
        sign(
            archive,
            &right,
            &right.release().replace("Codename: test", "Codename: other"),
        )
    })
    .await;
    assert_eq!(message, "debian test: Codename is `other`, expected test");
    let old = MadeSuite {
        date: now() - 900_000,
        valid_until: Some(now() - 1),
        ..suite()
    };
    let (message, code) = refused(&old, |_| {}).await;
    assert!(message.starts_with("debian test expired on "), "{message}");
    assert_eq!(code, 69);
    let future = MadeSuite {
        date: now() + 9_000,
        ..suite()
    };
    let (message, _) = refused(&future, |_| {}).await;
    assert!(message.contains("which is in the future"), "{message}");
}

#[tokio::test]
async fn idx_4_going_back_in_time_is_refused() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let (new, old) = (
        suite(),
        MadeSuite {
            date: now() - 90_000,
            ..suite()
        },
    );
    let mut archive = MemoryArchive::default();
    new.serve(&mut archive);
    lock_with(&archive, &request(&["a"]), cache.path(), false)
        .await
        .expect("the new one");
    old.serve(&mut archive);
    let error = lock_with(&archive, &request(&["a"]), cache.path(), false)
        .await
        .expect_err("the old one");
    assert!(
        error
            .to_string()
            .starts_with("debian test went back in time: made on "),
        "{error}"
    );
}

#[tokio::test]
async fn idx_4_a_pinned_release_may_be_old_but_must_be_that_one() {
    let old = MadeSuite {
        date: now() - 900_000,
        valid_until: Some(now() - 1),
        ..suite()
    };
    let mut archive = MemoryArchive::default();
    old.serve(&mut archive);
    let mut request = request(&["a"]);
    request.sources[0].pinned = Some(Sha256::of(&archive.files[&old.in_release_path()]));
    lock(&archive, &request).await.expect("pinned by its hash");
    request.sources[0].pinned = Some(Sha256::of(b"another"));
    let error = lock(&archive, &request).await.expect_err("not that one");
    assert!(
        error
            .to_string()
            .starts_with("InRelease of debian test does not match"),
        "{error}"
    );
    assert_eq!(error.kind().exit_code(), 102);
}

#[tokio::test]
async fn idx_1_a_web_page_is_named_as_such() {
    let suite = suite();
    let (message, _) = refused(&suite, |archive| {
        archive.files.insert(
            suite.in_release_path(),
            b"\n<html>Please log in</html>".to_vec(),
        );
    })
    .await;
    assert!(message.contains("it is a web page"), "{message}");
    let (message, code) = refused(&suite, |archive| {
        archive
            .files
            .insert(suite.by_hash_path(".xz"), b"<html></html>".to_vec());
    })
    .await;
    assert!(
        message.starts_with("main/binary-amd64/Packages.xz of debian test is a web page"),
        "{message}"
    );
    assert_eq!(code, 69);
}

#[tokio::test]
async fn missing_files_say_what_to_check() {
    let suite = suite();
    let (message, code) = refused(&suite, |archive| archive.files.clear()).await;
    let next = "check the address of the input and the name of the suite";
    assert_eq!(
        message,
        format!("input `debian` has no dists/test/InRelease at memory:debian; {next}")
    );
    assert_eq!(code, 69);
    let (message, _) = refused(&suite, |archive| {
        archive.files.remove(&suite.by_hash_path(".xz"));
        archive.files.remove(&suite.index_path(".xz"));
    })
    .await;
    assert!(
        message.contains("has no dists/test/main/binary-amd64/Packages.xz at"),
        "{message}"
    );
    let mut other = request(&["a"]);
    other.sources[0].components = vec!["main".to_owned(), "contrib".to_owned()];
    let mut archive = MemoryArchive::default();
    suite.serve(&mut archive);
    let error = lock(&archive, &other)
        .await
        .expect_err("there is no contrib");
    assert_eq!(
        error.to_string(),
        "debian test: Components is `main`, expected contrib"
    );
}
