//! uv's HTTP client, taught this program's manners.
//!
//! Certificates come from SSL_CERT_FILE and SSL_CERT_DIR, else from the machine, else from the library. Requests say who
//! is asking; pages may not grow without bound; a web page is no wheel.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use reqwest::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::{Body, Request, Response, ResponseBuilderExt as _};
use reqwest_middleware::Next;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use url::Url;
use uv_cache::{Cache, Refresh};
use uv_client::{
    BaseClientBuilder, Certificates, Connectivity, ErrorKind, ExtraMiddleware, MetadataFormat,
    OwnedArchive, RegistryClient, RegistryClientBuilder,
};
use uv_configuration::IndexStrategy;
use uv_distribution_filename::DistFilename;
use uv_distribution_types::{File, Index, IndexCapabilities, IndexLocations, IndexUrl};
use uv_normalize::PackageName;

use super::{PythonIndexError, explain};
use crate::mirrors::pip_settings::{PackageIndexUrl, PackageIndexes, shown};

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

/// uv's client for the indexes of this machine, and its cache.
pub(crate) struct Connection {
    pub(crate) client: RegistryClient,
    pub(crate) cache: Cache,
    pub(crate) locations: IndexLocations,
}

impl Connection {
    /// Opens the cache and prepares the client; no request is made.
    pub(crate) async fn open(
        indexes: &PackageIndexes,
        cache_dir: &Path,
        offline: bool,
        strategy: IndexStrategy,
        freshness: Freshness,
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
        let address = |url: &PackageIndexUrl| IndexUrl::parse(url.expose().as_str(), None);
        let mut all = Vec::new();
        for extra in indexes.extra() {
            let url = address(extra).map_err(|error| setup(&error))?;
            all.push(Index::from_extra_index_url(url));
        }
        let default = address(indexes.default()).map_err(|error| setup(&error))?;
        all.push(Index::from_index_url(default));
        let locations = IndexLocations::new(all, Vec::new(), false);
        let build = |base| {
            RegistryClientBuilder::new(base, cache.clone())
                .index_locations(locations.clone())
                .index_strategy(strategy)
                .build()
        };
        let client = build(base_client(offline, Roots::OfThisMachine))
            // A machine without any certificates of its own still has the bundled ones.
            .or_else(|_| build(base_client(offline, Roots::Bundled)))
            .map_err(|error| setup(&error))?;
        Ok(Self {
            client,
            cache,
            locations,
        })
    }

    /// Reads a project's page.
    pub(crate) async fn files(&self, name: &PackageName) -> Result<Vec<ListedFile>, PageFailure> {
        let client = self.client.clone();
        let name = name.clone();
        // The library's future stays on one thread, ours may be polled from any.
        let pages = tokio::task::spawn_blocking(move || {
            Handle::current().block_on(async {
                let (capabilities, one) = (IndexCapabilities::default(), Semaphore::new(1));
                let pages = client
                    .simple_detail(&name, None, &capabilities, &one)
                    .await?;
                let listed = pages.into_iter().filter_map(|(_, page)| match page {
                    MetadataFormat::Simple(page) => Some(OwnedArchive::deserialize(&page)),
                    MetadataFormat::Flat(_) => None,
                });
                let versions = listed
                    .flatten()
                    .flat_map(|version| version.files.all(&name));
                Ok(versions
                    .filter_map(|(filename, file)| listed_file(&filename, &file))
                    .collect())
            })
        });
        let pages = pages
            .await
            .map_err(|error| PageFailure::Other(error.to_string()))?;
        pages.map_err(|error: uv_client::Error| match error.kind() {
            ErrorKind::RemotePackageNotFound(_) => PageFailure::Unknown,
            ErrorKind::Offline(_) => PageFailure::Offline,
            _ => PageFailure::Other(explain(&error)),
        })
    }
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
