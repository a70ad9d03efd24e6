//! The rules by which packages are chosen, one made-up archive each.
//!
//! Every expectation of [`RULES`] is what apt says to the same archive; `apt.rs` asks it again.

use super::super::*;
use super::archive::{MadeSuite, MemoryArchive, lock, lock_lines, request};

/// What a rule is called, the archive, the requests, and the packages that are chosen (`None`: it is refused).
pub(super) type Rule = (
    &'static str,
    &'static str,
    &'static [&'static str],
    Option<&'static str>,
);

pub(super) const RULES: &[Rule] = &[
    (
        "dependencies of dependencies",
        "a 1; Depends: b\nb 1; Pre-Depends: c\nc 1\nd 1",
        &["a"],
        Some("a b c"),
    ),
    (
        "a circle",
        "a 1; Depends: b\nb 1; Depends: a",
        &["a"],
        Some("a b"),
    ),
    (
        "recommendations are off",
        "a 1; Recommends: b; Suggests: c\nb 1\nc 1",
        &["a"],
        Some("a"),
    ),
    (
        "the first alternative",
        "a 1; Depends: b | c\nb 1\nc 1",
        &["a"],
        Some("a b"),
    ),
    (
        "the first that exists",
        "a 1; Depends: x | c\nc 1",
        &["a"],
        Some("a c"),
    ),
    (
        "the first in a fitting version",
        "a 1; Depends: b (>= 2) | c\nb 1\nc 1",
        &["a"],
        Some("a c"),
    ),
    (
        "an alternative that is requested",
        "a 1; Depends: b | c\nb 1\nc 1",
        &["a", "c"],
        Some("a c"),
    ),
    (
        "one that an earlier field brought",
        "a 1; Depends: c, b | c\nb 1\nc 1",
        &["a"],
        Some("a c"),
    ),
    (
        "a later field does not take back",
        "a 1; Depends: b | c, c\nb 1\nc 1",
        &["a"],
        Some("a b c"),
    ),
    (
        "the first alternative cannot be had",
        "a 1; Depends: b | c\nb 1; Depends: x\nc 1",
        &["a"],
        Some("a c"),
    ),
    (
        "what a failed alternative brought is dropped",
        "a 1; Depends: b | c\nb 1; Depends: d, e\nd 1\ne 1; Depends: f\nf 1; Depends: x\nc 1",
        &["a"],
        Some("a c"),
    ),
    (
        "unless somebody recommends it",
        "a 1; Depends: b | c; Recommends: d\nb 1; Depends: d, e\nd 1\ne 1; Depends: f\nf 1; Depends: x\nc 1",
        &["a"],
        Some("a c d"),
    ),
    (
        "a virtual package",
        "a 1; Depends: v\nb 1; Provides: v",
        &["a"],
        Some("a b"),
    ),
    (
        "a request for a virtual package with one provider",
        "b 1; Provides: v",
        &["v"],
        Some("b"),
    ),
    (
        "a real package before its providers",
        "a 1; Depends: v\nb 1; Provides: v\nv 1",
        &["a"],
        Some("a v"),
    ),
    (
        "providers by priority",
        "a 1; Depends: v\nb 1; Provides: v; Priority: optional\nc 1; Provides: v; Priority: important\n\
         d 1; Provides: v; Priority: extra",
        &["a"],
        Some("a c"),
    ),
    (
        "essential providers first",
        "a 1; Depends: v\nc 1; Provides: v; Priority: required\nb 1; Provides: v; Essential: yes",
        &["a"],
        Some("a b"),
    ),
    (
        "of equal providers the one mentioned last",
        "a 1; Depends: v\nb 1; Provides: v\nc 1; Provides: v",
        &["a"],
        Some("a c"),
    ),
    (
        "mentions in any relation count",
        "a 1; Depends: v; Suggests: c\nb 1; Provides: v\nc 1; Provides: v",
        &["a"],
        Some("a b"),
    ),
    (
        "a provider that is requested",
        "a 1; Depends: v\nb 1; Provides: v\nc 1; Provides: v",
        &["a", "b"],
        Some("a b"),
    ),
    (
        "an unversioned provision has no version",
        "a 1; Depends: v (>= 1)\nb 2; Provides: v",
        &["a"],
        None,
    ),
    (
        "a versioned provision has one",
        "a 1; Depends: v (>= 1)\nb 2; Provides: v (= 3)",
        &["a"],
        Some("a b"),
    ),
    (
        "a provision in too low a version",
        "a 1; Depends: v (>= 1)\nb 2; Provides: v (= 0)",
        &["a"],
        None,
    ),
    (
        "any architecture, when allowed",
        "a 1; Depends: b:any\nb 1; Multi-Arch: allowed",
        &["a"],
        Some("a b"),
    ),
    (
        "any architecture, when not allowed",
        "a 1; Depends: b:any\nb 1; Multi-Arch: foreign",
        &["a"],
        None,
    ),
    (
        "the highest version",
        "a 1\na 3~rc1\na 2",
        &["a=3~rc1"],
        Some("a"),
    ),
    (
        "a version that is asked for",
        "a 1\na 2",
        &["a=1"],
        Some("a"),
    ),
    (
        "two requests that conflict",
        "a 1; Conflicts: b\nb 1",
        &["a", "b"],
        None,
    ),
    (
        "a dependency that conflicts with a request",
        "a 1; Depends: c\nb 1; Conflicts: c\nc 1",
        &["a", "b"],
        None,
    ),
    (
        "an alternative that conflicts with a request",
        "a 1; Depends: c | d\nb 1; Conflicts: c\nc 1\nd 1",
        &["a", "b"],
        Some("a b d"),
    ),
    (
        "a conflict with a version that is not there",
        "a 1; Breaks: b (<< 2)\nb 2",
        &["a", "b"],
        Some("a b"),
    ),
    (
        "no conflict with what one provides oneself",
        "a 1; Provides: v; Conflicts: v",
        &["a"],
        Some("a"),
    ),
    (
        "two providers that exclude each other",
        "a 1; Depends: v\nb 1; Provides: v; Conflicts: v\nc 1; Provides: v; Conflicts: v",
        &["a", "b"],
        Some("a b"),
    ),
    (
        "a dependency that does not exist",
        "a 1; Depends: x",
        &["a"],
        None,
    ),
    (
        "a dependency in a version that does not exist",
        "a 1; Depends: b (>= 2)\nb 1",
        &["a"],
        None,
    ),
    (
        "the order of requests counts as for apt",
        "a 1; Depends: b | c\nd 1; Depends: c\nb 1; Conflicts: c\nc 1",
        &["d", "a"],
        Some("a c d"),
    ),
];

