//! Files from mirrors: asked for, resumed, verified.
//!
//! A [`Fetcher`] gets one file at a time into a place of the caller's, from the first source that has the right bytes. A
//! mirror can slow this down or make it fail, never change the result. Nothing here knows store paths from the inside, and
//! where mirrors are is [`Mirrors`]' business.

mod error;
mod mirrors;
mod partial;
mod retry;
#[cfg(test)]
pub(crate) mod server;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cognix_derivations::{NixHash, StorePath};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::events::{Event, EventSink};

pub use error::FetchError;
pub use mirrors::{BoxFuture, DirectOnly, MirrorError, Mirrors};

/// How to download. The defaults are those of the documentation; every number can be changed.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// How many requests may run at once.
    pub connections: usize,
    /// How many of them may go to one host.
    pub connections_per_host: usize,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a server may say nothing.
    pub idle_timeout: Duration,
    /// How often a request is tried again without having got any further.
    pub retries: u32,
    /// The wait before the first retry, on average; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait that a server can ask for.
    pub longest_wait: Duration,
    /// How many redirects are followed.
    pub redirects: usize,
    /// The longest file when no size was announced.
    pub largest_file: u64,
    /// What we call ourselves.
    pub user_agent: String,
    /// Whether the environment's proxy variables count.
    pub proxies: bool,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            connections: 16,
            connections_per_host: 6,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            retries: 3,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            redirects: 5,
            largest_file: 16 << 30,
            user_agent: concat!("cognix/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxies: true,
        }
    }
}

/// One file that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct FetchRequest<'a> {
    /// The derivation that wants it, for events.
    pub derivation: &'a StorePath,
    /// What to call it in messages.
    pub name: &'a str,
    /// Where it may be: real URLs or those of mirrors, in order of preference.
    pub urls: &'a [String],
    /// The digest of its bytes. Without one, whoever takes the file must check it in another way.
    pub expected: Option<&'a NixHash>,
    /// Its size, where known.
    pub size: Option<u64>,
}

/// A file that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// How long it is.
    pub size: u64,
    /// How much of it came over the network in this run.
    pub transferred: u64,
}

/// Downloads files. Limits, and what was learnt about sources, are shared by all who use one fetcher.
pub struct Fetcher {
    options: FetchOptions,
    mirrors: Arc<dyn Mirrors>,
    events: Arc<dyn EventSink>,
    /// Made when first needed: reading the machine's certificates takes longer than a build with nothing to do.
    client: OnceLock<reqwest::Client>,
    connections: Arc<Semaphore>,
    hosts: Mutex<BTreeMap<String, Arc<Semaphore>>>,
    /// Sources that have sent wrong content in this run.
    distrusted: Mutex<BTreeSet<String>>,
}

impl Fetcher {
    /// A fetcher that has not connected to anything yet.
    pub fn new(
        options: FetchOptions,
        mirrors: Arc<dyn Mirrors>,
        events: Arc<dyn EventSink>,
    ) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(options.connections.max(1))),
            options,
            mirrors,
            events,
            client: OnceLock::new(),
            hosts: Mutex::default(),
            distrusted: Mutex::default(),
        }
    }

    /// Gets a file to `place`. What is there already is taken as its beginning; what has arrived when this fails or is
    /// cancelled stays there for the next time. When this returns `Ok`, the file is complete and has the expected digest.
    pub async fn fetch(
        &self,
        request: FetchRequest<'_>,
        place: &Path,
        cancel: &CancellationToken,
    ) -> Result<Fetched, FetchError> {
        let candidates = self.candidates(&request, cancel).await?;
        let mut failures = Vec::new();
        for url in candidates {
            let error = if self.is_distrusted(&url) {
                FetchError::Distrusted { url: shown(&url) }
            } else {
                match self.fetch_source(&request, &url, place, cancel).await {
                    Ok(fetched) => return Ok(fetched),
                    Err(error) if error.is_final() => return Err(error),
                    Err(error) => error,
                }
            };
            if error.is_wrong_content() {
                self.distrust(&url);
            }
            self.events.emit(Event::FetchRejected {
                derivation: request.derivation.clone(),
                name: request.name.to_owned(),
                url: shown(&url),
                reason: error.with_sources(),
            });
            failures.push(error);
        }
        Err(FetchError::of_failures(request.name, failures))
    }

    async fn candidates(
        &self,
        request: &FetchRequest<'_>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Url>, FetchError> {
        let mut candidates: Vec<Url> = Vec::new();
        let mut failure = None;
        for url in request.urls {
            let asked = cancel.run_until_cancelled(self.mirrors.candidates(url));
            match asked.await.ok_or(FetchError::Cancelled)? {
                Ok(found) => {
                    for url in found {
                        if !candidates.contains(&url) {
                            candidates.push(url);
                        }
                    }
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) if candidates.is_empty() => Err(error.into()),
            _ if candidates.is_empty() => Err(FetchError::NoSource {
                name: request.name.to_owned(),
            }),
            _ => Ok(candidates),
        }
    }

    fn client(&self) -> Result<&reqwest::Client, FetchError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // The bytes of a file count, so nobody may decompress them on the way. The system's certificates are used, or those
        // that SSL_CERT_FILE and SSL_CERT_DIR name.
        let mut builder = reqwest::Client::builder()
            .user_agent(&self.options.user_agent)
            .connect_timeout(self.options.connect_timeout)
            .read_timeout(self.options.idle_timeout)
            .redirect(reqwest::redirect::Policy::limited(self.options.redirects))
            .pool_max_idle_per_host(self.options.connections_per_host)
            .http2_adaptive_window(true)
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate();
        if !self.options.proxies {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|source| FetchError::Client { source })?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Waits until another request to this host may begin.
    async fn permit(
        &self,
        url: &Url,
    ) -> (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>) {
        let host = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            let limit = self.options.connections_per_host.max(1);
            let host = hosts.entry(origin(url));
            Arc::clone(host.or_insert_with(|| Arc::new(Semaphore::new(limit))))
        };
        // Nobody closes these semaphores, so both are always there.
        let host = host.acquire_owned().await.ok();
        let any = Arc::clone(&self.connections).acquire_owned().await.ok();
        (host, any)
    }

    fn is_distrusted(&self, url: &Url) -> bool {
        self.distrusted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&origin(url))
    }

    fn distrust(&self, url: &Url) {
        self.distrusted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(origin(url));
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Fetcher")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Whom we talk to: scheme, host and port. A local file is a source of its own.
fn origin(url: &Url) -> String {
    match url.scheme() {
        "file" => url.to_string(),
        _ => url.origin().ascii_serialization(),
    }
}

/// A URL as people may see it: without user, password, query and fragment, which can hold secrets (SEC-2).
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // These fail for URLs that have no host and so no user either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests;
