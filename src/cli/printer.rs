//! The only place that writes to the terminal: results to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Format {
    /// For people; `nix` is another word for it.
    #[default]
    #[value(alias = "nix")]
    Text,
    /// For programs: one JSON document with a version.
    Json,
}

/// How much is said beside the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Progress and warnings.
    Normal,
    /// A line for every step.
    Verbose,
}

/// What may be written, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer {
    /// The form of results.
    pub(super) format: Format,
    /// The amount of other messages.
    pub(super) verbosity: Verbosity,
}

impl Printer {
    /// Writes a result: the text, or the value as JSON.
    pub(super) fn result<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match self.format {
            Format::Text => stdout.write_all(text().as_bytes())?,
            Format::Json => {
                serde_json::to_writer_pretty(&mut stdout, value)?;
                stdout.write_all(b"\n")?;
            }
        }
        stdout.flush()
    }

    /// Writes bytes that are a result by themselves.
    pub(super) fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    /// Says something that is not a result.
    pub(super) fn note(&self, text: impl std::fmt::Display) {
        if self.verbosity >= Verbosity::Normal {
            self.error(text);
        }
    }

    /// Says something that only a curious user wants to know.
    pub(super) fn detail(&self, text: impl std::fmt::Display) {
        if self.is_verbose() {
            self.error(text);
        }
    }

    /// Whether [`Self::detail`] says anything.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbosity >= Verbosity::Verbose
    }

    /// Says something that is said even when quiet.
    pub(super) fn error(&self, text: impl std::fmt::Display) {
        // A closed standard error leaves nowhere to complain to.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Whether progress bars may be drawn.
    pub(super) fn draws(&self) -> bool {
        self.verbosity == Verbosity::Normal && io::stderr().is_terminal()
    }
}

/// A size as people read it: `33.8 MB`.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
