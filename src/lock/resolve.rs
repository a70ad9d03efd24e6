//! The door of the room: a request becomes a lock.
//!
//! Debian packages and the interpreter first, because its exact version decides about markers of Python packages; then wheels;
//! then which layer each `.deb` belongs to and which paths wheels share.

use std::collections::{BTreeMap, BTreeSet};

use cognix_store::CancellationToken;

use super::debian::{
    self, DebianContext, DebianError, DebianRequest, HttpArchive, IndexCache, Request, SuiteSource,
    Tier, TrustedKeys,
};
use super::exchange::{ExchangeError, Import, Imported, Pins};
use super::layers::{self, BudgetTooSmall, UnknownRule};
use super::platform::{Architecture, Interpreter, Platform};
use super::python::{self, Cutoff, Preference, PythonError, PythonRequest};
use super::shared_paths::{self, Commands, IdleRule, PathConflicts, Sharing};
use super::standalone;
use super::{
    DebGroup, DebianLock, Lock, LockRequest, LockedArchive, LockedDeb, LockedInterpreter,
    LockedWheel, PackageKind, PlatformLock, PythonLock,
};
use crate::mirrors::{Mirrors, MirrorsError};

/// What resolving needs beside the request.
pub struct ResolveContext<'a> {
    /// Where to ask.
    pub mirrors: &'a Mirrors,
    /// What the image's Python implies on each platform of the request, in its order.
    pub platforms: Vec<Platform>,
    /// Python packages uploaded later are left out.
    pub cutoff: Cutoff,
    /// Whether somebody asked for that moment, so that it must hold for every index.
    pub cutoff_is_asked: bool,
    /// Key rings of the Debian archives that are signed with keys of their own, by input.
    pub keys: BTreeMap<String, Vec<Vec<u8>>>,
    /// A lock whose choices are kept where they still fit.
    pub previous: Option<Lock>,
    /// Packages of that lock whose choices are not kept.
    pub update: BTreeSet<(PackageKind, String)>,
    /// A lock of another tool whose versions must hold.
    pub import: Option<Import>,
    /// The lock whose layers stay what they are where they can, whatever versions are chosen.
    pub arranged: Option<Lock>,
    /// Which commands installing makes of a wheel's entry points.
    pub commands: &'a Commands<'a>,
    /// Ends the work early.
    pub cancel: CancellationToken,
}

/// Why no lock can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
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

/// Chooses exact versions of everything that a request asks for.
pub async fn resolve(
    request: &LockRequest,
    context: ResolveContext<'_>,
) -> Result<Resolved, ResolveError> {
    let mut preferences = Preferences::default();
    if let Some(lock) = &context.previous {
        for platform in lock.platforms.values() {
            preferences.add(&platform.python.packages);
        }
    }
    layers::check_rule(&request.recipes.grouping)?;
    let mut contested = BTreeSet::new();
    let moves = |name: &String| context.update.contains(&(PackageKind::Wheel, name.clone()));
    preferences.0.retain(|name, _| !moves(name));
    let mut platforms = BTreeMap::new();
    let (mut imported, mut warnings) = (BTreeMap::new(), BTreeSet::new());
    for platform in &context.platforms {
        let (locked, compared, said) =
            resolve_platform(request, *platform, &preferences, &context, &mut contested).await?;
        warnings.extend(said);
        imported.extend(compared.map(|compared| (platform.architecture, compared)));
        // The next platform takes the same versions where it can.
        preferences.add(&locked.python.packages);
        platforms.insert(platform.architecture, locked);
    }
    shared_paths::check_rules(request, &contested, &platforms)?;
    let lock = Lock {
        request: request.clone(),
        exclude_newer: context.cutoff.to_string(),
        platforms,
    };
    Ok(Resolved {
        lock,
        imported,
        warnings,
    })
}

/// A lock, and what is to be told about how it came to be.
#[derive(Debug)]
pub struct Resolved {
    /// The lock.
    pub lock: Lock,
    /// What came of the imported lock, if there was one.
    pub imported: BTreeMap<Architecture, Imported>,
    /// Things that are allowed and still worth a word: a withdrawn release, an extra that a package does not have.
    pub warnings: BTreeSet<String>,
}

/// Versions to keep if they still fit, one for each package.
#[derive(Debug, Default)]
struct Preferences(BTreeMap<String, String>);

impl Preferences {
    /// Adds the versions of packages that have none yet.
    fn add(&mut self, wheels: &[LockedWheel]) {
        for wheel in wheels {
            self.0
                .entry(wheel.name.clone())
                .or_insert_with(|| wheel.version.clone());
        }
    }

    fn list(&self) -> Vec<Preference> {
        let entries = self.0.iter();
        entries
            .map(|(name, version)| Preference {
                name: name.clone(),
                version: version.clone(),
            })
            .collect()
    }
}

