//! The builder, run as a store runs it.

use std::{collections::BTreeMap, fs};

use cognix_derivations::{Derivation, StorePathName};
use cognix_store::{BuildError, BuildRequest, Builder, Store};
use tokio_util::sync::CancellationToken;

use super::*;

fn build(
    wheel: &[u8],
    python: &str,
    cancel: &CancellationToken,
) -> Result<Vec<String>, BuildError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(&directory.path().join("store")).expect("a store");
    let name = StorePathName::parse(DEMO_FILENAME).expect("a name");
    let wheel = store
        .import(&name, &mut |path| fs::write(path, wheel))
        .expect("imported")
        .path;
    let derivation = Derivation::builder("demo-1.0")
        .builder(NAME)
        .system("builtin")
        .input_source(&wheel)
        .env("wheel", wheel.to_string())
        .env("filename", DEMO_FILENAME)
        .env("python", python)
        .floating_output("out")
        .build()
        .expect("a derivation");
    let output = directory.path().join("output");
    let outputs = BTreeMap::from([("out".to_owned(), output.clone())]);
    WheelBuilder.build(&BuildRequest::new(&derivation, &store, &outputs, cancel))?;
    let scripts = fs::read_dir(output.join("venv/bin")).expect("scripts");
    let mut names: Vec<String> = scripts
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    Ok(names)
}

#[test]
fn a_derivation_becomes_a_tree() {
    let names = build(
        &rich_wheel().zip().bytes(),
        "3.11",
        &CancellationToken::new(),
    );
    assert_eq!(names.expect("built"), ["binary", "demo", "helper"]);
}

#[test]
fn errors_name_the_wheel() {
    let error = build(b"<html>", "3.11", &CancellationToken::new()).expect_err("no wheel");
    assert_eq!(error.to_string(), format!("cannot install {DEMO_FILENAME}"));
    let source = std::error::Error::source(&error).expect("a source");
    assert_eq!(
        source.to_string(),
        "is no zip archive: starts with `<html>`"
    );
}

#[test]
fn attributes_are_checked() {
    let wheel = rich_wheel().zip().bytes();
    let error = build(&wheel, "3", &CancellationToken::new()).expect_err("no version");
    assert_eq!(
        error.to_string(),
        "attribute \"python\" is \"3\", expected MAJOR.MINOR"
    );
}

#[test]
fn cancelling_is_not_a_failure() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = build(&rich_wheel().zip().bytes(), "3.11", &cancel).expect_err("cancelled");
    assert!(matches!(error, BuildError::Cancelled));
}
