use std::{collections::BTreeSet, io::Read, path::PathBuf};

use cognix_derivations::StorePath;

use super::*;
use crate::{
    builtins::wheel::fixtures::{DEMO_FILENAME, Entry as ZipEntry, Wheel as DemoWheel},
    layers::{
        description::{PythonVersion, RecordPolicy},
        write,
    },
};

const GOLDEN: &[u8] = include_bytes!("golden/demo-1.0-py3-none-any.whl");
const SITE_PACKAGES: &str = "venv/lib/python3.11/site-packages";

/// A wheel file and where it lies.
struct Case {
    directory: tempfile::TempDir,
    source: WheelSource,
}

impl Case {
    fn new(wheel: &[u8]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let wheel_path =
            StorePath::parse(&format!("/nix/store/{}-{DEMO_FILENAME}", "0".repeat(32)));
        let source = WheelSource {
            wheel: wheel_path.expect("a store path"),
            filename: DEMO_FILENAME.to_owned(),
            python: PythonVersion(3, 11),
            omit: BTreeSet::new(),
            record: RecordPolicy::Checked,
            bytecode: None,
        };
        let case = Self { directory, source };
        std::fs::write(case.file(), wheel).expect("a temporary file");
        case
    }

    fn of(wheel: &DemoWheel) -> Self {
        Self::new(&wheel.zip().bytes())
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("wheel")
    }

    fn describe(&self) -> Result<LayerDescription, LayerError> {
        let request = LayerRequest {
            time: crate::layers::Timestamp::default(),
            name: "demo",
            recipe: Recipe::FOR_WHEELS,
            cancelled: &|| false,
        };
        describe_wheel(&request, &|_| self.file(), self.source.clone())
    }

    fn write(&self, description: &LayerDescription) -> Result<Vec<u8>, LayerError> {
        let mut bytes = Vec::new();
        write(description, &|_| self.file(), &mut bytes)?;
        Ok(bytes)
    }

    /// Describes, writes, inflates with another library, and gives the contents by path.
    fn unpacked(&self) -> Vec<(String, Vec<u8>)> {
        let description = self.describe().expect("a good wheel");
        let bytes = self.write(&description).expect("the same bytes");
        let mut tar = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice())
            .read_to_end(&mut tar)
            .expect("gzip");
        assert_eq!(description.diff_id.0, Sha256::of(&tar));
        assert_eq!(description.digest.0, Sha256::of(&bytes));
        assert_eq!(
            (description.uncompressed_size, description.size),
            (tar.len() as u64, bytes.len() as u64)
        );
        let mut found = Vec::new();
        let mut archive = ::tar::Archive::new(tar.as_slice());
        for (entry, listed) in archive.entries().expect("tar").zip(&description.entries) {
            let mut entry = entry.expect("an entry");
            let path = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
            assert_eq!(path.trim_end_matches('/'), listed.path.as_str());
            assert_eq!(
                entry.header().mode().ok(),
                Some(listed.recorded.mode.bits())
            );
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("a content");
            if let EntryKind::File { size, sha256 } = listed.kind {
                assert_eq!((size, sha256), (content.len() as u64, Sha256::of(&content)));
                found.push((path, content));
            }
        }
        found
    }
}

fn check_contents(entries: Vec<(ZipEntry, Vec<u8>)>) {
    let contents: Vec<_> = entries.iter().map(|(_, content)| content.clone()).collect();
    let wheel = entries
        .into_iter()
        .fold(DemoWheel::new(&[]), |wheel, (entry, content)| {
            wheel.entry(entry, &content)
        });
    let found = Case::of(&wheel).unpacked();
    for (at, content) in contents.iter().enumerate() {
        let path = format!("{SITE_PACKAGES}/demo/{at}");
        let (_, found) = found
            .iter()
            .find(|(found, _)| *found == path)
            .expect("installed");
        assert!(found == content, "content {at} of {} bytes", content.len());
    }
}

/// Bytes that hardly compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8))
        .flat_map(|_| next())
        .take(length)
        .collect()
}

