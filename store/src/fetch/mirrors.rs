//! Where files really are.

use std::error::Error;
use std::pin::Pin;

use url::Url;

/// A future that can be named.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Turns the URLs of locks and derivations into those of real servers.
///
/// `mirror://NAME/…` is the file of that name at any of the mirrors of NAME, in order of preference. Every other URL stands
/// for itself, and other ones may follow. The answer may change from day to day; the bytes behind it may not.
pub trait Mirrors: Send + Sync {
    /// The places to try, best first.
    fn candidates<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<Url>, MirrorError>>;
}

/// No place is known for a URL.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Nobody has said where this mirror is.
    #[error("no address is configured for {mirror}; {advice}")]
    NotConfigured {
        /// The mirror, as in `mirror://NAME`.
        mirror: String,
        /// Which setting is missing.
        advice: String,
    },
    /// The mirror's index could not be asked.
    #[error("{mirror} could not be asked for {file}")]
    Failed {
        /// The mirror, as in `mirror://NAME`.
        mirror: String,
        /// What was wanted of it.
        file: String,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The mirror's index does not have the file.
    #[error("{mirror} does not have {file}")]
    Missing {
        /// The mirror, as in `mirror://NAME`.
        mirror: String,
        /// What was wanted of it.
        file: String,
    },
    /// Not a URL, or one that leads nowhere.
    #[error("{url:?} is not a usable URL: {reason}")]
    Invalid {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Knows no mirrors: URLs stand for themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct DirectOnly;

impl Mirrors for DirectOnly {
    fn candidates<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<Url>, MirrorError>> {
        Box::pin(async move { direct(url).map(|url| vec![url]) })
    }
}

fn direct(text: &str) -> Result<Url, MirrorError> {
    let url = Url::parse(text).map_err(|error| MirrorError::Invalid {
        url: text.to_owned(),
        reason: error.to_string(),
    })?;
    match url.scheme() {
        "mirror" => Err(MirrorError::NotConfigured {
            mirror: format!("mirror://{}", url.host_str().unwrap_or_default()),
            advice: "mirrors are not known here".to_owned(),
        }),
        _ => Ok(url),
    }
}
