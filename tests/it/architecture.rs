//! The arrows between the rooms, as a table that the sources are held to.
//!
//! A new arrow is a design decision: whoever needs one adds it here, visibly.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Which rooms a room may use. `derivations`, `store` and `sandbox` are packages: the compiler keeps those walls.
const ARROWS: [(&str, &[&str]); 13] = [
    ("config", &[]),
    ("spec", &[]),
    ("lock", &["config", "mirrors", "spec"]),
    ("mirrors", &["config", "lock", "spec"]),
    ("recipes", &["lock"]),
    ("builtins", &["image", "layers", "lock", "recipes"]),
    ("layers", &["builtins"]),
    ("image", &["layers"]),
    ("container", &[]),
    (
        "pipeline",
        &[
            "builtins",
            "config",
            "container",
            "image",
            "layers",
            "lock",
            "mirrors",
            "recipes",
            "spec",
        ],
    ),
    (
        "cli",
        &[
            "config",
            "container",
            "image",
            "layers",
            "lock",
            "mirrors",
            "pipeline",
            "recipes",
            "spec",
        ],
    ),
    (
        "lib",
        &[
            "builtins",
            "cli",
            "config",
            "container",
            "image",
            "layers",
            "lock",
            "mirrors",
            "pipeline",
            "recipes",
            "spec",
        ],
    ),
    ("main", &["cli"]),
];

/// Crates that live in some rooms only, so that replacing one is one room's work.
const HOMES: [(&str, &[&str]); 11] = [
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("oci_spec", &["container", "image"]),
    ("pgp", &["lock"]),
    ("cognix_language", &["cli", "spec"]),
    ("cognix_sandbox", &["main", "pipeline"]),
    (
        "tar",
        &[
            "builtins",
            "container",
            "image",
            "layers",
            "lock",
            "mirrors",
        ],
    ),
    ("libdeflater", &["builtins", "layers"]),
    ("uv_python", &["lock", "mirrors"]),
    ("uv_resolver", &["lock"]),
    ("uv_client", &["lock", "mirrors"]),
];

#[test]
fn rooms_use_only_the_rooms_that_the_table_allows() {
    let mut wrong = Vec::new();
    for (room, file, text) in sources() {
        let allowed = ARROWS
            .iter()
            .find(|(name, _)| *name == room)
            .map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("{room} is not in the table of arrows"));
        for used in rooms_used(&text) {
            if used != room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: {room} -> {used}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that the table does not allow:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn crates_stay_in_their_homes() {
    let mut wrong = Vec::new();
    for (room, file, text) in sources() {
        for (name, homes) in HOMES {
            if mentions(&text, &format!("{name}::")) && !homes.contains(&room.as_str()) {
                wrong.push(format!("{}: {room} uses {name}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "crates outside their homes:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_registry_host_stands_in_the_sources() {
    // The names are put together here, so that this file does not hold them either.
    let hosts = [
        ["pypi", "org"].join("."),
        ["debian", "org"].join("."),
        ["pythonhosted", "org"].join("."),
    ];
    for (_, file, text) in sources() {
        for host in &hosts {
            assert!(
                !text.contains(host.as_str()),
                "{} names {host}",
                file.display()
            );
        }
    }
}

/// Every source file of the root package with its room.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the sources are readable") {
            let path = entry.expect("the sources are readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 20, "the sources were not found");
    let room = |path: &Path| {
        let first = path
            .strip_prefix(&root)
            .expect("below the root")
            .components()
            .next()
            .expect("not the root itself");
        first
            .as_os_str()
            .to_string_lossy()
            .trim_end_matches(".rs")
            .to_owned()
    };
    files
        .into_iter()
        .map(|path| {
            (
                room(&path),
                path.clone(),
                std::fs::read_to_string(&path).expect("UTF-8"),
            )
        })
        .collect()
}

/// The rooms after `crate::` in code, comments left out.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let after = code.flat_map(|line| line.split("crate::").skip(1));
    let name = |rest: &str| {
        rest.chars()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
            .collect::<String>()
    };
    let lower = |room: &String| room.chars().next().is_some_and(char::is_lowercase);
    after.map(name).filter(lower).collect()
}

fn mentions(text: &str, needle: &str) -> bool {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.filter_map(|line| line.find(needle).map(|at| (line, at)))
        .any(|(line, at)| {
            !line[..at].ends_with(|before: char| {
                before.is_alphanumeric() || before == '_' || before == ':'
            })
        })
}