/// If this fails, the recipe or the installation of wheels changed its meaning: every wheel's layer gets another digest.
/// That needs a recipe, or a builtin, of its own.
#[test]
fn the_bytes_of_the_recipe_are_pinned() {
    let case = Case::new(GOLDEN);
    let description = case.describe().expect("a good wheel");
    assert_eq!(
        (
            description.digest.to_string(),
            description.diff_id.to_string()
        ),
        (
            "sha256:4ad9159e0ffb0f8e84d95031b608c42c0cb3460ada730fc09f1472da2d824544".to_owned(),
            "sha256:f28003506fdee890eb12ef0b8fd4f9a6b9f7a52d5a2f02f89628f29aade71e30".to_owned(),
        )
    );
    assert_eq!(
        (description.size, description.uncompressed_size),
        (13_596, 13_824)
    );
    case.unpacked();
}

#[test]
fn modes_and_directories_are_those_of_the_plan() {
    let tool = ZipEntry::deflated("demo/tool", b"#!/bin/sh\n").executable();
    let wheel = DemoWheel::new(&[("demo/a.py", b"1")]).entry(tool, b"#!/bin/sh\n");
    let description = Case::of(&wheel).describe().expect("a good wheel");
    let row = |path: &str| {
        let entry = description.entry(path).expect(path);
        (entry.is_directory(), entry.recorded.mode.to_string())
    };
    for above in ["venv", "venv/lib", "venv/lib/python3.11", SITE_PACKAGES] {
        assert_eq!(row(above), (true, "0755".to_owned()));
    }
    assert_eq!(
        row(&format!("{SITE_PACKAGES}/demo/tool")),
        (false, "0755".to_owned())
    );
    assert_eq!(
        row(&format!("{SITE_PACKAGES}/demo/a.py")),
        (false, "0644".to_owned())
    );
}

#[test]
fn contents_of_every_method_come_through() {
    let sizes = [
        0,
        1,
        511,
        512,
        513,
        65_534,
        65_535,
        65_536,
        131_070,
        131_071,
        1 << 20,
        (1 << 20) + 1,
        2_200_000,
    ];
    for make in [ZipEntry::stored, ZipEntry::deflated, ZipEntry::zstd] {
        let entries = sizes.iter().enumerate().map(|(at, size)| {
            let content = if at % 2 == 0 {
                noise(*size)
            } else {
                vec![b'x'; *size]
            };
            (make(&format!("demo/{at}"), &content), content)
        });
        check_contents(entries.collect());
    }
}

#[test]
fn lim_4_large_contents_are_inflated_piece_by_piece_with_the_same_result() {
    let mut content = vec![0; (16 << 20) + 1];
    content.extend(noise(100_000));
    check_contents(vec![(ZipEntry::deflated("demo/0", &content), content)]);
}

/// Deflate streams have blocks of any kind and size; the layer takes each as it is.
#[test]
fn a_content_that_holds_its_own_checksum_and_length_is_no_reason_to_refuse_it() {
    // Its CRC-32 is c0ffee42 and its length 15, and both stand in it, in a stored block, where a search finds them.
    let content = b"abcB\xee\xff\xc0\x0f\x00\x00\x00\x14\xfc\x8b\xe0";
    let mut data = vec![1, 15, 0, !15, !0];
    data.extend_from_slice(content);
    let entry = ZipEntry::deflated("demo/0", content)
        .both(|header| header.compressed_size = 20)
        .with(|entry| entry.data = data);
    assert_eq!(entry.central.crc32, 0xc0ff_ee42);
    check_contents(vec![(entry, content.to_vec())]);
}

#[test]
fn all_3_bytes_after_the_end_of_a_stream_are_refused() {
    let content = b"short";
    let crc32 = ZipEntry::deflated("x", content).central.crc32;
    // What follows the stream looks like the end of a gzip member, so a decompressor of gzip would stop there.
    for tail in [
        trailer_of(crc32, 5),
        [trailer_of(crc32, 5), vec![0; 9]].concat(),
        vec![0],
        vec![0; 8],
    ] {
        let entry = ZipEntry::deflated("demo/0", content).with(|entry| entry.data.extend(tail));
        let length = entry.data.len() as u32;
        let entry = entry.both(|header| header.compressed_size = length);
        let error = Case::of(&DemoWheel::new(&[]).entry(entry, content))
            .describe()
            .expect_err("more data");
        assert!(
            source_of(&error).contains("data follow the end"),
            "{}",
            source_of(&error)
        );
    }
}

