//! The command line: one file per subcommand, each with its arguments and a `run`.

mod build;
mod check;
mod config;
mod derivation;
mod eval;
mod exec;
mod failure;
mod image_args;
mod limits;
mod lock;
mod log;
mod nar;
mod plan;
mod printer;
mod progress;
mod project;
mod spec;
mod steps;
mod store;
mod why;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};
use cognix_store::{ErrorKind, EventSink, Store, StoreError};

pub use failure::Failure;
use printer::{Format, Printer, Verbosity};

use crate::pipeline::Workshop;

/// Bit-reproducible container images of Cog models, without Docker, a daemon or root.
///
/// Exit status: 0 done, 2 wrong use, 65 bad input, 69 source unavailable, 70 defect in cognix, 74 input/output error,
/// 77 missing rights, 78 configuration or lock, 100 build failed, 101 build timed out, 102 wrong
/// hash, 104 not reproducible, 130 interrupted.
#[derive(Debug, Parser)]
#[command(
    name = "cognix",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes, before or after its name.
#[derive(Debug, Args)]
pub struct Global {
    /// The folder that holds the store [default: cognix/store in the user's data folder].
    #[arg(
        long,
        global = true,
        env = "COGNIX_STORE",
        value_name = "DIR",
        hide_env_values = true
    )]
    store: Option<PathBuf>,
    /// How results are written.
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
    /// Say nothing but results and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say what is done, a line each.
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Config(config::ConfigArgs),
    Lock(lock::LockArgs),
    Plan(plan::PlanArgs),
    Build(build::BuildArgs),
    Exec(exec::ExecArgs),
    Check(check::CheckArgs),
    Log(log::LogArgs),
    Eval(eval::EvalArgs),
    /// Look into the store.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Look at cognix.nix, the spec of a project's images.
    #[command(subcommand)]
    Spec(spec::SpecCommand),
    /// Look at derivations.
    #[command(subcommand)]
    Derivation(derivation::DerivationCommand),
    /// Write, read and hash Nix archives.
    #[command(subcommand)]
    Nar(nar::NarCommand),
}

/// Runs the program with the process's arguments; the exit status is returned, messages are printed.
pub fn run() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" of clap that go to standard output; a closed pipe is no failure.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let printer = cli.global.printer();
    match cli.dispatch(printer) {
        Ok(status) => status,
        Err(failure) => {
            report(printer, &failure);
            failure.kind().exit_code()
        }
    }
}

/// The whole help text, for the test that keeps it under review.
pub fn help() -> String {
    fn collect(command: &mut clap::Command, path: &str, text: &mut String) {
        let path = format!("{path}{}", command.get_name());
        text.push_str(&format!("## {path}\n\n{}\n", command.render_long_help()));
        let subcommands = command
            .get_subcommands_mut()
            .filter(|sub| sub.get_name() != "help");
        subcommands.for_each(|sub| collect(sub, &format!("{path} "), text));
    }
    let mut text = String::new();
    let mut command = Cli::command().term_width(100);
    command.build();
    collect(&mut command, "", &mut text);
    text
}

fn report(printer: Printer, failure: &Failure) {
    if printer.format == Format::Json {
        let value = serde_json::json!({ "version": 1, "error": format!("{failure:#}"), "exitCode": failure.kind().exit_code() });
        // Standard output may be closed; the exit status still tells.
        let _ = printer.result(&value, String::new);
    }
    match printer.verbosity {
        Verbosity::Verbose => printer.error(format_args!("{failure:#}")),
        _ => printer.error(failure.shortened()),
    }
}

impl Cli {
    fn dispatch(self, printer: Printer) -> Result<u8, Failure> {
        let Self { global, command } = self;
        match command {
            Command::Config(args) => args.run(printer),
            Command::Lock(args) => args.run(&global, printer),
            Command::Plan(args) => args.run(&global, printer).map(|()| 0),
            Command::Build(args) => args.run(&global, printer).map(|()| 0),
            Command::Exec(args) => args.run(&global, printer),
            Command::Check(args) => args.run(&global, printer),
            Command::Log(args) => args.run(&global, printer).map(|()| 0),
            Command::Eval(args) => args.run(printer).map(|()| 0),
            Command::Store(command) => command.run(&global, printer).map(|()| 0),
            Command::Spec(command) => command.run(printer),
            Command::Derivation(command) => command.run(&global, printer).map(|()| 0),
            Command::Nar(command) => command.run(printer).map(|()| 0),
        }
    }
}

impl Global {
    fn printer(&self) -> Printer {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        Printer {
            format: self.format,
            verbosity,
        }
    }

    /// The folder of the store: the option, the environment, or the user's data folder.
    fn store_root(&self) -> Result<PathBuf, Failure> {
        let root = self
            .store
            .clone()
            .or_else(|| data_folder().map(|folder| folder.join("store")));
        let root = root.ok_or_else(|| {
            Failure::new(
                ErrorKind::Configuration,
                "no folder for the store: neither HOME nor XDG_DATA_HOME is set",
            )
            .hint("name one with --store DIR or COGNIX_STORE")
        })?;
        Ok(std::path::absolute(root)?)
    }

    /// Where build backends of Python packages run while a lock is made.
    fn workshop(
        &self,
        events: Arc<dyn EventSink>,
        limits: &limits::LimitArgs,
    ) -> Result<Workshop, Failure> {
        let root = self.store_root()?;
        Ok(Workshop {
            open: Box::new(move || Ok(Store::open(&root)?)),
            jobs: project::default_jobs(),
            events,
            sandbox: limits.sandbox(),
        })
    }

    /// Opens the store, making it when it is not there.
    fn open_store(&self) -> Result<Store, Failure> {
        Store::open(&self.store_root()?).map_err(|error| {
            let elsewhere = matches!(error, StoreError::Io { .. });
            let failure = project::store_failure(error);
            if elsewhere {
                failure.hint("choose another folder with --store or COGNIX_STORE")
            } else {
                failure
            }
        })
    }
}

/// `$XDG_DATA_HOME/cognix`, by default `~/.local/share/cognix`.
fn data_folder() -> Option<PathBuf> {
    xdg_folder("XDG_DATA_HOME", ".local/share")
}

/// `$XDG_CACHE_HOME/cognix`, by default `~/.cache/cognix`.
fn cache_folder() -> Option<PathBuf> {
    xdg_folder("XDG_CACHE_HOME", ".cache")
}

fn xdg_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let named = std::env::var_os(variable)
        .map(PathBuf::from)
        .and_then(absolute);
    let default = || {
        std::env::home_dir()
            .and_then(absolute)
            .map(|home| home.join(below_home))
    };
    named.or_else(default).map(|folder| folder.join("cognix"))
}
