//! What the versioned builtin derivations do, one file or folder each.
//!
//! A builtin is a rule with a number: the same derivation has the same output whichever cognix realises it, so a rule
//! that changes gets a new number and the old code stays. The store runs them and knows only its `Builder` trait.

pub mod changes_layer;
pub mod deb;
pub mod image;
pub mod layer;
pub mod layer_tree;
pub mod python;
pub mod source;
pub mod system;
pub mod venv;
pub mod wheel;

use cognix_store::Builders;

/// Every builtin.
pub fn all() -> Builders {
    Builders::new()
        .with(changes_layer::ChangesLayerBuilder)
        .with(deb::DebBuilder)
        .with(image::ImageBuilder)
        .with(layer::TreeLayerBuilder)
        .with(layer_tree::LayerTreeBuilder)
        .with(layer::WheelLayerBuilder)
        .with(python::PythonBuilder)
        .with(system::SystemBuilder)
        .with(venv::VenvBuilder)
        .with(wheel::EditableBuilder)
        .with(wheel::WheelBuilder)
}
