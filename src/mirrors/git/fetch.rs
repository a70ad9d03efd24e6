//! Talks to one repository, and keeps its objects in a bare one of ours.
//!
//! ```text
//! git-1/DIGEST OF THE ADDRESS/objects.git    what was fetched of it
//!                             history.git    its commits and tags, without files
//!                             COMMIT.nar     the files of a commit
//!                             COMMIT.json    what is known about them
//!                             lock           one at a time
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};

use cognix_derivations::Sha256;

use super::{GitError, History, Tree, command, tree};

/// A repository, and our folder for it.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub(super) folder: PathBuf,
    pub(super) repository: String,
}

/// Words of git when it did not get as far as asking for a commit.
const UNREACHABLE: [&str; 12] = [
    "Could not resolve host",
    "Couldn't connect",
    "Failed to connect",
    "Could not read from remote repository",
    "could not read Username",
    "could not read Password",
    "Authentication failed",
    "Permission denied",
    "Repository not found",
    "' not found",
    "SSL certificate",
    "Connection",
];

impl Remote {
    pub(super) fn new(folder: &Path, repository: &str) -> Self {
        let name = Sha256::of(repository.as_bytes()).to_string();
        Self {
            folder: folder.join(&name[..32]),
            repository: repository.to_owned(),
        }
    }

    /// The commit that a branch, a tag, the beginning of a commit or nothing names.
    pub(super) async fn commit(&self, reference: Option<&str>) -> Result<String, GitError> {
        // A branch comes before a tag of the same name, as with pip and uv.
        let names = match reference {
            None => vec!["HEAD".to_owned()],
            Some(name) if name.starts_with("refs/") => vec![name.to_owned()],
            Some(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
        };
        let peeled = names.iter().map(|name| format!("{name}^{{}}"));
        let patterns: Vec<String> = names.iter().cloned().chain(peeled).collect();
        let mut arguments = vec!["ls-remote", "--quiet", "--", &self.repository];
        arguments.extend(patterns.iter().map(String::as_str));
        let listed = command::output(None, &self.repository, &arguments).await?;
        let listed = listed.map_err(|said| self.unreachable(said))?;
        let listed = String::from_utf8_lossy(&listed);
        let of = |wanted: &str| {
            let mut lines = listed.lines().filter_map(|line| line.split_once('\t'));
            let found = lines.find(|(_, name)| *name == wanted);
            found.map(|(commit, _)| commit.to_owned())
        };
        for name in &names {
            // The commit behind a tag that is an object of its own.
            if let Some(commit) = of(&format!("{name}^{{}}")).or_else(|| of(name)) {
                return Ok(commit);
            }
        }
        let unknown = || GitError::UnknownReference {
            repository: self.repository.clone(),
            reference: reference.unwrap_or("HEAD").to_owned(),
        };
        let reference = reference.ok_or_else(unknown)?;
        let is_short = (4..40).contains(&reference.len())
            && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_short {
            return Err(unknown());
        }
        let lock = self.lock().await?;
        let objects = self.objects(40).await?;
        self.fetch_all(&objects)
            .await?
            .map_err(|said| self.unreachable(said))?;
        drop(lock);
        let wanted = format!("{reference}^{{commit}}");
        let arguments = [
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &wanted,
        ];
        let found = command::output(Some(&objects), &self.repository, &arguments).await?;
        let found = found.map_err(|_| unknown())?;
        Ok(String::from_utf8_lossy(&found).trim().to_owned())
    }

    /// Makes sure that the files of a commit are here; gives the repository of ours that has them.
    pub(super) async fn fetch(&self, commit: &str) -> Result<PathBuf, GitError> {
        let _lock = self.lock().await?;
        let objects = self.objects(commit.len()).await?;
        if self.has(&objects, commit).await? {
            return Ok(objects);
        }
        // One commit where the server can give one, with what is before it where it cannot say where to stop, or all.
        let common = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
        let mut said = String::new();
        for depth in [Some("--depth=1"), None] {
            let mut arguments = common.to_vec();
            arguments.extend(depth);
            arguments.extend(["--", self.repository.as_str(), commit]);
            match command::output(Some(&objects), &self.repository, &arguments).await? {
                Ok(_) if self.has(&objects, commit).await? => return Ok(objects),
                Ok(_) => {}
                Err(words) if is_unreachable(&words) => return Err(self.unreachable(words)),
                Err(words) => said = words,
            }
        }
        if let Err(words) = self.fetch_all(&objects).await? {
            said = words;
        }
        match self.has(&objects, commit).await? {
            true => Ok(objects),
            false if is_unreachable(&said) => Err(self.unreachable(said)),
            false => Err(GitError::Gone {
                repository: self.repository.clone(),
                commit: commit.to_owned(),
                said,
            }),
        }
    }

    /// Fetches every branch and tag.
    async fn fetch_all(&self, objects: &Path) -> Result<Result<(), String>, GitError> {
        let arguments = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--",
            &self.repository,
            "+refs/heads/*:refs/cognix/heads/*",
            "+refs/tags/*:refs/cognix/tags/*",
        ];
        let done = command::output(Some(objects), &self.repository, &arguments).await?;
        Ok(done.map(drop))
    }

