//! The model's own files, below `/src`.

use cognix_derivations::StorePath;

use super::bytecode::Compiler;
use super::system_packages::layer_derivation;
use super::{Instantiation, LayerDerivation, RecipeError, TreeReference, json};
use crate::lock::LockedPlatform;

/// Where the files are in the image.
pub const PREFIX: &str = "src";

/// Adds the layer of the model's files, which are in the store already, and of their bytecode.
pub(super) fn layer(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    source: &StorePath,
    compiler: Option<&Compiler<'_>>,
) -> Result<(), RecipeError> {
    let bytecode = match compiler {
        Some(compiler) => Some(compiler.model(builder, source, &format!("/{PREFIX}"))?),
        None => None,
    };
    let files = [
        Some(source.to_string()),
        bytecode.as_ref().map(|path| builder.reference(path, "out")),
    ];
    let tree = |out| TreeReference {
        control: None,
        name: None,
        omit: Vec::new(),
        out,
    };
    let trees: Vec<_> = files.into_iter().flatten().map(tree).collect();
    let mut derivation =
        layer_derivation(lock, "source", PREFIX, &json(&trees)).input_source(source);
    if let Some(bytecode) = &bytecode {
        derivation = derivation.input_derivation(bytecode, "out");
    }
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
