//! The model's own project: its commands, and what makes its modules importable.
//!
//! What an editable install would leave in the virtual environment, made from the tables of `pyproject.toml` alone: other
//! changes of that file and changes of the model's code leave it as it is.

use cognix_derivations::Derivation;

use super::system_packages::{Tree, TreeLayer};
use super::{Held, Instantiation, RecipeError, json};
use crate::lock::LockedPlatform;
use crate::lock::platform::PythonVersion;

/// The name of the layer.
const LAYER: &str = "project-scripts";

/// The model's own project, where it is a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditablePackage {
    /// Its name as it is written.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `entry_points.txt`; empty where there are none.
    pub entry_points: String,
    /// Where it lies in the image.
    pub folder: String,
    /// From where its modules are imported, in the image.
    pub import_roots: Vec<String>,
}

/// Adds the layer.
pub(super) fn layer(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    python: PythonVersion,
    project: &EditablePackage,
) -> Result<(), RecipeError> {
    let derivation = Derivation::builder(LAYER)
        .floating_output("out")
        .system("builtin")
        .builder("builtin:cognix-editable-1")
        .env("entryPoints", project.entry_points.as_str())
        .env("folder", project.folder.as_str())
        .env("importRoots", json(&project.import_roots))
        .env("project", project.name.as_str())
        .env("python", python.to_string())
        .env("version", project.version.as_str())
        .build();
    let derivation = builder.add("the project itself", derivation)?;
    let layer = TreeLayer {
        name: LAYER,
        group: "python",
        prefix: "",
        trees: vec![Tree::of(&derivation)],
        fetches: Vec::new(),
        holds: vec![Held {
            name: project.name.clone(),
            version: project.version.clone(),
            size: 0,
            waived: false,
            build: None,
        }],
    };
    layer.add(builder, lock)
}
