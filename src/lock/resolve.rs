//! The door of the room: requests become a lock.
//!
//! One request for each variant of a model. The first is answered freely, the others take its choices where they fit, so
//! that images do not drift apart. For each, Debian packages and the interpreter first, because its exact version decides about markers of Python packages; then wheels;
//! then which layer each `.deb` belongs to and which paths wheels share.

use std::collections::{BTreeMap, BTreeSet};

use cognix_store::CancellationToken;

use super::debian::{self, DebianError, HttpArchive};
use super::exchange::{ExchangeError, Import, Imported, Pins};
use super::inputs::{self, InputError, LockedInputs, WantedInput};
use super::layers::{self, BudgetTooSmall, UnknownRule};
use super::platform::{Architecture, Interpreter, Platform};
use super::preferences::Preferences;
use super::python::{self, Cutoff, PythonError, PythonRequest};
use super::request::override_of;
use super::shared_paths::{self, Commands, IdleRule, PathConflicts, Sharing};
use super::sources::{self, Rooms, Sandbox};
use super::standalone;
use super::system;
use super::{
    DebianLock, Lock, LockRequest, LockedArchive, LockedInterpreter, LockedWheel, PackageKind,
    PlatformLock, PythonLock, VariantLock,
};
use crate::mirrors::{Mirrors, MirrorsError};

/// What is asked for one variant, and of whom.
pub struct Question<'a> {
    /// The variant.
    pub variant: String,
    /// What is asked.
    pub request: LockRequest,
    /// Where to ask.
    pub mirrors: &'a Mirrors,
    /// What the image's Python implies on each platform of the request, in its order.
    pub platforms: Vec<Platform>,
    /// How many layers the image has besides those that the lock tells of: commands, extra packages.
    pub further_layers: usize,
    /// Key rings of the Debian archives that are signed with keys of their own, by input.
    pub keys: BTreeMap<String, Vec<Vec<u8>>>,
    /// A lock of another tool whose versions must hold.
    pub import: Option<Import>,
    /// Who runs the build backends of sources; nobody where none can be built.
    pub sandbox: Option<Box<dyn Sandbox + 'a>>,
    /// Which commands installing makes of a wheel's entry points.
    pub commands: Box<Commands<'a>>,
}

/// What resolving needs beside the questions.
pub struct ResolveContext {
    /// Python packages uploaded later are left out.
    pub cutoff: Cutoff,
    /// Whether somebody asked for that moment, so that it must hold for every index.
    pub cutoff_is_asked: bool,
    /// A lock whose choices are kept where they still fit.
    pub previous: Option<Lock>,
    /// Packages of that lock whose choices are not kept.
    pub update: BTreeSet<(PackageKind, String)>,
    /// Inputs that are no package sources.
    pub inputs: BTreeMap<String, WantedInput>,
    /// Those of them that are asked for again, whatever that lock says.
    pub update_inputs: BTreeSet<String>,
    /// The lock whose layers stay what they are where they can, whatever versions are chosen.
    pub arranged: Option<Lock>,
    /// Ends the work early.
    pub cancel: CancellationToken,
}

