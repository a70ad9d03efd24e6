use cognix_derivations::Sha256;
use uv_pep508::MarkerEnvironment;

use super::read::{Entry, Origin};
use super::*;
use crate::lock::LockedWheel;
use crate::lock::platform::Architecture;
use crate::lock::python::Target;
use crate::lock::tests::wheel;

const UV_LOCK: &str = include_str!("samples/uv.lock");
const UV_PYLOCK: &str = include_str!("samples/pylock.uv.toml");
const PIP_PYLOCK: &str = include_str!("samples/pylock.pip.toml");
const POETRY_2: &str = include_str!("samples/poetry-2.lock");

fn environment(python: (u8, u8, u8)) -> MarkerEnvironment {
    let target = Target::new(python, (2, 36), Architecture::Amd64).expect("a Python");
    target.markers
}

fn entries(text: &str, python: (u8, u8, u8)) -> Vec<Entry> {
    let lock = ForeignLock::parse("its.lock", text).expect("a lock");
    lock.entries(&environment(python)).expect("for this Python")
}

/// `NAME VERSION line LINE, N files` of every entry.
fn listed(text: &str, python: (u8, u8, u8)) -> Vec<String> {
    let line = |entry: Entry| {
        let version = entry
            .version
            .map(|version| version.to_string())
            .unwrap_or_default();
        format!(
            "{} {version} line {}, {} files",
            entry.name,
            entry.line,
            entry.files.len()
        )
    };
    entries(text, python).into_iter().map(line).collect()
}

fn import(text: &str, requirements: &[&str]) -> Import {
    let place = |(at, text): (usize, &&str)| RequirementPlace {
        text: (*text).to_owned(),
        place: format!("requirements.txt:{}", at + 1),
        is_locked: false,
    };
    Import {
        lock: ForeignLock::parse("its.lock", text).expect("a lock").into(),
        requirements: requirements.iter().enumerate().map(place).collect(),
        is_own: false,
        freed: Default::default(),
    }
}

fn refused(text: &str) -> String {
    let lock = ForeignLock::parse("its.lock", text);
    let entries = lock.and_then(|lock| lock.entries(&environment((3, 11, 2))));
    entries.expect_err("refused").to_string()
}

/// The wheel of click that every sample has.
fn click() -> LockedWheel {
    let mut click = wheel("click", "8.5.1", &[], &[]);
    click.package.sha256 = "8bb5376d2006950386f8c6427613334a2acadc5f559cb80e638d00b4df957e37"
        .parse()
        .expect("a digest");
    click
}

