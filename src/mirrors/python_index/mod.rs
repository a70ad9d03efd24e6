//! Finds the files of locked wheels: `mirror://INDEX/PROJECT/FILENAME` becomes addresses on the index of that name.
//!
//! A lock holds no addresses, so every build asks the project's page (PEP 691 JSON or PEP 503 HTML) where its files
//! are today. This goes through uv's own client and cache, not through a reader of our own: the page that `cognix lock`
//! read minutes ago answers a build without a request, an older one costs one conditional request, and links are
//! understood exactly as they were while resolving. Calls for one project share one request.
//!
//! What comes back are candidates and nothing more. Whoever fetches them checks size and digest against the lock, so
//! asking every index that shares the name `pypi` is safe here, while the resolver must not mix indexes.

mod connection;
#[cfg(test)]
pub(crate) mod fixture_index;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use url::Url;
use uv_normalize::PackageName;

pub(crate) use connection::{Connection, Freshness, ListedFile, PageFailure};
pub(crate) use words::{clean, explain};

use super::package_indexes::{FindLinks, PackageIndexes};
use super::pip_settings::PackageIndexUrl;

/// Why the files of a project cannot be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PythonIndexError {
    /// The folder for downloaded index pages cannot be used.
    #[error("cannot use the package index cache in {path}: {reason}")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What went wrong there.
        reason: String,
    },
    /// The HTTP client cannot be set up; most likely SSL_CERT_FILE, SSL_CERT_DIR or a proxy variable is wrong.
    #[error("cannot set up the connection to the package index: {0}")]
    Setup(String),
    /// The name cannot be one of a Python project.
    #[error("{0:?} is not the name of a Python project")]
    Name(String),
    /// The lock was made with an index that the model does not name any more.
    #[error(
        "the lock has a wheel of the package index {name}, which neither cognix.nix nor the requirement files name (known here: {known}); run `cognix lock`"
    )]
    UnknownIndex {
        /// The index's name.
        name: String,
        /// The names that are known.
        known: String,
    },
    /// No configured index has heard of the project: a private package whose index is not configured here, or one
    /// that was deleted.
    #[error(
        "the package index does not know {project} (asked: {indexes}); set UV_DEFAULT_INDEX or PIP_INDEX_URL to an index that has it"
    )]
    UnknownProject {
        /// The normalised name.
        project: String,
        /// The indexes asked, without credentials.
        indexes: String,
    },
    /// The project is there and the file is not: the release was deleted or replaced.
    #[error(
        "the pinned file {filename} is gone from the package index (asked: {indexes}); run `cognix lock` to choose another"
    )]
    Gone {
        /// The file.
        filename: String,
        /// The indexes asked, without credentials.
        indexes: String,
    },
    /// Not asked, because the network is switched off and the page is not in the cache.
    #[error(
        "the index page of {project} is not in the cache and the network is switched off; run once without --offline"
    )]
    Offline {
        /// The normalised name.
        project: String,
    },
    /// The index did not answer, or not with a project page.
    #[error("cannot read the page of {project} from the package index: {reason}")]
    Unreadable {
        /// The normalised name.
        project: String,
        /// What went wrong, outermost first.
        reason: String,
    },
}

/// A model's package indexes, asked lazily: nothing is opened before the first file is looked for.
pub struct PythonIndex {
    indexes: PackageIndexes,
    cache_dir: PathBuf,
    offline: bool,
    connection: OnceCell<Connection>,
    /// By the index's name and the project's.
    pages: Mutex<BTreeMap<(String, PackageName), SharedPage>>,
}

/// The addresses of a project's files by file name, best index first.
type Page = BTreeMap<String, Vec<Url>>;

/// A page that several calls wait for.
type SharedPage = Arc<OnceCell<Page>>;

impl PythonIndex {
    /// Remembers where to ask; `cache_dir` is the one that the resolver uses, so that pages are shared.
    pub fn new(indexes: PackageIndexes, cache_dir: PathBuf, offline: bool) -> Self {
        Self {
            indexes,
            cache_dir,
            offline,
            connection: OnceCell::new(),
            pages: Mutex::default(),
        }
    }

