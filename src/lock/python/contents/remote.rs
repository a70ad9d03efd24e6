//! Reads as little as possible of a wheel on a file server.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use cognix_derivations::Sha256;
use cognix_derivations::digest::Sha256Hasher;
use futures::StreamExt as _;
use rawzip::{FileReader, ReaderAt};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use url::Url;
use uv_client::{Connectivity, RegistryClient};
use uv_redacted::DisplaySafeUrl;

use super::{Contents, archive};
use crate::lock::python::PythonError;
use crate::lock::python::chosen::ChosenWheel;
use crate::mirrors::python_index::explain;

/// The first request asks for this many bytes.
const TAIL: u64 = 64 << 10;

/// A gap up to this size is fetched whole, a larger one in pieces.
const GAP: u64 = 16 << 20;

/// A piece out of a larger gap.
const PIECE: u64 = 1 << 20;

/// The most that is fetched of one wheel before giving up.
const BUDGET: u64 = 256 << 20;

/// How often a body that breaks off is asked for.
const ATTEMPTS: usize = 3;

/// Finds out the size of a wheel and what it says about its contents.
pub(super) async fn read(
    client: &RegistryClient,
    wheel: &ChosenWheel,
    url: &Url,
    temporary: &Path,
) -> Result<Contents, PythonError> {
    let source = Source { client, wheel, url };
    let Some(sha256) = wheel.sha256 else {
        return source.read_whole(temporary).await;
    };
    match source.tail().await? {
        Some(parts) => source.read_parts(parts, sha256).await,
        None => source.read_whole(temporary).await,
    }
}

/// One wheel on its file server.
struct Source<'a> {
    client: &'a RegistryClient,
    wheel: &'a ChosenWheel,
    url: &'a Url,
}

/// Bytes from `start` on, of a file of `total` bytes.
struct Piece {
    start: u64,
    total: u64,
    bytes: Vec<u8>,
}

impl Source<'_> {
    /// The end of the file, or `None` if the server has no ranges.
    async fn tail(&self) -> Result<Option<Parts>, PythonError> {
        let piece = match self.range(&format!("bytes=-{TAIL}"), TAIL).await? {
            Answer::Piece(piece) => Some(piece),
            // Some servers have ranges, only not those counted from the end.
            Answer::Whole(Some(size)) if size > 4 * TAIL => {
                let range = format!("bytes={}-{}", size - TAIL, size - 1);
                match self.range(&range, TAIL).await? {
                    Answer::Piece(piece) => Some(piece),
                    Answer::Whole(_) => None,
                }
            }
            Answer::Whole(_) => None,
        };
        let Some(piece) = piece else { return Ok(None) };
        if piece.start + piece.bytes.len() as u64 != piece.total {
            return Err(self.bad("the file server sent another range than asked for"));
        }
        let pieces = BTreeMap::from([(piece.start, piece.bytes)]);
        Ok(Some(Parts {
            total: piece.total,
            pieces,
            missed: Cell::new(None),
        }))
    }

    async fn read_parts(&self, mut parts: Parts, sha256: Sha256) -> Result<Contents, PythonError> {
        loop {
            parts.missed.set(None);
            let contents = archive::contents(&parts, parts.total);
            let Some((start, end)) = parts.missed.get().map(|at| parts.gap_around(at)) else {
                let contents = contents.map_err(|error| self.bad(&explain(&error)))?;
                return Ok(Contents {
                    sha256,
                    size: parts.total,
                    contents,
                });
            };
            if parts.fetched() + (end - start) > BUDGET {
                return Err(self.bad("its table of contents is unreasonably large"));
            }
            match self
                .range(&format!("bytes={start}-{}", end - 1), end - start)
                .await?
            {
                Answer::Piece(piece)
                    if (piece.start, piece.total) == (start, parts.total)
                        && piece.bytes.len() as u64 == end - start =>
                {
                    parts.pieces.insert(start, piece.bytes);
                }
                _ => return Err(self.bad("the file server sent another range than asked for")),
            }
        }
    }

    /// Streams the whole file into an unnamed one, and looks there.
    async fn read_whole(&self, temporary: &Path) -> Result<Contents, PythonError> {
        let io = |source| PythonError::Io {
            path: temporary.to_owned(),
            source,
        };
        let response = self.send(None).await?;
        if response.status() != StatusCode::OK {
            return Err(self.status(response.status()));
        }
        let mut file = tempfile::tempfile_in(temporary).map_err(io)?;
        let (mut hasher, mut size) = (Sha256Hasher::new(), 0);
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| self.unreadable(&explain(&error)))?;
            hasher.update(&chunk);
            size += chunk.len() as u64;
            file.write_all(&chunk).map_err(io)?;
        }
        let sha256 = hasher.finish();
        if let Some(expected) = self.wheel.sha256
            && expected != sha256
        {
            return Err(self.bad(&format!(
                "its SHA-256 is {sha256}, the index says {expected}"
            )));
        }
        let contents = archive::contents(FileReader::from(file), size)
            .map_err(|error| self.bad(&explain(&error)))?;
        Ok(Contents {
            sha256,
            size,
            contents,
        })
    }

    /// Asks for a range of at most `limit` bytes.
    async fn range(&self, range: &str, limit: u64) -> Result<Answer, PythonError> {
        let mut attempt = 1;
        loop {
            let response = self.send(Some(range)).await?;
            match response.status() {
                StatusCode::PARTIAL_CONTENT => {}
                StatusCode::OK => return Ok(Answer::Whole(content_length(&response))),
                StatusCode::RANGE_NOT_SATISFIABLE => return Ok(Answer::Whole(None)),
                status => return Err(self.status(status)),
            }
            let Some((start, end, total)) = content_range(&response) else {
                return Err(self.bad("the file server sent a part without saying which"));
            };
            match collect(response, limit).await {
                Ok(bytes) if bytes.len() as u64 == end - start + 1 => {
                    return Ok(Answer::Piece(Piece {
                        start,
                        total,
                        bytes,
                    }));
                }
                Ok(_) if attempt < ATTEMPTS => {}
                Ok(bytes) => {
                    let (found, expected) = (bytes.len(), end - start + 1);
                    let reason = format!("a part ended after {found} of {expected} bytes");
                    return Err(self.unreadable(&reason));
                }
                Err(_) if attempt < ATTEMPTS => {}
                Err(reason) => return Err(self.unreadable(&reason)),
            }
            attempt += 1;
        }
    }

    async fn send(&self, range: Option<&str>) -> Result<Response, PythonError> {
        let url = self.url.clone();
        let client = self.client.uncached_client(DisplaySafeUrl::ref_cast(&url));
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        request.send().await.map_err(|error| {
            if self.client.connectivity() == Connectivity::Offline {
                PythonError::Offline(format!("what {} contains", self.wheel.filename))
            } else {
                self.unreadable(&explain(&error))
            }
        })
    }

    fn status(&self, status: StatusCode) -> PythonError {
        self.unreadable(&format!("the file server answered {status}"))
    }

    fn unreadable(&self, reason: &str) -> PythonError {
        let (filename, reason) = (self.wheel.filename.clone(), reason.to_owned());
        PythonError::Wheel { filename, reason }
    }

    fn bad(&self, reason: &str) -> PythonError {
        let (filename, reason) = (self.wheel.filename.clone(), reason.to_owned());
        PythonError::BadWheel { filename, reason }
    }
}

