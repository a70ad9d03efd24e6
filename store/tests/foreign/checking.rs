//! Builds that are done again and compared.

use cognix_store::compare::DifferenceKind;
use cognix_store::realise::Verdict;

use crate::Test;
use crate::bench::Bench;

pub(crate) const TESTS: &[Test] = &[
    (
        "rebuilding_finds_what_depends_on_the_world",
        rebuilding_finds_what_depends_on_the_world,
    ),
    (
        "rebuilding_leaves_everything_as_it_is",
        rebuilding_leaves_everything_as_it_is,
    ),
];

fn rebuilding_finds_what_depends_on_the_world() {
    let mut bench = Bench::new();
    let plan = bench.plan();
    let mut derivations = Vec::new();
    for (name, script) in [
        ("time", "mkdir $out; date +%s.%N > $out/time"),
        (
            "pid",
            "mkdir $out; echo same > $out/same; echo $$ > $out/pid",
        ),
        (
            "cores",
            "mkdir $out; echo $(nproc) $NIX_BUILD_CORES > $out/cores",
        ),
        ("good", "mkdir $out; echo text > $out/text"),
    ] {
        let derivation = bench.add(name, &plan, script);
        bench
            .realise(&derivation)
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        derivations.push(derivation);
    }
    let found = bench.check(&derivations);
    for (name, file) in [("time", "time"), ("pid", "pid"), ("cores", "cores")] {
        let Verdict::Differs(rebuilt) = &found[name].verdict else {
            panic!("{:?}", found[name]);
        };
        let difference = &rebuilt.outputs["out"].files[0];
        assert_eq!(difference.path.to_str(), Some(file));
        assert!(
            matches!(difference.kind, DifferenceKind::Line { line: 1, .. }),
            "{difference:?}"
        );
        assert!(rebuilt.outputs["out"].second.join(file).exists());
    }
    assert!(
        matches!(found["good"].verdict, Verdict::Same),
        "{:?}",
        found["good"]
    );
}

fn rebuilding_leaves_everything_as_it_is() {
    let mut bench = Bench::new();
    let plan = bench.plan();
    let target = bench.add("pid", &plan, "echo $$ > $out; echo said $$");
    let text = bench.text(&target);
    let (log, paths) = (bench.log(&target), bench.store.all_paths().expect("paths"));
    let found = bench.check(std::slice::from_ref(&target));
    assert!(matches!(found["pid"].verdict, Verdict::Differs(_)));
    drop(found);
    assert_eq!(bench.text(&target), text);
    assert_eq!(bench.log(&target), log);
    assert_eq!(bench.store.all_paths().expect("paths"), paths);
    assert_eq!(bench.left(), [""; 0]);
}