    /// The indexes that are asked.
    pub fn indexes(&self) -> &PackageIndexes {
        &self.indexes
    }

    /// The addresses from which a file of a project may be fetched, best first, never none. `index` is the name that
    /// the lock knows the index by.
    ///
    /// An address on an index with credentials carries them, so it must not be printed as it is.
    pub async fn locate(
        &self,
        index: &str,
        project: &str,
        filename: &str,
    ) -> Result<Vec<Url>, PythonIndexError> {
        let name: PackageName = project
            .parse()
            .map_err(|_| PythonIndexError::Name(project.to_owned()))?;
        if !self.indexes.names().contains(index) {
            return Err(PythonIndexError::UnknownIndex {
                name: index.to_owned(),
                known: self
                    .indexes
                    .names()
                    .into_iter()
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        }
        let connection = self
            .connection
            .get_or_try_init(|| self.connect(Freshness::Cached))
            .await?;
        let page = {
            let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(pages.entry((index.to_owned(), name.clone())).or_default())
        };
        let page = page
            .get_or_try_init(|| self.page(connection, index, &name))
            .await?;
        if let Some(found) = page.get(filename) {
            return Ok(found.clone());
        }
        // The cached page may be older than the lock, when the lock was made elsewhere a moment ago.
        let connection = self.connect(Freshness::Ask).await?;
        let mut page = self.page(&connection, index, &name).await?;
        page.remove(filename).ok_or_else(|| PythonIndexError::Gone {
            filename: filename.to_owned(),
            indexes: self.indexes.to_string(),
        })
    }

    /// The names of all files that an index has of a project.
    pub async fn files(&self, index: &str, project: &str) -> Result<Vec<String>, PythonIndexError> {
        let name: PackageName = project
            .parse()
            .map_err(|_| PythonIndexError::Name(project.to_owned()))?;
        let connection = self
            .connection
            .get_or_try_init(|| self.connect(Freshness::Cached))
            .await?;
        let page = self.page(connection, index, &name).await?;
        Ok(page.into_keys().collect())
    }

    async fn connect(&self, freshness: Freshness) -> Result<Connection, PythonIndexError> {
        let undated = BTreeSet::new();
        let Self {
            indexes,
            cache_dir,
            offline,
            ..
        } = self;
        Connection::open(indexes, cache_dir, *offline, freshness, &undated).await
    }

    /// What all places of one name say about a project; a place that does not answer is no harm if another does.
    async fn page(
        &self,
        connection: &Connection,
        index: &str,
        name: &PackageName,
    ) -> Result<Page, PythonIndexError> {
        let mut page = Page::new();
        let mut failure = None;
        let mut add =
            |answer: Result<Vec<ListedFile>, PageFailure>, place: &PackageIndexUrl| match answer {
                Ok(files) => self.add(&mut page, files, place),
                Err(PageFailure::Unknown) => {}
                Err(error) => failure = Some(error),
            };
        for place in self.indexes.iter().filter(|place| place.name == index) {
            add(connection.page(place, name).await, &place.url);
        }
        for links in self.indexes.find_links() {
            if let FindLinks::Page { name: own, url } = links
                && own == index
            {
                add(connection.linked(links, name).await, url);
            }
        }
        let project = name.to_string();
        match failure {
            _ if !page.is_empty() => Ok(page),
            None | Some(PageFailure::Unknown) => Err(PythonIndexError::UnknownProject {
                project,
                indexes: self.indexes.to_string(),
            }),
            Some(PageFailure::Offline) => Err(PythonIndexError::Offline { project }),
            Some(PageFailure::Refused(refusal)) => Err(PythonIndexError::Unreadable {
                project,
                reason: refusal.to_string(),
            }),
            Some(PageFailure::Other(reason)) => {
                Err(PythonIndexError::Unreadable { project, reason })
            }
        }
    }

    fn add(&self, page: &mut Page, files: Vec<ListedFile>, place: &PackageIndexUrl) {
        for ListedFile {
            filename, mut url, ..
        } in files
        {
            // The index's own credentials before those of another one on the same host.
            place.authorise(&mut url);
            self.indexes.authorise(&mut url);
            page.entry(filename).or_default().push(url);
        }
    }
}