async fn resolve_platform(
    request: &LockRequest,
    platform: Platform,
    preferences: &Preferences,
    context: &ResolveContext<'_>,
    contested: &mut BTreeSet<String>,
) -> Result<(PlatformLock, Option<Imported>, Vec<String>), ResolveError> {
    let interpreter = match platform.interpreter {
        Interpreter::Debian => Some(format!("python{}", platform.python)),
        Interpreter::Standalone => None,
    };
    let roots: Vec<String> = interpreter.iter().cloned().collect();
    let mut debian = match kept_debian(request, platform.architecture, context) {
        Some(kept) => kept,
        None => {
            let chosen = resolve_debian(request, &roots, platform.architecture, context).await?;
            grouped(chosen, request, &roots)
        }
    };
    let interpreter = match interpreter {
        Some(package) => LockedInterpreter::Debian { package },
        None => LockedInterpreter::Standalone(resolve_archive(request, platform, context).await?),
    };
    let python_version = numbers(platform, &interpreter, &debian)?;
    let pins = match &context.import {
        Some(import) => {
            let target =
                python::Target::new(python_version, platform.glibc, platform.architecture)?;
            Some(import.pins(&target.markers)?)
        }
        None => None,
    };
    let mut constraints = request.constraints.clone();
    constraints.extend(pins.iter().flat_map(Pins::constraints));
    let mut python = python::resolve(&PythonRequest {
        requirements: request.requirements.clone(),
        sdk: std::iter::once(&request.sdk)
            .chain(&request.coglet)
            .cloned()
            .collect(),
        constraints,
        prerelease: request.index_options.prerelease,
        project: context.mirrors.project().to_owned(),
        architecture: platform.architecture,
        python: python_version,
        glibc: platform.glibc,
        indexes: context.mirrors.python_indexes()?,
        exclude_newer: Some(context.cutoff),
        cutoff_is_asked: context.cutoff_is_asked,
        preferences: preferences.list(),
        cache_dir: context.mirrors.python_cache(),
        offline: context.mirrors.offline(),
        cancel: context.cancel.clone(),
    })
    .await?;
    let earlier = context.arranged.as_ref();
    let earlier = earlier.and_then(|lock| lock.platforms.get(&platform.architecture));
    let mut shared = shared_paths::shared_paths(&Sharing {
        contents: &python.contents,
        python: platform.python,
        commands: context.commands,
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
            package,
        }
    });
    let mut packages: Vec<LockedWheel> = wheels.collect();
    let imported = pins.map(|pins| pins.compare(&packages)).transpose()?;
    layers::place_requested(&mut debian, request.budget, earlier);
    layers::place_wheels(
        &mut packages,
        &debian,
        &interpreter,
        request.budget,
        earlier,
    )?;
    let locked = PlatformLock {
        python: PythonLock { packages },
        debian,
        interpreter,
    };
    Ok((locked, imported, python.warnings))
}

/// The Debian packages of the previous lock, where nothing that decides about them has changed and none shall move: adding
/// a Python package then moves nothing below it, and asks no archive.
fn kept_debian(
    request: &LockRequest,
    architecture: Architecture,
    context: &ResolveContext<'_>,
) -> Option<DebianLock> {
    let previous = context.previous.as_ref()?;
    let debian = &previous.platforms.get(&architecture)?.debian;
    let moves = |deb: &LockedDeb| {
        context
            .update
            .contains(&(PackageKind::Deb, deb.name.clone()))
    };
    let stays = previous.request.same_system(request) && !debian.packages.iter().any(moves);
    stays.then(|| debian.clone())
}

/// Versions of Debian packages to keep where the archive still has them.
fn kept_versions(
    architecture: Architecture,
    context: &ResolveContext<'_>,
) -> BTreeMap<String, String> {
    let platform = context
        .previous
        .as_ref()
        .and_then(|lock| lock.platforms.get(&architecture));
    let debs = platform
        .into_iter()
        .flat_map(|platform| &platform.debian.packages);
    let stays = |deb: &&LockedDeb| {
        !context
            .update
            .contains(&(PackageKind::Deb, deb.name.clone()))
    };
    debs.filter(stays)
        .map(|deb| (deb.name.clone(), deb.version.clone()))
        .collect()
}

/// The interpreter's archive, with its size where somebody tells it.
async fn resolve_archive(
    request: &LockRequest,
    platform: Platform,
    context: &ResolveContext<'_>,
) -> Result<LockedArchive, ResolveError> {
    let mut archive = standalone::choose(&request.inputs, platform)
        .ok_or_else(|| ResolveError::NoArchive(platform.python.to_string()))?;
    let previous = context.previous.as_ref().and_then(|lock| {
        let locked = lock.platforms.get(&platform.architecture)?;
        locked.interpreter.archive()
    });
    let client = HttpArchive::client().map_err(ResolveError::Client)?;
    let (mirrors, cancel) = (context.mirrors, &context.cancel);
    archive.size = standalone::size(&archive, previous, mirrors, &client, cancel).await;
    Ok(archive)
}

