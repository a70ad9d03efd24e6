//! One source of one file: requests until the file is there or the source is given up.
//!
//! A response is received on an async thread and hashed and written on a blocking one; a few chunks are on their way between
//! them, whatever the size of the file. A connection that breaks costs what had not arrived: the next request asks for the
//! rest, under the condition that the file is still the same.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use cognix_derivations::{HashAlgorithm, NixHash};
use reqwest::StatusCode;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE, RETRY_AFTER,
};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::bytes::Bytes;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::partial::{Partial, web_page};
use super::{FetchError, FetchRequest, Fetched, Fetcher, retry, shown};
use crate::events::Event;

/// How many received chunks may wait for the disk.
const CHUNKS_AHEAD: usize = 16;

/// The least time between two events of progress.
const PROGRESS: Duration = Duration::from_millis(200);

/// Why a request did not get the rest of the file.
enum Failure {
    /// It may work next time, perhaps not before some time.
    Passing(FetchError, Option<Duration>),
    /// It will not.
    Lasting(FetchError),
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Lasting(error)
    }
}

/// What is remembered from one request to the next.
struct Progress {
    /// Shared with the thread that writes while a response is received.
    partial: Arc<Mutex<Partial>>,
    /// Names the version of the file that the source has sent so far.
    validator: Option<String>,
    transferred: u64,
    told: Option<Instant>,
    /// Whether the file has been asked for in whole because its parts did not fit.
    asked_in_whole: bool,
}

impl Progress {
    fn new(partial: Partial) -> Self {
        Self {
            partial: Arc::new(Mutex::new(partial)),
            validator: None,
            transferred: 0,
            told: None,
            asked_in_whole: false,
        }
    }

