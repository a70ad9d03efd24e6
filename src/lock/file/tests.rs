use std::collections::BTreeMap;

use cognix_derivations::Sha256;
use serde_json::json;

use crate::lock::tests::{amd64, example, wheel, whole, with_commit};
use crate::lock::{Architecture, Lock, LockedInput, VariantLock, python};

/// The text of the example.
fn text() -> String {
    whole(example()).to_text()
}

/// The message of a text that must be refused.
fn refused(text: &str) -> String {
    Lock::parse(text).expect_err("refused").to_string()
}

#[test]
fn lock_2_writing_a_parsed_lock_gives_the_same_bytes() {
    let text = text();
    let parsed = Lock::parse(&text).expect("our own text");
    assert_eq!(parsed, whole(example()));
    assert_eq!(parsed.to_text(), text);
    assert!(text.ends_with("}\n"));
}

#[test]
fn lock_1_a_newer_version_is_named_before_anything_else() {
    let newer = "{\"version\": 4, \"surprise\": true}";
    assert_eq!(
        refused(newer),
        "cognix.lock: has format version 4, this cognix reads versions up to 3; use a newer cognix"
    );
}

#[test]
fn lock_1_what_cognix_does_not_write_is_refused_with_its_line() {
    let text = text();
    let cases = [
        ("\"releases\"", "\"relaeses\"", "unknown field `relaeses`"),
        (
            "\"alpha-1.0-py3-none-any.whl\",\n",
            "",
            "alpha is in no variant",
        ),
        (
            "          \"alpha-1.0-py3-none-any.whl\"",
            "          \"gamma-1.0-py3-none-any.whl\"",
            "gamma-1.0-py3-none-any.whl is named by a variant, and no package has that file",
        ),
        (
            "          \"alpha-1.0-py3-none-any.whl\"",
            "          \"beta-2.0+local-py3-none-any.whl\"",
            "beta stands twice or out of order",
        ),
        (
            "\"libc6 (>= 2.36)\"\n",
            "\"libc7 (>= 2.36)\"\n",
            "python3.11 needs libc7, which is not in the lock",
        ),
        (
            "alpha>=1",
            "alpha>=2",
            "the digest does not fit the request",
        ),
        (
            "mirror://pypi/alpha/",
            "mirror://pypi/../alpha/",
            "is not of the form mirror://INPUT/PATH",
        ),
        (
            "mirror://pypi/alpha/",
            "mirror://pypi/gamma/",
            "is not below its name",
        ),
        ("      \"requires\": [],\n", "", "missing field `requires`"),
    ];
    for (from, to, expected) in cases {
        assert!(text.contains(from), "{from}");
        let message = refused(&text.replacen(from, to, 1));
        assert!(message.contains(expected), "{from} -> {to}: {message}");
        assert!(message.starts_with("cognix.lock:"), "{message}");
    }
}

/// Old programs read version 2; a lock that they would have to refuse says that it is a newer one.
#[test]
fn lock_1_only_a_lock_with_recorded_commands_has_version_3() {
    assert!(text().ends_with("  \"version\": 2\n}\n"));
    let mut variant = example();
    let derivation = format!("/nix/store/{}-run-2.drv", "0".repeat(32));
    let derivation = cognix_derivations::StorePath::parse(&derivation).expect("a store path");
    let hash = cognix_derivations::Sha256::of(b"what it made");
    variant.runs.insert(derivation.clone(), hash);
    let lock = whole(variant);
    let text = lock.to_text();
    let line = format!("\n      \"runs\": {{\n        \"{derivation}\": \"{hash}\"\n      }}\n");
    assert!(text.contains(&line), "{text}");
    assert!(text.ends_with("  \"version\": 3\n}\n"), "{text}");
    assert_eq!(Lock::parse(&text).expect("our own text"), lock);
    for (from, to) in [
        ("\"version\": 3", "\"version\": 2"),
        (&*derivation.to_string(), "run-2"),
        (&*hash.to_string(), "other"),
    ] {
        refused(&text.replacen(from, to, 1));
    }
}

#[test]
fn lock_1_merge_markers_are_named_with_their_line() {
    for mark in ["<<<<<<< ours", "||||||| base", "=======", ">>>>>>> theirs"] {
        let text = text();
        let place = "\n  \"variants\"";
        let line = text[..text.find(place).expect("it is there")]
            .lines()
            .count()
            + 1;
        let text = text.replacen(place, &format!("\n{mark}{place}"), 1);
        assert_eq!(
            refused(&text),
            format!(
                "cognix.lock:{line}: holds a merge conflict marker; choose one side or delete the file and lock again"
            )
        );
    }
}

