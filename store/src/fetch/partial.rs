//! A file that is arriving: its bytes on disk, and the digest of what is there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use cognix_derivations::{HashAlgorithm, NixHash, NixHasher};

use super::FetchError;

/// How much of the beginning is kept to recognise a web page.
const BEGINNING: usize = 512;

/// A file that is arriving.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    algorithm: HashAlgorithm,
    /// Over the first `len` bytes, which are all of the file.
    hasher: NixHasher,
    len: u64,
    beginning: Vec<u8>,
    /// Whether the bytes come from more than one response, so that they may not belong together.
    pub(super) pieced: bool,
}

impl Partial {
    /// Opens the file, and takes what is in it as the beginning.
    pub(super) fn open(path: &Path, algorithm: HashAlgorithm) -> Result<Self, FetchError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(disk(path))?;
        let mut partial = Self {
            path: path.to_owned(),
            file,
            algorithm,
            hasher: NixHasher::new(algorithm),
            len: 0,
            beginning: Vec::new(),
            pieced: false,
        };
        partial.adopt().map_err(disk(path))?;
        partial.pieced = partial.len > 0;
        Ok(partial)
    }

    fn adopt(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = self.file.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            self.note(&buffer[..count]);
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How much is there.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Adds bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(disk(&self.path))?;
        self.note(bytes);
        Ok(())
    }

    fn note(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        let wanted = BEGINNING.saturating_sub(self.beginning.len());
        self.beginning.extend(bytes.iter().take(wanted));
    }

    /// Starts over.
    pub(super) fn reset(&mut self) -> Result<(), FetchError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(disk(&self.path))?;
        self.hasher = NixHasher::new(self.algorithm);
        self.len = 0;
        self.beginning.clear();
        self.pieced = false;
        Ok(())
    }

    /// Compares what is there with what it should be; `url` is for messages. After an error the file is empty.
    pub(super) fn check(
        &mut self,
        expected: Option<&NixHash>,
        url: &str,
    ) -> Result<(), FetchError> {
        let hasher = std::mem::replace(&mut self.hasher, NixHasher::new(self.algorithm));
        let actual = hasher.finish();
        let Some(expected) = expected.filter(|expected| actual != **expected) else {
            return Ok(());
        };
        let error = match web_page(&self.beginning) {
            Some(start) => FetchError::WebPage {
                url: url.to_owned(),
                start,
            },
            None => FetchError::Mismatch {
                url: url.to_owned(),
                expected: expected.clone(),
                actual,
            },
        };
        self.reset()?;
        Err(error)
    }

    /// Reserves the disk space of the whole file, so that a full disk shows before an hour of downloading. File systems that
    /// cannot do that are fine.
    pub(super) fn reserve(&self, size: u64) -> Result<(), FetchError> {
        use rustix::fs::FallocateFlags;
        use rustix::io::Errno;
        if size <= self.len {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, size) {
            Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                Err(disk(&self.path)(error.into()))
            }
            _ => Ok(()),
        }
    }
}

/// How a web page begins, if this is the beginning of one. Quoted up to 80 characters.
pub(super) fn web_page(beginning: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(beginning);
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let lower = text
        .get(..text.floor_char_boundary(15))?
        .to_ascii_lowercase();
    let page = ["<!doctype html", "<html", "<head"]
        .iter()
        .any(|tag| lower.starts_with(tag));
    page.then(|| text.chars().take(80).collect())
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::Disk { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idx_1_web_pages_are_recognised() {
        for page in [
            "<!DOCTYPE html><p>",
            "\u{feff}\n <HTML lang=en>",
            "<html>",
            "<head><title>",
        ] {
            assert!(web_page(page.as_bytes()).is_some(), "{page}");
        }
        for other in [
            "PK\u{3}\u{4}",
            "<?xml version=\"1.0\"?>",
            "",
            "!<arch>\n",
            "<htm",
        ] {
            assert_eq!(web_page(other.as_bytes()), None, "{other}");
        }
        assert_eq!(
            web_page(&[b"<html>".as_slice(), &[0xff; 500]].concat())
                .expect("page")
                .chars()
                .count(),
            80
        );
    }

    #[test]
    fn all_3_what_was_there_is_part_of_the_digest() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "hello ").expect("write");
        let mut partial = Partial::open(&path, HashAlgorithm::Sha256).expect("open");
        assert_eq!((partial.len(), partial.pieced), (6, true));
        partial.write(b"world").expect("write");
        let expected = NixHash::of(HashAlgorithm::Sha256, b"hello world");
        partial.check(Some(&expected), "x").expect("equal");
        assert_eq!(std::fs::read(&path).expect("read"), b"hello world");

        let mut partial = Partial::open(&path, HashAlgorithm::Sha256).expect("open");
        partial.write(b"!").expect("write");
        assert!(matches!(
            partial.check(Some(&expected), "x"),
            Err(FetchError::Mismatch { .. })
        ));
        assert_eq!(std::fs::read(&path).expect("read"), b"");
    }
}
