//! `builtin:cognix-python-1`: a standalone interpreter at its place in the image.
//!
//! ```text
//! out/PREFIX/…                                        what the archive has below `python/`, nothing left out
//! out/usr/local/bin/python3.12 -> /PREFIX/bin/python3.12
//! out/usr/local/bin/python3, python -> python3.12     where images of Cog have their interpreter
//! control/modes.json                                  modes and owners that a store cannot hold
//! ```
//!
//! The prefix is the recipe's: a directory of its own, because such an interpreter finds its library from where it lies,
//! and below `/usr/local` it would share `lib`, `include` and `share` with what other packages put there. The archive is
//! read by the rules for Debian packages ([`super::deb`]): same paths, links, modes and limits. Nothing in it is run.

mod error;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use cognix_store::{BuildError, BuildRequest, Builder};
use flate2::bufread::GzDecoder;

pub use self::error::PythonError;
use super::deb::tree::{NodeKind, TreeError, TreeWriter};
use super::deb::{Budget, Contents, Limits, Moved, Quoted};
use super::wheel::InstallTarget;
use crate::layers::modes::{MODES_FILE, ModesRecord};
use crate::layers::path::ImagePath;

/// The builder's name.
pub const NAME: &str = "builtin:cognix-python-1";
/// The archive's name in messages.
const ARCHIVE: &str = "archive";
/// The one folder at the top of an archive.
const FOLDER: &str = "python";
/// Where a system has programs that no package manager brought.
const PROGRAMS: &str = "usr/local/bin";
/// An archive is read from disk in pieces of this size.
const BUFFER: usize = 256 << 10;

/// `builtin:cognix-python-1`.
#[derive(Debug, Clone, Copy, Default)]
pub struct PythonBuilder;

impl Builder for PythonBuilder {
    fn name(&self) -> &str {
        NAME
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        let archive = request.input(&request.store_path("archive")?)?;
        let python = request.env("python")?;
        if InstallTarget::for_python(python).is_none() {
            return Err(attribute("python", python, "MAJOR.MINOR"));
        }
        let prefix = request.env("prefix")?;
        let Ok(prefix) = ImagePath::parse(prefix) else {
            return Err(attribute("prefix", prefix, "a path below the image's root"));
        };
        let interpreter = Interpreter {
            python,
            prefix: &prefix,
            limits: Limits::default(),
            cancelled: &|| request.cancel.is_cancelled(),
        };
        let unpacked =
            interpreter.unpack(&archive, request.output("out")?, request.output("control")?);
        request.check_cancelled()?;
        unpacked.map_err(BuildError::failed)
    }
}

fn attribute(name: &str, found: &str, expected: &str) -> BuildError {
    BuildError::Attribute {
        name: name.to_owned(),
        reason: format!("is {found:?}, expected {expected}"),
    }
}

/// Unpacks one interpreter.
struct Interpreter<'a> {
    /// Major and minor version.
    python: &'a str,
    /// Where it lies in the image.
    prefix: &'a ImagePath,
    /// What the archive may expand to.
    limits: Limits,
    /// Asked between two pieces of a file.
    cancelled: &'a dyn Fn() -> bool,
}

impl Interpreter<'_> {
    /// Writes the trees `out` and `control`, neither of which may exist.
    fn unpack(&self, archive: &Path, out: &Path, control: &Path) -> Result<(), PythonError> {
        let mut tree = create(out)?;
        let modes = self.contents(archive, &mut tree)?;
        let program = format!("{}/bin/python{}", self.prefix, self.python);
        let is_there = matches!(
            tree.kind(&program),
            Some(NodeKind::File | NodeKind::Symlink)
        );
        if !is_there {
            return Err(PythonError::OtherVersion {
                expected: format!("{FOLDER}/bin/python{}", self.python),
            });
        }
        self.links(&mut tree, &program)?;
        let mut tree = create(control)?;
        let path = image_path(MODES_FILE)?;
        Ok(tree.file_with(&path, false, &modes.to_json())?)
    }

    fn contents(&self, archive: &Path, tree: &mut TreeWriter) -> Result<ModesRecord, PythonError> {
        let failed = |source| PythonError::Read {
            path: archive.to_owned(),
            source,
        };
        let file = File::open(archive).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut input = BufReader::with_capacity(BUFFER, file);
        let start = input.fill_buf().map_err(failed)?;
        if !start.starts_with(&[0x1f, 0x8b]) {
            return Err(PythonError::Compression {
                start: Quoted::new(&start[..start.len().min(80)]),
            });
        }
        let mut budget = Budget::new(&self.limits, size);
        let moved = Moved {
            from: FOLDER,
            to: self.prefix,
        };
        let mut contents = Contents::new(tree, &mut budget, self.cancelled).moved(ARCHIVE, moved);
        let mut decoder = BufReader::with_capacity(BUFFER, GzDecoder::new(&mut input));
        contents.unpack(&mut decoder)?;
        let modes = contents.modes;
        // The trailer with the checksum comes after the last byte of the archive.
        let more = decoder.read(&mut [0]).map_err(failed)?;
        drop(decoder);
        if more > 0 || !input.fill_buf().map_err(failed)?.is_empty() {
            return Err(PythonError::TrailingBytes);
        }
        Ok(modes)
    }

    /// The commands that people expect, whatever the search path begins with.
    fn links(&self, tree: &mut TreeWriter, program: &str) -> Result<(), PythonError> {
        let name = format!("python{}", self.python);
        let links = [
            (name.as_str(), format!("/{program}")),
            ("python3", name.clone()),
            ("python", name.clone()),
        ];
        for (link, target) in links {
            tree.symlink(&image_path(&format!("{PROGRAMS}/{link}"))?, &target)?;
        }
        Ok(())
    }
}

fn create(place: &Path) -> Result<TreeWriter, TreeError> {
    TreeWriter::create(place)
}

fn image_path(path: &str) -> Result<ImagePath, PythonError> {
    ImagePath::parse(path).map_err(|source| PythonError::Path {
        path: path.to_owned(),
        source,
    })
}
