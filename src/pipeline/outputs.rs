//! The outputs of a project's spec, with what is locked told to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cognix_derivations::{StorePath, StorePathName};

use super::variants::Outputs;
use super::{ImageDerivations, PipelineError, Project};
use crate::lock::{Lock, LockedInputs, LockedPlatform, LockedWheel};
use crate::recipes::{self, Instantiated, RecipeError};
use crate::spec::{
    self, Branch, Derivations, Known, LockedImage, LockedPackage, LockedRoot, RootPart, SpecError,
    Variant,
};

/// The outputs of the spec in a folder.
#[derive(Debug)]
pub(super) struct SpecOutputs {
    project: PathBuf,
}

impl SpecOutputs {
    pub(super) fn of(project: &Path) -> Self {
        Self {
            project: project.to_owned(),
        }
    }
}

impl Outputs for SpecOutputs {
    fn variants(&self) -> Result<Vec<Variant>, SpecError> {
        spec::variants(&self.project, &Known::default())
    }

    fn derivations(
        &self,
        variant: &str,
        locked: LockedPlatform<'_>,
        inputs: &LockedInputs,
    ) -> Result<Derivations, PipelineError> {
        let known = known(locked, inputs)?;
        Ok(spec::derivations(&self.project, variant, &known)?)
    }
}

/// What a spec gets to know of a lock.
pub(super) fn known(
    locked: LockedPlatform<'_>,
    inputs: &LockedInputs,
) -> Result<Known, RecipeError> {
    let digests = inputs.iter();
    let digests = digests.filter_map(|(name, input)| Some((name.clone(), input.sha256()?)));
    let (builds, built) = recipes::source_builds(locked)?;
    let wheels = locked.python.packages.iter();
    let root = recipes::system_root(locked)?;
    Ok(Known {
        locked: Some(LockedImage {
            platform: locked.architecture,
            python: locked.request.python.clone(),
            packages: wheels
                .map(|wheel| (wheel.name.clone(), package(wheel, built.get(&wheel.name))))
                .collect(),
            builds,
            root: LockedRoot {
                graph: root.graph,
                parts: root
                    .trees
                    .into_iter()
                    .map(RootPart::Tree)
                    .chain([RootPart::Changes(root.scripts)])
                    .collect(),
            },
        }),
        inputs: digests.collect(),
        ..Known::default()
    })
}

fn package(wheel: &LockedWheel, build: Option<&StorePath>) -> LockedPackage {
    LockedPackage {
        version: wheel.version.clone(),
        tree_name: format!("{}-{}", wheel.name, wheel.version.replace('!', "_")),
        fetch_name: StorePathName::sanitized(&wheel.filename).to_string(),
        filename: match build {
            Some(_) => recipes::wheel_name(wheel),
            None => wheel.filename.clone(),
        },
        build: build.cloned(),
        url: wheel.url(),
        sha256: wheel.sha256,
        size: Some(wheel.size),
        waived: wheel.waived,
    }
}

/// One of the packages of a project's spec, ready to be realised: its output, and what it is made of. The lock, where there
/// is one, tells the spec what is locked for the project's image.
pub fn spec_package(
    project: &Project,
    name: &str,
    lock: Option<&Lock>,
) -> Result<(ImageDerivations, String), PipelineError> {
    let architecture = project.architectures().next();
    let locked = lock.zip(architecture).and_then(|(lock, architecture)| {
        let platform = lock.variant(project.variant())?.platform(architecture)?;
        Some(known(platform, &lock.inputs))
    });
    let locked = locked.transpose()?.unwrap_or_default();
    let mut made = spec::package(project.root(), name, &locked)?;
    let package = made.extra_packages.remove(0);
    let instantiated = Instantiated {
        system: None,
        graph: made.graph,
        image: package.derivation,
        interpreter: None,
        layers: Vec::new(),
        steps: Vec::new(),
        downloads: Default::default(),
    };
    let derivations = ImageDerivations {
        instantiated,
        project: project.root().to_owned(),
        texts: made.texts,
        sources: made.sources,
    };
    Ok((derivations, package.output))
}

