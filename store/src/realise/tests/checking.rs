//! Builds that are done again and compared, with scripted builders.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::compare::DifferenceKind;

async fn check(bench: &Bench, derivations: &[StorePath]) -> BTreeMap<String, Verdict> {
    let mut found = BTreeMap::new();
    let checking = bench.realiser.check(&bench.graph, derivations, |checked| {
        found.insert(checked.name, checked.verdict);
    });
    checking.await.expect("everything is valid");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_built_again_is_compared_and_not_registered() {
    let mut bench = Bench::new();
    let server = Server::start(|request| Reply::file(request, b"content"));
    let fetched = bench.fetch("fetched", &server.url("/file"), b"content");
    let good = bench.copy("good", "text ", &[&fetched]);
    let built = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&built);
    scripted(&mut bench, "builtin:cognix-counting-1", move |request| {
        let place = request.output("out")?;
        let number = count.fetch_add(1, Ordering::Relaxed);
        assert_eq!(request.is_rebuild, number > 0);
        std::fs::create_dir(place).map_err(BuildError::io(place))?;
        std::fs::write(place.join("number"), format!("line\n{number}\n"))
            .map_err(BuildError::io(place))
    });
    let counting = bench.add(simple("counting", "builtin:cognix-counting-1"));
    let once = Arc::new(AtomicU32::new(0));
    scripted(
        &mut bench,
        "builtin:cognix-once-1",
        move |request| match once.fetch_add(1, Ordering::Relaxed) {
            0 => std::fs::write(request.output("out")?, "").map_err(BuildError::io("out")),
            _ => Err(BuildError::failed("only once")),
        },
    );
    let failing = bench.add(simple("once", "builtin:cognix-once-1"));
    let all = [fetched, good, counting, failing];
    for derivation in &all {
        bench.realise(derivation).await.expect("realise");
    }
    let before = bench.realiser.store.all_paths().expect("paths");
    let found = check(&bench, &all).await;
    assert!(matches!(found["fetched"], Verdict::Fetched));
    assert!(matches!(found["good"], Verdict::Same));
    assert!(
        matches!(&found["once"], Verdict::Failed(error) if error.kind() == ErrorKind::BuildFailed)
    );
    let Verdict::Differs(rebuilt) = &found["counting"] else {
        panic!("{:?}", found["counting"]);
    };
    let difference = &rebuilt.outputs["out"];
    assert_ne!(difference.expected, difference.actual);
    assert_eq!(difference.files.len(), 1);
    assert_eq!(difference.files[0].path.to_str(), Some("number"));
    assert_eq!(
        difference.files[0].kind,
        DifferenceKind::Line {
            line: 2,
            first: Some("0".to_owned()),
            second: Some("1".to_owned()),
        }
    );
    assert!(difference.second.join("number").exists());
    let place = difference.second.clone();
    drop(found);
    assert!(!place.exists());
    assert_eq!(built.load(Ordering::Relaxed), 2);
    assert_eq!(bench.realiser.store.all_paths().expect("paths"), before);
    assert_eq!(bench.sound(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_can_be_stopped() {
    let mut bench = Bench::new();
    let cancel = bench.realiser.cancel.clone();
    scripted(&mut bench, "builtin:cognix-waiting-1", move |request| {
        if request.is_rebuild {
            cancel.cancel();
            while request.check_cancelled().is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
            request.check_cancelled()?;
        }
        std::fs::write(request.output("out")?, "").map_err(BuildError::io("out"))
    });
    let waiting = bench.add(simple("waiting", "builtin:cognix-waiting-1"));
    bench.realise(&waiting).await.expect("realise");
    let derivations = [waiting];
    let checking = bench.realiser.check(&bench.graph, &derivations, |_| {});
    assert!(matches!(checking.await, Err(RealiseError::Cancelled)));
    assert_eq!(bench.sound(), []);
}

#[test]
fn programs_are_built_by_the_one_for_them() {
    let builders = Builders::new()
        .with(copying())
        .with_foreign(Scripted::writes_text("foreign"));
    let name = |wanted: &str| {
        builders
            .get(wanted)
            .map(|builder| builder.name().to_owned())
    };
    assert_eq!(name(COPY).as_deref(), Some(COPY));
    assert_eq!(name("/bin/sh").as_deref(), Some("foreign"));
    assert_eq!(name("builtin:cognix-unknown-1"), None);
    assert_eq!(
        Builders::new().with(copying()).get("/bin/sh").map(|_| ()),
        None
    );
}
