use std::io::{Read, Write};

mod contents;
mod end_record;
mod headers;

use proptest::prelude::*;

use super::*;
use crate::builtins::wheel::fixtures::{Entry, Zip, extra, zip64};

const TEXT: &[u8] = b"the same words, the same words, the same words";

/// Opens an archive that must be refused.
fn refused(zip: &Zip, expected: &str) {
    let error = zip.open().expect_err(expected);
    assert_eq!(error.to_string(), expected);
}

/// Opens an archive of one member that must be refused.
fn entry_refused(entry: Entry, expected: &str) {
    refused(&Zip::of([entry]), expected);
}

/// Reads a member that must be refused, and tries again, because a reader that failed must stay failed.
fn content_refused(entry: Entry, expected: &str) {
    let archive = Zip::of([entry]).open().expect("the headers are consistent");
    let mut reader = archive.read(0).expect("a reader");
    let error = std::io::copy(&mut reader, &mut std::io::sink()).expect_err(expected);
    assert_eq!(ArchiveError::from_read(error).to_string(), expected);
    reader
        .read(&mut [0; 8])
        .expect_err("all_2: an error ends a reader");
}

fn content(archive: &WheelArchive, index: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    archive
        .read(index)
        .expect("a reader")
        .read_to_end(&mut bytes)
        .expect("a good content");
    bytes
}

fn sample() -> Zip {
    Zip::of([
        Entry::stored("a/stored", TEXT),
        Entry::directory("a"),
        Entry::deflated("a/deflated", TEXT).executable(),
        Entry::zstd("zstd", TEXT),
        Entry::stored("empty", b""),
        Entry::deflated("a/ünïcödé.py", b""),
    ])
}

#[test]
fn zip_3_all_methods_are_read() {
    let archive = sample().open().expect("a good archive");
    let names: Vec<&str> = archive.members().iter().map(Member::name).collect();
    assert_eq!(
        names,
        [
            "a/stored",
            "a",
            "a/deflated",
            "zstd",
            "empty",
            "a/ünïcödé.py"
        ]
    );
    for index in [0, 2, 3] {
        assert_eq!(content(&archive, index), TEXT);
    }
    assert_eq!(content(&archive, 4), b"");
    assert_eq!(content(&archive, 5), b"");
    assert!(archive.members()[2].is_executable());
    assert!(!archive.members()[1].is_executable());
    assert!(archive.members()[1].is_directory());
    assert_eq!(archive.find("zstd"), Some(3));
    assert_eq!(archive.find("a"), None, "a directory");
    assert_eq!(archive.find("a/"), None);
}

#[test]
fn raw_bytes_are_the_compressed_ones_at_their_offset() {
    let zip = sample();
    let (file, archive) = (zip.bytes(), zip.open().expect("a good archive"));
    for (index, entry) in zip.entries.iter().enumerate() {
        let mut raw = Vec::new();
        archive.raw(index).read_to_end(&mut raw).expect("readable");
        assert_eq!(raw, entry.data);
        let member = &archive.members()[index];
        let start = member.offset() as usize;
        assert_eq!(file[start..start + member.compressed_size() as usize], raw);
    }
}

#[test]
fn compressed_bytes_may_pass_through_the_caller() {
    struct Counter<R>(R, usize);
    impl<R: Read> Read for Counter<R> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let read = self.0.read(buffer)?;
            self.1 += read;
            Ok(read)
        }
    }
    let zip = sample();
    let archive = zip.open().expect("a good archive");
    for index in [0, 2, 3] {
        let counter = Counter(archive.raw(index), 0);
        let mut reader = archive.read_from(index, counter).expect("a reader");
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).expect("a good content");
        assert_eq!(bytes, TEXT);
        assert_eq!(reader.into_raw().1, zip.entries[index].data.len());
    }
}

#[test]
fn many_threads_read_one_archive() {
    let names: Vec<String> = (0..64).map(|number| format!("file{number}")).collect();
    let contents: Vec<Vec<u8>> = names
        .iter()
        .map(|name| name.repeat(5_000).into_bytes())
        .collect();
    let entries = names
        .iter()
        .zip(&contents)
        .map(|(name, content)| Entry::deflated(name, content));
    let archive = Zip::of(entries).open().expect("a good archive");
    std::thread::scope(|scope| {
        for start in 0..4 {
            let (archive, contents) = (&archive, &contents);
            scope.spawn(move || {
                for index in (start..64).step_by(4) {
                    assert_eq!(content(archive, index), contents[index]);
                }
            });
        }
    });
}

#[test]
fn lim_1_limits_name_their_settings() {
    let check = |limits: Limits, expected: &str| {
        let error = WheelArchive::open_within(sample().file(), &limits).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    };
    check(
        Limits {
            entries: 5,
            ..Limits::default()
        },
        "zip archive: number of members is 6, more than 5 (setting limits.archive-entries)",
    );
    check(
        Limits {
            file_bytes: 45,
            ..Limits::default()
        },
        "zip archive: size of `a/stored` is 46, more than 45 (setting limits.archive-file-bytes)",
    );
    check(
        Limits {
            expanded_bytes: 137,
            ..Limits::default()
        },
        "zip archive: expanded size is 138, more than 137 (setting limits.archive-expanded-bytes)",
    );
    let bomb = Entry::deflated("bomb", b"").both(|header| header.size = (64 << 20) + 1);
    let error = Zip::of([bomb.clone()])
        .open()
        .expect_err("a bomb")
        .to_string();
    assert!(error.ends_with("(setting limits.archive-ratio)"), "{error}");
    Zip::of([bomb.both(|header| header.size -= 1)])
        .open()
        .expect("small enough");
}

proptest! {
    /// Whatever bytes are changed, opening and reading end with a value or an error, and a content that is read
    /// without an error has the size and checksum that its header promises.
    #[test]
    fn all_1_changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = sample().bytes();
        for (place, byte) in changes {
            *place.get_mut(&mut bytes) = byte;
        }
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&bytes).expect("written");
        if let Ok(archive) = WheelArchive::open(file) {
            for (index, member) in archive.members().iter().enumerate() {
                let mut content = Vec::new();
                if archive.read(index).expect("a reader").read_to_end(&mut content).is_ok() {
                    prop_assert_eq!(content.len() as u64, member.size());
                    let mut checksum = flate2::Crc::new();
                    checksum.update(&content);
                    prop_assert_eq!(checksum.sum(), member.crc32());
                }
            }
        }
    }

    #[test]
    fn all_1_arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&bytes).expect("written");
        file.write_all(b"PK\x05\x06").expect("written");
        file.write_all(&bytes).expect("written");
        WheelArchive::open(file).expect_err("no archive");
    }
}
