//! What can go wrong between an archive and a list of packages.

use std::path::PathBuf;

use cognix_derivations::Sha256;
use cognix_store::ErrorKind;

/// Why Debian packages cannot be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DebianError {
    /// The archive could not be read: no network, a server in trouble, or an address that serves no archive.
    #[error("cannot fetch {path} of input `{input}` from {base}")]
    Fetch {
        /// The input's name.
        input: String,
        /// The address it stands for.
        base: String,
        /// The path below that address.
        path: String,
        /// What the network said.
        #[source]
        source: ArchiveError,
    },
    /// The archive has no such file. For a release file: the address is no Debian archive, or has no such suite.
    #[error(
        "input `{input}` has no {path} at {base}; check the address of the input and the name of the suite"
    )]
    Missing {
        /// The input's name.
        input: String,
        /// The address it stands for.
        base: String,
        /// The path below that address.
        path: String,
    },
    /// Nothing of this suite was fetched before, and the network may not be used.
    #[error("{what} of suite `{suite}` was never fetched; lock once without --offline")]
    Offline {
        /// The suite.
        suite: String,
        /// The release file or an index.
        what: &'static str,
    },
    /// The release file is not one clear-signed text. A captive portal or a proxy answers with web pages.
    #[error("{release} is not a clear-signed release file: {reason}")]
    NotSigned {
        /// Input and suite.
        release: String,
        /// What stands there instead.
        reason: String,
    },
    /// No signature of a trusted key covers the text: a changed file, an unknown archive, or keys too old.
    #[error("{release} is not signed by a trusted key: {}", attempts.join("; "))]
    Untrusted {
        /// Input and suite.
        release: String,
        /// One line per signature, saying why it does not count.
        attempts: Vec<String>,
    },
    /// The keys that are trusted cannot be read.
    #[error("the ring of trusted Debian keys is unusable: {0}")]
    Keyring(String),
    /// The release file says that it is too old to be used. The mirror is stale, or an attacker holds updates back.
    #[error(
        "{release} expired on {valid_until}; the mirror is out of date, or this machine's clock is wrong"
    )]
    Expired {
        /// Input and suite.
        release: String,
        /// Its last day.
        valid_until: String,
    },
    /// The release file comes from the future: the machine's clock is wrong.
    #[error("{release} was made on {date}, which is in the future; check this machine's clock")]
    FromTheFuture {
        /// Input and suite.
        release: String,
        /// When it says it was made.
        date: String,
    },
    /// An older release file than the one seen before: a mirror that lags, or a replay of an old state.
    #[error(
        "{release} went back in time: made on {found}, but {seen} was seen before; try again or use another mirror"
    )]
    BackInTime {
        /// Input and suite.
        release: String,
        /// When the served one was made.
        found: String,
        /// When the newest known one was made.
        seen: String,
    },
    /// The release file lacks something that was asked for, or does not have the form of one.
    #[error("{release}: {field} is `{found}`, expected {expected}")]
    Release {
        /// Input and suite.
        release: String,
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What is needed.
        expected: String,
    },
    /// The release file says nothing about an index that every archive has.
    #[error("{release} lists no {path}")]
    Unlisted {
        /// Input and suite.
        release: String,
        /// The index.
        path: String,
    },
    /// A file has other bytes than its signed parent promises: a broken or half-updated mirror, or tampering.
    #[error(
        "{path} of {release} does not match its release file: expected {expected}, got {actual}"
    )]
    Mismatch {
        /// Input and suite.
        release: String,
        /// The file.
        path: String,
        /// Size and hash in the release file.
        expected: FileSum,
        /// Size and hash of what was served; a file that is longer than promised is not read to its end.
        actual: FileSum,
    },
    /// A web page where an index is due: a login page or a proxy's apology.
    #[error("{path} of {release} is a web page; a proxy or a login page may stand in between")]
    WebPage {
        /// Input and suite.
        release: String,
        /// The file.
        path: String,
    },
    /// A compressed index that does not decompress.
    #[error("{path} of {release} cannot be decompressed: {source}")]
    Compression {
        /// Input and suite.
        release: String,
        /// The file.
        path: String,
        /// What the decompressor said.
        #[source]
        source: std::io::Error,
    },
    /// A stanza of a signed index that makes no sense; this is a defect of the archive or of cognix.
    #[error("{index}: package {package} has an unusable {field}: {found}")]
    Stanza {
        /// Suite and component.
        index: String,
        /// The package, quoted.
        package: String,
        /// The field.
        field: &'static str,
        /// Its value, quoted.
        found: String,
    },
    /// A line of `system_packages` that is not a package name.
    #[error("`{request}` is not the name of a Debian package: {reason}")]
    Request {
        /// The line.
        request: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An image holds packages of one architecture, and of all.
    #[error(
        "`{request}` is for another architecture: the image is {architecture}; leave `:{asked}` out"
    )]
    OtherArchitecture {
        /// The line.
        request: String,
        /// The architecture of the line.
        asked: String,
        /// The image's architecture.
        architecture: String,
    },
    /// The package exists, but not in this suite, or the suite is none of those that are read.
    #[error(
        "no Debian package `{name}` in suite `{suite}`; {}",
        suites_with(available, suites)
    )]
    NotInSuite {
        /// The package.
        name: String,
        /// The suite that was asked for.
        suite: String,
        /// The suites that were read.
        suites: String,
        /// Its versions and where they are.
        available: Vec<String>,
    },
    /// No suite has a package of this name.
    #[error("no Debian package `{name}` in {suites}{}", did_you_mean(suggestions))]
    UnknownPackage {
        /// The name.
        name: String,
        /// The suites that were searched.
        suites: String,
        /// The nearest names.
        suggestions: Vec<String>,
    },
    /// The package exists, but not in this version. After an update archives keep only the new version.
    #[error("no version `{version}` of Debian package `{name}` in {suites}; there is {}", available.join(", "))]
    UnknownVersion {
        /// The package.
        name: String,
        /// The version asked for.
        version: String,
        /// The suites that were searched.
        suites: String,
        /// The versions that exist.
        available: Vec<String>,
    },
    /// A virtual package with several providers: only the user can choose.
    #[error("`{name}` is a virtual package; name one that provides it: {}", providers.join(", "))]
    VirtualPackage {
        /// The name.
        name: String,
        /// The packages that provide it.
        providers: Vec<String>,
    },
    /// The requests cannot all be met; each line is one link of the reason.
    #[error("the Debian packages cannot be installed together: {}", reasons.join("; "))]
    Unsatisfiable {
        /// What depends on what, from a request down to the obstacle.
        reasons: Vec<String>,
    },
    /// The cache could not be written or read.
    #[error("cannot use the cache of Debian indexes: {path}")]
    Cache {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A thread that does the work ended without an answer.
    #[error("reading Debian indexes was interrupted")]
    Interrupted,
}

