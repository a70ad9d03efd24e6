//! Chooses the Python packages of an image.
//!
//! uv's resolver runs here as a library, for the *image's* Python and C library, never the host's: no Python is
//! needed or looked at, no environment of the host reaches the answer. Wheels are taken where there are any; what exists
//! as source alone, or is asked for so, comes as a source archive with what building it needs. What comes out says nothing
//! about where it came from, so the answer is the same behind every mirror.
//!
//! ```text
//! requirements ─ requirements ─▶ solve ─▶ chosen wheels ─ contents ─▶ sizes and RECORDs ─▶ PythonLock
//!                    target ─────▲  │
//!                        sources ─▶├─ a source archive that nothing is known about yet ─▶ sources, and again
//!                                   └─ failure ─ diagnose ─▶ PythonError
//! ```
//!
//! No type of the library leaves this room. Its crates change with every release, so `solve` and what it uses are
//! the only places to touch for a newer one.

mod bounds;
mod chosen;
mod contents;
mod cutoff;
mod diagnose;
mod error;
mod provider;
mod requirements;
mod solve;
mod sources;
mod target;
mod wheels_only;

#[cfg(all(test, feature = "network-tests"))]
mod live_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use cognix_derivations::Sha256;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use uv_normalize::PackageName;

use chosen::{Chosen, ChosenWheel};
use contents::Contents;
use requirements::Requirements;
use solve::{Question, Solved};
use sources::{SourceFacts, SourceFile};
pub(in crate::lock) use target::Target;

pub use cutoff::{Cutoff, CutoffError};
pub use error::{PythonError, PythonErrorKind};
pub use requirements::requirement_name;
pub use sources::{
    BackendAnswer, BackendError, BackendQuestion, Backends, KnownCommit, Revision, SourceBuild,
    SourceReason,
};

use super::platform::Architecture;
use crate::mirrors::git::GitAddress;
use crate::mirrors::package_indexes::{PYPI, PackageIndexes};
use crate::mirrors::python_index::Connection;

/// The name under which a lock refers to the machine's own Python package indexes.
pub const INDEX_NAME: &str = PYPI;

/// What to choose wheels for.
#[derive(Debug, Clone)]
pub struct PythonRequest {
    /// Requirements as pip takes them, a line each, with `--hash` options; empty lines and `#` comments are allowed.
    /// Paths are relative to the project.
    pub requirements: Vec<String>,
    /// The requirements that bring the Cog SDK, and coglet where somebody chose one. What they need may come from the machine's own indexes even where the
    /// model names others in their place.
    ///
    /// Where one of them names a pre-release, those of the SDK and of coglet count as much as final releases.
    pub sdk: Vec<String>,
    /// Versions that must hold where a package is chosen anyway; lines as above.
    pub constraints: Vec<String>,
    /// Versions and addresses that hold whatever requirements and packages ask for; lines as above.
    pub overrides: Vec<String>,
    /// Whether releases that are not final count too.
    pub prerelease: bool,
    /// Packages that come as source even where there are wheels, in any spelling; `:all:` are those of the model.
    pub no_binary: Vec<String>,
    /// The project's folder, which wheels of the model's own are in.
    pub project: PathBuf,
    /// The image's processor.
    pub architecture: Architecture,
    /// Major, minor and patch of the image's Python. Markers such as `python_full_version < "3.11.3"` look at all three.
    pub python: (u8, u8, u8),
    /// Major and minor of the image's C library: wheels up to this `manylinux` level fit.
    pub glibc: (u16, u16),
    /// Where to ask.
    pub indexes: PackageIndexes,
    /// Files uploaded at this moment or later are not considered.
    pub exclude_newer: Option<Cutoff>,
    /// Whether somebody asked for that moment. If not, an index that does not say when its files were uploaded is used as
    /// it is, with a warning.
    pub cutoff_is_asked: bool,
    /// What an existing lock holds: kept wherever the requirements still allow it.
    pub preferences: Vec<Preference>,
    /// The same of what it builds packages with.
    pub build_preferences: Vec<Preference>,
    /// The commits that references of repositories are known to name.
    pub commits: Vec<KnownCommit>,
    /// Where index pages and metadata are kept between runs.
    pub cache_dir: PathBuf,
    /// Ask nothing; answer from the cache or fail.
    pub offline: bool,
    /// Ends the work early.
    pub cancel: CancellationToken,
}