async fn resolve_debian(
    request: &LockRequest,
    interpreter: &[String],
    architecture: Architecture,
    context: &ResolveContext<'_>,
) -> Result<debian::DebianLock, ResolveError> {
    let tier = Tier::of(request.tier);
    let below = tier.packages.iter().copied();
    let named = below
        .chain(request.base.iter().map(String::as_str))
        .chain(interpreter.iter().map(String::as_str))
        .chain(request.system_packages.iter().map(String::as_str))
        .map(str::parse)
        .collect::<Result<Vec<Request>, _>>()?;
    let inputs = request
        .inputs
        .iter()
        .filter(|(_, pin)| pin.kind == "debian");
    let sources = inputs.flat_map(|(name, pin)| {
        pin.suites.iter().map(|suite| SuiteSource {
            input: name.clone(),
            suite: suite.clone(),
            components: pin.components.clone(),
            pinned: pin.releases.get(suite).copied(),
        })
    });
    let wanted = DebianRequest {
        sources: sources.collect(),
        architecture: architecture.debian().to_owned(),
        packages: named,
        include_essential: tier.essential,
        recommends: request.recommends,
        unfollowed: tier.unfollowed.to_vec(),
        keep: kept_versions(architecture, context),
    };
    let own_keys = context.keys.iter();
    let own_keys = own_keys.map(|(input, rings)| Ok((input.clone(), TrustedKeys::of(rings)?)));
    let own_keys = own_keys.collect::<Result<BTreeMap<_, _>, DebianError>>()?;
    let client = HttpArchive::client().map_err(ResolveError::Client)?;
    let archive = HttpArchive::new(client, context.mirrors.debian_sources()?.bases().clone());
    let cache = IndexCache::new(&context.mirrors.cache().join("debian"));
    let debian_context = DebianContext {
        archive: &archive,
        keys: &TrustedKeys::debian(),
        own_keys: &own_keys,
        cache: &cache,
        now: now(),
        offline: context.mirrors.offline(),
    };
    tokio::select! {
        () = context.cancel.cancelled() => Err(DebianError::Interrupted.into()),
        result = debian::resolve(&wanted, &debian_context) => Ok(result?),
    }
}

/// Seconds since 1970. Only the expiry of release files is held against it; nothing of it is recorded.
fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
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

/// The package that a line of the base names, whatever version it asks for.
fn name_of(line: &str) -> &str {
    line.split([':', '=', '/']).next().unwrap_or(line)
}

/// Gives each package the first group whose roots need it.
pub(super) fn grouped(
    debian: debian::DebianLock,
    request: &LockRequest,
    interpreter: &[String],
) -> DebianLock {
    let edges: BTreeMap<&str, &[String]> = debian
        .packages
        .iter()
        .map(|package| (package.name.as_str(), package.depends.as_slice()))
        .collect();
    let base = reachable(
        &edges,
        debian
            .essential
            .iter()
            .map(String::as_str)
            .chain(Tier::of(request.tier).packages.iter().copied())
            .chain(request.base.iter().map(|line| name_of(line))),
    );
    let python = reachable(&edges, interpreter.iter().map(String::as_str));
    let group_of = |name: &str| match name {
        name if base.contains(name) => DebGroup::Base,
        name if python.contains(name) => DebGroup::Python,
        _ => DebGroup::SystemPackages,
    };
    let groups: Vec<DebGroup> = debian
        .packages
        .iter()
        .map(|package| group_of(&package.name))
        .collect();
    let mut bounds = debian.bounds;
    let packages = debian
        .packages
        .into_iter()
        .zip(groups)
        .map(|(package, group)| LockedDeb {
            bounds: bounds.remove(&package.name).unwrap_or_default(),
            package,
            group,
            layer: None,
        });
    DebianLock {
        releases: debian.releases,
        packages: packages.collect(),
    }
}

fn reachable<'a>(
    edges: &BTreeMap<&'a str, &'a [String]>,
    roots: impl IntoIterator<Item = &'a str>,
) -> BTreeSet<&'a str> {
    let mut pending: Vec<&str> = roots.into_iter().collect();
    let mut found = BTreeSet::new();
    while let Some(name) = pending.pop() {
        if let Some(depends) = edges.get(name)
            && found.insert(name)
        {
            pending.extend(depends.iter().map(String::as_str));
        }
    }
    found
}
