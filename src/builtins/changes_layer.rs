//! `builtin:cognix-changes-layer-1`: the layer of what a program changed on a root, as one file.
//!
//! | Attribute | Value |
//! |---|---|
//! | `layer` | what people call the layer |
//! | `recipe` | the id of the recipe that makes the compressed bytes |
//! | `time` | seconds since 1970 that every entry gets; absent for 1980-01-01 |
//! | `changes` | the output that holds the changes: `tree/` and `changes.json`, see [`crate::layers::changes`] |
//!
//! The output is the canonical JSON of a [`crate::layers::LayerDescription`], as for all layers.

use cognix_store::{BuildError, BuildRequest, Builder};

use super::layer::{build_error, describe};
use crate::layers::description::ChangesSource;
use crate::layers::{ChangesInput, describe_changes};

/// Describes the layer of one output that holds changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChangesLayerBuilder;

impl Builder for ChangesLayerBuilder {
    fn name(&self) -> &str {
        "builtin:cognix-changes-layer-1"
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        let changes = request.store_path("changes")?;
        request.input(&changes)?;
        let locate = |path: &cognix_derivations::StorePath| request.store.real_path(path);
        describe(request, |layer| {
            let source = ChangesSource { changes };
            let changes = ChangesInput::load(source, &locate, layer.cancelled);
            changes
                .and_then(|changes| describe_changes(layer, changes))
                .map_err(build_error)
        })
    }
}