/// A version to keep if it still fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// The package, in any spelling.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The chosen wheels and what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonLock {
    /// One wheel or source archive per package, sorted by name.
    pub wheels: Vec<LockedWheel>,
    /// How those are built that are source archives, by package name.
    pub builds: BTreeMap<String, SourceBuild>,
    /// The packages that the requirements name themselves and that their markers let in, sorted.
    pub roots: Vec<String>,
    /// What each package says about those it needs, as text behind their names: `[standard]>=0.3`. Nothing where any
    /// version will do.
    pub bounds: BTreeMap<String, BTreeMap<String, String>>,
    /// What each wheel says about its contents, by package name.
    ///
    /// Not verified against the wheel's digest: good for deciding what to check again when the wheel is there. Of what is
    /// built from source, nothing is known before.
    pub contents: BTreeMap<String, WheelContents>,
    /// Things that are allowed and still worth a word, such as an extra that a package does not have.
    pub warnings: Vec<String>,
}

/// One wheel or source archive, without any hint of the machine or the index that it was found with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedWheel {
    /// The package's normalised name.
    pub name: String,
    /// The name as the package itself spells it, where that is another spelling.
    pub spelling: Option<String>,
    /// Its version, normalised.
    pub version: String,
    /// The file's name as the index spells it.
    pub filename: String,
    /// The digest of the file.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// Packages of the same lock that this one needs on the image's platform; sorted, each once.
    pub requires: Vec<String>,
    /// Where the file comes from.
    pub origin: WheelOrigin,
    /// Whether the release was withdrawn; chosen only because it is pinned or was locked before.
    pub yanked: bool,
}

/// Where a wheel comes from, without any hint of the machine it was found with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WheelOrigin {
    /// A package index, by the name that a lock knows it by: [`INDEX_NAME`] unless the model names others.
    Index {
        /// The index's name.
        input: String,
    },
    /// A file of the project.
    Project {
        /// The path below the project.
        path: String,
    },
    /// A folder of the project, as an archive that is made when it is wanted.
    Folder {
        /// The path below the project.
        path: String,
    },
    /// A folder of a commit of a repository.
    Git(GitAddress),
    /// An address that a requirement names itself.
    Url {
        /// The address, without credentials.
        url: String,
    },
}

/// What decides which paths a wheel brings.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelContents {
    /// What RECORD lists, in its order.
    pub record: Vec<RecordEntry>,
    /// The text of `entry_points.txt`, empty when there is none.
    pub entry_points: String,
    /// The package's name as METADATA spells it, empty when that cannot be read.
    pub name: String,
}

/// One line of a wheel's RECORD.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RecordEntry {
    /// The path as RECORD spells it, relative to site-packages.
    pub path: String,
    /// The digest of the contents, unless RECORD has none or one of another kind.
    pub sha256: Option<Sha256>,
    /// The size of the contents, unless RECORD leaves it out.
    pub size: Option<u64>,
}

/// Chooses one wheel or source archive for every package that the requirements lead to, and looks into each. `backends` are
/// asked about sources.
///
/// Needs a tokio runtime with time and I/O. Dropping the future ends the work as cancelling does.
pub async fn resolve(
    request: &PythonRequest,
    backends: &dyn Backends,
) -> Result<PythonLock, PythonError> {
    resolve_for(request, backends, &[]).await
}

/// How deep the sources may be built with sources.
const MAX_BUILD_DEPTH: usize = 8;

