//! The layer of what a program changed on the root below it.

use cognix_derivations::{Derivation, StorePath};

use super::run_steps::RootPart;
use super::{Instantiation, LayerDerivation, RecipeError};
use crate::lock::LockedPlatform;

/// Adds the layer of a derivation whose `out` holds changes, above those that were added so far.
pub(super) fn changes_layer(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    name: &str,
    group: &'static str,
    changes: &StorePath,
) -> Result<(), RecipeError> {
    let derivation = Derivation::builder(&format!("layer-{name}.json"))
        .floating_output("out")
        .system("builtin")
        .builder("builtin:cognix-changes-layer-1")
        .env("changes", builder.reference(changes, "out"))
        .env("layer", name)
        .env("recipe", lock.request.recipes.tree.as_str())
        .input_derivation(changes, "out");
    let derivation = builder.add_layer(name, derivation)?;
    builder.root.push(RootPart::Changes(changes.clone()));
    builder.layers.push(LayerDerivation {
        name: name.to_owned(),
        group,
        derivation,
        fetches: Vec::new(),
        holds: Vec::new(),
    });
    Ok(())
}
