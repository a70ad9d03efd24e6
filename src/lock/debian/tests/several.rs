//! Several suites, components and archives, and the forms of a request that choose among them.

use std::collections::BTreeMap;

use super::super::signature::tests::{ring, secret_key, signed};
use super::super::*;
use super::archive::{
    BACKPORTS, EXPERIMENTAL, MadeSuite, MemoryArchive, key, lock, now, parsed, request,
};
use crate::mirrors::apt_sources::{DEBIAN, DEBIAN_SECURITY};

/// Several suites of one archive, and what is chosen of them.
pub(super) struct Case {
    pub(super) rule: &'static str,
    /// Name, packages, and lines of the release file.
    pub(super) suites: &'static [(&'static str, &'static str, &'static str)],
    pub(super) requests: &'static [&'static str],
    pub(super) expected: Option<&'static str>,
}

/// Every expectation is what apt says; `apt/made.rs` asks it again.
pub(super) const SEVERAL: &[Case] = &[
    Case {
        rule: "the highest version of equal suites",
        suites: &[("test", "a 1", ""), ("new", "a 2", "")],
        requests: &["a"],
        expected: Some("a=2"),
    },
    Case {
        rule: "backports wait until they are asked for",
        suites: &[("test", "a 1", ""), ("new", "a 2\nb 2", BACKPORTS)],
        requests: &["a"],
        expected: Some("a=1"),
    },
    Case {
        rule: "what only backports have is taken from there",
        suites: &[
            ("test", "a 1", ""),
            ("new", "a 2\nb 2; Depends: a", BACKPORTS),
        ],
        requests: &["b"],
        expected: Some("a=1 b=2"),
    },
    Case {
        rule: "a version that backports and the suite have is the suite's",
        suites: &[
            ("new", "a 1", BACKPORTS),
            ("test", "a 1", ""),
            ("other", "a 2", EXPERIMENTAL),
        ],
        requests: &["a"],
        expected: Some("a=1"),
    },
    Case {
        rule: "backports before experimental",
        suites: &[("new", "a 2", BACKPORTS), ("other", "a 3", EXPERIMENTAL)],
        requests: &["a"],
        expected: Some("a=2"),
    },
    Case {
        rule: "a request names the suite",
        suites: &[("test", "a 1", ""), ("new", "a 2", BACKPORTS)],
        requests: &["a/new"],
        expected: Some("a=2"),
    },
    Case {
        rule: "a request names the lower suite",
        suites: &[("test", "a 1", ""), ("new", "a 2", "")],
        requests: &["a/test"],
        expected: Some("a=1"),
    },
    Case {
        rule: "a dependency follows the suite where its bound asks for it",
        suites: &[
            ("test", "a 1; Depends: b\nb 1\nc 1", ""),
            ("new", "a 2; Depends: b (>= 2), c\nb 2\nc 2", BACKPORTS),
        ],
        requests: &["a/new"],
        expected: Some("a=2 b=2 c=1"),
    },
    Case {
        rule: "a dependency of a dependency follows too",
        suites: &[
            ("test", "a 1\nb 1\nc 1", ""),
            (
                "new",
                "a 2; Depends: b (>= 2)\nb 2; Depends: c (>= 2)\nc 2",
                BACKPORTS,
            ),
        ],
        requests: &["a/new"],
        expected: Some("a=2 b=2 c=2"),
    },
    Case {
        rule: "a version does not bring its suite along",
        suites: &[
            ("test", "a 1\nb 1", ""),
            ("new", "a 2; Depends: b (>= 2)\nb 2", BACKPORTS),
        ],
        requests: &["a=2"],
        expected: None,
    },
    Case {
        rule: "a virtual package of a suite",
        suites: &[("test", "b 1", ""), ("new", "a 2; Provides: v", BACKPORTS)],
        requests: &["v/new"],
        expected: Some("a=2"),
    },
    Case {
        rule: "a virtual package in a version",
        suites: &[("test", "b 1; Provides: v (= 1)\na 2; Provides: v (= 2)", "")],
        requests: &["v=2"],
        expected: Some("a=2"),
    },
    Case {
        rule: "the image's architecture may be said",
        suites: &[("test", "a 1", "")],
        requests: &["a:amd64=1"],
        expected: Some("a=1"),
    },
    Case {
        rule: "a suite that does not have it",
        suites: &[("test", "a 1", ""), ("new", "b 1", "")],
        requests: &["a/new"],
        expected: None,
    },
];

