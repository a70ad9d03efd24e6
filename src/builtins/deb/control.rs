//! The control archive: what a package says about itself, and its maintainer scripts, which are data here.
//!
//! Nothing of it is run. It is kept in memory while the package is unpacked, because it comes first and names the files
//! that are written last.

use std::{collections::BTreeMap, io::Read};

use super::{
    Expected,
    error::{DebError, Quoted},
    limits::Budget,
    place::entry_path,
    tar::{Kind, TarReader},
};
use crate::layers::modes::MODES_FILE;

const MEMBER: &str = "control archive";
const INSTALLED: &[u8] = b"Status: install ok installed\n";

/// The files of a control archive by name.
#[derive(Debug)]
pub(super) struct ControlFiles(BTreeMap<String, Vec<u8>>);

impl ControlFiles {
    /// Reads the whole archive, which holds plain files in one directory.
    pub(super) fn read(input: &mut dyn Read, budget: &mut Budget<'_>) -> Result<Self, DebError> {
        let mut files = BTreeMap::new();
        let mut total = 0;
        let mut tar = TarReader::new(input, MEMBER);
        while let Some(entry) = tar.next()? {
            budget.count_entry()?;
            let refuse = |field, found: &[u8], expected| {
                let entry = Quoted::new(&entry.name);
                Err(DebError::Tar {
                    member: MEMBER,
                    entry,
                    field,
                    found: Quoted::new(found),
                    expected,
                })
            };
            let path = entry_path(MEMBER, &entry.name, budget.limits())?;
            match (path, entry.kind) {
                (None, Kind::Directory) => {}
                (Some(path), Kind::File)
                    if path.parent().is_none() && path.as_str() != MODES_FILE =>
                {
                    total += entry.size;
                    budget.limits().check_control(total)?;
                    budget.count_bytes(entry.size)?;
                    let contents = read_contents(&mut tar)?;
                    if files.insert(path.as_str().to_owned(), contents).is_some() {
                        return refuse("name", &entry.name, "each name once");
                    }
                }
                _ => {
                    return refuse(
                        "entry",
                        &entry.name,
                        "a plain file in the archive's root, not called modes.json",
                    );
                }
            }
        }
        Ok(Self(files))
    }

    /// A file of the archive.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Every file, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .map(|(name, contents)| (name.as_str(), contents.as_slice()))
    }

    /// Checks that this is the package that was asked for, and gives its entry for dpkg's status.
    pub(super) fn status(&self, expected: &Expected<'_>) -> Result<Vec<u8>, DebError> {
        let missing = || DebError::Control {
            line: 0,
            found: Quoted::new(""),
            expected: "a file named control",
        };
        let text = self.get("control").ok_or_else(missing)?;
        let fields = Fields::parse(text)?;
        if !is_package_name(expected.package) {
            return Err(DebError::Mismatch {
                field: "Package",
                found: Quoted::new(expected.package),
                expected: "lower-case letters, digits and \"+-.\"".to_owned(),
            });
        }
        for (field, expected) in [
            ("Package", expected.package),
            ("Version", expected.version),
            ("Architecture", expected.architecture),
        ] {
            let found = fields.get(field).unwrap_or_default();
            if found != expected.as_bytes() {
                return Err(DebError::Mismatch {
                    field,
                    found: Quoted::new(found),
                    expected: expected.to_owned(),
                });
            }
        }
        Ok(with_status(text))
    }
}

/// A package's name is the name of a file in dpkg's status, so it is held to Debian's rule.
fn is_package_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() >= 2
        && name.bytes().next().is_some_and(plain)
        && name
            .bytes()
            .all(|byte| plain(byte) || b"+-.".contains(&byte))
}

fn read_contents(tar: &mut TarReader<&mut dyn Read>) -> Result<Vec<u8>, DebError> {
    let mut contents = Vec::new();
    let read = tar.contents().read_to_end(&mut contents);
    let source = match read {
        Ok(_) if tar.remaining() == 0 => return Ok(contents),
        Ok(_) => std::io::ErrorKind::UnexpectedEof.into(),
        Err(source) => source,
    };
    Err(DebError::Read {
        part: MEMBER.to_owned(),
        source,
    })
}

/// The stanza as dpkg keeps it: the same, with its status after the package's name.
fn with_status(control: &[u8]) -> Vec<u8> {
    let mut status = Vec::with_capacity(control.len() + INSTALLED.len() + 1);
    for line in control.trim_ascii_end().split(|byte| *byte == b'\n') {
        status.extend_from_slice(line);
        status.push(b'\n');
        if line
            .get(..8)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"package:"))
        {
            status.extend_from_slice(INSTALLED);
        }
    }
    status
}

/// The fields of the one stanza that a control file is. Names are compared without regard to case.
struct Fields<'a>(BTreeMap<String, &'a [u8]>);

impl<'a> Fields<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, DebError> {
        let mut fields = BTreeMap::new();
        for (number, line) in text
            .trim_ascii_end()
            .split(|byte| *byte == b'\n')
            .enumerate()
        {
            let refuse = |expected| {
                Err(DebError::Control {
                    line: number + 1,
                    found: Quoted::new(line),
                    expected,
                })
            };
            if matches!(line.first(), Some(b' ' | b'\t')) && number > 0 {
                continue;
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                return refuse("a field of the form \"Name: value\", and one stanza only");
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
                return refuse("a field's name before the colon");
            }
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if name == "status" {
                return refuse("no status, which dpkg writes and not the package");
            }
            if fields.insert(name, value).is_some() {
                return refuse("each field once");
            }
        }
        Ok(Self(fields))
    }

    fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.0.get(&name.to_ascii_lowercase()).copied()
    }
}
