//! What every reader must refuse, normalise and bound has a test that names it, and so has what a sandbox promises.
//!
//! A test's name begins with the requirement it holds up: `rec_5_different_contents_name_both_owners` is one of REC-5.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cognix_store::ErrorKind;

/// The requirements on readers, on sandboxes and on secrets: a prefix, and how many there are of it.
const REQUIREMENTS: [(&str, u8); 9] = [
    ("all", 11),
    ("zip", 3),
    ("rec", 5),
    ("deb", 7),
    ("lock", 2),
    ("yaml", 3),
    ("idx", 5),
    ("box", 7),
    ("sec", 2),
];

/// Crates that read archives, and the versions past the known advisories about readers that disagree.
const ARCHIVE_CRATES: [(&str, [u64; 3]); 3] = [
    ("tar", [0, 4, 45]),
    ("zip", [9, 1, 3]),
    ("astral-tokio-tar", [0, 6, 1]),
];

#[test]
fn every_requirement_has_a_test_that_names_it() {
    let tests = test_names();
    let ids = REQUIREMENTS
        .iter()
        .flat_map(|(prefix, count)| (1..=*count).map(move |number| format!("{prefix}_{number}_")));
    // Of the limits, that of builders.
    let ids = ids.chain(["lim_3_".to_owned()]);
    let missing: Vec<String> = ids
        .filter(|id| !tests.iter().any(|name| name.starts_with(id.as_str())))
        .collect();
    assert!(missing.is_empty(), "no test is named after {missing:?}");
}

#[test]
fn all_10_archive_crates_are_past_the_known_advisories() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("it is committed");
    let lines: Vec<&str> = lock.lines().collect();
    let mut seen = 0;
    for pair in lines.windows(2) {
        let quoted = |line: &str, key: &str| {
            let value = line.strip_prefix(key)?.strip_suffix('"')?;
            Some(value.to_owned())
        };
        let (Some(name), Some(version)) = (
            quoted(pair[0], "name = \""),
            quoted(pair[1], "version = \""),
        ) else {
            continue;
        };
        let Some((_, least)) = ARCHIVE_CRATES.iter().find(|(known, _)| *known == name) else {
            continue;
        };
        seen += 1;
        let numbers: Vec<u64> = version
            .split('.')
            .map(|part| part.parse().expect("a number"))
            .collect();
        assert!(numbers.as_slice() >= least.as_slice(), "{name} {version}");
    }
    assert!(seen > 0, "Cargo.lock was not understood");
}

#[test]
fn all_11_the_help_has_every_exit_status_and_no_other() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cognix"))
        .arg("--help")
        .output()
        .expect("the program starts");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let (_, table) = help.split_once("Exit status:").expect("the table");
    let (table, _) = table.split_once("\n\n").expect("the end of the table");
    let shown: BTreeSet<u8> = table
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    let kinds = [
        ErrorKind::Input,
        ErrorKind::Unavailable,
        ErrorKind::Internal,
        ErrorKind::Io,
        ErrorKind::Rights,
        ErrorKind::Configuration,
        ErrorKind::BuildFailed,
        ErrorKind::TimedOut,
        ErrorKind::Hash,
        ErrorKind::NotReproducible,
        ErrorKind::Interrupted,
    ];
    let mut known: BTreeSet<u8> = kinds.map(ErrorKind::exit_code).into();
    known.extend([0, 2]);
    assert_eq!(shown, known);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of all test functions of the workspace.
fn test_names() -> BTreeSet<String> {
    let folders = ["src", "tests", "store", "derivations", "sandbox"];
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut names = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the sources are readable") {
            let path = entry.expect("the sources are readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                let own_main = OWN_MAIN
                    .iter()
                    .any(|main| path.starts_with(root().join(main)));
                names.extend(match own_main {
                    true => names_in_tables(&text),
                    false => functions_after_test(&text),
                });
            }
        }
    }
    assert!(names.len() > 300, "the tests were not found");
    names
}

/// Tests that start sandboxes, and therefore themselves: they name their tests in tables.
const OWN_MAIN: [&str; 2] = ["sandbox/tests", "store/tests/foreign"];

/// Texts that could be the names of tests.
fn names_in_tables(text: &str) -> Vec<String> {
    let letters = |text: &str| {
        let mut letters = text.chars();
        letters
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    };
    let quoted = text.split('"').skip(1).step_by(2);
    let names = quoted.filter(|name| name.contains('_') && letters(name));
    names.map(str::to_owned).collect()
}

/// The names of functions that stand below a `#[test]` or `#[tokio::test]`, other attributes and properties between.
fn functions_after_test(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test && let Some((_, rest)) = line.split_once("fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            names.push(name.to_owned());
            is_test = false;
        }
    }
    names
}
