//! What the commands share that work on a project: finding it, its lock, its store paths, and running long work.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use cognix_derivations::StorePath;
use cognix_store::{ErrorKind, EventSink, Realised, Store, StoreError};
use tokio_util::sync::CancellationToken;

use super::printer::Printer;
use super::{Failure, cache_folder};
use crate::config::LoadOptions;
use crate::lock::{self, Architecture, Lock};
use crate::mirrors::Mirrors;
use crate::pipeline::{
    ImageDerivations, ImageOptions, OpenOptions, PipelineError, Project, SdkWheels, Source,
    VariantError,
};
use crate::recipes::Instantiated;

/// The project as a positional argument.
#[derive(Debug, Args)]
pub(super) struct ProjectArgs {
    /// The project's folder, or one below it.
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    options: ProjectOptions,
}

/// The project as an option, for commands whose arguments are something else.
#[derive(Debug, Args)]
pub(super) struct ProjectFlag {
    /// The project's folder, or one below it.
    #[arg(long = "project", value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    options: ProjectOptions,
}

#[derive(Debug, Args)]
struct ProjectOptions {
    /// The name of the configuration file.
    #[arg(short, long, value_name = "NAME")]
    file: Option<String>,
    /// Refuse keys in the configuration that Cog does not know.
    #[arg(long)]
    strict: bool,
    /// Where a named package source is: pypi, pytorch, debian, debian-security, python-build-standalone, or an index by
    /// the name that the lock gives it (repeatable).
    #[arg(long = "mirror", value_name = "NAME=URL")]
    mirrors: Vec<String>,
    /// What to build for: linux/amd64, linux/arm64 (repeatable) [default: `platforms` of cognix.nix].
    #[arg(long = "platform", value_name = "PLATFORM", value_delimiter = ',')]
    platforms: Vec<Architecture>,
}

/// Which of a model's images is meant.
#[derive(Debug, Default, Args)]
pub(super) struct VariantArg {
    /// The variant of the image, by its name in cognix.nix [default: the one called default, or the only one].
    #[arg(long, value_name = "NAME")]
    pub(super) variant: Option<String>,
}

impl ProjectOptions {
    fn load_options(&self) -> LoadOptions {
        LoadOptions {
            file: self.file.clone(),
            strict: self.strict,
        }
    }

    fn open_options(&self, variant: Option<&str>) -> OpenOptions {
        let variable = |name| std::env::var(name).ok();
        OpenOptions {
            config: self.load_options(),
            platforms: self.platforms.clone(),
            sdk: SdkWheels {
                sdk: variable("COG_SDK_WHEEL"),
                coglet: variable("COGLET_WHEEL"),
            },
            variant: variant.map(str::to_owned),
        }
    }
}

impl ProjectArgs {
    /// The configuration alone, as `cognix config` shows it.
    pub(super) fn load(
        &self,
        variant: &VariantArg,
    ) -> Result<crate::config::Loaded, PipelineError> {
        let options = self.options.load_options();
        match &variant.variant {
            Some(name) => crate::pipeline::load_variant(&self.dir, &options, name),
            None => crate::pipeline::load(&self.dir, &options),
        }
    }

    pub(super) fn open(
        &self,
        variant: &VariantArg,
        printer: Printer,
    ) -> Result<OpenProject, Failure> {
        self.open_at(&self.dir, variant, printer)
    }

    /// The project in another folder than the argument names.
    pub(super) fn open_at(
        &self,
        dir: &std::path::Path,
        variant: &VariantArg,
        printer: Printer,
    ) -> Result<OpenProject, Failure> {
        OpenProject::new(dir, &self.options, variant.variant.as_deref(), printer)
    }

    /// The project with all its images, where none of them is meant in particular.
    pub(super) fn open_all(
        &self,
        dir: Option<&std::path::Path>,
        printer: Printer,
    ) -> Result<OpenProject, Failure> {
        OpenProject::first(dir.unwrap_or(&self.dir), &self.options, printer)
    }
}

impl ProjectFlag {
    pub(super) fn open(
        &self,
        variant: &VariantArg,
        printer: Printer,
    ) -> Result<OpenProject, Failure> {
        OpenProject::new(
            &self.dir,
            &self.options,
            variant.variant.as_deref(),
            printer,
        )
    }
}

/// Shows something that was noticed while reading, with what can be done about it.
pub(super) fn warn(printer: Printer, warning: &crate::config::Finding) {
    printer.note(format!("warning: {warning}"));
    if let Some(hint) = warning.hint() {
        printer.note(format!("  hint: {hint}"));
    }
}

/// A project that was read without mistakes.
pub(super) struct OpenProject {
    pub(super) project: Project,
    mirrors: Vec<String>,
}

impl OpenProject {
    fn new(
        dir: &std::path::Path,
        options: &ProjectOptions,
        variant: Option<&str>,
        printer: Printer,
    ) -> Result<Self, Failure> {
        let opened = Project::open(dir, options.open_options(variant));
        Ok(Self::opened(
            opened.map_err(pipeline_failure)?,
            options,
            printer,
        ))
    }

