//! Finds a model's configuration on disk and reads what belongs to it.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::finding::{ConfigErrors, Finding};
use super::model::Model;
use super::parse::parse;
use super::position::{Position, Spanned};
use super::reason::Reason;
use super::requirements::{self, RequirementsFile};
use super::yaml;

/// The name of the configuration when no other is asked for.
pub const DEFAULT_FILE: &str = "cog.yaml";
/// How many folders upwards are searched, as in Cog.
const MAX_PARENTS: usize = 100;

/// A valid configuration with the files that it names.
#[derive(Debug)]
pub struct Loaded {
    /// The project: the folder in which the configuration was found, links resolved.
    pub root: PathBuf,
    /// The configuration's file, relative to `root`.
    pub file_name: String,
    /// What it says.
    pub model: Model,
    /// The file that `build.python_requirements` names.
    pub requirements: Option<RequirementsFile>,
    /// What was noticed.
    pub warnings: Vec<Finding>,
}

/// Finds `file` (or `cog.yaml`) in `start_dir` or a folder above it, and reads it.
pub fn load(start_dir: &Path, file: Option<&str>) -> Result<Loaded, ConfigErrors> {
    let name = file.unwrap_or(DEFAULT_FILE);
    let fail = |reason| {
        ConfigErrors::one(Finding {
            file: name.to_owned(),
            position: None,
            key: String::new(),
            reason,
        })
    };
    let root = find(start_dir, name).map_err(fail)?;
    let text = match read_text(&root.join(name), yaml::MAX_BYTES) {
        Ok(text) => text,
        Err((position, reason)) => {
            return Err(ConfigErrors::one(Finding {
                file: name.to_owned(),
                position,
                key: String::new(),
                reason,
            }));
        }
    };
    let parsed = parse(&text, name)?;
    let (model, mut warnings) = (parsed.model, parsed.warnings);
    let path = model
        .build
        .as_ref()
        .and_then(|build| build.python_requirements.as_ref());
    let requirements = match path {
        Some(path) => match read_requirements(&root, path, name) {
            Ok(file) => Some(file),
            Err(errors) => return Err(ConfigErrors { warnings, ..errors }),
        },
        None => None,
    };
    let loaded = Loaded {
        root,
        file_name: name.to_owned(),
        model,
        requirements,
        warnings: Vec::new(),
    };
    warnings.extend(super::complete::ignored_requirements(&loaded));
    Ok(Loaded { warnings, ..loaded })
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

/// Reads the requirements file: a file inside the project, wherever links lead.
fn read_requirements(
    root: &Path,
    path: &Spanned<String>,
    file_name: &str,
) -> Result<RequirementsFile, ConfigErrors> {
    let at_key = |reason| {
        ConfigErrors::one(Finding {
            file: file_name.to_owned(),
            position: Some(path.position),
            key: "build.python_requirements".to_owned(),
            reason,
        })
    };
    let shown = || path.value.clone();
    let real = fs::canonicalize(root.join(&path.value)).map_err(|error| {
        at_key(match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Reason::FileMissing { path: shown() }
            }
            _ => Reason::Unreadable(error),
        })
    })?;
    let project = fs::canonicalize(root).map_err(|error| at_key(Reason::Unreadable(error)))?;
    if !real.starts_with(project) {
        return Err(at_key(Reason::OutsideProject { path: shown() }));
    }
    if !fs::metadata(&real)
        .map_err(|error| at_key(Reason::Unreadable(error)))?
        .is_file()
    {
        return Err(at_key(Reason::NotAFile { path: shown() }));
    }
    match read_text(&real, requirements::MAX_BYTES) {
        Ok(text) => Ok(RequirementsFile {
            path: path.value.clone(),
            text,
        }),
        Err((position, reason)) => {
            let (file, key) = (path.value.clone(), String::new());
            Err(ConfigErrors::one(Finding {
                file,
                position,
                key,
                reason,
            }))
        }
    }
}

/// A whole file as text, if it is not larger than `limit`.
fn read_text(path: &Path, limit: usize) -> Result<String, (Option<Position>, Reason)> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| (None, Reason::Unreadable(error)))?;
    // One byte more than the limit tells a file that is too large, without reading all of it.
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| (None, Reason::Unreadable(error)))?;
    if bytes.len() > limit {
        return Err((None, Reason::TooLarge { limit }));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        (Some(Position::of_offset(&text, valid)), Reason::NotUtf8)
    })
}
