use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use cognix_derivations::nar::{Encoder, NarError, Visitor, decode};
use cognix_derivations::{ContentAddress, Sha256, StorePathName, content_addressed_path};
use serde_json::{Map, Value, json as value};

use super::{bytes, json, text};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Rebuilds the vectors' `tree` and, on the way, the archive itself.
struct Rebuilder {
    archive: Encoder<Vec<u8>>,
    open: Vec<(Option<String>, Map<String, Value>)>,
    root: Option<Value>,
}

impl Rebuilder {
    fn place(&mut self, name: Option<&[u8]>, node: Value) {
        match (name, self.open.last_mut()) {
            (Some(name), Some((_, entries))) => {
                entries.insert(hex(name), node);
            }
            _ => self.root = Some(node),
        }
    }
}

impl Visitor for Rebuilder {
    fn start_directory(&mut self, name: Option<&[u8]>) -> io::Result<()> {
        self.open.push((name.map(hex), Map::new()));
        self.archive.start_directory(name).map_err(io::Error::other)
    }

    fn end_directory(&mut self) -> io::Result<()> {
        let (name, entries) = self.open.pop().expect("an open directory");
        let node = value!({"type": "directory", "entries": entries});
        match (name, self.open.last_mut()) {
            (Some(name), Some((_, entries))) => {
                entries.insert(name, node);
            }
            _ => self.root = Some(node),
        }
        self.archive.end_directory().map_err(io::Error::other)
    }

    fn regular(
        &mut self,
        name: Option<&[u8]>,
        executable: bool,
        size: u64,
        contents: &mut dyn Read,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        contents.read_to_end(&mut bytes)?;
        self.place(
            name,
            value!({"type": "regular", "executable": executable, "contents_hex": hex(&bytes)}),
        );
        let mut file = self
            .archive
            .regular(name, executable, size)
            .map_err(io::Error::other)?;
        file.write_all(&bytes)?;
        file.finish().map_err(io::Error::other)
    }

    fn symlink(&mut self, name: Option<&[u8]>, target: &[u8]) -> io::Result<()> {
        let target_text = String::from_utf8_lossy(target).into_owned();
        self.place(name, value!({"type": "symlink", "target": target_text}));
        self.archive.symlink(name, target).map_err(io::Error::other)
    }
}

fn rebuild(archive: &[u8]) -> Result<(Value, Vec<u8>), NarError> {
    let mut rebuilder = Rebuilder {
        archive: Encoder::new(Vec::new())?,
        open: Vec::new(),
        root: None,
    };
    decode(&mut &archive[..], &mut rebuilder)?;
    Ok((rebuilder.root.expect("a root"), rebuilder.archive.finish()?))
}

#[test]
fn nar_1_good_archives_are_what_they_say() {
    let vectors = json("nar/nar.json");
    for (name, expected) in vectors.as_object().expect("an object") {
        let archive = bytes(&format!("nar/{name}.nar"));
        assert_eq!(expected["size"], archive.len(), "{name}");
        let digest = Sha256::of(&archive);
        assert_eq!(digest.to_string(), text(expected, "sha256"));
        let (tree, written) = rebuild(&archive).expect("Nix wrote it");
        assert_eq!(written, archive, "{name}");
        assert_eq!(tree, expected["tree"], "{name}");
        let path_name = text(expected, "store_path")[44..]
            .parse::<StorePathName>()
            .expect("a name");
        let ca = ContentAddress::Recursive(digest.into());
        let path = content_addressed_path(&path_name, &ca, &BTreeSet::new(), false);
        assert_eq!(
            path.expect("computable").to_string(),
            text(expected, "store_path")
        );
    }
}

/// NAR-1: as Nix 2.34.8, and stricter in one point: nothing may follow the root.
#[test]
fn nar_1_bad_archives_are_refused() {
    for (name, verdict) in json("nar-bad/nar-bad.json").as_object().expect("an object") {
        let refused = rebuild(&bytes(&format!("nar-bad/{name}.nar"))).is_err();
        assert!(refused, "{name}");
        assert!(verdict == "refused" || name == "trailing");
    }
}

/// ALL-2: a truncated stream is an error wherever it ends.
#[test]
fn all_2_truncation_is_an_error() {
    let archive = bytes("nar/mixed.nar");
    for end in 0..archive.len() {
        assert!(rebuild(&archive[..end]).is_err(), "{end}");
    }
}
