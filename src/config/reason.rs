//! Every reason that a finding can have, with its words and its hint.
//!
//! The words follow Cog's where Cog has some, so that a search for the message leads to help.

use std::io;

use thiserror::Error;

use super::finding::quoted;
use super::frameworks::FrameworkReason;
use super::position::Position;
use super::requirements::RequirementReason;

/// What was found; the first groups make a configuration invalid, the last two do not.
#[derive(Debug, Error)]
#[expect(
    missing_docs,
    reason = "the fields of a reason are the values that its message shows"
)]
pub enum Reason {
    // The file itself.
    /// No configuration in this folder or above it.
    #[error("not found in {start} or any folder above it")]
    NotFound { start: String },
    /// The file is there and cannot be read.
    #[error("cannot be read")]
    Unreadable(#[source] io::Error),
    /// Larger than any configuration; probably another file under this name.
    #[error("the file has more than {limit} bytes")]
    TooLarge { limit: usize },
    /// Not text in UTF-8.
    #[error("failed to parse: the text is not UTF-8 from this place on")]
    NotUtf8,
    /// The text breaks YAML's own rules; nothing after this place was read.
    #[error("failed to parse: invalid YAML: {0}")]
    Yaml(String),
    /// A second `---` document.
    #[error("failed to parse: invalid YAML: a second document starts here, expected one")]
    SeveralDocuments,
    /// Nested further than any configuration.
    #[error("failed to parse: invalid YAML: nested deeper than {limit} levels")]
    TooDeep { limit: usize },
    /// Aliases multiply into more nodes than any configuration has.
    #[error("failed to parse: invalid YAML: aliases stand for more than {limit} nodes")]
    AliasBudget { limit: usize },
    /// An alias inside the node that it names.
    #[error("failed to parse: invalid YAML: the alias names a node that contains it")]
    AliasCycle,
    /// One key twice in one mapping.
    #[error(
        "failed to parse: invalid YAML: key {} is already set at {first}",
        quoted(key)
    )]
    DuplicateKey { key: String, first: Position },
    /// A list or mapping where a key is due.
    #[error("failed to parse: invalid YAML: a key must be a plain word")]
    KeyNotScalar,
    /// A tag that changes what a value means.
    #[error("failed to parse: invalid YAML: tag {} is not supported", quoted(tag))]
    Tag { tag: String },

    // Shapes.
    /// The value has another shape than the key wants.
    #[error("must be {expected}, found {found}")]
    WrongType {
        expected: &'static str,
        found: String,
    },
    /// A key without value where a value is due.
    #[error("must be {expected}, found no value")]
    Null { expected: &'static str },
    /// A key that must be there is not.
    #[error("{key} is required")]
    Required { key: &'static str },
    /// A list that must hold something does not.
    #[error("must not be an empty list")]
    EmptyList,

    // Values.
    /// The version has one part only.
    #[error("{} must include major and minor version", quoted(found))]
    VersionParts {
        found: String,
        example: &'static str,
    },
    /// A part of the version is not a number.
    #[error("invalid {part} version number in {}", quoted(found))]
    VersionNumber { part: &'static str, found: String },
    /// Below Cog's floor.
    #[error(
        "minimum supported {what} version is {minimum}, found {}",
        quoted(found)
    )]
    VersionTooOld {
        what: &'static str,
        minimum: &'static str,
        found: String,
    },
    /// Both ways to name Python packages.
    #[error("only one of python_packages or python_requirements can be set")]
    PackagesAndRequirements,
    /// The named file is not there.
    #[error("file does not exist: {}", quoted(path))]
    FileMissing { path: String },
    /// The named file is a folder, a device or the like.
    #[error("not a file: {}", quoted(path))]
    NotAFile { path: String },
    /// The path leaves the project, by itself or through a link.
    #[error("{} is outside of the project", quoted(path))]
    OutsideProject { path: String },
    /// Both spellings of the reference.
    #[error("only one of run or predict can be set")]
    RunAndPredict,
    /// Not `file.py:Name`.
    #[error("{} must be in the form {example}", quoted(found))]
    ReferenceForm {
        found: String,
        example: &'static str,
    },
    /// Fewer than one prediction at a time.
    #[error("must be at least 1, found {found}")]
    ConcurrencyTooLow { found: String },
    /// More than any machine runs.
    #[error("must be at most {limit}, found {found}")]
    ConcurrencyTooHigh { limit: u32, found: String },
    /// Several predictions at a time need a newer Python.
    #[error(
        "concurrency above 1 requires Python 3.11 or higher, python_version is {}",
        quoted(python)
    )]
    ConcurrencyPython { python: String },
    /// Not `NAME=value`.
    #[error("{} must be in the form NAME=value", quoted(found))]
    EnvironmentForm { found: String },
    /// The name has other characters than letters, digits and `_`, or starts with a digit.
    #[error("invalid environment variable name {}", quoted(name))]
    EnvironmentName { name: String },
    /// The value has more than one line.
    #[error("the value of {name} contains a new line")]
    EnvironmentNewline { name: String },
    /// One name twice.
    #[error("environment variable {name} is already defined at {first}")]
    EnvironmentTwice { name: String, first: Position },
    /// A name that the runtime or the platform sets itself.
    #[error("environment variable {name} is not allowed: reserved for internal use")]
    EnvironmentReserved { name: String },
    /// Both ways to name what is built.
    #[error("image and model cannot both be set")]
    ImageAndModel,
    /// A tag or digest where a repository is due.
    #[error("{} must be a bare repository, without tag or digest", quoted(found))]
    ModelTagged { found: String },
    /// Not the name of a repository.
    #[error("invalid repository {}", quoted(found))]
    ModelInvalid { found: String },
    /// Weights have to be pushed somewhere.
    #[error("weights require 'model'")]
    WeightsWithoutModel { image_is_set: bool },
    /// Not lower-case words joined by `.`, `_` or `-`.
    #[error("invalid weights name {}", quoted(found))]
    WeightsName { found: String },
    /// One name twice.
    #[error("weights name {} is already used at {first}", quoted(name))]
    WeightsNameTwice { name: String, first: Position },
    /// Not an absolute path below the root.
    #[error("{} must be an absolute path other than /", quoted(found))]
    WeightsTarget { found: String },
    /// One folder twice, or one inside another.
    #[error("{} overlaps with target {} at {first}", quoted(found), quoted(other))]
    WeightsTargetOverlap {
        found: String,
        other: String,
        first: Position,
    },
    /// An empty pattern, one that starts with `!`, or one with a backslash.
    #[error(
        "invalid pattern {}: must not be blank, start with ! or contain a backslash",
        quoted(found)
    )]
    WeightsPattern { found: String },
    /// A kind of mount that does not exist.
    #[error("must be \"secret\", found {}", quoted(found))]
    MountType { found: String },
    /// Neither a version nor the word `prerelease`.
    #[error("{} must be a version or the word prerelease", quoted(found))]
    SdkVersion { found: String },

    // Rooms of their own.
    /// About requirements.
    #[error(transparent)]
    Requirement(#[from] RequirementReason),
    /// About CUDA and the frameworks.
    #[error(transparent)]
    Framework(#[from] FrameworkReason),

    // Warnings.
    /// A key that nothing reads.
    #[error("unknown key, which Cog ignores")]
    UnknownKey { nearest: Option<String> },
    /// A key that Cog keeps for old files only.
    #[error("deprecated: use {replacement} instead")]
    Deprecated { replacement: &'static str },
    /// The third number of a Python version chooses nothing.
    #[error(
        "the patch version of {} is not used: Python {used} comes as its distribution provides it",
        quoted(found)
    )]
    PythonPatch { found: String, used: String },
    /// No version was asked for.
    #[error("python_version is not set: using {used}")]
    PythonDefault { used: &'static str },
    // Valid, and not to be built.
    /// There is a place in the model for it, and no code behind it.
    #[error("{what} cannot be built yet")]
    Unsupported { what: String },
    /// A Python that no source provides.
    #[error(
        "Python {} cannot be provided yet, available: {available}",
        quoted(found)
    )]
    PythonUnavailable { found: String, available: String },
    /// Cog refuses it when it generates the build.
    #[error("the command contains a new line")]
    CommandNewline,
    /// No `--secret` can give it.
    #[error("a secret cannot be called {}", quoted(found))]
    SecretId { found: String },
    /// A secret is a file, and a file has a place.
    #[error("a secret cannot lie at {}", quoted(found))]
    SecretTarget { found: String },
    /// Cog refuses it when it generates the schema.
    #[error("invalid reference {}: file or name is missing", quoted(found))]
    ReferenceIncomplete { found: String },
    /// The SDK is older than what the runtime needs.
    #[error("minimum supported SDK version is 0.16.0, found {}", quoted(found))]
    SdkTooOld { found: String },
    /// Neither `run` nor `train`: there is nothing that an image could serve.
    #[error("can't run predictions or training: neither run nor train is set")]
    NothingToRun,
}

