//! Runs uv's resolver and takes its answer apart.
//!
//! This is where the library's types and ours meet; a newer version of it changes this file.

use std::sync::{Arc, Once};

use cognix_derivations::Sha256;
use tokio::sync::Semaphore;
use url::Url;
use uv_configuration::{
    BuildOptions, Constraints, Excludes, IndexStrategy, NoBinary, NoBuild, Overrides,
};
use uv_distribution::DistributionDatabase;
use uv_distribution_types::{
    BuiltDist, Diagnostic as _, Dist, ExcludeNewerValue, Name as _, Node, RegistryBuiltWheel,
    Resolution, ResolvedDist,
};
use uv_pypi_types::{Conflicts, HashAlgorithm};
use uv_resolver::{
    ExcludeNewer, Exclusions, FlatIndex, InMemoryIndex, Manifest, Options, OptionsBuilder,
    Preferences, Resolver, ResolverEnvironment,
};
use uv_types::{EmptyInstalledPackages, HashStrategy};

use super::bounds::{Bounds, bounds};
use super::requirements::Requirements;
use super::target::Target;
use super::wheels_only::WheelsOnly;
use super::{INDEX_NAME, LockedWheel, PythonError, PythonRequest, WheelOrigin, diagnose};
use crate::mirrors::python_index::{Connection, Freshness, clean};

/// Requests at one time, to all hosts together.
const CONNECTIONS: usize = 16;

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
    pub(super) url: Url,
    pub(super) sha256: Sha256,
    /// As the index says; many do not.
    pub(super) size: Option<u64>,
    pub(super) requires: Vec<String>,
    pub(super) yanked: bool,
}

impl ChosenWheel {
    /// Forgets where the wheel is.
    pub(super) fn into_locked(self, size: u64) -> LockedWheel {
        let Self {
            name,
            version,
            filename,
            sha256,
            requires,
            yanked,
            ..
        } = self;
        let origin = WheelOrigin::Index {
            input: INDEX_NAME.to_owned(),
        };
        LockedWheel {
            name,
            version,
            filename,
            sha256,
            size,
            requires,
            origin,
            yanked,
        }
    }
}

/// Prepares the client for the indexes of a request.
pub(super) async fn connect(request: &PythonRequest) -> Result<Connection, PythonError> {
    static PREVIEW: Once = Once::new();
    // The library panics in places where nobody has said which of its preview features are on.
    PREVIEW.call_once(|| drop(uv_preview::set(uv_preview::Preview::default())));
    let PythonRequest {
        indexes,
        cache_dir,
        offline,
        ..
    } = request;
    let strategy = IndexStrategy::FirstIndex;
    Ok(Connection::open(indexes, cache_dir, *offline, strategy, Freshness::Cached).await?)
}

/// Chooses a wheel for every package that the requirements lead to.
pub(super) async fn solve(
    connection: &Connection,
    parsed: &Requirements,
    target: &Target,
    request: &PythonRequest,
) -> Result<Chosen, PythonError> {
    let environment = ResolverEnvironment::specific(target.markers.clone().into());
    let manifest = Manifest::new(
        parsed.requirements.clone(),
        Constraints::from_requirements(parsed.constraints.iter().cloned()),
        Overrides::default(),
        Excludes::default(),
        Preferences::from_iter(parsed.preferences.iter().cloned(), &environment),
        None,
        std::collections::BTreeSet::new(),
        Exclusions::default(),
        Vec::new(),
    );
    let context = WheelsOnly::new(connection.cache.clone(), connection.locations.clone());
    let database = DistributionDatabase::new(
        &connection.client,
        &context,
        Arc::new(Semaphore::new(CONNECTIONS)),
    );
    let (flat_index, index, hashes) = (
        FlatIndex::default(),
        InMemoryIndex::default(),
        HashStrategy::default(),
    );
    let resolver = Resolver::new(
        manifest,
        options(request),
        &target.python,
        environment,
        &target.markers,
        Conflicts::empty(),
        Some(&target.tags),
        &flat_index,
        &index,
        &hashes,
        &context,
        EmptyInstalledPackages,
        database,
    );
    let output = match resolver {
        Ok(resolver) => resolver.resolve().await,
        Err(error) => Err(error),
    };
    match output {
        Ok(output) => {
            let resolution = Resolution::from(output);
            let bounds = bounds(&resolution, &index, &parsed.requirements, &target.markers);
            chosen(&resolution, bounds, parsed, target)
        }
        Err(error) => Err(diagnose::explain(error, connection, target, request).await),
    }
}

