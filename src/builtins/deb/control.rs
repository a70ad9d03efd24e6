//! The control archive: what a package says about itself, and its maintainer scripts, which are data here.
//!
//! Nothing of it is run. It is kept in memory while the package is unpacked, because it comes first and names the files
//! that are written last.

use std::{collections::BTreeMap, io::Read};

use super::{
    Expected, STATUS_FILE,
    error::{DebError, Quoted},
    limits::Budget,
    place::entry_path,
    tar::{Kind, TarReader},
};
use crate::layers::modes::MODES_FILE;

const MEMBER: &str = "control archive";

/// The files of a control archive by name.
#[derive(Debug)]
pub(super) struct ControlFiles(BTreeMap<String, ControlFile>);

/// One of them.
#[derive(Debug)]
pub(super) struct ControlFile {
    pub(super) mode: u32,
    pub(super) contents: Vec<u8>,
}

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
                    if path.parent().is_none()
                        && ![MODES_FILE, STATUS_FILE].contains(&path.as_str()) =>
                {
                    total += entry.size;
                    budget.limits().check_control(total)?;
                    budget.count_bytes(entry.size)?;
                    let contents = read_contents(&mut tar)?;
                    let file = ControlFile {
                        mode: entry.mode,
                        contents,
                    };
                    if files.insert(path.as_str().to_owned(), file).is_some() {
                        return refuse("name", &entry.name, "each name once");
                    }
                }
                _ => {
                    return refuse(
                        "entry",
                        &entry.name,
                        "a plain file in the archive's root, called neither modes.json nor status",
                    );
                }
            }
        }
        Ok(Self(files))
    }

    /// A file of the archive.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(|file| file.contents.as_slice())
    }

    /// Every file, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &ControlFile)> {
        self.0.iter().map(|(name, file)| (name.as_str(), file))
    }

    /// What the package says about itself, once it is clear that it is the one that was asked for.
    pub(super) fn fields(&self, expected: &Expected<'_>) -> Result<Fields<'_>, DebError> {
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
        Ok(fields)
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

/// The fields of the one stanza that a control file is, in order. Names are compared without regard to case.
pub(super) struct Fields<'a>(Vec<(&'a str, Vec<u8>)>);

impl<'a> Fields<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, DebError> {
        let mut fields: Vec<(&str, Vec<u8>)> = Vec::new();
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
            if let (Some(b' ' | b'\t'), Some((_, value))) = (line.first(), fields.last_mut()) {
                value.push(b'\n');
                value.extend_from_slice(line);
                continue;
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                return refuse("a field of the form \"Name: value\", and one stanza only");
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii_start());
            let name = match std::str::from_utf8(name) {
                Ok(name)
                    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) =>
                {
                    name
                }
                _ => return refuse("a field's name before the colon"),
            };
            if name.eq_ignore_ascii_case("status") {
                return refuse("no status, which dpkg writes and not the package");
            }
            if fields
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
            {
                return refuse("each field once");
            }
            fields.push((name, value.to_vec()));
        }
        for (_, value) in &mut fields {
            value.truncate(value.trim_ascii_end().len());
        }
        Ok(Self(fields))
    }

    /// A field's value; lines after the first one as they stand.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.0.iter();
        let field = fields.find(|(other, _)| other.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_slice())
    }

    /// Every field, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (*name, value.as_slice()))
    }
}
