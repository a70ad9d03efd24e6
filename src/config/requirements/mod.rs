//! What a requirements file, or the list `python_packages`, asks for.
//!
//! Files are read as pip reads them: options, `-r` and `-c`, continued lines, markers, extras and hashes. (Cog cuts a
//! line at its first `#`, also inside a URL, never follows `-r`, and drops what stands behind a pin; see
//! `docs/cog.md`.) What a package line means is decided by whoever resolves it; here lines are told apart by their
//! *kind*, options are taken out of them, and local paths become paths below the project.
//!
//! ```text
//! text ─ lines ─▶ lines ─ read ─▶ Install { requirements, constraints, options }
//!                  option, kind ───▲  ▲── other files (-r, -c), a project's own (project)
//! ```

mod files;
mod kind;
mod lines;
mod option;
mod project;
mod read;
mod reason;
#[cfg(test)]
mod tests;

use super::finding::Finding;
use super::position::Position;

pub(super) use files::{Project, read_text};
pub(super) use kind::{parse, wheel_parts};
pub(super) use project::check_python;
pub use project::{ProjectFile, ProjectPackage, ProjectReason};
pub(super) use read::{from_file, from_list};
pub use reason::RequirementReason;

/// The largest requirements file that is read.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What is handed to the resolver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Install {
    /// Requirements in the order of the files, without the Cog runtime's own packages.
    pub requirements: Vec<RequirementLine>,
    /// Versions that must hold where a package is chosen anyway.
    pub constraints: Vec<RequirementLine>,
    /// What must hold whatever packages themselves ask for.
    pub overrides: Vec<RequirementLine>,
    /// Where packages are looked for.
    pub options: IndexOptions,
    /// What the project's own file brings, where the requirements are in one.
    pub project: Option<ProjectFile>,
}

/// Options of pip that choose indexes, as they are written, without credentials.
///
/// An index is an address, or a name and a path below it: `pytorch/cu124` is the part `cu124` of the index that is
/// called `pytorch`. A folder of `find_links` is a path below the project and starts with `./`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexOptions {
    /// `--index-url`: instead of the default index.
    pub index: Option<String>,
    /// `--extra-index-url`, in the order of the files, then those that the tables of torch choose; each once.
    pub extra_indexes: Vec<String>,
    /// `--find-links`: pages and folders with files.
    pub find_links: Vec<String>,
    /// `--no-index`: nothing but `find_links`.
    pub no_index: bool,
    /// `--pre`: pre-releases count.
    pub prerelease: bool,
    /// `--no-binary`: packages that are built from source even where there are wheels, normalised; `:all:` are those of the
    /// model.
    pub no_binary: std::collections::BTreeSet<String>,
    /// Indexes that only some packages come from, in the order in which they are named.
    pub indexes: Vec<NamedIndex>,
}

/// An index that some packages come from, and that is asked for no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedIndex {
    /// The name that the project gives it.
    pub name: String,
    /// Its address, without credentials.
    pub url: String,
    /// The packages, normalised.
    pub packages: std::collections::BTreeSet<String>,
}

/// One requirement: continued lines joined, comments, options and credentials gone, hashes kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequirementLine {
    /// What the line says; a local path is relative to the project and starts with `./`.
    pub text: String,
    /// The file it stands in: a requirements file, or `cog.yaml` for an item of `python_packages`.
    pub file: String,
    /// The line it starts in.
    pub line: u32,
    /// The column it starts in.
    pub column: u32,
    /// What kind of requirement it is.
    pub kind: RequirementKind,
    /// The normalised name of the package, where the line tells it.
    pub name: Option<String>,
    /// Whether the line names an index of its own.
    pub(super) own_index: bool,
}

/// What kind of requirement a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequirementKind {
    /// A package by its name, chosen from an index.
    Package,
    /// A wheel behind an address, named or not.
    Url,
    /// A wheel of the project.
    LocalWheel,
    /// A version control reference, such as `git+https://…`.
    Repository,
    /// A source archive, of the project or behind an address.
    Archive,
    /// A folder, editable or not.
    Folder,
}

impl RequirementLine {
    /// Where the line starts.
    pub fn position(&self) -> Position {
        Position {
            line: self.line,
            column: self.column,
        }
    }

    /// The requirement without its hashes.
    pub(super) fn without_hashes(&self) -> &str {
        self.text.split(" --hash=").next().unwrap_or_default()
    }
}

/// What reading gave: the result, and everything to tell.
#[derive(Debug, Default)]
pub(super) struct Requirements {
    pub(super) install: Install,
    /// The lines of the file or list itself as they were read, options among them.
    pub(super) read: Vec<String>,
    /// What makes the configuration invalid.
    pub(super) errors: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    /// What keeps the image from being built.
    pub(super) refusals: Vec<Finding>,
}
