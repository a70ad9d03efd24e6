//! A wheel from a source archive, made by its own build backend (PEP 517) in a sandbox.
//!
//! The program is the image's Python with a small driver of ours, [`DRIVER`]. Its root holds the Debian packages that the
//! lock builds with and their configuration, the interpreter, and a virtual environment with the wheels that the lock names
//! for this build; there is no pip and no network. The wheel is then written anew in one form, so that it does not depend
//! on how a backend writes zip files: entries sorted, times 1980, modes 0644 or 0755, `RECORD` sorted. Its bytes are the
//! output, which whoever installs wheels reads as any other.

use std::collections::BTreeMap;

use cognix_derivations::{
    Derivation, DerivationBuilder, DerivationGraph, StorePath, StorePathName,
};
use cognix_store::build::foreign::{ATTRIBUTE, Entry, Plan};

use super::{
    Instantiation, RecipeError, interpreter, json, python_of, python_packages, system_packages,
};
use crate::lock::platform::PythonVersion;
use crate::lock::python::{self, BackendQuestion, SourceBuild};
use crate::lock::{BuildRoom, LockedInterpreter, LockedPlatform, LockedWheel};

/// What is run: it unpacks the archive, calls the backend and writes the output.
const DRIVER: &str = include_str!("driver.py");

