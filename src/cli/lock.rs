//! `cognix lock`: exact versions of everything.

use std::sync::Arc;

use clap::Args;

use super::Failure;
use super::printer::{Printer, size};
use super::progress::Progress;
use super::project::{OpenProject, ProjectArgs, Work};
use crate::lock::{FILE_NAME, Lock};
use crate::pipeline::LockOptions;

/// Choose exact versions of everything the model needs and write cognix.lock.
#[derive(Debug, Args)]
pub(super) struct LockArgs {
    #[command(flatten)]
    project: ProjectArgs,
    /// Choose anew even where the lock is current, and take the newest versions.
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    choice: ChoiceArgs,
}

/// How versions are chosen.
#[derive(Debug, Clone, Args)]
pub(super) struct ChoiceArgs {
    /// Leave out Python packages uploaded after this date or moment [default: the start of today, UTC].
    #[arg(long, value_name = "DATE")]
    exclude_newer: Option<String>,
    /// Ask no network: choose from what earlier runs have left in the cache.
    #[arg(long)]
    offline: bool,
}

impl LockArgs {
    pub(super) fn run(&self, printer: Printer) -> Result<(), Failure> {
        let project = self.project.open(printer)?;
        let previous = project.read_lock()?;
        if let Some(lock) = &previous
            && !self.update
            && project.check_current(lock).is_ok()
        {
            printer.note(format!("{FILE_NAME} is current"));
            return report(printer, lock);
        }
        let lock = make(
            &project,
            printer,
            previous.filter(|_| !self.update),
            &self.choice,
        )?;
        report(printer, &lock)
    }
}

/// Resolves and writes the lock.
pub(super) fn make(
    project: &OpenProject,
    printer: Printer,
    previous: Option<Lock>,
    choice: &ChoiceArgs,
) -> Result<Lock, Failure> {
    let work = Work::new()?;
    let progress = Arc::new(Progress::new(printer));
    let mirrors = project.mirrors(choice.offline)?;
    let options = LockOptions {
        previous,
        exclude_newer: choice.exclude_newer.clone(),
        cancel: work.cancel.clone(),
    };
    let step = progress.step("choosing versions");
    let lock = work.run(project.project.resolve(&mirrors, options));
    drop(step);
    progress.finish();
    let lock = lock?;
    project
        .project
        .write_lock(&lock)
        .map_err(super::project::pipeline_failure)?;
    printer.note(format!(
        "wrote {FILE_NAME}: {} Debian packages, {} wheels, {} to download",
        debs(&lock),
        wheels(&lock),
        size(lock.download_size()),
    ));
    Ok(lock)
}

/// How many Debian packages there are, those of every platform counted.
fn debs(lock: &Lock) -> usize {
    let platforms = lock.platforms.values();
    platforms
        .map(|platform| platform.debian.packages.len())
        .sum()
}

/// How many wheels there are, those that platforms share counted once.
fn wheels(lock: &Lock) -> usize {
    let platforms = lock.platforms.values();
    let wheels = platforms.flat_map(|platform| &platform.python.packages);
    let files: std::collections::BTreeSet<_> = wheels.map(|wheel| wheel.sha256).collect();
    files.len()
}

fn report(printer: Printer, lock: &Lock) -> Result<(), Failure> {
    let value = serde_json::json!({
        "version": 1,
        "digest": lock.request_digest(),
        "debianPackages": debs(lock),
        "wheels": wheels(lock),
        "downloadSize": lock.download_size(),
    });
    Ok(printer.result(&value, String::new)?)
}
