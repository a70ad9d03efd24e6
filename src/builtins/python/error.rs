//! What can be wrong with an interpreter's archive.

use std::io;
use std::path::PathBuf;

use crate::builtins::deb::tree::TreeError;
use crate::builtins::deb::{DebError, Quoted};
use crate::layers::path::InvalidImagePath;

/// An interpreter could not be unpacked. What was written of its outputs is to be thrown away.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// The archive cannot be opened, or its compressed stream is damaged.
    #[error("cannot read the archive {}", path.display())]
    Read {
        /// The archive.
        path: PathBuf,
        /// What the system or the decompressor said.
        source: io::Error,
    },
    /// Another kind of file: an archive compressed in another way, or no archive at all.
    #[error(
        "the archive begins with {start}, expected a .tar.gz as python-build-standalone's install_only archives are"
    )]
    Compression {
        /// How it begins.
        start: Quoted,
    },
    /// Bytes follow the compressed stream: two readers would not agree about them.
    #[error("bytes follow the archive's compressed stream, expected none")]
    TrailingBytes,
    /// The archive holds another Python, or another layout than that of python-build-standalone.
    #[error("the archive has no {expected}: is it an install_only archive of this Python?")]
    OtherVersion {
        /// The file that has to be there.
        expected: String,
    },
    /// Something in it breaks the rules for archives.
    #[error(transparent)]
    Archive(#[from] DebError),
    /// The outputs cannot be written.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The prefix leaves no room for the names below it.
    #[error("{path} cannot be a path of the image")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        source: InvalidImagePath,
    },
}
