//! `--find-links`: pages, and folders of the project, that hold links to files.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use super::{Discovery, ModelIndexes, Origin, PackageIndexUrl, PackageIndexesError};
use crate::mirrors::python_index::clean;

/// A place with links to files of any project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindLinks {
    /// A web page.
    Page {
        /// The name that a lock knows it by.
        name: String,
        /// Where it is.
        url: PackageIndexUrl,
    },
    /// A folder of the project.
    Folder {
        /// As a requirement file writes it.
        written: String,
        /// Where it really is.
        path: PathBuf,
    },
}

impl FindLinks {
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Page { name, .. } => Some(name),
            Self::Folder { .. } => None,
        }
    }

    pub(crate) fn url(&self) -> Option<&PackageIndexUrl> {
        match self {
            Self::Page { url, .. } => Some(url),
            Self::Folder { .. } => None,
        }
    }
}

impl fmt::Display for FindLinks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page { url, .. } => write!(formatter, "{url}"),
            Self::Folder { written, .. } => write!(formatter, "the folder {written}"),
        }
    }
}

pub(super) fn of_model(
    model: &ModelIndexes,
    discovery: &mut Discovery<'_>,
) -> Result<Vec<FindLinks>, PackageIndexesError> {
    let links = model.find_links.iter().map(|text| {
        let text = text.trim();
        if text.contains("://") || text.starts_with("file:") {
            page(text, discovery)
        } else {
            folder(text, &model.root)
        }
    });
    links.collect()
}

fn refuse(text: &str, reason: impl Into<String>) -> PackageIndexesError {
    PackageIndexesError::FindLinks {
        value: clean(text),
        reason: reason.into(),
    }
}

fn page(text: &str, discovery: &mut Discovery<'_>) -> Result<FindLinks, PackageIndexesError> {
    let parsed = Url::parse(text).map_err(|error| refuse(text, error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        let reason = "only http and https addresses and folders of the project can be used";
        return Err(refuse(text, reason));
    }
    let written = PackageIndexUrl::parse(text, &Origin::Requirements)?;
    let name = discovery.names.of(written.url());
    let found = discovery.address(&name, Some((text, Origin::Requirements)))?;
    let url = found.map_or(written, |(url, _)| url);
    Ok(FindLinks::Page { name, url })
}

fn folder(text: &str, root: &Path) -> Result<FindLinks, PackageIndexesError> {
    let unreadable = |error: std::io::Error| refuse(text, error.to_string());
    let root = root.canonicalize().map_err(unreadable)?;
    let path = root.join(text).canonicalize().map_err(unreadable)?;
    if !path.starts_with(&root) {
        return Err(refuse(
            text,
            "it is outside the project; copy it into the project",
        ));
    }
    if !path.is_dir() {
        return Err(refuse(text, "it is not a folder"));
    }
    Ok(FindLinks::Folder {
        written: text.to_owned(),
        path,
    })
}
