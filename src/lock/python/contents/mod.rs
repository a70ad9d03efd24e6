//! Looks into chosen wheels without fetching them: how large is each, and which paths does it bring?
//!
//! A wheel is a zip archive, whose table of contents stands at its end, and RECORD usually stands right before it. So
//! one request for the last 64 KiB tells the size (from `Content-Range`) and mostly everything else. A file server
//! without ranges sends the whole wheel, which is then read from an unnamed file, and its digest is checked on the way.
//!
//! A wheel whose digest nobody tells is read whole, so that it can be locked: at an address, on a page of links, or in
//! the project.
//!
//! What was learnt is kept by the wheel's digest, so that locking again asks nothing twice.

mod archive;
mod remote;

use std::io::{Read as _, Write as _};
use std::path::Path;

use cognix_derivations::Sha256;
use cognix_derivations::digest::Sha256Hasher;
use futures::{StreamExt as _, TryStreamExt as _};
use rawzip::FileReader;
use serde::{Deserialize, Serialize};

use super::chosen::{ChosenWheel, Place};
use super::{PythonError, WheelContents};
use crate::mirrors::python_index::{Connection, explain};

/// Wheels looked into at one time.
const AT_ONCE: usize = 8;

/// The folder below the cache, with the version of what is in it.
const FOLDER: &str = "wheel-contents-4";

/// What is known about a wheel without having it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    pub(super) sha256: Sha256,
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
    if let Some(contents) = wheel.source_contents() {
        return Ok(contents);
    }
    let contents = match wheel.sha256.and_then(|sha256| remembered(folder, &sha256)) {
        Some(contents) => contents,
        None => {
            let contents = match &wheel.place {
                Place::Remote(url) => remote::read(&connection.client, wheel, url, folder).await?,
                Place::Local(path) | Place::Folder(path) => local(wheel, path)?,
                Place::Repository(asked) => {
                    let reason = format!("nothing is known about {asked}");
                    return Err(PythonError::Internal(reason));
                }
            };
            remember(folder, &contents)?;
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

/// Reads a file of the project whole.
fn local(wheel: &ChosenWheel, path: &Path) -> Result<Contents, PythonError> {
    let io = |source| PythonError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = std::fs::File::open(path).map_err(io)?;
    let (mut hasher, mut size, mut buffer) = (Sha256Hasher::new(), 0, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer).map_err(io)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
    let contents = archive::contents(FileReader::from(file), size);
    let contents = contents.map_err(|error| PythonError::BadWheel {
        filename: wheel.filename.clone(),
        reason: explain(&error),
    })?;
    let sha256 = hasher.finish();
    Ok(Contents {
        sha256,
        size,
        contents,
    })
}

/// What an earlier run learnt. Anything unreadable is learnt again.
fn remembered(folder: &Path, sha256: &Sha256) -> Option<Contents> {
    let text = std::fs::read(folder.join(format!("{sha256}.json"))).ok()?;
    serde_json::from_slice(&text).ok()
}

fn remember(folder: &Path, contents: &Contents) -> Result<(), PythonError> {
    let path = folder.join(format!("{}.json", contents.sha256));
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
