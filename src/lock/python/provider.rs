//! Decides which index is asked for which package.
//!
//! The library knows indexes that are asked for everything, and does that by itself. What it does not know is an index
//! that some packages come from wherever they are needed, and that is put in front of it here. So is which packages may come
//! as source; and what the library would have to build a source for is answered from what is known.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use uv_distribution::{ArchiveMetadata, Reporter};
use uv_distribution_types::{Dist, IndexMetadata, InstalledDist, RequestedDist, SourceDist};
use uv_normalize::PackageName;
use uv_resolver::{
    DefaultResolverProvider, MetadataResponse, PackageVersionsResult, ResolverProvider,
    VersionsResponse, WheelMetadataResult,
};

use super::PythonError;
use super::chosen::source_file;
use super::solve::Question;
use super::sources::SourceFile;
use super::wheels_only::NothingBuilt;
use crate::mirrors::package_indexes::{PackageIndex, Route};
use crate::mirrors::python_index::Connection;

/// The library's own provider, behind our rules.
pub(super) struct Routed<'a> {
    pub(super) inner: DefaultResolverProvider<'a, NothingBuilt>,
    pub(super) sources: Sources<'a>,
    pub(super) connection: &'a Connection,
    /// Packages that the machine's own indexes supply when the model's do not know them.
    pub(super) of_sdk: &'a BTreeSet<PackageName>,
}

/// What is known about sources, and where it is told what is not.
pub(super) struct Sources<'a> {
    /// Knows the versions that exist as source too.
    pub(super) provider: DefaultResolverProvider<'a, NothingBuilt>,
    pub(super) question: &'a Question<'a>,
    /// The first source that was asked about in vain.
    pub(super) unknown: &'a Mutex<Option<Result<SourceFile, PythonError>>>,
}

impl Sources<'_> {
    fn metadata(&self, source: &SourceDist, connection: &Connection) -> MetadataResponse {
        let file = source_file(source, connection, self.question);
        let facts = file.as_ref().ok().and_then(|file| {
            let mut facts = self.question.facts.iter();
            facts.find(|facts| facts.are_about(file))
        });
        if let Some(facts) = facts {
            let metadata = facts.metadata.clone();
            return MetadataResponse::Found(ArchiveMetadata::from_metadata23(metadata));
        }
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.get_or_insert(file);
        // The attempt ends here, and is made again when the answer is known.
        let dist = RequestedDist::Installable(Dist::Source(source.clone()));
        MetadataResponse::Error(Box::new(dist), Arc::new(uv_distribution::Error::NoBuild))
    }
}

impl<'a> Routed<'a> {
    /// Who knows the versions of a package.
    fn provider(&self, name: &PackageName) -> &DefaultResolverProvider<'a, NothingBuilt> {
        match self.sources.question.may_be_source(name) {
            true => &self.sources.provider,
            false => &self.inner,
        }
    }

    async fn ask(&self, index: &PackageIndex, name: &PackageName) -> PackageVersionsResult {
        match Connection::metadata_of(index) {
            Ok(metadata) => {
                let provider = self.provider(name);
                provider.get_package_versions(name, Some(&metadata)).await
            }
            // Its address was understood when the connection was opened, so this is never reached.
            Err(_) => Ok(VersionsResponse::NotFound),
        }
    }

    /// The answer of the first that knows a package.
    async fn first<'i>(
        &self,
        indexes: impl Iterator<Item = &'i PackageIndex>,
        name: &PackageName,
    ) -> PackageVersionsResult {
        for index in indexes {
            let answer = self.ask(index, name).await?;
            if !matches!(answer, VersionsResponse::NotFound) {
                return Ok(answer);
            }
        }
        Ok(VersionsResponse::NotFound)
    }
}

impl ResolverProvider for Routed<'_> {
    async fn get_package_versions<'io>(
        &'io self,
        name: &'io PackageName,
        index: Option<&'io IndexMetadata>,
    ) -> PackageVersionsResult {
        if index.is_some() {
            return self.provider(name).get_package_versions(name, index).await;
        }
        let indexes = self.connection.indexes();
        let first = match indexes.route(name) {
            Route::Only(index) => return self.ask(index, name).await,
            Route::First(first) => first,
        };
        let answer = self.first(first.into_iter(), name).await?;
        if !matches!(answer, VersionsResponse::NotFound) {
            return Ok(answer);
        }
        let answer = self.provider(name).get_package_versions(name, None).await?;
        if matches!(answer, VersionsResponse::NotFound) && self.of_sdk.contains(name) {
            return self.first(indexes.of_sdk(), name).await;
        }
        Ok(answer)
    }

    async fn get_or_build_wheel_metadata<'io>(&'io self, dist: &'io Dist) -> WheelMetadataResult {
        match dist {
            Dist::Source(source) => Ok(self.sources.metadata(source, self.connection)),
            Dist::Built(_) => self.inner.get_or_build_wheel_metadata(dist).await,
        }
    }

    async fn get_installed_metadata<'io>(
        &'io self,
        dist: &'io InstalledDist,
    ) -> WheelMetadataResult {
        self.inner.get_installed_metadata(dist).await
    }

    fn with_reporter(self, reporter: Arc<dyn Reporter>) -> Self {
        Self {
            inner: self.inner.with_reporter(reporter),
            ..self
        }
    }
}
