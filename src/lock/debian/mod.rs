//! Debian packages: from `InRelease` to one lock entry per `.deb`.
//!
//! ```text
//! InRelease ─ signature ─▶ Release ─ hashes ─▶ Packages ─▶ Universe ─ apt's rules ─▶ DebianLock
//!  suites      signature     release    suites    packages   universe    choose: solve, switch, repair, sweep
//! ```
//!
//! Everything that a lock names is covered by a signature of a trusted key through a chain of hashes. The clock, the
//! archives and the cache are arguments, so that equal archives give equal locks. No `.deb` is fetched here, and no
//! host is named: addresses come from [`crate::mirrors`].

mod archive;
mod cache;
mod choose;
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
mod switch;
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
pub use request::{Request, Tier, Unfollowed, Which, suite_of_python};
pub use signature::TrustedKeys;
pub use version::{compare, satisfies};

use choose::choose;

use crate::mirrors::apt_sources::{DEBIAN, DEBIAN_SECURITY};

/// Marking goes as deep as the longest chain of dependencies; the stack is only reserved, not used, before that.
const STACK: usize = 256 << 20;

/// Which packages are wanted, and which suites may supply them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianRequest {
    /// In order of preference: of a version that several have, the first one is locked.
    pub sources: Vec<SuiteSource>,
    /// The architecture of the image, as Debian names it.
    pub architecture: String,
    /// The wanted packages, in the order in which apt would be given them.
    pub packages: Vec<Request>,
    /// Whether every package that calls itself essential is wanted too.
    pub include_essential: bool,
    /// Whether what chosen packages recommend is chosen too, as `apt-get install --install-recommends` does.
    pub recommends: bool,
    /// Dependencies that are left out, because only scripts that are not run need them.
    pub unfollowed: Vec<Unfollowed>,
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
    /// The components to read.
    pub components: Vec<String>,
    /// The hash that the release file must have; its expiry is then not enforced.
    pub pinned: Option<Sha256>,
}

impl DebianRequest {
    /// Packages of a stable Debian for amd64, with its updates and security updates, component `main`.
    pub fn stable(suite: &str, packages: Vec<Request>) -> Self {
        let source = |input: &str, suite: String| SuiteSource {
            input: input.to_owned(),
            suite,
            components: vec!["main".to_owned()],
            pinned: None,
        };
        Self {
            sources: vec![
                source(DEBIAN, suite.to_owned()),
                source(DEBIAN, format!("{suite}-updates")),
                source(DEBIAN_SECURITY, format!("{suite}-security")),
            ],
            architecture: "amd64".to_owned(),
            packages,
            include_essential: true,
            recommends: false,
            unfollowed: Vec::new(),
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
    /// The keys that may sign release files of archives without keys of their own.
    pub keys: &'a TrustedKeys,
    /// The keys of archives that have their own, by input: no other key may sign for them, and they for no other.
    pub own_keys: &'a BTreeMap<String, TrustedKeys>,
    /// What was read before.
    pub cache: &'a IndexCache,
    /// The time in seconds since 1970, for expiry.
    pub now: u64,
    /// Whether only the cache may be read.
    pub offline: bool,
}

impl DebianContext<'_> {
    fn keys_of(&self, input: &str) -> &TrustedKeys {
        self.own_keys.get(input).unwrap_or(self.keys)
    }
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
    /// The image's, or `all`.
    pub architecture: String,
    /// The input that serves it.
    pub input: String,
    /// The file below the input's address.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its hash.
    pub sha256: Sha256,
    /// What it depends on, as chosen: one name for each group of alternatives, sorted. What it recommends is among them
    /// where that was asked for and could be had.
    pub depends: Vec<String>,
    /// Whether it was asked for by name, or by a name that only it provides.
    pub requested: bool,
}

/// Chooses packages by apt's rules from verified indexes.
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

#[cfg(test)]
mod tests;
