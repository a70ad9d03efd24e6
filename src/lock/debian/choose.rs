//! From indexes to an answer: which versions are meant, apt's passes in their order, and one entry for each package.

use std::collections::{BTreeMap, BTreeSet};

use super::error::DebianError;
use super::packages::PackageIndex;
use super::request::{Request, Which, matches};
use super::solve::Solver;
use super::universe::{RecordId, Rules, Universe};
use super::{DebianRequest, LockedDeb, control, explain, relation, repair, suggest, sweep};
use crate::mirrors::apt_sources::is_path_below;

impl DebianRequest {
    /// What decides how the indexes are read.
    pub(super) fn rules(&self) -> Rules<'_> {
        Rules {
            architecture: &self.architecture,
            recommends: self.recommends,
            unfollowed: &self.unfollowed,
        }
    }
}

/// Packages, the essential ones among them, and what they say about each other.
pub(super) type Chosen = (
    Vec<LockedDeb>,
    Vec<String>,
    BTreeMap<String, BTreeMap<String, String>>,
);

/// Keeps what shall be kept as far as possible: at first everything, then all but what stands in a dependency with
/// something that moves, and nothing at last.
pub(super) fn choose(
    request: &DebianRequest,
    indexes: &[PackageIndex],
) -> Result<Chosen, DebianError> {
    let kept = choose_keeping(request, indexes, &request.keep);
    if request.keep.is_empty() || !matches!(kept, Err(DebianError::Unsatisfiable { .. })) {
        return kept;
    }
    let newest = choose_keeping(request, indexes, &BTreeMap::new())?;
    let keep = without_neighbours(&request.keep, &newest.0);
    choose_keeping(request, indexes, &keep).or(Ok(newest))
}

/// What is kept when everything gives way that a moving package needs, or that needs one.
fn without_neighbours(
    keep: &BTreeMap<String, String>,
    packages: &[LockedDeb],
) -> BTreeMap<String, String> {
    let moving = packages.iter().filter(|deb| !keep.contains_key(&deb.name));
    let mut pending: Vec<&str> = moving.map(|deb| deb.name.as_str()).collect();
    let needs_moving = |deb: &&LockedDeb| deb.depends.iter().any(|name| !keep.contains_key(name));
    let dependents = packages.iter().filter(needs_moving);
    pending.extend(dependents.map(|deb| deb.name.as_str()));
    let mut keep = keep.clone();
    let mut seen = BTreeSet::new();
    while let Some(name) = pending.pop() {
        if seen.insert(name) {
            keep.remove(name);
            let deb = packages.iter().find(|deb| deb.name == name);
            let depends = deb.into_iter().flat_map(|deb| &deb.depends);
            pending.extend(depends.map(String::as_str));
        }
    }
    keep
}

fn choose_keeping(
    request: &DebianRequest,
    indexes: &[PackageIndex],
    keep: &BTreeMap<String, String>,
) -> Result<Chosen, DebianError> {
    let mut universe = Universe::new(indexes, request.rules())?;
    universe.prefer(keep);
    choose_of(&universe, request)
}

/// Chooses by apt's rules among packages that were read before.
pub(super) fn choose_of<'a>(
    universe: &Universe<'a>,
    request: &DebianRequest,
) -> Result<Chosen, DebianError> {
    let mut wanted = Vec::new();
    if request.include_essential {
        let essential = universe.packages().map(|(_, package)| package);
        let mut essential: Vec<_> = essential.filter(|package| package.essential).collect();
        essential.sort_by_key(|package| package.name);
        wanted.extend(essential.iter().map(|package| package.candidate));
    }
    let named = request
        .packages
        .iter()
        .map(|package| find(universe, request, package));
    let named = named.collect::<Result<Vec<_>, _>>()?;
    wanted.extend(&named);
    let suites = request.packages.iter().zip(&named);
    let suites = suites.filter_map(|(package, id)| match &package.which {
        Which::Suite(suite) => Some((*id, suite.as_str())),
        Which::Candidate | Which::Version(_) => None,
    });
    let mut solver = Solver::new(universe);
    solver.solve(&wanted, &suites.collect::<Vec<_>>())?;
    if !solver.is_sound()? {
        // Told from the state before, which is nearer to what was asked.
        let reasons = explain::obstacles(universe, &solver)?;
        repair::repair(universe, &mut solver)?;
        if !solver.is_sound()? {
            return Err(DebianError::Unsatisfiable { reasons });
        }
    }
    sweep::sweep(universe, &mut solver)?;
    answer(universe, &solver, &named)
}

