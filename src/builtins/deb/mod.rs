//! `builtin:cognix-deb-1`: one Debian package's files at their place in the image.
//!
//! ```text
//! out/      the files, merged /usr followed, hard links as files of their own
//!           var/lib/dpkg/status.d/NAME            the control file with its status, as distroless images have it
//!           var/lib/dpkg/status.d/NAME.md5sums
//! control/  every file of the control archive, scripts too, as data
//!           modes.json                            modes and owners that a store cannot hold
//! ```
//!
//! No script of the package is run and no program is called; nothing is left out, documentation included. The package is
//! read once from front to back, and memory is bounded by its list of files and the decompressor's window. What
//! `dpkg-deb` itself would not write is refused: see the readers of the outer and the inner archives.

mod ar;
mod builder;
mod contents;
mod control;
mod decompress;
mod error;
mod limits;
mod place;
mod tar;
#[cfg(test)]
mod tests;
pub mod tree;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

pub use self::builder::DebBuilder;
use self::{
    ar::{ArReader, Member},
    control::ControlFiles,
    decompress::Compression,
    tree::TreeWriter,
};
pub(in crate::builtins) use self::{
    contents::{Contents, Moved},
    limits::Budget,
};
pub use self::{
    error::{DebError, Quoted},
    limits::Limits,
    place::{ALIASES, Alias, follow_aliases},
};
use crate::layers::{
    modes::{MODES_FILE, ModesRecord},
    path::ImagePath,
};

/// The builder's name.
pub const NAME: &str = "builtin:cognix-deb-1";
/// Where a package's entry for dpkg's status lies.
pub const STATUS_DIRECTORY: &str = "var/lib/dpkg/status.d";
/// A package is read from disk in pieces of this size.
const BUFFER: usize = 256 << 10;

/// What the index said about the package, which its control file has to repeat.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Its name.
    pub package: &'a str,
    /// Its version, with the epoch.
    pub version: &'a str,
    /// Its architecture: `amd64` or `all`.
    pub architecture: &'a str,
}

/// Unpacks packages.
pub struct Unpacker<'a> {
    /// What the package has to be.
    pub expected: Expected<'a>,
    /// What it may expand to.
    pub limits: Limits,
    /// Asked between two pieces of a file.
    pub cancelled: &'a dyn Fn() -> bool,
}

impl Unpacker<'_> {
    /// Writes the trees `out` and `control`, neither of which may exist.
    pub fn unpack(&self, deb: &Path, out: &Path, control: &Path) -> Result<(), DebError> {
        let failed = |source| DebError::Io {
            action: "open",
            path: deb.to_owned(),
            source,
        };
        let file = File::open(deb).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut budget = Budget::new(&self.limits, size);
        let mut archive = ArReader::new(BufReader::with_capacity(BUFFER, file))?;
        check_version(&mut archive)?;

        let (member, compression) = expect(&mut archive, "control.tar")?;
        let files = compression.read(&mut archive, &member, |input| {
            ControlFiles::read(input, &mut budget)
        })?;
        let status = files.status(&self.expected)?;

        let (member, compression) = expect(&mut archive, "data.tar")?;
        let mut tree = tree_at(out)?;
        let mut contents = Contents::new(&mut tree, &mut budget, self.cancelled);
        compression.read(&mut archive, &member, |input| contents.unpack(input))?;
        let modes = contents.modes;
        // What follows is ignored, but it has to be an archive's rest and not half of one.
        while archive.next()?.is_some() {}

        self.write_status(&mut tree, &status, files.get("md5sums"))?;
        write_control(control, &files, &modes)
    }

    fn write_status(
        &self,
        tree: &mut TreeWriter,
        status: &[u8],
        md5sums: Option<&[u8]>,
    ) -> Result<(), DebError> {
        let name = self.expected.package;
        write_file(tree, &format!("{STATUS_DIRECTORY}/{name}"), status)?;
        if let Some(md5sums) = md5sums {
            write_file(tree, &format!("{STATUS_DIRECTORY}/{name}.md5sums"), md5sums)?;
        }
        Ok(())
    }
}

/// The first member says which version of the format this is; the second number may grow without harm.
fn check_version(archive: &mut ArReader<impl BufRead>) -> Result<(), DebError> {
    const NAME: &str = "debian-binary";
    let member = next(archive, NAME)?;
    let refuse = |field, found: &[u8], expected: &str| {
        let (at, found) = (member.at, Quoted::new(found));
        Err(DebError::Ar {
            at,
            field,
            found,
            expected: expected.to_owned(),
        })
    };
    if member.name != NAME.as_bytes() {
        return refuse("name", &member.name, NAME);
    }
    let mut version = Vec::new();
    let read = archive.contents().take(64).read_to_end(&mut version);
    read.map_err(|source| DebError::Read {
        part: NAME.to_owned(),
        source,
    })?;
    let minor = version
        .strip_prefix(b"2.")
        .and_then(|minor| minor.split(|byte| *byte == b'\n').next());
    match minor {
        Some(minor) if !minor.is_empty() && minor.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => refuse("format version", &version, "2 and a minor number"),
    }
}

/// The next member, which has to be the inner archive with this stem. Members whose names begin with an underscore
/// are reserved for extensions that old readers skip.
fn expect(
    archive: &mut ArReader<impl BufRead>,
    stem: &str,
) -> Result<(Member, Compression), DebError> {
    loop {
        let member = next(archive, stem)?;
        if member.name.starts_with(b"_") {
            continue;
        }
        return match Compression::of(&member, stem) {
            Some(compression) => Ok((member, compression?)),
            None => Err(DebError::Ar {
                at: member.at,
                field: "name",
                found: Quoted::new(&member.name),
                expected: format!("{stem}, perhaps compressed"),
            }),
        };
    }
}

fn next(archive: &mut ArReader<impl BufRead>, expected: &str) -> Result<Member, DebError> {
    archive.next()?.ok_or_else(|| DebError::Read {
        part: format!("archive member {expected}"),
        source: std::io::ErrorKind::UnexpectedEof.into(),
    })
}

fn write_control(place: &Path, files: &ControlFiles, modes: &ModesRecord) -> Result<(), DebError> {
    let mut tree = tree_at(place)?;
    for (name, contents) in files.iter() {
        write_file(&mut tree, name, contents)?;
    }
    write_file(&mut tree, MODES_FILE, &modes.to_json())
}

fn write_file(tree: &mut TreeWriter, path: &str, contents: &[u8]) -> Result<(), DebError> {
    let named = |source| DebError::Entry {
        entry: Quoted::new(path),
        source,
    };
    let path = ImagePath::parse(path).map_err(|source| DebError::Path {
        member: "control archive",
        entry: Quoted::new(path),
        source,
    })?;
    tree.file_with(&path, false, contents).map_err(named)
}

fn tree_at(place: &Path) -> Result<TreeWriter, DebError> {
    TreeWriter::create(place).map_err(|source| DebError::Entry {
        entry: Quoted::new("./"),
        source,
    })
}