/// Each of these means a lock to somebody, and none was written by cognix.
#[test]
fn lock_1_what_means_the_same_and_is_other_text_is_refused_with_its_line() {
    let text = text();
    let cases = [
        ("  \"version\": 2\n", "  \"version\":  2\n"),
        ("\n", "\r\n"),
        ("        \"digest\"", "         \"digest\""),
    ];
    for (from, to) in cases {
        let changed = text.replacen(from, to, 1);
        let same = text.lines().zip(changed.split('\n'));
        let line = same.take_while(|(one, other)| one == other).count() + 1;
        assert_eq!(
            refused(&changed),
            format!(
                "cognix.lock:{line}: is not as cognix writes it; delete the file and run `cognix lock`"
            )
        );
    }
    let trailing = format!("{text}\n");
    assert!(refused(&trailing).contains("is not as cognix writes it"));
}

#[test]
fn lock_1_every_fault_is_at_its_line() {
    let text = text();
    let line_of = |needle: &str| {
        let before = text.find(needle).expect("it is there");
        text[..before].lines().count() + usize::from(text[..before].ends_with('\n'))
    };
    let cases = [
        // An unknown key.
        ("\"releases\"", "\"relaeses\"", "\"releases\""),
        // A file that nothing has.
        (
            "          \"alpha-1.0-py3-none-any.whl\"",
            "          \"gamma-1.0-py3-none-any.whl\"",
            "          \"alpha-1.0-py3-none-any.whl\"",
        ),
        // Edges to packages that are not there.
        (
            "\"libc6 (>= 2.36)\"",
            "\"libc7 (>= 2.36)\"",
            "\"name\": \"python3.11\"",
        ),
        (
            "\"beta[fast]>=1.5,<3\"",
            "\"gamma[fast]>=1.5,<3\"",
            "\"name\": \"alpha\"",
        ),
    ];
    for (from, to, place) in cases {
        let message = refused(&text.replacen(from, to, 1));
        let line = line_of(place);
        assert!(
            message.starts_with(&format!("cognix.lock:{line}:")),
            "{from} -> {to}: {message} instead of line {line}"
        );
    }
}

#[test]
fn lock_1_an_empty_list_is_no_missing_list() {
    let mut lock = example();
    amd64(&mut lock).python.packages.clear();
    let lock = whole(lock);
    let text = lock.to_text();
    assert_eq!(Lock::parse(&text).expect("nothing is something"), lock);
    let without = text.replacen("\n  \"python\": [],", "", 1);
    assert_ne!(without, text);
    assert!(
        refused(&without).contains("missing field `python`"),
        "{}",
        refused(&without)
    );
}

#[test]
fn lock_2_only_strong_digests_are_digests() {
    let text = text();
    let digest = Sha256::of(b"alpha").to_string();
    assert!(text.contains(&digest));
    for weak in [&digest[..32], &digest[..40], ""] {
        let message = refused(&text.replacen(&digest, weak, 1));
        assert!(message.starts_with("cognix.lock:"), "{message}");
    }
    let md5 = format!("\"md5\": \"{}\"", &digest[..32]);
    let message = refused(&text.replacen(&format!("\"sha256\": \"{digest}\""), &md5, 1));
    assert!(message.contains("unknown field `md5`"), "{message}");
}

#[test]
fn lock_2_the_digest_of_the_question_tells_stale_from_current() {
    let lock = example();
    let mut asked = lock.request.clone();
    assert_eq!(asked.digest(), lock.request_digest());
    asked.requirements.push("gamma".to_owned());
    assert_ne!(asked.digest(), lock.request_digest());
}

proptest::proptest! {
    #[test]
    fn lock_2_what_is_written_reads_back_and_is_written_the_same(
        names in proptest::collection::btree_set("[a-z][a-z0-9]{0,6}", 0..8),
        versions in proptest::collection::vec("[1-9]\\.[0-9]", 8),
        bound in "(>=[0-9]\\.[0-9])?",
        sizes in proptest::collection::vec(0u64.., 8),
    ) {
        let mut lock = example();
        let names: Vec<String> = names.into_iter().collect();
        let wheels = names.iter().enumerate().map(|(at, name)| {
            let requires: Vec<&str> = names[..at].iter().map(String::as_str).collect();
            let mut one = wheel(name, &versions[at], &requires, &[]);
            one.package.size = sizes[at];
            if !bound.is_empty() {
                one.bounds = requires.iter().map(|name| ((*name).to_owned(), bound.clone())).collect();
            }
            one
        });
        amd64(&mut lock).python.packages = wheels.collect();
        let lock = whole(lock);
        let text = lock.to_text();
        let parsed = Lock::parse(&text).expect("our own text");
        proptest::prop_assert_eq!(&parsed, &lock);
        proptest::prop_assert_eq!(parsed.to_text(), text);
    }

    #[test]
    fn lock_2_what_is_read_is_written_the_same(at in 0usize..10_000, byte in 0u8..128) {
        let mut text = text().into_bytes();
        let at = at % text.len();
        text[at] = byte;
        let text = String::from_utf8(text).expect("ASCII");
        if let Ok(lock) = Lock::parse(&text) {
            proptest::prop_assert_eq!(lock.to_text(), text);
        }
    }
}

