//! Archives as python-build-standalone makes them, and ones with a lie in them.

use std::error::Error as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::EntryType;
use tempfile::TempDir;

use super::*;

/// An archive in the making.
struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    fn empty() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// The least that is an interpreter.
    fn sound() -> Self {
        Self::empty()
            .file("python/bin/python3.12", b"ELF", 0o755)
            .link(EntryType::Symlink, "python/bin/python3", "python3.12")
            .file("python/lib/python3.12/os.py", b"import sys\n", 0o644)
    }

    fn header(kind: EntryType, size: usize, mode: u32) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header
    }

    fn file(mut self, path: &str, contents: &[u8], mode: u32) -> Self {
        let mut header = Self::header(EntryType::Regular, contents.len(), mode);
        self.0
            .append_data(&mut header, path, contents)
            .expect("memory is always writable");
        self
    }

    fn link(mut self, kind: EntryType, path: &str, target: &str) -> Self {
        let mut header = Self::header(kind, 0, 0o777);
        self.0
            .append_link(&mut header, path, target)
            .expect("memory is always writable");
        self
    }

    /// An entry whose name no well-behaved writer would write.
    fn raw(mut self, kind: EntryType, name: &[u8]) -> Self {
        let mut header = Self::header(kind, 0, 0o644);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        self.0
            .append(&header, std::io::empty())
            .expect("memory is always writable");
        self
    }

    fn gzip(self) -> Vec<u8> {
        gzip(&self.0.into_inner().expect("memory is always writable"))
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory is always writable");
    encoder.finish().expect("memory is always writable")
}

fn unpack_with(archive: &[u8], limits: Limits) -> Result<TempDir, PythonError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("python.tar.gz"), archive).expect("room for a small file");
    let interpreter = Interpreter {
        python: "3.12",
        prefix: &ImagePath::parse("opt/python").expect("a path"),
        limits,
        cancelled: &|| false,
    };
    interpreter.unpack(&at("python.tar.gz"), &at("out"), &at("control"))?;
    Ok(folder)
}

fn unpack(archive: &[u8]) -> Result<TempDir, PythonError> {
    unpack_with(archive, Limits::default())
}

/// The archive is refused, and the message and what lies behind it hold these words.
fn refuses(archive: &[u8], words: &[&str]) {
    let Err(error) = unpack(archive) else {
        panic!("an archive was accepted that should have been refused with {words:?}");
    };
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        message.push_str(&format!(": {error}"));
        source = error.source();
    }
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}

fn link(folder: &TempDir, path: &str) -> String {
    let target = fs::read_link(folder.path().join("out").join(path)).expect(path);
    target.into_os_string().into_string().expect("UTF-8")
}

#[test]
fn an_interpreter_lies_below_its_prefix_and_is_found_by_its_names() {
    let long = format!("python/share/{}x", "deep/".repeat(30));
    let archive = Archive::sound().file(&long, b"long", 0o644).link(
        EntryType::Link,
        "python/bin/python3.12-copy",
        "python/bin/python3.12",
    );
    let folder = unpack(&archive.gzip()).expect("a sound archive");
    let out = folder.path().join("out");
    assert_eq!(link(&folder, "opt/python/bin/python3"), "python3.12");
    assert_eq!(
        link(&folder, "usr/local/bin/python3.12"),
        "/opt/python/bin/python3.12"
    );
    assert_eq!(link(&folder, "usr/local/bin/python3"), "python3.12");
    assert_eq!(link(&folder, "usr/local/bin/python"), "python3.12");
    let moved = long.replace("python/", "opt/python/");
    assert_eq!(fs::read(out.join(moved)).expect("written"), b"long");
    for program in ["python3.12", "python3.12-copy"] {
        let path = out.join("opt/python/bin").join(program);
        assert_eq!(fs::read(&path).expect("written"), b"ELF");
        let mode = fs::metadata(&path).expect("written").permissions().mode();
        assert_eq!(mode & 0o100, 0o100, "{program} can be run");
    }
    let modes = fs::read_to_string(folder.path().join("control/modes.json")).expect("a record");
    assert_eq!(modes, "{\"entries\":{},\"version\":1}\n");
}

