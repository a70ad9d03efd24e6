//! Text to what the resolver takes: requirement lines with their digests, constraints, and kept versions.
//!
//! A line is what pip takes in a requirement file: a package of an index, a wheel or source archive of the project
//! (`./wheels/a.whl`), or one at an address (`name @ https://…/a.whl`, or the address alone), each with markers, extras and
//! `--hash` options. Sources that are no archives are refused with what to do instead.

mod line;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use cognix_derivations::Sha256;
use uv_configuration::{Constraints, HashCheckingMode, Overrides};
use uv_distribution_types::{Requirement, RequirementSource, UnresolvedRequirement};
use uv_normalize::PackageName;
use uv_pep440::{Version, VersionSpecifier};
use uv_requirements_txt::{RequirementEntry, RequirementsTxtRequirement};
use uv_types::HashStrategy;

use super::target::Target;
use super::{PythonError, PythonRequest};
use line::Line;
pub use line::requirement_name;
pub(super) use source::repository_line;

/// A request's lines, understood.
pub(super) struct Requirements {
    /// The model's.
    pub(super) model: Vec<Asked>,
    /// What brings the Cog SDK.
    pub(super) sdk: Vec<Asked>,
    constraints: Vec<Asked>,
    overrides: Vec<Asked>,
    pub(super) preferences: Vec<uv_resolver::Preference>,
}

/// One line, understood.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) requirement: Requirement,
    /// The file's SHA-256 must be one of these, unless there are none.
    sha256: Vec<Sha256>,
    /// For messages.
    line: String,
}

impl Asked {
    fn applies(&self, target: &Target) -> bool {
        self.requirement
            .evaluate_markers(Some(&target.markers), &[])
    }
}

/// Understands all lines of a request.
pub(super) fn parse(request: &PythonRequest) -> Result<Requirements, PythonError> {
    let root = request.project.as_path();
    let sdk = request.sdk.as_slice();
    Ok(Requirements {
        model: understand(&request.requirements, root)?,
        sdk: understand(sdk, root)?,
        constraints: understand(&request.constraints, root)?,
        overrides: understand(&request.overrides, root)?,
        preferences: request.preferences.iter().filter_map(preference).collect(),
    })
}

fn understand(lines: &[String], root: &Path) -> Result<Vec<Asked>, PythonError> {
    let lines = lines.iter().map(|line| line::without_comment(line));
    let lines = lines.filter(|line| !line.is_empty());
    lines.map(|line| asked(line, root)).collect()
}

fn asked(text: &str, root: &Path) -> Result<Asked, PythonError> {
    let refuse = |reason: String| PythonError::Requirement {
        // An address in the line may carry a password.
        line: crate::mirrors::python_index::clean(text),
        reason,
    };
    let line = Line::parse(text).map_err(refuse)?;
    let requirement = source::requirement(&line, root).map_err(refuse)?;
    Ok(Asked {
        sha256: line.sha256,
        requirement,
        line: crate::mirrors::python_index::clean(line.requirement),
    })
}

impl Requirements {
    /// The packages of the SDK, if what is asked of one of them is a pre-release: then those of all of them will do.
    pub(super) fn sdk_prereleases(&self) -> Vec<PackageName> {
        let early = |asked: &Asked| match &asked.requirement.source {
            RequirementSource::Registry { specifier, .. } => {
                specifier.iter().any(VersionSpecifier::any_prerelease)
            }
            _ => false,
        };
        if !self.sdk.iter().any(early) {
            return Vec::new();
        }
        let names = ["cog", "coglet"].into_iter().map(str::parse);
        names.filter_map(Result::ok).collect()
    }

    /// The SDK's requirements alone.
    pub(super) fn sdk_only(&self) -> Self {
        Self {
            model: Vec::new(),
            sdk: self.sdk.clone(),
            constraints: Vec::new(),
            overrides: self.overrides.clone(),
            preferences: self.preferences.clone(),
        }
    }