    async fn has(&self, objects: &Path, commit: &str) -> Result<bool, GitError> {
        let tree = format!("{commit}^{{tree}}");
        let arguments = ["cat-file", "-e", &tree];
        let found = command::output(Some(objects), &self.repository, &arguments).await?;
        Ok(found.is_ok())
    }

    /// The bare repository of ours for the files of commits.
    async fn objects(&self, digits: usize) -> Result<PathBuf, GitError> {
        let name = match digits {
            64 => "objects-sha256.git",
            _ => "objects.git",
        };
        self.bare(name, digits).await
    }

    /// A bare repository of ours.
    pub(super) async fn bare(&self, name: &str, digits: usize) -> Result<PathBuf, GitError> {
        let path = self.folder.join(name);
        if path.join("HEAD").is_file() {
            return Ok(path);
        }
        let format = match digits {
            64 => "--object-format=sha256",
            _ => "--object-format=sha1",
        };
        let place = path.to_string_lossy().into_owned();
        let arguments = ["init", "--quiet", "--bare", "--template=", format, &place];
        let mut command = command::git(None);
        command.env_remove("GIT_DIR").args(arguments);
        let output = command::run(command).await;
        let output = output.map_err(|error| command::failed(error, &self.repository))?;
        match output.status.success() {
            true => Ok(path),
            false => Err(GitError::Run(std::io::Error::other(command::said(
                &output.stderr,
            )))),
        }
    }

    /// Waits until nobody else works in our folder.
    pub(super) async fn lock(&self) -> Result<File, GitError> {
        let folder = self.folder.clone();
        let locked = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder).map_err(GitError::io(&folder))?;
            let path = folder.join("lock");
            let file = File::create(&path).map_err(GitError::io(&path))?;
            file.lock().map_err(GitError::io(&path))?;
            Ok(file)
        });
        locked.await.map_err(|error| GitError::Run(error.into()))?
    }

    pub(super) fn unreachable(&self, said: String) -> GitError {
        GitError::Unreachable {
            repository: self.repository.clone(),
            said,
        }
    }

    /// The archive of a commit's files, and what is known about it.
    pub(super) fn known_tree(&self, commit: &str) -> Option<(Tree, PathBuf)> {
        let archive = self.folder.join(format!("{commit}.nar"));
        let about = std::fs::read(archive.with_extension("json")).ok()?;
        let about: Tree = serde_json::from_slice(&about).ok()?;
        let size = std::fs::metadata(&archive).ok()?.len();
        (size == about.size).then_some((about, archive))
    }

    /// Writes the archive of a commit's files into our folder.
    pub(super) async fn keep_tree(
        &self,
        commit: &str,
        checkout: tree::Checkout,
    ) -> Result<(Tree, PathBuf), GitError> {
        let archive = self.folder.join(format!("{commit}.nar"));
        let tree = tree::write(checkout, &archive).await?;
        self.keep(&archive.with_extension("json"), &tree)?;
        Ok((tree, archive))
    }

    pub(super) fn known_history(&self, commit: &str) -> Option<History> {
        let text = std::fs::read(self.folder.join(format!("{commit}.history.json"))).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes what was learnt.
    pub(super) fn keep(&self, path: &Path, known: &impl serde::Serialize) -> Result<(), GitError> {
        let text = serde_json::to_vec(known).expect("strings and numbers are always JSON");
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            std::io::Write::write_all(&mut file, &text)?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(GitError::io(path))
    }
}

/// Whether the repository was not reached at all.
fn is_unreachable(said: &str) -> bool {
    UNREACHABLE.iter().any(|words| said.contains(words))
}
