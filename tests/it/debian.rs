//! An image's Debian part, against the system that Debian's own tools make of the same packages.
//!
//! `src/builtins/system/tests/oracle.sh` fetches packages and lets mmdebstrap install them; the variable
//! `COGNIX_DEBIAN_ORACLE` names the folder, or several with a colon between them, one for each release. Here the same packages are an archive on
//! loopback, and cognix makes an image of them: by its rules, and by running the scripts that no rule covers. Every path has
//! to be the same: kind, content, link, mode and owner. What differs on purpose is in the tables of `docs/system.md`, which
//! this test reads: a difference that is not there fails, and so does a row that explains none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use cognix_derivations::Sha256;
use serde_json::Value;

use crate::world::debs::{self, Deb};
use crate::world::{World, json, write};

/// What one table of the documentation lists: patterns in which `*` stands for anything, with the reason.
struct Table {
    rows: Vec<(String, String)>,
}

impl Table {
    /// The table below a line of the documentation.
    fn below(heading: &str) -> Self {
        let text = include_str!("../../docs/system.md");
        let line = |line: &&str| line.starts_with(heading);
        let below = text.lines().skip_while(|text| !line(text)).skip(1);
        let lines = below.skip_while(|line| !line.starts_with('|'));
        let lines = lines.take_while(|line| line.starts_with('|')).skip(2);
        let mut rows = Vec::new();
        for line in lines {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [paths, reason] = cells[..] else {
                panic!("not a row of two cells: {line}");
            };
            let paths = paths.split('`').skip(1).step_by(2);
            rows.extend(paths.map(|path| (path.to_owned(), reason.to_owned())));
        }
        assert!(!rows.is_empty(), "no table below {heading:?}");
        Self { rows }
    }

    /// The row that explains a path.
    fn row_of(&self, path: &str) -> Option<&str> {
        let mut rows = self.rows.iter();
        let row = rows.find(|(pattern, _)| matches(pattern, path))?;
        Some(&row.0)
    }
}

/// Whether a pattern fits: its parts between the stars follow each other.
fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Directory {
        mode: u32,
        owner: (u64, u64),
    },
    File {
        mode: u32,
        owner: (u64, u64),
        content: Sha256,
        /// The digest of its lines in their order by bytes.
        lines: Sha256,
    },
    Link(String),
    Other,
}

impl Found {
    fn file(mode: u32, owner: (u64, u64), bytes: &[u8]) -> Self {
        let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        lines.sort_unstable();
        Self::File {
            mode,
            owner,
            content: Sha256::of(bytes),
            lines: Sha256::of(&lines.join(&b'\n')),
        }
    }

    /// Whether two files differ in the order of their lines alone.
    fn has_lines_of(&self, other: &Self) -> bool {
        let all = |found: &Self| match found {
            Self::File {
                mode, owner, lines, ..
            } => Some((*mode, *owner, *lines)),
            _ => None,
        };
        all(self).is_some() && all(self) == all(other)
    }
}

type Tree = BTreeMap<String, Found>;

/// What mmdebstrap has made.
fn debian(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut pending = vec![root.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let place = entry.expect("an entry").path();
            let path = place.strip_prefix(root).expect("below its root");
            let path = format!("/{}", path.to_str().expect("UTF-8"));
            let metadata = place.symlink_metadata().expect("it was just listed");
            let mode = metadata.mode() & 0o7777;
            let owner = (metadata.uid().into(), metadata.gid().into());
            let kind = metadata.file_type();
            let found = if kind.is_dir() {
                pending.push(place);
                Found::Directory { mode, owner }
            } else if kind.is_file() {
                let bytes = fs::read(&place).expect("a file");
                Found::file(mode, owner, &bytes)
            } else if kind.is_symlink() {
                let target = fs::read_link(&place).expect("a link");
                Found::Link(target.to_str().expect("UTF-8").to_owned())
            } else {
                Found::Other
            };
            tree.insert(path, found);
        }
    }
    tree
}

/// The layers of an image that come from Debian's packages and their scripts, applied as an engine does.
fn ours(layout: &Path, build: &Value) -> Tree {
    let mut tree = Tree::new();
    for layer in build["layers"].as_array().expect("layers") {
        if !["debian", "system"].contains(&layer["group"].as_str().expect("a text")) {
            continue;
        }
        let digest = layer["digest"].as_str().expect("a digest");
        let blob = layout.join(digest.replace("sha256:", "blobs/sha256/"));
        let file = fs::File::open(blob).expect("every layer is written");
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
        for entry in archive.entries().expect("a tar archive") {
            let mut entry = entry.expect("a sound archive");
            let path = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
            let path = format!("/{}", path.trim_matches('/'));
            let (folder, name) = path.rsplit_once('/').expect("it is absolute");
            if let Some(gone) = name.strip_prefix(".wh.") {
                let gone = format!("{folder}/{gone}");
                let below = format!("{gone}/");
                tree.retain(|path, _| *path != gone && !path.starts_with(&below));
                continue;
            }
            let header = entry.header();
            let mode = header.mode().expect("a mode");
            let owner = (
                header.uid().expect("a user"),
                header.gid().expect("a group"),
            );
            let found = match (entry.link_name_bytes(), header.entry_type().is_dir()) {
                (Some(target), _) => {
                    Found::Link(String::from_utf8(target.into_owned()).expect("UTF-8"))
                }
                (None, true) => Found::Directory { mode, owner },
                (None, false) => {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).expect("whole contents");
                    Found::file(mode, owner, &bytes)
                }
            };
            tree.insert(path, found);
        }
    }
    tree.remove("/");
    tree
}

