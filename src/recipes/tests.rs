use cognix_derivations::StorePath;

use super::*;
use crate::lock::tests::amd64;
use crate::lock::{Architecture, Lock, LockedArchive, LockedInterpreter};

fn source() -> StorePath {
    StorePath::from_base_name("0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c-source").expect("a sound name")
}

fn example(lock: &Lock) -> Instantiated {
    let lock = lock
        .platform(Architecture::Amd64)
        .expect("the example has it");
    let settings = cog_runtime::ModelSettings {
        predict: Some("predict.py:Predictor".to_owned()),
        environment: vec![("LANG".to_owned(), "de_DE.UTF-8".to_owned())],
        ..cog_runtime::ModelSettings::default()
    };
    let runtime = cog_runtime::runtime(&settings, labels::labels(lock, "{}".to_owned()));
    instantiate(Ingredients {
        lock,
        source: &source(),
        runtime: &runtime,
    })
    .expect("a sound lock")
}

/// The path pins every recipe: one that changes gives another image to everybody, and needs a builtin of a new number
/// or a line in the changelog's section of changed digests.
#[test]
fn the_same_lock_gives_the_same_derivations_for_ever() {
    let instantiated = example(&crate::lock::tests::example());
    assert_eq!(
        instantiated.image.to_string(),
        "/nix/store/l21w3x7apmiri97fp08mxrvpf4g3gwdb-image.drv"
    );
}

/// The example on a Python that Debian does not ship.
fn standalone() -> Lock {
    let mut lock = crate::lock::tests::example();
    lock.request.python = "3.12".to_owned();
    let platform = amd64(&mut lock);
    platform.debian.packages.retain(|deb| deb.name == "libc6");
    platform.interpreter = LockedInterpreter::Standalone(LockedArchive {
        version: "3.12.4".to_owned(),
        input: "python-build-standalone".to_owned(),
        path: "20260101/cpython-3.12.4+20260101-install_only.tar.gz".to_owned(),
        sha256: cognix_derivations::Sha256::of(b"archive"),
        size: None,
    });
    lock
}

#[test]
fn a_standalone_interpreter_gives_the_same_derivations_for_ever() {
    let instantiated = example(&standalone());
    assert_eq!(
        instantiated.image.to_string(),
        "/nix/store/81lf823vn4zb5k9saip36aj0q3zqb6xp-image.drv"
    );
    let names: Vec<&str> = instantiated
        .layers
        .iter()
        .map(|layer| layer.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "python",
            "base",
            "system-configuration",
            "virtual-environment",
            "alpha",
            "beta",
            "source"
        ]
    );
    let fetch = instantiated.interpreter.expect("it is fetched");
    let derivation = instantiated.graph.get(&fetch.derivation).expect("known");
    assert_eq!(derivation.env_str("url"), Some(fetch.url.as_str()));
    assert!(
        !derivation.env().contains_key("size"),
        "a size that nobody knows is not promised"
    );
}

#[test]
fn layers_go_from_the_most_stable_to_the_least() {
    let instantiated = example(&crate::lock::tests::example());
    let names: Vec<&str> = instantiated
        .layers
        .iter()
        .map(|layer| layer.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "base",
            "python",
            "system-configuration",
            "virtual-environment",
            "alpha",
            "beta",
            "source"
        ]
    );
    assert_eq!(
        instantiated.downloads.values().sum::<u64>(),
        2 * 1234 + 2 * 5678
    );
}

#[test]
fn a_wheel_moves_its_own_layer_alone() {
    let lock = crate::lock::tests::example();
    let mut bumped = lock.clone();
    amd64(&mut bumped).python.packages[1].package.sha256 =
        cognix_derivations::Sha256::of(b"another wheel");
    let layers = |lock| {
        example(lock)
            .layers
            .into_iter()
            .map(|layer| layer.derivation)
    };
    let moved: Vec<bool> = layers(&lock)
        .zip(layers(&bumped))
        .map(|(before, after)| before != after)
        .collect();
    assert_eq!(moved, [false, false, false, false, false, true, false]);
}

#[test]
fn fetches_are_what_a_real_nix_can_read() {
    let instantiated = example(&crate::lock::tests::example());
    let fetch = instantiated
        .graph
        .iter()
        .find(|derivation| derivation.builder_name() == "builtin:fetchurl");
    let fetch = fetch.expect("a lock has something to fetch");
    let attributes: Vec<&str> = fetch.env().keys().map(String::as_str).collect();
    assert_eq!(
        attributes,
        [
            "builder",
            "executable",
            "impureEnvVars",
            "name",
            "out",
            "outputHash",
            "outputHashAlgo",
            "outputHashMode",
            "preferLocalBuild",
            "size",
            "system",
            "unpack",
            "url",
            "urls"
        ]
    );
    assert!(fetch.fixed_output().is_some());
}

#[test]
fn a_models_variable_replaces_the_images_own() {
    let settings = cog_runtime::ModelSettings {
        environment: vec![("LANG".to_owned(), "C".to_owned())],
        ..cog_runtime::ModelSettings::default()
    };
    let runtime = cog_runtime::runtime(&settings, Default::default());
    let values: Vec<&str> = runtime
        .env
        .iter()
        .filter(|(name, _)| name == "LANG")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(values, ["C"]);
}
