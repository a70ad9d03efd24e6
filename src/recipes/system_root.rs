//! The image's Debian packages and their configuration as a root that programs can be run on.

use cognix_derivations::{DerivationGraph, StorePath};

use super::{Instantiation, RecipeError, system_packages, system_scripts};
use crate::lock::LockedPlatform;

/// What a root is made of, and the derivations that make it.
#[derive(Debug, Clone)]
pub struct SystemRoot {
    /// All of them.
    pub graph: DerivationGraph,
    /// The trees, bottom to top: each the `out` of a derivation, with its modes in `control`.
    pub trees: Vec<StorePath>,
    /// What the packages' scripts change above them, in `out` of a derivation.
    pub scripts: StorePath,
}

/// The root that the Debian packages of an image make, without Python packages and the model's files. Its derivations are
/// those of the image.
pub fn system_root(lock: LockedPlatform<'_>) -> Result<SystemRoot, RecipeError> {
    let mut builder = Instantiation::default();
    let debs = system_packages::debs(&mut builder, lock.debian)?;
    let configuration = system_packages::system_configuration(
        &mut builder,
        &debs,
        &lock.request.leave_out_scripts,
    )?;
    let scripts = system_scripts::scripts(&mut builder, lock, &debs, &configuration)?;
    let packages = debs.into_iter().map(system_packages::Deb::into_unpacked);
    Ok(SystemRoot {
        trees: packages.chain([configuration]).collect(),
        scripts,
        graph: builder.graph,
    })
}
