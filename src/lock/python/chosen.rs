//! What the resolver chose, in our words.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cognix_derivations::Sha256;
use url::Url;
use uv_distribution_filename::WheelFilename;
use uv_distribution_types::{
    BuiltDist, Diagnostic as _, DirectUrlBuiltDist, Dist, Name as _, Node, PathBuiltDist,
    RegistryBuiltWheel, Resolution, ResolvedDist,
};
use uv_normalize::PackageName;
use uv_pypi_types::HashAlgorithm;

use super::bounds::Bounds;
use super::contents::Contents;
use super::{LockedWheel, PythonError, WheelOrigin};
use crate::mirrors::pip_settings::shown;
use crate::mirrors::python_index::{Connection, clean, explain};

/// What the resolver chose, before anyone has looked into the files.
pub(super) struct Chosen {
    /// Sorted by name.
    pub(super) wheels: Vec<ChosenWheel>,
    pub(super) roots: Vec<String>,
    pub(super) bounds: Bounds,
    pub(super) warnings: Vec<String>,
}

/// One wheel, and where it is today.
pub(super) struct ChosenWheel {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) filename: String,
    pub(super) place: Place,
    /// As the index or the requirement says; nobody does for files of the project.
    pub(super) sha256: Option<Sha256>,
    /// As the index says; many do not.
    pub(super) size: Option<u64>,
    requires: Vec<String>,
    origin: WheelOrigin,
    yanked: bool,
}

/// Where a wheel is today.
pub(super) enum Place {
    /// Without credentials.
    Remote(Url),
    Local(PathBuf),
}

impl ChosenWheel {
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
    root: &Path,
) -> Result<Chosen, PythonError> {
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
        let mut wheel = chosen_wheel(dist, connection, root)?;
        wheel.requires = requires.into_iter().collect();
        wheels.push(wheel);
    }
    wheels.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    let diagnostics = resolution.diagnostics().iter();
    Ok(Chosen {
        wheels,
        roots: Vec::new(),
        bounds: Bounds::new(),
        warnings: diagnostics.map(|word| clean(&word.message())).collect(),
    })
}

fn chosen_wheel(
    dist: &ResolvedDist,
    connection: &Connection,
    root: &Path,
) -> Result<ChosenWheel, PythonError> {
    if let ResolvedDist::Installable { dist, .. } = dist
        && let Dist::Built(built) = dist.as_ref()
    {
        match built {
            BuiltDist::Registry(wheels) => return listed(wheels.best_wheel(), connection, root),
            BuiltDist::DirectUrl(wheel) => return Ok(at_address(wheel)),
            BuiltDist::Path(wheel) => return of_project(wheel, root),
            BuiltDist::GitPath(_) => {}
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
        requires: Vec::new(),
        origin,
        yanked: false,
    }
}

/// A wheel of an index, or one that a page or a folder of links has.
fn listed(
    wheel: &RegistryBuiltWheel,
    connection: &Connection,
    root: &Path,
) -> Result<ChosenWheel, PythonError> {
    let file = &wheel.file;
    let filename = file.filename.to_string();
    let url = file.url.to_url().map_err(|error| PythonError::Wheel {
        filename: filename.clone(),
        reason: explain(&error),
    })?;
    let mut url = Url::from(url);
    url.set_fragment(None);
    let Some(input) = connection.name_of(&wheel.index) else {
        let path = url.to_file_path().unwrap_or_default();
        let origin = project_file(&path, root)?;
        return Ok(named(&wheel.filename, filename, Place::Local(path), origin));
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
    Ok(ChosenWheel {
        sha256,
        size: file.size,
        yanked: file
            .yanked
            .as_ref()
            .is_some_and(|yanked| yanked.is_yanked()),
        ..named(&wheel.filename, filename, Place::Remote(url), origin)
    })
}

fn at_address(wheel: &DirectUrlBuiltDist) -> ChosenWheel {
    let mut url = Url::from((*wheel.location).clone());
    url.set_fragment(None);
    let given = wheel.url.fragment().unwrap_or_default();
    let digests = given
        .split('&')
        .filter_map(|part| part.strip_prefix("sha256="));
    let sha256 = digests
        .map(str::to_ascii_lowercase)
        .find_map(|digest| digest.parse().ok());
    let origin = WheelOrigin::Url { url: shown(&url) };
    let filename = wheel.filename.to_string();
    ChosenWheel {
        sha256,
        ..named(&wheel.filename, filename, Place::Remote(url), origin)
    }
}

fn of_project(wheel: &PathBuiltDist, root: &Path) -> Result<ChosenWheel, PythonError> {
    let path = wheel.install_path.to_path_buf();
    let origin = project_file(&path, root)?;
    let filename = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
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
