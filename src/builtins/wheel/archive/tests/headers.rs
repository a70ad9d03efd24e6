//! Local headers against the central directory (ZIP-1).

use super::*;

#[test]
fn zip_1_local_header_disagrees() {
    let check = |change: fn(&mut crate::builtins::wheel::fixtures::Header), expected: &str| {
        let entry = Entry::deflated("name", TEXT).with(|entry| change(&mut entry.local));
        let start = format!("member `name`: {expected}");
        let error = Zip::of([entry]).open().expect_err(expected).to_string();
        assert!(error.starts_with(&start), "{error}");
        assert!(error.contains("in its local header and"), "{error}");
    };
    check(|header| header.name = b"nama".to_vec(), "name is `nama`");
    check(|header| header.name = b"name/".to_vec(), "name is `name/`");
    check(|header| header.method = 0, "method is 0");
    check(|header| header.crc32 ^= 1, "checksum is");
    check(|header| header.crc32 = 0, "checksum is 0");
    check(|header| header.size += 1, "size is 47");
    check(|header| header.compressed_size -= 1, "compressed size is");
    check(|header| header.flags |= 1 << 11, "flags is 2048");
    check(|header| header.flags |= 1 << 3, "flags is 8");
}

#[test]
fn zip_1_extra_and_missing_local_entries() {
    let hidden = Entry::stored("hidden", TEXT).with(|entry| entry.listed = false);
    let [first, second] = ["first", "second"].map(|name| Entry::stored(name, TEXT));
    refused(
        &Zip::of([first.clone(), hidden.clone(), second.clone()]),
        "zip archive: bytes 81 to 163, before `second`, belong to no member",
    );
    refused(
        &Zip::of([first.clone(), hidden]),
        "zip archive: bytes 81 to 163, before `the central directory`, belong to no member",
    );
    let twice = second.clone().with(|entry| {
        entry.offset = Some(0);
        entry.local.name = b"first".to_vec();
    });
    refused(
        &Zip::of([first.clone(), twice]),
        "members `first` and `second` overlap at byte 0",
    );
    let nowhere = second.with(|entry| entry.offset = Some(82));
    let error = Zip::of([first, nowhere])
        .open()
        .expect_err("no header there")
        .to_string();
    assert_eq!(
        error,
        "zip archive: bytes 81 to 82, before `second`, belong to no member"
    );
    let nothing = Entry::stored("name", b"").with(|entry| entry.offset = Some(1 << 30));
    let error = Zip::of([nothing])
        .open()
        .expect_err("no header there")
        .to_string();
    assert!(
        error.starts_with("zip archive: bytes 0 to 1073741824"),
        "{error}"
    );
}

#[test]
fn zip_1_overlapping_contents() {
    let first = Entry::stored("first", TEXT).both(|header| {
        header.size += 10;
        header.compressed_size += 10;
    });
    let second = Entry::stored("second", TEXT);
    refused(
        &Zip::of([first.clone(), second]),
        "members `first` and `second` overlap at byte 81",
    );
    refused(
        &Zip::of([first]),
        "members `first` and `the central directory` overlap at byte 81",
    );
}

#[test]
fn zip_1_descriptors() {
    for (signature, long) in [(true, false), (false, false), (true, true), (false, true)] {
        let entry = Entry::deflated("name", TEXT).streamed(signature, long);
        let next = Entry::deflated("next", TEXT).streamed(signature, long);
        let archive = Zip::of([entry.clone(), next])
            .open()
            .expect("a good archive");
        assert_eq!(content(&archive, 1), TEXT);
        // Checksum, compressed size and size lie at these places, after the signature.
        let start = if signature { 4 } else { 0 };
        let places = [0, 4, if long { 12 } else { 8 }];
        for (place, field) in places
            .into_iter()
            .zip(["checksum", "compressed size", "size"])
        {
            let lie = entry
                .clone()
                .with(|entry| entry.descriptor[start + place] ^= 1);
            let error = Zip::of([lie]).open().expect_err(field).to_string();
            assert!(
                error.starts_with(&format!("member `name`: {field} is")),
                "{error}"
            );
        }
    }
    let missing = Entry::deflated("name", TEXT)
        .streamed(true, false)
        .with(|entry| entry.descriptor.clear());
    entry_refused(
        missing,
        "member `name`: is followed by 0 bytes, expected a data descriptor",
    );
    let long = Entry::deflated("name", TEXT)
        .streamed(true, false)
        .with(|entry| entry.descriptor.extend([0; 40]));
    entry_refused(
        long,
        "member `name`: is followed by 56 bytes, expected a data descriptor",
    );
    // A header may hold the true values and announce a descriptor all the same, but no others.
    let wrong = Entry::deflated("name", TEXT)
        .streamed(true, false)
        .with(|entry| entry.local.size = 7);
    entry_refused(
        wrong,
        "member `name`: size is 7 in its local header and 46 in the central directory",
    );
}