/// The same for what a source is built with. `chain` are the packages that are built with it, the last first needed.
fn resolve_for<'a>(
    request: &'a PythonRequest,
    backends: &'a dyn Backends,
    chain: &'a [String],
) -> BoxFuture<'a, Result<PythonLock, PythonError>> {
    Box::pin(async move {
        if chain.len() > MAX_BUILD_DEPTH {
            return Err(PythonError::BuildDepth(
                chain.join(", which is built with "),
            ));
        }
        let request = &sources::named(request).await?;
        let mut facts: Vec<SourceFacts> = Vec::new();
        let mut failures = Vec::new();
        loop {
            let source = match once(request, &facts).await {
                Ok(Outcome::Unknown(source)) => source,
                Ok(Outcome::Locked(mut lock)) if failures.is_empty() => {
                    let said = facts
                        .iter()
                        .flat_map(|known| known.warnings.iter().cloned());
                    lock.warnings.extend(said);
                    return Ok(*lock);
                }
                // What cannot be built was taken for something that needs nothing, to find all others like it.
                Err(error) if failures.is_empty() => return Err(error),
                Ok(Outcome::Locked(_)) | Err(_) => return Err(PythonError::of_builds(failures)),
            };
            // What was learnt answers the question that was asked, so that each is asked once.
            if facts.iter().any(|known| known.are_about(&source)) {
                let filename = source.filename;
                return Err(PythonError::Internal(format!(
                    "it asks again for {filename}"
                )));
            }
            if chain.contains(&source.name) {
                let mut chain = chain.to_vec();
                chain.push(source.name);
                return Err(PythonError::BuildCycle(
                    chain.join(", which is built with "),
                ));
            }
            let learnt = sources::learn(request, (*source).clone(), backends, chain).await;
            facts.push(match learnt {
                Ok(learnt) => learnt,
                Err(error) if error.is_of_one_build() => match SourceFacts::nothing(*source) {
                    Some(nothing) => {
                        failures.push(error);
                        nothing
                    }
                    None => return Err(error),
                },
                Err(error) => return Err(error),
            });
        }
    })
}

/// What came of one attempt.
enum Outcome {
    Locked(Box<PythonLock>),
    /// A source archive that something has to be known about first.
    Unknown(Box<SourceFile>),
}

/// Tries to choose with what is known about sources.
async fn once(request: &PythonRequest, facts: &[SourceFacts]) -> Result<Outcome, PythonError> {
    let asked = requirements::parse(request)?;
    let target = Target::new(request.python, request.glibc, request.architecture)?;
    let request = request.clone();
    let facts = facts.to_vec();
    on_own_thread(request.cancel.clone(), async move || {
        lock(&request, &asked, &target, &facts).await
    })
    .await
}

/// What was chosen, and the names of indexes that do not say when files were uploaded.
type Choice = (Connection, Chosen, BTreeSet<String>);

/// Chooses wheels and sources; or names a source that something has to be known about first.
async fn choose(
    request: &PythonRequest,
    asked: &Requirements,
    target: &Target,
    facts: &[SourceFacts],
) -> Result<Result<Choice, Box<SourceFile>>, PythonError> {
    asked.check_fit(target)?;
    let of_sdk = packages_of_sdk(request, asked, target).await?;
    let mut undated = BTreeSet::new();
    let mut from_source = BTreeSet::new();
    loop {
        let connection = solve::connect(request, &request.indexes, &undated).await?;
        let question = Question {
            asked,
            target,
            request,
            of_sdk: &of_sdk,
            facts,
            from_source: &from_source,
        };
        match solve::solve(&connection, &question).await {
            Ok(Solved::Chosen(chosen)) => return Ok(Ok((connection, chosen, undated))),
            Ok(Solved::Unknown(source)) => return Ok(Err(source)),
            // Wheels are taken where there are any, so that sources are looked at only when there was no way without.
            Err(PythonError::SourceOnly { name, .. }) if from_source.insert(name.clone()) => {}
            // An index of the model's own that does not date its files is used as it is.
            Err(PythonError::NoUploadTimes { index, .. })
                if (index != INDEX_NAME || !request.cutoff_is_asked)
                    && undated.insert(index.clone()) => {}
            Err(error) => return Err(error),
        }
    }
}

