//! What a spec adds to an image, or puts in place of a wheel: outputs of derivations of its own.
//!
//! An added output has a layer to itself and lies in the directory that its place names. One that is a single file lies
//! there under the name that it has in the store, or exactly at the place where that ends in this name: a file
//! `model.bin` with the place `/opt/models` or `/opt/models/model.bin` becomes `/opt/models/model.bin`.

use std::collections::BTreeMap;

use cognix_derivations::{DerivationGraph, StorePath};

use super::run_steps::RootPart;
use super::system_packages::layer_derivation;
use super::{Held, Instantiation, LayerDerivation, RecipeError, TreeReference, json};
use crate::lock::LockedPlatform;

/// What a spec adds to one image.
#[derive(Debug, Clone, Default)]
pub struct Additions {
    /// Every derivation that is named below, and what they need.
    pub graph: DerivationGraph,
    /// Outputs that come into the image besides.
    pub extra: Vec<Extra>,
    /// Python packages whose files are the `out` of a derivation, laid out as an installed wheel is, by normalised name.
    pub replaced: BTreeMap<String, StorePath>,
}

/// An output that comes into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// The name of its layer.
    pub name: String,
    /// The derivation.
    pub derivation: StorePath,
    /// The output.
    pub output: String,
    /// The absolute path in the image.
    pub destination: String,
}

/// Adds a layer for each added output.
pub(super) fn layers(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    additions: &Additions,
    steps: usize,
) -> Result<(), RecipeError> {
    for extra in &additions.extra {
        let is_taken = |name: &str| name == extra.name;
        // The layers of commands and of the model's files come after these.
        let is_later =
            is_taken("source") || (1..=steps).any(|step| is_taken(&format!("run-{step}")));
        if builder.layers.iter().any(|layer| is_taken(&layer.name)) || is_later {
            let name = extra.name.clone();
            return Err(RecipeError::LayerName { name });
        }
        layer(builder, lock, extra)?;
    }
    Ok(())
}

fn layer(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    extra: &Extra,
) -> Result<(), RecipeError> {
    let prefix = prefix(extra)?;
    let trees = [TreeReference {
        control: None,
        name: None,
        omit: Vec::new(),
        out: builder.reference(&extra.derivation, &extra.output),
    }];
    let derivation = layer_derivation(lock, &extra.name, prefix, &json(&trees))
        .input_derivation(&extra.derivation, &extra.output);
    let derivation = builder.add_layer(&extra.name, derivation)?;
    let made_of = builder.graph.get(&extra.derivation);
    let held = Held {
        name: made_of.map_or_else(|| extra.name.clone(), |made| made.name().to_owned()),
        version: String::new(),
        size: 0,
        waived: false,
        build: None,
    };
    builder.root.push(RootPart::Layer(derivation.clone()));
    builder.layers.push(LayerDerivation {
        name: extra.name.clone(),
        group: "extra",
        derivation,
        fetches: Vec::new(),
        holds: vec![held],
    });
    Ok(())
}

/// The directory below the root, which is how layers know it.
fn prefix(extra: &Extra) -> Result<&str, RecipeError> {
    let wrong = || RecipeError::Destination {
        name: extra.name.clone(),
        destination: extra.destination.clone(),
    };
    let path = extra.destination.strip_prefix('/').ok_or_else(wrong)?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    let fits = path.is_empty() || path.split('/').all(is_plain);
    if fits && !path.contains(char::is_control) {
        Ok(path)
    } else {
        Err(wrong())
    }
}
