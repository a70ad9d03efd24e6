//! The outer archive and the compression of its members.

use std::io::Write as _;

use super::*;

fn sound_members() -> (Vec<u8>, Vec<u8>) {
    (
        control().ended(),
        Tar::default()
            .directory("./")
            .file("./etc/motd", b"hello\n")
            .ended(),
    )
}

#[test]
fn deb_1_takes_what_dpkg_deb_writes() {
    for (name, package) in [
        ("none", &include_bytes!("golden/none.deb")[..]),
        ("gzip", include_bytes!("golden/gzip.deb")),
        ("xz", include_bytes!("golden/xz.deb")),
        ("zstd", include_bytes!("golden/zstd.deb")),
    ] {
        let unpacked = unpack(package).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            unpacked.read("out/usr/bin/hello"),
            b"#!/bin/sh\necho hello\n",
            "{name}"
        );
        assert_eq!(
            unpacked.read("control/postinst"),
            b"#!/bin/sh\nexit 0\n",
            "{name}"
        );
    }
}

#[test]
fn deb_1_ignores_reserved_members_and_what_follows() {
    let (control, data) = sound_members();
    let package = ar(&[
        ("debian-binary", b"2.1\nfor later"),
        ("_early", b"odd"),
        ("control.tar/", &control),
        ("_between", b""),
        ("data.tar", &data),
        ("anything", b"at all"),
        ("_more", b"x"),
    ]);
    assert_eq!(
        unpack(&package)
            .expect("a sound package")
            .read("out/etc/motd"),
        b"hello\n"
    );
}

#[test]
fn deb_1_refuses_other_members_and_other_orders() {
    let (control, data) = sound_members();
    let (version, control, data) = (
        ("debian-binary", &b"2.0\n"[..]),
        ("control.tar", &control[..]),
        ("data.tar", &data[..]),
    );
    refuses(
        &ar(&[version, data, control]),
        &["name", "\"data.tar\"", "control.tar"],
    );
    refuses(&ar(&[control, data]), &["\"control.tar\"", "debian-binary"]);
    refuses(
        &ar(&[version, control, ("extra", b"x"), data]),
        &["\"extra\"", "data.tar"],
    );
    refuses(&ar(&[version, control]), &["data.tar", "cut off"]);
    refuses(&ar(&[]), &["debian-binary", "cut off"]);
    refuses(
        &ar(&[("debian-binary", b"3.0\n"), control, data]),
        &["format version", "3.0"],
    );
    refuses(
        &ar(&[("debian-binary", b"2\n"), control, data]),
        &["format version"],
    );
    refuses(
        b"<!DOCTYPE html><title>not here</title>",
        &["not a Debian package", "<!DOCTYP"],
    );
    refuses(b"", &["not a Debian package"]);
}

#[test]
fn deb_1_refuses_every_lie_in_a_header() {
    let (control, data) = sound_members();
    let sound = ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control),
        ("data.tar", &data),
    ]);
    let changed = |at: usize, bytes: &[u8]| {
        let mut package = sound.clone();
        package[at..at + bytes.len()].copy_from_slice(bytes);
        package
    };
    refuses(&changed(8 + 58, b"\n`"), &["end of the header"]);
    refuses(&changed(8 + 48, b"-4        "), &["size", "-4"]);
    refuses(&changed(8 + 48, b"4 4       "), &["size"]);
    refuses(&changed(8 + 48, b"          "), &["size"]);
    refuses(&changed(8 + 48, b"6         "), &["end of the header"]);
    refuses(&changed(8, b"#1/20           "), &["short name"]);
    refuses(&changed(8, b"//              "), &["short name"]);
    refuses(&changed(8, b"\0\0              "), &["short name"]);
    let mut unpadded = b"!<arch>\n".to_vec();
    ar_member(&mut unpadded, "debian-binary", "3", b"2.0");
    *unpadded.last_mut().expect("a padding byte") = b'x';
    ar_member(
        &mut unpadded,
        "control.tar",
        &control.len().to_string(),
        &control,
    );
    refuses(&unpadded, &["padding"]);
}

#[test]
fn deb_1_all_2_refuses_every_truncation() {
    let package = include_bytes!("golden/xz.deb");
    for length in (0..package.len()).step_by(7).chain([package.len() - 1]) {
        assert!(
            unpack(&package[..length]).is_err(),
            "{length} bytes were enough"
        );
    }
    let (control, data) = sound_members();
    let mut long = b"!<arch>\n".to_vec();
    ar_member(&mut long, "debian-binary", "4", b"2.0\n");
    ar_member(
        &mut long,
        "control.tar",
        &control.len().to_string(),
        &control,
    );
    ar_member(&mut long, "data.tar", "9999999999", &data);
    refuses(&long, &["after the end"]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("a vector grows");
    encoder.finish().expect("a vector grows")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).expect("a vector grows");
    encoder.finish().expect("a vector grows")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("a vector grows")
}