    /// The default variant, or the first where none is called so.
    fn first(
        dir: &std::path::Path,
        options: &ProjectOptions,
        printer: Printer,
    ) -> Result<Self, Failure> {
        let opened = match Project::open(dir, options.open_options(None)) {
            Err(PipelineError::Variant(VariantError::Ambiguous { known })) => {
                Project::open(dir, options.open_options(known.first().map(String::as_str)))
            }
            opened => opened,
        };
        Ok(Self::opened(
            opened.map_err(pipeline_failure)?,
            options,
            printer,
        ))
    }

    fn opened(project: Project, options: &ProjectOptions, printer: Printer) -> Self {
        project
            .warnings()
            .for_each(|warning| warn(printer, warning));
        Self {
            project,
            mirrors: options.mirrors.clone(),
        }
    }

    /// Another image of the same model.
    pub(super) fn other(&self, variant: &str, printer: Printer) -> Result<Self, Failure> {
        let project = self.project.other(variant).map_err(pipeline_failure)?;
        project
            .warnings()
            .for_each(|warning| warn(printer, warning));
        Ok(Self {
            project,
            mirrors: self.mirrors.clone(),
        })
    }

    /// Where this machine finds the project's package sources.
    pub(super) fn mirrors(&self, offline: bool) -> Result<Mirrors, Failure> {
        let find = self.find_mirrors(offline)?;
        find(&self.project).map_err(pipeline_failure)
    }

    /// Where this machine finds the package sources of any image of the model.
    pub(super) fn find_mirrors(
        &self,
        offline: bool,
    ) -> Result<impl Fn(&Project) -> Result<Mirrors, PipelineError>, Failure> {
        let cache = cache_folder().ok_or_else(|| {
            Failure::new(
                ErrorKind::Configuration,
                "no folder for the cache: neither HOME nor XDG_CACHE_HOME is set",
            )
            .hint("set XDG_CACHE_HOME to an absolute path")
        })?;
        Ok(move |project: &Project| project.mirrors(&self.mirrors, cache.clone(), offline))
    }

    /// The lock, if there is one and it answers what is asked now.
    pub(super) fn current_lock(&self) -> Result<Lock, Failure> {
        let lock = self.read_lock()?.ok_or_else(|| self.missing_lock())?;
        self.check_current(&lock)?;
        Ok(lock)
    }

    pub(super) fn missing_lock(&self) -> Failure {
        let message = format!(
            "there is no {} in {}",
            lock::FILE_NAME,
            self.project.root().display()
        );
        Failure::new(ErrorKind::Configuration, message).hint("run `cognix lock` to make it")
    }

    pub(super) fn read_lock(&self) -> Result<Option<Lock>, Failure> {
        self.project.read_lock().map_err(pipeline_failure)
    }

    /// What is asked now for this image and was not when the lock was made, a line each.
    pub(super) fn changes(&self, lock: &Lock) -> Vec<String> {
        let name = self.project.variant();
        let Some(part) = lock.variant(name) else {
            return vec![format!("added variant {name}")];
        };
        let mut lines = Vec::new();
        // Where derivations cannot be made, the lock is stale for a reason of its own, or building says what is wrong.
        for step in self.project.stale_records(lock).unwrap_or_default() {
            lines.push(format!(
                "what is recorded of {step} was made of other packages or by another command"
            ));
        }
        if let Some(layers) = self.project.layers_over_budget(lock) {
            let budget = part.request.budget;
            lines.push(format!(
                "{layers} layers with those of build.run and extraPackages, more than the {budget} of layers.budget: wheels \
                 have to share layers"
            ));
        }
        let changes = part.request.changes(&self.project.request());
        let inputs = lock.input_changes(&self.project.wanted_inputs());
        let changes = changes.iter().chain(&inputs);
        lines.splice(..0, changes.map(ToString::to_string));
        lines
    }

    /// The same for every image of the model; where there are several, each line says for which.
    pub(super) fn all_changes(&self, lock: &Lock) -> Result<Vec<String>, Failure> {
        let projects = self.project.every().map_err(pipeline_failure)?;
        let several = projects.len() > 1;
        let inputs = lock.input_changes(&self.project.wanted_inputs());
        let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
        let mut lines = inputs.clone();
        for project in projects {
            let one = Self {
                project,
                mirrors: Vec::new(),
            };
            let name = one.project.variant();
            let is_known = lock.variant(name).is_some();
            lines.extend(
                one.changes(lock)
                    .into_iter()
                    .map(|line| match several && is_known {
                        true => format!("{name}: {line}"),
                        false => line,
                    }),
            );
        }
        let gone = lock.variants.keys();
        let gone = gone.filter(|name| self.project.variants().all(|known| known != *name));
        lines.extend(gone.map(|name| format!("removed variant {name}")));
        Ok(lines)
    }