fn answer<'a>(
    universe: &Universe<'a>,
    solver: &Solver<'_, 'a>,
    named: &[RecordId],
) -> Result<Chosen, DebianError> {
    let mut packages = Vec::new();
    let mut bounds = BTreeMap::new();
    for id in solver.installed() {
        let depends = chosen_dependencies(universe, solver, id)?;
        let package = locked(universe, id, &depends, named.contains(&id))?;
        bounds.insert(package.name.clone(), depends);
        packages.push(package);
    }
    bounds
        .values_mut()
        .for_each(|depends| depends.retain(|_, words| !words.is_empty()));
    packages.sort_by(|left, right| left.name.cmp(&right.name));
    let is_essential = |deb: &&LockedDeb| {
        universe
            .find(&deb.name)
            .is_some_and(|id| universe.package(id).essential)
    };
    let essential = packages
        .iter()
        .filter(is_essential)
        .map(|deb| deb.name.clone())
        .collect();
    Ok((packages, essential, bounds))
}

/// The version that a request names.
fn find(
    universe: &Universe<'_>,
    request: &DebianRequest,
    wanted: &Request,
) -> Result<RecordId, DebianError> {
    let name = wanted.name.as_str();
    if let Some(asked) = &wanted.architecture
        && !wanted.is_for(&request.architecture)
    {
        return Err(DebianError::OtherArchitecture {
            request: format!("{name}:{asked}"),
            asked: asked.clone(),
            architecture: request.architecture.clone(),
        });
    }
    if let Some(package) = universe.find(name) {
        let package = universe.package(package);
        let found = match &wanted.which {
            Which::Candidate => Some(package.candidate),
            which => {
                // A version that is kept goes before higher ones.
                let versions = [&package.candidate].into_iter().chain(&package.versions);
                let mut versions = versions.copied();
                versions.find(|id| fits(universe, *id, universe.record(*id).version, which))
            }
        };
        return found.ok_or_else(|| missing_version(universe, request, wanted, &package.versions));
    }
    match providers(universe, wanted)[..] {
        [] => Err(DebianError::UnknownPackage {
            name: name.to_owned(),
            suites: request.suites(),
            suggestions: suggest::nearest(universe, name),
        }),
        [only] => Ok(only),
        ref several => {
            let names = several.iter().map(|id| universe.record(*id).name);
            let mut providers: Vec<_> = names.map(str::to_owned).collect();
            providers.sort_unstable();
            Err(DebianError::VirtualPackage {
                name: name.to_owned(),
                providers,
            })
        }
    }
}

/// Whether a version is one that is asked for.
fn fits(universe: &Universe<'_>, id: RecordId, version: &str, which: &Which) -> bool {
    match which {
        Which::Candidate => universe.package(universe.owner(id)).candidate == id,
        Which::Version(pattern) => matches(pattern, version),
        Which::Suite(suite) => universe.is_in_suite(id, suite),
    }
}

