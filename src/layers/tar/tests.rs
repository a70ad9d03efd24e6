use std::io::Read;

use super::super::modes::Mode;
use super::*;

const TIME: Timestamp = Timestamp::ZIP_EPOCH;
const GNU_USTAR: &[u8] = include_bytes!("golden/ustar.tar.gz");
const GNU_LONG: &[u8] = include_bytes!("golden/long.tar.gz");

/// Path, mode, content or target: files have `=` before their content, links `>` before their target.
type Row<'a> = (String, u32, &'a str);

fn write(rows: &[Row<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, mode, what) in rows {
        let path = ImagePath::parse(path.as_str()).expect("a path of the test");
        let recorded = Recorded::root(Mode::new(*mode).expect("a mode"));
        if let Some(content) = what.strip_prefix('=') {
            let size = content.len() as u64;
            write_header(&mut bytes, &path, recorded, TarKind::File(size), TIME);
            bytes.extend_from_slice(content.as_bytes());
            bytes.extend_from_slice(padding(size));
        } else if let Some(target) = what.strip_prefix('>') {
            write_header(&mut bytes, &path, recorded, TarKind::Symlink(target), TIME);
        } else {
            write_header(&mut bytes, &path, recorded, TarKind::Directory, TIME);
        }
    }
    bytes.extend_from_slice(&END);
    bytes
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes)
        .read_to_end(&mut plain)
        .expect("a golden file");
    plain
}

fn row(path: impl Into<String>, mode: u32, what: &str) -> Row<'_> {
    (path.into(), mode, what)
}

fn assert_same(found: &[u8], expected: &[u8]) {
    let differs = found
        .iter()
        .zip(expected)
        .position(|(found, expected)| found != expected);
    assert_eq!(differs, None, "first different byte");
    assert_eq!(found.len(), expected.len());
}

#[test]
fn writes_the_bytes_of_gnu_tar_for_what_ustar_holds() {
    let (d, e) = ("d".repeat(60), "e".repeat(60));
    let target = format!(">{}", "t".repeat(100));
    let rows = [
        row("bin", 0o755, ""),
        row("bin/alias", 0o777, ">tool"),
        row("bin/t100", 0o777, &target),
        row("bin/tool", 0o755, "=#!/bin/sh\n"),
        row(&d, 0o755, ""),
        row(format!("{d}/{e}"), 0o755, ""),
        row(format!("{d}/{e}/file"), 0o644, "=hello\n"),
        row("etc", 0o755, ""),
        row("etc/empty", 0o644, "="),
        row("etc/shadow", 0o640, "=root:*\n"),
        row("long", 0o755, ""),
        row(format!("long/{}", "n".repeat(100)), 0o644, "=hello\n"),
        row("long2", 0o755, ""),
        row(
            format!("{}/{}", "p".repeat(155), "q".repeat(99)),
            0o644,
            "=hello\n",
        ),
        row("tmp", 0o1777, ""),
        row("usr", 0o755, ""),
        row("usr/share", 0o755, ""),
        row("usr/share/ca", 0o755, ""),
        row("x".repeat(99), 0o755, ""),
    ];
    assert_same(&write(&rows), &gunzip(GNU_USTAR));
}

#[test]
fn writes_the_bytes_of_gnu_tar_for_what_is_too_long() {
    let target = format!(">../{}", "t".repeat(98));
    let p2 = "p2".repeat(78);
    let rows = [
        row("bin/t101", 0o777, &target),
        row(format!("long2/{}", "n".repeat(101)), 0o644, "=hello\n"),
        row(&p2, 0o755, ""),
        row(format!("{p2}/{}", "q".repeat(30)), 0o644, "=hello\n"),
        row("p".repeat(155), 0o755, ""),
        row("y".repeat(100), 0o755, ""),
    ];
    assert_same(&write(&rows), &gunzip(GNU_LONG));
}

