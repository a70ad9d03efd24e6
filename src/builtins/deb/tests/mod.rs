//! Packages made up byte by byte, each with one lie, and packages made by `dpkg-deb` (`golden/make.sh`).

mod archive;
mod entries;
mod package;

use std::{error::Error as _, fs, io::Write as _};

use tempfile::TempDir;

use super::*;

const EXPECTED: Expected<'_> = Expected {
    package: "greeting",
    version: "1:2.0-1",
    architecture: "amd64",
};
const CONTROL: &[u8] = b"Package: greeting\nVersion: 1:2.0-1\nArchitecture: amd64\nDescription: says hello\n and no more\n";

/// What became of a package.
struct Unpacked {
    folder: TempDir,
}

impl Unpacked {
    fn read(&self, path: &str) -> Vec<u8> {
        let path = self.folder.path().join(path);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn link(&self, path: &str) -> String {
        let target = fs::read_link(self.folder.path().join(path)).expect("a link");
        target.to_str().expect("a UTF-8 target").to_owned()
    }

    fn modes(&self) -> String {
        String::from_utf8(self.read("control/modes.json")).expect("JSON is text")
    }
}

fn unpack_with(deb: &[u8], limits: Limits) -> Result<Unpacked, DebError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("package.deb"), deb).expect("room for a small file");
    let unpacker = Unpacker {
        expected: EXPECTED,
        limits,
        cancelled: &|| false,
    };
    unpacker.unpack(&at("package.deb"), &at("out"), &at("control"))?;
    Ok(Unpacked { folder })
}

fn unpack(deb: &[u8]) -> Result<Unpacked, DebError> {
    unpack_with(deb, Limits::default())
}

/// The package is refused, and the message and what lies behind it hold these words.
fn refuses(deb: &[u8], words: &[&str]) {
    let Err(error) = unpack(deb) else {
        panic!("a package was accepted that should have been refused with {words:?}");
    };
    says(&error, words);
}

fn says(error: &DebError, words: &[&str]) {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        message.push_str(&format!(": {error}"));
        source = error.source();
    }
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
    assert!(!message.contains('\0'), "{message:?} prints a NUL");
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, contents) in members {
        ar_member(&mut archive, name, &contents.len().to_string(), contents);
    }
    archive
}

fn ar_member(archive: &mut Vec<u8>, name: &str, size: &str, contents: &[u8]) {
    writeln!(
        archive,
        "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`",
        0, 0, 0, 100_644
    )
    .expect("a vector grows");
    archive.extend_from_slice(contents);
    if contents.len() % 2 == 1 {
        archive.push(b'\n');
    }
}

/// A package whose two inner archives are not compressed.
fn deb(control: &Tar, data: &Tar) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control.ended()),
        ("data.tar", &data.ended()),
    ])
}

/// A package with a sound control archive.
fn with_data(data: &Tar) -> Vec<u8> {
    deb(&control(), data)
}

fn control() -> Tar {
    Tar::default().directory("./").file("./control", CONTROL)
}

/// An inner archive in the making.
#[derive(Default, Clone)]
struct Tar(Vec<u8>);

/// One header; the fields hold what ordinary entries have until a test changes one.
#[derive(Clone)]
struct Header {
    name: Vec<u8>,
    link: Vec<u8>,
    prefix: Vec<u8>,
    kind: u8,
    mode: Vec<u8>,
    uid: Vec<u8>,
    gid: Vec<u8>,
    size: Vec<u8>,
    magic: &'static [u8],
    checksum: Option<Vec<u8>>,
}

impl Header {
    fn new(kind: u8, name: &str) -> Self {
        let mode = if kind == b'5' {
            b"0000755\0"
        } else {
            b"0000644\0"
        };
        Self {
            name: name.as_bytes().to_vec(),
            link: Vec::new(),
            prefix: Vec::new(),
            kind,
            mode: mode.to_vec(),
            uid: b"0000000\0".to_vec(),
            gid: b"0000000\0".to_vec(),
            size: b"00000000000\0".to_vec(),
            magic: b"ustar  \0",
            checksum: None,
        }
    }

    fn sized(mut self, size: usize) -> Self {
        self.size = format!("{size:011o}\0").into_bytes();
        self
    }

    fn block(&self) -> [u8; 512] {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name);
        put(100, &self.mode);
        put(108, &self.uid);
        put(116, &self.gid);
        put(124, &self.size);
        put(136, b"00000000000\0");
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, &self.link);
        put(257, self.magic);
        put(345, &self.prefix);
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        let checksum = self
            .checksum
            .clone()
            .unwrap_or_else(|| format!("{sum:06o}\0 ").into_bytes());
        block[148..148 + checksum.len()].copy_from_slice(&checksum);
        block
    }
}

impl Tar {
    fn header(mut self, header: &Header) -> Self {
        self.0.extend_from_slice(&header.block());
        self
    }

    fn contents(mut self, contents: &[u8]) -> Self {
        self.0.extend_from_slice(contents);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn entry(self, header: Header, contents: &[u8]) -> Self {
        self.header(&header.sized(contents.len()))
            .contents(contents)
    }

    fn file(self, name: &str, contents: &[u8]) -> Self {
        self.entry(Header::new(b'0', name), contents)
    }

    fn directory(self, name: &str) -> Self {
        self.header(&Header::new(b'5', name))
    }

    fn link(self, kind: u8, name: &str, target: &str) -> Self {
        self.header(&Header {
            link: target.as_bytes().to_vec(),
            ..Header::new(kind, name)
        })
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.link(b'2', name, target)
    }

    fn extended(self, records: &[(&str, &str)]) -> Self {
        let record = |(key, value): &(&str, &str)| {
            let rest = format!(" {key}={value}\n");
            let length =
                (1..).find(|length: &usize| *length == rest.len() + length.to_string().len());
            format!("{}{rest}", length.expect("some number is long enough"))
        };
        let records: String = records.iter().map(record).collect();
        self.entry(Header::new(b'x', "././@PaxHeader"), records.as_bytes())
    }

    /// The archive with the two blocks of zeros that end it.
    fn ended(&self) -> Vec<u8> {
        let mut archive = self.0.clone();
        archive.resize(archive.len() + 1024, 0);
        archive
    }
}
