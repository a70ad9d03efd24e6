//! RECORD: what a wheel promises about each of its files, and what an installed package says about them.
//!
//! Reading holds the promise against the archive: every file is listed once, with a digest that is good enough, and
//! nothing else is listed (REC-2). Contents are not read for that; whoever reads one compares its digest. Writing makes
//! the RECORD of the installed package, sorted and complete, from what is installed.

use std::io::{BufReader, Read};

use cognix_derivations::{Sha256, Sha256Hasher};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha384, Sha512};

use super::{
    WheelError,
    archive::{ArchiveError, Quoted, WheelArchive, names},
};

/// The longest RECORD that is read; that of the largest wheels known has 2 MB.
const LIMIT: u64 = 256 << 20;
/// What a RECORD cannot list: itself, and the signatures that are made of it.
const OWN_FILES: [&str; 3] = ["RECORD", "RECORD.jws", "RECORD.p7s"];

/// What becomes of a RECORD that does not keep its promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordPolicy {
    /// It is held against the archive, and the wheel is refused (REC-2).
    Checked,
    /// A waiver for this very archive says that it may be installed all the same (REC-3). What RECORD says is not looked
    /// at; the digests are those of the files.
    Waived,
}

/// One line of a RECORD.
#[derive(Clone, Copy)]
struct Row<'a> {
    line: u64,
    path: &'a str,
    digest: &'a str,
    size: &'a str,
}

/// A digest as a wheel promises it.
enum Promise {
    Sha256(Sha256),
    Stronger {
        algorithm: &'static str,
        digest: Vec<u8>,
    },
}

/// The record of a wheel, while it is held against the archive.
struct Record<'a> {
    archive: &'a WheelArchive,
    path: &'a str,
    /// The directory it lies in, with a slash at the end.
    directory: &'a str,
    listed: Vec<bool>,
    digests: Vec<Option<Sha256>>,
    /// The first line whose file is not there, and how many more there are.
    missing: Option<(u64, String, usize)>,
}

/// Finds the RECORD with the given path and returns the SHA-256 of every file in the order of the archive's members.
/// Directories and the RECORD itself have none.
pub(super) fn digests(
    archive: &WheelArchive,
    path: &str,
    policy: RecordPolicy,
) -> Result<Vec<Option<Sha256>>, WheelError> {
    let index = archive.find(path).ok_or_else(|| WheelError::Absent {
        file: path.to_owned(),
    })?;
    match policy {
        RecordPolicy::Checked => promised(archive, path, index),
        RecordPolicy::Waived => (0..)
            .zip(archive.members())
            .map(|(at, member)| {
                let has_digest = at != index && !member.is_directory();
                has_digest
                    .then(|| hash(archive, at, &mut |_| {}))
                    .transpose()
            })
            .collect(),
    }
}

/// What the RECORD says, held against the archive.
fn promised(
    archive: &WheelArchive,
    path: &str,
    index: usize,
) -> Result<Vec<Option<Sha256>>, WheelError> {
    let members = archive.members().len();
    let mut record = Record {
        archive,
        path,
        directory: path.strip_suffix(OWN_FILES[0]).unwrap_or_default(),
        listed: vec![false; members],
        digests: vec![None; members],
        missing: None,
    };
    record.read_rows(index)?;
    if let Some((line, file, more)) = record.missing {
        return Err(WheelError::Missing {
            record: path.to_owned(),
            file,
            line,
            more,
        });
    }
    record.check_complete()?;
    record.hash_signatures()?;
    Ok(record.digests)
}

