//! Why a lock of another tool cannot be read, used or written.

use std::path::PathBuf;

use cognix_derivations::Sha256;

/// Why a lock of another tool cannot be read, used or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something else than a lock, or the lock of a tool that is not known here.
    #[error(
        "{file} is no lock that can be imported; expected a pylock.toml (PEP 751), a uv.lock or a poetry.lock"
    )]
    UnknownFormat {
        /// The file.
        file: String,
    },
    /// Not TOML, or not of the shape that the format has.
    #[error("{file}:{line}:{column}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// One-based.
        line: u32,
        /// One-based.
        column: u32,
        /// What is wrong, in the parser's words.
        message: String,
    },
    /// Written by a newer tool, in a format that may mean something else.
    #[error("{file}:{line}: has format version {found}, this cognix reads {known}")]
    Version {
        /// The file.
        file: String,
        /// One-based.
        line: u32,
        /// The version in the file.
        found: String,
        /// The versions that are read.
        known: &'static str,
    },
    /// A name, version, marker or hash that is none.
    #[error("{file}:{line}: {what}")]
    Value {
        /// The file.
        file: String,
        /// One-based.
        line: u32,
        /// What was found, and what was expected.
        what: String,
    },
    /// A digest that can be forged says nothing about the file.
    #[error(
        "{file}:{line}: {package} has no SHA-256 for {name} (only {algorithms}); lock again with a tool that writes SHA-256"
    )]
    WeakHash {
        /// The file.
        file: String,
        /// One-based.
        line: u32,
        /// The package.
        package: String,
        /// The package's file.
        name: String,
        /// The algorithms that were given.
        algorithms: String,
    },
    /// The lock was made for other Pythons than the image's.
    #[error(
        "{file}:{line}: was locked for Python {requires}, but the image has {python}; change python_version, or lock again for it"
    )]
    OtherPython {
        /// The file.
        file: String,
        /// One-based.
        line: u32,
        /// What the lock requires.
        requires: String,
        /// The image's Python.
        python: String,
    },
    /// The lock was made for other platforms than the image's.
    #[error(
        "{file}:{line}: was not locked for the image's platform ({platform}); it is for {environments}"
    )]
    OtherEnvironment {
        /// The file.
        file: String,
        /// One-based.
        line: u32,
        /// The image's platform.
        platform: String,
        /// The environments that the lock names.
        environments: String,
    },
    /// The model asks for another version than the lock holds.
    #[error(
        "{requirement_place} asks for {requirement:?}, but {file}:{line} locks {package} {version}; {way_out}"
    )]
    Contradiction {
        /// Where the requirement stands.
        requirement_place: String,
        /// The requirement.
        requirement: String,
        /// The file.
        file: String,
        /// One-based.
        line: u32,
        /// The package.
        package: String,
        /// The locked version.
        version: String,
        /// What to do.
        way_out: String,
    },
    /// The lock of the model's own project is older than its requirements.
    #[error(
        "{requirement_place} asks for {requirement:?}, which {file} does not have; run {command} to bring it up to date"
    )]
    NotLocked {
        /// Where the requirement stands.
        requirement_place: String,
        /// The requirement.
        requirement: String,
        /// The lock.
        file: String,
        /// What makes the lock.
        command: &'static str,
    },
    /// A package that another package needs, and that is no release: a release of the same name may be anybody's.
    #[error(
        "{file}:{line}: {package} is from {from}, and only other packages ask for it; name it in the project's own dependencies with its source"
    )]
    Elsewhere {
        /// The package.
        package: String,
        /// Where it is from.
        from: &'static str,
        /// The lock.
        file: String,
        /// One-based.
        line: u32,
    },
    /// The index offers other bytes than the lock was made with, or a file that it did not list.
    #[error(
        "{package} {version}: the image's file {filename} has the SHA-256 {actual}, {file}:{line} {expected}"
    )]
    OtherFile {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// The chosen file.
        filename: String,
        /// Its digest.
        actual: Sha256,
        /// The lock.
        file: String,
        /// One-based.
        line: u32,
        /// What the lock says instead.
        expected: String,
    },
    /// The lock has a package in several versions, does not say which one is for the image, and another was chosen.
    #[error(
        "{package} {version} was chosen, but {file} has {listed} and does not say which is for the image; state the version in the requirements"
    )]
    Undecided {
        /// The package.
        package: String,
        /// The chosen version.
        version: String,
        /// The lock.
        file: String,
        /// Versions with their lines.
        listed: String,
    },
    /// A file of the lock cannot be found on this machine's package indexes, so that its address cannot be written.
    #[error("cannot find {filename} for the exported lock")]
    Locate {
        /// The file.
        filename: String,
        /// What the index said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
