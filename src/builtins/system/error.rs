//! What can go wrong while the system's configuration is worked out.

use std::{io, path::PathBuf};

use crate::{
    builtins::deb::tree::TreeError,
    layers::{
        modes::ModesError,
        path::{ImagePath, InvalidImagePath},
    },
};

/// The configuration could not be made. What was written of it is to be thrown away.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// A package's tree cannot be read.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: a verb that fits before a path.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A package's tree holds something that no package can ship.
    #[error("package {package}: {} is neither file, directory nor link, or its name is not UTF-8", path.display())]
    Foreign {
        /// The package.
        package: String,
        /// Where it lies on disk.
        path: PathBuf,
    },
    /// A package's tree holds a path that no image can have.
    #[error("package {package}")]
    Path {
        /// The package.
        package: String,
        /// What is wrong with the path.
        source: InvalidImagePath,
    },
    /// The configuration wants to write what a package brings already. Two owners of one path would be a conflict in the
    /// image, so it is told here, where the rule that wanted it is known.
    #[error("{rule} writes {path}, which package {package} ships; leave out one of the two")]
    Owned {
        /// What wanted to write.
        rule: &'static str,
        /// The path in the image.
        path: ImagePath,
        /// Who brings it.
        package: String,
    },
    /// Two rules want the same path.
    #[error("{rule} writes {path}, which another rule has written already")]
    Twice {
        /// What wanted to write it the second time.
        rule: &'static str,
        /// The path in the image.
        path: ImagePath,
    },
    /// The same package is listed twice, so its files would have two owners.
    #[error("package {package} is listed twice")]
    Repeated {
        /// The package.
        package: String,
    },
    /// A file is far larger than anything that this file can be.
    #[error("{path} has {found} bytes, expected at most {limit}")]
    TooLarge {
        /// The path in the image.
        path: ImagePath,
        /// How large it is.
        found: u64,
        /// How large it may be.
        limit: u64,
    },
    /// A file of a package does not have the form that its readers expect.
    #[error("{path}: {problem}")]
    Malformed {
        /// The path in the image.
        path: ImagePath,
        /// What is wrong.
        problem: &'static str,
    },
    /// The C library is for a machine that no image is made for.
    #[error("package {package} is for {found:?}, expected amd64 or arm64")]
    Architecture {
        /// The package.
        package: &'static str,
        /// Its architecture.
        found: String,
    },
    /// A generated path is none; only a package with very odd names can cause it.
    #[error("a generated path is refused")]
    Generated(#[from] InvalidImagePath),
    /// The outputs cannot be written.
    #[error("the outputs cannot be written")]
    Tree(#[from] TreeError),
    /// A mode or an owner that no image layer can hold.
    #[error(transparent)]
    Modes(#[from] ModesError),
    /// Somebody asked to stop.
    #[error("configuring the system was cancelled")]
    Cancelled,
}
