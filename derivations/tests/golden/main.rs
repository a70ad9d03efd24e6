//! Every format against what a real Nix wrote. The vectors lie beside this folder, with a page on how they were made.
#![expect(
    clippy::disallowed_methods,
    reason = "golden files are read from disk; the package itself opens none"
)]

mod archives;
mod builder;
mod derivations;
mod hashes;
mod realisations;

use std::collections::BTreeMap;
use std::path::PathBuf;

use cognix_derivations::{Derivation, DerivationGraph, StorePath};
use serde_json::Value;

fn vector(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors")).join(path)
}

fn bytes(path: &str) -> Vec<u8> {
    std::fs::read(vector(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(path: &str) -> Value {
    serde_json::from_slice(&bytes(path)).expect("a vector is JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} in {value}"))
}

fn names(folder: &str) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(vector(folder))
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort();
    names
}

/// All derivations of a folder of `.drv` files, by path.
fn derivations(folder: &str) -> BTreeMap<StorePath, Derivation> {
    names(folder)
        .into_iter()
        .map(|file| {
            let path = StorePath::from_base_name(&file).expect("a file is named by its path");
            let aterm = bytes(&format!("{folder}/{file}"));
            let derivation = Derivation::parse(path.name(), &aterm).expect("Nix wrote it");
            assert_eq!(derivation.path(), path);
            assert_eq!(derivation.to_aterm(), aterm, "{file}");
            (path, derivation)
        })
        .collect()
}

/// The graph of these derivations, inputs first; those whose inputs are not among them are left out.
fn graph(derivations: &BTreeMap<StorePath, Derivation>) -> DerivationGraph {
    let mut graph = DerivationGraph::new();
    loop {
        let before = graph.len();
        for derivation in derivations.values() {
            let mut inputs = derivation.input_derivations().keys();
            if inputs.all(|input| graph.contains(input)) {
                graph.insert(derivation.clone()).expect("Nix made it");
            }
        }
        if graph.len() == before {
            return graph;
        }
    }
}

/// Nix's own record of what outputs were realised as.
fn realisations(path: &str) -> BTreeMap<String, StorePath> {
    let rows = json(path);
    rows.as_object()
        .expect("an object")
        .iter()
        .map(|(id, path)| {
            let path = path.as_str().expect("a path");
            (id.clone(), StorePath::parse(path).expect("a store path"))
        })
        .collect()
}
