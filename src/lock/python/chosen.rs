//! What the resolver chose, in our words.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cognix_derivations::Sha256;
use url::Url;
use uv_distribution_filename::WheelFilename;
use uv_distribution_types::{
    BuiltDist, Diagnostic as _, DirectUrlBuiltDist, Dist, File, IndexUrl, Name as _, Node,
    PathBuiltDist, RegistryBuiltWheel, Resolution, ResolvedDist, SourceDist,
};
use uv_normalize::PackageName;
use uv_pep508::VerbatimUrl;
use uv_pypi_types::HashAlgorithm;
use uv_redacted::DisplaySafeUrl;

use super::bounds::Bounds;
use super::contents::Contents;
use super::solve::Question;
use super::sources::{RepositoryReference, SourceBuild, SourceFacts, SourceFile, SourceReason};
use super::{LockedWheel, PythonError, WheelContents, WheelOrigin};
use crate::mirrors::pip_settings::shown;
use crate::mirrors::project_folder::archive_name;
use crate::mirrors::python_index::{Connection, clean, explain};

/// What the resolver chose, before anyone has looked into the files.
pub(super) struct Chosen {
    /// Sorted by name.
    pub(super) wheels: Vec<ChosenWheel>,
    pub(super) roots: Vec<String>,
    pub(super) bounds: Bounds,
    pub(super) warnings: Vec<String>,
}

/// One wheel or source archive, and where it is today.
pub(super) struct ChosenWheel {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) filename: String,
    pub(super) place: Place,
    /// As the index or the requirement says; nobody does for files of the project.
    pub(super) sha256: Option<Sha256>,
    /// As the index says; many do not.
    pub(super) size: Option<u64>,
    /// How it is built, if it is a source archive.
    pub(super) build: Option<SourceBuild>,
    /// The name as the package spells it, where that is known before anybody looks.
    spelling: String,
    requires: Vec<String>,
    origin: WheelOrigin,
    yanked: bool,
}

/// Where a file is today.
#[derive(Clone)]
pub(super) enum Place {
    /// Without credentials.
    Remote(Url),
    Local(PathBuf),
    /// A folder of the project, which becomes an archive.
    Folder(PathBuf),
    /// A reference of a repository.
    Repository(RepositoryReference),
}

impl ChosenWheel {
    /// What is known without looking: there is no RECORD before it is built.
    pub(super) fn source_contents(&self) -> Option<Contents> {
        self.build.as_ref()?;
        Some(Contents {
            sha256: self.sha256?,
            size: self.size?,
            contents: WheelContents {
                name: self.spelling.clone(),
                ..WheelContents::default()
            },
        })
    }

    /// Forgets where the wheel is.
    pub(super) fn into_locked(self, found: &Contents) -> LockedWheel {
        let spelled = found.contents.name.as_str();
        let same = spelled
            .parse::<PackageName>()
            .is_ok_and(|name| name.as_str() == self.name);
        LockedWheel {
            spelling: (same && spelled != self.name).then(|| spelled.to_owned()),
            name: self.name,
            version: self.version,
            filename: self.filename,
            sha256: found.sha256,
            size: found.size,
            requires: self.requires,
            origin: self.origin,
            yanked: self.yanked,
        }
    }
}

/// Takes a resolution apart. What was asked for stands in the requirements, so roots and bounds are left to the caller.
pub(super) fn chosen(
    resolution: &Resolution,
    connection: &Connection,
    question: &Question<'_>,
) -> Result<Result<Chosen, Box<SourceFile>>, PythonError> {
    let graph = resolution.graph();
    let mut wheels = Vec::new();
    for index in graph.node_indices() {
        let Node::Dist { dist, .. } = &graph[index] else {
            continue;
        };
        let requires = graph
            .neighbors(index)
            .filter_map(|needed| match &graph[needed] {
                Node::Dist { dist, .. } => Some(dist.name().to_string()),
                Node::Root => None,
            });
        let requires: BTreeSet<String> = requires.collect();
        let mut wheel = match chosen_wheel(dist, connection, question)? {
            Ok(wheel) => wheel,
            // Its dependencies were those of a wheel that does not fit.
            Err(source) => return Ok(Err(source)),
        };
        wheel.requires = requires.into_iter().collect();
        wheels.push(wheel);
    }
    wheels.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    let diagnostics = resolution.diagnostics().iter();
    Ok(Ok(Chosen {
        wheels,
        roots: Vec::new(),
        bounds: Bounds::new(),
        warnings: diagnostics.map(|word| clean(&word.message())).collect(),
    }))
}

