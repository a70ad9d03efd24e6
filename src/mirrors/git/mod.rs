//! Trees of git repositories: a reference becomes a commit, and a commit the archive of its files.
//!
//! The machine's `git` talks to the repository, so that its credentials, keys, proxies and `insteadOf` rules count. Nothing
//! is ever checked out: files are read from git's objects, as they were committed, so that line ends, filters, modes and
//! hooks of this machine or of the repository have no part in them. What is known about a tree is kept in the cache by its
//! commit; with it, neither git nor a network is needed.
//!
//! ```text
//! reference ─ remote ─▶ commit ─ fetch ─▶ objects ─ tree ─▶ NAR of the files, submodules among them
//!                                           └─ history ─▶ what `git describe` says
//! ```

mod address;
mod command;
mod error;
mod fetch;
mod history;
mod submodules;
#[cfg(test)]
mod tests;
mod tree;

use std::path::{Path, PathBuf};

use cognix_derivations::Sha256;
use serde::{Deserialize, Serialize};

pub use address::GitAddress;
pub(crate) use address::{plain_folder, repository_url};
pub use error::GitError;
pub use history::History;

/// The folder below a cache, with the version of what is in it.
const FOLDER: &str = "git-1";

/// Asks repositories, and keeps what they answered.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    folder: PathBuf,
    offline: bool,
}

/// The files of one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tree {
    /// The digest of the archive, which is also that of the tree in a store.
    pub(crate) sha256: Sha256,
    /// The size of the archive.
    pub(crate) size: u64,
    /// The first file of which the repository has but a pointer, as Git LFS leaves it.
    pub(crate) pointer: Option<String>,
}

impl Git {
    /// Keeps what it learns below a cache folder.
    pub(crate) fn new(cache: &Path, offline: bool) -> Self {
        Self {
            folder: cache.join(FOLDER),
            offline,
        }
    }

    /// The commit that a reference of a repository names now: a branch, a tag, the beginning of a commit or all of it.
    /// Without one it is that of the default branch.
    pub(crate) async fn commit(
        &self,
        repository: &str,
        reference: Option<&str>,
    ) -> Result<String, GitError> {
        if let Some(commit) = reference.filter(|text| address::is_commit(text)) {
            return Ok(commit.to_ascii_lowercase());
        }
        self.online(repository)?;
        fetch::Remote::new(&self.folder, repository)
            .commit(reference)
            .await
    }

    /// The files of a commit as an archive, and where it is.
    pub(crate) async fn tree(
        &self,
        repository: &str,
        commit: &str,
    ) -> Result<(Tree, PathBuf), GitError> {
        let remote = fetch::Remote::new(&self.folder, repository);
        if let Some(known) = remote.known_tree(commit) {
            return Ok(known);
        }
        self.online(repository)?;
        let checkout = submodules::gather(&self.folder, repository, commit).await?;
        remote.keep_tree(commit, checkout).await
    }

    /// What the history of a commit says about its version.
    pub(crate) async fn history(
        &self,
        repository: &str,
        commit: &str,
    ) -> Result<History, GitError> {
        let remote = fetch::Remote::new(&self.folder, repository);
        if let Some(known) = remote.known_history(commit) {
            return Ok(known);
        }
        self.online(repository)?;
        remote.history(commit).await
    }

    fn online(&self, repository: &str) -> Result<(), GitError> {
        match self.offline {
            true => Err(GitError::Offline(repository.to_owned())),
            false => Ok(()),
        }
    }
}

/// Reads files out of the archive of a tree, by their paths.
pub(crate) fn read_files(
    archive: &Path,
    wanted: &[String],
) -> Result<Vec<Option<Vec<u8>>>, GitError> {
    tree::read_files(archive, wanted)
}
