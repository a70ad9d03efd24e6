//! Debian packages: from `InRelease` to one lock entry per `.deb`.
//!
//! ```text
//! InRelease ─ signature ─▶ Release ─ hashes ─▶ Packages ─▶ Universe ─ apt's rules ─▶ DebianLock
//!  suites      signature     release    suites    packages   universe    solve, repair, sweep
//! ```
//!
//! Everything that a lock names is covered by a signature of a trusted key through a chain of hashes. The clock, the
//! archives and the cache are arguments, so that equal archives give equal locks. No `.deb` is fetched here, and no
//! host is named: addresses come from [`crate::mirrors`].

mod archive;
mod cache;
mod control;
mod error;
mod explain;
mod packages;
mod relation;
mod release;
mod repair;
mod request;
mod signature;
mod solve;
mod suggest;
mod suites;
mod sweep;
mod time;
mod universe;
mod version;

use std::collections::BTreeMap;

use cognix_derivations::Sha256;
use serde::{Deserialize, Serialize};

pub use archive::{Archive, HttpArchive};
pub use cache::IndexCache;
pub use error::{ArchiveError, DebianError, FileSum};
pub use relation::Operator;
pub use request::{Request, base_packages, suite_of_python};
pub use signature::TrustedKeys;
pub use version::{compare, satisfies};

use packages::PackageIndex;
use solve::Solver;
use universe::{RecordId, Universe};

use crate::mirrors::apt_sources::{DEBIAN, DEBIAN_SECURITY, is_path_below};

/// Marking goes as deep as the longest chain of dependencies; the stack is only reserved, not used, before that.
const STACK: usize = 256 << 20;

/// Which packages are wanted, and which suites may supply them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianRequest {
    /// In order of preference: of a version that several have, the first one is locked.
    pub sources: Vec<SuiteSource>,
    /// The architecture of the image, as Debian names it.
    pub architecture: String,
    /// The components to read of each suite.
    pub components: Vec<String>,
    /// The wanted packages, in the order in which apt would be given them.
    pub packages: Vec<Request>,
    /// Whether every package that calls itself essential is wanted too.
    pub include_essential: bool,
    /// Versions to keep, by package, where an archive still has them and the rest allows it.
    pub keep: BTreeMap<String, String>,
}

/// One suite of one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteSource {
    /// The input's name.
    pub input: String,
    /// The suite or codename.
    pub suite: String,
    /// The hash that the release file must have; its expiry is then not enforced.
    pub pinned: Option<Sha256>,
}

impl DebianRequest {
    /// Packages of a stable Debian for amd64, with its updates and security updates, component `main`.
    pub fn stable(suite: &str, packages: Vec<Request>) -> Self {
        let source = |input: &str, suite: String| SuiteSource {
            input: input.to_owned(),
            suite,
            pinned: None,
        };
        Self {
            sources: vec![
                source(DEBIAN, suite.to_owned()),
                source(DEBIAN, format!("{suite}-updates")),
                source(DEBIAN_SECURITY, format!("{suite}-security")),
            ],
            architecture: "amd64".to_owned(),
            components: vec!["main".to_owned()],
            packages,
            include_essential: true,
            keep: BTreeMap::new(),
        }
    }

    fn suites(&self) -> String {
        self.sources
            .iter()
            .map(|source| source.suite.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// What locking needs of the world.
pub struct DebianContext<'a> {
    /// Where files are read from.
    pub archive: &'a dyn Archive,
    /// The keys that may sign release files.
    pub keys: &'a TrustedKeys,
    /// What was read before.
    pub cache: &'a IndexCache,
    /// The time in seconds since 1970, for expiry.
    pub now: u64,
    /// Whether only the cache may be read.
    pub offline: bool,
}

/// The packages that were chosen, and from which releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebianLock {
    /// In the order of the request.
    pub releases: Vec<LockedRelease>,
    /// Sorted by name.
    pub packages: Vec<LockedDeb>,
    /// Names of those packages that call themselves essential, sorted.
    pub essential: Vec<String>,
    /// What each package says about those it depends on, in words behind their names: `(>= 2.36)`, or `for a | b` where the
    /// dependency names something else. Nothing where any version of that name will do.
    pub bounds: BTreeMap<String, BTreeMap<String, String>>,
}

/// A release file that was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedRelease {
    /// The input's name.
    pub input: String,
    /// The suite.
    pub suite: String,
    /// The hash of the release file.
    pub in_release_sha256: Sha256,
    /// When it was made, as RFC 3339 text in UTC.
    pub date: String,
}

/// One package of the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedDeb {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// The input that serves it.
    pub input: String,
    /// The file below the input's address.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its hash.
    pub sha256: Sha256,
    /// What it depends on, as chosen: one name for each group of alternatives, sorted.
    pub depends: Vec<String>,
    /// Whether it was asked for by name, or by a name that only it provides.
    pub requested: bool,
}

