//! Why a tree of a repository cannot be had.

use std::path::PathBuf;

use cognix_derivations::nar::NarError;

/// What went wrong with a repository. Addresses are shown without credentials.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no such program.
    #[error(
        "git is needed to fetch {0} and is not installed; install it (`apt-get install git`), or put it into PATH"
    )]
    NoGit(String),
    /// The program could not be started or waited for.
    #[error("git could not be run")]
    Run(#[source] std::io::Error),
    /// The network is off and the cache does not have it.
    #[error("the network is switched off and the cache does not hold the commit of {0}")]
    Offline(String),
    /// Nobody answers, or nobody lets us in.
    #[error("the repository {repository} cannot be read: {said}")]
    Unreachable {
        /// The repository.
        repository: String,
        /// What git said.
        said: String,
    },
    /// No branch, tag or commit is called so: a misspelt name, or one that was removed.
    #[error("the repository {repository} has no branch, tag or commit {reference:?}")]
    UnknownReference {
        /// The repository.
        repository: String,
        /// What was asked for.
        reference: String,
    },
    /// A branch was moved by force, a repository was made anew, or the commit was never pushed.
    #[error(
        "the commit {commit} is not in the repository {repository} any more (a branch was moved by force, perhaps); `cognix lock --update PACKAGE` takes what the reference names now: {said}"
    )]
    Gone {
        /// The repository.
        repository: String,
        /// The commit.
        commit: String,
        /// What git said.
        said: String,
    },
    /// The commit's files are not usable.
    #[error("the commit {commit} of {repository} cannot be used: {reason}")]
    Tree {
        /// The repository.
        repository: String,
        /// The commit.
        commit: String,
        /// Why not.
        reason: String,
    },
    /// A file of ours cannot be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The archive of a tree cannot be written or read.
    #[error("{}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        source: NarError,
    },
}

impl GitError {
    /// For the errors of a file.
    pub(super) fn io(path: &std::path::Path) -> impl Fn(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            path: path.clone(),
            source,
        }
    }
}
