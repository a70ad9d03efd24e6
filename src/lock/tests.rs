use cognix_derivations::Sha256;

use super::*;
use crate::spec::BaseTier;

/// A small lock that has one of everything.
pub(crate) fn example() -> Lock {
    let request = LockRequest {
        coglet: None,
        base: vec!["tini".to_owned()],
        budget: 100,
        conflicts: BTreeMap::new(),
        constraints: Vec::new(),
        index_options: IndexOptions::default(),
        tier: BaseTier::Essential,
        inputs: InputPins::from([
            (
                "debian".to_owned(),
                InputPin {
                    archives: Vec::new(),
                    packages: Vec::new(),
                    rank: None,
                    components: vec!["main".to_owned()],
                    releases: BTreeMap::new(),
                    suites: vec!["bookworm".to_owned()],
                    kind: "debian".to_owned(),
                },
            ),
            (
                "pypi".to_owned(),
                InputPin {
                    archives: Vec::new(),
                    packages: Vec::new(),
                    rank: None,
                    components: Vec::new(),
                    releases: BTreeMap::new(),
                    suites: Vec::new(),
                    kind: "pypi".to_owned(),
                },
            ),
        ]),
        platforms: vec![Architecture::Amd64],
        python: "3.11".to_owned(),
        recipes: LayerRecipes {
            grouping: "largest-alone-16-by-name-1".to_owned(),
            tree: "gzip-libdeflate-1.26-6-1m".to_owned(),
            wheel: "gzip-wheel-splice-1".to_owned(),
        },
        recommends: false,
        requirements: vec!["alpha>=1".to_owned()],
        sdk: "cog>=0.16.0".to_owned(),
        system_packages: Vec::new(),
        waivers: Vec::new(),
    };
    let mut alpha = wheel("alpha", "1.0", &["beta"], &[]);
    alpha.bounds = said("beta", "[fast]>=1.5,<3");
    let mut python = deb("python3.11", "1:3.11.2", &["libc6"], DebGroup::Python);
    python.bounds = said("libc6", "(>= 2.36)");
    let platform = PlatformLock {
        interpreter: LockedInterpreter::Debian {
            package: "python3.11".to_owned(),
        },
        debian: DebianLock {
            releases: vec![debian::LockedRelease {
                input: "debian".to_owned(),
                suite: "bookworm".to_owned(),
                in_release_sha256: Sha256::of(b"InRelease"),
                date: "2025-11-01T00:00:00Z".to_owned(),
            }],
            packages: vec![deb("libc6", "2.36-9", &[], DebGroup::Base), python],
        },
        python: PythonLock {
            packages: vec![
                alpha,
                wheel(
                    "beta",
                    "2.0+local",
                    &[],
                    &["venv/lib/python3.11/site-packages/shared.py"],
                ),
            ],
        },
    };
    Lock {
        request,
        exclude_newer: "2025-11-02T00:00:00Z".to_owned(),
        platforms: BTreeMap::from([(Architecture::Amd64, platform)]),
    }
}

fn said(name: &str, bound: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), bound.to_owned())])
}

/// The one platform of [`example`].
pub(crate) fn amd64(lock: &mut Lock) -> &mut PlatformLock {
    lock.platforms
        .get_mut(&Architecture::Amd64)
        .expect("the example has it")
}

fn deb(name: &str, version: &str, depends: &[&str], group: DebGroup) -> LockedDeb {
    let package = debian::LockedDeb {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
        input: "debian".to_owned(),
        path: format!("pool/main/{name}.deb"),
        size: 1234,
        sha256: Sha256::of(name.as_bytes()),
        depends: depends.iter().map(|name| (*name).to_owned()).collect(),
        requested: group == DebGroup::Python,
    };
    LockedDeb {
        package,
        group,
        bounds: BTreeMap::new(),
        layer: None,
    }
}

pub(crate) fn wheel(name: &str, version: &str, requires: &[&str], omit: &[&str]) -> LockedWheel {
    let package = python::LockedWheel {
        name: name.to_owned(),
        version: version.to_owned(),
        filename: format!("{name}-{version}-py3-none-any.whl"),
        sha256: Sha256::of(name.as_bytes()),
        size: 5678,
        requires: requires.iter().map(|name| (*name).to_owned()).collect(),
        origin: python::WheelOrigin::Index {
            input: "pypi".to_owned(),
        },
        spelling: None,
        yanked: false,
    };
    LockedWheel {
        package,
        layer: None,
        waived: false,
        omit: omit.iter().map(|path| (*path).to_owned()).collect(),
        bounds: BTreeMap::new(),
    }
}

/// The message of a text that must be refused.
fn refused(text: &str) -> String {
    Lock::parse(text).expect_err("refused").to_string()
}

#[test]
fn lock_2_writing_a_parsed_lock_gives_the_same_bytes() {
    let text = example().to_text();
    let parsed = Lock::parse(&text).expect("our own text");
    assert_eq!(parsed, example());
    assert_eq!(parsed.to_text(), text);
    assert!(text.ends_with("}\n"));
}

