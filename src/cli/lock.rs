//! `cognix lock`: exact versions of everything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use cognix_store::ErrorKind;
use serde_json::{Value, json};

use super::limits::LimitArgs;
use super::printer::{Printer, size};
use super::progress::Progress;
use super::project::{OpenProject, ProjectArgs, VariantArg, Work, pipeline_failure};
use super::steps::StepArgs;
use super::{Failure, Global};
use crate::lock::exchange::{ForeignLock, Imported};
use crate::lock::{FILE_NAME, Lock, LockedInput, Move, PackageKind, Resolved};
use crate::pipeline::LockOptions;
use crate::spec::DEFAULT_VARIANT;

/// Choose exact versions of everything the model needs and write cognix.lock.
///
/// A lock that is current stays as it is; one that is not keeps every version that still fits.
#[derive(Debug, Args)]
pub(super) struct LockArgs {
    #[command(flatten)]
    project: ProjectArgs,
    /// Take the newest versions: of one package and what only it forces to move (repeatable), or of everything.
    ///
    /// The package is a Python or a Debian package of the lock. An input of cognix.nix can be named too: the file or image
    /// that it is, or all packages that come from it. Write DIR before this option.
    #[arg(long, value_name = "PACKAGE|INPUT", num_args = 0..=1, default_missing_value = "")]
    update: Vec<String>,
    /// Only say whether the lock is current, and why not; ends with 78 when it is not. Asks no network.
    #[arg(long, conflicts_with_all = ["update", "import", "export", "exclude_newer", "offline"])]
    check: bool,
    /// Take the versions of another tool's lock: a pylock.toml, uv.lock or poetry.lock.
    ///
    /// Its hashes must fit the files that are chosen. Packages that it does not have are chosen as usual, and named.
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    /// Write the wheels of the lock as pylock.toml, which pip and uv install from; `-` is standard output.
    ///
    /// Addresses in it are those at which this machine finds the files.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Export the wheels of this variant of cognix.nix.
    #[arg(long, value_name = "NAME", requires = "export")]
    variant: Option<String>,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    steps: StepArgs,
}

/// How versions are chosen, and what programs may use that are run for it, or later to build what was chosen.
#[derive(Debug, Clone, Args)]
pub(super) struct ChoiceArgs {
    /// Leave out Python packages uploaded after this date or moment [default: the start of today, UTC].
    #[arg(long, value_name = "DATE")]
    exclude_newer: Option<String>,
    /// Ask no network: choose from what earlier runs have left in the cache.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
}

impl LockArgs {
    pub(super) fn run(&self, global: &Global, printer: Printer) -> Result<u8, Failure> {
        // `--update ../model` can only mean the folder.
        let is_folder =
            |value: &&String| value.contains('/') || matches!(value.as_str(), "." | "..");
        let folder = self.update.iter().find(is_folder);
        let folder_of = folder.map(Path::new);
        let project = match (&self.export, folder_of) {
            // A file has the wheels of one image.
            (Some(_), _) => {
                let variant = VariantArg {
                    variant: self.variant.clone(),
                };
                match folder_of {
                    Some(folder) => self.project.open_at(folder, &variant, printer)?,
                    None => self.project.open(&variant, printer)?,
                }
            }
            (None, folder) => self.project.open_all(folder, printer)?,
        };
        if self.check {
            return check(&project, printer);
        }
        if let Some(file) = &self.export {
            check_export_name(file)?;
        }
        let before = project.read_lock()?;
        let names = self.update.iter().filter(|name| Some(*name) != folder);
        let names: Vec<&str> = names
            .map(String::as_str)
            .filter(|name| !name.is_empty())
            .collect();
        let mut change = match (&before, self.update.is_empty(), &self.import) {
            (Some(lock), true, None) if project.check_all_current(lock).is_ok() => {
                printer.note(format!("{FILE_NAME} is current"));
                Change::none(lock.clone())
            }
            _ => self.make(&project, global, printer, before, &names)?,
        };
        let lock = &mut change.resolved.lock;
        let sandbox = self.steps.sandbox(&self.choice.limits)?;
        let recorded = self
            .steps
            .record(&project, global, sandbox, lock, printer)?;
        if recorded {
            project.project.write_lock(lock).map_err(pipeline_failure)?;
            printer.note(format!("wrote {FILE_NAME}"));
        }
        let exported = self.export.as_ref();
        let exported = exported.map(|file| self.export(&project, &change.lock, file, printer));
        if exported.transpose()? != Some(Exported::Printed) {
            change.report(printer)?;
        }
        Ok(0)
    }

