//! Brings a source archive here, to look into it.
//!
//! What was learnt is kept by the archive's digest, so that locking again fetches nothing twice. The archive itself is not
//! kept: whoever builds it fetches it into the store.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use cognix_derivations::digest::Sha256Hasher;
use cognix_derivations::{HashingWriter, Sha256};
use futures::StreamExt as _;
use reqwest::StatusCode;
use reqwest::header::ACCEPT_ENCODING;
use url::Url;
use uv_client::Connectivity;
use uv_redacted::DisplaySafeUrl;

use super::SourceFile;
use super::archive::{self, SourceContents};
use crate::lock::python::PythonError;
use crate::lock::python::chosen::Place;
use crate::mirrors::project_folder::pack;
use crate::mirrors::python_index::{Connection, explain};

/// The folder below the cache, with the version of what is in it.
const FOLDER: &str = "source-contents-1";

/// The largest archive that is fetched.
const LIMIT: u64 = 4 << 30;

/// Looks into a source archive.
pub(super) async fn contents(
    connection: &Connection,
    source: &SourceFile,
    cache_dir: &Path,
) -> Result<SourceContents, PythonError> {
    let folder = cache_dir.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(io(&folder))?;
    let known = |sha256: &Sha256| {
        let text = std::fs::read(folder.join(format!("{sha256}.json"))).ok()?;
        serde_json::from_slice::<SourceContents>(&text).ok()
    };
    if let Some(known) = source.sha256.as_ref().and_then(known) {
        return Ok(known);
    }
    let (file, sha256, size) = match &source.place {
        Place::Remote(url) => download(connection, source, url, &folder).await?,
        Place::Local(path) => local(path)?,
        Place::Folder(path) => packed(path, &folder)?,
        Place::Repository(asked) => {
            let reason = format!("{asked} is no archive");
            return Err(PythonError::Internal(reason));
        }
    };
    if let Some(expected) = source.sha256
        && expected != sha256
    {
        let reason = format!("its SHA-256 is {sha256}, expected {expected}");
        return Err(bad(source, reason));
    }
    let about = archive::about(&source.filename, file);
    let about = about.map_err(|error| bad(source, explain(&error)))?;
    let contents = SourceContents {
        sha256,
        size,
        about,
    };
    remember(&folder, &contents)?;
    Ok(contents)
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> PythonError {
    let path = path.to_owned();
    move |source| PythonError::Io {
        path: path.clone(),
        source,
    }
}

fn bad(source: &SourceFile, reason: String) -> PythonError {
    PythonError::BadSource {
        filename: source.filename.clone(),
        reason,
    }
}

fn local(path: &Path) -> Result<(File, Sha256, u64), PythonError> {
    let mut file = File::open(path).map_err(io(path))?;
    let (mut hasher, mut size, mut buffer) = (Sha256Hasher::new(), 0, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer).map_err(io(path))?;
        if read == 0 {
            return Ok((file, hasher.finish(), size));
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
}

/// A folder as an archive.
fn packed(path: &Path, folder: &Path) -> Result<(File, Sha256, u64), PythonError> {
    let file = tempfile::tempfile_in(folder).map_err(io(folder))?;
    let mut writer = HashingWriter::new(file);
    pack(path, &mut writer).map_err(io(path))?;
    Ok(writer.finish())
}

async fn download(
    connection: &Connection,
    source: &SourceFile,
    url: &Url,
    folder: &Path,
) -> Result<(File, Sha256, u64), PythonError> {
    let unreadable = |reason: String| PythonError::Wheel {
        filename: source.filename.clone(),
        reason,
    };
    let client = &connection.client;
    let request = client
        .uncached_client(DisplaySafeUrl::ref_cast(url))
        .get(url.clone())
        .header(ACCEPT_ENCODING, "identity");
    let response = request.send().await.map_err(|error| {
        if client.connectivity() == Connectivity::Offline {
            PythonError::Offline(source.filename.clone())
        } else {
            unreadable(explain(&error))
        }
    })?;
    if response.status() != StatusCode::OK {
        let status = response.status();
        return Err(unreadable(format!("the file server answered {status}")));
    }
    let mut file = tempfile::tempfile_in(folder).map_err(io(folder))?;
    let (mut hasher, mut size) = (Sha256Hasher::new(), 0_u64);
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| unreadable(explain(&error)))?;
        size += chunk.len() as u64;
        if size > LIMIT {
            return Err(bad(source, format!("it has more than {LIMIT} bytes")));
        }
        hasher.update(&chunk);
        file.write_all(&chunk).map_err(io(folder))?;
    }
    Ok((file, hasher.finish(), size))
}

fn remember(folder: &Path, contents: &SourceContents) -> Result<(), PythonError> {
    let path = folder.join(format!("{}.json", contents.sha256));
    let text = serde_json::to_vec(contents).expect("strings and numbers are always JSON");
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(io(&path))
}