/// What was found in a project's spec.
#[derive(Debug)]
pub struct SpecCheck {
    /// Every mistake, once.
    pub mistakes: Vec<SpecError>,
    /// How many images it makes.
    pub images: usize,
    /// Whether what depends on locked versions was looked at too.
    pub is_locked: bool,
}

/// Looks at all that a project's spec makes. What depends on locked versions is looked at where there is a lock.
pub fn check_spec(dir: &Path, cancelled: Arc<AtomicBool>) -> Result<SpecCheck, PipelineError> {
    let unlocked = Known {
        cancelled: Some(Arc::clone(&cancelled)),
        ..Known::default()
    };
    let mut mistakes = spec::check(dir, &unlocked)?;
    let variants = spec::variants(dir, &unlocked);
    let images = variants.as_ref().map_or(0, Vec::len);
    let lock = Lock::read(dir)?;
    if let (Some(lock), Ok(variants)) = (&lock, &variants) {
        for variant in variants.iter().filter(|variant| variant.has_derivations) {
            let Some(locked) = lock.variant(&variant.name) else {
                continue;
            };
            for architecture in locked.platforms.keys() {
                let Some(platform) = locked.platform(*architecture) else {
                    continue;
                };
                let known = Known {
                    cancelled: Some(Arc::clone(&cancelled)),
                    ..known(platform, &lock.inputs)?
                };
                if let Err(mistake) = spec::derivations(dir, &variant.name, &known) {
                    mistakes.push(mistake);
                }
            }
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    mistakes.retain(|mistake| seen.insert(mistake.to_string()));
    Ok(SpecCheck {
        mistakes,
        images,
        is_locked: lock.is_some(),
    })
}

/// The tree of what a project's spec makes.
pub fn show_spec(dir: &Path, cancelled: Arc<AtomicBool>) -> Result<Branch, PipelineError> {
    let known = Known {
        cancelled: Some(cancelled),
        ..Known::default()
    };
    Ok(spec::show(dir, &known)?)
}

#[cfg(test)]
mod tests {
    use cognix_derivations::Derivation;

    use super::*;
    use crate::lock::Architecture;
    use crate::lock::platform::PythonVersion;
    use crate::recipes::{Instantiation, wheel_tree};

    /// The library of specs and the recipes say the same of a wheel: an override that changes nothing changes nothing.
    #[test]
    fn a_package_that_no_override_changed_is_the_recipes_own() {
        check(&crate::lock::tests::example());
        check(&crate::lock::tests::with_commit());
    }

    fn check(lock: &crate::lock::VariantLock) {
        let platform = lock
            .platform(Architecture::Amd64)
            .expect("the example has it");
        let project = tempfile::TempDir::new().expect("a temporary folder");
        let names: Vec<&str> = platform
            .python
            .packages
            .iter()
            .map(|wheel| wheel.name.as_str())
            .collect();
        let overrides: String = names
            .iter()
            .map(|name| format!("{name} = prev.{name}.overrideAttrs (old: {{ }}); "))
            .collect();
        let spec = format!(
            "{{ outputs = {{ self }}: {{ overrides = final: prev: {{ {overrides} }}; }}; }}"
        );
        std::fs::write(project.path().join(spec::FILE_NAME), spec).expect("a spec");
        let outputs = SpecOutputs::of(project.path());
        let made = outputs
            .derivations(spec::DEFAULT_VARIANT, platform, &LockedInputs::default())
            .expect("sound outputs");
        let python: PythonVersion = platform.request.python.parse().expect("a version");
        assert_eq!(made.replaced.len(), names.len());
        for wheel in &platform.python.packages {
            let mut recipes = Instantiation::default();
            let recipe = wheel_tree(&mut recipes, platform, wheel, python).expect("a sound wheel");
            let text = |derivation: Option<&Derivation>| {
                derivation.map(|drv| String::from_utf8_lossy(&drv.to_aterm()).into_owned())
            };
            let ours = &made.replaced[&wheel.name];
            assert_eq!(text(made.graph.get(ours)), text(recipes.graph.get(&recipe)));
            assert_eq!(*ours, recipe);
        }
    }
}
