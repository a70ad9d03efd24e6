//! Why a spec cannot be used, and where.

use thiserror::Error;

/// One mistake in a spec.
#[derive(Debug, Error)]
#[error("{file}:{line}:{column}: {reason}")]
pub struct SpecError {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub reason: Box<SpecReason>,
}

/// What is wrong with a spec.
#[derive(Debug, Error, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields of a reason are the values that its message shows"
)]
pub enum SpecReason {
    /// Larger than any spec; probably another file under this name.
    #[error("the file has more than {limit} bytes")]
    TooLarge { limit: usize },
    /// Nested further than any spec.
    #[error("nested deeper than {limit} levels")]
    TooDeep { limit: usize },
    /// Not Nix.
    #[error("failed to parse: {0}")]
    Syntax(String),
    /// An expression that would have to be evaluated.
    #[error("{key} must be a literal, found {found}; expressions are allowed below outputs only")]
    NotLiteral { key: String, found: &'static str },
    /// A value of another kind than the key wants.
    #[error("{key} must be {expected}, found {found}")]
    WrongType {
        key: String,
        expected: &'static str,
        found: &'static str,
    },
    /// One key twice.
    #[error("{key} is already set in line {first}")]
    Duplicate { key: String, first: u32 },
    /// A key that does not exist; most likely misspelt.
    #[error("unknown key {key}, expected one of: {known}")]
    UnknownKey { key: String, known: String },
    /// A platform that no image can be built for.
    #[error("{key} must name linux/amd64 or linux/arm64, found {found:?}")]
    Platform { key: String, found: String },
    /// Not the digest of a file.
    #[error("{key} must hold SHA-256 digests, found {found:?}")]
    Digest { key: String, found: String },
    /// Not the path of a file in the image, or one that stands there twice.
    #[error("{key} must name each path in the image once, as in \"usr/bin/tool\", found {found:?}")]
    ImagePath { key: String, found: String },
    /// A kind of package source that does not exist.
    #[error("{key} must be \"pypi\", \"debian\" or \"url\", found {found:?}")]
    InputKind { key: String, found: String },
    /// A tier that does not exist.
    #[error("{key} must be \"minimal\", \"shell\" or \"essential\", found {found:?}")]
    BaseTier { key: String, found: String },
    /// A name that cannot stand in a URL of a lock.
    #[error("invalid input name {found:?}: use lower-case letters, digits and single dashes")]
    InputName { found: String },
    /// Not an address, or none that a source can have.
    #[error("{key} must be an http, https or file URL, found {found:?}")]
    Url { key: String, found: String },
    /// A path that leads out of the project.
    #[error("{key} must name files beside or below the spec, found {found}")]
    PathOutside { key: String, found: String },
    /// A path that is no plain one below a package source.
    #[error("{key} must be a path below the package source, found {found:?}")]
    SourcePath { key: String, found: String },
    /// A version that says no major, minor and patch.
    #[error("{key} must be a whole version such as \"3.12.4\", found {found:?}")]
    Version { key: String, found: String },
    /// Two archives for one thing: which of them would be used?
    #[error("{key} names a second archive for Python {python} on {platform}")]
    SecondArchive {
        key: String,
        python: String,
        platform: String,
    },
    /// The file is there and cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A password in a file that is shared.
    #[error("{key} holds credentials; keep them in netrc")]
    Credentials { key: String },
    /// A number out of its range.
    #[error("{key} must be from {least} to {most}, found {found}")]
    Range {
        key: String,
        least: i64,
        most: i64,
        found: i64,
    },
    /// Neither the file nor the one that it extends says it.
    #[error("{key} is not set")]
    Missing { key: String },
}