    fn make(
        &self,
        project: &OpenProject,
        global: &Global,
        printer: Printer,
        before: Option<Lock>,
        names: &[&str],
    ) -> Result<Change, Failure> {
        let update = match &before {
            Some(lock) => named(lock, names)?,
            None if names.is_empty() => Update::default(),
            None => return Err(project.missing_lock()),
        };
        let inputs_before = before.as_ref().map(|lock| lock.inputs.clone());
        let everything = !self.update.is_empty() && names.is_empty();
        let import = self.import.as_deref().map(ForeignLock::read).transpose();
        let options = LockOptions {
            previous: before.clone().filter(|_| !everything),
            arranged: before.clone(),
            update: update.packages,
            update_inputs: update.inputs.clone(),
            import: import.map_err(|error| pipeline_failure(error.into()))?,
            exclude_newer: self.choice.exclude_newer.clone(),
            ..LockOptions::default()
        };
        let resolved = resolve(project, global, printer, options, &self.choice)?;
        let moves = before.map_or(Vec::new(), |before| resolved.lock.moves_since(&before));
        for name in &update.inputs {
            let inputs = inputs_before.as_ref().and_then(|inputs| inputs.get(name));
            if inputs == resolved.lock.inputs.get(name) {
                printer.note(format!("{name} stays: it is what it was"));
            } else {
                printer.note(format!("{name} moved"));
            }
        }
        for (kind, name) in &update.named {
            let moved = |one: &Move| one.kind == *kind && one.name == *name;
            if !moves.iter().any(moved) {
                printer.note(format!("{name} stays: nothing newer fits"));
            }
        }
        let own = project.project.project_lock().map(Path::new);
        if let Some(file) = self.import.as_deref().or(own) {
            resolved
                .imported
                .values()
                .for_each(|imported| tell(imported, file, printer));
        }
        Ok(Change { resolved, moves })
    }

    fn export(
        &self,
        project: &OpenProject,
        lock: &Lock,
        file: &Path,
        printer: Printer,
    ) -> Result<Exported, Failure> {
        let mirrors = project.mirrors(self.choice.offline)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let folder = match file == Path::new("-") {
            true => project.project.root().to_owned(),
            false => std::path::absolute(folder.join("."))?,
        };
        let text = Work::new()?.run(project.project.export(lock, &mirrors, &folder))?;
        if file == Path::new("-") {
            printer.bytes(text.as_bytes())?;
            return Ok(Exported::Printed);
        }
        std::fs::write(file, text).map_err(|error| {
            Failure::from(std::io::Error::new(
                error.kind(),
                format!("{}: {error}", file.display()),
            ))
        })?;
        printer.note(format!("wrote {}", file.display()));
        Ok(Exported::Written)
    }
}

/// Where an exported lock went.
#[derive(Debug, PartialEq, Eq)]
enum Exported {
    /// To standard output, which then holds nothing else.
    Printed,
    Written,
}

/// Resolves and writes a lock where there is none.
pub(super) fn make(
    project: &OpenProject,
    global: &Global,
    printer: Printer,
    choice: &ChoiceArgs,
) -> Result<Lock, Failure> {
    let options = LockOptions {
        exclude_newer: choice.exclude_newer.clone(),
        ..LockOptions::default()
    };
    Ok(resolve(project, global, printer, options, choice)?.lock)
}