fn trailer_of(crc32: u32, length: u64) -> Vec<u8> {
    gzip::trailer(crc32, length).to_vec()
}

fn source_of(error: &LayerError) -> String {
    std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[test]
fn zip_3_damaged_contents_are_refused() {
    let content = noise(3_000);
    let good = || ZipEntry::deflated("demo/0", &content);
    for (entry, expected) in [
        (good().both(|header| header.crc32 ^= 1), "checksum"),
        (good().both(|header| header.size -= 1), "longer"),
        (good().both(|header| header.size += 1), "ends after"),
        (good().with(|entry| entry.data[100] ^= 0x55), "`demo/0`"),
        (
            ZipEntry::stored("demo/0", &content).both(|header| header.crc32 ^= 1),
            "checksum",
        ),
        (
            ZipEntry::zstd("demo/0", &content).both(|header| header.crc32 ^= 1),
            "checksum",
        ),
    ] {
        // RECORD says what the changed header says, so that the content itself is what is wrong.
        let size = entry.central.size as usize;
        let listed: Vec<u8> = content.iter().copied().chain([0]).take(size).collect();
        let error = Case::of(&DemoWheel::new(&[]).entry(entry, &listed))
            .describe()
            .expect_err(expected);
        assert!(
            source_of(&error).contains(expected),
            "{expected}: {}",
            source_of(&error)
        );
    }
}

#[test]
fn rec_2_contents_are_compared_with_record() {
    for make in [ZipEntry::stored, ZipEntry::deflated, ZipEntry::zstd] {
        let wheel = DemoWheel::new(&[]).entry(make("demo/a.py", b"changed"), b"as built");
        let wheel = wheel.record(|text| text.replace(",8\n", ",7\n"));
        match Case::of(&wheel).describe() {
            Err(LayerError::Record {
                path,
                expected,
                found,
                ..
            }) => {
                assert_eq!(path.as_str(), format!("{SITE_PACKAGES}/demo/a.py"));
                assert_eq!(
                    (expected, found),
                    (Sha256::of(b"as built"), Sha256::of(b"changed"))
                );
            }
            other => panic!("expected a mismatch, got {other:?}"),
        }
    }
}

#[test]
fn omitted_files_are_left_to_another_layer() {
    let mut case = Case::of(&DemoWheel::new(&[
        ("nvidia/__init__.py", b""),
        ("nvidia/cudnn/a.so", b"1"),
    ]));
    let whole = case.describe().expect("a good wheel");
    let shared = ImagePath::parse(format!("{SITE_PACKAGES}/nvidia/__init__.py")).expect("a path");
    case.source.omit.insert(shared.clone());
    let part = case.describe().expect("a good wheel");
    assert_eq!(part.entry(shared.as_str()), None);
    assert_eq!(part.entries.len(), whole.entries.len() - 1);
    assert!(case.write(&part).is_ok());

    case.source.omit = BTreeSet::from([ImagePath::parse("venv/lib").expect("a path")]);
    let error = case
        .describe()
        .expect_err("directories have no owner")
        .to_string();
    assert_eq!(
        error,
        "layer demo is to leave out venv/lib, which is not a file or link in it"
    );
}

#[test]
fn what_comes_out_differently_is_an_error() {
    let case = Case::new(GOLDEN);
    let good = case.describe().expect("a good wheel");
    let mut other = good.clone();
    other.digest = LayerDigest(Sha256::of(b""));
    assert!(matches!(
        case.write(&other),
        Err(LayerError::Differs { .. })
    ));
    let mut other = good.clone();
    other.size += 1;
    assert!(matches!(
        case.write(&other),
        Err(LayerError::Differs { .. })
    ));
    let mut other = good;
    other.recipe = Recipe::FOR_TREES;
    assert!(matches!(case.write(&other), Err(LayerError::Recipe { .. })));
}

#[test]
fn a_full_disk_is_not_the_wheel_s_fault() {
    let case = Case::new(GOLDEN);
    let description = case.describe().expect("a good wheel");
    let mut little = [0; 5_000];
    let error =
        write(&description, &|_| case.file(), &mut little.as_mut_slice()).expect_err("no room");
    assert_eq!(error.to_string(), "cannot write layer demo");
}

#[test]
fn cancelling_ends_the_work() {
    let case = Case::new(GOLDEN);
    let request = LayerRequest {
        time: crate::layers::Timestamp::default(),
        name: "demo",
        recipe: Recipe::FOR_WHEELS,
        cancelled: &|| true,
    };
    let result = describe_wheel(&request, &|_| case.file(), case.source.clone());
    assert!(matches!(result, Err(LayerError::Cancelled)));
}

#[test]
fn stored_members_do_not_depend_on_the_pieces() {
    let bytes = noise(200_000);
    let splice = |piece: usize| {
        let mut out = Vec::new();
        let mut splicer = Splicer::describing(&mut out);
        for piece in bytes.chunks(piece) {
            splicer.plain(piece).expect("a Vec takes everything");
        }
        splicer.finish().expect("a Vec takes everything");
        out
    };
    let expected = splice(bytes.len());
    assert_eq!(
        expected.len(),
        10 + 4 * 5 + 200_000 + 8,
        "one member of four blocks"
    );
    for piece in [1_000, 65_535, 65_536] {
        assert!(splice(piece) == expected, "pieces of {piece}");
    }
}

#[test]
fn bytecode_lies_among_the_wheels_files() {
    let mut case = Case::of(&DemoWheel::new(&[("demo/one.py", b"x = 1\n")]));
    let out = StorePath::parse(&format!("/nix/store/{}-demo-bytecode", "1".repeat(32)));
    let out = out.expect("a store path");
    case.source.bytecode = Some(out.clone());
    let tree = case.directory.path().join("bytecode");
    let cache = tree.join(SITE_PACKAGES).join("demo/__pycache__");
    std::fs::create_dir_all(&cache).expect("a writable folder");
    let bytecode = noise(3 << 20);
    std::fs::write(cache.join("one.cpython-311.pyc"), &bytecode).expect("a writable folder");
    let locate = |path: &StorePath| match *path == out {
        true => tree.clone(),
        false => case.file(),
    };
    let request = LayerRequest {
        time: crate::layers::Timestamp::default(),
        name: "demo",
        recipe: Recipe::FOR_WHEELS,
        cancelled: &|| false,
    };
    let describe = || describe_wheel(&request, &locate, case.source.clone());
    let description = describe().expect("a good wheel");
    let path = format!("{SITE_PACKAGES}/demo/__pycache__/one.cpython-311.pyc");
    let entry = description.entry(&path).expect("it is there");
    let (size, sha256) = (bytecode.len() as u64, Sha256::of(&bytecode));
    assert_eq!(entry.kind, EntryKind::File { size, sha256 });
    assert_eq!(description.store_paths(), [&out, &case.source.wheel]);
    let read = LayerDescription::parse(&description.to_json());
    assert_eq!(read.ok().as_ref(), Some(&description), "its text says all");

    let mut bytes = Vec::new();
    write(&description, &locate, &mut bytes).expect("the same bytes");
    let mut tar = Vec::new();
    let mut inflated = flate2::read::MultiGzDecoder::new(bytes.as_slice());
    inflated.read_to_end(&mut tar).expect("gzip");
    assert_eq!(description.diff_id.0, Sha256::of(&tar));

    // A wheel that brings the same path itself is not written over.
    std::fs::rename(
        cache.join("one.cpython-311.pyc"),
        cache.with_file_name("one.py"),
    )
    .expect("a writable folder");
    let error = describe().expect_err("two files for one path");
    assert_eq!(
        error.to_string(),
        format!(
            "{SITE_PACKAGES}/demo/one.py comes from {DEMO_FILENAME} and from its bytecode with different content; layers.conflicts \
             = {{ \"{SITE_PACKAGES}/demo/one.py\" = \"PACKAGE\"; }}; in cognix.nix says which package keeps it"
        )
    );
}
