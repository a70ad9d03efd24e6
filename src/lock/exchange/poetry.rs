//! Reads `poetry.lock` in the format versions 1.0 to 2.x.
//!
//! Version 1 keeps the hashes of all packages in one table, version 2 with each package; 2.1 adds markers. Before 2.1 a
//! package that is locked in several versions does not say which is for which Python, apart from its `python-versions`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use uv_pep440::VersionSpecifiers;
use uv_pep508::{MarkerEnvironment, MarkerTree};

use super::ExchangeError;
use super::read::{Entry, Origin, Source, commit, condition, prefixed};

/// A `poetry.lock`.
#[derive(Debug)]
pub(super) struct Document {
    packages: Vec<Package>,
}

#[derive(Debug)]
struct Package {
    /// It is locked where one of them holds.
    markers: Vec<MarkerTree>,
    /// Poetry's own syntax goes beyond the standard's; what cannot be read is left out, as it only narrows.
    python: Option<VersionSpecifiers>,
    /// Whether it is one of the project's own, as far as the format says that.
    is_main: bool,
    entry: Entry,
}

#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    package: Vec<PackageShape>,
    metadata: MetadataShape,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MetadataShape {
    lock_version: Spanned<String>,
    #[serde(default)]
    files: BTreeMap<String, Vec<FileShape>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PackageShape {
    name: Spanned<String>,
    version: Spanned<String>,
    python_versions: Option<String>,
    markers: Option<Spanned<MarkersShape>>,
    groups: Option<Vec<String>>,
    source: Option<SourceShape>,
    #[serde(default)]
    files: Vec<FileShape>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum MarkersShape {
    Everywhere(String),
    ByGroup(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct SourceShape {
    #[serde(rename = "type")]
    kind: String,
    url: Option<String>,
    resolved_reference: Option<String>,
    subdirectory: Option<String>,
}

impl SourceShape {
    fn commit(&self) -> Option<String> {
        let (url, commit) = (self.url.as_ref()?, self.resolved_reference.as_ref()?);
        let is_repository = self.kind == "git";
        is_repository.then(|| self::commit(url, commit, self.subdirectory.as_deref()))
    }
}

#[derive(Deserialize)]
struct FileShape {
    file: String,
    hash: Spanned<String>,
}

impl Document {
    pub(super) fn parse(source: Source<'_>) -> Result<Self, ExchangeError> {
        let shape: Shape = source.toml()?;
        let version = shape.metadata.lock_version.get_ref();
        if !matches!(version.split('.').next(), Some("1" | "2")) {
            return Err(ExchangeError::Version {
                file: source.file.to_owned(),
                line: source.line(&shape.metadata.lock_version),
                found: version.clone(),
                known: "1.x and 2.x",
            });
        }
        let files = &shape.metadata.files;
        let packages = shape.package.iter().map(|package| {
            let shared = files.get(package.name.get_ref());
            package.read(source, shared.map_or(&package.files, |shared| shared))
        });
        Ok(Self {
            packages: packages.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn entries(
        &self,
        _file: &str,
        environment: &MarkerEnvironment,
    ) -> Result<Vec<Entry>, ExchangeError> {
        let python = &environment.python_full_version().version;
        let applies = |package: &&Package| {
            let markers = &package.markers;
            let python_fits = package
                .python
                .as_ref()
                .is_none_or(|fits| fits.contains(python));
            python_fits
                && (markers.is_empty()
                    || markers
                        .iter()
                        .any(|marker| marker.evaluate(environment, &[])))
        };
        let packages = self.packages.iter().filter(applies);
        Ok(packages.map(|package| package.entry.clone()).collect())
    }
}

impl Document {
    /// All packages but those of groups alone, and where each is needed.
    pub(super) fn everything(&self) -> (Vec<&Entry>, Vec<String>) {
        let packages: Vec<&Package> = self
            .packages
            .iter()
            .filter(|package| package.is_main)
            .collect();
        let conditions = packages.iter().map(|package| {
            let markers: Vec<String> = package.markers.iter().map(condition).collect();
            let python = package.python.as_ref().map(ToString::to_string);
            format!(
                "{} ; {} ; {}",
                package.entry.name,
                markers.join(" or "),
                python.unwrap_or_default()
            )
        });
        let conditions = conditions.collect();
        (
            packages.into_iter().map(|package| &package.entry).collect(),
            conditions,
        )
    }
}

impl PackageShape {
    fn read(&self, source: Source<'_>, files: &[FileShape]) -> Result<Package, ExchangeError> {
        let name = source.name(&self.name)?;
        let version = source.version(source.line(&self.version), self.version.get_ref())?;
        let mut markers = Vec::new();
        if let Some(shape) = &self.markers {
            let line = source.line(shape);
            let texts: Vec<&String> = match shape.get_ref() {
                MarkersShape::Everywhere(text) => vec![text],
                MarkersShape::ByGroup(by_group) => by_group.values().collect(),
            };
            for text in texts {
                markers.push(source.marker(line, text)?);
            }
        }
        let origin = match self.source.as_ref().map(|source| source.kind.as_str()) {
            Some("git") => Origin::Elsewhere("a repository"),
            Some("directory" | "file") => Origin::Elsewhere("a folder"),
            _ => Origin::Release,
        };
        let mut found = Vec::new();
        for shape in files {
            let line = source.line(&shape.hash);
            let hash = std::iter::once(prefixed(shape.hash.get_ref()));
            found.extend(source.file(line, &name, Some(shape.file.clone()), hash)?);
        }
        let python = self.python_versions.as_deref();
        Ok(Package {
            markers,
            python: python.and_then(|text| text.parse().ok()),
            is_main: self
                .groups
                .as_ref()
                .is_none_or(|groups| groups.iter().any(|group| group == "main")),
            entry: Entry {
                line: source.line(&self.name),
                name,
                version: Some(version),
                origin,
                commit: self.source.as_ref().and_then(SourceShape::commit),
                files: found,
            },
        })
    }
}
