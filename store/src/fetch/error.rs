//! Why a file could not be had.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use cognix_derivations::NixHash;

use super::MirrorError;
use crate::realise::ErrorKind;

/// A download failed. URLs in messages carry neither users nor queries.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The source serves other bytes than the lock promises: a moved release, a broken mirror or tampering. Nothing was
    /// admitted to the store.
    #[error("{url} does not have the locked content: expected {}, got {}", expected.to_sri(), actual.to_sri())]
    Mismatch {
        /// The source.
        url: String,
        /// What the lock says.
        expected: NixHash,
        /// What came.
        actual: NixHash,
    },
    /// The source serves a file of another size than the lock promises, so it is not worth downloading.
    #[error("{url} does not have the locked size: expected {expected} bytes, got {actual}")]
    Size {
        /// The source.
        url: String,
        /// What the lock says.
        expected: u64,
        /// What was announced, or what had come when it was too much.
        actual: u64,
    },
    /// A web page came where a file is due: a login page, a proxy's error page, a moved project.
    #[error("{url} answers with a web page instead of the file: {start:?}")]
    WebPage {
        /// The source.
        url: String,
        /// How the page begins.
        start: String,
    },
    /// The server does not have the file, or does not give it to us.
    #[error("{url} answers {status}")]
    Status {
        /// The source.
        url: String,
        /// Number and words.
        status: reqwest::StatusCode,
    },
    /// No connection, no answer, a broken connection, too many redirects.
    #[error("{url} cannot be read")]
    Request {
        /// The source.
        url: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// The server is not who it says, or a private authority vouches for it.
    #[error(
        "{url} has a certificate that this machine does not trust; if it is a private authority's, name that in SSL_CERT_FILE"
    )]
    Certificate {
        /// The source.
        url: String,
        /// What is wrong with the certificate.
        source: reqwest::Error,
    },
    /// The file ended too early, again and again.
    #[error("{url} ends after {actual} of {expected} bytes")]
    Truncated {
        /// The source.
        url: String,
        /// How long the file should be.
        expected: u64,
        /// How much of it came.
        actual: u64,
    },
    /// A server answers a request for a part with another part.
    #[error("{url} answers a request for the bytes from {expected} with {actual:?}")]
    Range {
        /// The source.
        url: String,
        /// The first byte that was asked for.
        expected: u64,
        /// What the server says it sends.
        actual: String,
    },
    /// A `file://` source cannot be read.
    #[error("{} cannot be read", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A scheme that nobody speaks here.
    #[error("{url} cannot be fetched: only http, https and file are supported")]
    Scheme {
        /// The source.
        url: String,
    },
    /// The source has sent wrong content for another file before.
    #[error("{url} was not asked, because this source has sent wrong content in this run")]
    Distrusted {
        /// The source.
        url: String,
    },
    /// Nobody says where the file is.
    #[error("{name} has no source")]
    NoSource {
        /// The file.
        name: String,
    },
    /// Where the file is could not be found out.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// Every source failed.
    #[error("no source has {name}: {}", failures.iter().map(Self::with_sources).collect::<Vec<_>>().join("; "))]
    AllFailed {
        /// The file.
        name: String,
        /// What happened with each source, in order. At least two.
        failures: Vec<Self>,
    },
    /// The TLS settings of this machine cannot be used; most often it has no certificates at all.
    #[error(
        "downloads are not possible here: check the machine's certificates, or SSL_CERT_FILE and SSL_CERT_DIR"
    )]
    Client {
        /// What happened.
        source: reqwest::Error,
    },
    /// Our own disk failed.
    #[error("cannot write {}", path.display())]
    Disk {
        /// The file that was written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody asked to stop. What has arrived stays for the next run.
    #[error("interrupted")]
    Cancelled,
}

impl FetchError {
    /// Whether every source answered and none has the file any more.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status.as_u16(), 404 | 410),
            Self::Mirror(MirrorError::Missing { .. }) => true,
            Self::AllFailed { failures, .. } => failures.iter().all(Self::is_gone),
            _ => false,
        }
    }

    /// Which kind of failure this is, for exit codes.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Mismatch { .. } | Self::Size { .. } => ErrorKind::Hash,
            Self::AllFailed { failures, .. } => {
                if failures
                    .iter()
                    .any(|failure| failure.kind() == ErrorKind::Hash)
                {
                    ErrorKind::Hash
                } else {
                    ErrorKind::Unavailable
                }
            }
            Self::Mirror(MirrorError::NotConfigured { .. }) | Self::Client { .. } => {
                ErrorKind::Configuration
            }
            Self::Mirror(MirrorError::Invalid { .. }) | Self::Scheme { .. } => ErrorKind::Input,
            Self::Disk { .. } => ErrorKind::Io,
            Self::Cancelled => ErrorKind::Interrupted,
            _ => ErrorKind::Unavailable,
        }
    }

    /// Whether no other source can help.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Disk { .. } | Self::Cancelled | Self::Client { .. }
        )
    }

    /// Whether the source claims to have the file but has something else.
    pub(super) fn is_wrong_content(&self) -> bool {
        matches!(self, Self::Mismatch { .. } | Self::Size { .. })
    }

    pub(super) fn of_failures(name: &str, mut failures: Vec<Self>) -> Self {
        match failures.len() {
            0 => Self::NoSource {
                name: name.to_owned(),
            },
            1 => failures.remove(0),
            _ => Self::AllFailed {
                name: name.to_owned(),
                failures,
            },
        }
    }

    /// The message with those of its causes, for lists and events, where causes are not printed one by one.
    pub(super) fn with_sources(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let words = error.to_string();
            if !text.ends_with(&words) {
                text.push_str(": ");
                text.push_str(&words);
            }
            cause = error.source();
        }
        text
    }
}
