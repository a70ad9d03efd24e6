//! Connections that break, servers that are busy, slow or gone.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn lim_2_a_cut_off_download_goes_on_where_it_was() {
    let server = Server::start(|request| {
        let reply = Reply::file(request, &file());
        let length = reply.body.len();
        // More breaks than retries: a file that gets longer is worth any number of requests.
        if length > 200_000 {
            reply.cut(150_000)
        } else {
            reply
        }
    });
    let bench = Bench::new(|_| {});
    let size = file().len() as u64;
    let fetched = bench
        .fetch(&[server.url("x")], &file(), Some(size))
        .await
        .expect("fetch");
    assert_eq!(bench.content(), file());
    assert_eq!(fetched.transferred, size, "no byte came twice");
    let requests = server.requests();
    assert!(requests.len() > 5, "{}", requests.len());
    for (number, request) in requests.iter().enumerate().skip(1) {
        assert!(request.start() > requests[number - 1].start());
        assert_eq!(request.headers["if-range"], "\"one\"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_2_a_file_that_changes_in_between_is_taken_in_whole() {
    let server = Server::start(|request| match request.number {
        0 => Reply::file(request, &[1; 100_000]).cut(50_000),
        // The tag does not fit any more, so a decent server sends everything.
        _ => Reply::new(200, file()).header("etag", "\"two\""),
    });
    let bench = Bench::new(|_| {});
    bench
        .fetch(&[server.url("x")], &file(), None)
        .await
        .expect("fetch");
    assert_eq!(bench.content(), file());
    assert_eq!(server.requests()[1].headers["if-range"], "\"one\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_2_a_beginning_from_an_earlier_run_is_used_or_replaced() {
    let server = Server::start(|request| Reply::file(request, &file()));
    let bench = Bench::new(|_| {});
    std::fs::write(&bench.place, &file()[..1_000_000]).expect("write");
    let fetched = bench
        .fetch(&[server.url("x")], &file(), None)
        .await
        .expect("fetch");
    assert_eq!(fetched.transferred, file().len() as u64 - 1_000_000);
    std::fs::write(&bench.place, [9; 1000]).expect("write");
    bench
        .fetch(&[server.url("x")], &file(), None)
        .await
        .expect("fetch");
    assert_eq!(bench.content(), file());
    std::fs::write(&bench.place, [file(), vec![1]].concat()).expect("write");
    let longer = Server::start(|request| match request.start() {
        0 => Reply::new(200, file()),
        _ => Reply::new(416, ""),
    });
    bench
        .fetch(&[longer.url("x")], &file(), None)
        .await
        .expect("fetch");
    assert_eq!(bench.content(), file());
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_2_a_part_that_was_not_asked_for_is_not_used() {
    let server = Server::start(|request| match request.number {
        0 => Reply::file(request, &file()).cut(50_000),
        1 => Reply::new(206, &file()[10..]).header("content-range", "bytes 10-20/30"),
        _ => Reply::file(request, &file()),
    });
    let bench = Bench::new(|_| {});
    bench
        .fetch(&[server.url("x")], &file(), None)
        .await
        .expect("fetch");
    assert_eq!(bench.content(), file());
    assert!(
        bench.retries()[1].contains("bytes 10-20/30"),
        "{:?}",
        bench.retries()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_2_a_file_that_always_ends_too_early_fails() {
    let server = Server::start(|_| {
        let mut reply = Reply::new(200, "half");
        reply.length = false;
        reply
    });
    let bench = Bench::new(|_| {});
    let error = bench
        .fetch(&[server.url("x")], b"half and half", Some(13))
        .await;
    let error = error.expect_err("truncated");
    assert!(
        matches!(
            error,
            FetchError::Truncated {
                expected: 13,
                actual: 4,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(server.requests().len(), 4, "three retries");
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_2_a_silent_server_is_given_up() {
    let server = Server::start(|request| {
        let reply = Reply::file(request, &file());
        match request.number {
            0 => reply.stall(70_000, Duration::from_secs(30)),
            _ => reply,
        }
    });
    let bench = Bench::new(|options| options.idle_timeout = Duration::from_millis(300));
    let started = Instant::now();
    bench
        .fetch(&[server.url("x")], &file(), None)
        .await
        .expect("fetch");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(bench.content(), file());
    assert_eq!(server.requests().len(), 2);
    assert!(server.requests()[1].start() > 0, "what had come is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_2_a_slow_server_is_not_given_up() {
    let server = Server::start(|_| Reply::new(200, "text").stall(2, Duration::from_millis(400)));
    let bench = Bench::new(|options| options.idle_timeout = Duration::from_secs(2));
    bench
        .fetch(&[server.url("x")], b"text", None)
        .await
        .expect("fetch");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_2_redirects_are_followed_five_times() {
    let hops = |request: &Request| -> usize { request.path[1..].parse().expect("a number") };
    let server = Server::start(move |request| match hops(request) {
        0 => Reply::file(request, b"text"),
        left => Reply::new(302, "").header("location", format!("/{}", left - 1)),
    });
    let bench = Bench::new(|_| {});
    bench
        .fetch(&[server.url("5")], b"text", None)
        .await
        .expect("five");
    let error = bench
        .fetch(&[server.url("6")], b"other", None)
        .await
        .expect_err("six");
    assert!(
        error.with_sources().contains("redirect"),
        "{}",
        error.with_sources()
    );
    assert_eq!(server.requests().len(), 6 + 6, "no retry");
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_2_an_overloaded_server_says_when_to_come_back() {
    let server = script(vec![
        Reply::new(503, "busy").header("retry-after", "1"),
        Reply::new(429, "busy"),
        Reply::new(200, "text"),
    ]);
    let bench = Bench::new(|_| {});
    let started = Instant::now();
    bench
        .fetch(&[server.url("x")], b"text", None)
        .await
        .expect("fetch");
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert!(started.elapsed() < Duration::from_secs(5));
    let retries = bench.retries();
    assert!(
        retries[0].contains("503") && retries[1].contains("429"),
        "{retries:?}"
    );
    let broken = script(vec![Reply::new(500, "")]);
    let error = bench
        .fetch(&[broken.url("x")], b"y", None)
        .await
        .expect_err("always");
    assert!(matches!(error, FetchError::Status { .. }), "{error}");
    assert_eq!(broken.requests().len(), 4, "three retries");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_there_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("http://{}/x", listener.local_addr().expect("address"));
    drop(listener);
    let bench = Bench::new(|options| options.retries = 1);
    let error = bench
        .fetch(&[url], b"text", None)
        .await
        .expect_err("nobody");
    assert!(matches!(error, FetchError::Request { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(bench.retries().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_8_cancelling_stops_at_once_and_keeps_what_has_come() {
    let server = Server::start(|request| {
        Reply::file(request, &file()).stall(600_000, Duration::from_secs(60))
    });
    let bench = Bench::new(|_| {});
    let cancel = CancellationToken::new();
    let (started, stop) = (Instant::now(), cancel.clone());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.cancel();
    });
    let error = bench
        .fetch_until(&[server.url("x")], &file(), None, &cancel)
        .await;
    assert!(matches!(error, Err(FetchError::Cancelled)));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(bench.content(), &file()[..600_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lim_2_only_so_many_connections_per_host() {
    let busy = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (now, peak) = (Arc::clone(&busy), Arc::clone(&most));
    let server = Server::start(move |request| {
        use std::sync::atomic::Ordering::SeqCst;
        peak.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        now.fetch_sub(1, SeqCst);
        Reply::file(request, b"text")
    });
    let bench = Arc::new(Bench::new(|options| options.connections_per_host = 3));
    let derivation = StorePath::from_base_name("00000000000000000000000000000000-f.drv");
    let derivation = derivation.expect("valid");
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..12 {
        let (bench, url, derivation) = (Arc::clone(&bench), server.url("x"), derivation.clone());
        tasks.spawn(async move {
            let expected = NixHash::of(HashAlgorithm::Sha256, b"text");
            let request = FetchRequest {
                derivation: &derivation,
                name: "f",
                urls: &[url],
                expected: Some(&expected),
                size: None,
            };
            let place = bench.place.with_extension(number.to_string());
            bench
                .fetcher
                .fetch(request, &place, &CancellationToken::new())
                .await
        });
    }
    for result in tasks.join_all().await {
        result.expect("fetch");
    }
    let most = most.load(std::sync::atomic::Ordering::SeqCst);
    assert!((2..=3).contains(&most), "{most} at once");
}
