//! `builtin:cognix-wheel-1`: one wheel, installed for one version of Python, as a tree.
//!
//! | Attribute | Value |
//! |---|---|
//! | `wheel` | the store path of the wheel file |
//! | `filename` | its file name on the index, which the store path need not keep |
//! | `python` | `MAJOR.MINOR` |
//!
//! The output holds the files at their place below the root of an image, `venv/lib/python3.11/site-packages/…`.

use std::fs::File;

use cognix_store::{BuildError, BuildRequest, Builder};

use super::{InstallTarget, WheelArchive, WheelError, plan, write_tree};

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
        let output = request.output("out")?;
        let file = File::open(&path).map_err(BuildError::io(path))?;
        let install = || -> Result<(), WheelError> {
            let archive = WheelArchive::open(file)?;
            let plan = plan(&archive, filename, &target)?;
            write_tree(&archive, &plan, output, &|| request.cancel.is_cancelled())
        };
        install().map_err(|source| match source {
            WheelError::Cancelled => BuildError::Cancelled,
            WheelError::Write { path, source } => BuildError::Io { path, source },
            source => BuildError::failed(InstallError {
                filename: filename.to_owned(),
                source,
            }),
        })
    }
}