#[test]
fn each_tools_lock_gives_what_is_for_the_image() {
    let (old, new) = ((3, 11, 2), (3, 13, 5));
    /// A lock's text, the Python of the image, and the packages that it gives.
    type Case = (&'static str, (u8, u8, u8), &'static [&'static str]);
    let cases: [Case; 7] = [
        (
            UV_LOCK,
            old,
            &[
                "click 8.5.1 line 10, 2 files",
                "numpy 1.26.4 line 82, 4 files",
            ],
        ),
        (
            UV_LOCK,
            new,
            &[
                "click 8.5.1 line 10, 2 files",
                "numpy 2.3.5 line 96, 3 files",
            ],
        ),
        // The group of development tools is exported as a default group by nobody; uv puts its packages in plainly.
        (
            UV_PYLOCK,
            old,
            &[
                "click 8.5.1 line 8, 2 files",
                "iniconfig 2.3.1 line 23, 2 files",
                "numpy 1.26.4 line 30, 4 files",
            ],
        ),
        (
            UV_PYLOCK,
            new,
            &[
                "click 8.5.1 line 8, 2 files",
                "iniconfig 2.3.1 line 23, 2 files",
                "numpy 2.3.5 line 42, 3 files",
            ],
        ),
        (
            PIP_PYLOCK,
            old,
            &[
                "click 8.5.1 line 5, 1 files",
                "numpy 2.4.6 line 16, 1 files",
            ],
        ),
        (
            POETRY_2,
            old,
            &[
                "click 8.5.1 line 4, 2 files",
                "iniconfig 2.3.1 line 42, 2 files",
                "numpy 1.26.4 line 59, 4 files",
            ],
        ),
        (
            POETRY_2,
            new,
            &[
                "click 8.5.1 line 4, 2 files",
                "iniconfig 2.3.1 line 42, 2 files",
                "numpy 2.3.5 line 79, 3 files",
            ],
        ),
    ];
    for (text, python, expected) in cases {
        assert_eq!(listed(text, python), expected);
    }
}

#[test]
fn every_format_has_the_same_digest_of_the_same_file() {
    for text in [UV_LOCK, UV_PYLOCK, PIP_PYLOCK, POETRY_2] {
        let found = entries(text, (3, 11, 2));
        let its_click = found.iter().find(|entry| entry.name == "click");
        let files = &its_click.expect("click").files;
        let file = files
            .iter()
            .find(|file| file.name.as_deref() == Some("click-8.5.1-py3-none-any.whl"));
        assert_eq!(file.map(|file| file.sha256), Some(click().sha256));
    }
}

#[test]
fn extras_of_an_edge_are_walked_and_groups_are_not() {
    let text = r#"
version = 1
requires-python = ">=3.10"

[[package]]
name = "model"
source = { editable = "." }
dependencies = [{ name = "server", extra = ["standard"] }]

[package.dev-dependencies]
dev = [{ name = "tool" }]

[[package]]
name = "server"
version = "1.0"
source = { registry = "https://index.test/simple" }
dependencies = [{ name = "h11" }]

[package.optional-dependencies]
standard = [{ name = "uvloop", marker = "sys_platform != 'win32'" }, { name = "colorama", marker = "sys_platform == 'win32'" }]

[[package]]
name = "h11"
version = "0.14"
source = { git = "https://host.test/h11?rev=v0.14#0123" }

[[package]]
name = "uvloop"
version = "0.21"
source = { registry = "https://index.test/simple" }

[[package]]
name = "colorama"
version = "0.4"
source = { registry = "https://index.test/simple" }

[[package]]
name = "tool"
version = "9"
source = { registry = "https://index.test/simple" }
"#;
    let found = entries(text, (3, 11, 2));
    let names: Vec<&str> = found.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["server", "h11", "uvloop"]);
    assert_eq!(found[1].origin, Origin::Elsewhere("a repository"));
}

#[test]
fn pins_become_constraints_and_contradictions_name_both_places() {
    let environment = environment((3, 11, 2));
    let fits = import(
        UV_LOCK,
        &["click>=8", "numpy; sys_platform == 'win32'", "numpy<2"],
    );
    let pins = fits.pins(&environment).expect("no contradiction");
    assert_eq!(pins.constraints(), ["click==8.5.1", "numpy==1.26.4"]);

    let forbids = import(UV_LOCK, &["click", "numpy>=2"]);
    let message = forbids.pins(&environment).expect_err("numpy").to_string();
    assert_eq!(
        message,
        "requirements.txt:2 asks for \"numpy>=2\", but its.lock:82 locks numpy 1.26.4; change one of them"
    );
    let elsewhere = import(UV_LOCK, &["numpy>=2; sys_platform == 'win32'"]);
    assert!(elsewhere.pins(&environment).is_ok());
}

#[test]
fn what_was_chosen_is_held_against_the_imported_hashes() {
    let pins = import(UV_LOCK, &["click"])
        .pins(&environment((3, 11, 2)))
        .expect("pins");
    let free = wheel("cog", "0.16.0", &[], &[]);
    let imported = pins
        .compare(&[click(), free.clone()])
        .expect("the same file");
    assert_eq!(imported.pinned, ["click"]);
    assert_eq!(imported.free, ["cog"]);
    assert_eq!(imported.unused, 1);

    let mut other = click();
    other.package.sha256 = Sha256::of(b"something else");
    let message = pins
        .compare(&[other.clone()])
        .expect_err("another file")
        .to_string();
    assert!(message.contains("its.lock:10 has 8bb5376d"), "{message}");
    other.package.filename = "click-8.5.1-cp311-none-any.whl".to_owned();
    let message = pins
        .compare(&[other])
        .expect_err("another file")
        .to_string();
    assert!(
        message.contains("does not list this file among its 2"),
        "{message}"
    );
}

#[test]
fn a_package_in_two_versions_that_nothing_tells_apart_binds_to_either() {
    let text = r#"
[[package]]
name = "numpy"
version = "1.26.4"
python-versions = ">=3.9"

[[package]]
name = "numpy"
version = "2.3.5"
python-versions = ">=3.11"

[metadata]
lock-version = "1.1"
[metadata.files]
numpy = []
"#;
    let import = import(text, &[]);
    let pins = import.pins(&environment((3, 11, 2))).expect("pins");
    assert_eq!(pins.constraints(), [""; 0]);
    assert!(pins.compare(&[wheel("numpy", "2.3.5", &[], &[])]).is_ok());
    let other = pins.compare(&[wheel("numpy", "2.4.0", &[], &[])]);
    let message = other.expect_err("a third version").to_string();
    assert!(
        message.contains("1.26.4 (line 3) and 2.3.5 (line 8)"),
        "{message}"
    );
    // Python itself tells them apart where it can.
    let older = import.pins(&environment((3, 10, 14))).expect("pins");
    assert_eq!(older.constraints(), ["numpy==1.26.4"]);
}

#[test]
fn lock_2_weak_digests_alone_are_refused_with_their_line() {
    let md5 = PIP_PYLOCK.replacen("sha256 = ", "md5 = ", 1);
    assert_eq!(
        refused(&md5),
        "its.lock:12: click has no SHA-256 for click-8.5.1-py3-none-any.whl (only md5); lock again with a tool that writes SHA-256"
    );
    let sha1 = UV_LOCK.replace("sha256:8bb5", "sha1:8bb5");
    assert!(
        refused(&sha1).contains("its.lock:15: click has no SHA-256"),
        "{}",
        refused(&sha1)
    );
    let short = UV_LOCK.replace("sha256:8bb5", "sha256:5");
    assert!(
        refused(&short).contains("is not a SHA-256"),
        "{}",
        refused(&short)
    );
}

#[test]
fn all_4_locks_that_cannot_be_used_are_refused_with_line_and_reason() {
    let cases = [
        (
            "packages = []".to_owned(),
            "is no lock that can be imported",
        ),
        ("{}".to_owned(), "its.lock:1:1: "),
        (
            PIP_PYLOCK.replace("\"1.0\"", "\"2.0\""),
            "its.lock:1: has format version 2.0, this cognix reads 1.x",
        ),
        (
            UV_LOCK.replacen("version = 1", "version = 2", 1),
            "its.lock:1: has format version 2",
        ),
        (
            POETRY_2.replace("\"2.1\"", "\"3.0\""),
            "has format version 3.0, this cognix reads 1.x and 2.x",
        ),
        (
            PIP_PYLOCK.replace("\"numpy\"", "\"num py\""),
            "its.lock:16: ",
        ),
        (PIP_PYLOCK.replace("\"2.4.6\"", "\"two\""), "its.lock:17: "),
        (
            UV_LOCK.replace(">=3.10", ">=3.12"),
            "its.lock:3: was locked for Python >=3.12, but the image has 3.11.2",
        ),
        (
            PIP_PYLOCK.replace(
                "created-by",
                "environments = [\"sys_platform == 'win32'\"]\ncreated-by",
            ),
            "its.lock:2: was not locked for the image's platform (Python 3.11.2 on x86_64 linux)",
        ),
        (
            UV_PYLOCK.replace("sys_platform == 'win32'", "sys_platform ~ 'win32'"),
            "is no marker",
        ),
    ];
    for (text, expected) in cases {
        let message = refused(&text);
        assert!(message.contains(expected), "{expected}: {message}");
        assert!(message.lines().count() <= 20, "{message}");
    }
}

proptest::proptest! {
    #[test]
    fn all_1_foreign_bytes_never_panic(at in 0usize..4000, byte in 0u8..128, which in 0usize..4) {
        let mut text = [UV_LOCK, UV_PYLOCK, PIP_PYLOCK, POETRY_2][which].as_bytes().to_vec();
        let at = at % text.len();
        text[at] = byte;
        let text = String::from_utf8(text).expect("ASCII");
        if let Ok(lock) = ForeignLock::parse("its.lock", &text) {
            drop(lock.entries(&environment((3, 11, 2))));
        }
    }
}

#[test]
fn the_lock_of_a_project_has_what_the_project_asks_for() {
    let refused = |requirements: &[&str]| {
        let mut import = import(UV_LOCK, requirements);
        import
            .requirements
            .iter_mut()
            .for_each(|place| place.is_locked = true);
        import
            .pins(&environment((3, 11, 2)))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        refused(&["click>=8", "absent ; python_version < '3'"]),
        Ok(())
    );
    assert_eq!(
        refused(&["absent>=1"]),
        Err("requirements.txt:1 asks for \"absent>=1\", which its.lock does not have; run `uv lock` to bring it up to date".to_owned())
    );
    assert_eq!(
        refused(&["click<8"]),
        Err("requirements.txt:1 asks for \"click<8\", but its.lock:10 locks click 8.5.1; run `uv lock` to bring it up to date".to_owned())
    );
}

#[test]
fn what_a_lock_pins_is_told_apart_by_what_decides() {
    let pinned = |text: &str| {
        ForeignLock::parse("its.lock", text)
            .expect("a lock")
            .pinned()
    };
    let before = pinned(UV_LOCK);
    assert_eq!(
        before.versions,
        [
            "click==8.5.1",
            "colorama==0.4.6",
            "numpy==1.26.4",
            "numpy==2.3.5",
            "tomli==2.5.0"
        ]
    );
    assert_eq!(pinned(&format!("# a comment\n{UV_LOCK}")), before);
    let moved = pinned(&UV_LOCK.replace("8.5.1", "8.5.2"));
    assert_eq!(moved.versions[0], "click==8.5.2");
    let digest = "8bb5376d2006950386f8c6427613334a2acadc5f559cb80e638d00b4df957e37";
    let other = pinned(&UV_LOCK.replace(digest, &digest.replace('8', "9")));
    assert_eq!(other.versions, before.versions);
    assert_ne!(other.sha256, before.sha256);
}

#[test]
fn commits_of_repositories_become_requirements() {
    let uv = "version = 1\nrequires-python = '>=3.10'\n\
              [[package]]\nname = 'm'\nsource = { virtual = '.' }\ndependencies = [{ name = 'r' }]\n\
              [[package]]\nname = 'r'\nversion = '1'\n\
              source = { git = 'https://host.example/r?subdirectory=a%2Fb&rev=v1#0123456789012345678901234567890123456789' }\n";
    let poetry = "[[package]]\nname = 'r'\nversion = '1'\n[package.source]\ntype = 'git'\nurl = 'https://host.example/r'\n\
                  reference = 'v1'\nresolved_reference = '0123456789012345678901234567890123456789'\nsubdirectory = 'a/b'\n\
                  [metadata]\nlock-version = '2.1'\n";
    let pylock = "lock-version = '1.0'\n[[packages]]\nname = 'r'\n[packages.vcs]\ntype = 'git'\nurl = 'https://host.example/r'\n\
                  commit-id = '0123456789012345678901234567890123456789'\nsubdirectory = 'a/b'\n";
    for text in [uv, poetry, pylock] {
        let lock = ForeignLock::parse("its.lock", text).expect("a lock");
        assert_eq!(
            lock.commits()["r"],
            "git+https://host.example/r@0123456789012345678901234567890123456789#subdirectory=a/b"
        );
    }
}