fn source(input: &str, suite: &str, components: &[&str]) -> SuiteSource {
    SuiteSource {
        input: input.to_owned(),
        suite: suite.to_owned(),
        components: components.iter().map(ToString::to_string).collect(),
        pinned: None,
    }
}

fn versions(lock: DebianLock) -> String {
    let names = lock.packages.into_iter();
    let names = names.map(|deb| format!("{}={}", deb.name, deb.version));
    names.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn rules_of_suites() {
    for case in SEVERAL {
        let mut archive = MemoryArchive::default();
        let mut wanted = request(case.requests);
        wanted.sources.clear();
        for (suite, lines, fields) in case.suites {
            let mut made = MadeSuite::new(DEBIAN, suite, lines);
            made.fields = fields;
            made.serve(&mut archive);
            wanted.sources.push(source(DEBIAN, suite, &["main"]));
        }
        let found = lock(&archive, &wanted).await.map(versions);
        let found = found.map_err(|error| error.to_string());
        assert_eq!(
            found.as_deref().ok(),
            case.expected,
            "{}: {found:?}",
            case.rule
        );
    }
}

#[tokio::test]
async fn refused_forms_say_what_there_is() {
    let mut archive = MemoryArchive::default();
    MadeSuite::new(DEBIAN, "test", "a 1").serve(&mut archive);
    for (line, message) in [
        (
            "a/new",
            "no Debian package `a` in suite `new`; there is 1 in test main",
        ),
        (
            "a:arm64",
            "`a:arm64` is for another architecture: the image is amd64; leave `:arm64` out",
        ),
        (
            "a=2",
            "no version `2` of Debian package `a` in test; there is 1",
        ),
    ] {
        let error = lock(&archive, &request(&[line])).await.expect_err(line);
        assert_eq!(error.kind().exit_code(), 65);
        assert_eq!(error.to_string(), message);
    }
}

/// A release with one index for each component.
fn with_components(components: &[(&str, &str, &str)]) -> (String, Vec<(String, Vec<u8>)>) {
    let names: Vec<_> = components
        .iter()
        .map(|(component, ..)| *component)
        .collect();
    let mut text = format!(
        "Codename: test\nDate: {}\nArchitectures: all amd64\nComponents: {}\nSHA256:\n",
        super::archive::rfc5322(now()),
        names.join(" ")
    );
    let mut files = Vec::new();
    for (component, architecture, lines) in components {
        let path = format!("{component}/binary-{architecture}/Packages");
        let body = super::archive::stanzas(lines).into_bytes();
        text += &format!(" {} {} {path}\n", Sha256::of(&body), body.len());
        files.push((path, body));
    }
    (text, files)
}

fn serve(archive: &mut MemoryArchive, input: &str, release: &str, files: Vec<(String, Vec<u8>)>) {
    let folder = format!("{input}/dists/test");
    for (path, body) in files {
        archive.files.insert(format!("{folder}/{path}"), body);
    }
    archive
        .files
        .insert(format!("{folder}/InRelease"), release.as_bytes().to_vec());
}

#[tokio::test]
async fn components_are_read_per_archive() {
    let mut archive = MemoryArchive::default();
    let (release, files) = with_components(&[
        ("main", "amd64", "a 1; Depends: b\nb 1"),
        ("contrib", "amd64", "b 2; Depends: c"),
        ("non-free", "amd64", "c 1"),
    ]);
    serve(&mut archive, DEBIAN, &signed(key(), &release), files);
    let mut wanted = request(&["a"]);
    for (components, expected) in [
        (&["main"][..], "a=1 b=1"),
        (&["main", "contrib", "non-free"], "a=1 b=2 c=1"),
    ] {
        wanted.sources = vec![source(DEBIAN, "test", components)];
        let found = lock(&archive, &wanted).await.expect("all is well");
        assert_eq!(versions(found), expected);
    }
    wanted.sources = vec![source(DEBIAN, "test", &["main", "non-free-firmware"])];
    let error = lock(&archive, &wanted)
        .await
        .expect_err("no such component");
    assert!(
        error.to_string().contains("expected non-free-firmware"),
        "{error}"
    );
}

#[tokio::test]
async fn packages_for_all_architectures_may_have_an_index_of_their_own() {
    let mut archive = MemoryArchive::default();
    let (release, files) = with_components(&[
        ("main", "amd64", "a 1; Depends: b"),
        ("main", "all", "b 1; Architecture: all"),
    ]);
    serve(&mut archive, DEBIAN, &signed(key(), &release), files);
    let found = lock(&archive, &request(&["a"]))
        .await
        .expect("both indexes");
    assert_eq!(versions(found), "a=1 b=1");
    // Debian's archive has both in one, and says so.
    let (release, files) = with_components(&[
        ("main", "amd64", "a 1; Depends: b"),
        ("main", "all", "b 1; Architecture: all"),
    ]);
    let release = release.replace(
        "Components",
        "No-Support-for-Architecture-all: Packages\nComponents",
    );
    let mut archive = MemoryArchive::default();
    serve(&mut archive, DEBIAN, &signed(key(), &release), files);
    assert!(lock(&archive, &request(&["a"])).await.is_err());
}

#[tokio::test]
async fn idx_4_an_archives_own_keys_sign_for_it_alone() {
    let stranger = secret_key(pgp::composed::KeyType::Ed25519Legacy, true);
    let check = async |signer, own: bool| {
        let mut archive = MemoryArchive::default();
        MadeSuite::new(DEBIAN, "test", "a 1").serve(&mut archive);
        let (release, files) = with_components(&[("main", "amd64", "b 1")]);
        serve(&mut archive, "extra", &signed(signer, &release), files);
        let own_keys = match own {
            true => BTreeMap::from([("extra".to_owned(), ring(&stranger))]),
            false => BTreeMap::new(),
        };
        let cache = tempfile::tempdir().expect("a temporary folder");
        let context = DebianContext {
            archive: &archive,
            keys: &ring(key()),
            own_keys: &own_keys,
            cache: &IndexCache::new(cache.path()),
            now: now(),
            offline: false,
        };
        let mut wanted = request(&[]);
        wanted.packages = parsed(&["a", "b"]);
        wanted.sources = vec![
            source(DEBIAN, "test", &["main"]),
            source("extra", "test", &["main"]),
        ];
        resolve(&wanted, &context)
            .await
            .map(versions)
            .map_err(|error| error.to_string())
    };
    assert_eq!(check(&stranger, true).await.as_deref(), Ok("a=1 b=1"));
    for (signer, own) in [(&stranger, false), (key(), true)] {
        let error = check(signer, own).await.expect_err("another archive's key");
        assert!(
            error.starts_with("extra test is not signed by a trusted key"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn updates_and_security_updates_are_newer_versions() {
    let mut archive = MemoryArchive::default();
    MadeSuite::new(DEBIAN, "test", "a 1+deb12u1").serve(&mut archive);
    MadeSuite::new(DEBIAN, "test-updates", "a 1+deb12u2~rc").serve(&mut archive);
    MadeSuite::new(DEBIAN_SECURITY, "test-security", "a 1+deb12u2").serve(&mut archive);
    let mut wanted = DebianRequest::stable("test", parsed(&["a"]));
    wanted.include_essential = false;
    let found = lock(&archive, &wanted).await.expect("three suites");
    assert_eq!(versions(found), "a=1+deb12u2");
}
