mod entering;
mod golden;
mod opening;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use cognix_derivations::DerivationGraph;
use serde_json::Value;

use super::*;
use crate::{CancellationToken, Event, Problem, VerifyReport};

const GOLDEN_ROOT: &[u8] = include_bytes!("../../../tests/vectors/root-2.34.8.tar.zst");
const GOLDEN_SCHEMA: &str = include_str!("../../../tests/vectors/schema-2.34.8.sql");
const GOLDEN_ROWS: &str = include_str!("../../../tests/vectors/rows-2.34.8.sql");
const GOLDEN_INFOS: &str = include_str!("../../../tests/vectors/path-info-2.34.8.json");

/// An empty store that is removed with the test.
fn empty() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path()).expect("a new store");
    (folder, store)
}

/// The store that Nix made.
fn golden() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tar = zstd::decode_all(GOLDEN_ROOT).expect("zstd");
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut directories = Vec::new();
    for entry in archive.entries().expect("tar") {
        let mut entry = entry.expect("tar entry");
        let path = folder.path().join(entry.path().expect("path"));
        if entry.header().entry_type().is_dir() {
            fs::create_dir_all(&path).expect("create");
            directories.push((path, entry.header().mode().expect("mode")));
        } else {
            entry.unpack(&path).expect("unpack");
            set_time(&path);
        }
    }
    // Folders come last: writing into them changes their times, and some are read-only.
    for (path, mode) in directories.iter().rev() {
        fs::set_permissions(path, fs::Permissions::from_mode(*mode)).expect("chmod");
        set_time(path);
    }
    let store = Store::open_existing(folder.path())
        .expect("open")
        .expect("a store");
    (folder, store)
}

/// The archive crate does not set the times of links, and everything in it has the same time.
fn set_time(path: &Path) {
    let time = rustix::fs::Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).expect("times");
}

fn name(text: &str) -> StorePathName {
    StorePathName::parse(text).expect("a valid name")
}

fn path(text: &str) -> StorePath {
    StorePath::parse(text).expect("a valid path")
}

fn verify(store: &Store) -> VerifyReport {
    store
        .verify(true, &CancellationToken::new())
        .expect("verify")
}

fn add_file(store: &Store, file_name: &str, text: &str) -> PathInfo {
    store
        .import(&name(file_name), &mut |place| fs::write(place, text))
        .expect("import")
}

fn golden_infos() -> Vec<(StorePath, Value)> {
    let all: BTreeMap<String, Value> = serde_json::from_str(GOLDEN_INFOS).expect("JSON");
    all.into_iter()
        .map(|(text, value)| (path(&text), value))
        .collect()
}

/// Compares one row with what Nix printed about the same path.
fn assert_like_nix(info: &PathInfo, nix: &Value) {
    let text = |key: &str| nix[key].as_str().map(str::to_owned);
    assert_eq!(
        Some(info.nar_hash.to_sri()),
        text("narHash"),
        "{}",
        info.path
    );
    assert_eq!(
        Some(info.nar_size),
        nix["narSize"].as_u64(),
        "{}",
        info.path
    );
    assert_eq!(
        info.ca.as_ref().map(ToString::to_string),
        text("ca"),
        "{}",
        info.path
    );
    assert_eq!(
        info.deriver.as_ref().map(ToString::to_string),
        text("deriver"),
        "{}",
        info.path
    );
    assert_eq!(
        Some(info.ultimate),
        nix["ultimate"].as_bool(),
        "{}",
        info.path
    );
    let references: Vec<StorePath> = nix["references"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|reference| path(reference.as_str().expect("a string")))
        .collect();
    assert_eq!(
        info.references,
        references.into_iter().collect(),
        "{}",
        info.path
    );
}

/// The statements of a database, as SQLite keeps them.
fn schema_of(database: &Path) -> BTreeSet<String> {
    let connection = rusqlite::Connection::open(database).expect("open");
    let mut statement = connection
        .prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        .expect("prepare");
    let rows = statement
        .query_map([], |row| row.get::<_, String>(0))
        .expect("query");
    rows.map(|row| row.expect("text")).collect()
}
