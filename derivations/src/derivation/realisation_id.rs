//! Names for "what this output turned out to be".

use std::fmt;
use std::str::FromStr;

use crate::digest::{DigestError, Sha256};

/// The key under which Nix 2.8 to 2.34 record what a floating output was realised as: `sha256:HEX!OUTPUT`.
///
/// The digest is that of the derivation with its own output paths left out, so it is the same for every way to name the
/// same build. See [`crate::DerivationGraph::realisation_id`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealisationId {
    digest: Sha256,
    output: String,
}

impl RealisationId {
    pub(crate) fn new(digest: Sha256, output: &str) -> Self {
        Self {
            digest,
            output: output.to_owned(),
        }
    }

    /// The digest of the derivation.
    pub const fn digest(&self) -> &Sha256 {
        &self.digest
    }

    /// The name of the output.
    pub fn output(&self) -> &str {
        &self.output
    }
}

impl fmt::Display for RealisationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}!{}", self.digest, self.output)
    }
}

impl FromStr for RealisationId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (digest, output) = text
            .split_once('!')
            .filter(|(digest, output)| digest.starts_with("sha256:") && !output.is_empty())
            .ok_or_else(|| DigestError::malformed(text, "expected sha256:HEX!OUTPUT"))?;
        let id = Self::new(digest.parse()?, output);
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(DigestError::malformed(
                text,
                "the digest must be lower-case base16",
            ))
        }
    }
}
