//! Reads a file at an address once, for its digest and size. Nothing is kept: whoever needs the file fetches it by them.

use std::io::{self, Read as _};
use std::time::Duration;

use cognix_derivations::{Sha256, Sha256Hasher};
use url::Url;

use super::InputError;
use crate::lock::debian::HttpArchive;

/// How often an address is asked.
const ATTEMPTS: u32 = 3;

/// Digest and size of the file at an address.
pub(super) async fn read(name: &str, address: &str) -> Result<(Sha256, u64), InputError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| InputError::Unavailable {
        name: name.to_owned(),
        address: address.to_owned(),
        source,
    };
    let url = Url::parse(address).map_err(|error| failed(error.into()))?;
    if let Ok(path) = url.to_file_path()
        && url.scheme() == "file"
    {
        let work = tokio::task::spawn_blocking(move || local(&path));
        let read = work.await.map_err(|error| failed(error.into()))?;
        return read.map_err(|error| failed(error.into()));
    }
    let client = HttpArchive::client().map_err(|error| failed(error.into()))?;
    let mut attempt = 1;
    loop {
        match remote(&client, &url).await {
            Ok(read) => return Ok(read),
            // What a server refuses it refuses again.
            Err(error)
                if attempt == ATTEMPTS || error.status().is_some_and(|it| it.is_client_error()) =>
            {
                return Err(failed(error.without_url().into()));
            }
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(500) * attempt).await;
                attempt += 1;
            }
        }
    }
}

async fn remote(client: &reqwest::Client, url: &Url) -> Result<(Sha256, u64), reqwest::Error> {
    let mut answer = client.get(url.clone()).send().await?.error_for_status()?;
    let (mut hasher, mut size) = (Sha256Hasher::new(), 0);
    while let Some(chunk) = answer.chunk().await? {
        hasher.update(&chunk);
        size += chunk.len() as u64;
    }
    Ok((hasher.finish(), size))
}

fn local(path: &std::path::Path) -> io::Result<(Sha256, u64)> {
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut size) = (Sha256Hasher::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hasher.finish(), size)),
            read => {
                hasher.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}
