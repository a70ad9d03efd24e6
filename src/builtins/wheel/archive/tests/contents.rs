//! Which members there may be, and what is in them (ZIP-3, ALL-5, ALL-7, ALL-8).

use super::*;

#[test]
fn zip_3_methods_and_flags() {
    entry_refused(
        Entry::stored("name", TEXT).both(|header| header.method = 12),
        "member `name`: is compressed by method 12 (BZIP2), supported are stored, deflate and zstd",
    );
    for flag in [0, 6, 13] {
        let entry = Entry::stored("name", TEXT).both(|header| header.flags |= 1 << flag);
        entry_refused(entry, "member `name`: is encrypted");
    }
    entry_refused(
        Entry::stored("name", TEXT).both(|header| header.flags |= 1 << 5),
        "member `name`: has flags 0x0020, supported are 0x080e",
    );
}

#[test]
fn zip_3_names() {
    entry_refused(
        Entry::stored("name", TEXT).both(|header| header.name = b"n\xffme".to_vec()),
        "member name `n\u{fffd}me` is not UTF-8",
    );
    let unicode = |name: &[u8]| extra(0x7075, &[&[1, 0, 0, 0, 0], name].concat());
    let same = Entry::stored("name", TEXT).both(|header| header.extra = unicode(b"name"));
    Zip::of([same]).open().expect("the same name");
    let other = Entry::stored("name", TEXT).with(|entry| entry.central.extra = unicode(b"nama"));
    entry_refused(
        other,
        "central directory of the zip archive, entry 1: has another name in its Unicode-name field (`name`)",
    );
    let other = Entry::stored("name", TEXT).with(|entry| entry.local.extra = unicode(b"nama"));
    entry_refused(
        other,
        "member `name`: its local header has another name in its Unicode-name field",
    );
    let damaged = Entry::stored("name", TEXT).with(|entry| entry.local.extra = vec![1, 2, 3, 4, 5]);
    entry_refused(
        damaged,
        "member `name`: its local header has damaged extra fields",
    );
    let padded = Entry::stored("name", TEXT).with(|entry| entry.local.extra = vec![0; 3]);
    Zip::of([padded]).open().expect("padding");
}

#[test]
fn zip_3_all_8_links_and_other_kinds() {
    let check = |mode: u32, kind: &str| {
        let entry = Entry::stored("name", b"target").with(|entry| entry.mode = mode);
        let rest = "wheels hold regular files and directories only";
        entry_refused(entry, &format!("member `name` is {kind}; {rest}"));
    };
    check(0o120777, "a symbolic link");
    check(0o010644, "a named pipe");
    check(0o020644, "a device");
    check(0o060644, "a device");
    check(0o140644, "a socket");
    check(
        0o040755,
        "a regular file by its name and a directory by its mode",
    );
    check(0o050000, "of no known kind");
    let directory = Entry::directory("name").with(|entry| entry.mode = 0o100644);
    entry_refused(
        directory,
        "member `name` is a directory by its name and a regular file by its mode; \
         wheels hold regular files and directories only",
    );
    let without_mode = Entry::stored("name", TEXT).with(|entry| entry.mode = 0);
    Zip::of([without_mode])
        .open()
        .expect("archivers without modes");
    entry_refused(
        Entry::stored("name/", TEXT).with(|entry| entry.mode = 0o040755),
        "member `name`: is a directory with 46 bytes of content, expected none",
    );
}

#[test]
fn zip_3_contents_are_checked_to_their_end() {
    let good = || Entry::deflated("name", TEXT);
    content_refused(
        good().both(|header| header.crc32 = 0xdead_beef),
        "member `name`: its checksum is cc61532b, expected deadbeef",
    );
    for entry in [good(), Entry::zstd("name", TEXT)] {
        content_refused(
            entry.clone().both(|header| header.size = 45),
            "member `name`: its content is longer than 45 bytes",
        );
        content_refused(
            entry.clone().both(|header| header.size = 47),
            "member `name`: its content ends after 46 bytes, expected 47",
        );
        let trailing = entry
            .both(|header| header.compressed_size += 1)
            .with(|entry| entry.data.push(0));
        content_refused(
            trailing,
            "member `name`: data follow the end of its compressed content",
        );
    }
    content_refused(
        Entry::stored("name", TEXT).both(|header| header.size = 45),
        "member `name`: its content is longer than 45 bytes",
    );
    let two_frames = Entry::zstd("name", TEXT).with(|entry| entry.data = entry.data.repeat(2));
    let two_frames = two_frames.both(|header| header.compressed_size *= 2);
    content_refused(
        two_frames,
        "member `name`: data follow the end of its compressed content",
    );
}

