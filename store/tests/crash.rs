//! A process is killed while it fills a store; the store is sound afterwards, however often that happens.
//!
//! This test is its own child (so it has no harness): with the argument `child ROOT` it fills the store until it is killed.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cognix_derivations::{Derivation, DerivationGraph, StorePathName};
use cognix_store::{CancellationToken, Store};

const ROUNDS: u32 = 25;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("child") => fill(Path::new(&arguments[2])),
        _ => crash_1_nothing_is_half_there_after_a_kill(),
    }
}

fn crash_1_nothing_is_half_there_after_a_kill() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("store");
    let mut before = BTreeSet::new();
    let mut killed_in_the_middle = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().expect("our own path"))
            .args(["child".as_ref(), root.as_os_str()])
            .stdin(Stdio::null())
            .spawn()
            .expect("a child");
        // From the creation of the store to the middle of whatever it does then.
        std::thread::sleep(Duration::from_millis(u64::from(round * round) % 173 + 7));
        child.kill().expect("kill");
        child.wait().expect("wait");
        let left = leftovers(&root);
        killed_in_the_middle += usize::from(left > 0);

        let store = Store::open(&root).expect("the store opens");
        let report = store
            .verify(true, &CancellationToken::new())
            .expect("verify");
        assert_eq!(report.problems, [], "round {round}");
        let after = store.all_paths().expect("paths");
        assert!(after.is_superset(&before), "what was valid stays valid");
        // The next write sweeps, and whatever was torn can be made again.
        add(&store, 1_000_000 + round);
        assert_eq!(leftovers(&root), 0, "round {round}");
        before = store.all_paths().expect("paths");
    }
    assert!(
        before.len() > ROUNDS as usize * 4,
        "the children got something done: {}",
        before.len()
    );
    assert!(
        killed_in_the_middle > 3,
        "{killed_in_the_middle} kills hit an import"
    );
}

/// Temporary folders and lock files.
fn leftovers(root: &Path) -> usize {
    let Ok(entries) = fs::read_dir(root.join("nix/store")) else {
        return 0;
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter(|name| {
            let name = name.to_string_lossy();
            name.starts_with("tmp-") || name.ends_with(".lock")
        })
        .count()
}

fn fill(root: &Path) {
    let store = Store::open(root).expect("the store opens");
    let start = store.all_paths().expect("paths").len() as u32 * 100;
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let store = &store;
            scope.spawn(move || {
                for number in 0.. {
                    add(store, start + 2 * number + thread);
                }
            });
        }
    });
}

/// One of each way in.
fn add(store: &Store, number: u32) {
    let name = |text: &str| StorePathName::parse(text).expect("a valid name");
    let write = &mut |place: &Path| -> io::Result<()> {
        fs::create_dir_all(place.join("sub"))?;
        for file in 0..number % 13 {
            let text = format!("{number} {file}").repeat(1 << (file + 2));
            fs::write(place.join(format!("sub/{file}")), text)?;
        }
        std::os::unix::fs::symlink("sub", place.join(format!("link-{number}")))
    };
    store.import(&name("tree"), write).expect("import");
    let text = number.to_string();
    let source = store
        .add_text(&name("text"), text.as_bytes(), &BTreeSet::new())
        .expect("a text");
    let mut graph = DerivationGraph::new();
    let mut input = None;
    for step in 0..5 {
        let mut derivation = Derivation::builder(&format!("step-{step}"))
            .system("builtin")
            .builder("builtin:cognix-example-1")
            .input_source(&source)
            .floating_output("out");
        if let Some(input) = &input {
            derivation = derivation.input_derivation(input, "out");
        }
        let derivation = derivation.build().expect("a derivation");
        input = Some(graph.insert(derivation).expect("inputs are in"));
    }
    store.add_derivations(&graph).expect("derivations");
}
