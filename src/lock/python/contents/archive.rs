//! Reads RECORD and entry points out of a wheel of which perhaps only parts are there.
//!
//! This is a look, not a check: whether the archive is sound and RECORD tells the truth is found out when the wheel is
//! installed. Bounded all the same, because the bytes come from elsewhere.

use std::io::Read;

use cognix_derivations::Sha256;
use rawzip::{CompressionMethod, ReaderAt, ZipArchive, ZipArchiveEntryWayfinder, ZipLocator};

use crate::lock::python::{RecordEntry, WheelContents};

/// The most entries an archive may have.
const ENTRY_LIMIT: u64 = 1_000_000;

/// The most bytes RECORD may have; a million entries have less.
const RECORD_LIMIT: u64 = 64 << 20;

/// The most bytes that entry points may have.
const ENTRY_POINTS_LIMIT: u64 = 1 << 20;

/// How much of METADATA is looked at; its headers come first, and the name among the first of them.
const HEADERS_LIMIT: u64 = 64 << 10;

/// Why RECORD cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    #[error("it is not a readable zip archive: {0}")]
    Zip(#[from] rawzip::Error),
    #[error("it has more than {ENTRY_LIMIT} entries")]
    TooManyEntries,
    #[error("it has no file NAME.dist-info/RECORD")]
    NoRecord,
    #[error("it has more than one RECORD: {0} and {1}")]
    TwoRecords(String, String),
    #[error("its {0} is compressed in a way that wheels must not use (method {1})")]
    Method(&'static str, u16),
    #[error("its RECORD has more than {RECORD_LIMIT} bytes")]
    RecordTooLarge,
    #[error("its RECORD is not readable: {0}")]
    Record(#[from] csv::Error),
    #[error("its entry points are not readable: {0}")]
    EntryPoints(#[from] std::io::Error),
}

const RECORD: &str = "RECORD";
const ENTRY_POINTS: &str = "entry_points.txt";
const METADATA: &str = "METADATA";

/// The place of a file in the archive.
struct Found {
    path: String,
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
}

/// Reads a wheel of `size` bytes.
pub(super) fn contents<R: ReaderAt>(reader: R, size: u64) -> Result<WheelContents, ArchiveError> {
    let mut buffer = vec![0; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let archive = ZipLocator::new()
        .locate_in_reader(reader, &mut buffer, size)
        .map_err(|(_, error)| error)?;
    let Files {
        record,
        entry_points,
        metadata,
    } = find(&archive, &mut buffer)?;
    let record = read(&archive, &record, RECORD, |plain| lines(plain))??;
    let entry_points = match entry_points {
        None => Vec::new(),
        Some(found) => read(&archive, &found, ENTRY_POINTS, |plain| {
            let mut bytes = Vec::new();
            plain.take(ENTRY_POINTS_LIMIT).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        })??,
    };
    let name = match metadata {
        None => String::new(),
        Some(found) => read(&archive, &found, METADATA, |plain| {
            let mut bytes = Vec::new();
            plain.take(HEADERS_LIMIT).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(name_of(&bytes))
        })??,
    };
    Ok(WheelContents {
        record,
        entry_points: String::from_utf8_lossy(&entry_points).into_owned(),
        name,
    })
}

/// The package's name, from the headers of METADATA. Whether it is the right one is checked when the wheel is installed.
fn name_of(metadata: &[u8]) -> String {
    let text = String::from_utf8_lossy(metadata);
    let headers = text.lines().take_while(|line| !line.is_empty());
    let mut values = headers.filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case("name")
            .then(|| value.trim().to_owned())
    });
    values.next().unwrap_or_default()
}

/// Calls with the plain bytes of a file.
fn read<R: ReaderAt, T>(
    archive: &ZipArchive<R>,
    found: &Found,
    what: &'static str,
    use_bytes: impl FnOnce(&mut dyn Read) -> T,
) -> Result<T, ArchiveError> {
    let entry = archive.get_entry(found.place)?;
    let compressed = entry.reader();
    let plain: Box<dyn Read + '_> = match found.method {
        CompressionMethod::STORE => Box::new(compressed),
        CompressionMethod::DEFLATE => Box::new(flate2::read::DeflateDecoder::new(compressed)),
        CompressionMethod::ZSTD => {
            Box::new(zstd::Decoder::new(compressed).map_err(csv::Error::from)?)
        }
        other => return Err(ArchiveError::Method(what, other.as_u16())),
    };
    Ok(use_bytes(&mut entry.verifying_reader(plain)))
}

/// RECORD, and what is beside it.
struct Files {
    record: Found,
    entry_points: Option<Found>,
    metadata: Option<Found>,
}

fn find<R: ReaderAt>(archive: &ZipArchive<R>, buffer: &mut [u8]) -> Result<Files, ArchiveError> {
    let mut entries = archive.entries(buffer);
    let [mut record, mut entry_points, mut metadata] = [const { None::<Found> }; 3];
    let mut count = 0;
    while let Some(entry) = entries.next_entry()? {
        count += 1;
        if count > ENTRY_LIMIT {
            return Err(ArchiveError::TooManyEntries);
        }
        let path = entry.file_path();
        let Ok(path) = std::str::from_utf8(path.as_bytes()) else {
            continue;
        };
        let Some((folder, name)) = path.split_once('/') else {
            continue;
        };
        let place = match name {
            _ if !folder.ends_with(".dist-info") => continue,
            RECORD => &mut record,
            ENTRY_POINTS => &mut entry_points,
            METADATA => &mut metadata,
            _ => continue,
        };
        if let Some(first) = place.take().filter(|_| name == RECORD) {
            return Err(ArchiveError::TwoRecords(first.path, path.to_owned()));
        }
        *place = Some(Found {
            path: path.to_owned(),
            place: entry.wayfinder(),
            method: entry.compression_method(),
        });
    }
    Ok(Files {
        record: record.ok_or(ArchiveError::NoRecord)?,
        entry_points,
        metadata,
    })
}

fn lines(plain: impl Read) -> Result<Vec<RecordEntry>, ArchiveError> {
    let mut plain = plain.take(RECORD_LIMIT + 1);
    let mut entries = Vec::new();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(&mut plain);
    for line in reader.records() {
        let line = line?;
        let field = |index| line.get(index).unwrap_or_default();
        entries.push(RecordEntry {
            path: field(0).to_owned(),
            sha256: digest(field(1)),
            size: field(2).parse().ok(),
        });
    }
    drop(reader);
    if plain.limit() == 0 {
        Err(ArchiveError::RecordTooLarge)
    } else {
        Ok(entries)
    }
}

/// `sha256=` and base64 in its URL alphabet without padding, as the wheel format has it.
fn digest(text: &str) -> Option<Sha256> {
    let base64 = text.strip_prefix("sha256=")?.trim_end_matches('=');
    format!("sha256-{}=", base64.replace('-', "+").replace('_', "/"))
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_digests_are_read_in_their_own_alphabet() {
        let bytes = Sha256::of(b"contents");
        let sri = bytes.to_sri();
        let base64 = sri.trim_start_matches("sha256-").trim_end_matches('=');
        let spelt = format!("sha256={}", base64.replace('+', "-").replace('/', "_"));
        assert_eq!(digest(&spelt), Some(bytes));
        for other in ["", "md5=abc", "sha256=", "sha256=short", "sha512=AAAA"] {
            assert_eq!(digest(other), None, "{other}");
        }
    }

    #[test]
    fn the_name_is_the_first_header_of_that_name() {
        let metadata =
            b"Metadata-Version: 2.1\r\nname:  Ruamel.Yaml \r\nVersion: 1\r\n\r\nName: other\r\n";
        assert_eq!(name_of(metadata), "Ruamel.Yaml");
        assert_eq!(name_of(b"Version: 1\n\nName: other\n"), "");
    }

    #[test]
    fn record_lines_may_quote_and_leave_out() {
        let text = "a/__init__.py,sha256=AAAA,12\n\"a/b,c.py\",,\nx-1.dist-info/RECORD,,\nshort\n";
        let found = lines(text.as_bytes()).expect("valid lines");
        let paths: Vec<_> = found
            .iter()
            .map(|entry| (entry.path.as_str(), entry.size))
            .collect();
        let expected = [
            ("a/__init__.py", Some(12)),
            ("a/b,c.py", None),
            ("x-1.dist-info/RECORD", None),
            ("short", None),
        ];
        assert_eq!(paths, expected);
    }
}
