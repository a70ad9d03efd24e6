//! The model's own files, below `/src`.

use cognix_derivations::StorePath;

use super::system_packages::layer_derivation;
use super::{Instantiation, LayerDerivation, RecipeError, TreeReference, json};
use crate::lock::LockedPlatform;

/// Where the files are in the image.
const PREFIX: &str = "src";

/// Adds the layer of the model's files, which are in the store already.
pub(super) fn layer(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    source: &StorePath,
) -> Result<(), RecipeError> {
    let trees = [TreeReference {
        control: None,
        name: None,
        omit: Vec::new(),
        out: source.to_string(),
    }];
    let derivation = layer_derivation(lock, "source", PREFIX, &json(&trees)).input_source(source);
    let derivation = builder.add_layer("the model's files", derivation)?;
    builder.layers.push(LayerDerivation {
        name: "source".to_owned(),
        group: "source",
        derivation,
        fetches: Vec::new(),
        holds: Vec::new(),
    });
    Ok(())
}
