//! What can be wrong with a requirements file, with words and hints.

use thiserror::Error;

use super::super::finding::quoted;
use super::project::ProjectReason;

/// What was found in a line of requirements.
#[derive(Debug, Error)]
#[expect(
    missing_docs,
    reason = "the fields of a reason are the values that its message shows"
)]
pub enum RequirementReason {
    /// About a project's own file.
    #[error(transparent)]
    Project(#[from] ProjectReason),
    // The configuration is not valid.
    /// Files that name each other in a circle.
    #[error("{} includes itself", quoted(path))]
    Cycle { path: String },
    /// Files below files, deeper than anybody writes.
    #[error("requirements files include each other more than {limit} levels deep")]
    TooDeep { limit: usize },

    // Warnings.
    /// The runtime comes from `sdk_version`.
    #[error(
        "requirement {} is ignored: the SDK is chosen by build.sdk_version",
        quoted(line)
    )]
    Runtime { line: String },
    /// An address with a password, which goes into no lock and no image.
    #[error("the credentials in this line are left out")]
    Credentials,
    /// An option that has no meaning for wheels chosen once and fetched by their hash.
    #[error("option {option} is ignored: {why}")]
    OptionIgnored { option: String, why: &'static str },

    // Valid, and not to be built.
    /// Not a requirement as the packaging standards define it.
    #[error("{} is no requirement: {why}", quoted(line))]
    Syntax { line: String, why: String },
    /// Another version control system, or a repository that no other machine would find.
    #[error(
        "a repository is named by git+https://, git+http:// or git+ssh://, found {}",
        quoted(found)
    )]
    Repository { found: String },
    /// A file behind an address would have to be fetched to know what is asked for.
    #[error(
        "a requirements file behind an address cannot be locked: {}",
        quoted(url)
    )]
    RemoteFile { url: String },
    /// Something else than a web address where an index is due.
    #[error("{option} must be an http or https address, found {}", quoted(found))]
    Address { option: String, found: String },
    /// An option that pip does not have in a requirements file.
    #[error("unknown option {}", quoted(option))]
    UnknownOption { option: String },
    /// An option without what it needs.
    #[error("option {option} needs a value")]
    OptionValue { option: String },
    /// An option that has a line of its own.
    #[error("option {option} cannot stand behind a requirement")]
    OptionPlace { option: String },
    /// `--no-binary`, and options for builds.
    #[error("option {option} asks for a build from source, and images are made of wheels")]
    OptionBuilds { option: String },
    /// Something else than the name of a package.
    #[error(
        "option {option} takes names of packages, :all: or :none:, found {}",
        quoted(found)
    )]
    NoName { option: String, found: String },
    /// `${NAME}`, which pip takes from the environment.
    #[error(
        "{} takes a value from the environment, on which no lock can depend",
        quoted(line)
    )]
    Variable { line: String },
    /// A digest that is not strong enough, or none at all.
    #[error(
        "{} is no hash: expected sha256, sha384 or sha512, a colon and the digits",
        quoted(found)
    )]
    Hash { found: String },
    /// One line without a hash where every line needs one.
    #[error("--require-hashes is set, and {} has no hash", quoted(line))]
    HashMissing { line: String },
    /// A constraint that is more than a name and versions.
    #[error("{} is no constraint: expected a name and versions", quoted(line))]
    Constraint { line: String },
}

impl RequirementReason {
    pub(in super::super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Project(reason) => return reason.hint(),
            Self::Cycle { .. } => "remove the -r or -c line that leads back",
            Self::Credentials => {
                "keep them in ~/.netrc, or in the address that PIP_EXTRA_INDEX_URL or --mirror gives"
            }
            Self::Repository { .. } => {
                "write git+ssh://USER@HOST/PATH for git@HOST:PATH; copy a repository of this machine into the project and name it as ./FOLDER; of another version control system name a source archive (`python -m build --sdist` makes one)"
            }
            Self::RemoteFile { .. } => "copy the file into the project",
            Self::Variable { .. } => {
                "write the value itself; credentials belong into ~/.netrc or PIP_EXTRA_INDEX_URL"
            }
            Self::OptionPlace { .. } | Self::UnknownOption { .. } => {
                "write it on a line of its own, spelled as pip spells it"
            }
            Self::OptionBuilds { .. } => "remove the option",
            Self::HashMissing { .. } => {
                "add its hashes, or remove --require-hashes: the lock holds a hash of every file"
            }
            Self::Constraint { .. } => "name the file itself as a requirement",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
