//! The address of a tree: `git+https://HOST/PATH@COMMIT#subdirectory=FOLDER`, as pip writes it.

use url::Url;

/// What the address of a repository begins with.
const PREFIX: &str = "git+";

/// The key of the fragment that names a folder of the tree.
const SUBDIRECTORY: &str = "subdirectory=";

/// A folder of a tree of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitAddress {
    /// The repository, without credentials.
    pub repository: String,
    /// The whole commit.
    pub commit: String,
    /// The folder of the tree, where it is not its top.
    pub subdirectory: Option<String>,
}

impl GitAddress {
    /// Reads an address; `None` for addresses of another kind.
    pub fn parse(text: &str) -> Option<Result<Self, String>> {
        let rest = text.strip_prefix(PREFIX)?;
        Some(Self::of(rest))
    }

    fn of(rest: &str) -> Result<Self, String> {
        let (place, fragment) = match rest.split_once('#') {
            Some((place, fragment)) => (place, Some(fragment)),
            None => (rest, None),
        };
        let (repository, commit) = place
            .rsplit_once('@')
            .filter(|(_, commit)| is_commit(commit))
            .ok_or("it names no commit")?;
        repository_url(repository)?;
        let subdirectory = match fragment {
            None => None,
            Some(fragment) => {
                let path = fragment
                    .strip_prefix(SUBDIRECTORY)
                    .ok_or("its fragment is not subdirectory=FOLDER")?;
                Some(plain_folder(path)?.ok_or("its subdirectory is empty")?)
            }
        };
        Ok(Self {
            repository: repository.to_owned(),
            commit: commit.to_owned(),
            subdirectory,
        })
    }

    /// The address of the whole tree.
    pub fn tree(&self) -> String {
        format!("{PREFIX}{}@{}", self.repository, self.commit)
    }

    /// What to call the tree: the repository's last word and the beginning of the commit.
    pub fn file_name(&self) -> String {
        let path = self.repository.trim_end_matches('/');
        let word = path.rsplit(['/', ':']).next().unwrap_or_default();
        let word = word.strip_suffix(".git").unwrap_or(word);
        let commit = self.commit.get(..12).unwrap_or(&self.commit);
        format!("{word}-{commit}")
    }
}

impl std::fmt::Display for GitAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.tree())?;
        match &self.subdirectory {
            Some(path) => write!(formatter, "#{SUBDIRECTORY}{path}"),
            None => Ok(()),
        }
    }
}

/// Whether a text is a whole commit.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Checks that an address is one that git may be sent to.
pub(crate) fn repository_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https" | "ssh") {
        return Err(format!(
            "its scheme is {}, expected https, http or ssh",
            url.scheme()
        ));
    }
    if url.host_str().is_none_or(|host| host.starts_with('-')) {
        return Err("it names no host".to_owned());
    }
    Ok(url)
}

/// A folder of a tree as plain parts; `None` for its top. The error says what is wrong.
pub(crate) fn plain_folder(path: &str) -> Result<Option<String>, String> {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    let parts: Vec<&str> = parts.collect();
    if path.starts_with('/') || parts.contains(&"..") || path.contains(char::is_control) {
        return Err(format!(
            "its subdirectory {path:?} leads out of the repository"
        ));
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}
