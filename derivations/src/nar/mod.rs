//! The archive format: its grammar over readers and writers.
//!
//! ```text
//! archive ::= str("nix-archive-1") node
//! node    ::= "(" "type" ( regular | symlink | directory ) ")"
//! regular ::= "regular" [ "executable" "" ] "contents" BYTES
//! symlink ::= "symlink" "target" BYTES
//! directory ::= "directory" { "entry" "(" "name" NAME "node" node ")" }    names strictly ascending by bytes
//! ```
//!
//! Every token is a string: its length in 8 bytes (little-endian), its bytes, and zeros up to a multiple of 8. There is one
//! archive for each tree, so its digest names the tree. [`Encoder`] writes it and [`decode`] reads it, both strictly: names
//! of 1 to 255 bytes, link targets of 1 to 4,095 bytes without NUL, at most 64 levels, nothing after the end.
//! Names and targets are bytes. No file system here: who walks a folder or restores one is the store.

mod decode;
mod encode;

use std::io;

use nix_archive::nar as upstream;

pub use decode::{Visitor, decode};
pub use encode::{Encoder, FileWriter};

/// The longest name of an entry.
pub const MAX_NAME_BYTES: usize = 255;

/// The longest target of a link.
pub const MAX_TARGET_BYTES: usize = 4095;

/// How many levels an archive may have, the root included.
pub const MAX_DEPTH: usize = 64;

/// An archive is not canonical, or what was to be archived does not fit one.
#[derive(Debug, thiserror::Error)]
pub enum NarError {
    /// The bytes are not an archive, or not the canonical one.
    #[error("the archive is malformed: {0}")]
    Malformed(String),
    /// It ends before its root does.
    #[error("the archive is truncated")]
    Truncated,
    /// A name outside the rules: nothing may be stored under it, and nothing of that name may be archived.
    #[error("the name \"{}\" cannot be in an archive: {reason}", .name.escape_ascii())]
    Name {
        /// The name, cut at 300 bytes.
        name: Vec<u8>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A link target outside the rules.
    #[error("a link target of {size} bytes cannot be in an archive: {reason}")]
    Target {
        /// How long it is.
        size: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Too many folders inside each other.
    #[error("the archive has more than {MAX_DEPTH} levels")]
    TooDeep,
    /// The parts did not come in the order of the grammar, or a file was not as long as announced.
    #[error("the archive cannot be written: {0}")]
    Order(String),
    /// The stream failed.
    #[error("the archive's stream failed")]
    Io(#[source] io::Error),
    /// The visitor failed.
    #[error("the archive's content could not be taken")]
    Visitor(#[source] io::Error),
}

impl From<upstream::Error> for NarError {
    fn from(error: upstream::Error) -> Self {
        use upstream::Error as Upstream;
        match error {
            Upstream::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Truncated,
            Upstream::Io(error) => Self::Io(error),
            Upstream::UnexpectedEof => Self::Truncated,
            Upstream::MaxDepth(_) => Self::TooDeep,
            Upstream::InvalidEncoderEvent(_)
            | Upstream::UnfinishedArchive
            | Upstream::RegularSizeMismatch { .. }
            | Upstream::EncoderPoisoned
            | Upstream::UnsortedEntries(..)
            | Upstream::InvalidName(_) => Self::Order(error.to_string()),
            _ => Self::Malformed(error.to_string()),
        }
    }
}

/// NAR-1 and NAR-2: the same limits for what is read and what is written.
fn check_name(name: Option<&[u8]>) -> Result<(), NarError> {
    let Some(name) = name else { return Ok(()) };
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "it is longer than 255 bytes"
    } else if name == b"." || name == b".." {
        "it would lead elsewhere"
    } else if name.contains(&b'/') || name.contains(&0) {
        "it contains a slash or a NUL"
    } else {
        return Ok(());
    };
    Err(NarError::Name {
        name: name[..name.len().min(300)].to_vec(),
        reason,
    })
}

fn check_target(target: &[u8]) -> Result<(), NarError> {
    let reason = if target.is_empty() {
        "it is empty"
    } else if target.len() > MAX_TARGET_BYTES {
        "it is longer than 4,095 bytes"
    } else if target.contains(&0) {
        "it contains a NUL"
    } else {
        return Ok(());
    };
    Err(NarError::Target {
        size: target.len(),
        reason,
    })
}

#[cfg(test)]
mod tests;