impl DebianError {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Fetch { .. }
            | Self::Missing { .. }
            | Self::Offline { .. }
            | Self::WebPage { .. }
            | Self::Expired { .. }
            | Self::FromTheFuture { .. }
            | Self::BackInTime { .. } => ErrorKind::Unavailable,
            Self::NotSigned { .. } | Self::Untrusted { .. } | Self::Mismatch { .. } => {
                ErrorKind::Hash
            }
            Self::Keyring(_) => ErrorKind::Configuration,
            Self::Release { .. }
            | Self::Unlisted { .. }
            | Self::Compression { .. }
            | Self::Stanza { .. }
            | Self::Request { .. }
            | Self::UnknownPackage { .. }
            | Self::UnknownVersion { .. }
            | Self::OtherArchitecture { .. }
            | Self::NotInSuite { .. }
            | Self::VirtualPackage { .. }
            | Self::Unsatisfiable { .. } => ErrorKind::Input,
            Self::Cache { .. } => ErrorKind::Io,
            Self::Interrupted => ErrorKind::Interrupted,
        }
    }
}

/// Why a file of an archive did not arrive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// No address is known for the input.
    #[error("no address is configured")]
    NoAddress,
    /// The connection failed or broke off.
    #[error("the connection failed")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server answered with an error.
    #[error("the server answered {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is longer than it may be. For an index, the release file says how long it is.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The most that was accepted.
        limit: u64,
    },
}

/// Size and hash of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSum {
    /// Bytes.
    pub size: u64,
    /// Their hash.
    pub sha256: Sha256,
}

impl FileSum {
    /// The sum of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            size: bytes.len() as u64,
            sha256: Sha256::of(bytes),
        }
    }
}

impl std::fmt::Display for FileSum {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} bytes with sha256 {}", self.size, self.sha256)
    }
}

/// Text from outside for a message: escaped, in backticks, at most 80 characters.
pub(super) fn quoted(text: &str) -> String {
    let mut escaped = text
        .chars()
        .take(80)
        .flat_map(char::escape_debug)
        .collect::<String>();
    if text.chars().nth(80).is_some() {
        escaped.push('…');
    }
    format!("`{escaped}`")
}

fn suites_with(available: &[String], suites: &str) -> String {
    match available {
        [] => format!("the suites that are read are {suites}"),
        _ => format!("there is {}", available.join(", ")),
    }
}

fn did_you_mean(suggestions: &[String]) -> String {
    match suggestions {
        [] => String::new(),
        _ => format!("; did you mean {}?", suggestions.join(", ")),
    }
}
