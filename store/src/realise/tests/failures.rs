//! What happened when something goes wrong, and when somebody wants to stop.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn trust_2_wrong_content_enters_nowhere() {
    let server = Server::start(|_| Reply::new(200, "forged"));
    let mut bench = Bench::new();
    let file = bench.fetch("file", &server.url("x"), b"real");
    let top = bench.copy("top", "", &[]);
    let needs = bench.add(
        Derivation::builder("needs")
            .system("builtin")
            .builder(COPY)
            .input_derivation(&file, "out")
            .input_derivation(&top, "out")
            .floating_output("out")
            .build()
            .expect("a derivation"),
    );
    let error = bench.realise(&needs).await.expect_err("forged");
    assert_eq!(error.kind().exit_code(), 102);
    assert_eq!(error.to_string(), "file failed (needed by needs)");
    let paths = bench.realiser.store.all_paths().expect("paths");
    assert!(
        paths
            .iter()
            .all(|path| !path.name().contains("file") || path.is_derivation())
    );
    assert_eq!(bench.sound(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_failure_is_reported_with_who_needs_it() {
    let mut bench = Bench::new();
    scripted(&mut bench, "builtin:fails-1", |_| {
        Err(BuildError::failed("no such luck"))
    });
    let slow = Arc::new(AtomicUsize::new(0));
    let stopped = Arc::clone(&slow);
    scripted(&mut bench, "builtin:slow-1", move |request| {
        loop {
            if request.check_cancelled().is_err() {
                stopped.fetch_add(1, Ordering::SeqCst);
                return Err(BuildError::Cancelled);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let slow_one = bench.add(simple("slow", "builtin:slow-1"));
    let low = bench.add(simple("low", "builtin:fails-1"));
    let middle = bench.copy("middle", "", &[&low]);
    let top = bench.copy("top", "", &[&middle, &slow_one]);
    bench.realiser.jobs = 2;
    let started = Instant::now();
    let error = bench.realise(&top).await.expect_err("fails");
    assert_eq!(
        error.to_string(),
        "low failed (needed by middle, needed by top)"
    );
    assert_eq!(
        std::error::Error::source(&error)
            .expect("a cause")
            .to_string(),
        "no such luck"
    );
    assert_eq!(error.kind(), ErrorKind::BuildFailed);
    assert!(started.elapsed() < Duration::from_secs(4));
    assert_eq!(slow.load(Ordering::SeqCst), 1, "what ran was stopped");
    assert_eq!(bench.copy.built(), [""; 0], "nothing new was started");
    let failed = bench
        .recorder
        .events()
        .into_iter()
        .filter(|event| matches!(event, Event::BuildFailed { .. }));
    assert_eq!(failed.count(), 1);
    assert!(!bench.realiser.cancel.is_cancelled());
    assert_eq!(bench.sound(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_8_cancelling_stops_at_once_and_leaves_a_sound_store() {
    let server = Server::start(|_| Reply::new(200, "text").stall(2, Duration::from_secs(60)));
    let mut bench = Bench::new();
    scripted(&mut bench, "builtin:slow-1", |request| {
        let place = request.output("out")?;
        std::fs::create_dir(place).map_err(BuildError::io(place))?;
        loop {
            request.check_cancelled()?;
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let low = bench.copy("low", "done", &[]);
    let slow = bench.add(simple("slow", "builtin:slow-1"));
    let file = bench.fetch("file", &server.url("x"), b"text");
    let top = bench.add(
        Derivation::builder("top")
            .system("builtin")
            .builder(COPY)
            .input_derivation(&low, "out")
            .input_derivation(&slow, "out")
            .input_derivation(&file, "out")
            .floating_output("out")
            .build()
            .expect("a derivation"),
    );
    bench.realiser.jobs = 4;
    let cancel = bench.realiser.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cancel.cancel();
    });
    let started = Instant::now();
    let error = bench.realise(&top).await.expect_err("cancelled");
    assert!(matches!(error, RealiseError::Cancelled), "{error}");
    assert_eq!(error.kind().exit_code(), 130);
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(bench.sound(), []);
    let entries = std::fs::read_dir(bench.realiser.store.layout().store_dir()).expect("list");
    let left = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("tmp-"));
    assert_eq!(left.count(), 0);
    // The next run goes on from what was done.
    bench.realiser.cancel = CancellationToken::new();
    assert_eq!(bench.text(&low).await, "done");
    assert_eq!(bench.copy.built(), ["low"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_builder_that_does_not_listen_does_not_hold_up_the_end() {
    let mut bench = Bench::new();
    scripted(&mut bench, "builtin:deaf-1", |_| {
        std::thread::sleep(Duration::from_secs(7));
        Ok(())
    });
    let deaf = bench.add(simple("deaf", "builtin:deaf-1"));
    let cancel = bench.realiser.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
    });
    let started = Instant::now();
    bench.realise(&deaf).await.expect_err("cancelled");
    assert!(started.elapsed() < Duration::from_millis(6500));
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_builders_are_named() {
    let mut bench = Bench::new();
    scripted(&mut bench, "builtin:lazy-1", |_| Ok(()));
    scripted(&mut bench, "builtin:panics-1", |_| panic!("a bug"));
    scripted(&mut bench, "builtin:device-1", |request| {
        let place = request.output("out")?;
        std::os::unix::net::UnixListener::bind(place)
            .map(drop)
            .map_err(BuildError::io(place))
    });
    for (builder, expected) in [
        ("builtin:lazy-1", "did not make output"),
        ("builtin:panics-1", "panicked"),
        ("builtin:device-1", "it is a socket"),
        ("builtin:absent-1", "\"builtin:absent-1\" is not supported"),
    ] {
        let derivation = bench.add(simple("x", builder));
        let error = bench.realise(&derivation).await.expect_err(builder);
        let RealiseError::Failed { source, .. } = &error else {
            panic!("{error}");
        };
        assert!(source.to_string().contains(expected), "{source}");
        assert_eq!(error.kind(), ErrorKind::BuildFailed, "{source}");
    }
    assert_eq!(bench.sound(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn drv_3_fixed_outputs_of_builders_are_checked() {
    let mut bench = Bench::new();
    bench
        .realiser
        .builders
        .insert(Arc::new(Scripted::writes_text("builtin:text-1")));
    let mut fixed = |text: &str, hash: ContentAddress| {
        let derivation = Derivation::builder("x")
            .system("builtin")
            .builder("builtin:text-1");
        let derivation = derivation.env("outText", text).fixed_output(hash).build();
        bench.add(derivation.expect("a derivation"))
    };
    let sha512 = |text: &[u8]| ContentAddress::Flat(NixHash::of(HashAlgorithm::Sha512, text));
    let (right, wrong) = (
        fixed("text", sha512(b"text")),
        fixed("text", sha512(b"other")),
    );
    bench.realise(&right).await.expect("realise");
    let error = bench.realise(&wrong).await.expect_err("wrong");
    assert_eq!(error.kind(), ErrorKind::Hash);
    assert_eq!(bench.sound(), []);
}
