//! From store outputs to layers of an image.
//!
//! ```text
//! wheel file  ─ install plan ─▶ splice ┐
//!                                      ├─▶ LayerDescription ─ write ─▶ the layer's bytes, the same for ever
//! store trees ─ merge ─▶ tar, compress ┤
//! changes ─ whiteouts ─▶ tar, compress ┘
//! ```
//!
//! A layer is described once, which reads everything it is made of, and its bytes are made again from the description
//! whenever someone needs them; no tarball is kept. What may stand in which layer is decided in [`plan`], what one layer may do
//! to those below it in [`stack`], how a tar stream looks in [`tar`], how it is compressed in [`compress`]. Images, manifests and registries are not known here.

pub mod changes;
pub mod compress;
pub mod description;
mod error;
pub mod modes;
pub mod path;
pub mod plan;
mod splice;
pub mod stack;
mod stream;
pub mod tar;
pub mod timestamp;
mod tree;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use cognix_derivations::{HashingWriter, StorePath};

pub use changes::{CHANGES_FILE, ChangesInput, ChangesRecord, TREE_FOLDER, describe_changes};
pub use compress::Recipe;
use description::DiffId;
pub use description::{Entry, EntryKind, LayerDescription, LayerSource};
pub use error::LayerError;
pub use modes::{MODES_FILE, ModesRecord};
pub use path::ImagePath;
pub use plan::{Conflict, omission_check, partition_check, settle};
pub use splice::describe_wheel;
pub use stack::{StackError, stack_check};
pub use timestamp::Timestamp;
pub use tree::{TreeInput, TreesOptions, describe_trees};

/// What every description needs besides what the layer is made of.
#[derive(Clone, Copy)]
pub struct LayerRequest<'a> {
    /// What people call the layer.
    pub name: &'a str,
    /// How its bytes are made.
    pub recipe: Recipe,
    /// When every entry was last changed.
    pub time: Timestamp,
    /// Asked after every piece of work; ends it early.
    pub cancelled: &'a dyn Fn() -> bool,
}

impl<'a> LayerRequest<'a> {
    /// What a layer was described with. Whoever wants to stop lets the writer fail.
    fn of(description: &'a LayerDescription) -> Self {
        Self {
            name: &description.name,
            recipe: description.recipe,
            time: description.time,
            cancelled: &|| false,
        }
    }
}

/// Makes the bytes of a layer again and checks that they are the ones described.
///
/// `locate` says where a store path lies. What `out` was given before an error is of no use; an error of `out` itself
/// ends the work.
pub fn write(
    description: &LayerDescription,
    locate: &dyn Fn(&StorePath) -> PathBuf,
    out: &mut dyn Write,
) -> Result<(), LayerError> {
    let (digest, size) = match &description.source {
        LayerSource::Wheel(source) => splice::write_wheel(description, source, locate, out)?,
        LayerSource::Trees(source) => tree::write_trees(description, source, locate, out)?,
        LayerSource::Changes(source) => changes::write_changes(description, source, locate, out)?,
    };
    if digest == description.digest && size == description.size {
        return Ok(());
    }
    Err(LayerError::Differs {
        name: description.name.clone(),
        expected: description.digest,
        expected_size: description.size,
        found: digest,
        found_size: size,
    })
}

/// Makes the tar stream of a layer, for those who want no compression, and checks that it is the one described.
///
/// Trees and changes are not compressed for it; a wheel's contents come compressed, so its layer is made as always and
/// inflated.
pub fn write_tar(
    description: &LayerDescription,
    locate: &dyn Fn(&StorePath) -> PathBuf,
    out: &mut dyn Write,
) -> Result<(), LayerError> {
    let (found, found_size) = match &description.source {
        LayerSource::Trees(source) => tree::write_trees_tar(description, source, locate, out)?,
        LayerSource::Changes(source) => {
            changes::write_changes_tar(description, source, locate, out)?
        }
        LayerSource::Wheel(_) => inflated(description, locate, out)?,
    };
    if found == description.diff_id && found_size == description.uncompressed_size {
        return Ok(());
    }
    Err(LayerError::TarDiffers {
        name: description.name.clone(),
        expected: description.diff_id,
        expected_size: description.uncompressed_size,
        found,
        found_size,
    })
}

fn inflated(
    description: &LayerDescription,
    locate: &dyn Fn(&StorePath) -> PathBuf,
    out: &mut dyn Write,
) -> Result<(DiffId, u64), LayerError> {
    let failed = |source| LayerError::Write {
        name: description.name.clone(),
        source,
    };
    let mut inflater = flate2::write::MultiGzDecoder::new(HashingWriter::new(out));
    write(description, locate, &mut inflater)?;
    let (_, found, found_size) = inflater.finish().map_err(failed)?.finish();
    Ok((DiffId(found), found_size))
}

/// Reads the modes recorded beside a tree; a package without special modes has an empty record, or none.
fn read_modes(control: &Path, owner: &str) -> Result<ModesRecord, LayerError> {
    let path = control.join(MODES_FILE);
    match std::fs::read(&path) {
        Ok(text) => ModesRecord::parse(&text).map_err(|source| LayerError::Modes {
            owner: owner.to_owned(),
            source,
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ModesRecord::new()),
        Err(source) => Err(LayerError::Read { path, source }),
    }
}

#[cfg(test)]
mod tests;