impl Reason {
    pub(super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Requirement(reason) => return reason.hint(),
            Self::Framework(reason) => return reason.hint(),
            Self::NotFound { .. } => {
                "write one beside the model's code, or name another file with -f"
            }
            Self::Yaml(message) if message.contains("tab") => {
                "YAML is indented with blanks, never with tabs"
            }
            Self::SeveralDocuments => "remove everything from the second --- on",
            Self::Null { .. } => "give it a value, or remove the key",
            Self::Required {
                key: "python_version",
            } => "add python_version: \"3.13\" under build",
            Self::VersionParts { example, .. } => {
                return Some(format!("write it as \"{example}\""));
            }
            Self::PackagesAndRequirements => "move the packages into the requirements file",
            Self::FileMissing { .. } => {
                "paths are relative to the folder of the file that names them"
            }
            Self::OutsideProject { .. } => {
                "copy it into the project: only its files can be part of the image"
            }
            Self::RunAndPredict => "keep run: predict is its old name",
            Self::WrongType {
                expected: "true or false",
                found,
            } if found.starts_with("text") => "write true or false, without quotes",
            Self::WrongType {
                expected: "a whole number",
                found,
            } if found.starts_with("text") => "write the number without quotes",
            Self::WrongType {
                expected: "a command",
                found,
            } if !found.starts_with('a') => "put the command in quotes",
            Self::WrongType {
                expected: "a list", ..
            } => "write each item on a line of its own that starts with -",
            Self::EnvironmentForm { .. } => "write each entry as a text, such as - NAME=value",
            Self::ImageAndModel => "keep model when weights are used, image otherwise",
            Self::WeightsWithoutModel { image_is_set: true } => "rename image to model",
            Self::WeightsWithoutModel {
                image_is_set: false,
            } => "add model: with the repository to push to",
            Self::WeightsName { .. } => {
                "use lower-case letters and digits, joined by single . _ or -"
            }
            Self::UnknownKey {
                nearest: Some(nearest),
            } => return Some(format!("did you mean {nearest}?")),
            Self::CommandNewline => "join the lines with &&, or make each a command of its own",
            Self::SecretId { .. } => "use a name without / and , as in --secret id=NAME,src=FILE",
            Self::SecretTarget { .. } => "write an absolute path, such as /run/secrets/token",
            Self::NothingToRun => {
                "add run: \"predict.py:Predictor\" for the class that answers predictions"
            }
            Self::PythonUnavailable { .. } => {
                "choose one of the available versions in build.python_version"
            }
            Self::SdkTooOld { .. } => "remove build.sdk_version to use the newest",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