fn resolve(
    project: &OpenProject,
    global: &Global,
    printer: Printer,
    options: LockOptions,
    choice: &ChoiceArgs,
) -> Result<Resolved, Failure> {
    let work = Work::new()?;
    let progress = Arc::new(Progress::new(printer));
    let mirrors = project.find_mirrors(choice.offline)?;
    let options = LockOptions {
        cancel: work.cancel.clone(),
        workshop: Some(global.workshop(Arc::clone(&progress) as _, &choice.limits)?),
        ..options
    };
    let before = options.arranged.clone();
    if let Some(lock) = project.project.project_lock() {
        printer.note(format!("versions are those of {lock}"));
    }
    let step = progress.step("choosing versions");
    let resolved = work.run(project.project.resolve(mirrors, options));
    drop(step);
    progress.finish();
    let mut resolved = resolved?;
    if let Some(before) = before {
        let dropped = project.project.keep_records(&mut resolved.lock, &before);
        for (variant, step) in dropped.map_err(pipeline_failure)? {
            printer.note(format!(
                "what was recorded of {step} of {variant} was made of other packages or by another command; `cognix lock \
                 --allow-network` records it again"
            ));
        }
    }
    for warning in &resolved.warnings {
        printer.note(format!("warning: {warning}"));
    }
    let lock = &resolved.lock;
    project.project.write_lock(lock).map_err(pipeline_failure)?;
    printer.note(format!(
        "wrote {FILE_NAME}: {} Debian packages, {} wheels, {} to download",
        debs(lock),
        wheels(lock),
        size(lock.download_size()),
    ));
    Ok(resolved)
}

/// What a user wants to move.
#[derive(Debug, Default)]
struct Update {
    /// All packages.
    packages: BTreeSet<(PackageKind, String)>,
    /// Those that the user has named themselves.
    named: BTreeSet<(PackageKind, String)>,
    /// Inputs that are no package sources.
    inputs: BTreeSet<String>,
}

/// The packages and inputs that a user means.
fn named(lock: &Lock, names: &[&str]) -> Result<Update, Failure> {
    let mut update = Update::default();
    for name in names {
        match lock.find_package(name) {
            Ok(package) => {
                update.packages.insert(package.clone());
                update.named.insert(package);
            }
            Err(_) if lock.inputs.contains_key(*name) => {
                // What another name means may be a package source.
                if let Some(LockedInput::Follows { name }) = lock.inputs.get(*name)
                    && let Some(packages) = lock.packages_from(name)
                {
                    update.packages.extend(packages);
                } else {
                    update.inputs.insert((*name).to_owned());
                }
            }
            Err(error) => match lock.packages_from(name) {
                Some(packages) => update.packages.extend(packages),
                None => {
                    let failure = Failure::new(ErrorKind::Input, error);
                    return Err(match Path::new(name).is_dir() {
                        true => failure.hint(format!(
                            "{name} is a folder: write `cognix lock {name} --update`"
                        )),
                        false => failure,
                    });
                }
            },
        }
    }
    Ok(update)
}