/// What a server says to a request for a range.
enum Answer {
    Piece(Piece),
    /// It would send the whole file, of this size if it says so.
    Whole(Option<u64>),
}

fn content_length(response: &Response) -> Option<u64> {
    response
        .headers()
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// First byte, last byte and size of the file: `bytes 10-19/100`.
fn content_range(response: &Response) -> Option<(u64, u64, u64)> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end, total) = (start.parse().ok()?, end.parse().ok()?, total.parse().ok()?);
    (start <= end && end < total).then_some((start, end, total))
}

async fn collect(response: Response, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| explain(&error))?;
        if bytes.len() as u64 + chunk.len() as u64 > limit {
            return Err("the file server sent more than asked for".to_owned());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The parts of a file that are here. Reading elsewhere fails and is remembered.
struct Parts {
    total: u64,
    /// By first byte; never overlapping.
    pieces: BTreeMap<u64, Vec<u8>>,
    missed: Cell<Option<u64>>,
}

impl Parts {
    fn fetched(&self) -> u64 {
        self.pieces.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// What to fetch so that the byte at `at`, which is not here, and its surroundings are.
    fn gap_around(&self, at: u64) -> (u64, u64) {
        let below = self.pieces.range(..=at).next_back();
        let floor = below.map_or(0, |(start, bytes)| start + bytes.len() as u64);
        let ceiling = self
            .pieces
            .range(at..)
            .next()
            .map_or(self.total, |(start, _)| *start);
        if ceiling - at > GAP {
            return (at, at + PIECE);
        }
        // What is needed next mostly stands before: RECORD before the table of contents, both about as long.
        let before = (self.total - at).clamp(TAIL, GAP);
        (at.saturating_sub(before).max(floor), ceiling)
    }
}

impl ReaderAt for Parts {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.total || buffer.is_empty() {
            return Ok(0);
        }
        let piece = self.pieces.range(..=offset).next_back();
        let here =
            piece.and_then(|(start, bytes)| bytes.get(usize::try_from(offset - start).ok()?..));
        match here.filter(|here| !here.is_empty()) {
            Some(here) => {
                let length = here.len().min(buffer.len());
                buffer[..length].copy_from_slice(&here[..length]);
                Ok(length)
            }
            None => {
                self.missed.set(self.missed.get().or(Some(offset)));
                Err(io::Error::other("this part of the file is not here yet"))
            }
        }
    }
}
