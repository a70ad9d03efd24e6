//! Decides which index is asked for which package.
//!
//! The library knows indexes that are asked for everything, and does that by itself. What it does not know is an index
//! that some packages come from wherever they are needed, and that is put in front of it here.

use std::collections::BTreeSet;
use std::sync::Arc;

use uv_distribution::Reporter;
use uv_distribution_types::{Dist, IndexMetadata, InstalledDist};
use uv_normalize::PackageName;
use uv_resolver::{
    DefaultResolverProvider, PackageVersionsResult, ResolverProvider, VersionsResponse,
    WheelMetadataResult,
};

use super::wheels_only::WheelsOnly;
use crate::mirrors::package_indexes::{PackageIndex, Route};
use crate::mirrors::python_index::Connection;

/// The library's own provider, behind our rules.
pub(super) struct Routed<'a> {
    pub(super) inner: DefaultResolverProvider<'a, WheelsOnly>,
    pub(super) connection: &'a Connection,
    /// Packages that the machine's own indexes supply when the model's do not know them.
    pub(super) of_sdk: &'a BTreeSet<PackageName>,
}

impl Routed<'_> {
    async fn ask(&self, index: &PackageIndex, name: &PackageName) -> PackageVersionsResult {
        match Connection::metadata_of(index) {
            Ok(metadata) => self.inner.get_package_versions(name, Some(&metadata)).await,
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
            return self.inner.get_package_versions(name, index).await;
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
        let answer = self.inner.get_package_versions(name, None).await?;
        if matches!(answer, VersionsResponse::NotFound) && self.of_sdk.contains(name) {
            return self.first(indexes.of_sdk(), name).await;
        }
        Ok(answer)
    }

    async fn get_or_build_wheel_metadata<'io>(&'io self, dist: &'io Dist) -> WheelMetadataResult {
        self.inner.get_or_build_wheel_metadata(dist).await
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
