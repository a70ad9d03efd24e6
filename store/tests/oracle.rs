//! A real Nix works in a store of ours.
//!
//! `COGNIX_NIX_ORACLE` names a folder with the commands of a real Nix (2.26 or 2.34) that can use chroot stores and has the
//! features `nix-command` and `ca-derivations` on.
#![cfg(feature = "oracle-tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cognix_derivations::{
    ContentAddress, Derivation, DerivationGraph, HashAlgorithm, NixHash, PathInfo, StorePath,
    StorePathName, downstream_placeholder,
};
use cognix_store::{
    BuildError, BuildRequest, Builder, Builders, CancellationToken, Realised, Realiser, Store,
};
use serde_json::Value;

/// Writes its attribute `text` to every output; a derivation of ours that refers to its input.
struct Writes;

impl Builder for Writes {
    fn name(&self) -> &str {
        "builtin:cognix-writes-1"
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        for (name, place) in request.outputs {
            fs::create_dir(place).map_err(BuildError::io(place))?;
            let file = place.join(name);
            fs::write(&file, request.env("text")?).map_err(BuildError::io(&file))?;
        }
        Ok(())
    }
}

/// Runs a command of the real Nix on a store, and returns what it printed.
fn nix(root: &Path, command: &str, arguments: &[&str]) -> String {
    let folder = env::var_os("COGNIX_NIX_ORACLE")
        .map(PathBuf::from)
        .expect("COGNIX_NIX_ORACLE must name the folder with the commands of a real Nix");
    let output = Command::new(folder.join(command))
        .args(arguments)
        .env("NIX_REMOTE", format!("local?root={}", root.display()))
        .output()
        .unwrap_or_else(|error| panic!("COGNIX_NIX_ORACLE has no working {command}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} {arguments:?}: {errors}");
    for bad in ["error", "modified", "disappeared", "warning: path"] {
        assert!(!errors.contains(bad), "{command} {arguments:?}: {errors}");
    }
    String::from_utf8(output.stdout).expect("text")
}

fn path_infos(root: &Path) -> BTreeMap<StorePath, Value> {
    let mut arguments = vec!["path-info", "--all", "--json"];
    // Newer versions want to be told which JSON, older ones know only one.
    if nix(root, "nix", &["path-info", "--help"]).contains("--json-format") {
        arguments.extend(["--json-format", "1"]);
    }
    let text = nix(root, "nix", &arguments);
    let infos: BTreeMap<String, Value> = serde_json::from_str(&text).expect("JSON");
    let infos = infos.into_iter();
    infos
        .map(|(path, info)| (StorePath::parse(&path).expect("a path"), info))
        .collect()
}

fn assert_same(ours: &PathInfo, nix: &Value) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    assert_eq!(
        Some(ours.nar_hash.to_sri()),
        text(&nix["narHash"]),
        "{}",
        ours.path
    );
    assert_eq!(
        Some(ours.nar_size),
        nix["narSize"].as_u64(),
        "{}",
        ours.path
    );
    assert_eq!(
        ours.ca.as_ref().map(ToString::to_string),
        text(&nix["ca"]),
        "{}",
        ours.path
    );
    assert_eq!(
        ours.deriver.as_ref().map(ToString::to_string),
        text(&nix["deriver"]),
        "{}",
        ours.path
    );
    assert_eq!(
        Some(ours.ultimate),
        nix["ultimate"].as_bool(),
        "{}",
        ours.path
    );
    let references: BTreeSet<StorePath> =
        serde_json::from_value(nix["references"].clone()).expect("paths");
    assert_eq!(ours.references, references, "{}", ours.path);
}

fn name(text: &str) -> StorePathName {
    StorePathName::parse(text).expect("a valid name")
}

/// Everything that can be in a tree.
fn write_tree(place: &Path) -> std::io::Result<()> {
    fs::create_dir_all(place.join("bin/deep/empty"))?;
    fs::write(place.join("bin/run"), "#!/bin/sh\nexit 0\n")?;
    fs::set_permissions(place.join("bin/run"), fs::Permissions::from_mode(0o744))?;
    fs::write(place.join("empty"), "")?;
    fs::write(place.join("large"), vec![7; 3_000_001])?;
    fs::write(place.join(OsStr::from_bytes(b"not-\xff-utf8")), "bytes")?;
    fs::write(place.join("ünïcode"), "text")?;
    std::os::unix::fs::symlink("../nowhere", place.join("dangling"))?;
    // Sorted by bytes, these stand on both sides of the folder `bin`.
    fs::write(place.join("bin-"), "-")?;
    fs::write(place.join("Bin"), "B")
}