fn chosen_wheel(
    dist: &ResolvedDist,
    connection: &Connection,
    question: &Question<'_>,
) -> Result<Result<ChosenWheel, Box<SourceFile>>, PythonError> {
    let root = question.request.project.as_path();
    if let ResolvedDist::Installable { dist, .. } = dist {
        match dist.as_ref() {
            Dist::Built(BuiltDist::Registry(wheels)) => {
                return listed(wheels.best_wheel(), connection, root).map(Ok);
            }
            Dist::Built(BuiltDist::DirectUrl(wheel)) => return Ok(Ok(at_address(wheel))),
            Dist::Built(BuiltDist::Path(wheel)) => return of_project(wheel, root).map(Ok),
            Dist::Built(BuiltDist::GitPath(_)) => {}
            Dist::Source(source) => {
                let file = source_file(source, connection, question)?;
                let mut facts = question.facts.iter();
                let known = facts.find(|facts| facts.are_about(&file));
                return Ok(match known {
                    Some(facts) => Ok(of_source(file, facts)),
                    None => Err(Box::new(file)),
                });
            }
        }
    }
    Err(PythonError::Internal(format!(
        "it chose {dist}, which is not a wheel that can be locked"
    )))
}

fn named(
    wheel: &WheelFilename,
    filename: String,
    place: Place,
    origin: WheelOrigin,
) -> ChosenWheel {
    ChosenWheel {
        name: wheel.name.to_string(),
        version: wheel.version.to_string(),
        filename,
        place,
        sha256: None,
        size: None,
        build: None,
        spelling: String::new(),
        requires: Vec::new(),
        origin,
        yanked: false,
    }
}

/// A source archive that everything is known about.
fn of_source(file: SourceFile, facts: &SourceFacts) -> ChosenWheel {
    ChosenWheel {
        name: file.name,
        version: facts.metadata.version.to_string(),
        filename: facts.filename.clone(),
        place: file.place,
        sha256: Some(facts.sha256),
        size: Some(facts.size),
        build: Some(facts.build.clone()),
        spelling: facts.spelling.clone(),
        requires: Vec::new(),
        origin: facts.origin.clone(),
        yanked: file.yanked,
    }
}

/// A source archive as the resolver knows it.
pub(super) fn source_file(
    source: &SourceDist,
    connection: &Connection,
    question: &Question<'_>,
) -> Result<SourceFile, PythonError> {
    let root = question.request.project.as_path();
    match source {
        SourceDist::Registry(source) => {
            let listed = listed_file(&source.file, &source.index, connection, root)?;
            let reason = match question.must_be_source(&source.name) {
                true => SourceReason::NoBinary,
                false => SourceReason::NoWheel,
            };
            Ok(SourceFile {
                name: source.name.to_string(),
                version: Some(source.version.to_string()),
                filename: listed.filename,
                place: listed.place,
                sha256: listed.sha256,
                origin: Some(listed.origin),
                yanked: listed.yanked,
                reason,
            })
        }
        SourceDist::DirectUrl(source) => {
            let (url, sha256) = address(&source.location, &source.url);
            let path = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy();
            let filename = path.rsplit('/').next().unwrap_or_default().to_owned();
            let origin = WheelOrigin::Url { url: shown(&url) };
            Ok(named_source(
                &source.name,
                filename,
                Place::Remote(url),
                sha256,
                Some(origin),
            ))
        }
        SourceDist::Path(source) => {
            let path = source.install_path.to_path_buf();
            let origin = project_file(&path, root)?;
            let filename = file_name(&path);
            Ok(named_source(
                &source.name,
                filename,
                Place::Local(path),
                None,
                Some(origin),
            ))
        }
        SourceDist::Directory(source) => {
            let path = source.install_path.to_path_buf();
            let WheelOrigin::Project { path: below } = project_file(&path, root)? else {
                return Err(PythonError::OutsideProject { path });
            };
            let filename = archive_name(&below);
            let origin = WheelOrigin::Folder { path: below };
            Ok(named_source(
                &source.name,
                filename,
                Place::Folder(path),
                None,
                Some(origin),
            ))
        }
        SourceDist::GitDirectory(source) => {
            let asked = RepositoryReference::of(&source.git, source.subdirectory.as_deref());
            let asked = asked.map_err(|reason| PythonError::Requirement {
                line: clean(&source.to_string()),
                reason,
            })?;
            let filename = asked.to_string();
            let place = Place::Repository(asked);
            Ok(named_source(&source.name, filename, place, None, None))
        }
        SourceDist::GitPath(_) => Err(PythonError::Internal(format!(
            "it chose {source}, which is not an archive that can be locked"
        ))),
    }
}

