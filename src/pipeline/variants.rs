//! Variants: the images that a spec makes of one model. Where a spec's outputs meet the stages.
//!
//! What a spec says is asked for twice through [`Outputs`]: before locking, which variants there are, and before
//! instantiating, which derivations one of them adds. Everything else works with the plain values.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{PipelineError, is_standalone};
use crate::config::Adjustments;
use crate::lock::{LockedInputs, LockedPlatform, WantedInput};
use crate::spec::{
    self, DEFAULT_VARIANT, Derivations, InputKind, Pin, Settings, SpecError, TorchMode, Variant,
};

/// The longest name of a variant.
const MAX_NAME: usize = 64;

/// What a spec's outputs say.
pub trait Outputs: std::fmt::Debug + Send + Sync {
    /// The images that the spec names, in its order; none for a model with one image that nothing changes.
    fn variants(&self) -> Result<Vec<Variant>, SpecError>;

    /// What one of them adds on one platform, once versions and inputs are locked.
    fn derivations(
        &self,
        variant: &str,
        locked: LockedPlatform<'_>,
        inputs: &LockedInputs,
    ) -> Result<Derivations, PipelineError>;
}

/// The outputs of a spec that has none.
#[derive(Debug)]
pub struct NoOutputs;

impl Outputs for NoOutputs {
    fn variants(&self) -> Result<Vec<Variant>, SpecError> {
        Ok(Vec::new())
    }

    fn derivations(
        &self,
        _: &str,
        _: LockedPlatform<'_>,
        _: &LockedInputs,
    ) -> Result<Derivations, PipelineError> {
        Ok(Derivations::default())
    }
}

/// The outputs of a project's spec.
#[expect(
    clippy::unnecessary_wraps,
    reason = "outputs that cannot be read are told of when they are asked for"
)]
pub(super) fn outputs(project: &Path) -> Result<Arc<dyn Outputs>, PipelineError> {
    Ok(Arc::new(super::outputs::SpecOutputs::of(project)))
}

/// A variant that cannot be chosen, or not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VariantError {
    /// None of several is the default one.
    #[error("the model has the variants {}, and none of them is called {DEFAULT_VARIANT}; name one with --variant", known.join(", "))]
    Ambiguous {
        /// The names of all.
        known: Vec<String>,
    },
    /// There is none of that name.
    #[error("there is no variant {name:?}; the model has {}", known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names of all.
        known: Vec<String>,
    },
    /// It could not stand in a lock or name a file.
    #[error(
        "images.{name:?} cannot be the name of a variant: use letters, digits, `.`, `_` and `-`, at most {MAX_NAME} of \
         them, and begin with a letter or a digit"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Nothing builds torch yet.
    #[error(
        "images.{variant}.torch.mode is \"source\", and torch cannot be built from source yet; the mode \"wheel\" takes \
         what others have built"
    )]
    TorchSource {
        /// The variant.
        variant: String,
    },
}

/// The variants of a model: those of its spec, or the one that changes nothing.
pub(super) fn of(outputs: &dyn Outputs) -> Result<Vec<Variant>, PipelineError> {
    let variants = outputs.variants()?;
    if variants.is_empty() {
        return Ok(vec![Variant::unchanged(DEFAULT_VARIANT)]);
    }
    match variants.iter().find(|variant| !is_name(&variant.name)) {
        None => Ok(variants),
        Some(variant) => {
            let name = variant.name.clone();
            Err(VariantError::Name { name }.into())
        }
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(fits)
}

/// The one that is asked for: by name, or the default one, or the only one.
pub(super) fn choose<'v>(
    variants: &'v [Variant],
    name: Option<&str>,
) -> Result<&'v Variant, VariantError> {
    let known = || variants.iter().map(|known| known.name.clone()).collect();
    let find = |name: &str| variants.iter().find(|known| known.name == name);
    match (name, variants) {
        (Some(name), _) => find(name).ok_or_else(|| VariantError::Unknown {
            name: name.to_owned(),
            known: known(),
        }),
        (None, [only]) => Ok(only),
        (None, _) => {
            find(DEFAULT_VARIANT).ok_or_else(|| VariantError::Ambiguous { known: known() })
        }
    }
}

