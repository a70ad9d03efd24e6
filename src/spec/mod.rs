//! The spec: where packages come from and how images are cut, in the syntax of Nix.
//!
//! `cognix.nix` is flake-like: `{ description; inputs; base; layers; outputs; }`. The program carries a default one; a
//! model's own file extends it ([`Spec::extend`]). [`parse`] turns text into what one file says, [`Spec::settings`]
//! into values that later stages work with.
//!
//! Inputs and settings are literals, read from the syntax tree; nothing is evaluated. Anything else there is an error
//! with its line and column. `outputs` must parse, and is not looked at.

mod architecture;
mod archives;
mod decode;
mod error;
mod literal;
mod nesting;
mod settings;
#[cfg(test)]
mod tests;
mod variant;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use architecture::{Architecture, ArchitectureError};
pub use error::{SpecError, SpecReason};
pub use settings::{
    Base, BaseTier, Input, InputKind, LayerPolicy, LayerRecipes, PartialBase, PartialInput,
    PartialLayers, PinnedArchive, Settings, Spec, WheelPolicy,
};
pub use variant::{
    DEFAULT_VARIANT, Derivations, ExtraPackage, Pin, ProjectFiles, StoreText, Torch, TorchMode,
    Variant,
};

/// The name of a model's own spec, beside its `cog.yaml`.
pub const FILE_NAME: &str = "cognix.nix";
/// The largest file that is read.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The spec that the program carries.
const DEFAULT: &str = include_str!("../../cognix.nix");

/// Reads one spec; `file_name` is only shown.
pub fn parse(text: &str, file_name: &str) -> Result<Spec, SpecError> {
    let document = literal::read(text, file_name)?;
    decode::spec(&document)
}

/// The settings of a project: the built-in spec, extended by the project's own where there is one.
pub fn load(project: &Path) -> Result<Settings, SpecError> {
    let builtin = Spec::builtin()?;
    let own = match read(&project.join(FILE_NAME)) {
        Ok(text) => parse(&text, FILE_NAME)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return builtin.settings(),
        Err(error) => {
            return Err(SpecError {
                file: FILE_NAME.to_owned(),
                line: 1,
                column: 1,
                reason: Box::new(SpecReason::Unreadable(error.to_string())),
            });
        }
    };
    builtin.extend(own).settings()
}

/// A file's text; of one that is too large only as much as [`parse`] needs to refuse it.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let limit = MAX_BYTES as u64 + 1;
    File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

impl Spec {
    /// The spec that the program carries, complete by itself.
    pub fn builtin() -> Result<Self, SpecError> {
        parse(DEFAULT, "the built-in cognix.nix")
    }
}
