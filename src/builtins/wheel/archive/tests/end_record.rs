//! The end of the file, from which everything is found (ZIP-2).

use super::*;

#[test]
fn zip_2_no_archive() {
    let check = |bytes: &[u8], expected: &str| {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("written");
        let error = WheelArchive::open(file).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    };
    check(
        b"<!doctype html>\n<html><head>",
        "is no zip archive: starts with `<!doctype html>\\n<html><head>`",
    );
    check(b"", "is no zip archive: starts with ``");
    check(
        b"\x1f\x8b\x08\x00",
        "is no zip archive: starts with `\\u{1f}\u{fffd}\\u{8}\\u{0}`",
    );
    check(
        b"PK\x03\x04rest",
        "zip archive has no end record: the file (8 bytes) is truncated; fetch it again",
    );
}

#[test]
fn zip_2_all_2_every_truncation_is_refused() {
    let bytes = sample().bytes();
    for length in 0..bytes.len() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&bytes[..length]).expect("written");
        WheelArchive::open(file).expect_err("a truncated archive");
    }
}

#[test]
fn zip_2_counts_and_places() {
    let check = |change: fn(&mut crate::builtins::wheel::fixtures::End), expected: &str| {
        let zip = Zip {
            end: Some(Box::new(change)),
            ..sample()
        };
        let error = zip.open().expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(|end| end.entries = 5, "the archive has several volumes");
    check(
        |end| (end.entries, end.entries_on_disk) = (5, 5),
        "the end record counts only 5 entries",
    );
    check(
        |end| (end.entries, end.entries_on_disk) = (7, 7),
        "expected 7 entries up to byte",
    );
    check(|end| end.disk = 1, "the archive has several volumes");
    check(
        |end| end.directory_disk = 1,
        "the archive has several volumes",
    );
    check(|end| end.size -= 1, "but the end records begin at byte");
    check(|end| end.offset += 1, "but the end records begin at byte");
    check(
        |end| (end.offset, end.size) = (end.offset + 1, end.size - 1),
        "entry 1: Invalid signature",
    );
    check(
        |end| (end.offset, end.size) = (0, end.offset + end.size),
        "entry 1: Invalid signature",
    );
    check(
        |end| (end.offset, end.size) = (u64::MAX, u64::MAX),
        "but the end records begin at byte",
    );
    entry_refused(
        Entry::stored("name", TEXT).with(|entry| entry.disk = 1),
        "central directory of the zip archive, entry 1: the member lies on another volume",
    );
}

#[test]
fn zip_2_nothing_before_between_or_after() {
    let gap = |gap: &[u8]| {
        let mut zip = sample();
        zip.entries[0].gap = gap.to_vec();
        zip
    };
    refused(
        &gap(b"x"),
        "zip archive: bytes 0 to 1, before `a/stored`, belong to no member",
    );
    refused(
        &Zip {
            before_directory: b"x".to_vec(),
            ..Zip::of([Entry::stored("a", b"")])
        },
        "zip archive: bytes 31 to 32, before `the central directory`, belong to no member",
    );
    let error = Zip {
        after_directory: b"PK\x05\x05\0\0".to_vec(),
        ..sample()
    };
    let error = error.open().expect_err("a digital signature").to_string();
    assert!(error.contains("expected 6 entries up to byte"), "{error}");
    refused(
        &Zip {
            after: b"\0\0x".to_vec(),
            ..sample()
        },
        "end record of the zip archive: 3 bytes of data follow it",
    );
    let padded = Zip {
        after: vec![0; 3_000],
        ..sample()
    };
    assert_eq!(
        padded
            .open()
            .expect("zero bytes are no data")
            .members()
            .len(),
        6
    );
}

#[test]
fn zip_2_comments() {
    let with_comment = |comment: Vec<u8>| Zip {
        end: Some(Box::new(move |end| end.comment.clone_from(&comment))),
        ..sample()
    };
    with_comment(b"built by hand".to_vec())
        .open()
        .expect("a harmless comment");
    with_comment(vec![b'x'; 65_535])
        .open()
        .expect("the longest comment");
    let other = Zip::of([Entry::stored("other", TEXT)]);
    // The end record of an archive inside the comment is the last one, and does not fit the file.
    with_comment(other.bytes())
        .open()
        .expect_err("an archive in the comment");
    refused(
        &with_comment(b"PK\x03\x04".to_vec()),
        "end record of the zip archive: its comment holds parts of another archive",
    );
    // Two end records that end together: the first one has the second one as its comment.
    let mut bytes = sample().bytes();
    let end = bytes.len() - 22;
    let mut rival = bytes[end..].to_vec();
    rival[20] = 22;
    bytes.splice(end..end, rival);
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&bytes).expect("written");
    let error = WheelArchive::open(file)
        .expect_err("two end records")
        .to_string();
    assert_eq!(
        error,
        "end record of the zip archive: there are two of them"
    );
}

