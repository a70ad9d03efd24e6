//! uv's HTTP client, taught this program's manners.
//!
//! Certificates come from SSL_CERT_FILE and SSL_CERT_DIR, else from the machine, else from the library. Requests say who
//! is asking; pages may not grow without bound; a web page is no wheel.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use reqwest::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::{Body, Request, Response, ResponseBuilderExt as _, StatusCode};
use reqwest_middleware::Next;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use url::Url;
use uv_cache::{Cache, Refresh};
use uv_client::{
    BaseClientBuilder, Certificates, Connectivity, ErrorKind, ExtraMiddleware, FlatIndexEntry,
    MetadataFormat, OwnedArchive, RegistryClient, RegistryClientBuilder,
};
use uv_configuration::IndexStrategy;
use uv_distribution_filename::DistFilename;
use uv_distribution_types::{
    ExcludeNewerOverride, File, Index, IndexCapabilities, IndexFormat, IndexLocations,
    IndexMetadata, IndexMetadataRef, IndexUrl, IndexUrlError,
};
use uv_normalize::PackageName;
use uv_redacted::DisplaySafeUrl;

use super::{PythonIndexError, explain};
use crate::mirrors::package_indexes::{FindLinks, PackageIndex, PackageIndexes, Route, Scope};
use crate::mirrors::pip_settings::shown;

/// A file on a project page.
pub(crate) struct ListedFile {
    pub(crate) filename: String,
    /// Without fragment, and without the index's credentials.
    pub(crate) url: Url,
    pub(crate) is_wheel: bool,
    /// Whether the index says when it was uploaded.
    pub(crate) is_dated: bool,
}

/// Why there is no project page.
pub(crate) enum PageFailure {
    /// Every index says that it has no such project.
    Unknown,
    /// An index wants credentials: its name, its address, and the status that says so.
    Refused(Box<Refusal>),
    /// The network is switched off and the page is not in the cache.
    Offline,
    /// Anything else, in words.
    Other(String),
}

/// Whether pages that the cache holds are believed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// As far as HTTP's rules allow.
    Cached,
    /// Never without asking.
    Ask,
}

/// The folder of index pages and wheel metadata below the cache folder. Its layout is the library's.
const CACHE: &str = "python-index";

/// An index that does not answer to this machine.
pub(crate) struct Refusal {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) status: StatusCode,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, url, status } = self;
        let variable: String = name.chars().map(variable_letter).collect();
        write!(
            formatter,
            "the package index {name} ({url}) answered {status}; credentials for it can be set by UV_INDEX_{variable}_USERNAME and UV_INDEX_{variable}_PASSWORD, or in the netrc file"
        )
    }
}

fn variable_letter(letter: char) -> char {
    if letter.is_ascii_alphanumeric() {
        letter.to_ascii_uppercase()
    } else {
        '_'
    }
}

/// uv's client for the indexes of a model, and its cache.
pub(crate) struct Connection {
    pub(crate) client: RegistryClient,
    pub(crate) cache: Cache,
    pub(crate) locations: IndexLocations,
    indexes: PackageIndexes,
}

