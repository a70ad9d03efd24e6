//! `builtin:cognix-wheel-1`: one wheel, installed for one version of Python, as a tree.
//!
//! | Attribute | Value |
//! |---|---|
//! | `wheel` | the store path of the wheel file |
//! | `filename` | its file name on the index, which the store path need not keep |
//! | `python` | `MAJOR.MINOR` |
//! | `record` | `waived` where the lock has a waiver for the archive (REC-3); otherwise there is no such attribute |
//!
//! The output holds the files at their place below the root of an image, `venv/lib/python3.11/site-packages/…`.

use std::error::Error;
use std::fs::File;
use std::io;
use std::path::Path;

use cognix_derivations::{HashingReader, Sha256};
use cognix_store::{BuildError, BuildRequest, Builder};

use super::{InstallTarget, RecordPolicy, WheelArchive, WheelError, plan, write_tree};

/// The builder's name.
pub const NAME: &str = "builtin:cognix-wheel-1";

/// Installs a wheel.
#[derive(Debug, Clone, Copy, Default)]
pub struct WheelBuilder;

/// Says of which wheel the trouble is.
#[derive(Debug, thiserror::Error)]
#[error("cannot install {filename}")]
struct InstallError {
    filename: String,
    source: WheelError,
}

/// A wheel whose RECORD does not keep its promises, and the setting that installs it all the same.
#[derive(Debug, thiserror::Error)]
#[error(
    "{filename} breaks its own RECORD; take another version, or install it as it is with \
     wheels.waivers = [ \"{}\" ]; in cognix.nix",
    sha256.to_sri()
)]
pub struct BrokenRecord {
    filename: String,
    sha256: Sha256,
    source: Box<dyn Error + Send + Sync>,
}

impl BrokenRecord {
    /// Names the setting for the wheel file at `path`.
    pub fn new(
        filename: &str,
        path: &Path,
        source: impl Error + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let mut reader = HashingReader::new(File::open(path)?);
        io::copy(&mut reader, &mut io::sink())?;
        let (_, sha256, _) = reader.finish();
        Ok(Self {
            filename: filename.to_owned(),
            sha256,
            source: Box::new(source),
        })
    }
}

impl RecordPolicy {
    /// Reads the attribute, which only wheels with a waiver have.
    pub(crate) fn of(request: &BuildRequest<'_>) -> Result<Self, BuildError> {
        let wrong = |found: &str| BuildError::Attribute {
            name: "record".to_owned(),
            reason: format!("is {found:?}, expected \"waived\" or no such attribute"),
        };
        match request.derivation.env().get("record") {
            None => Ok(Self::Checked),
            Some(value) if value.as_slice() == b"waived" => Ok(Self::Waived),
            Some(value) => Err(wrong(&String::from_utf8_lossy(value))),
        }
    }
}

impl Builder for WheelBuilder {
    fn name(&self) -> &str {
        NAME
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        let path = request.input(&request.store_path("wheel")?)?;
        let filename = request.env("filename")?;
        let python = request.env("python")?;
        let target = InstallTarget::for_python(python).ok_or_else(|| BuildError::Attribute {
            name: "python".to_owned(),
            reason: format!("is {python:?}, expected MAJOR.MINOR"),
        })?;
        let record = RecordPolicy::of(request)?;
        let output = request.output("out")?;
        let file = File::open(&path).map_err(BuildError::io(&path))?;
        let install = || -> Result<(), WheelError> {
            let archive = WheelArchive::open(file)?;
            let plan = plan(&archive, filename, &target, record)?;
            write_tree(&archive, &plan, output, &|| request.cancel.is_cancelled())
        };
        install().map_err(|source| match source {
            WheelError::Cancelled => BuildError::Cancelled,
            WheelError::Write { path, source } => BuildError::Io { path, source },
            source if source.can_be_waived() => match BrokenRecord::new(filename, &path, source) {
                Ok(error) => BuildError::failed(error),
                Err(source) => BuildError::Io { path, source },
            },
            source => BuildError::failed(InstallError {
                filename: filename.to_owned(),
                source,
            }),
        })
    }
}
