//! The virtual environment and its wheels: a layer each, and shared ones for small wheels when there are too many.

use std::collections::BTreeMap;

use cognix_derivations::{Derivation, DerivationBuilder, StorePath};

use super::system_packages::{Tree, TreeLayer, tree_layer};
use super::{Held, Instantiation, LayerDerivation, RecipeError, fetch, interpreter, json};
use crate::lock::platform::PythonVersion;
use crate::lock::{LockedPlatform, LockedWheel};

/// Adds the frame of the virtual environment and its layer.
pub(super) fn environment_layer(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    python: PythonVersion,
) -> Result<(), RecipeError> {
    let derivation = Derivation::builder("virtual-environment")
        .floating_output("out")
        .system("builtin")
        .builder("builtin:cognix-venv-1")
        .env("home", interpreter::home(lock.interpreter))
        .env("python", python.to_string())
        .build();
    let environment = builder.add("the virtual environment", derivation)?;
    tree_layer(
        builder,
        lock,
        "virtual-environment",
        "python",
        "",
        &[(&environment, false)],
        Vec::new(),
    )
}

/// Adds fetch and layer of one wheel. The layer is described from the wheel file; no tree is written.
pub(super) fn wheel_layer(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    wheel: &LockedWheel,
    python: PythonVersion,
) -> Result<(), RecipeError> {
    let fetch = fetch_wheel(builder, wheel)?;
    let derivation = Derivation::builder(&format!("layer-{}.json", wheel.name))
        .floating_output("out")
        .system("builtin")
        .builder("builtin:cognix-wheel-layer-1")
        .env("filename", wheel.filename.as_str())
        .env("layer", wheel.name.as_str())
        .env("omit", json(&wheel.omit))
        .env("python", python.to_string())
        .env("recipe", lock.request.recipes.wheel.as_str())
        .env("wheel", builder.reference(&fetch, "out"))
        .input_derivation(&fetch, "out");
    let derivation = builder.add_layer(&wheel.name, with_waiver(derivation, wheel))?;
    builder.layers.push(LayerDerivation {
        name: wheel.name.clone(),
        group: "wheel",
        derivation,
        fetches: vec![fetch],
        holds: vec![Held::from(wheel)],
    });
    Ok(())
}

/// Adds a layer that several small wheels share, made of their trees, or one whose wheel is replaced.
pub(super) fn group_layer(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    name: &str,
    wheels: &[&LockedWheel],
    python: PythonVersion,
    replaced: &BTreeMap<String, StorePath>,
) -> Result<(), RecipeError> {
    let mut derivations = Vec::new();
    let mut fetches = Vec::new();
    let mut holds = Vec::new();
    for wheel in wheels {
        let mut held = Held::from(*wheel);
        match replaced.get(&wheel.name) {
            Some(replacement) => {
                derivations.push(replacement.clone());
                held.size = 0;
            }
            None => {
                derivations.push(wheel_tree(builder, wheel, python)?);
                fetches.push(fetch_wheel(builder, wheel)?);
            }
        }
        holds.push(held);
    }
    let trees = wheels
        .iter()
        .zip(&derivations)
        .map(|(wheel, derivation)| Tree {
            omit: &wheel.omit,
            ..Tree::of(derivation)
        });
    let layer = TreeLayer {
        name,
        group: "wheel",
        prefix: "",
        trees: trees.collect(),
        fetches,
        holds,
    };
    layer.add(builder, lock)
}

/// Says so where the lock has a waiver for a wheel; others have no such attribute.
fn with_waiver(derivation: DerivationBuilder, wheel: &LockedWheel) -> DerivationBuilder {
    match wheel.waived {
        true => derivation.env("record", "waived"),
        false => derivation,
    }
}

/// Adds the tree of one installed wheel, for those who need its files in the store.
pub fn wheel_tree(
    builder: &mut Instantiation,
    wheel: &LockedWheel,
    python: PythonVersion,
) -> Result<StorePath, RecipeError> {
    let fetch = fetch_wheel(builder, wheel)?;
    let derivation = Derivation::builder(&format!(
        "{}-{}",
        wheel.name,
        wheel.version.replace('!', "_")
    ))
    .floating_output("out")
    .system("builtin")
    .builder("builtin:cognix-wheel-1")
    .env("filename", wheel.filename.as_str())
    .env("python", python.to_string())
    .env("wheel", builder.reference(&fetch, "out"))
    .input_derivation(&fetch, "out");
    builder.add(&wheel.name, with_waiver(derivation, wheel).build())
}

fn fetch_wheel(builder: &mut Instantiation, wheel: &LockedWheel) -> Result<StorePath, RecipeError> {
    fetch::fetch(
        builder,
        &wheel.filename,
        &wheel.url(),
        wheel.sha256,
        Some(wheel.size),
    )
}