impl Connection {
    /// Opens the cache and prepares the client; no request is made. Files of `undated` indexes have no age.
    pub(crate) async fn open(
        indexes: &PackageIndexes,
        cache_dir: &Path,
        offline: bool,
        freshness: Freshness,
        undated: &BTreeSet<String>,
    ) -> Result<Self, PythonIndexError> {
        let setup = |error: &(dyn StdError + 'static)| PythonIndexError::Setup(explain(error));
        let cache = Cache::from_path(cache_dir.join(CACHE))
            .with_refresh(Refresh::from_args(
                Some(freshness == Freshness::Ask),
                Vec::new(),
            ))
            .init()
            .await
            .map_err(|error| PythonIndexError::Cache {
                path: cache_dir.to_owned(),
                reason: explain(&error),
            })?;
        let locations = locations(indexes, cache_dir, undated);
        let locations = locations.map_err(|error| setup(&error))?;
        let build = |roots| {
            let base = base_client(offline, roots);
            for address in indexes.with_credentials() {
                // What cannot be a header is left out, and the index says that it misses it.
                let _ = base.store_credentials_from_url(DisplaySafeUrl::ref_cast(&address));
            }
            RegistryClientBuilder::new(base, cache.clone())
                .index_locations(locations.clone())
                .index_strategy(IndexStrategy::FirstIndex)
                .build()
        };
        let client = build(Roots::OfThisMachine)
            // A machine without any certificates of its own still has the bundled ones.
            .or_else(|_| build(Roots::Bundled))
            .map_err(|error| setup(&error))?;
        Ok(Self {
            client,
            cache,
            locations,
            indexes: indexes.clone(),
        })
    }

    /// The indexes that it is connected to.
    pub(crate) fn indexes(&self) -> &PackageIndexes {
        &self.indexes
    }

    /// How the library is told to ask one index.
    pub(crate) fn metadata_of(index: &PackageIndex) -> Result<IndexMetadata, IndexUrlError> {
        Ok(IndexMetadata {
            url: IndexUrl::parse(index.url.url().as_str(), None)?,
            format: IndexFormat::Simple,
        })
    }

    /// The index or page that the library means, by the name that a lock knows it by; none for folders.
    pub(crate) fn name_of(&self, url: &IndexUrl) -> Option<&str> {
        let url: &Url = url;
        let index = self.indexes.iter().find(|index| index.url.url() == url);
        let page = |page: &FindLinks| page.url().is_some_and(|own| own.url() == url);
        let page = || self.indexes.find_links().iter().find(|links| page(links));
        index
            .map(|index| index.name.as_str())
            .or_else(|| page()?.name())
    }

    /// Asks in the order in which a package is looked for, and returns the files of the first place that knows it,
    /// with the place's name.
    pub(crate) async fn files(
        &self,
        name: &PackageName,
    ) -> Result<(String, Vec<ListedFile>), PageFailure> {
        let (first, general): (Vec<_>, Vec<_>) = match self.indexes.route(name) {
            Route::Only(index) => (vec![index], Vec::new()),
            Route::First(first) => (first, self.indexes.general().collect()),
        };
        for index in first.iter().chain(&general) {
            match self.page(index, name).await {
                Err(PageFailure::Unknown) => {}
                Ok(files) => return Ok((index.name.clone(), files)),
                Err(failure) => return Err(failure),
            }
        }
        Err(PageFailure::Unknown)
    }

    /// Reads a project's page of one index.
    pub(crate) async fn page(
        &self,
        index: &PackageIndex,
        name: &PackageName,
    ) -> Result<Vec<ListedFile>, PageFailure> {
        let metadata = Self::metadata_of(index);
        let metadata = metadata.map_err(|error| PageFailure::Other(explain(&error)))?;
        self.listed(metadata, &index.name, name).await
    }

    /// Reads the links to files of a project on a page of links.
    pub(crate) async fn linked(
        &self,
        links: &FindLinks,
        name: &PackageName,
    ) -> Result<Vec<ListedFile>, PageFailure> {
        let url = links_url(links).map_err(|error| PageFailure::Other(explain(&error)))?;
        let format = IndexFormat::Flat;
        let metadata = IndexMetadata { url, format };
        self.listed(metadata, links.name().unwrap_or_default(), name)
            .await
    }

    async fn listed(
        &self,
        metadata: IndexMetadata,
        index: &str,
        name: &PackageName,
    ) -> Result<Vec<ListedFile>, PageFailure> {
        let client = self.client.clone();
        let (name, index) = (name.clone(), index.to_owned());
        // The library's future stays on one thread, ours may be polled from any.
        let pages = tokio::task::spawn_blocking(move || {
            Handle::current().block_on(async {
                let (capabilities, one) = (IndexCapabilities::default(), Semaphore::new(1));
                let asked = Some(IndexMetadataRef::from(&metadata));
                let pages = client.simple_detail(&name, asked, &capabilities, &one);
                let error = match pages.await {
                    Ok(pages) => return Ok(listed_files(pages, &name)),
                    Err(error) => error,
                };
                if let Some(refusal) = refusal(&capabilities, &metadata.url, &index) {
                    return Err(PageFailure::Refused(Box::new(refusal)));
                }
                Err(match error.kind() {
                    ErrorKind::RemotePackageNotFound(_) => PageFailure::Unknown,
                    ErrorKind::Offline(_) => PageFailure::Offline,
                    _ => PageFailure::Other(explain(&error)),
                })
            })
        });
        pages
            .await
            .map_err(|error| PageFailure::Other(error.to_string()))?
    }

    /// An index that wanted credentials while something was looked for, if there is one.
    pub(crate) fn refused(&self, capabilities: &IndexCapabilities) -> Option<Refusal> {
        self.indexes.iter().find_map(|index| {
            let metadata = Self::metadata_of(index).ok()?;
            refusal(capabilities, &metadata.url, &index.name)
        })
    }
}

fn refusal(capabilities: &IndexCapabilities, url: &IndexUrl, name: &str) -> Option<Refusal> {
    let status = if capabilities.unauthorized(url) {
        StatusCode::UNAUTHORIZED
    } else if capabilities.forbidden(url) {
        StatusCode::FORBIDDEN
    } else {
        return None;
    };
    let (name, url) = (name.to_owned(), shown(url));
    Some(Refusal { name, url, status })
}

/// Tells the library about all indexes. Those that are asked for some packages only it knows as explicit ones.
fn locations(
    indexes: &PackageIndexes,
    cache_dir: &Path,
    undated: &BTreeSet<String>,
) -> Result<IndexLocations, IndexUrlError> {
    let mut all = Vec::new();
    for index in indexes.iter() {
        let url = IndexUrl::parse(index.url.url().as_str(), None)?;
        let mut told = Index::from_extra_index_url(url);
        told.explicit = index.scope != Scope::Any;
        if undated.contains(&index.name) {
            told.exclude_newer = Some(ExcludeNewerOverride::Disabled);
        }
        all.push(told);
    }
    match all.iter_mut().rfind(|told| !told.explicit) {
        Some(last) => last.default = true,
        None => {
            // Without a default the library would take one of its own. This one is never there, so it knows nothing.
            let nowhere = cache_dir.join("no-index");
            let url = IndexUrl::parse(&nowhere.to_string_lossy(), None)?;
            all.push(Index::from_index_url(url));
        }
    }
    let links = indexes.find_links().iter();
    let links = links.map(|links| Ok(Index::from_find_links(links_url(links)?)));
    let links = links.collect::<Result<_, IndexUrlError>>()?;
    Ok(IndexLocations::new(all, links, false))
}

fn links_url(links: &FindLinks) -> Result<IndexUrl, IndexUrlError> {
    match links {
        FindLinks::Page { url, .. } => IndexUrl::parse(url.url().as_str(), None),
        FindLinks::Folder { path, .. } => IndexUrl::parse(&path.to_string_lossy(), None),
    }
}

fn listed_files(pages: Vec<(&IndexUrl, MetadataFormat)>, name: &PackageName) -> Vec<ListedFile> {
    let mut files = Vec::new();
    for (_, page) in pages {
        match page {
            MetadataFormat::Simple(page) => {
                let versions = OwnedArchive::deserialize(&page).into_iter();
                let listed = versions.flat_map(|version| version.files.all(name));
                files.extend(listed.filter_map(|(filename, file)| listed_file(&filename, &file)));
            }
            MetadataFormat::Flat(entries) => {
                let entries = entries.into_iter().map(FlatIndexEntry::into_parts);
                files.extend(
                    entries.filter_map(|(filename, file, _)| listed_file(&filename, &file)),
                );
            }
        }
    }
    files
}

fn listed_file(filename: &DistFilename, file: &File) -> Option<ListedFile> {
    let mut url = Url::from(file.url.to_url().ok()?);
    url.set_fragment(None);
    Some(ListedFile {
        filename: file.filename.to_string(),
        url,
        is_wheel: matches!(filename, DistFilename::WheelFilename(_)),
        is_dated: file.upload_time_utc_ms.is_some(),
    })
}

/// Which certificate authorities are believed when SSL_CERT_FILE and SSL_CERT_DIR name none.
enum Roots {
    OfThisMachine,
    Bundled,
}

fn base_client(offline: bool, roots: Roots) -> BaseClientBuilder<'static> {
    let connectivity = if offline {
        Connectivity::Offline
    } else {
        Connectivity::Online
    };
    let builder = BaseClientBuilder::default()
        .connectivity(connectivity)
        .extra_middleware(ExtraMiddleware(vec![Arc::new(well_behaved)]))
        .no_retry_delay(cfg!(test));
    match (Certificates::from_env(), roots) {
        (Some(certificates), _) => builder.custom_certificates(certificates),
        (None, Roots::OfThisMachine) => builder.with_system_certs(true),
        (None, Roots::Bundled) => builder,
    }
}