/// The names of all variants in the order in which they are locked: the default one first, because the others keep to it.
pub(super) fn locking_order(variants: &[Variant]) -> Vec<&str> {
    let mut names: Vec<&str> = variants.iter().map(|known| known.name.as_str()).collect();
    names.sort_by_key(|name| *name != DEFAULT_VARIANT);
    names
}

/// The spec's settings with what a variant changes of them.
pub(super) fn settings(common: &Settings, variant: &Variant) -> Settings {
    let mut settings = common.clone();
    let base = &variant.base;
    settings.base.tier = base.tier.unwrap_or(settings.base.tier);
    replace(&mut settings.base.packages, &base.packages);
    replace(&mut settings.base.recommends, &base.recommends);
    replace(
        &mut settings.base.leave_out_scripts,
        &base.leave_out_scripts,
    );
    let layers = &variant.layers;
    replace(&mut settings.layers.budget, &layers.budget);
    replace(&mut settings.layers.conflicts, &layers.conflicts);
    replace(&mut settings.layers.grouping, &layers.grouping);
    replace(&mut settings.layers.recipes.tree, &layers.tree);
    replace(&mut settings.layers.recipes.wheel, &layers.wheel);
    replace(&mut settings.platforms, &variant.platforms);
    replace(&mut settings.bytecode, &variant.bytecode);
    settings
}

fn replace<T: Clone>(value: &mut T, over: &Option<T>) {
    if let Some(over) = over {
        value.clone_from(over);
    }
}

/// What a variant changes of the model's configuration.
pub(super) fn adjustments(variant: &Variant) -> Adjustments {
    let torch = variant.torch.as_ref();
    let pins = variant.pins.iter();
    let pins = pins.filter_map(|(name, pin)| match pin {
        Pin::Version(version) => Some((name.clone(), version.clone())),
        Pin::Url { .. } => None,
    });
    Adjustments {
        file: spec::FILE_NAME.to_owned(),
        place: format!("images.{}", variant.name),
        python: variant.python.clone(),
        packages: variant.packages.clone(),
        system_packages: variant.system_packages.clone(),
        gpu: variant.gpu,
        cuda: variant.cuda.clone(),
        cudnn: variant.cudnn.clone(),
        torch: torch.and_then(|torch| torch.version.clone()),
        pins: pins.collect(),
        environment: variant.environment.clone(),
    }
}

/// The lines by which a lock's request knows a variant's pins. `mapped` says what became of a package's requirement,
/// where its build was chosen too.
pub(super) fn overrides(variant: &Variant, mapped: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let line = |(name, pin): (&String, &Pin)| match pin {
        Pin::Version(version) => mapped(name).unwrap_or_else(|| format!("{name}=={version}")),
        Pin::Url { url, sha256 } => format!("{name} @ {url} --hash=sha256:{sha256}"),
    };
    variant.pins.iter().map(line).collect()
}

/// The inputs of a spec that are no package sources.
pub(super) fn wanted_inputs(settings: &Settings) -> BTreeMap<String, WantedInput> {
    let wanted = |input: &spec::Input| match input.kind {
        // A folder of interpreters is a package source.
        InputKind::Url if !is_standalone(input) && input.archives.is_empty() => {
            let (url, sha256) = (input.url.clone()?, input.sha256);
            Some(WantedInput::Url { url, sha256 })
        }
        InputKind::Path => {
            let path = input.path.clone()?;
            Some(WantedInput::Path { path })
        }
        InputKind::Oci => {
            let (reference, sha256) = (input.reference.clone()?, input.digest);
            Some(WantedInput::Oci { reference, sha256 })
        }
        InputKind::Url | InputKind::Pypi | InputKind::Index | InputKind::Debian => None,
    };
    let inputs = settings.inputs.iter();
    let inputs = inputs.filter_map(|(name, input)| Some((name.clone(), wanted(input)?)));
    let follows = settings.follows.iter();
    let follows = follows.map(|(name, target)| {
        let name_of = target.clone();
        (name.clone(), WantedInput::Follows { name: name_of })
    });
    inputs.chain(follows).collect()
}

/// Refuses a variant of which no image can be built.
pub(super) fn check_buildable(variant: &Variant) -> Result<(), VariantError> {
    match &variant.torch {
        Some(torch) if torch.mode == TorchMode::Source => Err(VariantError::TorchSource {
            variant: variant.name.clone(),
        }),
        _ => Ok(()),
    }
}