#[tokio::test]
async fn rules() {
    for (rule, lines, requests, expected) in RULES {
        let result = lock_lines(lines, requests).await;
        let names = |lock: DebianLock| {
            lock.packages
                .into_iter()
                .map(|deb| deb.name)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let found = result.map(names).map_err(|error| error.to_string());
        assert_eq!(found.as_deref().ok(), *expected, "{rule}: {found:?}");
    }
}

#[tokio::test]
async fn the_highest_version_of_all_suites_and_of_equal_ones_the_first() {
    let mut archive = MemoryArchive::default();
    MadeSuite::new(DEBIAN, "test", "a 1\nb 1\nc 2").serve(&mut archive);
    MadeSuite::new(DEBIAN, "test-updates", "a 1\nb 1.1").serve(&mut archive);
    MadeSuite::new(DEBIAN_SECURITY, "test-security", "a 1\nb 1.2~\nc 1").serve(&mut archive);
    let packages = ["a", "b", "c"].map(Request::candidate).to_vec();
    let mut request = DebianRequest::stable("test", packages);
    let lock_all = lock(&archive, &request).await.expect("three suites");
    let found: Vec<_> = lock_all
        .packages
        .iter()
        .map(|deb| (deb.version.as_str(), deb.input.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("1", "debian"),
            ("1.2~", "debian-security"),
            ("2", "debian")
        ]
    );
    let suites: Vec<_> = lock_all
        .releases
        .iter()
        .map(|release| release.suite.as_str())
        .collect();
    assert_eq!(suites, ["test", "test-updates", "test-security"]);
    request.sources.reverse();
    let reversed = lock(&archive, &request).await.expect("three suites");
    assert_eq!(reversed.packages[0].input, "debian-security");
}

#[tokio::test]
async fn essential_packages_come_along_when_asked() {
    let lines = "a 1\nb 1; Essential: yes; Depends: c\nc 1";
    let mut archive = MemoryArchive::default();
    MadeSuite::new(DEBIAN, "test", lines).serve(&mut archive);
    let mut with_essential = request(&["a"]);
    with_essential.include_essential = true;
    let lock = lock(&archive, &with_essential).await.expect("all is well");
    let found: Vec<_> = lock
        .packages
        .iter()
        .map(|deb| (deb.name.as_str(), deb.requested))
        .collect();
    assert_eq!(found, [("a", true), ("b", false), ("c", false)]);
    assert_eq!(lock.essential, ["b"]);
    let without = lock_lines(lines, &["a"]).await.expect("all is well");
    assert_eq!((without.packages.len(), without.essential.len()), (1, 0));
}

#[tokio::test]
async fn chosen_dependencies_are_named_once_and_sorted() {
    let lines = "a 1; Depends: v, d | c, b (>= 0), a, w; Pre-Depends: b\nb 1; Provides: w\nc 1; Provides: v\nd 1\n\
                 e 1; Provides: v";
    let lock = lock_lines(lines, &["a", "c"]).await.expect("all is well");
    assert_eq!(lock.packages[0].depends, ["b", "c"]);
}

async fn refusal(lines: &str, requests: &[&str]) -> String {
    let error = lock_lines(lines, requests).await.expect_err("nothing fits");
    assert_eq!(error.kind().exit_code(), 65);
    error.to_string()
}

#[tokio::test]
async fn unknown_packages_come_with_the_nearest_names() {
    let lines = "ffmpeg 7\nlibgl1 1\nlibgl2 1; Provides: libgl-virtual\npython3-dev 3\nzsh 5";
    for (name, message) in [
        (
            "ffmpg",
            "no Debian package `ffmpg` in test; did you mean ffmpeg?",
        ),
        (
            "libgl",
            "no Debian package `libgl` in test; did you mean libgl1, libgl2?",
        ),
        (
            "python-dev",
            "no Debian package `python-dev` in test; did you mean python3-dev?",
        ),
        (
            "nothing-like-it",
            "no Debian package `nothing-like-it` in test",
        ),
    ] {
        assert_eq!(refusal(lines, &[name]).await, message);
    }
}

#[tokio::test]
async fn unknown_versions_and_virtual_packages_come_with_the_choices() {
    let lines = "a 1.0\na 1.1\nb 1; Provides: v\nc 1; Provides: v";
    let message = "no version `2` of Debian package `a` in test; there is 1.1, 1.0";
    assert_eq!(refusal(lines, &["a=2"]).await, message);
    assert_eq!(
        refusal(lines, &["v"]).await,
        "`v` is a virtual package; name one that provides it: b, c"
    );
}

#[tokio::test]
async fn refusals_lead_from_the_request_to_the_obstacle() {
    for (lines, requests, reasons) in [
        (
            "a 1; Depends: b\nb 1; Depends: x | y",
            &["a"][..],
            "a depends on b; b depends on x | y, but no suite has it",
        ),
        (
            "a 1; Depends: b (>= 2)\nb 1",
            &["a"],
            "a depends on b (>= 2), but there is only b 1",
        ),
        (
            "a 1; Conflicts: b\nb 1",
            &["a", "b"],
            "a conflicts with b, but b is needed too",
        ),
        (
            "a 1; Depends: b\nb 1; Depends: c\nc 1\nd 1; Breaks: c (<< 2)",
            &["a", "d"],
            "a depends on b; b depends on c; d breaks c (<< 2), but c is needed too",
        ),
    ] {
        let expected = format!("the Debian packages cannot be installed together: {reasons}");
        assert_eq!(refusal(lines, requests).await, expected);
    }
}

#[tokio::test]
async fn all_1_deep_chains_do_not_exhaust_the_stack() {
    let chain = |length: usize| {
        let links = (0..length).map(|place| format!("p{place} 1; Depends: p{}\n", place + 1));
        links.collect::<String>() + &format!("p{length} 1\n")
    };
    for length in [2_900, 3_100, 20_000] {
        let lock = lock_lines(&chain(length), &["p0"]).await.expect("long");
        assert_eq!(lock.packages.len(), length + 1);
    }
}