#[test]
fn zip_3_a_deflate_stream_says_itself_that_it_ends() {
    // One block that is not the last one, with the right content.
    let mut data = vec![0, TEXT.len() as u8, 0, !(TEXT.len() as u8), 0xff];
    data.extend(TEXT);
    let endless = Entry::deflated("name", TEXT).with(|entry| {
        for header in [&mut entry.local, &mut entry.central] {
            header.compressed_size = data.len() as u32;
        }
        entry.data = data;
    });
    content_refused(
        endless,
        "member `name`: its compressed content is damaged: it has no end",
    );
    let damaged = Entry::deflated("name", TEXT).with(|entry| entry.data[0] |= 0b110);
    let archive = Zip::of([damaged]).open().expect("consistent headers");
    let error = archive
        .read(0)
        .expect("a reader")
        .read_to_end(&mut Vec::new());
    let error = ArchiveError::from_read(error.expect_err("no deflate stream")).to_string();
    assert!(
        error.starts_with("member `name`: its compressed content is damaged"),
        "{error}"
    );
}

#[test]
fn all_4_names_are_escaped_and_cut_in_messages() {
    let name = format!("bell\u{7}{}", "x".repeat(240));
    let error = Zip::of([Entry::stored(&name, b"")]).open();
    let message = error.expect_err("a control character").to_string();
    assert!(
        message.starts_with("member name `bell\\u{7}xxx"),
        "{message}"
    );
    assert!(message.contains("x…`") && message.len() < 300, "{message}");
}

#[test]
fn all_5_member_names() {
    let check = |name: &str, problem: &str| {
        let error = Zip::of([Entry::stored(name, b"")])
            .open()
            .expect_err(problem)
            .to_string();
        assert!(error.ends_with(problem), "{error}");
        assert!(error.starts_with("member name `"), "{error}");
    };
    check("", "is empty");
    check("/", "is empty");
    check("/etc/passwd", "is absolute");
    check("..", "has a part that is `.` or `..`");
    check("a/../../b", "has a part that is `.` or `..`");
    check("./a", "has a part that is `.` or `..`");
    check("a//b", "has an empty part");
    check("a\\b", "contains a backslash");
    check("C:/a", "begins like a drive");
    check("c:a", "begins like a drive");
    check("a\0b", "`a\\u{0}b` contains an unprintable character");
    check("a\nb", "`a\\nb` contains an unprintable character");
    check(
        "a\u{202e}b",
        "`a\\u{202e}b` contains an unprintable character",
    );
    check("a\u{7f}", "contains an unprintable character");
    check(&"x".repeat(256), "has a part longer than 255 bytes");
    check(&"abcdefg/".repeat(513), "is longer than 4095 bytes");
    check(&"d/".repeat(65), "is deeper than 64 directories");
    for name in [
        "a b",
        "ab:c",
        "x".repeat(255).as_str(),
        "...",
        "a/…é/e\u{301}",
        "名前.txt",
    ] {
        Zip::of([Entry::stored(name, b"")]).open().expect(name);
    }
}

#[test]
fn all_7_one_path_one_file() {
    let file = |name| Entry::stored(name, b"");
    refused(&Zip::of([file("a"), file("a")]), "member `a` occurs twice");
    refused(
        &Zip::of([file("a"), Entry::directory("a")]),
        "member `a` occurs twice",
    );
    refused(
        &Zip::of([file("a/b/c"), file("a")]),
        "member `a/b/c` lies below `a`, which is a file",
    );
    refused(
        &Zip::of([file("a"), file("a/b/c")]),
        "member `a/b/c` lies below `a`, which is a file",
    );
    refused(
        &Zip::of([file("a/b"), Entry::directory("a/b/c")]),
        "member `a/b/c` lies below `a/b`, which is a file",
    );
    Zip::of([Entry::directory("a"), Entry::directory("a"), file("a/b")])
        .open()
        .expect("directories may occur twice");
}
