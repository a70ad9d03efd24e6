//! Finds out what the resolver wants to know about one source archive.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use uv_normalize::PackageName;
use uv_pep440::Version;
use uv_pypi_types::{PyProjectToml, ResolutionMetadata};

use super::archive::{About, SourceContents};
use super::{BackendQuestion, Backends, SourceBuild, SourceFacts, SourceFile, build_system, fetch};
use crate::lock::python::chosen::Place;
use crate::lock::python::{
    LockedWheel, PythonError, PythonRequest, WheelOrigin, on_own_thread, resolve_for, solve,
};

/// Learns all there is to know. Asks the backend, which may take its time.
pub(in crate::lock::python) async fn learn(
    request: &PythonRequest,
    source: SourceFile,
    backends: &dyn Backends,
    chain: &[String],
) -> Result<SourceFacts, PythonError> {
    let Looked {
        contents,
        origin,
        warnings,
    } = look_into(request, &source).await?;
    let filename = match &origin {
        WheelOrigin::Git(address) => address.file_name(),
        _ => source.filename.clone(),
    };
    let repository = match &source.place {
        Place::Repository(asked) => Some(asked.clone()),
        _ => None,
    };
    let bad = |reason: String| PythonError::BadSource {
        filename: filename.clone(),
        reason,
    };
    let system = build_system::read(contents.about.pyproject.as_deref()).map_err(bad)?;
    let known = static_metadata(&contents.about, &source);
    let place = (filename.clone(), origin.clone());
    let locked = locked(&source, &contents, known.as_ref(), place);
    let revision = async |requires: &[LockedWheel]| match (&repository, &origin) {
        (Some(asked), WheelOrigin::Git(address)) => {
            let revision = asked.revision(request, &address.commit, requires).await;
            revision.map(Some)
        }
        _ => Ok(None),
    };
    let tools =
        async |lines: &[String]| build_requirements(request, &source, lines, backends, chain).await;
    let (requires, builds) = tools(&system.requires).await?;
    let mut build = SourceBuild {
        backend: system.backend,
        backend_path: system.backend_path,
        requires,
        builds,
        reason: source.reason,
        revision: None,
    };
    build.revision = revision(&build.requires).await?;
    let ask = async |build: &SourceBuild, complete: bool| {
        let question = BackendQuestion {
            source: &locked,
            build,
            metadata: known.is_none(),
            complete,
        };
        let answer = backends.ask(&question).await;
        answer.map_err(|error| PythonError::Backend {
            package: locked.name.clone(),
            filename: locked.filename.clone(),
            backend: build.backend.clone(),
            source: error,
        })
    };
    let mut answer = ask(&build, false).await?;
    if !answer.requires.is_empty() {
        let all: BTreeSet<String> = system.requires.into_iter().chain(answer.requires).collect();
        let all: Vec<String> = all.into_iter().collect();
        (build.requires, build.builds) = tools(&all).await?;
        build.revision = revision(&build.requires).await?;
        if known.is_none() {
            answer = ask(&build, true).await?;
        }
    }
    let (metadata, spelling) = match (known, answer.metadata) {
        (Some(known), _) => known,
        (None, Some(text)) => {
            let metadata = ResolutionMetadata::parse_metadata(text.as_bytes())
                .map_err(|error| bad(format!("its backend made unusable metadata: {error}")))?;
            (metadata, spelled(&text))
        }
        (None, None) => return Err(bad("its backend made no metadata".to_owned())),
    };
    check(&metadata, &source).map_err(bad)?;
    Ok(SourceFacts {
        filename,
        origin,
        repository,
        sha256: contents.sha256,
        size: contents.size,
        spelling,
        metadata,
        build,
        warnings,
    })
}

/// What a source says about itself, and where it comes from.
struct Looked {
    contents: SourceContents,
    origin: WheelOrigin,
    warnings: Vec<String>,
}

async fn look_into(request: &PythonRequest, source: &SourceFile) -> Result<Looked, PythonError> {
    if let Place::Repository(asked) = &source.place {
        let looked = asked.look_into(request).await?;
        let pointer = looked.pointer.map(|path| {
            format!(
                "the repository of {} keeps files in Git LFS, which are not fetched: {path} stays a pointer, and others perhaps",
                source.name
            )
        });
        return Ok(Looked {
            contents: looked.contents,
            origin: WheelOrigin::Git(looked.address),
            warnings: pointer.into_iter().collect(),
        });
    }
    let contents = look_into_archive(request, source).await?;
    let origin = source
        .origin
        .clone()
        .ok_or_else(|| PythonError::Internal(format!("{} comes from nowhere", source.filename)))?;
    Ok(Looked {
        contents,
        origin,
        warnings: Vec::new(),
    })
}