/// The image of the packages in a folder.
fn image(oracle: &Path) -> Tree {
    let mut files = Vec::new();
    for entry in fs::read_dir(oracle.join("debs")).expect("a folder of packages") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            files.push(path);
        }
    }
    files.sort();
    let packages: Vec<Deb> = files.iter().map(|file| Deb::read(file)).collect();
    let (release, python) = match packages.iter().any(|deb| deb.name() == "python3.13") {
        true => ("trixie", "3.13"),
        false => ("bookworm", "3.11"),
    };
    let world = World::new();
    debs::publish(&world.server, "debian", release, release, &packages);
    let project = world.project("model", "");
    let names: Vec<&str> = packages.iter().map(Deb::name).collect();
    let cog_yaml = format!(
        "build:\n  python_version: \"{python}\"\n  system_packages: [{}]\nrun: predict.py:Predictor\n",
        names.join(", ")
    );
    write(&project.join("cog.yaml"), cog_yaml);
    // The packages of the folder, and no others.
    let spec = fs::read_to_string(project.join("cognix.nix")).expect("our own");
    let spec = spec.replacen('{', "{ base.packages = [ ];", 1);
    write(&project.join("cognix.nix"), spec);
    let layout = world.path("layout");
    let mut command = world.cognix("store");
    command.args(["build", "--format", "json", "-o"]);
    command.arg(format!("oci:{}:v1", layout.display()));
    let build = json(command.arg(&project));
    let lock = fs::read_to_string(project.join("cognix.lock")).expect("a lock");
    let lock: Value = serde_json::from_str(&lock).expect("JSON");
    assert_eq!(lock["debian"].as_array().map(Vec::len), Some(names.len()));
    ours(&layout, &build)
}

/// Compares one release; returns the rows that were needed.
fn compare(oracle: &Path, tables: &[Table; 3]) -> BTreeSet<String> {
    let (ours, theirs) = (image(oracle), debian(&oracle.join("root")));
    let [only_debian, only_ours, other] = tables;
    let mut needed = BTreeSet::new();
    let mut unexplained = Vec::new();
    for path in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        let (table, what) = match (ours.get(path), theirs.get(path)) {
            (Some(own), Some(theirs)) if own == theirs => continue,
            (Some(own), Some(theirs)) if own.has_lines_of(theirs) => (
                other,
                "has the lines of Debian's in another order".to_owned(),
            ),
            (Some(own), Some(theirs)) => {
                unexplained.push(format!("{path} is {own:?}, Debian's is {theirs:?}"));
                continue;
            }
            (None, Some(theirs)) => (only_debian, format!("is Debian's only: {theirs:?}")),
            (own, None) => (only_ours, format!("is ours only: {own:?}")),
        };
        match table.row_of(path) {
            Some(row) => drop(needed.insert(row.to_owned())),
            None => unexplained.push(format!("{path} {what}")),
        }
    }
    let oracle = oracle.display();
    let count = unexplained.len();
    assert!(
        count == 0,
        "{oracle}: {count} differences:\n{}",
        unexplained.join("\n")
    );
    needed
}

#[test]
fn debian_oracle_every_path_of_an_image_is_the_same() {
    let tables = [
        "What only Debian's tools leave behind",
        "What only cognix makes",
        "What both make, with the same lines in another order",
    ]
    .map(Table::below);
    let folders = std::env::var_os("COGNIX_DEBIAN_ORACLE");
    let folders = folders.expect("COGNIX_DEBIAN_ORACLE names folders that oracle.sh has filled");
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    let needed = folders.iter().map(|folder| compare(folder, &tables));
    let needed: Vec<BTreeSet<String>> = needed.collect();
    // Some rows are for one release.
    if needed.len() > 1 {
        let rows = tables
            .iter()
            .flat_map(|table| &table.rows)
            .map(|row| &row.0);
        let is_idle = |row: &&String| needed.iter().all(|needed| !needed.contains(*row));
        let idle: Vec<&String> = rows.filter(is_idle).collect();
        assert!(
            idle.is_empty(),
            "docs/system.md explains what does not differ: {idle:?}"
        );
    }
}
