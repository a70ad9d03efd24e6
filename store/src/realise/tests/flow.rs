//! Inputs, downloads and builds, and what is not done twice.

use super::*;

#[test]
fn a_plan_looks_at_nothing_below_what_is_known() {
    let mut bench = Bench::new();
    let low = bench.copy("low", "1", &[]);
    let middle = bench.copy("middle", "2", &[&low]);
    let side = bench.fetch("side", "mirror://x/side", b"text");
    let top = bench.add(
        Derivation::builder("top")
            .system("builtin")
            .builder(COPY)
            .input_derivation(&middle, "out")
            .input_derivation(&side, "out")
            .floating_output("out")
            .build()
            .expect("a derivation"),
    );
    let targets = [(top.clone(), "out".to_owned())];
    let mut infos = MemoryPathInfos::default();
    let everything = plan(&bench.graph, &targets, &infos).expect("plan");
    assert_eq!(everything.derivations, 4);
    assert_eq!(everything.fetches(), (1, 0));
    assert_eq!(everything.builds(), 3);
    assert_eq!(steps(&everything).last(), Some(&"top"));
    let side_step = everything.steps.iter().find(|step| step.derivation == side);
    assert!(
        matches!(&side_step.expect("a step").action, Action::Fetch { urls, .. } if urls == &["mirror://x/side"])
    );

    let mut realise = |derivation: &StorePath, digit: &str| {
        let path = StorePath::from_base_name(&format!("{}-x", digit.repeat(32))).expect("valid");
        let id = bench
            .graph
            .realisation_id(derivation, "out")
            .expect("an id");
        infos.valid.insert(path.clone());
        infos.realisations.insert(id, path);
        infos.clone()
    };
    let known = plan(&bench.graph, &targets, &realise(&middle, "1")).expect("plan");
    assert_eq!(
        known.steps.len(),
        2,
        "low is not looked at: {:?}",
        steps(&known)
    );
    let done = plan(&bench.graph, &targets, &realise(&top, "2")).expect("plan");
    assert_eq!(
        (done.steps.len(), done.known.len(), done.derivations),
        (0, 1, 4)
    );
    let unknown = plan(
        &bench.graph,
        &[(top, "dev".to_owned())],
        &MemoryPathInfos::default(),
    );
    assert!(matches!(unknown, Err(RealiseError::UnknownTarget { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_flow_through_placeholders_and_references_are_found() {
    let mut bench = Bench::new();
    let low = bench.copy("low", "low ", &[]);
    let top = bench.copy("top", "top ", &[&low]);
    assert_eq!(bench.text(&top).await, "top low ");
    let realised = bench.realise(&top).await.expect("realise");
    assert_eq!(
        realised.stats,
        Stats {
            derivations: 2,
            cached: 2,
            ..Stats::default()
        }
    );
    // An output that names its input refers to it.
    scripted(&mut bench, "builtin:names-1", |request| {
        let place = request.output("out")?;
        std::fs::write(place, request.env("from")?).map_err(BuildError::io(place))
    });
    let naming = bench.add(
        Derivation::builder("naming")
            .system("builtin")
            .builder("builtin:names-1")
            .env("from", downstream_placeholder(&low, "out"))
            .input_derivation(&low, "out")
            .floating_output("out")
            .build()
            .expect("a derivation"),
    );
    let low_path = StorePath::parse(&bench.text(&naming).await).expect("the path of low");
    let path = bench
        .realise(&naming)
        .await
        .expect("realise")
        .outputs
        .into_values()
        .next();
    let info = bench
        .realiser
        .store
        .query(&path.expect("one"))
        .expect("query")
        .expect("valid");
    assert_eq!(info.references, [low_path].into());
    assert!(info.ultimate && info.deriver.is_some_and(|path| path.is_derivation()));
    assert_eq!(bench.sound(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_built_under_another_name_is_not_built_again() {
    let mut bench = Bench::new();
    // Two derivations with equal output; what stands on them is equal once it is resolved.
    let one = bench.copy("low", "same", &[]);
    let top_of_one = bench.copy("top", "", &[&one]);
    bench.realise(&top_of_one).await.expect("realise");
    let other = bench.add({
        let same = copy_of("low", "same", &[]);
        Derivation::builder("low")
            .system("builtin")
            .builder(COPY)
            .env("text", same.env_str("text").expect("text"))
            .env("inputs", "")
            .env("recipe", "another")
            .floating_output("out")
            .build()
            .expect("a derivation")
    });
    let top_of_other = bench.copy("top", "", &[&other]);
    assert_ne!(top_of_one, top_of_other);
    let realised = bench.realise(&top_of_other).await.expect("realise");
    assert_eq!(bench.copy.built(), ["low", "top", "low"]);
    assert_eq!((realised.stats.built, realised.stats.cached), (1, 1));
    // The next time, nothing has to be resolved to know that.
    let realised = bench.realise(&top_of_other).await.expect("realise");
    assert_eq!((realised.stats.built, bench.copy.built().len()), (0, 3));
    assert_eq!(bench.sound(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_are_inputs_and_are_kept() {
    let server = Server::start(|request| Reply::file(request, request.path.as_bytes()));
    let mut bench = Bench::new();
    let inputs: Vec<StorePath> = (0..20)
        .map(|number| {
            let path = format!("f{number}");
            bench.fetch(&path, &server.url(&path), format!("/{path}").as_bytes())
        })
        .collect();
    let places: Vec<String> = inputs
        .iter()
        .map(|input| {
            let derivation = bench.graph.get(input).expect("in");
            derivation.fixed_output().expect("fixed").1.to_string()
        })
        .collect();
    let mut builder = Derivation::builder("all")
        .system("builtin")
        .builder(COPY)
        .env("text", "")
        .env("inputs", places.join(" "))
        .floating_output("out");
    for input in &inputs {
        builder = builder.input_derivation(input, "out");
    }
    let all = bench.add(builder.build().expect("a derivation"));
    let realised = bench.realise(&all).await.expect("realise");
    assert_eq!((realised.stats.built, realised.stats.fetched), (21, 20));
    let bytes: usize = (0..20).map(|number| format!("/f{number}").len()).sum();
    assert_eq!(realised.stats.bytes_fetched, bytes as u64);
    assert!(bench.text(&all).await.starts_with("/f0/f1/f2"));
    assert_eq!(server.requests().len(), 20);
    assert!(matches!(
        bench.recorder.events()[0],
        Event::Planned {
            fetches: 20,
            builds: 1,
            ..
        }
    ));
    let downloads = bench.realiser.store.layout().downloads();
    assert_eq!(std::fs::read_dir(downloads).expect("list").count(), 0);
    assert_eq!(bench.sound(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn executable_downloads_are_hashed_as_archives() {
    let server = Server::start(|request| Reply::file(request, b"#!/bin/sh\n"));
    let mut bench = Bench::new();
    let probe = bench.realiser.store.import(
        &cognix_derivations::StorePathName::parse("script").expect("valid"),
        &mut |place| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::write(place, "#!/bin/sh\n")?;
            std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755))
        },
    );
    let probe = probe.expect("import");
    for (name, expected) in [("script", true), ("other", false)] {
        let hash = if expected {
            probe.nar_hash
        } else {
            cognix_derivations::Sha256::of(b"")
        };
        let script = bench.add(
            Derivation::builder(name)
                .system("builtin")
                .builder(plan::FETCHURL)
                .env("url", server.url(name))
                .env("executable", "1")
                .fixed_output(ContentAddress::Recursive(hash.into()))
                .build()
                .expect("a derivation"),
        );
        match bench.realise(&script).await {
            Ok(realised) => assert_eq!(
                realised.outputs.into_values().next(),
                Some(probe.path.clone())
            ),
            Err(error) => assert_eq!(
                (error.kind(), expected),
                (ErrorKind::Hash, false),
                "{error}"
            ),
        }
    }
    assert_eq!(
        server.requests().len(),
        1,
        "the first one was there already"
    );
    assert_eq!(bench.sound(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_outputs_have_a_path_each() {
    let mut bench = Bench::new();
    bench
        .realiser
        .builders
        .insert(Arc::new(Scripted::writes_text("builtin:two-1")));
    let two = bench.add(
        Derivation::builder("two")
            .system("builtin")
            .builder("builtin:two-1")
            .env("outText", "same")
            .env("controlText", "same")
            .floating_output("out")
            .floating_output("control")
            .build()
            .expect("a derivation"),
    );
    let targets = ["control", "out"].map(|output| (two.clone(), output.to_owned()));
    let realised = bench
        .realiser
        .realise(&bench.graph, &targets)
        .await
        .expect("realise");
    let names: Vec<&str> = realised.outputs.values().map(StorePath::name).collect();
    assert_eq!(names, ["two-control", "two"]);
    assert_eq!(bench.sound(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn store_5_two_processes_build_once() {
    let mut bench = Bench::new();
    let count = Arc::new(AtomicUsize::new(0));
    let built = Arc::clone(&count);
    scripted(&mut bench, "builtin:count-1", move |request| {
        built.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(300));
        let place = request.output("out")?;
        std::fs::write(place, "text").map_err(BuildError::io(place))
    });
    let derivation = bench.add(simple("x", "builtin:count-1"));
    // A second handle has locks and connections of its own, as another process would.
    let mut other = bench.realiser.clone();
    other.store = Store::open_with(bench.realiser.store.root(), Durability::None).expect("open");
    let targets = [(derivation, "out".to_owned())];
    let (one, two) = tokio::join!(
        bench.realiser.realise(&bench.graph, &targets),
        other.realise(&bench.graph, &targets)
    );
    assert_eq!(one.expect("realise").outputs, two.expect("realise").outputs);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let waited = |event: &Event| matches!(event, Event::WaitingForLock { .. });
    let told = bench
        .recorder
        .events()
        .iter()
        .filter(|event| waited(event))
        .count();
    assert!(told <= 1, "told {told} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_builds_at_once_and_downloads_do_not_count() {
    let server = Server::start(|request| {
        std::thread::sleep(Duration::from_millis(300));
        Reply::file(request, b"text")
    });
    let mut bench = Bench::new();
    bench.realiser.jobs = 1;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    scripted(&mut bench, "builtin:count-1", move |request| {
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(60));
        now.fetch_sub(1, Ordering::SeqCst);
        let place = request.output("out")?;
        std::fs::write(place, request.derivation.name()).map_err(BuildError::io(place))
    });
    let mut targets = vec![(
        bench.fetch("file", &server.url("x"), b"text"),
        "out".to_owned(),
    )];
    for number in 0..5 {
        let derivation = simple(&format!("x{number}"), "builtin:count-1");
        targets.push((bench.add(derivation), "out".to_owned()));
    }
    bench
        .realiser
        .realise(&bench.graph, &targets)
        .await
        .expect("realise");
    assert_eq!(most.load(Ordering::SeqCst), 1);
    let events = bench.recorder.events();
    let position = |wanted: fn(&Event) -> bool| events.iter().position(wanted);
    let built = position(|event| matches!(event, Event::BuildDone { .. })).expect("a build");
    let fetched = position(|event| matches!(event, Event::FetchDone { .. })).expect("a download");
    assert!(
        built < fetched,
        "builds do not wait for a download that they do not need"
    );
}
