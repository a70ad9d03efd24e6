//! The Debian packages of an image while a lock is made: kept where nothing has changed, else chosen, and the part of the
//! system that each belongs to.

use std::collections::{BTreeMap, BTreeSet};

use super::debian::{
    self, DebianContext, DebianError, DebianRequest, HttpArchive, IndexCache, Request, SuiteSource,
    Tier, TrustedKeys,
};
use super::platform::Architecture;
use super::resolve::{Answering, ResolveError};
use super::{DebGroup, DebianLock, LockRequest, LockedDeb, PackageKind, VariantLock};

/// The Debian packages of the previous lock, where nothing that decides about them has changed and none shall move: adding
/// a Python package then moves nothing below it, and asks no archive. Else those of another variant that asks the same.
pub(super) fn kept(answering: &Answering<'_>, architecture: Architecture) -> Option<DebianLock> {
    let request = &answering.question.request;
    let same = |lock: &&VariantLock| {
        lock.request.same_system(request) && lock.platforms.contains_key(&architecture)
    };
    let packages = |lock: &VariantLock| lock.platforms[&architecture].debian.clone();
    let previous = answering.previous.filter(same).map(packages);
    let stays = |debian: &DebianLock| {
        let mut debs = debian.packages.iter();
        !debs.any(|deb| answering.moves(PackageKind::Deb, &deb.name))
    };
    previous
        .filter(stays)
        .or_else(|| answering.answered.iter().find(same).map(packages))
}

/// Versions of Debian packages to keep where the archive still has them: those of the previous lock, then those of other
/// variants.
fn kept_versions(
    answering: &Answering<'_>,
    architecture: Architecture,
) -> BTreeMap<String, String> {
    let versions = |debian: &DebianLock| -> BTreeMap<String, String> {
        let debs = debian.packages.iter();
        debs.map(|deb| (deb.name.clone(), deb.version.clone()))
            .collect()
    };
    let mut kept = answering
        .previous(architecture)
        .map(|platform| versions(&platform.debian))
        .unwrap_or_default();
    kept.retain(|name, _| !answering.moves(PackageKind::Deb, name));
    for other in answering.answered {
        // Versions of another release would only be in the way.
        if other.request.python == answering.question.request.python
            && let Some(platform) = other.platforms.get(&architecture)
        {
            for (name, version) in versions(&platform.debian) {
                kept.entry(name).or_insert(version);
            }
        }
    }
    kept
}

/// The Debian packages that the previous lock builds with, where the same are asked for and none shall move.
pub(super) fn kept_build(
    answering: &Answering<'_>,
    packages: &[String],
    architecture: Architecture,
) -> Option<DebianLock> {
    let request = &answering.question.request;
    let same = |lock: &&VariantLock| {
        let build = &lock.request.build_packages;
        lock.request.same_system(request) && *build == request.build_packages
    };
    let mut locks = answering.previous.iter().copied().chain(answering.answered);
    locks.find_map(|lock| {
        let build = Some(lock).filter(same)?.platforms.get(&architecture)?;
        let build = build.build.as_ref()?;
        let has = |line: &String| {
            let mut debs = build.packages.iter();
            debs.any(|deb| deb.name == name_of(line))
        };
        let mut debs = build.packages.iter();
        let moves = debs.any(|deb| answering.moves(PackageKind::Deb, &deb.name));
        (!moves && packages.iter().all(has)).then(|| build.clone())
    })
}

/// Chooses the Debian packages that sources are built with; versions are those of the image where it has them too.
pub(super) async fn resolve_build(
    answering: &Answering<'_>,
    packages: &[String],
    image: &DebianLock,
    architecture: Architecture,
) -> Result<DebianLock, ResolveError> {
    let debs = image.packages.iter();
    let keep = debs.map(|deb| (deb.name.clone(), deb.version.clone()));
    let chosen = answer(
        answering,
        architecture,
        |request| DebianRequest {
            packages: request,
            include_essential: true,
            recommends: false,
            unfollowed: Vec::new(),
            keep: keep.collect(),
            sources: Vec::new(),
            architecture: String::new(),
        },
        packages.iter().map(String::as_str),
    )
    .await?;
    let mut bounds = chosen.bounds;
    let packages = chosen.packages.into_iter().map(|package| LockedDeb {
        bounds: bounds.remove(&package.name).unwrap_or_default(),
        package,
        group: DebGroup::Base,
        layer: None,
    });
    Ok(DebianLock {
        releases: chosen.releases,
        packages: packages.collect(),
    })
}

/// Chooses Debian packages anew.
pub(super) async fn resolve(
    answering: &Answering<'_>,
    interpreter: &[String],
    architecture: Architecture,
) -> Result<debian::DebianLock, ResolveError> {
    let request = &answering.question.request;
    let tier = Tier::of(request.tier);
    let below = tier.packages.iter().copied();
    let named = below
        .chain(request.base.iter().map(String::as_str))
        .chain(interpreter.iter().map(String::as_str))
        .chain(request.system_packages.iter().map(String::as_str));
    let wanted = |packages| DebianRequest {
        packages,
        include_essential: tier.essential,
        recommends: request.recommends,
        unfollowed: tier.unfollowed.to_vec(),
        keep: kept_versions(answering, architecture),
        sources: Vec::new(),
        architecture: String::new(),
    };
    answer(answering, architecture, wanted, named).await
}

/// Asks the archives of a request for what `wanted` says of the named packages.
async fn answer<'n>(
    answering: &Answering<'_>,
    architecture: Architecture,
    wanted: impl FnOnce(Vec<Request>) -> DebianRequest,
    named: impl Iterator<Item = &'n str>,
) -> Result<debian::DebianLock, ResolveError> {
    let Answering {
        question, context, ..
    } = *answering;
    let request = &question.request;
    let named = named.map(str::parse).collect::<Result<Vec<Request>, _>>()?;
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
        ..wanted(named)
    };
    let own_keys = question.keys.iter();
    let own_keys = own_keys.map(|(input, rings)| Ok((input.clone(), TrustedKeys::of(rings)?)));
    let own_keys = own_keys.collect::<Result<BTreeMap<_, _>, DebianError>>()?;
    let client = HttpArchive::client().map_err(ResolveError::Client)?;
    let archive = HttpArchive::new(client, question.mirrors.debian_sources()?.bases().clone());
    let cache = IndexCache::new(&question.mirrors.cache().join("debian"));
    let debian_context = DebianContext {
        archive: &archive,
        keys: &TrustedKeys::debian(),
        own_keys: &own_keys,
        cache: &cache,
        now: now(),
        offline: question.mirrors.offline(),
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
