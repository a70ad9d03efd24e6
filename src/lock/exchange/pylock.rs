//! Reads `pylock.toml`, the lock format that Python's tools share (PEP 751).
//!
//! No extra and no group is selected, apart from those that the file itself names in `default-groups`.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;
use uv_normalize::GroupName;
use uv_pep440::VersionSpecifiers;
use uv_pep508::{MarkerEnvironment, MarkerTree};

use super::ExchangeError;
use super::read::{Entry, Origin, Source, commit, condition, file_name};

/// A `pylock.toml`.
#[derive(Debug)]
pub(super) struct Document {
    requires_python: Option<(u32, VersionSpecifiers)>,
    environments: Vec<(u32, String, MarkerTree)>,
    groups: Vec<GroupName>,
    packages: Vec<(MarkerTree, Entry)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Shape {
    lock_version: Spanned<String>,
    requires_python: Option<Spanned<String>>,
    #[serde(default)]
    environments: Vec<Spanned<String>>,
    #[serde(default)]
    default_groups: Vec<Spanned<String>>,
    packages: Vec<PackageShape>,
}

#[derive(Deserialize)]
struct PackageShape {
    name: Spanned<String>,
    version: Option<Spanned<String>>,
    marker: Option<Spanned<String>>,
    vcs: Option<VcsShape>,
    directory: Option<toml::Table>,
    archive: Option<FileShape>,
    sdist: Option<FileShape>,
    #[serde(default)]
    wheels: Vec<FileShape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct VcsShape {
    url: Option<String>,
    path: Option<String>,
    commit_id: Option<String>,
    subdirectory: Option<String>,
}

impl VcsShape {
    fn commit(&self) -> Option<String> {
        let address = self.url.as_ref().or(self.path.as_ref())?;
        Some(commit(
            address,
            self.commit_id.as_ref()?,
            self.subdirectory.as_deref(),
        ))
    }
}

#[derive(Deserialize)]
struct FileShape {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    hashes: Spanned<BTreeMap<String, String>>,
}

impl Document {
    pub(super) fn parse(source: Source<'_>) -> Result<Self, ExchangeError> {
        let shape: Shape = source.toml()?;
        let version = shape.lock_version.get_ref();
        if version.split('.').next() != Some("1") {
            return Err(ExchangeError::Version {
                file: source.file.to_owned(),
                line: source.line(&shape.lock_version),
                found: version.clone(),
                known: "1.x",
            });
        }
        let lined = |text: &Spanned<String>| (source.line(text), text.get_ref().clone());
        let requires_python = shape.requires_python.as_ref().map(lined);
        let environments = shape.environments.iter().map(lined);
        let groups = shape.default_groups.iter().map(lined);
        Ok(Self {
            requires_python: requires_python
                .map(|(line, text)| Ok((line, source.specifiers(line, &text)?)))
                .transpose()?,
            environments: environments
                .map(|(line, text)| {
                    let marker = source.marker(line, &text)?;
                    Ok((line, text, marker))
                })
                .collect::<Result<_, _>>()?,
            groups: groups
                .map(|(line, text)| {
                    GroupName::from_str(&text)
                        .map_err(|error| source.wrong(line, error.to_string()))
                })
                .collect::<Result<_, _>>()?,
            packages: shape
                .packages
                .iter()
                .map(|package| package.read(source))
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn entries(
        &self,
        file: &str,
        environment: &MarkerEnvironment,
    ) -> Result<Vec<Entry>, ExchangeError> {
        let python = &environment.python_full_version().version;
        if let Some((line, requires)) = &self.requires_python
            && !requires.contains(python)
        {
            return Err(ExchangeError::OtherPython {
                file: file.to_owned(),
                line: *line,
                requires: requires.to_string(),
                python: python.to_string(),
            });
        }
        let applies = |marker: &MarkerTree| marker.evaluate_pep751(environment, &[], &self.groups);
        if let Some((line, ..)) = self.environments.first()
            && !self
                .environments
                .iter()
                .any(|(_, _, marker)| applies(marker))
        {
            let named = self.environments.iter().map(|(_, text, _)| text.as_str());
            return Err(ExchangeError::OtherEnvironment {
                file: file.to_owned(),
                line: *line,
                platform: super::read::platform(environment),
                environments: named.collect::<Vec<_>>().join("; "),
            });
        }
        let packages = self.packages.iter();
        Ok(packages
            .filter(|(marker, _)| applies(marker))
            .map(|(_, entry)| entry.clone())
            .collect())
    }
}

impl Document {
    /// All packages, and where each is needed.
    pub(super) fn everything(&self) -> (Vec<&Entry>, Vec<String>) {
        let packages = self.packages.iter();
        let conditions =
            packages.map(|(marker, entry)| format!("{} ; {}", entry.name, condition(marker)));
        (
            self.packages.iter().map(|(_, entry)| entry).collect(),
            conditions.collect(),
        )
    }
}

impl PackageShape {
    fn read(&self, source: Source<'_>) -> Result<(MarkerTree, Entry), ExchangeError> {
        let name = source.name(&self.name)?;
        let marker = self.marker.as_ref();
        let marker = marker.map(|text| source.marker(source.line(text), text.get_ref()));
        let version = self.version.as_ref();
        let version = version.map(|text| source.version(source.line(text), text.get_ref()));
        let origin = match (&self.vcs, &self.directory) {
            (Some(_), _) => Origin::Elsewhere("a repository"),
            (_, Some(_)) => Origin::Elsewhere("a folder"),
            (None, None) => Origin::Release,
        };
        let mut files = Vec::new();
        for shape in self.wheels.iter().chain(&self.sdist).chain(&self.archive) {
            let line = source.line(&shape.hashes);
            let address = shape.path.as_deref().or(shape.url.as_deref());
            let file = shape.name.clone().or_else(|| file_name(address?));
            let hashes = shape.hashes.get_ref().iter();
            let hashes = hashes.map(|(algorithm, digest)| (algorithm.as_str(), digest.as_str()));
            files.extend(source.file(line, &name, file, hashes)?);
        }
        let entry = Entry {
            line: source.line(&self.name),
            name,
            version: version.transpose()?,
            origin,
            commit: self.vcs.as_ref().and_then(VcsShape::commit),
            files,
        };
        Ok((marker.transpose()?.unwrap_or_default(), entry))
    }
}
