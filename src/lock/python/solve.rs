//! Runs uv's resolver.
//!
//! This is where the library's types and ours meet; a newer version of it changes this file.

use std::collections::BTreeSet;
use std::sync::{Arc, Once};

use tokio::sync::Semaphore;
use uv_client::FlatIndexClient;
use uv_configuration::{BuildOptions, Excludes, IndexStrategy, NoBinary, NoBuild};
use uv_distribution::DistributionDatabase;
use uv_distribution_types::{ExcludeNewerValue, Index, Resolution};
use uv_normalize::PackageName;
use uv_pypi_types::Conflicts;
use uv_resolver::{
    AllowedYanks, DefaultResolverProvider, ExcludeNewer, Exclusions, FlatIndex, InMemoryIndex,
    Manifest, Options, OptionsBuilder, Preferences, Prerelease, PrereleaseMode, Resolver,
    ResolverEnvironment,
};
use uv_types::{BuildContext as _, EmptyInstalledPackages, HashStrategy};

use super::bounds::bounds;
use super::chosen::{Chosen, chosen};
use super::provider::Routed;
use super::requirements::Requirements;
use super::target::Target;
use super::wheels_only::WheelsOnly;
use super::{PythonError, PythonRequest, diagnose};
use crate::mirrors::package_indexes::PackageIndexes;
use crate::mirrors::python_index::{Connection, Freshness};

/// Requests at one time, to all hosts together.
const CONNECTIONS: usize = 16;

/// Prepares the client for the indexes of a request.
pub(super) async fn connect(
    request: &PythonRequest,
    indexes: &PackageIndexes,
    undated: &BTreeSet<String>,
) -> Result<Connection, PythonError> {
    static PREVIEW: Once = Once::new();
    // The library panics in places where nobody has said which of its preview features are on.
    PREVIEW.call_once(|| drop(uv_preview::set(uv_preview::Preview::default())));
    let PythonRequest {
        cache_dir, offline, ..
    } = request;
    Ok(Connection::open(indexes, cache_dir, *offline, Freshness::Cached, undated).await?)
}

/// What is to be solved, and what is known about it.
pub(super) struct Question<'a> {
    pub(super) asked: &'a Requirements,
    pub(super) target: &'a Target,
    pub(super) request: &'a PythonRequest,
    /// Packages that the machine's own indexes supply when the model's do not know them.
    pub(super) of_sdk: &'a BTreeSet<PackageName>,
}

/// Chooses a wheel for every package that the requirements lead to.
pub(super) async fn solve(
    connection: &Connection,
    question: &Question<'_>,
) -> Result<Chosen, PythonError> {
    let Question {
        asked,
        target,
        request,
        of_sdk,
    } = *question;
    let environment = ResolverEnvironment::specific(target.markers.clone().into());
    let manifest = manifest(asked, &environment);
    let options = options(request, asked);
    let context = WheelsOnly::new(connection.cache.clone(), connection.locations.clone());
    let database = DistributionDatabase::new(
        &connection.client,
        &context,
        Arc::new(Semaphore::new(CONNECTIONS)),
    );
    let hashes = asked.hashes(target)?;
    let flat_index = flat_index(connection, target, &hashes, request).await?;
    let inner = DefaultResolverProvider::new(
        database,
        &flat_index,
        Some(&target.tags),
        &target.requires_python,
        AllowedYanks::from_manifest(&manifest, &environment, options.dependency_mode),
        &hashes,
        options.exclude_newer.clone(),
        context.locations(),
        context.build_options(),
        context.capabilities(),
    );
    let index = InMemoryIndex::default();
    let resolver = Resolver::new_custom_io(
        manifest,
        options,
        &hashes,
        environment,
        &target.markers,
        Some(target.tags.clone()),
        &target.python,
        Conflicts::empty(),
        &index,
        context.git(),
        context.capabilities(),
        context.locations(),
        Routed {
            inner,
            connection,
            of_sdk,
        },
        EmptyInstalledPackages,
    );
    match resolver.resolve().await {
        Ok(output) => {
            let resolution = Resolution::from(output);
            let roots: Vec<_> = asked.all().map(|asked| asked.requirement.clone()).collect();
            let bounds = bounds(&resolution, &index, &roots, &target.markers);
            let mut chosen = chosen(&resolution, connection, &request.project)?;
            chosen.roots = asked.roots(target);
            chosen.bounds = bounds;
            Ok(chosen)
        }
        Err(error) => {
            let refused = connection.refused(context.capabilities());
            Err(match refused {
                Some(refusal) => PythonError::Refused(refusal.to_string()),
                None => diagnose::explain(error, connection, target, request).await,
            })
        }
    }
}

fn manifest(asked: &Requirements, environment: &ResolverEnvironment) -> Manifest {
    let requirements = asked.all().map(|asked| asked.requirement.clone());
    Manifest::new(
        requirements.collect(),
        asked.constraints(),
        asked.overrides(),
        Excludes::default(),
        Preferences::from_iter(asked.preferences.iter().cloned(), environment),
        None,
        BTreeSet::new(),
        Exclusions::default(),
        Vec::new(),
    )
}

/// The files that pages and folders of links have.
async fn flat_index(
    connection: &Connection,
    target: &Target,
    hashes: &HashStrategy,
    request: &PythonRequest,
) -> Result<FlatIndex, PythonError> {
    let client = &connection.client;
    let reader = FlatIndexClient::new(
        client.cached_client(),
        client.connectivity(),
        &connection.cache,
    );
    let links = connection.locations.flat_indexes().map(Index::url);
    let entries = reader.fetch_all(links).await.map_err(|error| {
        let reason = crate::mirrors::python_index::explain(&error);
        diagnose::unavailable(reason, request)
    })?;
    let tags = Some(&target.tags);
    Ok(FlatIndex::from_entries(
        entries,
        tags,
        hashes,
        &wheels_only(),
    ))
}

fn wheels_only() -> BuildOptions {
    BuildOptions::new(NoBinary::None, NoBuild::All)
}

fn options(request: &PythonRequest, asked: &Requirements) -> Options {
    let exclude_newer = request
        .exclude_newer
        .map(|cutoff| ExcludeNewer::global(ExcludeNewerValue::absolute(cutoff.timestamp())));
    let mut prerelease = Prerelease::default();
    if request.prerelease {
        prerelease.global = PrereleaseMode::Allow;
    }
    for name in asked.sdk_prereleases() {
        prerelease.package.insert(name, PrereleaseMode::Allow);
    }
    OptionsBuilder::new()
        .exclude_newer(exclude_newer.unwrap_or_default())
        .prerelease(prerelease)
        .index_strategy(IndexStrategy::FirstIndex)
        .build_options(wheels_only())
        .build()
}