    fn partial(&self) -> MutexGuard<'_, Partial> {
        self.partial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetcher {
    /// Gets the file from one source, however many requests that takes.
    pub(super) async fn fetch_source(
        &self,
        request: &FetchRequest<'_>,
        url: &Url,
        place: &Path,
        cancel: &CancellationToken,
    ) -> Result<Fetched, FetchError> {
        let path = place.to_owned();
        let algorithm = request
            .expected
            .map_or(HashAlgorithm::Sha256, NixHash::algorithm);
        let partial = blocking(place, move || Partial::open(&path, algorithm)).await?;
        let mut progress = Progress::new(partial);
        if url.scheme() == "file" {
            return self.read_file(request, url, progress, cancel).await;
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Scheme { url: shown(url) });
        }
        let mut failures = 0;
        loop {
            let before = progress.partial().len();
            let (error, asked) = match self.request(request, url, &mut progress, cancel).await {
                Ok(()) => match finish(request, url, &mut progress)? {
                    Some(fetched) => return Ok(fetched),
                    None => continue,
                },
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing(error, asked)) => (error, asked),
            };
            // A file that gets longer is worth any number of requests.
            let grown = progress.partial().len() > before;
            failures = if grown { 1 } else { failures + 1 };
            if failures > self.options.retries {
                return Err(error);
            }
            let longest = self.options.longest_wait;
            let wait = retry::wait(self.options.first_wait, failures, asked, longest);
            self.events.emit(Event::FetchRetry {
                derivation: request.derivation.clone(),
                name: request.name.to_owned(),
                url: shown(url),
                reason: error.with_sources(),
                wait,
            });
            cancel
                .run_until_cancelled(tokio::time::sleep(wait))
                .await
                .ok_or(FetchError::Cancelled)?;
        }
    }

    /// One request for what is missing.
    async fn request(
        &self,
        request: &FetchRequest<'_>,
        url: &Url,
        progress: &mut Progress,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        if let Some(size) = request.size {
            let mut partial = progress.partial();
            if partial.len() > size {
                partial.reset()?;
            }
            if partial.len() == size && size > 0 {
                return Ok(());
            }
        }
        let answer = async {
            let permit = self.permit(url).await;
            let mut response = self.send(url, progress).await?;
            let expected = self.accept(request, url, progress, &mut response).await?;
            Ok::<_, Failure>((permit, response, expected))
        };
        let answer = cancel.run_until_cancelled(answer).await;
        let (_permit, response, expected) = answer.ok_or(FetchError::Cancelled)??;
        let received = self.receive(request, url, progress, response, expected, cancel);
        received.await
    }

    async fn send(&self, url: &Url, progress: &Progress) -> Result<reqwest::Response, Failure> {
        let mut builder = self
            .client()?
            .get(url.clone())
            .header(ACCEPT_ENCODING, "identity");
        let there = progress.partial().len();
        if there > 0 {
            builder = builder.header(RANGE, format!("bytes={there}-"));
            if let Some(validator) = &progress.validator {
                builder = builder.header(IF_RANGE, validator);
            }
        }
        let response = builder.send().await.map_err(|error| failed(url, error))?;
        let status = response.status();
        let passing = status.is_server_error()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
            );
        if passing {
            let value = response.headers().get(RETRY_AFTER);
            let asked = value
                .and_then(|value| value.to_str().ok())
                .and_then(|value| retry::retry_after(value, SystemTime::now()));
            let url = shown(url);
            return Err(Failure::Passing(FetchError::Status { url, status }, asked));
        }
        Ok(response)
    }

    /// Looks at status and headers, and returns how long the file is.
    async fn accept(
        &self,
        request: &FetchRequest<'_>,
        url: &Url,
        progress: &mut Progress,
        response: &mut reqwest::Response,
    ) -> Result<Option<u64>, Failure> {
        let status = response.status();
        match status {
            StatusCode::OK => progress.partial().reset()?,
            StatusCode::PARTIAL_CONTENT => check_range(url, progress, response.headers())?,
            StatusCode::RANGE_NOT_SATISFIABLE if progress.partial().len() > 0 => {
                // What is there is longer than the file: not a part of it.
                progress.partial().reset()?;
                let url = shown(url);
                return Err(Failure::Passing(FetchError::Status { url, status }, None));
            }
            _ => {
                return Err(Failure::Lasting(FetchError::Status {
                    url: shown(url),
                    status,
                }));
            }
        }
        progress.validator = validator(response.headers());
        let there = progress.partial().len();
        let announced = response
            .content_length()
            .map(|length| length.saturating_add(there));
        let size = request.size.or(announced);
        self.tell_start(request, url, progress, size);
        let limit = request.size.unwrap_or(self.options.largest_file);
        let fits = match announced {
            Some(announced) if request.size.is_some() => announced == limit,
            Some(announced) => announced <= limit,
            None => true,
        };
        if !fits && there > 0 {
            // What is there may be of another version; only the whole file says whether the source is wrong.
            progress.partial().reset()?;
            let url = shown(url);
            return Err(Failure::Passing(FetchError::Status { url, status }, None));
        }
        if !fits {
            let beginning = response.chunk().await.ok().flatten().unwrap_or_default();
            let beginning = &beginning[..beginning.len().min(512)];
            let actual = announced.unwrap_or(0);
            return Err(Failure::Lasting(wrong_size(url, beginning, limit, actual)));
        }
        progress.partial().reserve(size.unwrap_or(0))?;
        Ok(size)
    }

    /// Receives the body to its end.
    async fn receive(
        &self,
        request: &FetchRequest<'_>,
        url: &Url,
        progress: &mut Progress,
        mut response: reqwest::Response,
        expected: Option<u64>,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        let place = progress.partial().path().to_owned();
        let limit = expected.unwrap_or(self.options.largest_file);
        let (sender, mut chunks) = mpsc::channel::<Bytes>(CHUNKS_AHEAD);
        let mut arrived = progress.partial().len();
        let partial = Arc::clone(&progress.partial);
        let writer = spawn_blocking(move || {
            while let Some(chunk) = chunks.blocking_recv() {
                let mut partial = partial.lock().unwrap_or_else(PoisonError::into_inner);
                partial.write(&chunk)?;
            }
            Ok::<(), FetchError>(())
        });
        let result = loop {
            let Some(chunk) = cancel.run_until_cancelled(response.chunk()).await else {
                break Err(Failure::Lasting(FetchError::Cancelled));
            };
            match chunk {
                Ok(Some(chunk)) => {
                    arrived += chunk.len() as u64;
                    progress.transferred += chunk.len() as u64;
                    if arrived > limit {
                        break Err(Failure::Lasting(FetchError::Size {
                            url: shown(url),
                            expected: limit,
                            actual: arrived,
                        }));
                    }
                    // Fails only when the writer has stopped, and then it says why.
                    if sender.send(chunk).await.is_err() {
                        break Ok(());
                    }
                    self.tell_progress(request, progress, arrived, expected);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(failed(url, error)),
            }
        };
        drop(sender);
        // Whatever happened, nobody writes to the file any more when this returns.
        writer
            .await
            .unwrap_or_else(|error| Err(panicked(&place, error)))?;
        if let Err(Failure::Lasting(FetchError::Size { .. })) = result {
            progress.partial().reset()?;
        }
        result?;
        match expected {
            Some(expected) if arrived < expected => Err(Failure::Passing(
                FetchError::Truncated {
                    url: shown(url),
                    expected,
                    actual: arrived,
                },
                None,
            )),
            _ => Ok(()),
        }
    }

    async fn read_file(
        &self,
        request: &FetchRequest<'_>,
        url: &Url,
        mut progress: Progress,
        cancel: &CancellationToken,
    ) -> Result<Fetched, FetchError> {
        use std::io::Read as _;
        let path: PathBuf = url
            .to_file_path()
            .map_err(|()| FetchError::Scheme { url: shown(url) })?;
        self.tell_start(request, url, &mut progress, request.size);
        let (limit, shown_url) = (
            request.size.unwrap_or(self.options.largest_file),
            shown(url),
        );
        let expected = request.expected.cloned();
        let (name, cancel) = (path.clone(), cancel.clone());
        blocking(&name, move || {
            let mut partial = progress.partial();
            let local = |source| FetchError::Local {
                path: path.clone(),
                source,
            };
            partial.reset()?;
            let mut file = std::fs::File::open(&path).map_err(local)?;
            let mut buffer = vec![0; 256 << 10];
            loop {
                let count = file.read(&mut buffer).map_err(local)?;
                if count == 0 {
                    break;
                }
                partial.write(&buffer[..count])?;
                if partial.len() > limit {
                    break;
                }
                if cancel.is_cancelled() {
                    return Err(FetchError::Cancelled);
                }
            }
            let size = partial.len();
            partial.check(expected.as_ref(), &shown_url)?;
            let transferred = 0;
            Ok(Fetched { size, transferred })
        })
        .await
    }

    fn tell_start(
        &self,
        request: &FetchRequest<'_>,
        url: &Url,
        progress: &mut Progress,
        size: Option<u64>,
    ) {
        if progress.told.is_none() {
            progress.told = Some(Instant::now());
            self.events.emit(Event::FetchStarted {
                derivation: request.derivation.clone(),
                name: request.name.to_owned(),
                url: shown(url),
                size,
            });
        }
    }

    fn tell_progress(
        &self,
        request: &FetchRequest<'_>,
        progress: &mut Progress,
        received: u64,
        size: Option<u64>,
    ) {
        let now = Instant::now();
        if progress.told.is_none_or(|told| now - told >= PROGRESS) {
            progress.told = Some(now);
            self.events.emit(Event::FetchProgress {
                derivation: request.derivation.clone(),
                received,
                size,
            });
        }
    }
}

