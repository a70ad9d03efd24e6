//! What can be wrong with a project's own file, with words and hints.

use thiserror::Error;

use super::super::super::finding::quoted;

/// What was found in `pyproject.toml` or a lock beside it.
#[derive(Debug, Error)]
#[expect(
    missing_docs,
    reason = "the fields of a reason are the values that its message shows"
)]
pub enum ProjectReason {
    // The configuration is not valid.
    /// The text breaks TOML's own rules.
    #[error("failed to parse: invalid TOML: {0}")]
    Toml(String),
    /// The value has another shape than the key wants.
    #[error("must be {expected}, found {found}")]
    WrongType {
        expected: &'static str,
        found: &'static str,
    },
    /// A file for something else, such as the settings of a linter.
    #[error("there is neither a [project] table nor one of Poetry ([tool.poetry])")]
    NoTables,
    /// What uv and Poetry lock is told by the other file only.
    #[error("{lock} needs the pyproject.toml beside it, and there is none")]
    LockAlone { lock: String },
    /// Not what Poetry takes.
    #[error("{} is no version constraint: {why}", quoted(found))]
    PoetryConstraint { found: String, why: String },

    // Warnings.
    /// As uv says it.
    #[error(
        "the project's entry points are left out, because it is no package: there is no [build-system]"
    )]
    NotPackaged,
    /// A setting about how sources are built.
    #[error("is ignored: {why}")]
    Ignored { why: &'static str },
    /// The build backend would compute it.
    #[error("the version of the project is dynamic and nowhere written; in the image it is 0")]
    DynamicVersion,
    /// Files of the project are importable; what a compiler makes is not there.
    #[error(
        "the project's own modules are imported as they lie there; what {backend} compiles is not made"
    )]
    Compiled { backend: String },

    // Valid, and not to be built.
    /// A list that a build backend computes.
    #[error(
        "the project's dependencies are dynamic, and how {backend} computes them is not known here"
    )]
    Dynamic { backend: String },
    /// A key that decides what is installed.
    #[error("{what} cannot be honoured")]
    NotHonoured { what: String, way_out: &'static str },
    /// PEP 440 knows no alternatives.
    #[error("{} allows versions that no list of PEP 440 describes", quoted(found))]
    Alternatives { found: String },
    /// A name that no index of the file has.
    #[error("there is no index {} in this file", quoted(name))]
    UnknownIndex { name: String },
    /// Two indexes for one package on the same platform.
    #[error("{package} comes from two indexes on Linux, {first} and {second}")]
    TwoIndexes {
        package: String,
        first: String,
        second: String,
    },
    /// A member that no folder of the workspace is.
    #[error("the workspace has no member {}", quoted(name))]
    NotAMember { name: String },
    /// The project and the image want different Pythons.
    #[error(
        "the project requires Python {}, but the image has {python}",
        quoted(requires)
    )]
    Python { requires: String, python: String },
}

impl ProjectReason {
    pub(in super::super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoTables => "name the file that lists the model's requirements",
            Self::LockAlone { .. } => {
                "copy it there, or export the lock: `uv export --format pylock.toml -o pylock.toml`"
            }
            Self::NotPackaged => {
                "add a [build-system] table, or set tool.uv.package = true, if the image is to have them"
            }
            Self::DynamicVersion => "set project.version if the model asks for its own version",
            Self::Compiled { .. } => {
                "name the project itself in a requirements file (a line with a dot) to have it built as a wheel"
            }
            Self::Dynamic { .. } => {
                "list them in project.dependencies, or name a requirements file in build.python_requirements"
            }
            Self::NotHonoured { way_out, .. } => way_out,
            Self::Alternatives { .. } => "write one range, with != for what is to be left out",
            Self::UnknownIndex { .. } => "define it in the file, with a name and a url",
            Self::TwoIndexes { .. } => "let the markers of the sources exclude each other on Linux",
            Self::NotAMember { .. } => "name its folder in tool.uv.workspace.members",
            Self::Python { .. } => {
                "change build.python_version, or the range that the project allows"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