#[test]
fn zip_2_zip64_end_records() {
    let marks = |end: &mut crate::builtins::wheel::fixtures::End| {
        (end.entries, end.entries_on_disk) = (0xffff, 0xffff);
        (end.size, end.offset) = (0xffff_ffff, 0xffff_ffff);
    };
    let good = Zip {
        zip64: Some(Box::new(|_| {})),
        end: Some(Box::new(marks)),
        ..sample()
    };
    assert_eq!(content(&good.open().expect("a good archive"), 2), TEXT);
    // Both records may say everything, as long as they say the same.
    Zip {
        zip64: Some(Box::new(|_| {})),
        ..sample()
    }
    .open()
    .expect("a good archive");
    let check = |change: fn(&mut crate::builtins::wheel::fixtures::End), expected: &str| {
        let zip = Zip {
            zip64: Some(Box::new(change)),
            ..sample()
        };
        let error = zip.open().expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
        let zip = Zip {
            zip64: Some(Box::new(change)),
            end: Some(Box::new(marks)),
            ..sample()
        };
        zip.open()
            .expect_err("a lie that the old record does not contradict");
    };
    check(|end| end.disk = 1, "disk is 0, and 1 in the zip64 record");
    check(|end| end.directory_disk = 1, "disk of the directory is 0");
    check(
        |end| end.entries = 7,
        "number of members is 6, and 7 in the zip64 record",
    );
    check(
        |end| end.entries_on_disk = 7,
        "number of members on this disk is 6",
    );
    check(|end| end.size += 1, "size of the directory is");
    check(|end| end.offset += 1, "offset of the directory is");
    for locator in [0, 1 << 40, u64::MAX] {
        let zip = Zip {
            zip64: Some(Box::new(|_| {})),
            locator: Some(locator),
            ..sample()
        };
        let error = zip.open().expect_err("no record there").to_string();
        assert!(
            error.contains("the zip64 locator points to byte"),
            "{error}"
        );
    }
}

#[test]
fn zip_2_zip64_members() {
    let small = Entry::deflated("name", TEXT);
    let (size, compressed) = (46, small.data.len() as u64);
    let marked = small.clone().both(|header| {
        (header.size, header.compressed_size) = (u32::MAX, u32::MAX);
        header.extra = zip64(&[size, compressed]);
    });
    assert_eq!(
        content(
            &Zip::of([marked.clone()]).open().expect("a good archive"),
            0
        ),
        TEXT
    );
    // Values that the header has room for are harmless when they are the same, and a lie otherwise.
    let repeated = small
        .clone()
        .both(|header| header.extra = zip64(&[size, compressed]));
    Zip::of([repeated]).open().expect("a good archive");
    let lies = [
        zip64(&[size, compressed + 1]),
        zip64(&[compressed, size]),
        extra(1, &[1, 2, 3]),
    ];
    for lie in lies {
        for entry in [
            small
                .clone()
                .with(|entry| entry.central.extra.clone_from(&lie)),
            small
                .clone()
                .with(|entry| entry.local.extra.clone_from(&lie)),
        ] {
            let error = Zip::of([entry]).open().expect_err("a lie").to_string();
            assert!(error.contains("has a zip64 field"), "{error}");
        }
    }
    let twice = small.with(|entry| entry.central.extra = zip64(&[size]).repeat(2));
    entry_refused(
        twice,
        "central directory of the zip archive, entry 1: has two zip64 fields (`name`)",
    );
    let missing = marked.both(|header| {
        header.size = 46;
        header.extra.clear();
    });
    entry_refused(
        missing,
        "members `name` and `the central directory` overlap at byte 55",
    );
}

#[test]
fn zip_2_contents_beyond_four_gibibytes() {
    const HOLE: u64 = 5 << 30;
    let big = Entry::stored("big", b"").both(|header| {
        (header.size, header.compressed_size) = (u32::MAX, u32::MAX);
        header.extra = zip64(&[HOLE, HOLE]);
    });
    let big = big.with(|entry| entry.hole = HOLE);
    let position = 30 + 3 + 20 + HOLE;
    let behind =
        Entry::deflated("behind", TEXT).with(|entry| entry.central.extra = zip64(&[position]));
    let zip = Zip {
        zip64: Some(Box::new(|_| {})),
        end: Some(Box::new(|end| end.offset = 0xffff_ffff)),
        ..Zip::of([big, behind])
    };
    let archive = zip.open().expect("a good archive");
    assert_eq!(archive.members()[0].size(), HOLE);
    assert_eq!(archive.members()[1].offset(), position + 30 + 6);
    assert_eq!(content(&archive, 1), TEXT);
}