#[test]
fn names_that_are_not_ascii_stand_in_an_extended_header() {
    let mut bytes = Vec::new();
    let path = ImagePath::parse("a/Főtanúsítvány.crt").expect("a path");
    write_header(
        &mut bytes,
        &path,
        Recorded::root(Mode::LINK),
        TarKind::Symlink("ü"),
        TIME,
    );
    assert_eq!(bytes.len(), 3 * BLOCK);
    assert_eq!(
        &bytes[BLOCK..BLOCK + 48],
        "15 linkpath=ü\n32 path=a/Főtanúsítvány.crt\n\0".as_bytes()
    );
    assert_eq!(
        &bytes[2 * BLOCK..2 * BLOCK + 25],
        b"a/F__tan__s__tv__ny.crt\0\0"
    );
    assert_eq!(&bytes[2 * BLOCK + 157..2 * BLOCK + 160], b"__\0");
}

#[test]
fn sizes_from_8_gib_on_stand_in_an_extended_header() {
    let path = ImagePath::parse("model.bin").expect("a path");
    let header = |size| {
        let mut bytes = Vec::new();
        write_header(
            &mut bytes,
            &path,
            Recorded::root(Mode::PLAIN),
            TarKind::File(size),
            TIME,
        );
        bytes
    };
    let (largest, first) = (header(SIZE_LIMIT - 1), header(SIZE_LIMIT));
    assert_eq!(
        (largest.len(), &largest[124..136]),
        (BLOCK, b"77777777777\0".as_slice())
    );
    assert_eq!(first.len(), 3 * BLOCK);
    assert_eq!(&first[BLOCK..BLOCK + 20], b"19 size=8589934592\n\0");
    assert_eq!(&first[2 * BLOCK + 124..2 * BLOCK + 136], b"00000000000\0");
}

#[test]
fn the_length_of_a_record_counts_itself() {
    for length in [1, 80, 81, 82, 88, 89, 90, 91, 980, 981, 982, 983, 984, 3000] {
        let mut records = Vec::new();
        push_record(&mut records, "path", "v".repeat(length).as_bytes());
        let text = String::from_utf8(records).expect("ASCII");
        let (declared, _) = text.split_once(' ').expect("a blank");
        assert_eq!(
            declared.parse::<usize>().ok(),
            Some(text.len()),
            "value of {length} bytes"
        );
    }
}

#[test]
fn the_tar_crate_reads_it_back() {
    let long = format!("{}/{}", "dir".repeat(50), "name".repeat(40));
    let target = format!(">{}", "../".repeat(200));
    let rows = [
        row("a", 0o2775, ""),
        row("a/ä", 0o4755, "=setuid"),
        row("a/link", 0o777, &target),
        row(&long, 0o600, "=content"),
    ];
    let bytes = write(&rows);
    let mut archive = ::tar::Archive::new(bytes.as_slice());
    let mut found = Vec::new();
    for entry in archive.entries().expect("a tar stream") {
        let mut entry = entry.expect("an entry");
        let header = entry.header();
        assert_eq!(
            (header.mtime().ok(), header.uid().ok(), header.gid().ok()),
            (Some(TIME.seconds()), Some(0), Some(0))
        );
        assert_eq!(header.username().ok().flatten(), Some(""));
        let (mode, kind) = (header.mode().expect("a mode"), header.entry_type());
        let path = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
        let target = entry
            .link_name_bytes()
            .map(|target| String::from_utf8(target.into_owned()).expect("UTF-8"));
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("a content");
        let what = match target {
            Some(target) => format!(">{target}"),
            None if kind.is_dir() => String::new(),
            None => format!("={content}"),
        };
        found.push((path.trim_end_matches('/').to_owned(), mode, what));
    }
    let expected: Vec<_> = rows
        .map(|(path, mode, what)| (path, mode, what.to_owned()))
        .into();
    assert_eq!(found, expected);
}
