//! What long operations tell while they run.
//!
//! The store prints nothing. Whoever wants to show progress passes an [`EventSink`]; printer, progress bars and JSON are
//! consumers of the same events. Events are hints for people: results never depend on them.

use std::path::PathBuf;
use std::time::Duration;

use cognix_derivations::StorePath;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// What is going to be done. Comes once per run, before everything else.
    Planned {
        /// Derivations that the targets stand on, themselves included.
        derivations: usize,
        /// Of these, those that need not be looked at again.
        cached: usize,
        /// Files to download.
        fetches: usize,
        /// Their sizes together, as far as these are known.
        fetch_bytes: u64,
        /// Derivations to build, downloads not counted.
        builds: usize,
    },
    /// A download begins.
    FetchStarted {
        /// The derivation that asks for the file.
        derivation: StorePath,
        /// Its name.
        name: String,
        /// From where, without credentials.
        url: String,
        /// How long the file is, where known.
        size: Option<u64>,
    },
    /// More of a file has arrived. Comes a few times per second at most.
    FetchProgress {
        /// The derivation that asks for the file.
        derivation: StorePath,
        /// How much of the file is there; can become smaller when a server makes us start over.
        received: u64,
        /// How long the file is, where known.
        size: Option<u64>,
    },
    /// A request failed in a way that may pass.
    FetchRetry {
        /// The derivation that asks for the file.
        derivation: StorePath,
        /// Its name.
        name: String,
        /// From where, without credentials.
        url: String,
        /// What happened.
        reason: String,
        /// How long to wait before the next try.
        wait: Duration,
    },
    /// A source is given up, and the next one is asked.
    FetchRejected {
        /// The derivation that asks for the file.
        derivation: StorePath,
        /// Its name.
        name: String,
        /// From where, without credentials.
        url: String,
        /// What happened.
        reason: String,
    },
    /// A file has arrived and is what it should be.
    FetchDone {
        /// The derivation that asked for the file.
        derivation: StorePath,
        /// Its name.
        name: String,
        /// How many bytes the network carried for it in this run.
        bytes: u64,
    },
    /// A build begins.
    BuildStarted {
        /// The derivation.
        derivation: StorePath,
        /// Its name.
        name: String,
    },
    /// A builder says something.
    BuildLog {
        /// The derivation.
        derivation: StorePath,
        /// Its name.
        name: String,
        /// One line, fit to be shown: without control characters, and not too long.
        line: String,
    },
    /// A build has ended and its outputs are valid.
    BuildDone {
        /// The derivation.
        derivation: StorePath,
        /// Its name.
        name: String,
        /// How long it took.
        elapsed: Duration,
    },
    /// A download or build has failed. No new one starts.
    BuildFailed {
        /// The derivation.
        derivation: StorePath,
        /// Its name.
        name: String,
        /// Why, in one line.
        reason: String,
    },
    /// The derivation need not be built: with its inputs resolved, it is one that was built before.
    BuildCached {
        /// The derivation.
        derivation: StorePath,
        /// Its name.
        name: String,
    },
    /// Another process makes this path; we wait for it.
    WaitingForLock {
        /// The lock file.
        path: PathBuf,
    },
    /// Another process writes to the database; we wait for it.
    WaitingForDatabase {
        /// The database.
        path: PathBuf,
    },
}

/// Receives events, from many threads. Must return quickly: the one who tells waits for it.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: Event);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl EventSink for Silent {
    fn emit(&self, _event: Event) {}
}

/// Keeps all events, for tests.
#[cfg(any(test, feature = "fixtures"))]
#[derive(Debug, Default)]
pub struct Recorder(std::sync::Mutex<Vec<Event>>);

#[cfg(any(test, feature = "fixtures"))]
impl Recorder {
    /// Everything so far, in order of arrival.
    pub fn events(&self) -> Vec<Event> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

#[cfg(any(test, feature = "fixtures"))]
impl EventSink for Recorder {
    fn emit(&self, event: Event) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(event);
    }
}