#[test]
fn lock_1_a_newer_version_is_named_before_anything_else() {
    let newer = "{\"version\": 2, \"surprise\": true}";
    assert_eq!(
        refused(newer),
        "cognix.lock: has format version 2, this cognix reads version 1; use a newer cognix"
    );
}

#[test]
fn lock_1_what_cognix_does_not_write_is_refused_with_its_line() {
    let text = example().to_text();
    let cases = [
        ("\"releases\"", "\"relaeses\"", "unknown field `relaeses`"),
        (
            "\"name\": \"beta\"",
            "\"name\": \"alpha\"",
            "alpha stands twice or out of order",
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
        (
            "          \"requires\": [],\n",
            "",
            "missing field `requires`",
        ),
    ];
    for (from, to, expected) in cases {
        assert!(text.contains(from), "{from}");
        let message = refused(&text.replacen(from, to, 1));
        assert!(message.contains(expected), "{from} -> {to}: {message}");
        assert!(message.starts_with("cognix.lock:"), "{message}");
    }
}

#[test]
fn lock_1_merge_markers_are_named_with_their_line() {
    for mark in ["<<<<<<< ours", "||||||| base", "=======", ">>>>>>> theirs"] {
        let text = example().to_text();
        let place = "\n  \"platforms\"";
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
    let text = example().to_text();
    let cases = [
        ("  \"version\": 1\n", "  \"version\":  1\n"),
        ("\n", "\r\n"),
        ("    \"digest\"", "     \"digest\""),
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
    let text = example().to_text();
    let line_of = |needle: &str| {
        let before = text.find(needle).expect("it is there");
        text[..before].lines().count() + usize::from(text[..before].ends_with('\n'))
    };
    let cases = [
        // An unknown key.
        ("\"releases\"", "\"relaeses\"", "\"releases\""),
        // A duplicate package.
        (
            "\"name\": \"beta\"",
            "\"name\": \"alpha\"",
            "\"name\": \"alpha\"",
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
    let text = lock.to_text();
    assert_eq!(Lock::parse(&text).expect("nothing is something"), lock);
    let without = text.replacen(",\n      \"python\": []", "", 1);
    assert_ne!(without, text);
    assert!(
        refused(&without).contains("missing field `python`"),
        "{}",
        refused(&without)
    );
}

#[test]
fn lock_2_only_strong_digests_are_digests() {
    let text = example().to_text();
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
        let text = lock.to_text();
        let parsed = Lock::parse(&text).expect("our own text");
        proptest::prop_assert_eq!(&parsed, &lock);
        proptest::prop_assert_eq!(parsed.to_text(), text);
    }

    #[test]
    fn lock_2_what_is_read_is_written_the_same(at in 0usize..10_000, byte in 0u8..128) {
        let mut text = example().to_text().into_bytes();
        let at = at % text.len();
        text[at] = byte;
        let text = String::from_utf8(text).expect("ASCII");
        if let Ok(lock) = Lock::parse(&text) {
            proptest::prop_assert_eq!(lock.to_text(), text);
        }
    }
}

#[test]
fn changes_say_what_differs() {
    let locked = example().request;
    let mut now = locked.clone();
    now.requirements.push("gamma".to_owned());
    now.python = "3.13".to_owned();
    now.base.clear();
    let changes: Vec<String> = locked
        .changes(&now)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        changes,
        [
            "python_version was 3.11, is 3.13",
            "removed base package tini",
            "added requirement gamma"
        ]
    );
    assert_eq!(locked.changes(&locked), []);
}

#[test]
fn a_package_is_in_the_first_group_that_needs_it() {
    let package = |name: &str, depends: &[&str]| deb(name, "1", depends, DebGroup::Base).package;
    let debian = debian::DebianLock {
        releases: Vec::new(),
        packages: vec![
            package("bash", &["libc6"]),
            package("libc6", &[]),
            package("libexpat1", &["libc6"]),
            package("libsl", &["bash"]),
            package("python3.11", &["libexpat1"]),
            package("sl", &["libexpat1", "libsl"]),
            package("tini", &[]),
        ],
        essential: vec!["bash".to_owned()],
        bounds: BTreeMap::new(),
    };
    let locked = resolve::grouped(debian, &example().request, &["python3.11".to_owned()]);
    let groups: Vec<_> = locked
        .packages
        .iter()
        .map(|deb| (deb.name.as_str(), deb.group))
        .collect();
    let (base, python, system) = (DebGroup::Base, DebGroup::Python, DebGroup::SystemPackages);
    assert_eq!(
        groups,
        [
            ("bash", base),
            ("libc6", base),
            ("libexpat1", python),
            ("libsl", system),
            ("python3.11", python),
            ("sl", system),
            ("tini", base)
        ]
    );
}