/// The example, and a second variant of it.
fn two(change: impl FnOnce(&mut VariantLock)) -> Lock {
    let mut lock = whole(example());
    let mut other = example();
    change(&mut other);
    lock.variants.insert("other".to_owned(), other);
    lock
}

#[test]
fn what_variants_share_stands_once() {
    let count = |text: &str, needle: &str| text.matches(needle).count();
    let text = two(|_| {}).to_text();
    assert_eq!(count(&text, "\"version\": \"1.0\""), 1);
    assert_eq!(count(&text, "\"name\": \"libc6\""), 1);
    assert_eq!(
        count(&text, "alpha-1.0-py3-none-any.whl"),
        3,
        "an address and two names"
    );
    let lock = two(|other| amd64(other).python.packages[1] = wheel("beta", "3.0", &[], &[]));
    let text = lock.to_text();
    assert_eq!(count(&text, "\"name\": \"beta\""), 2);
    assert_eq!(count(&text, "\"name\": \"alpha\""), 1);
    assert_eq!(Lock::parse(&text).expect("our own text"), lock);
}

#[test]
fn what_holds_in_one_variant_stands_with_it() {
    let lock = two(|other| {
        let platform = amd64(other);
        platform.python.packages[0].layer = Some("wheels-3".to_owned());
        platform.python.packages[0].waived = true;
        platform.python.packages[0].bounds =
            BTreeMap::from([("beta".to_owned(), ">=2".to_owned())]);
        platform.python.packages[1].omit.clear();
        platform.debian.packages[1].layer = Some("python3.11".to_owned());
        platform.debian.packages[1].package.depends.clear();
        platform.debian.packages[1].bounds.clear();
    });
    let text = lock.to_text();
    assert_eq!(text.matches("\"name\": \"alpha\"").count(), 1);
    assert!(text.contains("\"layer\": \"wheels-3\""), "{text}");
    assert_eq!(Lock::parse(&text).expect("our own text"), lock);
}

#[test]
fn files_of_one_name_are_told_apart() {
    let lock = two(|other| {
        amd64(other).python.packages[0].package.sha256 = Sha256::of(b"rebuilt");
    });
    let text = lock.to_text();
    assert!(text.contains("\"alpha-1.0-py3-none-any.whl#2\""), "{text}");
    assert_eq!(Lock::parse(&text).expect("our own text"), lock);
}

#[test]
fn one_package_changes_nothing_but_its_own_lines() {
    let before = two(|_| {}).to_text();
    let mut lock = two(|_| {});
    for variant in lock.variants.values_mut() {
        let shared = "venv/lib/python3.11/site-packages/shared.py";
        amd64(variant).python.packages[1] = wheel("beta", "2.1", &[], &[shared]);
    }
    let after = lock.to_text();
    let old: Vec<&str> = before.lines().collect();
    let new: Vec<&str> = after.lines().collect();
    let gone = old.iter().filter(|line| !new.contains(line));
    for line in gone {
        let sha256 = Sha256::of(b"beta").to_string();
        let own = ["beta", "2.0+local", "shared.py", "omit", &sha256];
        assert!(own.iter().any(|word| line.contains(word)), "{line}");
    }
}

#[test]
fn inputs_stand_beside_the_variants() {
    let mut lock = whole(example());
    let sha256 = Sha256::of(b"weights");
    let url = "https://host.test/weights.bin".to_owned();
    let size = Some(7);
    let name = || "weights".to_owned();
    let weights = LockedInput::Url { sha256, size, url };
    lock.inputs = [
        ("also".to_owned(), LockedInput::Follows { name: name() }),
        (
            "index".to_owned(),
            LockedInput::Follows {
                name: "pypi".to_owned(),
            },
        ),
        (name(), weights),
    ]
    .into();
    let text = lock.to_text();
    assert_eq!(Lock::parse(&text).expect("our own text"), lock);
    let dangling = text.replacen("\"name\": \"weights\"", "\"name\": \"wights\"", 1);
    let message = refused(&dangling);
    assert!(
        message.contains("also follows wights, which is no input of the lock"),
        "{message}"
    );
    let unknown = text.replacen("\"size\": 7,", "\"seize\": 7,", 1);
    assert!(
        refused(&unknown).contains("unknown field `seize`"),
        "{}",
        refused(&unknown)
    );
}

