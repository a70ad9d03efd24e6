//! Finds a model's configuration on disk and reads what belongs to it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::adjust::Adjustments;
use super::complete::{self, Effective};
use super::finding::{ConfigErrors, Finding};
use super::frameworks::Notes;
use super::model::Model;
use super::parse::{Draft, draft};
use super::position::Position;
use super::reason::Reason;
use super::requirements::{self, Project, Requirements, read_text};
use super::support;
use super::yaml;

/// The name of the configuration when no other is asked for.
pub const DEFAULT_FILE: &str = "cog.yaml";
/// How many folders upwards are searched, as in Cog.
const MAX_PARENTS: usize = 100;

/// How a configuration is looked for and read.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The name of the file, or its whole path; [`DEFAULT_FILE`] when absent.
    pub file: Option<String>,
    /// Whether a key that nothing reads is an error. Deprecated keys never are: Cog reads them.
    pub strict: bool,
}

/// A valid configuration with the files that it names.
#[derive(Debug)]
pub struct Loaded {
    /// The project: the folder in which the configuration was found, links resolved.
    pub root: PathBuf,
    /// The configuration's file, relative to `root`.
    pub file_name: String,
    /// What it says.
    pub model: Model,
    /// What it comes to.
    pub effective: Effective,
    /// Python requirements as they were read, a line each: those of the requirements file, or the old list.
    pub python_packages: Vec<String>,
    /// What was noticed.
    pub warnings: Vec<Finding>,
    /// What keeps an image of the model from being built, although the configuration is valid.
    pub unsupported: Vec<Finding>,
}

/// Finds the project: the nearest folder, from `start_dir` upwards, that has the configuration.
pub fn root(start_dir: &Path, options: &LoadOptions) -> Result<PathBuf, ConfigErrors> {
    let name = options.file.as_deref().unwrap_or(DEFAULT_FILE);
    find(start_dir, name).map_err(|reason| fail(name, None, reason))
}

/// Finds the configuration in `start_dir` or a folder above it, reads it with every file that it names, and completes it.
pub fn load(start_dir: &Path, options: &LoadOptions) -> Result<Loaded, ConfigErrors> {
    load_with(start_dir, options, &Adjustments::default())
}

fn fail(name: &str, position: Option<Position>, reason: Reason) -> ConfigErrors {
    ConfigErrors::one(Finding {
        file: name.to_owned(),
        position,
        key: String::new(),
        reason,
    })
}

/// The same with changes, which are applied before anything is completed.
pub fn load_with(
    start_dir: &Path,
    options: &LoadOptions,
    adjustments: &Adjustments,
) -> Result<Loaded, ConfigErrors> {
    let name = options.file.as_deref().unwrap_or(DEFAULT_FILE);
    let fail = |position, reason| fail(name, position, reason);
    let root = root(start_dir, options)?;
    let text = read_text(&root.join(name), yaml::MAX_BYTES)
        .map_err(|(position, reason)| fail(position, reason))?;
    let project = Project::new(&root).map_err(|error| fail(None, Reason::Unreadable(error)))?;
    let mut draft = draft(&text, name);
    let mut requirements = read_requirements(&project, &draft, name);
    if draft.errors.is_empty() {
        adjustments.apply(&mut draft, &mut requirements, &project);
    }
    let mut notes = Notes {
        errors: requirements.errors,
        warnings: requirements.warnings,
        refusals: requirements.refusals,
    };
    let is_understood = draft.errors.is_empty() && notes.errors.is_empty();
    let effective = is_understood.then(|| {
        let install = requirements.install;
        complete::complete(&draft.model, &root, name, install, &mut notes)
    });
    draft.errors.append(&mut notes.errors);
    draft.warnings.append(&mut notes.warnings);
    let findings = draft.errors.iter_mut().chain(&mut draft.warnings);
    findings
        .chain(&mut notes.refusals)
        .for_each(|finding| adjustments.relocate(finding));
    if options.strict {
        let unknown = draft
            .warnings
            .extract_if(.., |warning| warning.is_unknown_key());
        draft.errors.extend(unknown);
    }
    match effective {
        Some(effective) if draft.errors.is_empty() => {
            draft.warnings.sort_by(Finding::by_place);
            let mut unsupported = support::unsupported(&draft.model, name, notes.refusals);
            unsupported
                .iter_mut()
                .for_each(|finding| adjustments.relocate(finding));
            Ok(Loaded {
                root,
                file_name: name.to_owned(),
                model: draft.model,
                effective,
                python_packages: requirements.read,
                warnings: draft.warnings,
                unsupported,
            })
        }
        _ => Err(ConfigErrors::new(draft.errors, draft.warnings)),
    }
}

/// Reads what the model requires; of a text with mistakes only the file that it names.
fn read_requirements(project: &Project, draft: &Draft, name: &str) -> Requirements {
    match (&draft.python_requirements, &draft.model.build) {
        (Some(path), _) => requirements::from_file(project, path, name),
        (None, Some(build)) => requirements::from_list(project, &build.python_packages, name),
        (None, None) => Requirements::default(),
    }
}

/// The nearest folder, from `start_dir` upwards, that has the file.
fn find(start_dir: &Path, name: &str) -> Result<PathBuf, Reason> {
    let start = fs::canonicalize(start_dir)
        .map_err(|source| not_found(&source, start_dir).unwrap_or(Reason::Unreadable(source)))?;
    for folder in start.ancestors().take(MAX_PARENTS) {
        match fs::metadata(folder.join(name)) {
            Ok(metadata) if metadata.is_file() => return Ok(project_of(folder, name)),
            Ok(_) => {
                return Err(Reason::NotAFile {
                    path: name.to_owned(),
                });
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => return Err(Reason::Unreadable(error)),
        }
    }
    Err(Reason::NotFound {
        start: start_dir.display().to_string(),
    })
}

/// An absolute file name says itself which folder the project is.
fn project_of(folder: &Path, name: &str) -> PathBuf {
    match Path::new(name) {
        path if path.is_absolute() => path.parent().unwrap_or(folder).to_owned(),
        _ => folder.to_owned(),
    }
}

fn not_found(error: &io::Error, start_dir: &Path) -> Option<Reason> {
    (error.kind() == io::ErrorKind::NotFound).then(|| Reason::NotFound {
        start: start_dir.display().to_string(),
    })
}
