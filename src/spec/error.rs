//! Why a spec cannot be used, and where.

use cognix_language::{ErrorKind, EvalError, Place};
use thiserror::Error;

/// One mistake in a spec.
#[derive(Debug, Error)]
#[error("{}", self.text())]
pub struct SpecError {
    /// The place: file, line and column from 1. A file that cannot be read has none.
    pub place: Option<(String, u32, u32)>,
    /// What is wrong.
    pub reason: Box<SpecReason>,
}

impl SpecError {
    /// A mistake at a place of an evaluated text.
    pub(super) fn at(place: Option<Place>, reason: SpecReason) -> Self {
        Self {
            place: place.map(|place| (place.file, place.line, place.column)),
            reason: Box::new(reason),
        }
    }

    /// Whether somebody asked the evaluation to stop.
    pub fn is_interrupted(&self) -> bool {
        matches!(&*self.reason, SpecReason::Evaluation(error) if error.kind() == ErrorKind::Cancelled)
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> String {
        match &*self.reason {
            SpecReason::Evaluation(error) => error.message().to_owned(),
            reason => reason.to_string(),
        }
    }

    fn text(&self) -> String {
        match (&*self.reason, &self.place) {
            // An evaluation's mistake shows its own place, with the line.
            (SpecReason::Evaluation(error), _) => error.to_string(),
            (reason, Some((file, line, column))) => format!("{file}:{line}:{column}: {reason}"),
            (reason, None) => format!("{}: {reason}", super::FILE_NAME),
        }
    }
}

impl From<EvalError> for SpecError {
    fn from(error: EvalError) -> Self {
        let place = error.place().cloned();
        Self::at(place, SpecReason::Evaluation(error))
    }
}

/// What is wrong with a spec.
#[derive(Debug, Error, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields of a reason are the values that its message shows"
)]
pub enum SpecReason {
    /// The expression itself is wrong.
    #[error("{0}")]
    Evaluation(EvalError),
    /// A value of another kind than the key wants.
    #[error("{key} must be {expected}, found {found}")]
    WrongType {
        key: String,
        expected: &'static str,
        found: &'static str,
    },
    /// A key that does not exist; most likely misspelt.
    #[error("unknown key {key}{}, expected one of: {known}", did_you_mean(nearest))]
    UnknownKey {
        key: String,
        known: String,
        nearest: Option<String>,
    },
    /// A platform that no image can be built for.
    #[error("{key} must name linux/amd64 or linux/arm64, found {found:?}")]
    Platform { key: String, found: String },
    /// Not the digest of a file.
    #[error("{key} must hold SHA-256 digests, found {found:?}")]
    Digest { key: String, found: String },
    /// Not the path of a file in the image, or one that stands there twice.
    #[error("{key} must name each path in the image once, as in \"usr/bin/tool\", found {found:?}")]
    ImagePath { key: String, found: String },
    /// Not an absolute path in the image.
    #[error("{key} must be an absolute path in the image, as in \"/opt/tool\", found {found:?}")]
    Destination { key: String, found: String },
    /// A kind of package source that does not exist.
    #[error(
        "{key} must be \"pypi\", \"debian\", \"index\", \"url\", \"path\" or \"oci\", found {found:?}"
    )]
    InputKind { key: String, found: String },
    /// A tier that does not exist.
    #[error("{key} must be \"minimal\", \"shell\" or \"essential\", found {found:?}")]
    BaseTier { key: String, found: String },
    /// A way to get torch that does not exist.
    #[error("{key} must be \"wheel\" or \"source\", found {found:?}")]
    TorchMode { key: String, found: String },
    /// Not the compute capability of a GPU.
    #[error("{key} must hold compute capabilities such as \"5.2\", found {found:?}")]
    GpuArch { key: String, found: String },
    /// Not the name of a Python package.
    #[error("{key} must hold names of Python packages or \":all:\", found {found:?}")]
    PackageName { key: String, found: String },
    /// A name that cannot stand in a URL of a lock, or be a variant's.
    #[error("invalid {what} name {found:?}: use lower-case letters, digits and single dashes")]
    Name { what: &'static str, found: String },
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
    /// Not the name of an environment variable.
    #[error("{key} must hold names of environment variables, found {found:?}")]
    Variable { key: String, found: String },
    /// Two archives for one thing: which of them would be used?
    #[error("{key} names a second archive for Python {python} on {platform}")]
    SecondArchive {
        key: String,
        python: String,
        platform: String,
    },
    /// Two things in one place.
    #[error("{key} has two packages named {found:?}; give one of them another `name`")]
    SecondPackage { key: String, found: String },
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
    /// A key that another one makes meaningless.
    #[error("{key} has no meaning for an input of type {kind:?}")]
    NotForKind { key: String, kind: &'static str },
    /// An input that follows one that is not there, or that follows another.
    #[error("{key} must name an input that follows no other, found {found:?}")]
    Follows { key: String, found: String },
    /// Outputs that take something which is not there.
    #[error("outputs takes {found}, which is no input: set inputs.{found}, or take one of {known}")]
    NoInput { found: String, known: String },
    /// A package that the spec does not make.
    #[error("there is no package {found:?}{}", known_packages(known))]
    Package { found: String, known: String },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!(" (did you mean {name}?)"),
        None => String::new(),
    }
}

fn known_packages(known: &str) -> String {
    match known {
        "" => ": the spec makes none".to_owned(),
        known => format!("; the spec makes {known}"),
    }
}
