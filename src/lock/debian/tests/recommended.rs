//! The rules of recommendations, where they are asked for: dependencies whose failure does not matter.
//!
//! Every expectation is what apt says to the same archive; `apt/made.rs` asks it again.

use super::super::*;
use super::archive::{MadeSuite, MemoryArchive, lock, request};
use super::choosing::Rule;
use crate::mirrors::apt_sources::DEBIAN;

pub(super) const RECOMMENDED: &[Rule] = &[
    (
        "what a request recommends",
        "a 1; Recommends: b; Suggests: c\nb 1\nc 1",
        &["a"],
        Some("a b"),
    ),
    (
        "what a dependency recommends",
        "a 1; Depends: b\nb 1; Recommends: c\nc 1; Recommends: d\nd 1",
        &["a"],
        Some("a b c d"),
    ),
    (
        "what does not exist is no loss",
        "a 1; Recommends: x, b\nb 1",
        &["a"],
        Some("a b"),
    ),
    (
        "what cannot be installed is no loss",
        "a 1; Recommends: b\nb 1; Depends: c, x\nc 1",
        &["a"],
        Some("a"),
    ),
    (
        "the first alternative that can be had",
        "a 1; Recommends: b | c\nb 1; Depends: x\nc 1",
        &["a"],
        Some("a c"),
    ),
    (
        "an alternative that is there",
        "a 1; Recommends: b | c; Depends: c\nb 1\nc 1",
        &["a"],
        Some("a c"),
    ),
    (
        "dependencies come before recommendations",
        "a 1; Recommends: v; Depends: c\nb 1; Provides: v\nc 1; Provides: v",
        &["a"],
        Some("a c"),
    ),
    (
        "a request stands above a recommendation",
        "a 1; Recommends: b\nb 1\nc 1; Conflicts: b",
        &["a", "c"],
        Some("a c"),
    ),
    (
        "a recommendation never drops a dependency",
        "a 1; Recommends: b; Depends: c\nb 1; Conflicts: c\nc 1",
        &["a"],
        Some("a c"),
    ),
    (
        "a recommendation in a version that does not exist",
        "a 1; Recommends: b (>= 2)\nb 1",
        &["a"],
        Some("a"),
    ),
];

async fn lock_recommended(lines: &str, packages: &[&str]) -> Result<DebianLock, DebianError> {
    let mut archive = MemoryArchive::default();
    MadeSuite::new(DEBIAN, "test", lines).serve(&mut archive);
    let mut request = request(packages);
    request.recommends = true;
    lock(&archive, &request).await
}

#[tokio::test]
async fn rules_of_recommendations() {
    for (rule, lines, requests, expected) in RECOMMENDED {
        let result = lock_recommended(lines, requests).await;
        let names = |lock: DebianLock| {
            let names = lock.packages.into_iter().map(|deb| deb.name);
            names.collect::<Vec<_>>().join(" ")
        };
        let found = result.map(names).map_err(|error| error.to_string());
        assert_eq!(found.as_deref().ok(), *expected, "{rule}: {found:?}");
    }
}

#[tokio::test]
async fn what_was_recommended_is_named_with_the_dependencies() {
    let lines = "a 1; Depends: c; Recommends: b, x\nb 1\nc 1";
    let lock = lock_recommended(lines, &["a"]).await.expect("all is well");
    assert_eq!(lock.packages[0].depends, ["b", "c"]);
}
