//! Where release files and indexes are read from.
//!
//! [`Archive`] is all that locking knows of the network: a path below an input's address gives bytes, nothing, or an
//! error. What the bytes are worth is decided elsewhere, by signature and hash; a source can only fail a lock, never
//! change it (TRUST-2).

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use futures::future::BoxFuture;
use url::Url;

use super::error::ArchiveError;
use crate::mirrors::apt_sources::join;

/// Files of Debian archives by input name and path.
pub trait Archive: Send + Sync {
    /// The address that an input stands for, without credentials: for messages, and to tell archives apart.
    fn address(&self, input: &str) -> Option<String>;

    /// The file, or `None` when the archive has none at this path. Answers longer than `limit` bytes are an error.
    fn fetch<'a>(
        &'a self,
        input: &'a str,
        path: &'a str,
        limit: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ArchiveError>>;
}

/// Archives over HTTP.
#[derive(Debug, Clone)]
pub struct HttpArchive {
    client: reqwest::Client,
    bases: BTreeMap<String, Url>,
    first_pause: Duration,
}

/// Retries after the first attempt (LIM-2).
const RETRIES: u32 = 3;
/// The most that a server may delay us (LIM-2).
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl HttpArchive {
    /// Archives at the given addresses, by input name.
    pub fn new(client: reqwest::Client, bases: BTreeMap<String, Url>) -> Self {
        Self {
            client,
            bases,
            first_pause: Duration::from_millis(500),
        }
    }

    /// A client with the time limits of LIM-2. It trusts what the machine trusts, `SSL_CERT_FILE` included.
    pub fn client() -> Result<reqwest::Client, ArchiveError> {
        reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::limited(5))
            .user_agent(concat!("cognix/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ArchiveError::Connection(error.into()))
    }

    async fn get(
        &self,
        input: &str,
        path: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, ArchiveError> {
        let base = self.bases.get(input).ok_or(ArchiveError::NoAddress)?;
        let url = join(base, path).ok_or(ArchiveError::NoAddress)?;
        let mut attempt = 0;
        loop {
            let error = match self.get_once(&url, limit).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if attempt == RETRIES || !is_passing(&error.error) {
                return Err(error.error);
            }
            let pause = self.first_pause * 2_u32.pow(attempt);
            let floor = error.wait.unwrap_or_default().min(LONGEST_WAIT);
            tokio::time::sleep(pause.mul_f64(jitter()).max(floor)).await;
            attempt += 1;
        }
    }

    async fn get_once(&self, url: &Url, limit: u64) -> Result<Option<Vec<u8>>, Attempt> {
        let connection =
            |error: reqwest::Error| ArchiveError::Connection(error.without_url().into());
        let mut response = self
            .client
            .get(url.clone())
            .send()
            .await
            .map_err(connection)?;
        match response.status().as_u16() {
            200 => {}
            404 | 410 => return Ok(None),
            status => {
                let wait = response
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.parse().ok());
                return Err(Attempt {
                    error: ArchiveError::Status { status },
                    wait: wait.map(Duration::from_secs),
                });
            }
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(connection)? {
            if bytes.len() as u64 + chunk.len() as u64 > limit {
                return Err(ArchiveError::TooLong { limit }.into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes))
    }
}

impl Archive for HttpArchive {
    fn address(&self, input: &str) -> Option<String> {
        let mut url = self.bases.get(input)?.clone();
        // Neither can fail for an address that has a host; without one there are no credentials to hide.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        Some(url.to_string())
    }

    fn fetch<'a>(
        &'a self,
        input: &'a str,
        path: &'a str,
        limit: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ArchiveError>> {
        Box::pin(self.get(input, path, limit))
    }
}

/// An attempt that failed, and how long the server wants to be left alone.
struct Attempt {
    error: ArchiveError,
    wait: Option<Duration>,
}

impl From<ArchiveError> for Attempt {
    fn from(error: ArchiveError) -> Self {
        Self { error, wait: None }
    }
}

/// A factor between a half and one and a half, so that many clients do not come back at the same moment.
///
/// The standard library seeds its hashers at random, which is all that is needed here.
fn jitter() -> f64 {
    let random = std::hash::RandomState::new().build_hasher().finish();
    0.5 + (random % 1000) as f64 / 1000.0
}

/// Errors that another attempt may not meet.
fn is_passing(error: &ArchiveError) -> bool {
    match error {
        ArchiveError::Connection(_) => true,
        ArchiveError::Status { status } => matches!(status, 408 | 429 | 500..=599),
        ArchiveError::NoAddress | ArchiveError::TooLong { .. } => false,
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
