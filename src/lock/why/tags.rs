//! Why one file of a release and not another: compatibility tags.

use std::str::FromStr;

use serde::Serialize;
use uv_distribution_filename::WheelFilename;
use uv_pep508::{Requirement, VerbatimUrl};
use uv_platform_tags::TagCompatibility;

use crate::lock::python::Target;

/// The files of a release beside the chosen one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherFiles {
    /// Wheels that would work too, and fit less well.
    pub fitting: usize,
    /// Wheels for other systems or Pythons.
    pub foreign: usize,
}

/// The best of a wheel's tags for the image.
pub(super) fn matching(filename: &str, target: &Target) -> Option<String> {
    let wheel = WheelFilename::from_str(filename).ok()?;
    let mut best: Option<(TagCompatibility, String)> = None;
    for python in wheel.python_tags() {
        for abi in wheel.abi_tags() {
            for platform in wheel.platform_tags() {
                let fits = target.tags.compatibility_tag(python, abi, platform);
                if fits.is_compatible() && best.as_ref().is_none_or(|(known, _)| fits > *known) {
                    best = Some((fits, format!("{python}-{abi}-{platform}")));
                }
            }
        }
    }
    best.map(|(_, tag)| tag)
}

/// What the wheel's release has beside it, among all files of the project.
pub(super) fn others(filename: &str, files: &[String], target: &Target) -> OtherFiles {
    let mut others = OtherFiles {
        fitting: 0,
        foreign: 0,
    };
    let Ok(chosen) = WheelFilename::from_str(filename) else {
        return others;
    };
    let wheels = files
        .iter()
        .filter_map(|file| WheelFilename::from_str(file).ok());
    for wheel in wheels.filter(|wheel| wheel.version == chosen.version && *wheel != chosen) {
        match wheel.is_compatible(&target.tags) {
            true => others.fitting += 1,
            false => others.foreign += 1,
        }
    }
    others
}

/// The package that a requirement asks for on the image's platform, if it asks at all.
pub(super) fn required(line: &str, target: &Target) -> Option<String> {
    // Options such as `--hash` follow the requirement.
    let line = line.split(" --").next().unwrap_or(line);
    match Requirement::<VerbatimUrl>::from_str(line) {
        Ok(requirement) => {
            let holds = requirement.marker.evaluate(&target.markers, &[]);
            holds.then(|| requirement.name.to_string())
        }
        // A local wheel or an address names its package in the file's name.
        Err(_) => {
            let file = line.split(['?', '#']).next()?.rsplit('/').next()?;
            let wheel = WheelFilename::from_str(file.trim()).ok()?;
            Some(wheel.name.to_string())
        }
    }
}

/// The package that a line is about.
pub(super) fn name_of(line: &str) -> Option<String> {
    let line = line.split(" --").next().unwrap_or(line);
    let requirement = Requirement::<VerbatimUrl>::from_str(line).ok()?;
    Some(requirement.name.to_string())
}