impl Record<'_> {
    fn read_rows(&mut self, index: usize) -> Result<(), WheelError> {
        let archive = self.archive;
        let size = archive.members()[index].size();
        if size > LIMIT {
            return Err(WheelError::TooLarge {
                file: self.path.to_owned(),
                size,
                limit: LIMIT,
            });
        }
        let content = archive.read(index).map_err(ArchiveError::from_read)?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(BufReader::new(content));
        let mut fields = csv::StringRecord::new();
        while reader
            .read_record(&mut fields)
            .map_err(|error| self.csv_error(error))?
        {
            let line = fields.position().map_or(0, csv::Position::line);
            let (Some(path), Some(digest), Some(size), 3) =
                (fields.get(0), fields.get(1), fields.get(2), fields.len())
            else {
                let count = fields.len();
                let problem = format!("has {count} fields, expected path, digest and size");
                return Err(self.malformed(line, problem));
            };
            self.add(Row {
                line,
                path,
                digest,
                size,
            })?;
        }
        Ok(())
    }

    fn add(&mut self, row: Row<'_>) -> Result<(), WheelError> {
        let Some(index) = self.member(row)? else {
            match &mut self.missing {
                Some((_, _, more)) => *more += 1,
                None => self.missing = Some((row.line, row.path.to_owned(), 0)),
            }
            return Ok(());
        };
        if std::mem::replace(&mut self.listed[index], true) {
            return Err(self.malformed(row.line, format!("lists {} twice", Quoted(row.path))));
        }
        if !self.is_own(row.path) {
            self.digests[index] = Some(self.digest(row, index)?);
        }
        Ok(())
    }

    fn csv_error(&self, error: csv::Error) -> WheelError {
        let line = error.position().map_or(0, csv::Position::line);
        let text = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(error) => ArchiveError::from_read(error).into(),
            csv::ErrorKind::Utf8 { .. } => self.malformed(line, "is not UTF-8".to_owned()),
            _ => self.malformed(line, text),
        }
    }

    /// The member that a row lists; none if the archive does not hold it.
    fn member(&self, row: Row<'_>) -> Result<Option<usize>, WheelError> {
        let index = self.archive.find(row.path);
        if index.is_none()
            && let Some(problem) = names::problem(row.path)
        {
            let problem = format!("path {} {problem}", Quoted(row.path));
            return Err(self.malformed(row.line, problem));
        }
        Ok(index)
    }

    fn digest(&self, row: Row<'_>, index: usize) -> Result<Sha256, WheelError> {
        let size = self.archive.members()[index].size();
        if !row.size.is_empty() && row.size.parse() != Ok(size) {
            return Err(self.mismatch(row.path, "size", size.to_string(), row.size.to_owned()));
        }
        let promise = Promise::parse(row.digest).map_err(|problem| {
            self.malformed(row.line, format!("{}: {problem}", Quoted(row.path)))
        })?;
        match promise {
            Promise::Sha256(digest) => Ok(digest),
            Promise::Stronger { algorithm, digest } => self.translate(index, algorithm, &digest),
        }
    }

    /// Checks a promise of another algorithm at once, so that everybody else deals with one.
    fn translate(
        &self,
        index: usize,
        algorithm: &'static str,
        expected: &[u8],
    ) -> Result<Sha256, WheelError> {
        let mut other: Box<dyn sha2::digest::DynDigest> = match algorithm {
            "sha384" => Box::new(Sha384::new()),
            _ => Box::new(Sha512::new()),
        };
        let digest = hash(self.archive, index, &mut |bytes| other.update(bytes))?;
        let found = other.finalize();
        if *found == *expected {
            return Ok(digest);
        }
        let [found, expected] = [&*found, expected].map(|bytes| BASE64URL_NOPAD.encode(bytes));
        Err(self.mismatch(
            self.archive.members()[index].name(),
            algorithm,
            found,
            expected,
        ))
    }

    fn check_complete(&self) -> Result<(), WheelError> {
        let mut unlisted = self
            .archive
            .members()
            .iter()
            .zip(&self.listed)
            .filter(|(member, listed)| !**listed && !member.is_directory())
            .filter(|(member, _)| !self.is_own(member.name()));
        match unlisted.next() {
            None => Ok(()),
            Some((member, _)) => Err(WheelError::Unlisted {
                record: self.path.to_owned(),
                file: member.name().to_owned(),
                more: unlisted.count(),
            }),
        }
    }

    /// Signatures are installed like other files, but only their content can tell their digest.
    fn hash_signatures(&mut self) -> Result<(), WheelError> {
        for name in &OWN_FILES[1..] {
            if let Some(index) = self.archive.find(&format!("{}{name}", self.directory)) {
                self.digests[index] = Some(hash(self.archive, index, &mut |_| {})?);
            }
        }
        Ok(())
    }

    fn is_own(&self, path: &str) -> bool {
        path.strip_prefix(self.directory)
            .is_some_and(|name| OWN_FILES.contains(&name))
    }

    fn malformed(&self, line: u64, problem: String) -> WheelError {
        WheelError::Malformed {
            file: self.path.to_owned(),
            line: Some(line),
            problem,
        }
    }

    fn mismatch(
        &self,
        file: &str,
        what: &'static str,
        found: String,
        expected: String,
    ) -> WheelError {
        let (file, record) = (file.to_owned(), self.path.to_owned());
        WheelError::Mismatch {
            file,
            what,
            found,
            expected,
            record,
        }
    }
}

/// The digest of a member's content, every piece of which `also` sees.
fn hash(
    archive: &WheelArchive,
    index: usize,
    also: &mut dyn FnMut(&[u8]),
) -> Result<Sha256, WheelError> {
    let mut content = archive.read(index).map_err(ArchiveError::from_read)?;
    let mut hasher = Sha256Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = content.read(&mut buffer).map_err(ArchiveError::from_read)?;
        if read == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..read]);
        also(&buffer[..read]);
    }
}

impl Promise {
    /// Reads `ALGORITHM=BASE64`.
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("has no digest".to_owned());
        }
        let (algorithm, encoded) = text.split_once('=').unwrap_or((text, ""));
        let (algorithm, length) = match algorithm {
            "sha256" => ("sha256", 32),
            "sha384" => ("sha384", 48),
            "sha512" => ("sha512", 64),
            other => {
                return Err(format!(
                    "its digest is {}, expected sha256, sha384 or sha512",
                    Quoted(other)
                ));
            }
        };
        let digest = BASE64URL_NOPAD
            .decode(encoded.as_bytes())
            .ok()
            .filter(|digest| digest.len() == length)
            .ok_or_else(|| format!("{} is no {algorithm} in URL-safe base64", Quoted(encoded)))?;
        Ok(match <[u8; 32]>::try_from(&*digest) {
            Ok(digest) => Self::Sha256(Sha256::from_bytes(digest)),
            Err(_) => Self::Stronger { algorithm, digest },
        })
    }
}

/// A digest as RECORD spells it.
pub(super) fn encode(digest: &Sha256) -> String {
    BASE64URL_NOPAD.encode(digest.as_bytes())
}

/// Makes the RECORD of an installed package: sorted by path, its own line without digest and size.
///
/// `files` are the paths as RECORD names them, with the digests and sizes of what is installed there.
pub(super) fn write(own_path: String, files: Vec<(String, Sha256, u64)>) -> Vec<u8> {
    let mut rows: Vec<[String; 3]> = files
        .into_iter()
        .map(|(path, digest, size)| {
            [
                path,
                format!("sha256={}", encode(&digest)),
                size.to_string(),
            ]
        })
        .collect();
    rows.push([own_path, String::new(), String::new()]);
    rows.sort();
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer
            .write_record(row)
            .expect("every row has three fields and memory takes all bytes");
    }
    writer.into_inner().expect("memory takes all bytes")
}