/// Says what came of an import.
fn tell(imported: &Imported, file: &Path, printer: Printer) {
    let file = file.display();
    printer.note(format!(
        "{file}: {} its versions",
        plural(imported.pinned.len(), "package has", "packages have")
    ));
    if !imported.free.is_empty() {
        printer.note(format!(
            "not in {file}, chosen freely: {}",
            imported.free.join(", ")
        ));
    }
    for (name, from) in &imported.elsewhere {
        printer.note(format!(
            "{name} is from {from} in {file}: chosen freely from the index"
        ));
    }
    if imported.unused > 0 {
        printer.note(format!(
            "not needed of {file}: {}",
            plural(imported.unused, "package", "packages")
        ));
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}

/// PEP 751 fixes what such a file may be called, and installers insist.
fn check_export_name(file: &Path) -> Result<(), Failure> {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let middle = name
        .strip_prefix("pylock.")
        .and_then(|rest| rest.strip_suffix(".toml"));
    let is_named = middle.is_some_and(|middle| !middle.is_empty() && !middle.contains('.'));
    if name == "pylock.toml" || name == "-" || is_named {
        return Ok(());
    }
    let message = format!("an exported lock cannot be called {}", file.display());
    Err(Failure::new(ErrorKind::Input, message)
        .hint("call it pylock.toml or pylock.NAME.toml, as PEP 751 wants it"))
}

/// Whether the lock answers what is asked now.
fn check(project: &OpenProject, printer: Printer) -> Result<u8, Failure> {
    let (state, changes, text) = match project.project.read_lock() {
        Err(error) => ("unusable", Vec::new(), format!("{error}\n")),
        Ok(None) => {
            let text = format!(
                "there is no {FILE_NAME} in {}\n  hint: run `cognix lock` to make it\n",
                project.project.root().display()
            );
            ("missing", Vec::new(), text)
        }
        Ok(Some(lock)) => {
            let changes = project.all_changes(&lock)?;
            match changes.is_empty() {
                true => ("current", changes, format!("{FILE_NAME} is current\n")),
                false => {
                    let text = format!(
                        "{FILE_NAME} is stale:\n  {}\n  hint: run `cognix lock` to bring it up to date\n",
                        changes.join("\n  ")
                    );
                    ("stale", changes, text)
                }
            }
        }
    };
    let current = state == "current";
    let reason = text.trim_end();
    let value = json!({
        "version": 1, "current": current, "state": state, "changes": changes, "message": reason,
    });
    printer.result(&value, || text.clone())?;
    Ok(match current {
        true => 0,
        false => ErrorKind::Configuration.exit_code(),
    })
}

/// How many Debian packages there are, those of every platform counted, and those that variants share once.
fn debs(lock: &Lock) -> usize {
    let debs = lock.platforms();
    let debs = debs.flat_map(|platform| &platform.debian.packages);
    let files: BTreeSet<_> = debs
        .map(|deb| (&deb.architecture, &deb.name, deb.sha256))
        .collect();
    files.len()
}

/// How many wheels there are, those that platforms share counted once.
fn wheels(lock: &Lock) -> usize {
    let platforms = lock.platforms();
    let wheels = platforms.flat_map(|platform| &platform.python.packages);
    let files: BTreeSet<_> = wheels.map(|wheel| wheel.sha256).collect();
    files.len()
}

/// A lock, and how it differs from the one before.
struct Change {
    resolved: Resolved,
    moves: Vec<Move>,
}

impl std::ops::Deref for Change {
    type Target = Resolved;

    fn deref(&self) -> &Resolved {
        &self.resolved
    }
}

impl Change {
    fn none(lock: Lock) -> Self {
        Self {
            resolved: Resolved {
                lock,
                imported: Default::default(),
                warnings: Default::default(),
            },
            moves: Vec::new(),
        }
    }

    fn report(&self, printer: Printer) -> Result<(), Failure> {
        let moved = self.moves.iter().map(|one| {
            json!({
                "kind": one.kind, "name": one.name, "from": one.from, "to": one.to, "platforms": one.platforms,
                "variants": one.variants,
            })
        });
        let imported = self
            .imported
            .iter()
            .map(|((variant, architecture), imported)| {
                let elsewhere = imported.elsewhere.iter().map(|(name, _)| name);
                let value = json!({
                    "pinned": imported.pinned, "free": imported.free,
                    "elsewhere": elsewhere.collect::<Vec<_>>(), "unused": imported.unused,
                });
                let place = match variant.as_str() {
                    DEFAULT_VARIANT => architecture.to_string(),
                    variant => format!("{variant} {architecture}"),
                };
                (place, value)
            });
        let variants = self.lock.variants.iter();
        let variants = variants.map(|(name, part)| (name.clone(), json!(part.request_digest())));
        let value = json!({
            "version": 1,
            "digest": self.lock.request_digest(),
            "variants": variants.collect::<serde_json::Map<String, Value>>(),
            "debianPackages": debs(&self.lock),
            "wheels": wheels(&self.lock),
            "downloadSize": self.lock.download_size(),
            "moved": moved.collect::<Vec<Value>>(),
            "imported": imported.collect::<serde_json::Map<String, Value>>(),
        });
        let text = || self.moves.iter().map(|one| format!("{one}\n")).collect();
        Ok(printer.result(&value, text)?)
    }
}