/// A store with all ways in used.
async fn filled(root: &Path) -> (Store, DerivationGraph, Realised) {
    let store = Store::open(root).expect("a new store");
    let tree = store
        .import(&name("tree"), &mut write_tree)
        .expect("a tree");
    let references = [tree.path.clone()].into();
    let text = store
        .add_text(&name("text"), b"a text\n", &references)
        .expect("a text");

    let file = root.with_extension("file");
    fs::write(&file, "fetched\n").expect("write");
    let hash = NixHash::of(HashAlgorithm::Sha256, b"fetched\n");
    let mut graph = DerivationGraph::new();
    let mut add = |derivation: cognix_derivations::DerivationBuilder| {
        graph
            .insert(derivation.build().expect("a derivation"))
            .expect("inputs are in")
    };
    let fixed = add(Derivation::builder("fixed")
        .system("builtin")
        .builder("builtin:fetchurl")
        .env("url", format!("file://{}", file.display()))
        .fixed_output(ContentAddress::Flat(hash)));
    let low = add(Derivation::builder("low")
        .system("builtin")
        .builder("builtin:cognix-writes-1")
        .env("text", text.to_string())
        .input_source(&text)
        .floating_output("out")
        .floating_output("control"));
    let top = add(Derivation::builder("top")
        .system("builtin")
        .builder("builtin:cognix-writes-1")
        .env("text", downstream_placeholder(&low, "control"))
        .input_derivation(&low, "control")
        .input_derivation(&fixed, "out")
        .floating_output("out"));
    store.add_derivations(&graph).expect("derivations");
    let mut realiser = Realiser::new(store.clone());
    realiser.builders = Builders::new().with(Writes);
    let targets = [
        (&fixed, "out"),
        (&low, "out"),
        (&low, "control"),
        (&top, "out"),
    ]
    .map(|(path, output)| (path.clone(), output.to_owned()));
    let realised = realiser.realise(&graph, &targets).await.expect("realise");
    (store, graph, realised)
}

#[tokio::test(flavor = "multi_thread")]
async fn nix_verifies_and_understands_a_store_of_ours() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("store");
    let (store, graph, realised) = filled(&root).await;

    nix(&root, "nix-store", &["--verify", "--check-contents"]);
    nix(&root, "nix", &["store", "verify", "--all", "--no-trust"]);
    let theirs = path_infos(&root);
    assert_eq!(
        theirs.keys().cloned().collect::<BTreeSet<_>>(),
        store.all_paths().expect("paths")
    );
    for (path, info) in &theirs {
        assert_same(&store.query(path).expect("query").expect("valid"), info);
    }
    for ((derivation, output), path) in &realised.outputs {
        // Nix has no such builder, so it can only answer from what we have recorded.
        let installable = format!("{derivation}^{output}");
        let built = nix(
            &root,
            "nix",
            &["build", "--no-link", "--print-out-paths", &installable],
        );
        assert_eq!(built.trim(), path.to_string());
        let closure = nix(
            &root,
            "nix-store",
            &["--query", "--requisites", &path.to_string()],
        );
        let theirs: BTreeSet<StorePath> = closure
            .lines()
            .map(|line| StorePath::parse(line).expect("a path"))
            .collect();
        assert_eq!(
            theirs,
            store.closure(std::slice::from_ref(path)).expect("closure")
        );
    }
    for derivation in graph.iter() {
        let real = store.real_path(derivation.as_path());
        assert_eq!(fs::read(real).expect("read"), derivation.to_aterm());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nix_and_we_take_turns_in_one_store() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("store");
    let (store, ..) = filled(&root).await;
    let theirs = folder.path().join("theirs");
    write_tree(&theirs).expect("write");
    let added = nix(
        &root,
        "nix-store",
        &["--add", theirs.to_str().expect("text")],
    );
    let added = StorePath::parse(added.trim()).expect("a path");
    let ours = store
        .import(&name("theirs"), &mut write_tree)
        .expect("import");
    assert_eq!(ours.path, added, "equal content has an equal path");
    let report = store
        .verify(true, &CancellationToken::new())
        .expect("verify");
    assert_eq!(report.problems, []);

    store
        .import(&name("more"), &mut |place| fs::write(place, "more"))
        .expect("import");
    nix(&root, "nix-store", &["--verify", "--check-contents"]);
    // What a running process of ours has made is protected from Nix's garbage collector; nothing else has a root.
    let before = store.all_paths().expect("paths");
    nix(&root, "nix-store", &["--gc"]);
    assert_eq!(store.all_paths().expect("paths"), before);
    drop(store);
    nix(&root, "nix-store", &["--gc"]);
    let store = Store::open(&root).expect("open");
    assert_eq!(store.all_paths().expect("paths"), BTreeSet::new());
}

#[test]
fn a_store_that_nix_made_is_ours_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("store");
    let theirs = folder.path().join("theirs");
    write_tree(&theirs).expect("write");
    let added = nix(
        &root,
        "nix-store",
        &["--add", theirs.to_str().expect("text")],
    );
    let store = Store::open_existing(&root).expect("open").expect("a store");
    let added = StorePath::parse(added.trim()).expect("a path");
    assert!(store.is_valid(&added).expect("query"));
    store
        .add_text(&name("ours"), b"ours", &[added].into())
        .expect("a text");
    nix(&root, "nix-store", &["--verify", "--check-contents"]);
    assert!(
        store
            .verify(true, &CancellationToken::new())
            .expect("verify")
            .is_sound()
    );
}
