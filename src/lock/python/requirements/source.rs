//! Where a required package is to come from, as far as it can be provided.

use std::path::Path;
use std::str::FromStr;

use url::Url;
use uv_distribution_filename::{
    DistExtension, LegacySourceDistExtension, SourceDistExtension, WheelFilename,
};
use uv_distribution_types::{Requirement, RequirementSource};
use uv_normalize::PackageName;
use uv_pep508::{Pep508Error, UnnamedRequirement, VerbatimUrl, VersionOrUrl};
use uv_pypi_types::{ParsedUrl, VerbatimParsedUrl};
use uv_requirements_txt::RequirementsTxtRequirement;

use super::line::Line;
use crate::lock::python::sources::RepositoryReference;

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
                && matches!(url.parsed_url, ParsedUrl::Path(_))
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
    let name = match &unnamed.url.parsed_url {
        ParsedUrl::Path(local) => name_of_file(local_name(&local.install_path))?,
        ParsedUrl::Archive(archive) => name_of_file(file_name(&archive.url))?,
        ParsedUrl::Directory(folder) => folder_name(&folder.install_path)?,
        ParsedUrl::GitDirectory(_) | ParsedUrl::GitPath(_) => egg(&unnamed.url.verbatim).ok_or(
            "which package the repository has is not said; write NAME @ before the address",
        )?,
    };
    Ok(uv_pep508::Requirement {
        name,
        extras: unnamed.extras,
        version_or_url: Some(VersionOrUrl::Url(unnamed.url)),
        marker: unnamed.marker,
        origin: None,
    })
}

/// The package whose wheel or source archive a file is.
fn name_of_file(file: Option<String>) -> Result<PackageName, String> {
    let file = file.unwrap_or_default();
    if let Ok(DistExtension::Source(_)) = DistExtension::from_path(&file) {
        return archive_name(&file);
    }
    let wheel = WheelFilename::from_str(&file).map_err(|error| error.to_string())?;
    Ok(wheel.name)
}

/// The package whose source a folder is, as far as its files say it without being run.
fn folder_name(folder: &Path) -> Result<PackageName, String> {
    #[derive(serde::Deserialize)]
    struct Named {
        name: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct Tool {
        poetry: Option<Named>,
    }
    #[derive(serde::Deserialize)]
    struct Document {
        project: Option<Named>,
        tool: Option<Tool>,
    }
    let text = std::fs::read_to_string(folder.join("pyproject.toml")).unwrap_or_default();
    let document: Option<Document> = toml::from_str(&text).ok();
    let name = document.and_then(|document| {
        let poetry = document.tool.and_then(|tool| tool.poetry);
        document.project.or(poetry)?.name
    });
    name.and_then(|name| PackageName::from_str(&name).ok())
        .ok_or_else(|| {
            "which package the folder is cannot be told, because no pyproject.toml in it has a project.name; write NAME @ before the path"
                .to_owned()
        })
}

/// The package that a source archive's name begins with: `NAME-VERSION.tar.gz`.
fn archive_name(file: &str) -> Result<PackageName, String> {
    let name = file.rsplit_once('-').and_then(|(name, version)| {
        let is_version = version.starts_with(|first: char| first.is_ascii_digit());
        PackageName::from_str(name).ok().filter(|_| is_version)
    });
    name.ok_or_else(|| {
        format!("which package {file:?} is cannot be told; call the file NAME-VERSION.tar.gz, or write NAME @ before the address")
    })
}

/// The package that a fragment names: `#egg=NAME`.
fn egg(url: &VerbatimUrl) -> Option<PackageName> {
    let parts = url
        .fragment()
        .unwrap_or_default()
        .split('&')
        .map(str::to_owned);
    let mut names = parts.filter_map(|part| part.strip_prefix("egg=").map(str::to_owned));
    let name = names.next()?;
    let name = name.split(['[', '-']).next().unwrap_or_default();
    PackageName::from_str(name).ok()
}

/// The repository that a line is the address of, where it does not say which package that has.
pub(in crate::lock::python) fn repository_line(
    text: &str,
) -> Option<Result<RepositoryReference, String>> {
    let line = super::line::Line::parse(super::line::without_comment(text)).ok()?;
    if !line.requirement.starts_with("git+") {
        return None;
    }
    let parsed = RequirementsTxtRequirement::parse(line.requirement, Path::new("/"), false);
    let RequirementsTxtRequirement::Unnamed(unnamed) = parsed.ok()? else {
        return None;
    };
    let ParsedUrl::GitDirectory(found) = &unnamed.url.parsed_url else {
        return None;
    };
    if egg(&unnamed.url.verbatim).is_some() {
        return None;
    }
    let folder = found.subdirectory.as_deref();
    Some(RepositoryReference::of(&found.url, folder))
}

fn check(source: &mut RequirementSource, root: &Path) -> Result<(), String> {
    match source {
        RequirementSource::Registry { .. } => Ok(()),
        RequirementSource::Url { location, ext, .. } => {
            if let DistExtension::Source(kind) = ext {
                known(*kind)?;
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
        RequirementSource::GitDirectory {
            git, subdirectory, ..
        } => RepositoryReference::of(git, subdirectory.as_deref()).map(drop),
        RequirementSource::GitPath { .. } => Err(
            "a file in a repository cannot be locked; name the repository itself, or put the file into the project".to_owned(),
        ),
        RequirementSource::Directory { install_path, .. } => {
            *install_path = inside(install_path, root)?.into_boxed_path();
            match install_path.is_dir() {
                true => Ok(()),
                false => Err("it is not a folder".to_owned()),
            }
        }
        RequirementSource::Path {
            install_path, ext, ..
        } => {
            if let DistExtension::Source(kind) = ext {
                known(*kind)?;
            }
            *install_path = inside(install_path, root)?.into_boxed_path();
            match install_path.is_file() {
                true => Ok(()),
                false => Err("it is not a file".to_owned()),
            }
        }
    }
}

/// Refuses archives of kinds that cannot be looked into.
fn known(kind: SourceDistExtension) -> Result<(), String> {
    use LegacySourceDistExtension::{Tar, TarXz, TarZst, Tgz, Txz, Zip};
    use SourceDistExtension::{Legacy, TarGz};
    match kind {
        TarGz | Legacy(Tar | TarXz | TarZst | Tgz | Txz | Zip) => Ok(()),
        Legacy(_) => Err(
            "it is an archive of a kind that cannot be read here; known are .tar.gz, .tar.xz, .tar.zst, .tar and .zip"
                .to_owned(),
        ),
    }
}

/// The real path of a file or folder of the project.
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
    Ok(real)
}