/// The packages that provide a name, each in the version to take.
fn providers(universe: &Universe<'_>, wanted: &Request) -> Vec<RecordId> {
    let provisions = universe.provisions(&wanted.name).iter();
    let accepted = provisions.filter(|provision| match &wanted.which {
        Which::Version(_) => provision
            .version
            .is_some_and(|version| fits(universe, provision.record, version, &wanted.which)),
        which => fits(universe, provision.record, "", which),
    });
    let by_owner = accepted.map(|provision| (universe.owner(provision.record), provision.record));
    by_owner.collect::<BTreeMap<_, _>>().into_values().collect()
}

fn missing_version(
    universe: &Universe<'_>,
    request: &DebianRequest,
    wanted: &Request,
    versions: &[RecordId],
) -> DebianError {
    let (name, suites) = (wanted.name.clone(), request.suites());
    let version = |id: &RecordId| universe.record(*id).version.to_owned();
    match &wanted.which {
        Which::Suite(suite) => DebianError::NotInSuite {
            name,
            suite: suite.clone(),
            suites,
            available: versions
                .iter()
                .map(|id| format!("{} in {}", version(id), universe.index_of(*id).label))
                .collect(),
        },
        which => DebianError::UnknownVersion {
            name,
            version: match which {
                Which::Version(version) => version.clone(),
                Which::Candidate | Which::Suite(_) => String::new(),
            },
            suites,
            available: versions.iter().map(version).collect(),
        },
    }
}

fn locked(
    universe: &Universe<'_>,
    id: RecordId,
    depends: &BTreeMap<String, String>,
    requested: bool,
) -> Result<LockedDeb, DebianError> {
    let (record, index) = (universe.record(id), universe.index_of(id));
    let malformed = |field, found: &str| index.malformed(record.name, field, found);
    let field = |name| control::field(record.stanza, name).unwrap_or_default();
    let path = field("Filename");
    if !is_path_below(path) {
        return Err(malformed("Filename", path));
    }
    let hash = field("SHA256");
    let is_hex = hash.len() == 64;
    Ok(LockedDeb {
        name: record.name.to_owned(),
        version: record.version.to_owned(),
        architecture: field("Architecture").to_owned(),
        input: index.input.clone(),
        path: path.to_owned(),
        size: field("Size")
            .parse()
            .map_err(|_| malformed("Size", field("Size")))?,
        sha256: hash
            .parse()
            .ok()
            .filter(|_| is_hex)
            .ok_or_else(|| malformed("SHA256", hash))?,
        depends: depends.keys().cloned().collect(),
        requested,
    })
}

/// For every group the first alternative that is installed, by its name or the best provider; with what the group says
/// beyond that name.
fn chosen_dependencies<'a>(
    universe: &Universe<'a>,
    solver: &Solver<'_, 'a>,
    id: RecordId,
) -> Result<BTreeMap<String, String>, DebianError> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let owner = universe.owner(id);
    for dependency in universe
        .dependencies(id)?
        .iter()
        .filter(|dependency| !dependency.kind.is_negative())
    {
        let mut places = (0..dependency.alternatives.len()).map(|place| {
            let target = dependency.alternatives[place].name;
            let mut found = solver.installed_for(owner, dependency, place);
            found.sort_by(|left, right| solver.prefer(target, *left, *right));
            found
        });
        let chosen = places.find_map(|found| found.first().copied());
        let Some(chosen) = chosen.filter(|chosen| *chosen != id) else {
            continue;
        };
        let name = universe.record(chosen).name;
        let words = names.entry(name.to_owned()).or_default();
        let said = words_beside(name, &dependency.alternatives);
        if !words.split(", ").any(|known| known == said) {
            let separator = if words.is_empty() { "" } else { ", " };
            words.push_str(&format!("{separator}{said}"));
        }
    }
    Ok(names)
}

/// What a group says beside the name that was chosen for it.
fn words_beside(name: &str, group: &[relation::Relation<'_>]) -> String {
    let text = relation::display_group(group);
    match group {
        [only] if only.name == name => text[name.len()..].trim_start().to_owned(),
        _ => format!("for {text}"),
    }
}
