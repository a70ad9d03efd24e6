//! What a content-addressed path is computed from.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use nix_derivation::CAHash;
use nix_derivation::store_path::build_ca_path;

use super::compute::{input_addressed_path, source_path, text_path};
use super::{StorePath, StorePathError, StorePathName};
use crate::digest::{DigestError, NixHash, Sha256};

/// A content address. Its text is that of Nix's `ca` column: `text:sha256:…`, `fixed:ALGORITHM:…`,
/// `fixed:r:ALGORITHM:…`, each with the digest in nixbase32.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentAddress {
    /// A file that Nix itself wrote, such as a `.drv`: the digest of its bytes.
    Text(Sha256),
    /// One file that is not executable: the digest of its bytes.
    Flat(NixHash),
    /// Any tree: the digest of its archive.
    Recursive(NixHash),
}

impl ContentAddress {
    /// The digest, whatever it is of.
    pub fn hash(&self) -> NixHash {
        match self {
            Self::Text(digest) => NixHash::from(*digest),
            Self::Flat(hash) | Self::Recursive(hash) => hash.clone(),
        }
    }

    /// `None` for the Git method, which no reader of ours understands.
    pub(crate) fn from_upstream(ca: &CAHash) -> Option<Self> {
        match ca {
            CAHash::Text(digest) => Some(Self::Text(Sha256::from_bytes(*digest))),
            CAHash::Flat(hash) => Some(Self::Flat(NixHash::from_upstream(hash.clone()))),
            CAHash::Nar(hash) => Some(Self::Recursive(NixHash::from_upstream(hash.clone()))),
            CAHash::Git(_) => None,
        }
    }

    pub(super) fn to_upstream(&self) -> CAHash {
        match self {
            Self::Text(digest) => CAHash::Text(*digest.as_bytes()),
            Self::Flat(hash) => CAHash::Flat(hash.to_upstream()),
            Self::Recursive(hash) => CAHash::Nar(hash.to_upstream()),
        }
    }
}

impl fmt::Display for ContentAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(digest) => write!(formatter, "text:sha256:{}", digest.to_nixbase32()),
            Self::Flat(hash) => write!(formatter, "fixed:{hash}"),
            Self::Recursive(hash) => write!(formatter, "fixed:r:{hash}"),
        }
    }
}

impl FromStr for ContentAddress {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let ca = CAHash::parse(text).map_err(|error| DigestError::from_upstream(text, &error))?;
        Self::from_upstream(&ca)
            .ok_or_else(|| DigestError::malformed(text, "the git method is not supported"))
    }
}

/// The path that content has: a function of its name, its content address and what it refers to.
///
/// `references` are the others it refers to; `self_reference` says that it also names itself, which is not among them
/// because its path is only just being computed.
pub fn content_addressed_path(
    name: &StorePathName,
    ca: &ContentAddress,
    references: &BTreeSet<StorePath>,
    self_reference: bool,
) -> Result<StorePath, StorePathError> {
    match ca {
        ContentAddress::Text(digest) if !self_reference => {
            return Ok(text_path(name.as_str(), digest, references));
        }
        ContentAddress::Recursive(hash) => {
            if let Some(digest) = hash.sha256() {
                let name = name.as_str();
                return Ok(source_path(name, &digest, references, self_reference));
            }
        }
        _ => {}
    }
    if references.is_empty() && !self_reference {
        let hash = ca.hash();
        let prefix = if let ContentAddress::Recursive(_) = ca {
            "r:"
        } else {
            ""
        };
        let text = format!("fixed:out:{prefix}{}:{}:", hash.algorithm(), hash.to_hex());
        return Ok(input_addressed_path(
            name.as_str(),
            "out",
            &Sha256::of(text.as_bytes()),
        ));
    }
    // What is left is an error, in upstream's words.
    let references: Vec<_> = references.iter().map(StorePath::to_upstream).collect();
    build_ca_path(
        name.as_str(),
        &ca.to_upstream(),
        &references,
        self_reference,
    )
    .map(|path| StorePath::from_upstream(&path))
    .map_err(|error| StorePathError::References {
        name: name.to_string(),
        reason: error.to_string(),
    })
}
