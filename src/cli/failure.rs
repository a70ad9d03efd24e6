//! The one error type at the edge: what kind of failure, the chain of causes, and what the user can do.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 2 | wrong use of the command line |
//! | 65 | bad input: a package that does not exist, requirements that contradict each other, a broken archive |
//! | 69 | a source is unavailable: no index, no mirror, a pinned file is gone |
//! | 70 | a defect in cognix |
//! | 74 | disk or input/output error |
//! | 77 | missing rights |
//! | 78 | configuration: `cog.yaml`, `cognix.nix`, a missing or stale lock |
//! | 100 | a build failed |
//! | 102 | content does not have the hash that was promised, or is not signed by a trusted key |
//! | 104 | the same derivation gave two results |
//! | 130 | interrupted |
//!
//! `exec` ends with the status of the command it ran.

use std::error::Error;
use std::fmt;

use cognix_store::ErrorKind;

/// An error on its way out of the program.
#[derive(Debug)]
pub struct Failure {
    kind: ErrorKind,
    error: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: ErrorKind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind,
            error: error.into(),
            hints: Vec::new(),
        }
    }

    /// Adds a line that the user can act on.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The exit status.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::PermissionDenied => ErrorKind::Rights,
            _ => ErrorKind::Io,
        };
        Self::new(kind, error)
    }
}

/// The error, its causes and the hints, a line each.
impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.error.to_string();
        write!(formatter, "error: {last}")?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries repeat the cause in their own message; saying it twice helps nobody.
            if !last.contains(&text) {
                write!(formatter, "\n  caused by: {text}")?;
                last = text;
            }
            cause = error.source();
        }
        for hint in &self.hints {
            write!(formatter, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}
