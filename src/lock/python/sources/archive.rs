//! Reads what a source archive says about itself: pyproject.toml and PKG-INFO of its top folder.
//!
//! A look, not a check: the archive is unpacked where it is built. Bounded all the same, because the bytes come from
//! elsewhere.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};

use cognix_derivations::Sha256;
use rawzip::{CompressionMethod, FileReader, ZipLocator};
use serde::{Deserialize, Serialize};

/// The most bytes one of the two files may have.
const FILE_LIMIT: u64 = 16 << 20;

/// The most bytes that an archive may unpack to.
const PLAIN_LIMIT: u64 = 32 << 30;

/// The most entries that an archive may have.
const ENTRY_LIMIT: usize = 1_000_000;

/// What a source archive says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    pub(super) pyproject: Option<String>,
    pub(super) pkg_info: Option<String>,
}

/// What is known about an archive without building it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceContents {
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    pub(super) about: About,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceArchiveError {
    #[error("it is not a readable archive: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("it is not a readable zip archive: {0}")]
    Zip(#[from] rawzip::Error),
    #[error(
        "it is an archive of a kind that cannot be read here; known are .tar.gz, .tar.xz, .tar.zst, .tar and .zip"
    )]
    Kind,
    #[error("its {0} is not UTF-8")]
    Text(&'static str),
    #[error("its {0} has more than {FILE_LIMIT} bytes")]
    TooLarge(&'static str),
    #[error("it has more than {ENTRY_LIMIT} entries")]
    TooManyEntries,
    #[error("its {0} is compressed in an unusual way (method {1})")]
    Method(&'static str, u16),
}

const PYPROJECT: &str = "pyproject.toml";
const PKG_INFO: &str = "PKG-INFO";

/// Reads an archive by the ending of its name.
pub(super) fn about(filename: &str, mut file: File) -> Result<About, SourceArchiveError> {
    file.seek(SeekFrom::Start(0))?;
    let name = filename.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let buffered = |file| std::io::BufReader::with_capacity(1 << 16, file);
    if ends(&[".tar.gz", ".tgz"]) {
        return of_tar(flate2::bufread::MultiGzDecoder::new(buffered(file)));
    }
    if ends(&[".tar.xz", ".txz"]) {
        return of_tar(liblzma::bufread::XzDecoder::new_multi_decoder(buffered(
            file,
        )));
    }
    if ends(&[".tar.zst"]) {
        return of_tar(zstd::Decoder::with_buffer(buffered(file))?);
    }
    if ends(&[".tar"]) {
        return of_tar(buffered(file));
    }
    if ends(&[".zip"]) {
        return of_zip(file);
    }
    Err(SourceArchiveError::Kind)
}

/// Which of the files a path is, if it is in the top folder.
fn wanted(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let (_, name) = path.split_once('/')?;
    [PYPROJECT, PKG_INFO]
        .into_iter()
        .find(|known| *known == name)
}

impl About {
    fn keep(&mut self, what: &'static str, plain: impl Read) -> Result<(), SourceArchiveError> {
        let mut bytes = Vec::new();
        plain.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(SourceArchiveError::TooLarge(what));
        }
        // Headers of old packages are in whatever their authors wrote in; only those of new ones are relied upon.
        let text = match (what, String::from_utf8(bytes)) {
            (_, Ok(text)) => text,
            (PKG_INFO, Err(error)) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            (what, Err(_)) => return Err(SourceArchiveError::Text(what)),
        };
        match what {
            PYPROJECT => self.pyproject = Some(text),
            _ => self.pkg_info = Some(text),
        }
        Ok(())
    }
}

fn of_tar(plain: impl Read) -> Result<About, SourceArchiveError> {
    let mut archive = tar::Archive::new(plain.take(PLAIN_LIMIT));
    let mut about = About::default();
    for (count, entry) in archive.entries()?.enumerate() {
        if count >= ENTRY_LIMIT {
            return Err(SourceArchiveError::TooManyEntries);
        }
        let entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if entry.header().entry_type().is_file()
            && let Some(what) = wanted(&path)
        {
            about.keep(what, entry)?;
        }
    }
    Ok(about)
}

fn of_zip(mut file: File) -> Result<About, SourceArchiveError> {
    let size = file.seek(SeekFrom::End(0))?;
    let mut buffer = vec![0; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let archive = ZipLocator::new()
        .locate_in_reader(FileReader::from(file), &mut buffer, size)
        .map_err(|(_, error)| error)?;
    let mut found = Vec::new();
    let mut entries = archive.entries(&mut buffer);
    let mut count = 0;
    while let Some(entry) = entries.next_entry()? {
        count += 1;
        if count > ENTRY_LIMIT {
            return Err(SourceArchiveError::TooManyEntries);
        }
        let path = entry.file_path();
        let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
        if let Some(what) = wanted(&path) {
            found.push((what, entry.wayfinder(), entry.compression_method()));
        }
    }
    let mut about = About::default();
    for (what, place, method) in found {
        let entry = archive.get_entry(place)?;
        let compressed = entry.reader();
        let plain: Box<dyn Read + '_> = match method {
            CompressionMethod::STORE => Box::new(compressed),
            CompressionMethod::DEFLATE => Box::new(flate2::read::DeflateDecoder::new(compressed)),
            other => return Err(SourceArchiveError::Method(what, other.as_u16())),
        };
        about.keep(what, entry.verifying_reader(plain))?;
    }
    Ok(about)
}
