//! Standalone interpreters: which archive stands for a Python that the image's Debian release does not ship.
//!
//! The choice needs no network: a model's own pin (`inputs.python-build-standalone.archives` in `cognix.nix`), else the
//! table that this program carries. Only an archive's size is asked for, and only where somebody answers: it is what a
//! plan shows and what a download is held against before it ends, while the digest alone decides what is taken.

mod table;

use std::time::Duration;

use cognix_store::CancellationToken;
use reqwest::header::CONTENT_TYPE;
use url::Url;

use super::platform::{Architecture, Platform, PythonVersion};
use super::{InputPins, LockedArchive, PinnedArchive};
use crate::mirrors::{Mirrors, standalone::STANDALONE};

/// How long a mirror may think about a file's size before the lock does without.
const PATIENCE: Duration = Duration::from_secs(10);

/// The archive for a platform: the model's own, else the table's.
pub(super) fn choose(inputs: &InputPins, platform: Platform) -> Option<LockedArchive> {
    let Platform {
        architecture,
        python,
        ..
    } = platform;
    let own = inputs.get(STANDALONE).and_then(|pin| {
        pin.archives
            .iter()
            .find(|own| fits(own, python, architecture))
    });
    match own {
        Some(own) => Some(LockedArchive {
            version: own.version.clone(),
            input: STANDALONE.to_owned(),
            path: own.path.clone(),
            sha256: own.sha256,
            size: None,
        }),
        None => pinned(python, architecture),
    }
}

/// Whether an archive of the model's own is for this Python on this processor.
pub fn fits(archive: &PinnedArchive, python: PythonVersion, architecture: Architecture) -> bool {
    archive.platform == architecture && is_of(&archive.version, python)
}

/// Whether `3.12.4` is a Python 3.12.
fn is_of(version: &str, python: PythonVersion) -> bool {
    let patch = version.strip_prefix(&format!("{python}."));
    patch.is_some_and(|patch| !patch.is_empty())
}

/// The table's archive.
fn pinned(python: PythonVersion, architecture: Architecture) -> Option<LockedArchive> {
    let entry = table::TABLE
        .iter()
        .find(|entry| entry.architecture == architecture && is_of(entry.version, python))?;
    Some(LockedArchive {
        version: entry.version.to_owned(),
        input: STANDALONE.to_owned(),
        path: entry.path(),
        sha256: entry.sha256.parse().ok()?,
        size: None,
    })
}

/// The archive's size: what a previous lock knows of the same bytes, else what the first mirror that answers says.
pub(super) async fn size(
    archive: &LockedArchive,
    previous: Option<&LockedArchive>,
    mirrors: &Mirrors,
    client: &reqwest::Client,
    cancel: &CancellationToken,
) -> Option<u64> {
    let known = previous.filter(|known| known.sha256 == archive.sha256);
    if let Some(size) = known.and_then(|known| known.size) {
        return Some(size);
    }
    let urls = mirrors.standalone().ok()?.candidates(&archive.path).ok()?;
    for url in urls {
        let asked = tokio::time::timeout(PATIENCE, size_at(&url, mirrors.offline(), client));
        if let Ok(Some(size)) = cancel.run_until_cancelled(asked).await? {
            return Some(size);
        }
    }
    None
}

async fn size_at(url: &Url, offline: bool, client: &reqwest::Client) -> Option<u64> {
    if url.scheme() == "file" {
        let metadata = fs_err::metadata(url.to_file_path().ok()?).ok()?;
        return metadata.is_file().then_some(metadata.len());
    }
    if offline {
        return None;
    }
    let answer = client.head(url.clone()).send().await.ok()?;
    let headers = answer.headers();
    // A login page has a length too.
    let is_page = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/"));
    let length = headers.get(reqwest::header::CONTENT_LENGTH)?;
    if !answer.status().is_success() || is_page {
        return None;
    }
    length.to_str().ok()?.parse().ok().filter(|size| *size > 0)
}

#[cfg(test)]
mod tests;