/// A source archive that a requirement names itself.
fn named_source(
    name: &PackageName,
    filename: String,
    place: Place,
    sha256: Option<Sha256>,
    origin: Option<WheelOrigin>,
) -> SourceFile {
    SourceFile {
        name: name.to_string(),
        version: None,
        filename,
        place,
        sha256,
        origin,
        yanked: false,
        reason: SourceReason::Named,
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// A file of an index, or one that a page or a folder of links has.
struct Listed {
    filename: String,
    place: Place,
    sha256: Option<Sha256>,
    origin: WheelOrigin,
    yanked: bool,
}

/// A wheel of an index, or one that a page or a folder of links has.
fn listed(
    wheel: &RegistryBuiltWheel,
    connection: &Connection,
    root: &Path,
) -> Result<ChosenWheel, PythonError> {
    let listed = listed_file(&wheel.file, &wheel.index, connection, root)?;
    Ok(ChosenWheel {
        sha256: listed.sha256,
        size: match listed.place {
            Place::Remote(_) => wheel.file.size,
            Place::Local(_) | Place::Folder(_) | Place::Repository(_) => None,
        },
        yanked: listed.yanked,
        ..named(
            &wheel.filename,
            listed.filename,
            listed.place,
            listed.origin,
        )
    })
}

fn listed_file(
    file: &File,
    index: &IndexUrl,
    connection: &Connection,
    root: &Path,
) -> Result<Listed, PythonError> {
    let filename = file.filename.to_string();
    let url = file.url.to_url().map_err(|error| PythonError::Wheel {
        filename: filename.clone(),
        reason: explain(&error),
    })?;
    let mut url = Url::from(url);
    url.set_fragment(None);
    let Some(input) = connection.name_of(index) else {
        let path = url.to_file_path().unwrap_or_default();
        let origin = project_file(&path, root)?;
        return Ok(Listed {
            filename,
            place: Place::Local(path),
            sha256: None,
            origin,
            yanked: false,
        });
    };
    let sha256 = file
        .hashes
        .iter()
        .find(|hash| hash.algorithm == HashAlgorithm::Sha256);
    let sha256 = sha256.and_then(|hash| hash.digest.to_ascii_lowercase().parse().ok());
    let is_page = connection
        .indexes()
        .find_links()
        .iter()
        .any(|links| links.name() == Some(input));
    if sha256.is_none() && !is_page {
        return Err(PythonError::NoDigest { filename });
    }
    let origin = WheelOrigin::Index {
        input: input.to_owned(),
    };
    let yanked = file.yanked.as_ref();
    Ok(Listed {
        filename,
        place: Place::Remote(url),
        sha256,
        origin,
        yanked: yanked.is_some_and(|yanked| yanked.is_yanked()),
    })
}

fn at_address(wheel: &DirectUrlBuiltDist) -> ChosenWheel {
    let (url, sha256) = address(&wheel.location, &wheel.url);
    let origin = WheelOrigin::Url { url: shown(&url) };
    let filename = wheel.filename.to_string();
    ChosenWheel {
        sha256,
        ..named(&wheel.filename, filename, Place::Remote(url), origin)
    }
}

/// An address, and the digest that its fragment gives.
fn address(location: &DisplaySafeUrl, given: &VerbatimUrl) -> (Url, Option<Sha256>) {
    let mut url = Url::from(location.clone());
    url.set_fragment(None);
    let given = given.fragment().unwrap_or_default();
    let digests = given
        .split('&')
        .filter_map(|part| part.strip_prefix("sha256="));
    let sha256 = digests
        .map(str::to_ascii_lowercase)
        .find_map(|digest| digest.parse().ok());
    (url, sha256)
}

fn of_project(wheel: &PathBuiltDist, root: &Path) -> Result<ChosenWheel, PythonError> {
    let path = wheel.install_path.to_path_buf();
    let origin = project_file(&path, root)?;
    let filename = file_name(&path);
    Ok(named(&wheel.filename, filename, Place::Local(path), origin))
}

/// A file below the project, by its path there.
fn project_file(path: &Path, root: &Path) -> Result<WheelOrigin, PythonError> {
    let real = |path: &Path| {
        path.canonicalize().map_err(|source| PythonError::Io {
            path: path.to_owned(),
            source,
        })
    };
    let path = real(path)?;
    let below = path.strip_prefix(real(root)?).ok().and_then(Path::to_str);
    match below {
        Some(below) => Ok(WheelOrigin::Project {
            path: below.to_owned(),
        }),
        None => Err(PythonError::OutsideProject { path }),
    }
}
