//! The builder that unpacks one Debian package.
//!
//! Environment: `deb` (the package's store path), `package`, `version`, `architecture` (what it must be).
//! Outputs: `out` (its files at their place in the image) and `control` (what it says about itself).

use cognix_store::{BuildError, BuildRequest, Builder};

use super::{DebError, Expected, Limits, Unpacker};

/// `builtin:cognix-deb-1`.
#[derive(Debug, Clone, Copy, Default)]
pub struct DebBuilder;

/// A package could not be unpacked.
#[derive(Debug, thiserror::Error)]
#[error("{package} {version} cannot be unpacked")]
struct UnpackError {
    package: String,
    version: String,
    source: DebError,
}

impl Builder for DebBuilder {
    fn name(&self) -> &str {
        super::NAME
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        let deb = request.input(&request.store_path("deb")?)?;
        let expected = Expected {
            package: request.env("package")?,
            version: request.env("version")?,
            architecture: request.env("architecture")?,
        };
        let (package, version) = (expected.package.to_owned(), expected.version.to_owned());
        let unpacker = Unpacker {
            expected,
            limits: Limits::default(),
            cancelled: &|| request.cancel.is_cancelled(),
        };
        let unpacked = unpacker.unpack(&deb, request.output("out")?, request.output("control")?);
        request.check_cancelled()?;
        unpacked.map_err(|source| {
            BuildError::failed(UnpackError {
                package,
                version,
                source,
            })
        })
    }
}