    /// Refuses a lock that answers another question than the one asked now for any image of the model.
    pub(super) fn check_all_current(&self, lock: &Lock) -> Result<(), Failure> {
        stale(self.all_changes(lock)?)
    }

    /// Refuses a lock that answers another question than the one asked now.
    pub(super) fn check_current(&self, lock: &Lock) -> Result<(), Failure> {
        stale(self.changes(lock))
    }

    /// The platform of a command that is for one only.
    pub(super) fn architecture(&self) -> Architecture {
        self.project.architectures().next().unwrap_or_default()
    }

    pub(super) fn scan_source(&self) -> Result<Source, Failure> {
        self.project.scan_source().map_err(pipeline_failure)
    }

    pub(super) fn instantiate(
        &self,
        lock: &Lock,
        architecture: Architecture,
        source: &StorePath,
        options: &ImageOptions,
    ) -> Result<ImageDerivations, Failure> {
        self.project
            .instantiate(lock, architecture, source, options)
            .map_err(pipeline_failure)
    }
}

fn stale(changes: Vec<String>) -> Result<(), Failure> {
    if changes.is_empty() {
        return Ok(());
    }
    let message = format!("{} is stale:\n  {}", lock::FILE_NAME, changes.join("\n  "));
    let failure = Failure::new(ErrorKind::Configuration, message);
    Err(failure.hint("run `cognix lock` to bring it up to date"))
}

/// Long work, with Ctrl-C.
pub(super) struct Work {
    runtime: ManuallyDrop<tokio::runtime::Runtime>,
    pub(super) cancel: CancellationToken,
}

impl Work {
    /// The runtime is never shut down. That would wait for threads that do not listen, and connections that are just
    /// being made would find their timers gone; what they leave behind is swept by the next run.
    pub(super) fn new() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: ManuallyDrop::new(runtime),
            cancel: CancellationToken::new(),
        })
    }

    /// Runs to the end. The first Ctrl-C or terminate cancels and lets everything be tidied, the second leaves at once.
    pub(super) fn run<T>(
        &self,
        work: impl Future<Output = Result<T, PipelineError>>,
    ) -> Result<T, Failure> {
        let cancel = self.cancel.clone();
        let listening = self.runtime.spawn(async move {
            interrupted().await;
            cancel.cancel();
            interrupted().await;
            std::process::exit(ErrorKind::Interrupted.exit_code().into());
        });
        let result = self.runtime.block_on(work);
        listening.abort();
        result.map_err(pipeline_failure)
    }

    /// The same for work that only this thread does.
    pub(super) fn run_here<T>(
        &self,
        work: impl FnOnce(&CancellationToken) -> Result<T, PipelineError>,
    ) -> Result<T, Failure> {
        self.run(async { work(&self.cancel) })
    }

    /// The same for the evaluation of an expression, which looks at a flag.
    pub(super) fn evaluation<T>(&self, work: impl FnOnce(Arc<AtomicBool>) -> T) -> T {
        let cancelled = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&cancelled);
        let listening = self.runtime.spawn(async move {
            interrupted().await;
            flag.store(true, Ordering::Relaxed);
            interrupted().await;
            std::process::exit(ErrorKind::Interrupted.exit_code().into());
        });
        let result = work(cancelled);
        listening.abort();
        result
    }

    /// Runs to the end without listening to signals: what runs does that itself.
    pub(super) fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, PipelineError>>,
    ) -> Result<T, Failure> {
        self.runtime.block_on(work).map_err(pipeline_failure)
    }
}

async fn interrupted() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            // Without a handler the signal ends the process, which is what it asks for.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        result = tokio::signal::ctrl_c() => if result.is_err() { std::future::pending::<()>().await },
        _ = terminate => {}
    }
}

/// Realises the image of a project.
pub(super) fn realise_image(
    work: &Work,
    store: &Store,
    mirrors: Mirrors,
    instantiated: &Instantiated,
    request: &super::build::BuildRequest,
    events: Arc<dyn EventSink>,
) -> Result<Realised, Failure> {
    let sandbox = request.sandbox.clone();
    let has_secret = |id: &str| sandbox.secrets.get(id).is_some();
    let checked = crate::pipeline::check_secrets(store, instantiated, &has_secret);
    checked.map_err(pipeline_failure)?;
    let realiser = crate::pipeline::Realisation {
        store: store.clone(),
        mirrors,
        jobs: request.jobs,
        events,
        cancel: work.cancel.clone(),
        sandbox,
    };
    work.run(realiser.image(instantiated))
}

/// How many builds run at once when nothing is said.
pub(super) fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// An error of a stage, with its exit status and what to do.
pub(super) fn pipeline_failure(error: PipelineError) -> Failure {
    let (kind, hint) = (error.kind(), error.hint());
    let failure = Failure::new(kind, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

pub(super) fn store_failure(error: StoreError) -> Failure {
    pipeline_failure(PipelineError::Store(error))
}