    /// All requirements, the SDK's last.
    pub(super) fn all(&self) -> impl Iterator<Item = &Asked> {
        self.model.iter().chain(&self.sdk)
    }

    /// The constraints as the resolver takes them.
    pub(super) fn constraints(&self) -> Constraints {
        let constraints = self.constraints.iter();
        Constraints::from_requirements(constraints.map(|asked| asked.requirement.clone()))
    }

    /// The overrides as the resolver takes them.
    pub(super) fn overrides(&self) -> Overrides {
        let overrides = self.overrides.iter();
        Overrides::from_requirements(overrides.map(|asked| asked.requirement.clone()).collect())
    }

    /// Which digests make a file preferable: those of lines that pin a version.
    pub(super) fn hashes(&self, target: &Target) -> Result<HashStrategy, PythonError> {
        let spelt = |asked: &Asked| -> Vec<String> {
            asked
                .sha256
                .iter()
                .map(|digest| format!("sha256:{digest}"))
                .collect()
        };
        let requirements: Vec<_> = self
            .all()
            .map(|asked| {
                (
                    UnresolvedRequirement::Named(asked.requirement.clone()),
                    spelt(asked),
                )
            })
            .collect();
        let constraints: Vec<_> = self
            .constraints
            .iter()
            .map(|asked| (&asked.requirement, spelt(asked)))
            .collect();
        HashStrategy::from_requirements(
            requirements
                .iter()
                .map(|(requirement, hashes)| (requirement, hashes.as_slice())),
            constraints
                .iter()
                .map(|(requirement, hashes)| (*requirement, hashes.as_slice())),
            Some(&target.markers.clone().into()),
            HashCheckingMode::Verify,
        )
        .map_err(|error| PythonError::Internal(error.to_string()))
    }

    /// The digests that lines allow for each package, and one of the lines.
    pub(super) fn allowed(&self, target: &Target) -> BTreeMap<String, (Vec<Sha256>, &str)> {
        let mut allowed: BTreeMap<String, (Vec<Sha256>, &str)> = BTreeMap::new();
        let lines = self.all().chain(&self.constraints);
        for asked in lines.filter(|asked| !asked.sha256.is_empty() && asked.applies(target)) {
            let name = asked.requirement.name.to_string();
            let entry = allowed
                .entry(name)
                .or_insert_with(|| (asked.sha256.clone(), &asked.line));
            entry.0.retain(|digest| asked.sha256.contains(digest));
        }
        allowed
    }

    /// Refuses wheels that lines name themselves and that are for another Python or platform.
    pub(super) fn check_fit(&self, target: &Target) -> Result<(), PythonError> {
        let named = self.all().filter(|asked| asked.applies(target));
        for wheel in named.filter_map(|asked| source::named_wheel(&asked.requirement.source)) {
            if !wheel.is_compatible(&target.tags) {
                return Err(PythonError::DoesNotFit {
                    filename: wheel.to_string(),
                    what: target.name.clone(),
                });
            }
        }
        Ok(())
    }

    /// The packages that lines name and that their markers let in; sorted, each once.
    pub(super) fn roots(&self, target: &Target) -> Vec<String> {
        let named = self.all().filter(|asked| asked.applies(target));
        let mut roots: Vec<String> = named
            .map(|asked| asked.requirement.name.to_string())
            .collect();
        roots.sort_unstable();
        roots.dedup();
        roots
    }
}

/// A version to keep; one that cannot be read is no reason to fail, because it is only a wish.
fn preference(kept: &super::Preference) -> Option<uv_resolver::Preference> {
    let name = PackageName::from_str(&kept.name).ok()?;
    let version = Version::from_str(&kept.version).ok()?;
    let pinned = uv_pep508::Requirement::from_str(&format!("{name}=={version}")).ok()?;
    let entry = RequirementEntry {
        requirement: RequirementsTxtRequirement::Named(pinned),
        hashes: Vec::new(),
    };
    uv_resolver::Preference::from_entry(entry).ok().flatten()
}