fn options(request: &PythonRequest) -> Options {
    let exclude_newer = request
        .exclude_newer
        .map(|cutoff| ExcludeNewer::global(ExcludeNewerValue::absolute(cutoff.timestamp())));
    OptionsBuilder::new()
        .exclude_newer(exclude_newer.unwrap_or_default())
        .index_strategy(IndexStrategy::FirstIndex)
        .build_options(BuildOptions::new(NoBinary::None, NoBuild::All))
        .build()
}

fn chosen(
    resolution: &Resolution,
    bounds: Bounds,
    parsed: &Requirements,
    target: &Target,
) -> Result<Chosen, PythonError> {
    let graph = resolution.graph();
    let mut wheels = Vec::new();
    for index in graph.node_indices() {
        let Node::Dist { dist, .. } = &graph[index] else {
            continue;
        };
        let mut requires: Vec<String> = graph
            .neighbors(index)
            .filter_map(|needed| match &graph[needed] {
                Node::Dist { dist, .. } => Some(dist.name().to_string()),
                Node::Root => None,
            })
            .collect();
        requires.sort_unstable();
        requires.dedup();
        wheels.push(chosen_wheel(registry_wheel(dist)?, requires)?);
    }
    wheels.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    let named = parsed.requirements.iter();
    let mut roots: Vec<String> = named
        .filter(|requirement| requirement.evaluate_markers(Some(&target.markers), &[]))
        .map(|requirement| requirement.name.to_string())
        .collect();
    roots.sort_unstable();
    roots.dedup();
    let warnings = resolution
        .diagnostics()
        .iter()
        .map(|word| clean(&word.message()))
        .collect();
    Ok(Chosen {
        wheels,
        roots,
        bounds,
        warnings,
    })
}

fn registry_wheel(dist: &ResolvedDist) -> Result<&RegistryBuiltWheel, PythonError> {
    if let ResolvedDist::Installable { dist, .. } = dist
        && let Dist::Built(BuiltDist::Registry(wheels)) = dist.as_ref()
    {
        return Ok(wheels.best_wheel());
    }
    Err(PythonError::Internal(format!(
        "it chose {dist}, which is not a wheel of an index"
    )))
}

fn chosen_wheel(
    wheel: &RegistryBuiltWheel,
    requires: Vec<String>,
) -> Result<ChosenWheel, PythonError> {
    let filename = wheel.file.filename.to_string();
    let sha256 = wheel
        .file
        .hashes
        .iter()
        .find(|hash| hash.algorithm == HashAlgorithm::Sha256);
    let sha256 = sha256.and_then(|hash| hash.digest.to_ascii_lowercase().parse().ok());
    let Some(sha256) = sha256 else {
        return Err(PythonError::NoDigest { filename });
    };
    let url = wheel
        .file
        .url
        .to_url()
        .map_err(|error| PythonError::Wheel {
            filename: filename.clone(),
            reason: crate::mirrors::python_index::explain(&error),
        })?;
    Ok(ChosenWheel {
        name: wheel.filename.name.to_string(),
        version: wheel.filename.version.to_string(),
        filename,
        url: url.into(),
        sha256,
        size: wheel.file.size,
        requires,
        yanked: wheel
            .file
            .yanked
            .as_ref()
            .is_some_and(|yanked| yanked.is_yanked()),
    })
}
