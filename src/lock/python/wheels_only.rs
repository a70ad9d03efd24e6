//! Answers the resolver's questions about building from source: never.
//!
//! The library asks its host for an interpreter, for build settings and for builds. That it never gets as far is what makes
//! it independent of any Python on this machine: what it wants to know about a source is answered before by
//! [`super::provider`].

use std::path::{Path, PathBuf};

use uv_cache::Cache;
use uv_configuration::{BuildKind, BuildOptions, BuildOutput, NoSources};
use uv_distribution_filename::DistFilename;
use uv_distribution_types::{
    CachedDist, ConfigSettings, DependencyMetadata, ExtraBuildRequires, ExtraBuildVariables,
    IndexCapabilities, IndexLocations, IsBuildBackendError, PackageConfigSettings, Requirement,
    SourceDist,
};
use uv_git::GitResolver;
use uv_python::{Interpreter, PythonEnvironment};
use uv_types::{
    AnyErrorBuild, BuildArena, BuildContext, BuildIsolation, BuildStack, ResolvedRequirements,
    SourceBuildTrait,
};
use uv_workspace::WorkspaceCache;

/// The settings that the resolver may look at.
pub(super) struct NothingBuilt {
    cache: Cache,
    locations: IndexLocations,
    options: BuildOptions,
    git: GitResolver,
    arena: BuildArena<NoSourceBuild>,
    capabilities: IndexCapabilities,
    metadata: DependencyMetadata,
    settings: ConfigSettings,
    package_settings: PackageConfigSettings,
    sources: NoSources,
    workspaces: WorkspaceCache,
    build_requires: ExtraBuildRequires,
    build_variables: ExtraBuildVariables,
}

impl NothingBuilt {
    pub(super) fn new(cache: Cache, locations: IndexLocations, options: BuildOptions) -> Self {
        Self {
            cache,
            locations,
            options,
            git: GitResolver::default(),
            arena: BuildArena::default(),
            capabilities: IndexCapabilities::default(),
            metadata: DependencyMetadata::default(),
            settings: ConfigSettings::default(),
            package_settings: PackageConfigSettings::default(),
            sources: NoSources::All,
            workspaces: WorkspaceCache::default(),
            build_requires: ExtraBuildRequires::default(),
            build_variables: ExtraBuildVariables::default(),
        }
    }
}

/// What asking for a build gives.
#[derive(Debug, thiserror::Error)]
#[error("building from source is not possible while locking")]
pub(super) struct NoBuildHere;

impl uv_errors::Hint for NoBuildHere {}

impl IsBuildBackendError for NoBuildHere {
    fn is_build_backend_error(&self) -> bool {
        false
    }
}

/// There is no value of this type, as there is no build.
pub(super) enum NoSourceBuild {}

impl SourceBuildTrait for NoSourceBuild {
    async fn metadata(&mut self) -> Result<Option<PathBuf>, AnyErrorBuild> {
        match *self {}
    }

    async fn wheel<'a>(&'a self, _: &'a Path) -> Result<String, AnyErrorBuild> {
        match *self {}
    }
}

#[expect(
    refining_impl_trait,
    reason = "the trait hides the error types, which are ours and the same everywhere"
)]
impl BuildContext for NothingBuilt {
    type SourceDistBuilder = NoSourceBuild;

    async fn interpreter(&self) -> &Interpreter {
        unreachable!("the library asks for an interpreter only when it may build, and it may not")
    }

    fn cache(&self) -> &Cache {
        &self.cache
    }

    fn git(&self) -> &GitResolver {
        &self.git
    }

    fn build_arena(&self) -> &BuildArena<NoSourceBuild> {
        &self.arena
    }

    fn capabilities(&self) -> &IndexCapabilities {
        &self.capabilities
    }

    fn dependency_metadata(&self) -> &DependencyMetadata {
        &self.metadata
    }

    fn build_options(&self) -> &BuildOptions {
        &self.options
    }

    fn build_isolation(&self) -> BuildIsolation<'_> {
        BuildIsolation::Isolated
    }

    fn config_settings(&self) -> &ConfigSettings {
        &self.settings
    }

    fn config_settings_package(&self) -> &PackageConfigSettings {
        &self.package_settings
    }

    fn sources(&self) -> &NoSources {
        &self.sources
    }

    fn locations(&self) -> &IndexLocations {
        &self.locations
    }

    fn workspace_cache(&self) -> &WorkspaceCache {
        &self.workspaces
    }

    fn extra_build_requires(&self) -> &ExtraBuildRequires {
        &self.build_requires
    }

    fn extra_build_variables(&self) -> &ExtraBuildVariables {
        &self.build_variables
    }

    async fn resolve<'a>(
        &'a self,
        _: &'a [Requirement],
        _: &'a BuildStack,
    ) -> Result<ResolvedRequirements, NoBuildHere> {
        Err(NoBuildHere)
    }

    async fn install<'a>(
        &'a self,
        _: &'a ResolvedRequirements,
        _: &'a PythonEnvironment,
        _: &'a BuildStack,
    ) -> Result<Vec<CachedDist>, NoBuildHere> {
        Err(NoBuildHere)
    }

    async fn setup_build<'a>(
        &'a self,
        _: &'a Path,
        _: Option<&'a Path>,
        _: &'a Path,
        _: Option<&'a Path>,
        _: Option<&'a str>,
        _: Option<&'a SourceDist>,
        _: &'a NoSources,
        _: BuildKind,
        _: BuildOutput,
        _: BuildStack,
    ) -> Result<NoSourceBuild, NoBuildHere> {
        Err(NoBuildHere)
    }

    async fn direct_build<'a>(
        &'a self,
        _: &'a Path,
        _: Option<&'a Path>,
        _: &'a Path,
        _: NoSources,
        _: BuildKind,
        _: Option<&'a str>,
    ) -> Result<Option<DistFilename>, NoBuildHere> {
        Err(NoBuildHere)
    }
}
