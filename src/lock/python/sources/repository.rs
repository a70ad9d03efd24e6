//! Sources that are a commit of a git repository.

use std::path::Path;

use uv_git::GitResolver;
use uv_git_types::{GitLfs, GitReference, GitUrl};
use uv_normalize::PackageName;
use uv_redacted::DisplaySafeUrl;

use super::archive::{About, SourceContents};
use super::{Revision, SourceFacts};
use crate::lock::python::requirements::repository_line;
use crate::lock::python::{LockedWheel, PythonError, PythonRequest, WheelOrigin};
use crate::mirrors::git::{self, Git, GitAddress, GitError, History};
use crate::mirrors::python_index::clean;

/// Packages that make versions of a repository's tags; who builds with one of them wants to know the history.
const VERSION_TOOLS: [&str; 6] = [
    "dunamai",
    "pbr",
    "setuptools-git-versioning",
    "setuptools-scm",
    "vcs-versioning",
    "versioningit",
];

/// What a requirement asks of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lock::python) struct RepositoryReference {
    /// The address, without credentials.
    pub(in crate::lock::python) repository: String,
    /// A branch, a tag or a commit; none for the default branch.
    pub(in crate::lock::python) reference: Option<String>,
    /// The folder of its tree.
    pub(in crate::lock::python) subdirectory: Option<String>,
}

impl std::fmt::Display for RepositoryReference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "git+{}", self.repository)?;
        if let Some(reference) = &self.reference {
            write!(formatter, "@{reference}")?;
        }
        match &self.subdirectory {
            Some(path) => write!(formatter, "#subdirectory={path}"),
            None => Ok(()),
        }
    }
}

impl RepositoryReference {
    /// Takes the library's words apart; the error says what is wrong.
    pub(in crate::lock::python) fn of(
        url: &GitUrl,
        subdirectory: Option<&Path>,
    ) -> Result<Self, String> {
        let mut address = git::repository_url(url.url().as_str())?;
        // Whoever may read it has credentials of their own. The user of a secure shell is part of the address.
        let removed = address.set_password(None).is_ok()
            && (address.scheme() == "ssh" || address.set_username("").is_ok());
        if !removed {
            return Err("its address names no host".to_owned());
        }
        let repository = address.to_string();
        let reference = url.reference().as_str().map(str::to_owned);
        if reference.as_deref().is_some_and(|name| {
            name.is_empty() || name.starts_with('-') || name.contains(char::is_control)
        }) {
            return Err("what stands behind its @ is no branch, tag or commit".to_owned());
        }
        let subdirectory = match subdirectory {
            Some(path) => git::plain_folder(&path.to_string_lossy())?,
            None => None,
        };
        Ok(Self {
            repository,
            reference,
            subdirectory,
        })
    }

    /// The same in the library's words, where it has some.
    fn asked(&self) -> Option<uv_git::RepositoryReference> {
        let reference = match &self.reference {
            Some(reference) => GitReference::from_rev(reference.clone()),
            None => GitReference::DefaultBranch,
        };
        let address = DisplaySafeUrl::parse(&self.repository).ok()?;
        let url = GitUrl::from_fields(address, reference, None, GitLfs::Disabled).ok()?;
        Some(uv_git::RepositoryReference::from(&url))
    }

    /// The commit that it means: the known one, or the one that the repository names.
    async fn commit(&self, request: &PythonRequest, git: &Git) -> Result<String, GitError> {
        let is_known = |known: &&super::KnownCommit| {
            known.repository == self.repository && known.reference == self.reference
        };
        if let Some(known) = request.commits.iter().find(is_known) {
            return Ok(known.commit.clone());
        }
        git.commit(&self.repository, self.reference.as_deref())
            .await
    }

    /// The files below its folder that say how it is built, and where they come from.
    async fn look(&self, request: &PythonRequest) -> Result<Looked, GitError> {
        let git = Git::new(&request.cache_dir, request.offline);
        let commit = self.commit(request, &git).await?;
        let (tree, archive) = git.tree(&self.repository, &commit).await?;
        let below = |name: &str| match &self.subdirectory {
            Some(folder) => format!("{folder}/{name}"),
            None => name.to_owned(),
        };
        let found = git::read_files(
            &archive,
            &["pyproject.toml", "setup.py", "setup.cfg"].map(below),
        )?;
        let address = GitAddress {
            repository: self.repository.clone(),
            commit,
            subdirectory: self.subdirectory.clone(),
        };
        let wrong = |reason: &str| GitError::Tree {
            repository: self.repository.clone(),
            commit: address.commit.clone(),
            reason: reason.to_owned(),
        };
        if found.iter().all(Option::is_none) {
            let place = match &self.subdirectory {
                Some(folder) => format!("in its folder {folder}"),
                None => "at its top".to_owned(),
            };
            return Err(wrong(&format!(
                "there is no pyproject.toml and no setup.py {place}; where the package is elsewhere, write #subdirectory=FOLDER behind the address"
            )));
        }
        let mut texts = found.into_iter();
        let pyproject = texts.next().flatten().map(String::from_utf8).transpose();
        let pyproject = pyproject.map_err(|_| wrong("its pyproject.toml is not UTF-8"))?;
        let setup_cfg = texts.nth(1).flatten();
        let setup_cfg = setup_cfg.map(|text| String::from_utf8_lossy(&text).into_owned());
        Ok(Looked {
            name: package_name(pyproject.as_deref(), setup_cfg.as_deref()),
            address,
            contents: SourceContents {
                sha256: tree.sha256,
                size: tree.size,
                about: About {
                    pyproject,
                    // One that was committed says nothing of this commit.
                    pkg_info: None,
                },
            },
            pointer: tree.pointer,
        })
    }

