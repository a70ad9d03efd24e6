//! Where a required package is to come from, as far as it can be provided.

use std::path::Path;
use std::str::FromStr;

use url::Url;
use uv_distribution_filename::{DistExtension, WheelFilename};
use uv_distribution_types::{Requirement, RequirementSource};
use uv_pep508::{Pep508Error, UnnamedRequirement, VersionOrUrl};
use uv_pypi_types::{ParsedUrl, VerbatimParsedUrl};
use uv_requirements_txt::RequirementsTxtRequirement;

use super::line::Line;

/// What to do about a package that exists as source.
const BUILD_IT: &str = "building from source comes later; build a wheel of it (`pip wheel`), put it into the project and name it as ./wheels/NAME.whl, or use a release from a package index";

/// Understands a requirement; the error says what is wrong and what to do.
pub(super) fn requirement(line: &Line<'_>, root: &Path) -> Result<Requirement, String> {
    let text = line.requirement;
    if text.contains("://") && text.contains("${") {
        return Err("variables of this machine are no part of a model; write the address without credentials, and put those into the netrc file".to_owned());
    }
    let parsed = RequirementsTxtRequirement::parse(text, root, false)
        .map_err(|error| described(&error, text))?;
    let named = match parsed {
        RequirementsTxtRequirement::Named(named) => {
            if let Some(VersionOrUrl::Url(url)) = &named.version_or_url
                && matches!(url.parsed_url, ParsedUrl::Path(_) | ParsedUrl::Directory(_))
            {
                return Err("a file of the project is named by its path alone, as pip wants it: ./wheels/NAME.whl".to_owned());
            }
            named
        }
        RequirementsTxtRequirement::Unnamed(unnamed) => with_name(unnamed)?,
    };
    let mut requirement = Requirement::from(named);
    check(&mut requirement.source, root)?;
    Ok(requirement)
}

/// The wheel that a requirement names itself.
pub(super) fn named_wheel(source: &RequirementSource) -> Option<WheelFilename> {
    let name = match source {
        RequirementSource::Url { location, .. } => file_name(location),
        RequirementSource::Path { install_path, .. } => local_name(install_path),
        _ => None,
    };
    WheelFilename::from_str(&name?).ok()
}

fn local_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
}

fn file_name(url: &Url) -> Option<String> {
    let encoded = url.path_segments()?.next_back()?;
    let decoded = percent_encoding::percent_decode_str(encoded).decode_utf8_lossy();
    Some(decoded.into_owned())
}

/// The library's description, with the place in the line.
fn described(error: &Pep508Error<VerbatimParsedUrl>, text: &str) -> String {
    let before = text
        .get(..error.start)
        .map_or(0, |before| before.chars().count());
    format!("{} (column {})", error.message, before + 1)
}

/// Takes the name from the file's.
fn with_name(
    unnamed: UnnamedRequirement<VerbatimParsedUrl>,
) -> Result<uv_pep508::Requirement<VerbatimParsedUrl>, String> {
    let file = match &unnamed.url.parsed_url {
        ParsedUrl::Path(local) => local_name(&local.install_path),
        ParsedUrl::Archive(archive) => file_name(&archive.url),
        ParsedUrl::Directory(_) => return Err(format!("it is a folder; {BUILD_IT}")),
        ParsedUrl::GitDirectory(url) => return Err(git(url.url.reference().as_str())),
        ParsedUrl::GitPath(url) => return Err(git(url.url.reference().as_str())),
    };
    let file = file.unwrap_or_default();
    if !file.to_ascii_lowercase().ends_with(".whl") {
        return Err(format!("it is a source archive; {BUILD_IT}"));
    }
    let wheel = WheelFilename::from_str(&file).map_err(|error| error.to_string())?;
    Ok(uv_pep508::Requirement {
        name: wheel.name,
        extras: unnamed.extras,
        version_or_url: Some(VersionOrUrl::Url(unnamed.url)),
        marker: unnamed.marker,
        origin: None,
    })
}

/// Says what is missing for a git reference, and whether it is at least pinned.
fn git(reference: Option<&str>) -> String {
    let reference = reference.unwrap_or_default();
    let is_commit = reference.len() == 40 && reference.bytes().all(|b| b.is_ascii_hexdigit());
    let pin = if is_commit {
        ""
    } else {
        " (and not pinned to a commit: write @ and its 40 digits)"
    };
    format!("it is a git repository{pin}; {BUILD_IT}")
}

fn check(source: &mut RequirementSource, root: &Path) -> Result<(), String> {
    match source {
        RequirementSource::Registry { .. } => Ok(()),
        RequirementSource::Url { location, ext, .. } => {
            if *ext != DistExtension::Wheel {
                return Err(format!("it is a source archive; {BUILD_IT}"));
            }
            if !location.username().is_empty() || location.password().is_some() {
                return Err("its address has a user or a password, which would be written into the lock; put them into the netrc file".to_owned());
            }
            if location.query().is_some() {
                return Err("its address has a query (after the question mark), which may be secret and expires; use an address without one, or put the wheel into the project".to_owned());
            }
            match location.scheme() {
                "http" | "https" => Ok(()),
                scheme => Err(format!(
                    "addresses that begin with {scheme}: are not supported; use https"
                )),
            }
        }
        RequirementSource::GitDirectory { git: url, .. }
        | RequirementSource::GitPath { git: url, .. } => Err(git(url.reference().as_str())),
        RequirementSource::Directory { .. } => Err(format!("it is a folder; {BUILD_IT}")),
        RequirementSource::Path {
            install_path, ext, ..
        } => {
            if *ext != DistExtension::Wheel {
                return Err(format!("it is a source archive; {BUILD_IT}"));
            }
            *install_path = inside(install_path, root)?.into_boxed_path();
            Ok(())
        }
    }
}

/// The real path of a file of the project.
fn inside(path: &Path, root: &Path) -> Result<std::path::PathBuf, String> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file in the project".to_owned(),
        _ => format!("it cannot be read: {error}"),
    };
    let root = root.canonicalize().map_err(unreadable)?;
    let real = path.canonicalize().map_err(unreadable)?;
    if !real.starts_with(&root) {
        return Err("it is outside the project; copy it into the project".to_owned());
    }
    if !real.is_file() {
        return Err("it is not a file".to_owned());
    }
    Ok(real)
}