/// Chooses packages by apt's rules, recommendations off, from verified indexes.
pub async fn resolve(
    request: &DebianRequest,
    context: &DebianContext<'_>,
) -> Result<DebianLock, DebianError> {
    let suites = suites::read(request, context).await?;
    let releases = request
        .sources
        .iter()
        .zip(&suites)
        .map(|(source, suite)| LockedRelease {
            input: source.input.clone(),
            suite: source.suite.clone(),
            in_release_sha256: suite.in_release_sha256,
            date: time::to_rfc3339(suite.date),
        });
    let releases = releases.collect();
    let indexes: Vec<_> = suites.into_iter().flat_map(|suite| suite.indexes).collect();
    let request = request.clone();
    let (packages, essential, bounds) = on_deep_stack(move || choose(&request, &indexes)).await?;
    Ok(DebianLock {
        releases,
        packages,
        essential,
        bounds,
    })
}

async fn on_deep_stack<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DebianError> + Send + 'static,
) -> Result<T, DebianError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("debian".to_owned())
        .stack_size(STACK);
    // Nobody listens any more when the caller was cancelled; then the answer is not needed.
    let spawned = thread.spawn(move || drop(sender.send(work())));
    spawned.map_err(|_| DebianError::Interrupted)?;
    receiver.await.map_err(|_| DebianError::Interrupted)?
}

/// Packages, the essential ones among them, and what they say about each other.
type Chosen = (
    Vec<LockedDeb>,
    Vec<String>,
    BTreeMap<String, BTreeMap<String, String>>,
);

/// Keeps what shall be kept as far as possible: at first everything, then all but what stands in a dependency with
/// something that moves, and nothing at last.
fn choose(request: &DebianRequest, indexes: &[PackageIndex]) -> Result<Chosen, DebianError> {
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
    let mut seen = std::collections::BTreeSet::new();
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
    let mut universe = Universe::new(indexes, &request.architecture)?;
    universe.prefer(keep);
    let mut wanted = Vec::new();
    if request.include_essential {
        let mut essential: Vec<_> = universe
            .packages()
            .filter(|(_, package)| package.essential)
            .collect();
        essential.sort_by_key(|(_, package)| package.name);
        wanted.extend(
            essential
                .iter()
                .filter_map(|(_, package)| package.versions.first().copied()),
        );
    }
    let named = request
        .packages
        .iter()
        .map(|package| find(&universe, request, package));
    let named = named.collect::<Result<Vec<_>, _>>()?;
    wanted.extend(&named);
    let mut solver = Solver::new(&universe);
    solver.solve(&wanted)?;
    if !solver.is_sound()? {
        // Told from the state before, which is nearer to what was asked.
        let reasons = explain::obstacles(&universe, &solver)?;
        repair::repair(&universe, &mut solver)?;
        if !solver.is_sound()? {
            return Err(DebianError::Unsatisfiable { reasons });
        }
    }
    sweep::sweep(&universe, &mut solver)?;
    let mut packages = Vec::new();
    let mut bounds = BTreeMap::new();
    for id in solver.installed() {
        let depends = chosen_dependencies(&universe, &solver, id)?;
        let package = locked(&universe, id, &depends, named.contains(&id))?;
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
    if let Some(package) = universe.find(&wanted.name) {
        let versions = &universe.package(package).versions;
        let version = |id: &RecordId| universe.record(*id).version;
        return versions
            .iter()
            .copied()
            .find(|id| wanted.accepts(version(id)))
            .ok_or_else(|| DebianError::UnknownVersion {
                name: wanted.name.clone(),
                version: wanted.version.clone().unwrap_or_default(),
                suites: request.suites(),
                available: versions.iter().map(|id| version(id).to_owned()).collect(),
            });
    }
    let newest = |id: &RecordId| universe.package(universe.owner(*id)).versions.first() == Some(id);
    let provisions = universe.provisions(&wanted.name).iter();
    let accepted = provisions.filter(|provision| {
        wanted.version.is_none()
            || provision
                .version
                .is_some_and(|version| wanted.accepts(version))
    });
    let mut providers: Vec<_> = accepted
        .map(|provision| provision.record)
        .filter(newest)
        .collect();
    providers.sort_unstable();
    providers.dedup();
    match providers[..] {
        [] => Err(DebianError::UnknownPackage {
            name: wanted.name.clone(),
            suites: request.suites(),
            suggestions: suggest::nearest(universe, &wanted.name),
        }),
        [only] => Ok(only),
        _ => {
            let mut providers: Vec<_> = providers
                .iter()
                .map(|id| universe.record(*id).name.to_owned())
                .collect();
            providers.sort_unstable();
            Err(DebianError::VirtualPackage {
                name: wanted.name.clone(),
                providers,
            })
        }
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

#[cfg(test)]
mod tests;