    /// The same, until somebody ends it.
    pub(super) async fn look_into(&self, request: &PythonRequest) -> Result<Looked, PythonError> {
        let looked = request.cancel.run_until_cancelled(self.look(request)).await;
        let looked = looked.ok_or(PythonError::Cancelled)?;
        looked.map_err(PythonError::Repository)
    }

    /// What is locked of the commit besides its files, for a build with some packages.
    pub(super) async fn revision(
        &self,
        request: &PythonRequest,
        commit: &str,
        requires: &[LockedWheel],
    ) -> Result<Revision, PythonError> {
        let mut revision = Revision {
            reference: self.reference.clone(),
            ..Revision::default()
        };
        let mut tools = requires.iter().map(|wheel| wheel.name.as_str());
        if tools.any(|name| VERSION_TOOLS.contains(&name)) {
            let git = Git::new(&request.cache_dir, request.offline);
            let history = git.history(&self.repository, commit);
            let history = request.cancel.run_until_cancelled(history).await;
            let history = history.ok_or(PythonError::Cancelled)?;
            let History { date, describe } = history.map_err(PythonError::Repository)?;
            (revision.date, revision.describe) = (Some(date), describe);
        }
        Ok(revision)
    }
}

/// Tells the library which commits are known, which it wants to know when it has chosen. Of a repository that cannot be
/// built it is none of any.
pub(in crate::lock::python) fn tell(git: &GitResolver, facts: &[SourceFacts]) {
    for known in facts {
        let commit = match &known.origin {
            WheelOrigin::Git(address) => address.commit.clone(),
            _ => "0".repeat(40),
        };
        let asked = known
            .repository
            .as_ref()
            .and_then(RepositoryReference::asked);
        if let (Some(asked), Ok(commit)) = (asked, commit.parse()) {
            git.insert(asked, commit);
        }
    }
}

/// What a commit says about its package.
pub(super) struct Looked {
    pub(super) address: GitAddress,
    pub(super) contents: SourceContents,
    /// As far as it is said without running anything.
    name: Option<String>,
    /// A file that is kept elsewhere.
    pub(super) pointer: Option<String>,
}

/// Names the packages of requirement lines that are the address of a repository alone.
pub(in crate::lock::python) async fn named(
    request: &PythonRequest,
) -> Result<PythonRequest, PythonError> {
    let mut named = request.clone();
    for line in &mut named.requirements {
        let Some(asked) = repository_line(line) else {
            continue;
        };
        let refuse = |reason: String| PythonError::Requirement {
            line: clean(line),
            reason,
        };
        let looked = asked.map_err(refuse)?.look_into(request).await?;
        let name = looked.name.ok_or_else(|| {
            refuse("which package the repository has cannot be told without running its programs; write NAME @ before the address".to_owned())
        })?;
        *line = format!("{name} @ {line}");
    }
    Ok(named)
}

/// The name of a package, as its files say it without being run.
fn package_name(pyproject: Option<&str>, setup_cfg: Option<&str>) -> Option<String> {
    let document: Option<toml::Table> = pyproject.and_then(|text| toml::from_str(text).ok());
    let value = |path: &[&str]| {
        let table = document.as_ref()?;
        let (last, folders) = path.split_last()?;
        let mut table = table;
        for folder in folders {
            table = table.get(*folder)?.as_table()?;
        }
        table.get(*last)?.as_str().map(str::to_owned)
    };
    let of_pyproject = value(&["project", "name"]).or_else(|| value(&["tool", "poetry", "name"]));
    let name = of_pyproject.or_else(|| {
        let mut sections = configparser::ini::Ini::new();
        sections.read(setup_cfg?.to_owned()).ok()?;
        sections.get("metadata", "name")
    })?;
    let name: PackageName = name.trim().parse().ok()?;
    Some(name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_by_what_their_files_say() {
        let project = Some("[project]\nname = \"My.App\"\n");
        let poetry = Some("[tool.poetry]\nname = \"app\"\n");
        let cfg = Some("[metadata]\nname = old_app\nversion = 1\n");
        for (pyproject, setup_cfg, expected) in [
            (project, cfg, Some("my-app")),
            (poetry, None, Some("app")),
            (
                Some("[build-system]\nrequires = []\n"),
                cfg,
                Some("old-app"),
            ),
            (None, None, None),
            (Some("["), Some("["), None),
        ] {
            assert_eq!(package_name(pyproject, setup_cfg).as_deref(), expected);
        }
    }
}
