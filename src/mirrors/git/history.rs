//! What the history of a commit says about its version: tools that make versions of tags ask for nothing else.

use serde::{Deserialize, Serialize};

use super::fetch::Remote;
use super::{GitError, command};

/// How dates are written: ISO 8601, but for the colon of the zone.
const DATE: &str = "--date=format:%Y-%m-%dT%H:%M:%S%z";

/// Where a commit stands among its tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// When it was made, in ISO 8601.
    pub date: String,
    /// What `git describe --tags --long` says, of tags with a digit: tag, commits since, commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub describe: Option<String>,
}

impl Remote {
    /// Asks for the commits before one and for all tags, but for no files.
    pub(super) async fn history(&self, commit: &str) -> Result<History, GitError> {
        let lock = self.lock().await?;
        let name = match commit.len() {
            64 => "history-sha256.git",
            _ => "history.git",
        };
        let history = self.bare(name, commit.len()).await?;
        let fetch = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            // A server that cannot leave files out sends them.
            "--filter=tree:0",
            "--",
            &self.repository,
            commit,
            "+refs/tags/*:refs/tags/*",
        ];
        let fetched = command::output(Some(&history), &self.repository, &fetch).await?;
        if let Err(said) = fetched {
            // One that gives no single commit has it in a branch.
            let all = [
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--",
                &self.repository,
                "+refs/heads/*:refs/cognix/heads/*",
                "+refs/tags/*:refs/tags/*",
            ];
            let fetched = command::output(Some(&history), &self.repository, &all).await?;
            fetched.map_err(|_| self.unreachable(said))?;
        }
        drop(lock);
        let describe = [
            "describe",
            "--tags",
            "--long",
            "--abbrev=9",
            "--match",
            "*[0-9]*",
            commit,
        ];
        let described = command::output(Some(&history), &self.repository, &describe).await?;
        let log = [
            "log",
            "-1",
            "--no-show-signature",
            "--format=%cd",
            DATE,
            commit,
        ];
        let date = command::output(Some(&history), &self.repository, &log).await?;
        let date = date.map_err(|said| GitError::Gone {
            repository: self.repository.clone(),
            commit: commit.to_owned(),
            said,
        })?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        let mut date = text(date);
        // Versions of git write the offset of a zone in different ways.
        date.insert(date.len().saturating_sub(2), ':');
        let known = History {
            date,
            // No tag before it.
            describe: described.ok().map(text),
        };
        self.keep(&self.folder.join(format!("{commit}.history.json")), &known)?;
        Ok(known)
    }
}