async fn look_into_archive(
    request: &PythonRequest,
    source: &SourceFile,
) -> Result<SourceContents, PythonError> {
    let (request, source) = (request.clone(), source.clone());
    on_own_thread(request.cancel.clone(), async move || {
        let connection = solve::connect(&request, &request.indexes, &BTreeSet::new()).await?;
        fetch::contents(&connection, &source, &request.cache_dir).await
    })
    .await
}

/// The archive as a lock has it, as far as it is known.
fn locked(
    source: &SourceFile,
    contents: &SourceContents,
    known: Option<&(ResolutionMetadata, String)>,
    (filename, origin): (String, WheelOrigin),
) -> LockedWheel {
    let version = known.map(|(metadata, _)| metadata.version.to_string());
    LockedWheel {
        name: source.name.clone(),
        spelling: None,
        version: version
            .or_else(|| source.version.clone())
            .unwrap_or_else(|| "0".to_owned()),
        filename,
        sha256: contents.sha256,
        size: contents.size,
        requires: Vec::new(),
        origin,
        yanked: source.yanked,
    }
}

/// What the archive says and promises not to change when it is built.
fn static_metadata(about: &About, source: &SourceFile) -> Option<(ResolutionMetadata, String)> {
    let pkg_info = about.pkg_info.as_ref();
    let of_pkg_info = pkg_info.and_then(|text| {
        let metadata = ResolutionMetadata::parse_pkg_info(text.as_bytes()).ok()?;
        // A version that may change is fixed by the file's name where an index has it.
        (!metadata.dynamic || source.version.is_some()).then(|| (metadata, spelled(text)))
    });
    of_pkg_info.or_else(|| {
        let text = about.pyproject.as_ref()?;
        let document = PyProjectToml::from_toml(text, "pyproject.toml").ok()?;
        let version = version_of(source);
        let metadata = ResolutionMetadata::parse_pyproject_toml(document, version.as_ref()).ok()?;
        let spelling = metadata.name.to_string();
        Some((metadata, spelling))
    })
}

/// The version that the file's name says.
fn version_of(source: &SourceFile) -> Option<Version> {
    source.version.as_ref()?.parse().ok()
}

/// The name in the headers of metadata.
fn spelled(text: &str) -> String {
    let headers = text.lines().take_while(|line| !line.is_empty());
    let mut names = headers.filter_map(|line| line.strip_prefix("Name:"));
    names.next().unwrap_or_default().trim().to_owned()
}

/// Refuses metadata of another package or version than the file's name says.
fn check(metadata: &ResolutionMetadata, source: &SourceFile) -> Result<(), String> {
    let name = PackageName::from_str(&source.name).map_err(|error| error.to_string())?;
    if metadata.name != name {
        return Err(format!(
            "it is the source of {}, expected {name}",
            metadata.name
        ));
    }
    match version_of(source) {
        Some(version) if metadata.version != version => Err(format!(
            "it is version {}, expected {version}",
            metadata.version
        )),
        _ => Ok(()),
    }
}

/// What a build needs, and what this needs, with how those of it are built that are sources.
async fn build_requirements(
    request: &PythonRequest,
    source: &SourceFile,
    lines: &[String],
    backends: &dyn Backends,
    chain: &[String],
) -> Result<(Vec<LockedWheel>, BTreeMap<String, SourceBuild>), PythonError> {
    let asked = PythonRequest {
        requirements: lines.to_vec(),
        sdk: Vec::new(),
        constraints: Vec::new(),
        overrides: Vec::new(),
        prerelease: false,
        no_binary: Vec::new(),
        preferences: request.build_preferences.clone(),
        ..request.clone()
    };
    let mut chain = chain.to_vec();
    chain.push(source.name.clone());
    let locked = resolve_for(&asked, backends, &chain).await;
    let mut lock = locked.map_err(|error| match error {
        PythonError::Cancelled => PythonError::Cancelled,
        error => PythonError::BuildRequirements {
            package: source.name.clone(),
            filename: source.filename.clone(),
            source: Box::new(error),
        },
    })?;
    // All of them are there; who of them needs whom decides nothing.
    let wheels = lock.wheels.iter_mut();
    wheels.for_each(|wheel| wheel.requires.clear());
    Ok((lock.wheels, lock.builds))
}