#[test]
fn all_9_what_a_store_cannot_hold_is_recorded() {
    let archive = Archive::sound().file("python/lib/shared", b"", 0o664);
    let folder = unpack(&archive.gzip()).expect("a sound archive");
    let modes = fs::read_to_string(folder.path().join("control/modes.json")).expect("a record");
    assert!(
        modes.contains("\"opt/python/lib/shared\":{\"gid\":0,\"mode\":\"0664\",\"uid\":0}"),
        "{modes}"
    );
}

#[test]
fn all_5_nothing_leaves_its_folder() {
    let beside = Archive::sound().file("pythonic/x", b"", 0o644);
    refuses(
        &beside.gzip(),
        &[
            "archive, entry \"pythonic/x\"",
            "not below the archive's one folder",
        ],
    );
    for name in [
        &b"python/../x"[..],
        b"/python/x",
        b"python//x",
        b"python/\xff",
    ] {
        let archive = Archive::sound().raw(EntryType::Regular, name);
        refuses(&archive.gzip(), &["archive, entry"]);
    }
    let outside = Archive::sound().link(EntryType::Link, "python/x", "etc/passwd");
    refuses(
        &outside.gzip(),
        &["archive, entry \"python/x\": hard link to"],
    );
}

#[test]
fn all_7_one_path_has_one_entry_and_no_link_above_it() {
    let twice = Archive::sound().file("python/lib/python3.12/os.py", b"", 0o644);
    refuses(&twice.gzip(), &["exists already as a regular file"]);
    let through = Archive::sound()
        .link(EntryType::Symlink, "python/share", "/etc")
        .file("python/share/passwd", b"", 0o644);
    refuses(&through.gzip(), &["lies below", "a symbolic link"]);
}

#[test]
fn all_8_devices_and_pipes_are_refused() {
    for kind in [EntryType::Char, EntryType::Fifo, EntryType::GNUSparse] {
        let archive = Archive::sound().raw(kind, b"python/dev");
        refuses(&archive.gzip(), &["expected a file, a directory or a link"]);
    }
}

#[test]
fn all_3_the_stream_ends_where_the_file_ends() {
    let sound = Archive::sound().gzip();
    refuses(&[&sound[..], b"more"].concat(), &["bytes follow"]);
    refuses(
        &[&sound[..], &gzip(b"more")[..]].concat(),
        &["bytes follow"],
    );
    refuses(&sound[..sound.len() - 4], &["cannot read"]);
    let mut damaged = sound;
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    refuses(&damaged, &["cannot read"]);
    refuses(
        b"<!doctype html>",
        &["begins with \"<!doctype html>\"", ".tar.gz"],
    );
    refuses(b"", &["begins with \"\""]);
}

#[test]
fn lim_1_an_archive_that_expands_without_end_is_refused() {
    let limits = Limits {
        expanded_bytes: 8,
        ..Limits::default()
    };
    let error = unpack_with(&Archive::sound().gzip(), limits).expect_err("too large");
    assert!(
        error.to_string().contains("limits.archive-expanded-bytes"),
        "{error}"
    );
    let limits = Limits {
        entries: 2,
        ..Limits::default()
    };
    let error = unpack_with(&Archive::sound().gzip(), limits).expect_err("too many");
    assert!(
        error.to_string().contains("limits.archive-entries"),
        "{error}"
    );
}

#[test]
fn another_python_is_refused() {
    let other = Archive::empty().file("python/bin/python3.13", b"ELF", 0o755);
    refuses(&other.gzip(), &["no python/bin/python3.12", "install_only"]);
    let full = Archive::empty().file("python/install/bin/python3.12", b"ELF", 0o755);
    refuses(&full.gzip(), &["no python/bin/python3.12"]);
}
