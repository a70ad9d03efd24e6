//! Looks into chosen wheels without fetching them: how large is each, and which paths does it bring?
//!
//! A wheel is a zip archive, whose table of contents stands at its end, and RECORD usually stands right before it. So
//! one request for the last 64 KiB tells the size (from `Content-Range`) and mostly everything else. A file server
//! without ranges sends the whole wheel, which is then read from an unnamed file, and its digest is checked on the way.
//!
//! What was learnt is kept by the wheel's digest, so that locking again asks nothing twice.

mod archive;
mod remote;

use std::io::Write as _;
use std::path::Path;

use cognix_derivations::Sha256;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::solve::ChosenWheel;
use super::{PythonError, WheelContents};
use crate::mirrors::python_index::Connection;

/// Wheels looked into at one time.
const AT_ONCE: usize = 8;

/// The folder below the cache, with the version of what is in it.
const FOLDER: &str = "wheel-contents-2";

/// What is known about a wheel without having it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    pub(super) size: u64,
    pub(super) contents: WheelContents,
}

/// Looks into each wheel; the answers are in the order of the questions.
pub(super) async fn look_into(
    connection: &Connection,
    wheels: &[ChosenWheel],
    cache_dir: &Path,
) -> Result<Vec<Contents>, PythonError> {
    let folder = cache_dir.join(FOLDER);
    let io = |source| PythonError::Io {
        path: folder.clone(),
        source,
    };
    std::fs::create_dir_all(&folder).map_err(io)?;
    futures::stream::iter(wheels)
        .map(|wheel| look_into_one(connection, wheel, &folder))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

async fn look_into_one(
    connection: &Connection,
    wheel: &ChosenWheel,
    folder: &Path,
) -> Result<Contents, PythonError> {
    let contents = match remembered(folder, &wheel.sha256) {
        Some(contents) => contents,
        None => {
            let contents = remote::read(&connection.client, wheel, folder).await?;
            remember(folder, &wheel.sha256, &contents)?;
            contents
        }
    };
    match wheel.size {
        Some(size) if size != contents.size => Err(PythonError::BadWheel {
            filename: wheel.filename.clone(),
            reason: format!(
                "the index says {size} bytes, the file has {}",
                contents.size
            ),
        }),
        _ => Ok(contents),
    }
}

/// What an earlier run learnt. Anything unreadable is learnt again.
fn remembered(folder: &Path, sha256: &Sha256) -> Option<Contents> {
    let text = std::fs::read(folder.join(format!("{sha256}.json"))).ok()?;
    serde_json::from_slice(&text).ok()
}

fn remember(folder: &Path, sha256: &Sha256, contents: &Contents) -> Result<(), PythonError> {
    let path = folder.join(format!("{sha256}.json"));
    let text = serde_json::to_vec(contents).expect("strings and numbers are always JSON");
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| PythonError::Io {
        path: path.clone(),
        source,
    })
}
