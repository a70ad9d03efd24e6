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
//! | 101 | a build took longer, or used more, than it may |
//! | 102 | content does not have the hash that was promised, or is not signed by a trusted key |
//! | 104 | the same derivation gave two results |
//! | 130 | interrupted |
//!
//! `exec` ends with the status of the command it ran.

use std::error::Error;
use std::fmt;

use cognix_store::ErrorKind;

/// The most lines that a failure is told in: what is longer scrolls its own beginning away.
const MAX_LINES: usize = 20;

/// How many of these are for its end.
const LAST_LINES: usize = 7;

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

    /// The text in at most [`MAX_LINES`] lines. What is left out stands in the middle: a message begins with what is
    /// wrong, and ends with the conclusion and the hints.
    pub(super) fn shortened(&self) -> String {
        let text = self.to_string();
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() <= MAX_LINES {
            return text;
        }
        let (first, last) = (MAX_LINES - LAST_LINES - 1, LAST_LINES);
        let left_out = lines.len() - first - last;
        let gap = format!("  … {left_out} lines left out; --verbose shows them");
        let (head, tail) = (&lines[..first], &lines[lines.len() - last..]);
        [head, &[gap.as_str()], tail].concat().join("\n")
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

/// The error, its causes and the hints, a line each. `{:#}` asks for all that an error has to say.
impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = match formatter.alternate() {
            true => format!("{:#}", self.error),
            false => self.error.to_string(),
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_failures_keep_their_beginning_and_their_end() {
        let lines: Vec<String> = (1..=50).map(|line| format!("line {line}")).collect();
        let failure = Failure::new(ErrorKind::Input, lines.join("\n")).hint("do this");
        let short = failure.shortened();
        let short: Vec<&str> = short.lines().collect();
        assert_eq!(short.len(), MAX_LINES);
        assert_eq!(short[0], "error: line 1");
        assert_eq!(short[12], "  … 32 lines left out; --verbose shows them");
        assert_eq!(short[13], "line 45");
        assert_eq!(short[19], "  hint: do this");
        assert_eq!(failure.to_string().lines().count(), 51);
    }

    #[test]
    fn short_failures_are_told_whole() {
        let lines = ["line"; MAX_LINES].join("\n");
        let failure = Failure::new(ErrorKind::Input, lines);
        assert_eq!(failure.shortened(), failure.to_string());
    }
}
