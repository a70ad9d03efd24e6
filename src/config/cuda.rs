//! Versions of CUDA, as `build.cuda` names them.

use super::reason::Reason;

/// Cog's floor.
const MINIMUM_MAJOR: u32 = 11;

/// A version of CUDA: major, minor, and possibly a patch part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CudaVersion {
    /// The text of the file, such as `12.4`.
    pub text: String,
    /// The first number.
    pub major: u32,
}

impl CudaVersion {
    /// Reads a version; with a GPU the minor part must be a number too, since images are chosen by it.
    pub(super) fn parse(text: &str, gpu: bool) -> Result<Self, Reason> {
        let mut parts = text.split('.');
        let (Some(major), Some(minor)) = (parts.next(), parts.next()) else {
            return Err(Reason::VersionParts {
                found: text.to_owned(),
                example: "12.4",
            });
        };
        let invalid = |part| Reason::VersionNumber {
            part,
            found: text.to_owned(),
        };
        let major: u32 = major.parse().map_err(|_| invalid("major"))?;
        if major < MINIMUM_MAJOR {
            return Err(Reason::VersionTooOld {
                what: "CUDA",
                minimum: "11",
                found: text.to_owned(),
            });
        }
        if gpu {
            minor.parse::<u32>().map_err(|_| invalid("minor"))?;
        }
        Ok(Self {
            text: text.to_owned(),
            major,
        })
    }
}