/// What the sandbox has besides the attributes of the derivation.
const ENVIRONMENT: [(&str, &str); 8] = [
    ("CARGO_NET_OFFLINE", "true"),
    ("LANG", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
    (
        "PATH",
        "/venv/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    ),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    // The order of sets ends up in files that backends write.
    ("PYTHONHASHSEED", "0"),
    ("PYTHONNOUSERSITE", "1"),
    ("SOURCE_DATE_EPOCH", "315532800"),
];

/// The name by which a built wheel says of which package and version it is. The real one, with its tags, is known when it
/// is built.
pub fn wheel_name(source: &python::LockedWheel) -> String {
    let name = source.name.replace('-', "_");
    format!("{name}-{}-source-none-any.whl", source.version)
}

/// Adds the build of a package's wheel, which is the derivation's `out`.
pub(super) fn wheel(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    source: &LockedWheel,
    python: PythonVersion,
) -> Result<StorePath, RecipeError> {
    let missing = || RecipeError::Build(source.name.clone());
    let room = lock.build_room(python).ok_or_else(missing)?;
    let build = source.build.as_ref().ok_or_else(missing)?;
    let name = file_name(source);
    let derivation = derivation(builder, room, &name, source, build)?;
    builder.add(&source.name, derivation.env("mode", "wheel").build())
}

/// The tree of a package that something is built with and that is built itself.
fn built_tree(
    builder: &mut Instantiation,
    room: BuildRoom<'_>,
    source: &python::LockedWheel,
    build: &SourceBuild,
) -> Result<StorePath, RecipeError> {
    let name = file_name(source);
    let derivation = derivation(builder, room, &name, source, build)?;
    let wheel = builder.add(&source.name, derivation.env("mode", "wheel").build())?;
    python_packages::built_tool_tree(builder, source, wheel, room.python)
}

/// The name of the file that a build makes.
fn file_name(source: &python::LockedWheel) -> String {
    format!("{}-{}.whl", source.name, source.version.replace('!', "_"))
}

/// The derivations that build the packages of a lock that come as source, by package.
pub fn source_builds(
    lock: LockedPlatform<'_>,
) -> Result<(DerivationGraph, BTreeMap<String, StorePath>), RecipeError> {
    let mut builder = Instantiation::default();
    let mut builds = BTreeMap::new();
    for package in &lock.python.packages {
        if package.build.is_some() {
            let build = wheel(&mut builder, lock, package, python_of(lock)?)?;
            builds.insert(package.name.clone(), build);
        }
    }
    Ok((builder.graph, builds))
}

/// The derivation whose `out` is what a build backend answers, as JSON.
pub fn ask_backend(
    room: BuildRoom<'_>,
    question: &BackendQuestion<'_>,
) -> Result<(DerivationGraph, StorePath), RecipeError> {
    let mut builder = Instantiation::default();
    let source = question.source;
    let name = format!(
        "{}-{}-build.json",
        source.name,
        source.version.replace('!', "_")
    );
    let flag = |set: bool| if set { "1" } else { "" };
    let derivation = derivation(&mut builder, room, &name, source, question.build)?
        .env("complete", flag(question.complete))
        .env("metadata", flag(question.metadata))
        .env("mode", "ask");
    let path = builder.add(&source.name, derivation.build())?;
    Ok((builder.graph, path))
}

/// A derivation that runs the driver on a source archive.
fn derivation(
    builder: &mut Instantiation,
    room: BuildRoom<'_>,
    name: &str,
    source: &python::LockedWheel,
    build: &SourceBuild,
) -> Result<DerivationBuilder, RecipeError> {
    let archive = python_packages::fetch_file(builder, source)?;
    let trees = trees(builder, room, build)?;
    let plan = Plan {
        root: trees
            .iter()
            .map(|(derivation, control)| Entry::Tree {
                tree: builder.reference(derivation, "out"),
                control: control.then(|| builder.reference(derivation, "control")),
            })
            .collect(),
        ..Plan::default()
    };
    let python = format!("/venv/bin/python{}", room.python);
    let mut derivation = Derivation::builder(StorePathName::sanitized(name).as_str())
        .floating_output("out")
        .system(&format!("{}-linux", room.architecture.machine()))
        .builder(&python)
        .arg("-c")
        .arg(DRIVER)
        .env("archive", builder.reference(&archive, "out"))
        .env("backend", build.backend.as_str())
        .env("backendPath", json(&build.backend_path))
        .env("filename", source.filename.as_str())
        .env(ATTRIBUTE, plan.to_json())
        .input_derivation(&archive, "out");
    if let python::WheelOrigin::Git(address) = &source.origin {
        let folder = address.subdirectory.as_deref().unwrap_or_default();
        let revision = build.revision.clone().unwrap_or_default();
        derivation = derivation
            .env("commit", address.commit.as_str())
            .env("commitDate", revision.date.unwrap_or_default())
            .env("describe", revision.describe.unwrap_or_default())
            .env("subdirectory", folder);
    }
    for (key, value) in ENVIRONMENT {
        derivation = derivation.env(key, value);
    }
    for (tree, control) in &trees {
        derivation = derivation.input_derivation(tree, "out");
        if *control {
            derivation = derivation.input_derivation(tree, "control");
        }
    }
    Ok(derivation)
}

/// The trees of a build's root, bottom to top, and whether each has modes of its own.
fn trees(
    builder: &mut Instantiation,
    room: BuildRoom<'_>,
    build: &SourceBuild,
) -> Result<Vec<(StorePath, bool)>, RecipeError> {
    let debs = system_packages::debs(builder, room.debian)?;
    let mut trees: Vec<_> = debs
        .iter()
        .map(|deb| (deb.unpacked.clone(), true))
        .collect();
    let configuration = system_packages::system_configuration(builder, &debs, &[])?;
    trees.push((configuration, true));
    if let LockedInterpreter::Standalone(archive) = room.interpreter {
        let (_, interpreter) = interpreter::unpacked(builder, archive, room.python)?;
        trees.push((interpreter, true));
    }
    let frame = python_packages::environment(builder, room.interpreter, room.python)?;
    trees.push((frame, false));
    // By name, so that the order says nothing else.
    let wheels: BTreeMap<&str, _> = build
        .requires
        .iter()
        .map(|wheel| (wheel.name.as_str(), wheel))
        .collect();
    for wheel in wheels.into_values() {
        let tree = match build.builds.get(&wheel.name) {
            Some(own) => built_tree(builder, room, wheel, own)?,
            None => python_packages::tool_tree(builder, wheel, room.python)?,
        };
        trees.push((tree, false));
    }
    Ok(trees)
}