#[test]
fn locks_of_version_1_are_the_default_variant() {
    let lock = example();
    let platform = &lock.platforms[&Architecture::Amd64];
    let debs = platform.debian.packages.iter().map(|deb| {
        let bound = |name: &String| match deb.bounds.get(name) {
            Some(bound) => format!("{name} {bound}"),
            None => name.clone(),
        };
        json!({
            "architecture": deb.architecture, "depends": deb.depends.iter().map(bound).collect::<Vec<_>>(),
            "group": deb.group, "name": deb.name, "requested": deb.requested, "sha256": deb.sha256,
            "size": deb.size, "url": deb.url(), "version": deb.version,
        })
    });
    let wheels = platform.python.packages.iter().map(|wheel| {
        let bound = |name: &String| format!("{name}{}", wheel.bounds.get(name).map_or("", |text| text));
        json!({
            "name": wheel.name, "omit": wheel.omit,
            "requires": wheel.requires.iter().map(bound).collect::<Vec<_>>(),
            "sha256": wheel.sha256, "size": wheel.size, "url": wheel.url(), "version": wheel.version,
        })
    });
    let release = &platform.debian.releases[0];
    let old = json!({
        "config": { "digest": lock.request.digest(), "request": lock.request },
        "excludeNewer": "2025-11-02T00:00:00Z",
        "platforms": { "linux/amd64": {
            "debian": {
                "packages": debs.collect::<Vec<_>>(),
                "releases": [{
                    "date": release.date, "inReleaseSha256": release.in_release_sha256,
                    "input": release.input, "suite": release.suite,
                }],
            },
            "interpreter": { "debian": "python3.11" },
            "python": wheels.collect::<Vec<_>>(),
        } },
        "version": 1,
    });
    let text = serde_json::to_string_pretty(&old).expect("JSON");
    assert_eq!(Lock::parse(&text).expect("an old lock"), whole(example()));
    let edited = text.replacen("alpha>=1", "alpha>=2", 1);
    assert!(refused(&edited).contains("the digest does not fit the request"));
}

#[test]
fn lock_2_commits_are_written_with_their_repository_and_reference() {
    let lock = whole(with_commit());
    let text = lock.to_text();
    assert_eq!(Lock::parse(&text).expect("our own text"), lock);
    assert!(text.ends_with("  \"version\": 3\n}\n"), "{text}");
    for expected in [
        "\"url\": \"git+https://host.test/r.git@0123456789012345678901234567890123456789#subdirectory=x/y\"",
        "\"file\": \"r-012345678901\"",
        "\"reference\": \"main\"",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let mut nested = with_commit();
    let source = &mut amd64(&mut nested).python.packages[0];
    let build = source.build.as_mut().expect("one");
    let mut below = build.clone();
    below.requires.clear();
    below.revision = None;
    build.requires[0].filename = "beta-2.0.tar.gz".to_owned();
    build.builds.insert("beta".to_owned(), below);
    let nested = whole(nested);
    let again = Lock::parse(&nested.to_text()).expect("our own text");
    assert_eq!(again, nested);
    let moved = text.replace("@0123456789012345678901234567890123456789", "@main");
    refused(&moved);
}

#[test]
fn lock_1_locks_with_sources_were_of_version_2_once() {
    let mut lock = whole(with_commit());
    let variant = lock.variants.values_mut().next().expect("one");
    let source = &mut amd64(variant).python.packages[0];
    source.package.filename = "alpha-1.0.tar.gz".to_owned();
    source.package.origin = python::WheelOrigin::Index {
        input: "pypi".to_owned(),
    };
    source.build.as_mut().expect("one").revision = None;
    let text = lock.to_text();
    let older = text.replace("\"version\": 3\n}\n", "\"version\": 2\n}\n");
    assert_ne!(older, text);
    assert_eq!(Lock::parse(&older).expect("it is read"), lock);
    let commits = whole(with_commit()).to_text();
    let older = commits.replace("\"version\": 3\n}\n", "\"version\": 2\n}\n");
    assert!(refused(&older).contains("is not as cognix writes it"));
}