async fn lock(
    request: &PythonRequest,
    asked: &Requirements,
    target: &Target,
    facts: &[SourceFacts],
) -> Result<Outcome, PythonError> {
    let (connection, chosen, undated) = match choose(request, asked, target, facts).await? {
        Ok(choice) => choice,
        Err(source) => return Ok(Outcome::Unknown(source)),
    };
    let found = contents::look_into(&connection, &chosen.wheels, &request.cache_dir).await?;
    check_digests(asked, target, &chosen.wheels, &found)?;
    let undated = undated.iter().map(|index| {
        format!("the package index {index} does not say when files were uploaded, so its newest ones were taken")
    });
    let mut lock = PythonLock {
        wheels: Vec::with_capacity(chosen.wheels.len()),
        builds: BTreeMap::new(),
        roots: chosen.roots,
        bounds: chosen.bounds,
        contents: BTreeMap::new(),
        warnings: chosen.warnings.into_iter().chain(undated).collect(),
    };
    for (wheel, found) in chosen.wheels.into_iter().zip(found) {
        let name = wheel.name.clone();
        match wheel.build.clone() {
            Some(build) => drop(lock.builds.insert(name, build)),
            None => drop(lock.contents.insert(name, found.contents.clone())),
        }
        lock.wheels.push(wheel.into_locked(&found));
    }
    Ok(Outcome::Locked(Box::new(lock)))
}

/// What the SDK alone needs, when the model's indexes stand in the place of the machine's and may not have it.
async fn packages_of_sdk(
    request: &PythonRequest,
    asked: &Requirements,
    target: &Target,
) -> Result<BTreeSet<PackageName>, PythonError> {
    let Some(indexes) = request.indexes.sdk_only() else {
        return Ok(BTreeSet::new());
    };
    let connection = solve::connect(request, &indexes, &BTreeSet::new()).await?;
    let question = Question {
        asked: &asked.sdk_only(),
        target,
        request,
        of_sdk: &BTreeSet::new(),
        facts: &[],
        from_source: &BTreeSet::new(),
    };
    let Solved::Chosen(chosen) = solve::solve(&connection, &question).await? else {
        return Ok(BTreeSet::new());
    };
    let names = chosen
        .wheels
        .iter()
        .filter_map(|wheel| wheel.name.parse().ok());
    Ok(names.collect())
}

/// Refuses files that a `--hash` of the requirements does not allow.
fn check_digests(
    asked: &Requirements,
    target: &Target,
    wheels: &[ChosenWheel],
    found: &[Contents],
) -> Result<(), PythonError> {
    let allowed = asked.allowed(target);
    for (wheel, found) in wheels.iter().zip(found) {
        if let Some((digests, line)) = allowed.get(&wheel.name)
            && !digests.contains(&found.sha256)
        {
            return Err(PythonError::Digest {
                filename: wheel.filename.clone(),
                sha256: found.sha256,
                line: (*line).to_owned(),
                what: target.name.clone(),
            });
        }
    }
    Ok(())
}

/// Runs a future that must stay on one thread, and whose calls nest deeply, for callers that need neither to hold.
async fn on_own_thread<T: Send + 'static>(
    cancel: CancellationToken,
    work: impl AsyncFnOnce() -> Result<T, PythonError> + Send + 'static,
) -> Result<T, PythonError> {
    const STACK: usize = 8 << 20;
    let runtime = tokio::runtime::Handle::current();
    let (mut give, take) = tokio::sync::oneshot::channel();
    let body = move || {
        let result = runtime.block_on(async {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(PythonError::Cancelled),
                () = give.closed() => Err(PythonError::Cancelled),
                result = work() => result,
            }
        });
        // Nobody is left to be told when the caller has dropped its end.
        drop(give.send(result));
    };
    std::thread::Builder::new()
        .name("python-resolver".to_owned())
        .stack_size(STACK)
        .spawn(body)
        .map_err(PythonError::Thread)?;
    take.await.map_err(|_| {
        PythonError::Internal("the resolver's thread ended without an answer".to_owned())
    })?
}