/// Why no lock can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// One of several variants cannot be locked.
    #[error("images.{variant} cannot be locked")]
    Variant {
        /// The variant.
        variant: String,
        /// Why.
        source: Box<Self>,
    },
    /// It is not known where a package source is.
    #[error(transparent)]
    Mirrors(#[from] MirrorsError),
    /// Debian packages.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// No connection can be set up; most likely SSL_CERT_FILE, SSL_CERT_DIR or a proxy variable is wrong.
    #[error("cannot set up the connection to the Debian archive")]
    Client(#[source] debian::ArchiveError),
    /// Python packages.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// Two wheels that cannot stand in one image.
    #[error(transparent)]
    Conflict(#[from] PathConflicts),
    /// A setting that does nothing.
    #[error(transparent)]
    IdleRule(#[from] IdleRule),
    /// Nobody knows how packages are to share layers.
    #[error(transparent)]
    Grouping(#[from] UnknownRule),
    /// There are more packages than layers can hold.
    #[error(transparent)]
    Budget(#[from] BudgetTooSmall),
    /// The lock of another tool cannot be used.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// An input of the spec.
    #[error(transparent)]
    Input(#[from] InputError),
    /// No interpreter is known for this version.
    #[error("no interpreter is known for Python {0}")]
    NoArchive(String),
    /// The interpreter's package has a version that says no Python version.
    #[error("{package} has the version {version}, which does not begin like 3.11.2")]
    Interpreter {
        /// The package.
        package: String,
        /// Its version.
        version: String,
    },
}

/// Chooses exact versions of everything that is asked for; the first question is answered first.
pub async fn resolve(
    questions: &[Question<'_>],
    context: ResolveContext,
) -> Result<Resolved, ResolveError> {
    let mut resolved = Resolved {
        lock: Lock {
            exclude_newer: context.cutoff.to_string(),
            inputs: lock_inputs(questions, &context).await?,
            variants: BTreeMap::new(),
        },
        imported: BTreeMap::new(),
        warnings: BTreeSet::new(),
    };
    let mut answered: Vec<VariantLock> = Vec::new();
    for question in questions {
        let answering = Answering {
            question,
            context: &context,
            previous: part(context.previous.as_ref(), question),
            arranged: part(context.arranged.as_ref(), question),
            answered: &answered,
        };
        let variant = &question.variant;
        let answer = answering.resolve(&mut resolved).await;
        let answer = answer.map_err(|source| match questions.len() {
            1 => source,
            _ => ResolveError::Variant {
                variant: variant.clone(),
                source: Box::new(source),
            },
        })?;
        answered.push(answer);
    }
    let names = questions.iter().map(|question| question.variant.clone());
    resolved.lock.variants = names.zip(answered).collect();
    Ok(resolved)
}

async fn lock_inputs(
    questions: &[Question<'_>],
    context: &ResolveContext,
) -> Result<LockedInputs, ResolveError> {
    let asking = inputs::Asking {
        previous: context.previous.as_ref().map(|lock| &lock.inputs),
        update: &context.update_inputs,
        offline: questions.iter().any(|question| question.mirrors.offline()),
        cancel: &context.cancel,
    };
    Ok(inputs::lock(&context.inputs, &asking).await?)
}

fn part<'l>(lock: Option<&'l Lock>, question: &Question<'_>) -> Option<&'l VariantLock> {
    lock.and_then(|lock| lock.variant(&question.variant))
}

/// A lock, and what is to be told about how it came to be.
#[derive(Debug)]
pub struct Resolved {
    /// The lock.
    pub lock: Lock,
    /// What came of the imported lock, if there was one, by variant and platform.
    pub imported: BTreeMap<(String, Architecture), Imported>,
    /// Things that are allowed and still worth a word: a withdrawn release, an extra that a package does not have.
    pub warnings: BTreeSet<String>,
}

/// One question while it is answered.
#[derive(Clone, Copy)]
pub(super) struct Answering<'a> {
    pub(super) question: &'a Question<'a>,
    pub(super) context: &'a ResolveContext,
    /// The variant's part of the lock whose choices are kept.
    pub(super) previous: Option<&'a VariantLock>,
    /// The variant's part of the lock whose layers stay what they are.
    arranged: Option<&'a VariantLock>,
    /// The answers to the questions before this one, in their order.
    pub(super) answered: &'a [VariantLock],
}

impl Answering<'_> {
    async fn resolve(&self, resolved: &mut Resolved) -> Result<VariantLock, ResolveError> {
        let request = &self.question.request;
        let mut preferences = Preferences::default();
        for platform in self
            .previous
            .iter()
            .flat_map(|lock| lock.platforms.values())
        {
            preferences.add(&platform.python.packages);
        }
        layers::check_rule(&request.recipes.grouping)?;
        let mut contested = BTreeSet::new();
        preferences.retain(|name| !self.moves(PackageKind::Wheel, name));
        // What other variants have, where this one had nothing.
        for platform in self
            .answered
            .iter()
            .flat_map(|lock| lock.platforms.values())
        {
            preferences.add(&platform.python.packages);
        }
        let mut platforms = BTreeMap::new();
        for platform in &self.question.platforms {
            let (locked, compared, said) =
                resolve_platform(self, *platform, &preferences, &mut contested).await?;
            resolved.warnings.extend(said);
            let place = (self.question.variant.clone(), platform.architecture);
            let compared = compared.map(|compared| (place, compared));
            resolved.imported.extend(compared);
            // The next platform takes the same versions where it can.
            preferences.add(&locked.python.packages);
            platforms.insert(platform.architecture, locked);
        }
        shared_paths::check_rules(request, &contested, &platforms)?;
        let request = request.clone();
        Ok(VariantLock {
            request,
            platforms,
            runs: BTreeMap::new(),
        })
    }

    /// Whether the choice of a package is not kept.
    pub(super) fn moves(&self, kind: PackageKind, name: &str) -> bool {
        self.context.update.contains(&(kind, name.to_owned()))
    }

    /// The variant's platform in the previous lock.
    pub(super) fn previous(&self, architecture: Architecture) -> Option<&PlatformLock> {
        self.previous?.platforms.get(&architecture)
    }

    /// The platform whose layers stay what they are; a variant that is new takes after the first of the others.
    fn arranged(&self, architecture: Architecture) -> Option<&PlatformLock> {
        let arranged = self.arranged.or(self.answered.first());
        arranged?.platforms.get(&architecture)
    }
}

async fn resolve_platform(
    answering: &Answering<'_>,
    platform: Platform,
    preferences: &Preferences,
    contested: &mut BTreeSet<String>,
) -> Result<(PlatformLock, Option<Imported>, Vec<String>), ResolveError> {
    let Answering {
        question, context, ..
    } = *answering;
    let request = &question.request;
    let interpreter = match platform.interpreter {
        Interpreter::Debian => Some(format!("python{}", platform.python)),
        Interpreter::Standalone => None,
    };
    let roots: Vec<String> = interpreter.iter().cloned().collect();
    let mut debian = match system::kept(answering, platform.architecture) {
        Some(kept) => kept,
        None => {
            let chosen = system::resolve(answering, &roots, platform.architecture).await?;
            system::grouped(chosen, request, &roots)
        }
    };
    let interpreter = match interpreter {
        Some(package) => LockedInterpreter::Debian { package },
        None => LockedInterpreter::Standalone(resolve_archive(answering, platform).await?),
    };
    let python_version = numbers(platform, &interpreter, &debian)?;
    let pins = match &question.import {
        Some(import) => {
            let target =
                python::Target::new(python_version, platform.glibc, platform.architecture)?;
            let pinned = request.overrides.iter().map(|line| override_of(line).0);
            Some(import.pins(&target.markers)?.without(&pinned.collect()))
        }
        None => None,
    };
    let mut constraints = request.constraints.clone();
    constraints.extend(pins.iter().flat_map(Pins::constraints));
    // A pin to an address names a package that nothing else may ask for.
    let added = request.overrides.iter().filter(|line| line.contains(" @ "));
    let rooms = Rooms::new(answering, platform, &interpreter, &debian);
    let asked = PythonRequest {
        requirements: request.requirements.iter().chain(added).cloned().collect(),
        overrides: request.overrides.clone(),
        sdk: std::iter::once(&request.sdk)
            .chain(&request.coglet)
            .cloned()
            .collect(),
        constraints,
        prerelease: request.index_options.prerelease,
        project: question.mirrors.project().to_owned(),
        architecture: platform.architecture,
        python: python_version,
        glibc: platform.glibc,
        indexes: question.mirrors.python_indexes()?,
        exclude_newer: Some(context.cutoff),
        cutoff_is_asked: context.cutoff_is_asked,
        no_binary: request.no_binary.clone(),
        preferences: preferences.list(),
        build_preferences: sources::preferences(answering, platform.architecture),
        commits: preferences.commits(),
        cache_dir: question.mirrors.python_cache(),
        offline: question.mirrors.offline(),
        cancel: context.cancel.clone(),
    };
    let mut python = python::resolve(&asked, &rooms).await?;
    let earlier = answering.arranged(platform.architecture);
    let mut shared = shared_paths::shared_paths(&Sharing {
        contents: &python.contents,
        built: &python.builds.keys().map(String::as_str).collect(),
        python: platform.python,
        commands: &*question.commands,
        rules: &request.conflicts,
        earlier,
    })?;
    contested.append(&mut shared.contested);
    let wheels = python.wheels.into_iter().map(|package| {
        let omit = shared.omitted.remove(&package.name).unwrap_or_default();
        let bounds = python.bounds.remove(&package.name).unwrap_or_default();
        LockedWheel {
            waived: request.waivers.contains(&package.sha256),
            layer: None,
            omit: omit.into_iter().collect(),
            bounds,
            build: python.builds.remove(&package.name),
            package,
        }
    });
    let mut packages: Vec<LockedWheel> = wheels.collect();
    let build = rooms.chosen(&packages).await?;
    let imported = pins.map(|pins| pins.compare(&packages)).transpose()?;
    layers::place_requested(&mut debian, request.budget, earlier);
    let others = layers::others(&interpreter, request.bytecode, question.further_layers);
    layers::place_wheels(&mut packages, &debian, others, request.budget, earlier)?;
    let locked = PlatformLock {
        python: PythonLock { packages },
        build,
        debian,
        interpreter,
    };
    Ok((locked, imported, python.warnings))
}

/// The interpreter's archive, with its size where somebody tells it.
async fn resolve_archive(
    answering: &Answering<'_>,
    platform: Platform,
) -> Result<LockedArchive, ResolveError> {
    let Answering {
        question, context, ..
    } = *answering;
    let mut archive = standalone::choose(&question.request.inputs, platform)
        .ok_or_else(|| ResolveError::NoArchive(platform.python.to_string()))?;
    let previous = answering.previous(platform.architecture);
    let previous = previous.and_then(|locked| locked.interpreter.archive());
    let client = HttpArchive::client().map_err(ResolveError::Client)?;
    let (mirrors, cancel) = (question.mirrors, &context.cancel);
    archive.size = standalone::size(&archive, previous, mirrors, &client, cancel).await;
    Ok(archive)
}

/// The exact Python of a locked platform.
pub(super) fn python_version(
    locked: &PlatformLock,
    platform: Platform,
) -> Result<(u8, u8, u8), ResolveError> {
    numbers(platform, &locked.interpreter, &locked.debian)
}

fn numbers(
    platform: Platform,
    interpreter: &LockedInterpreter,
    debian: &DebianLock,
) -> Result<(u8, u8, u8), ResolveError> {
    let patch = match interpreter {
        LockedInterpreter::Debian { package } => patch_version(debian, package)?,
        LockedInterpreter::Standalone(archive) => patch_of(&archive.version, archive.file_name())?,
    };
    Ok((platform.python.major, platform.python.minor, patch))
}

/// The third number of the interpreter's version: `3.11.2-6+deb12u8` has 2.
fn patch_version(debian: &DebianLock, interpreter: &str) -> Result<u8, ResolveError> {
    let package = debian
        .packages
        .iter()
        .find(|package| package.name == interpreter);
    let version = package.map_or("", |package| package.version.as_str());
    patch_of(version, interpreter)
}

/// The third number of an interpreter's version.
fn patch_of(version: &str, interpreter: &str) -> Result<u8, ResolveError> {
    let digits = version.split('.').nth(2).map(|rest| {
        rest.split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or("")
    });
    let patch = digits.and_then(|digits| digits.parse().ok());
    patch.ok_or_else(|| ResolveError::Interpreter {
        package: interpreter.to_owned(),
        version: version.to_owned(),
    })
}
