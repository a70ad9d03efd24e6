//! The image: configuration, manifest and the descriptions of its layers.

use cognix_derivations::{Derivation, StorePath};

use super::{Instantiation, RecipeError, Runtime, json};

/// Adds the image above the layers that were added so far.
pub(super) fn image(
    builder: &mut Instantiation,
    runtime: &Runtime,
) -> Result<StorePath, RecipeError> {
    let layers: Vec<String> = builder
        .layers
        .iter()
        .map(|layer| builder.reference(&layer.derivation, "out"))
        .collect();
    let mut derivation = Derivation::builder("image")
        .floating_output("out")
        .system("builtin")
        .builder("builtin:cognix-image-1")
        .env("layers", json(&layers))
        .env("runtime", json(runtime));
    for layer in &builder.layers {
        derivation = derivation.input_derivation(&layer.derivation, "out");
    }
    builder.add("the image", derivation.build())
}
