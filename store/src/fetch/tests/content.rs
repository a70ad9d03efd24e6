//! What arrives, from whom, and what is believed.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn all_3_a_file_arrives_and_is_verified() {
    let server = Server::start(|request| Reply::file(request, &file()));
    let bench = Bench::new(|_| {});
    let size = file().len() as u64;
    let fetched = bench
        .fetch(&[server.url("x")], &file(), Some(size))
        .await
        .expect("fetch");
    assert_eq!((fetched.size, fetched.transferred), (size, size));
    assert_eq!(bench.content(), file());
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].headers["accept-encoding"], "identity");
    assert!(requests[0].headers["user-agent"].starts_with("cognix/"));
    let again = bench
        .fetch(&[server.url("x")], &file(), Some(size))
        .await
        .expect("fetch");
    assert_eq!(
        again.transferred, 0,
        "what is there is not downloaded again"
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_2_wrong_content_is_reported_and_the_next_source_is_asked() {
    let bad = Server::start(|_| Reply::new(200, "something else"));
    let good = Server::start(|request| Reply::file(request, &file()));
    let bench = Bench::new(|_| {});
    let urls = [bad.url("x"), good.url("x")];
    bench.fetch(&urls, &file(), None).await.expect("fetch");
    assert_eq!(bench.content(), file());
    let rejected = bench
        .recorder
        .events()
        .into_iter()
        .find_map(|event| match event {
            Event::FetchRejected { url, reason, .. } => Some((url, reason)),
            _ => None,
        });
    let (url, reason) = rejected.expect("a rejection");
    assert_eq!(url, bad.url("x"));
    assert!(reason.contains("expected sha256-"), "{reason}");
    std::fs::remove_file(&bench.place).expect("remove");
    bench.fetch(&urls, &file(), None).await.expect("fetch");
    assert_eq!(bad.requests().len(), 1, "it is not asked again in this run");
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_2_wrong_content_everywhere_is_a_hash_failure() {
    let bad = Server::start(|_| Reply::new(200, "something else"));
    let missing = Server::start(|_| Reply::new(404, "no"));
    let bench = Bench::new(|_| {});
    let error = bench
        .fetch(&[bad.url("x")], &file(), None)
        .await
        .expect_err("wrong");
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Hash);
    let bench = Bench::new(|_| {});
    let urls = [missing.url("x"), bad.url("x")];
    let error = bench.fetch(&urls, &file(), None).await.expect_err("wrong");
    assert_eq!(error.kind(), ErrorKind::Hash);
    assert!(error.to_string().contains("404"), "{error}");
    assert_eq!(bench.content(), b"", "nothing wrong is kept as a beginning");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_3_a_wrong_size_is_not_downloaded() {
    let server = Server::start(|_| Reply::new(200, vec![7; 5_000_000]));
    let bench = Bench::new(|_| {});
    let error = bench
        .fetch(&[server.url("x")], &file(), Some(1000))
        .await
        .expect_err("wrong");
    assert!(
        matches!(
            error,
            FetchError::Size {
                expected: 1000,
                actual: 5_000_000,
                ..
            }
        ),
        "{error}"
    );
    // Without a length, the size shows while the bytes come.
    let server = Server::start(|_| {
        let mut reply = Reply::new(200, vec![7; 5_000_000]);
        reply.length = false;
        reply
    });
    let error = bench
        .fetch(&[server.url("x")], &file(), Some(1000))
        .await
        .expect_err("wrong");
    assert!(
        matches!(error, FetchError::Size { expected: 1000, .. }),
        "{error}"
    );
    assert_eq!(bench.content(), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_is_looked_for_at_the_next_mirror() {
    let first = Server::start(|_| Reply::new(404, "<html>not here</html>"));
    let second = Server::start(|request| Reply::file(request, b"text"));
    let bench = Bench::new(|_| {});
    let urls = [first.url("x"), second.url("x")];
    bench.fetch(&urls, b"text", None).await.expect("fetch");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
    let error = bench
        .fetch(&[first.url("y")], b"other", None)
        .await
        .expect_err("missing");
    assert!(
        matches!(&error, FetchError::Status { status, .. } if status.as_u16() == 404),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn idx_1_a_web_page_is_named_as_such() {
    const PAGE: &str = "<!DOCTYPE html>\n<title>Please log in</title>";
    let login = Server::start(|_| Reply::new(200, PAGE));
    let second = Server::start(|request| Reply::file(request, b"text"));
    let bench = Bench::new(|_| {});
    for size in [None, Some(4)] {
        let error = bench
            .fetch(&[login.url("x")], b"text", size)
            .await
            .expect_err("a page");
        assert!(
            matches!(&error, FetchError::WebPage { start, .. } if start == PAGE),
            "{error}"
        );
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(
            error.to_string().contains("a web page instead of the file"),
            "{error}"
        );
    }
    bench
        .fetch(&[login.url("x"), second.url("x")], b"text", None)
        .await
        .expect("fetch");
    // A page that is what is wanted is a file like any other.
    let bench = Bench::new(|_| {});
    bench
        .fetch(&[login.url("x")], PAGE.as_bytes(), None)
        .await
        .expect("fetch");
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_2_credentials_are_sent_but_never_shown() {
    let server = Server::start(|_| Reply::new(404, ""));
    let bench = Bench::new(|_| {});
    let url =
        server.url("x").replace("http://", "http://user:secret@") + "?signature=secret#secret";
    let error = bench
        .fetch(&[url], b"text", None)
        .await
        .expect_err("missing");
    assert!(server.requests()[0].headers["authorization"].starts_with("Basic "));
    let told = format!("{error} {error:?} {:?}", bench.recorder.events());
    assert!(!told.contains("secret"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn local_files_are_fetched_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a file");
    std::fs::write(&path, file()).expect("write");
    let url = Url::from_file_path(&path).expect("absolute").to_string();
    let bench = Bench::new(|_| {});
    std::fs::write(&bench.place, "a beginning").expect("write");
    let fetched = bench
        .fetch(std::slice::from_ref(&url), &file(), None)
        .await
        .expect("fetch");
    assert_eq!(
        (fetched.size, fetched.transferred),
        (file().len() as u64, 0)
    );
    assert_eq!(bench.content(), file());
    let error = bench
        .fetch(&[url], b"other", None)
        .await
        .expect_err("wrong");
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error}");
    let error = bench
        .fetch(&["file:///absent".to_owned()], b"x", None)
        .await;
    assert!(matches!(error, Err(FetchError::Local { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_schemes_and_mirrors_say_what_is_missing() {
    let bench = Bench::new(|_| {});
    let fail = async |url: &str| {
        bench
            .fetch(&[url.to_owned()], b"x", None)
            .await
            .expect_err("fails")
    };
    let error = fail("ftp://127.0.0.1/x").await;
    assert!(matches!(error, FetchError::Scheme { .. }), "{error}");
    let error = fail("mirror://python/x").await;
    assert!(error.to_string().contains("mirror://python"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(fail("not a url").await.kind(), ErrorKind::Input);
    let none = bench.fetch(&[], b"x", None).await.expect_err("nothing");
    assert!(matches!(none, FetchError::NoSource { .. }), "{none}");
}
