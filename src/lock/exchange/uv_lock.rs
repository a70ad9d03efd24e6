//! Reads `uv.lock`: what the project itself needs without extras and groups, walked from its own entry.
//!
//! A `uv.lock` holds the answers for all platforms at once. Edges say under which marker they hold and, where a package is
//! there in several versions, which one they mean; so the walk from the project, for one environment, meets each name once.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;
use uv_pep440::{Version, VersionSpecifiers};
use uv_pep508::{MarkerEnvironment, MarkerTree};

use super::ExchangeError;
use super::read::{Entry, Origin, Source, commit, condition, file_name, prefixed};

/// A `uv.lock`.
#[derive(Debug)]
pub(super) struct Document {
    requires_python: Option<(u32, VersionSpecifiers)>,
    packages: Vec<Package>,
    /// Where the walk begins: the project, else the members of the workspace.
    roots: Vec<usize>,
}

#[derive(Debug)]
struct Package {
    entry: Entry,
    source: SourceShape,
    /// It is locked where one of them holds.
    markers: Vec<MarkerTree>,
    dependencies: Vec<Edge>,
    extras: BTreeMap<String, Vec<Edge>>,
}

#[derive(Debug)]
struct Edge {
    name: String,
    version: Option<Version>,
    source: Option<SourceShape>,
    extras: Vec<String>,
    marker: MarkerTree,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Shape {
    version: Spanned<u64>,
    requires_python: Option<Spanned<String>>,
    #[serde(default)]
    manifest: ManifestShape,
    #[serde(default, alias = "distribution")]
    package: Vec<PackageShape>,
}

#[derive(Deserialize, Default)]
struct ManifestShape {
    #[serde(default)]
    members: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PackageShape {
    name: Spanned<String>,
    version: Option<Spanned<String>>,
    source: SourceShape,
    #[serde(default)]
    resolution_markers: Vec<Spanned<String>>,
    #[serde(default)]
    dependencies: Vec<EdgeShape>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, Vec<EdgeShape>>,
    sdist: Option<FileShape>,
    #[serde(default)]
    wheels: Vec<FileShape>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct SourceShape {
    registry: Option<String>,
    git: Option<String>,
    url: Option<String>,
    path: Option<String>,
    directory: Option<String>,
    editable: Option<String>,
    r#virtual: Option<String>,
}

#[derive(Deserialize)]
struct EdgeShape {
    name: Spanned<String>,
    version: Option<Spanned<String>>,
    source: Option<SourceShape>,
    #[serde(default)]
    extra: Vec<String>,
    marker: Option<Spanned<String>>,
}

#[derive(Deserialize)]
struct FileShape {
    url: Option<String>,
    path: Option<String>,
    filename: Option<String>,
    hash: Option<Spanned<String>>,
}

impl Document {
    pub(super) fn parse(source: Source<'_>) -> Result<Self, ExchangeError> {
        let shape: Shape = source.toml()?;
        if *shape.version.get_ref() != 1 {
            return Err(ExchangeError::Version {
                file: source.file.to_owned(),
                line: source.line(&shape.version),
                found: shape.version.get_ref().to_string(),
                known: "1",
            });
        }
        let requires_python = shape.requires_python.as_ref().map(|text| {
            let line = source.line(text);
            Ok((line, source.specifiers(line, text.get_ref())?))
        });
        let packages = shape.package.iter().map(|package| package.read(source));
        let packages: Vec<Package> = packages.collect::<Result<_, _>>()?;
        let members = shape.manifest.members.iter().map(|name| source.name(name));
        let members: BTreeSet<String> = members.collect::<Result<_, _>>()?;
        let is_project = |package: &&(usize, &Package)| package.1.source.is_project();
        let is_member = |package: &&(usize, &Package)| members.contains(&package.1.entry.name);
        let numbered: Vec<_> = packages.iter().enumerate().collect();
        let mut roots: Vec<usize> = numbered
            .iter()
            .filter(is_project)
            .map(|(at, _)| *at)
            .collect();
        if roots.is_empty() {
            roots = numbered
                .iter()
                .filter(is_member)
                .map(|(at, _)| *at)
                .collect();
        }
        Ok(Self {
            requires_python: requires_python.transpose()?,
            packages,
            roots,
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
        let applies = |package: &Package| {
            let markers = &package.markers;
            markers.is_empty()
                || markers
                    .iter()
                    .any(|marker| marker.evaluate(environment, &[]))
        };
        let chosen = self.reached(&|edge| edge.marker.evaluate(environment, &[]), &applies);
        let packages = chosen.into_iter().map(|at| &self.packages[at]);
        Ok(packages
            .filter(|package| applies(package))
            .map(|package| package.entry.clone())
            .collect())
    }

    /// Everything that some environment may need, and the conditions between the packages.
    pub(super) fn everything(&self) -> (Vec<&Entry>, Vec<String>) {
        let reached = self.reached(&|_| true, &|_| true);
        let edges = |package: &Package, extra: &str, edges: &[Edge]| -> Vec<String> {
            let line = |edge: &Edge| {
                let version = edge.version.as_ref().map(ToString::to_string);
                format!(
                    "{}[{extra}] -> {}[{}] {} ; {}",
                    package.entry.name,
                    edge.name,
                    edge.extras.join(","),
                    version.unwrap_or_default(),
                    condition(&edge.marker)
                )
            };
            edges.iter().map(line).collect()
        };
        let conditions = reached.iter().chain(&self.roots).flat_map(|at| {
            let package = &self.packages[*at];
            let markers = package.markers.iter().map(condition);
            let markers = markers.map(|marker| format!("{} ; {marker}", package.entry.name));
            // Extras of the project itself are not installed.
            let extras = package.extras.iter().filter(|_| !self.roots.contains(at));
            let extras = extras.flat_map(|(extra, list)| edges(package, extra, list));
            let plain = edges(package, "", &package.dependencies);
            markers.chain(extras).chain(plain).collect::<Vec<_>>()
        });
        let conditions = conditions.collect();
        (
            reached
                .into_iter()
                .map(|at| &self.packages[at].entry)
                .collect(),
            conditions,
        )
    }

    fn reached(
        &self,
        holds: &dyn Fn(&Edge) -> bool,
        applies: &dyn Fn(&Package) -> bool,
    ) -> Vec<usize> {
        // A lock without a project (of a script, say) holds nothing but what is asked for.
        if self.roots.is_empty() {
            return (0..self.packages.len()).collect();
        }
        let mut pending: Vec<(usize, Option<&str>)> =
            self.roots.iter().map(|at| (*at, None)).collect();
        let mut seen: BTreeSet<(usize, Option<&str>)> = pending.iter().copied().collect();
        while let Some((at, extra)) = pending.pop() {
            let package = &self.packages[at];
            let edges = match extra {
                None => Some(&package.dependencies),
                Some(extra) => package.extras.get(extra),
            };
            for edge in edges.into_iter().flatten().filter(|edge| holds(edge)) {
                let means =
                    |(_, package): &(usize, &Package)| edge.means(package) && applies(package);
                for (target, _) in self.packages.iter().enumerate().filter(means) {
                    let wanted = edge.extras.iter().map(|extra| Some(extra.as_str()));
                    for state in wanted.chain([None]).map(|extra| (target, extra)) {
                        if seen.insert(state) {
                            pending.push(state);
                        }
                    }
                }
            }
        }
        let reached: BTreeSet<usize> = seen.into_iter().map(|(at, _)| at).collect();
        reached
            .into_iter()
            .filter(|at| !self.roots.contains(at))
            .collect()
    }
}

impl Edge {
    fn means(&self, package: &Package) -> bool {
        self.name == package.entry.name
            && (self.version.is_none() || self.version == package.entry.version)
            && self
                .source
                .as_ref()
                .is_none_or(|source| *source == package.source)
    }
}

impl SourceShape {
    /// Whether this is the project that the lock stands beside.
    fn is_project(&self) -> bool {
        [&self.r#virtual, &self.editable, &self.directory]
            .into_iter()
            .any(|path| path.as_deref() == Some("."))
    }

    /// `https://host/repository?rev=v1&subdirectory=x#COMMIT` as a requirement.
    fn commit(&self) -> Option<String> {
        let (address, commit) = self.git.as_ref()?.split_once('#')?;
        let (address, query) = address.split_once('?').unwrap_or((address, ""));
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let folder = pairs
            .find(|(key, _)| *key == "subdirectory")
            .map(|(_, folder)| folder);
        let folder = folder.map(|folder| folder.replace("%2F", "/").replace("%2f", "/"));
        Some(self::commit(address, commit, folder.as_deref()))
    }

    fn origin(&self) -> Origin {
        match self {
            Self { git: Some(_), .. } => Origin::Elsewhere("a repository"),
            Self {
                registry: None,
                url: None,
                ..
            } => Origin::Elsewhere("a folder"),
            _ => Origin::Release,
        }
    }
}

impl PackageShape {
    fn read(&self, source: Source<'_>) -> Result<Package, ExchangeError> {
        let name = source.name(&self.name)?;
        let version = self.version.as_ref();
        let version = version.map(|text| source.version(source.line(text), text.get_ref()));
        let markers = self.resolution_markers.iter();
        let markers = markers.map(|text| source.marker(source.line(text), text.get_ref()));
        let edges = |edges: &[EdgeShape]| -> Result<Vec<Edge>, ExchangeError> {
            edges.iter().map(|edge| edge.read(source)).collect()
        };
        let extras = self.optional_dependencies.iter();
        let extras = extras.map(|(extra, list)| Ok((extra.clone(), edges(list)?)));
        let mut files = Vec::new();
        for shape in self.wheels.iter().chain(&self.sdist) {
            let Some(hash) = &shape.hash else { continue };
            let address = shape.path.as_deref().or(shape.url.as_deref());
            let file = shape.filename.clone().or_else(|| file_name(address?));
            let hashes = std::iter::once(prefixed(hash.get_ref()));
            files.extend(source.file(source.line(hash), &name, file, hashes)?);
        }
        Ok(Package {
            source: self.source.clone(),
            markers: markers.collect::<Result<_, _>>()?,
            dependencies: edges(&self.dependencies)?,
            extras: extras.collect::<Result<_, ExchangeError>>()?,
            entry: Entry {
                line: source.line(&self.name),
                name,
                version: version.transpose()?,
                origin: self.source.origin(),
                commit: self.source.commit(),
                files,
            },
        })
    }
}

impl EdgeShape {
    fn read(&self, source: Source<'_>) -> Result<Edge, ExchangeError> {
        let version = self.version.as_ref();
        let version = version.map(|text| source.version(source.line(text), text.get_ref()));
        let marker = self.marker.as_ref();
        let marker = marker.map(|text| source.marker(source.line(text), text.get_ref()));
        Ok(Edge {
            name: source.name(&self.name)?,
            version: version.transpose()?,
            source: self.source.clone(),
            extras: self.extra.clone(),
            marker: marker.transpose()?.unwrap_or_default(),
        })
    }
}
