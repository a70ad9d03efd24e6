//! `builtin:cognix-deb-1`: one Debian package's files at their place in the image.
//!
//! ```text
//! out/      the files, merged /usr followed, hard links as files of their own
//!           var/lib/dpkg/info/NAME.list           its files, and beside it what the control archive holds, as dpkg keeps it
//! control/  every file of the control archive, scripts too, as data
//!           status                                the package's stanza of dpkg's status
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
mod status;
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
    control::{ControlFiles, Fields},
    decompress::Compression,
    tree::{NodeKind, TreeWriter},
};
pub(in crate::builtins) use self::{
    contents::{Contents, Moved},
    limits::Budget,
};
pub use self::{
    error::{DebError, Quoted},
    limits::Limits,
    place::{ALIASES, Alias, follow_aliases},
    status::INSTALLED,
};
use crate::layers::{
    modes::{MODES_FILE, ModesRecord, RecordedKind},
    path::ImagePath,
};

/// The builder's name.
pub const NAME: &str = "builtin:cognix-deb-1";
/// Where dpkg keeps what it knows about each package.
pub const INFO_DIRECTORY: &str = "var/lib/dpkg/info";
/// The file of the `control` output that holds the package's stanza of dpkg's status.
pub const STATUS_FILE: &str = "status";
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
        let fields = files.fields(&self.expected)?;

        let (member, compression) = expect(&mut archive, "data.tar")?;
        let mut tree = tree_at(out)?;
        let mut contents = Contents::new(&mut tree, &mut budget, self.cancelled);
        compression.read(&mut archive, &member, |input| contents.unpack(input))?;
        let (mut modes, list) = (contents.modes, contents.list);
        // What follows is ignored, but it has to be an archive's rest and not half of one.
        while archive.next()?.is_some() {}

        self.write_database(&mut tree, &files, &fields, &list, &mut modes)?;
        let conffiles = conffiles(&mut tree, &files)?;
        let status = status::stanza(&fields, &conffiles);
        write_control(control, &files, &status, &modes)
    }

    /// What dpkg knows about the package, at dpkg's place for it.
    fn write_database(
        &self,
        tree: &mut TreeWriter,
        files: &ControlFiles,
        fields: &Fields<'_>,
        list: &[u8],
        modes: &mut ModesRecord,
    ) -> Result<(), DebError> {
        let Expected {
            package,
            architecture,
            ..
        } = self.expected;
        let name = status::database_name(fields, package, architecture);
        let place = format!("{INFO_DIRECTORY}/{name}");
        write_file(tree, &format!("{place}.list"), false, list)?;
        // The stanza is in the status file, and the list was just written.
        let others = files
            .iter()
            .filter(|(name, _)| !["control", "list"].contains(name));
        for (name, file) in others {
            let path = format!("{place}.{name}");
            write_file(tree, &path, file.mode & 0o100 != 0, &file.contents)?;
            modes.record(image_path(&path)?, RecordedKind::File, file.mode, 0, 0)?;
        }
        Ok(())
    }
}

/// The package's settings with the sums of what it ships.
fn conffiles(
    tree: &mut TreeWriter,
    files: &ControlFiles,
) -> Result<Vec<(String, String)>, DebError> {
    let mut sums = Vec::new();
    for path in status::conffile_paths(files.get("conffiles").unwrap_or_default()) {
        let Ok(place) = ImagePath::parse(path.trim_start_matches('/')) else {
            continue;
        };
        let (place, _) = follow_aliases(&place);
        if tree.kind(place.as_str()) != Some(NodeKind::File) {
            continue;
        }
        let failed = |source| DebError::Entry {
            entry: Quoted::new(path),
            source,
        };
        let mut contents = Vec::new();
        let mut file = tree.open(&place).map_err(failed)?;
        let read = file.read_to_end(&mut contents);
        read.map_err(|source| failed(tree.io("read", &place, source)))?;
        sums.push((path.to_owned(), status::md5(&contents)));
    }
    Ok(sums)
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

fn write_control(
    place: &Path,
    files: &ControlFiles,
    status: &[u8],
    modes: &ModesRecord,
) -> Result<(), DebError> {
    let mut tree = tree_at(place)?;
    for (name, file) in files.iter() {
        write_file(&mut tree, name, false, &file.contents)?;
    }
    write_file(&mut tree, STATUS_FILE, false, status)?;
    write_file(&mut tree, MODES_FILE, false, &modes.to_json())
}

fn write_file(
    tree: &mut TreeWriter,
    path: &str,
    executable: bool,
    contents: &[u8],
) -> Result<(), DebError> {
    let written = tree.file_with(&image_path(path)?, executable, contents);
    written.map_err(|source| DebError::Entry {
        entry: Quoted::new(path),
        source,
    })
}

fn image_path(path: &str) -> Result<ImagePath, DebError> {
    ImagePath::parse(path).map_err(|source| DebError::Path {
        member: "control archive",
        entry: Quoted::new(path),
        source,
    })
}

fn tree_at(place: &Path) -> Result<TreeWriter, DebError> {
    TreeWriter::create(place).map_err(|source| DebError::Entry {
        entry: Quoted::new("./"),
        source,
    })
}
