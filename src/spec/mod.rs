//! The spec: where packages come from, which images there are, and how they are cut, in the language of Nix.
//!
//! `cognix.nix` is flake-like: `{ description; inputs; outputs = { self, cognix, … }: { images; packages; overrides; }; }`,
//! with defaults for every image (`platforms`, `base`, `layers`, `wheels`) beside. The program carries a default one; a
//! model's own file extends it ([`Spec::extend`]). [`options::OPTIONS`] lists every key.
//!
//! A spec is evaluated twice. Before locking, [`load`] gives the [`Settings`] and [`variants`] the [`Variant`]s: what is asked for.
//! Afterwards, with the locked packages at hand, [`derivations`] gives the [`Derivations`] that come into one image. The
//! functions that outputs see as `cognix` are written in the language themselves (`library.nix`), so a real Nix makes the
//! same derivations.

mod architecture;
mod archives;
mod decode;
mod disk;
mod error;
mod evaluate;
mod images;
mod keys;
mod known;
pub mod options;
mod settings;
mod show;
#[cfg(test)]
mod tests;
mod variant;

use std::path::Path;

use cognix_language::{Eval, Evaluator, Value};

pub use architecture::{Architecture, ArchitectureError};
pub use disk::DiskFiles;
pub use error::{SpecError, SpecReason};
pub use known::{Known, LockedImage, LockedPackage, LockedRoot, RootPart};
pub use settings::{
    Base, BaseTier, Input, InputKind, LayerPolicy, LayerRecipes, PartialBase, PartialInput,
    PartialLayers, PinnedArchive, RunPolicy, Settings, Spec, WheelPolicy,
};
pub use show::{Branch, check, show};
pub use variant::{
    DEFAULT_VARIANT, Derivations, ExtraPackage, Pin, ProjectFiles, StoreText, Torch, TorchMode,
    Variant,
};

/// The name of a model's own spec, beside its `cog.yaml`.
pub const FILE_NAME: &str = "cognix.nix";

/// The spec that the program carries.
const DEFAULT: &str = include_str!("../../cognix.nix");

/// Reads one spec apart from its outputs; `file_name` is only shown.
pub fn parse(text: &str, file_name: &str) -> Result<Spec, SpecError> {
    evaluate::parse(text, file_name)
}

/// The settings of a project: the built-in spec, extended by the project's own where there is one.
pub fn load(project: &Path) -> Result<Settings, SpecError> {
    evaluate::settings(project)
}

/// The images that the spec of a project makes, sorted by name; one that changes nothing where it names none.
pub fn variants(project: &Path, known: &Known) -> Result<Vec<Variant>, SpecError> {
    evaluate::within(project, known, |session| session.variants())
}

/// What the spec of a project brings into the image of one variant, which needs what is locked for it.
pub fn derivations(project: &Path, variant: &str, known: &Known) -> Result<Derivations, SpecError> {
    evaluate::within(project, known, |session| session.derivations(variant))
}

/// One of the spec's `packages`, as the only extra package, with what it needs.
pub fn package(project: &Path, name: &str, known: &Known) -> Result<Derivations, SpecError> {
    evaluate::within(project, known, |session| session.package(name))
}

/// Works with what the spec of a project makes, as the spec itself sees it: its outputs and inputs.
pub fn with_outputs<R: Send>(
    project: &Path,
    known: &Known,
    work: impl for<'e, 'a> FnOnce(&'e Evaluator<'a>, Value<'a>) -> Eval<R> + Send,
) -> Result<R, SpecError> {
    evaluate::within(project, known, |session| {
        work(session.evaluator, session.whole).map_err(|fault| session.explained(fault))
    })
}

impl Spec {
    /// The spec that the program carries, complete by itself.
    pub fn builtin() -> Result<Self, SpecError> {
        parse(DEFAULT, "the built-in cognix.nix")
    }
}
