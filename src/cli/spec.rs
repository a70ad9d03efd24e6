//! `cognix spec`: looks at a project's `cognix.nix`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use cognix_store::ErrorKind;
use serde::Serialize;

use super::Failure;
use super::printer::Printer;
use super::project::{Work, pipeline_failure};
use crate::pipeline::{self, SpecCheck};
use crate::spec::{Branch, SpecError};

#[derive(Debug, Subcommand)]
pub(super) enum SpecCommand {
    /// Check cognix.nix: every image, package and override, with types and unknown keys.
    ///
    /// What depends on locked versions is checked where there is a lock.
    Check(SpecArgs),
    /// Show what cognix.nix makes, as a tree.
    Show(SpecArgs),
}

#[derive(Debug, Args)]
pub(super) struct SpecArgs {
    /// The project's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// What `check` found, as JSON.
#[derive(Serialize)]
struct Checked {
    version: u32,
    mistakes: Vec<Mistake>,
}

#[derive(Serialize)]
struct Mistake {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    message: String,
}

/// The tree, as JSON.
#[derive(Serialize)]
struct Shown {
    version: u32,
    spec: Branch,
}

impl SpecCommand {
    pub(super) fn run(&self, printer: Printer) -> Result<u8, Failure> {
        match self {
            Self::Check(args) => args.check(printer),
            Self::Show(args) => args.show(printer).map(|()| 0),
        }
    }
}

impl SpecArgs {
    fn check(&self, printer: Printer) -> Result<u8, Failure> {
        let checked = Work::new()?
            .evaluation(|cancelled| pipeline::check_spec(&self.dir, cancelled))
            .map_err(pipeline_failure)?;
        let SpecCheck {
            mistakes,
            images,
            is_locked,
        } = checked;
        let result = Checked {
            version: 1,
            mistakes: mistakes.iter().map(Mistake::from).collect(),
        };
        printer.result(&result, || match mistakes.as_slice() {
            [] => format!(
                "{} is right: {images} image{}\n",
                crate::spec::FILE_NAME,
                if images == 1 { "" } else { "s" }
            ),
            mistakes => mistakes
                .iter()
                .map(|mistake| format!("{mistake}\n"))
                .collect(),
        })?;
        if !is_locked {
            printer.note("what depends on locked versions was not looked at: there is no lock yet");
        }
        match mistakes.is_empty() {
            true => Ok(0),
            false => Ok(ErrorKind::Configuration.exit_code()),
        }
    }

    fn show(&self, printer: Printer) -> Result<(), Failure> {
        let spec = Work::new()?
            .evaluation(|cancelled| pipeline::show_spec(&self.dir, cancelled))
            .map_err(pipeline_failure)?;
        let text = format!("{}\n", spec.drawn());
        Ok(printer.result(&Shown { version: 1, spec }, || text)?)
    }
}

impl From<&SpecError> for Mistake {
    fn from(error: &SpecError) -> Self {
        let place = error.place.as_ref();
        Self {
            file: place.map(|(file, _, _)| file.clone()),
            line: place.map(|(_, line, _)| *line),
            column: place.map(|(_, _, column)| *column),
            message: error.message(),
        }
    }
}
