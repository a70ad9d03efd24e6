//! Runs uv's resolver.
//!
//! This is where the library's types and ours meet; a newer version of it changes this file.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Once, PoisonError};

use tokio::sync::Semaphore;
use uv_client::{FlatIndexClient, FlatIndexEntries};
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
use uv_types::{BuildContext as _, EmptyInstalledPackages};

use super::bounds::bounds;
use super::chosen::{Chosen, chosen};
use super::provider::{Routed, Sources};
use super::requirements::Requirements;
use super::sources::{self, SourceFacts, SourceFile};
use super::target::Target;
use super::wheels_only::NothingBuilt;
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
    /// What is known about source archives.
    pub(super) facts: &'a [SourceFacts],
    /// Packages that may come as source because there was no way without.
    pub(super) from_source: &'a BTreeSet<PackageName>,
}

impl Question<'_> {
    /// Whether a package may come as source.
    pub(super) fn may_be_source(&self, name: &PackageName) -> bool {
        self.from_source.contains(name) || self.must_be_source(name)
    }

    /// Whether somebody asked for a package's source.
    pub(super) fn must_be_source(&self, name: &PackageName) -> bool {
        let asked = |word: &String| match word.as_str() {
            // The SDK is not the model's.
            ":all:" => !["cog", "coglet"].contains(&name.as_str()),
            word => word.parse::<PackageName>().is_ok_and(|word| word == *name),
        };
        self.request.no_binary.iter().any(asked)
    }

    /// What may be taken of packages that may come as source.
    fn with_sources(&self) -> BuildOptions {
        let words = self.request.no_binary.iter();
        let no_binary = match words.clone().any(|word| word == ":all:") {
            true => NoBinary::All,
            false => NoBinary::Packages(words.filter_map(|word| word.parse().ok()).collect()),
        };
        BuildOptions::new(no_binary, NoBuild::None)
    }
}

/// What came of solving.
pub(super) enum Solved {
    Chosen(Chosen),
    /// The dependencies of a source archive have to be known first.
    Unknown(Box<SourceFile>),
}

/// Chooses a file for every package that the requirements lead to.
pub(super) async fn solve(
    connection: &Connection,
    question: &Question<'_>,
) -> Result<Solved, PythonError> {
    let Question {
        asked,
        target,
        request,
        of_sdk,
        ..
    } = *question;
    let environment = ResolverEnvironment::specific(target.markers.clone().into());
    let manifest = manifest(asked, &environment);
    let options = options(request, asked);
    let context = |options| {
        let (cache, locations) = (connection.cache.clone(), connection.locations.clone());
        NothingBuilt::new(cache, locations, options)
    };
    let (wheels, both) = (context(wheels_only()), context(question.with_sources()));
    let semaphore = Arc::new(Semaphore::new(CONNECTIONS));
    let hashes = asked.hashes(target)?;
    let entries = flat_entries(connection, request).await?;
    let tags = Some(&target.tags);
    let flat = |context: &NothingBuilt| {
        FlatIndex::from_entries(entries.clone(), tags, &hashes, context.build_options())
    };
    let (flat_wheels, flat_both) = (flat(&wheels), flat(&both));
    let provider = |context, flat_index| {
        let semaphore = Arc::clone(&semaphore);
        DefaultResolverProvider::new(
            DistributionDatabase::new(&connection.client, context, semaphore),
            flat_index,
            tags,
            &target.requires_python,
            AllowedYanks::from_manifest(&manifest, &environment, options.dependency_mode),
            &hashes,
            options.exclude_newer.clone(),
            NothingBuilt::locations(context),
            context.build_options(),
            // Both learn what the indexes can do in one place.
            wheels.capabilities(),
        )
    };
    let inner = provider(&wheels, &flat_wheels);
    let with_sources = provider(&both, &flat_both);
    let unknown = Mutex::new(None);
    let context = &wheels;
    sources::tell(context.git(), question.facts);
    let index = InMemoryIndex::default();
    let resolver = Resolver::new_custom_io(
        manifest.clone(),
        options.clone(),
        &hashes,
        environment.clone(),
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
            sources: Sources {
                provider: with_sources,
                question,
                unknown: &unknown,
            },
            connection,
            of_sdk,
        },
        EmptyInstalledPackages,
    );
    let resolved = resolver.resolve().await;
    // An answer without these dependencies would be one of luck.
    if let Some(source) = unknown.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Ok(Solved::Unknown(Box::new(source?)));
    }
    match resolved {
        Ok(output) => {
            let resolution = Resolution::from(output);
            let roots: Vec<_> = asked.all().map(|asked| asked.requirement.clone()).collect();
            let bounds = bounds(&resolution, &index, &roots, &target.markers);
            let mut chosen = match chosen(&resolution, connection, question)? {
                Ok(chosen) => chosen,
                Err(source) => return Ok(Solved::Unknown(source)),
            };
            chosen.roots = asked.roots(target);
            chosen.bounds = bounds;
            Ok(Solved::Chosen(chosen))
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
async fn flat_entries(
    connection: &Connection,
    request: &PythonRequest,
) -> Result<FlatIndexEntries, PythonError> {
    let client = &connection.client;
    let reader = FlatIndexClient::new(
        client.cached_client(),
        client.connectivity(),
        &connection.cache,
    );
    let links = connection.locations.flat_indexes().map(Index::url);
    reader.fetch_all(links).await.map_err(|error| {
        let reason = crate::mirrors::python_index::explain(&error);
        diagnose::unavailable(reason, request)
    })
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