/// Checks a complete file. `None`: it was put together from parts that do not fit, so it is worth one try in whole before
/// the source is blamed.
fn finish(
    request: &FetchRequest<'_>,
    url: &Url,
    progress: &mut Progress,
) -> Result<Option<Fetched>, FetchError> {
    let mut partial = progress.partial();
    let (size, pieced) = (partial.len(), partial.pieced);
    let checked = partial.check(request.expected, &shown(url));
    drop(partial);
    match checked {
        Ok(()) => Ok(Some(Fetched {
            size,
            transferred: progress.transferred,
        })),
        Err(error) if pieced && !progress.asked_in_whole && !error.is_final() => {
            progress.validator = None;
            progress.asked_in_whole = true;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A part must begin where what we have ends, or it would be put in the wrong place.
fn check_range(url: &Url, progress: &Progress, headers: &HeaderMap) -> Result<(), Failure> {
    let value = headers.get(CONTENT_RANGE);
    let range = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let start = range
        .strip_prefix("bytes ")
        .and_then(|range| range.split_once('-'))
        .and_then(|(start, _)| start.parse::<u64>().ok());
    let mut partial = progress.partial();
    let expected = partial.len();
    if start == Some(expected) {
        partial.pieced = true;
        return Ok(());
    }
    partial.reset()?;
    let error = FetchError::Range {
        url: shown(url),
        expected,
        actual: range.chars().take(80).collect(),
    };
    Err(Failure::Passing(error, None))
}

/// What names the version of a file exactly: a strong tag, or else its date.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name)?.to_str().ok();
    text(ETAG)
        .filter(|tag| !tag.starts_with("W/"))
        .or_else(|| text(LAST_MODIFIED))
        .map(str::to_owned)
}

fn wrong_size(url: &Url, beginning: &[u8], expected: u64, actual: u64) -> FetchError {
    let url = shown(url);
    match web_page(beginning) {
        Some(start) => FetchError::WebPage { url, start },
        None => FetchError::Size {
            url,
            expected,
            actual,
        },
    }
}

/// Everything that can happen on the way may pass, except what the request itself is wrong about, and whom we talk to.
fn failed(url: &Url, error: reqwest::Error) -> Failure {
    let lasting = error.is_builder() || error.is_redirect();
    let url = shown(url);
    // The error names the URL too, with everything that must not be shown.
    let source = error.without_url();
    if is_about_certificate(&source) {
        Failure::Lasting(FetchError::Certificate { url, source })
    } else if lasting {
        Failure::Lasting(FetchError::Request { url, source })
    } else {
        Failure::Passing(FetchError::Request { url, source }, None)
    }
}

/// Told by the words, because the type of the TLS library is not part of the client's interface.
fn is_about_certificate(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("invalid peer certificate") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Runs what reads or writes files where waiting is allowed.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(panicked(path, error)))
}

/// A thread of ours panicked or the runtime is shutting down.
fn panicked(path: &Path, error: tokio::task::JoinError) -> FetchError {
    FetchError::Disk {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    }
}
