//! The outputs of a project's spec, with what is locked told to them.

use std::path::{Path, PathBuf};

use cognix_derivations::StorePathName;

use super::variants::Outputs;
use crate::lock::{LockedInputs, LockedPlatform, LockedWheel};
use crate::spec::{self, Derivations, Known, LockedImage, LockedPackage, SpecError, Variant};

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
    ) -> Result<Derivations, SpecError> {
        spec::derivations(&self.project, variant, &known(locked, inputs))
    }
}

/// What a spec gets to know of a lock.
pub(super) fn known(locked: LockedPlatform<'_>, inputs: &LockedInputs) -> Known {
    let digests = inputs.iter();
    let digests = digests.filter_map(|(name, input)| Some((name.clone(), input.sha256()?)));
    let wheels = locked.python.packages.iter();
    Known {
        locked: Some(LockedImage {
            platform: locked.architecture,
            python: locked.request.python.clone(),
            packages: wheels
                .map(|wheel| (wheel.name.clone(), package(wheel)))
                .collect(),
        }),
        inputs: digests.collect(),
        ..Known::default()
    }
}

fn package(wheel: &LockedWheel) -> LockedPackage {
    LockedPackage {
        version: wheel.version.clone(),
        tree_name: format!("{}-{}", wheel.name, wheel.version.replace('!', "_")),
        fetch_name: StorePathName::sanitized(&wheel.filename).to_string(),
        filename: wheel.filename.clone(),
        url: wheel.url(),
        sha256: wheel.sha256,
        size: Some(wheel.size),
        waived: wheel.waived,
    }
}