/// A project page may have this many bytes; the largest real ones have a tenth of it.
const PAGE_LIMIT: usize = 64 << 20;

/// Says who is asking, which the library itself would not, and ends pages that grow without bound.
fn well_behaved<'a>(
    mut request: Request,
    extensions: &'a mut http::Extensions,
    next: Next<'a>,
) -> BoxFuture<'a, reqwest_middleware::Result<Response>> {
    const NAME: HeaderValue =
        HeaderValue::from_static(concat!("cognix/", env!("CARGO_PKG_VERSION")));
    Box::pin(async move {
        request.headers_mut().insert(USER_AGENT, NAME);
        let is_wheel = request.url().path().ends_with(".whl");
        let response = next.run(request, extensions).await?;
        let content_type = response.headers().get(CONTENT_TYPE);
        let is = |format| content_type.is_some_and(|value| contains(value.as_bytes(), format));
        if is_wheel && is("text/html") && response.status().is_success() {
            return Err(reqwest_middleware::Error::middleware(WebPage(shown(
                response.url(),
            ))));
        }
        let is_page = is("html") || is("json") || is("msgpack");
        Ok(if is_page {
            limited(response, PAGE_LIMIT)
        } else {
            response
        })
    })
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// What answers for a wheel when a proxy or a portal steps in between.
#[derive(Debug, thiserror::Error)]
#[error("a web page came instead of a wheel from {0} (a login or an error page, perhaps)")]
struct WebPage(String);

/// The same response, whose body fails once it has more than `limit` bytes (after decompression).
pub(super) fn limited(response: Response, limit: usize) -> Response {
    type Failure = Box<dyn StdError + Send + Sync>;
    let mut parts = http::Response::builder()
        .status(response.status())
        .version(response.version())
        .url(response.url().clone());
    if let Some(headers) = parts.headers_mut() {
        headers.clone_from(response.headers());
    }
    let mut left = limit;
    let body = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(Failure::from)?;
        left = left.checked_sub(chunk.len()).ok_or_else(|| {
            Failure::from(format!(
                "the page has more than {limit} bytes, which no project page has"
            ))
        })?;
        Ok::<_, Failure>(chunk)
    });
    parts
        .body(Body::wrap_stream(body))
        .expect("the parts come from a response")
        .into()
}
