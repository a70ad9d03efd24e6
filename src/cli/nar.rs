//! `cognix nar`: Nix archives of any file tree, without a store.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;
use cognix_store::{ErrorKind, nar};
use serde::Serialize;

use super::Failure;
use super::printer::Printer;

#[derive(Debug, Subcommand)]
pub(super) enum NarCommand {
    /// Write a file tree as a Nix archive to standard output.
    Dump {
        /// The tree: a file, folder or link.
        path: PathBuf,
    },
    /// Make a file tree from the Nix archive on standard input.
    Restore {
        /// What to make; must not exist.
        path: PathBuf,
    },
    /// Print the SHA-256 of a file tree's Nix archive.
    Hash {
        /// The tree: a file, folder or link.
        path: PathBuf,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NarHash {
    version: u32,
    nar_hash: String,
    nar_size: u64,
}

impl NarCommand {
    pub(super) fn run(self, printer: Printer) -> Result<(), Failure> {
        match self {
            Self::Dump { path } => {
                // Unbuffered: the writer sends whole blocks of a file at a time.
                let mut stdout =
                    File::from(rustix::io::dup(io::stdout()).map_err(io::Error::from)?);
                nar::dump(&path, &mut stdout).map_err(|error| failure(error, ErrorKind::Io))?;
                Ok(stdout.flush()?)
            }
            Self::Restore { path } => {
                let mut stdin = io::stdin().lock();
                nar::restore(&mut stdin, &path).map_err(|error| failure(error, ErrorKind::Input))
            }
            Self::Hash { path } => {
                let (hash, size) =
                    nar::hash(&path).map_err(|error| failure(error, ErrorKind::Io))?;
                let value = NarHash {
                    version: 1,
                    nar_hash: hash.to_sri(),
                    nar_size: size,
                };
                Ok(printer.result(&value, || format!("{}\n", value.nar_hash))?)
            }
        }
    }
}

fn failure(error: impl std::error::Error + Send + Sync + 'static, kind: ErrorKind) -> Failure {
    Failure::new(kind, error)
}