fn with_compressed(name: &str, data: &[u8]) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control().ended()),
        (name, data),
    ])
}

#[test]
fn deb_2_refuses_bytes_behind_the_stream() {
    let (_, data) = sound_members();
    type Compress = fn(&[u8]) -> Vec<u8>;
    let codecs: [(&str, Compress); 3] = [
        ("data.tar.gz", gzip),
        ("data.tar.xz", xz),
        ("data.tar.zst", zstd),
    ];
    for (name, compress) in codecs {
        let stream = compress(&data);
        assert!(unpack(&with_compressed(name, &stream)).is_ok(), "{name}");
        for behind in [&b"\0"[..], b"\0\0\0\0", b"PK", b"\x1f\x8b"] {
            let error = unpack(&with_compressed(name, &[&stream, behind].concat())).err();
            assert!(
                error.is_some(),
                "{name}: {behind:?} was accepted behind the stream"
            );
        }
        assert!(
            unpack(&with_compressed(name, &stream[..stream.len() - 1])).is_err(),
            "{name} cut off"
        );
        let mut flipped = stream.clone();
        let middle = stream.len() - 6;
        flipped[middle] ^= 1;
        assert!(
            unpack(&with_compressed(name, &flipped)).is_err(),
            "{name} damaged"
        );
    }
    // A second stream is a second archive to one reader and the same one to another.
    refuses(
        &with_compressed("data.tar.gz", &[gzip(&data), gzip(&data)].concat()),
        &["after the end of its compressed stream"],
    );
    refuses(
        &with_compressed("data.tar.xz", &[xz(&data), xz(b"")].concat()),
        &["after the end of its compressed stream"],
    );
}

#[test]
fn deb_2_reads_zstd_in_several_frames() {
    let (_, data) = sound_members();
    let (first, second) = data.split_at(700);
    let unpacked = unpack(&with_compressed(
        "data.tar.zst",
        &[zstd(first), zstd(second)].concat(),
    ));
    assert_eq!(
        unpacked
            .expect("frames of one archive")
            .read("out/etc/motd"),
        b"hello\n"
    );
}

#[test]
fn deb_2_refuses_other_compressions_and_wrong_names() {
    let (_, data) = sound_members();
    refuses(
        &with_compressed("data.tar.bz2", &data),
        &["data.tar.bz2", ".gz, .xz, .zst"],
    );
    refuses(&with_compressed("data.tar.lzma", &data), &["data.tar.lzma"]);
    refuses(&with_compressed("data.tar.xz", &gzip(&data)), &["damaged"]);
    refuses(&with_compressed("data.tar", &gzip(&data)), &["cut off"]);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Whatever is changed, the reader answers; it never panics and never allocates what only a header asks for.
    #[test]
    fn all_1_foreign_bytes_never_panic(changes in proptest::collection::vec((0..30_912_usize, 0..=u8::MAX), 1..8)) {
        let mut package = include_bytes!("golden/none.deb").to_vec();
        for (at, byte) in changes {
            package[at] = byte;
        }
        drop(unpack(&package));
    }
}

#[test]
fn lim_1_refuses_bombs() {
    let large = Tar::default().file("./zeros", &vec![0; 3 << 20]);
    let package = with_compressed("data.tar.xz", &xz(&large.ended()));
    let small = Limits {
        expanded_bytes: 1 << 20,
        ..Limits::default()
    };
    says(
        &unpack_with(&package, small).err().expect("too large"),
        &["expanded size", "limits.archive-expanded-bytes"],
    );
    let small = Limits {
        file_bytes: 1 << 20,
        ..Limits::default()
    };
    says(
        &unpack_with(&package, small).err().expect("too large"),
        &["limits.archive-file-bytes"],
    );
    let few = Limits {
        entries: 2,
        ..Limits::default()
    };
    says(
        &unpack_with(&package, few).err().expect("too many"),
        &["number of entries", "limits.archive-entries"],
    );
    let bomb = Tar::default().file("./zeros", &vec![0; 70 << 20]);
    let package = with_compressed("data.tar.xz", &xz(&bomb.ended()));
    says(
        &unpack(&package).err().expect("a bomb"),
        &["limits.archive-ratio"],
    );
    // A size that only stands in a header costs nothing.
    let claim = Tar::default().header(&Header::new(b'0', "./huge").sized(15 << 30));
    refuses(&with_data(&claim), &["limits.archive-ratio"]);
}
