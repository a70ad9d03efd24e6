//! `cognix exec`: a command inside the image's root.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use super::build::BuildRequest;
use super::image_args::ImageArgs;
use super::lock::ChoiceArgs;
use super::printer::Printer;
use super::project::{OpenProject, ProjectFlag, VariantArg, Work, default_jobs, pipeline_failure};
use super::steps::StepArgs;
use super::{Failure, Global};
use crate::container::{ContainerError, Runtime};
use crate::lock::Architecture;
use crate::pipeline::ExecOptions;
use cognix_store::ErrorKind;

/// Run a command inside the image's root, with the image's environment.
///
/// Needs an OCI runtime on this machine: runc, crun or youki. The root is a copy of its own and is removed afterwards;
/// the network is this machine's. Ends with the command's status.
#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    #[command(flatten)]
    project: ProjectFlag,
    #[command(flatten)]
    variant: VariantArg,
    /// The OCI runtime [default: the first of runc, crun, youki that is found].
    #[arg(long, env = "COGNIX_RUNTIME", value_name = "PROGRAM")]
    runtime: Option<PathBuf>,
    /// Set a variable for the command (repeatable).
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<String>,
    /// Never make or change the lock.
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    steps: StepArgs,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl ExecArgs {
    pub(super) fn run(self, global: &Global, printer: Printer) -> Result<u8, Failure> {
        // Looked for first: building for minutes and only then saying that nothing can run it would be unkind.
        let runtime = Runtime::find(self.runtime, std::env::var_os("PATH")).map_err(no_runtime)?;
        let project = self.project.open(&self.variant, printer)?;
        let buildable = project.project.require_buildable();
        buildable.map_err(pipeline_failure)?;
        let architecture = this_machine(&project)?;
        let request = BuildRequest {
            options: ImageArgs::default().options(project.project.root())?,
            lock: super::build::lock_for_build(
                &project,
                global,
                printer,
                self.locked,
                &self.choice,
            )?,
            jobs: default_jobs(),
            sandbox: self.steps.sandbox(&self.choice.limits)?,
        };
        let store = global.open_store()?;
        let built = super::build::build(&store, printer, &project, architecture, &request)?;
        let options = ExecOptions {
            command: self.command,
            env: self.env,
            terminal: std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
        };
        let work = Work::new()?;
        let bundle = work.run_here(|cancel| {
            crate::pipeline::unpack_image(&store, &built.image, &options, cancel)
        })?;
        let status = work.wait(crate::pipeline::exec(&bundle, &runtime))?;
        Ok(status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(ErrorKind::Internal.exit_code()))
    }
}

/// The platform of the project that this machine can run.
fn this_machine(project: &OpenProject) -> Result<Architecture, Failure> {
    let machine = std::env::consts::ARCH;
    let mut platforms = project.project.architectures();
    let found = platforms.find(|architecture| architecture.machine() == machine);
    found.ok_or_else(|| {
        let platform = project.architecture();
        let message = format!("the image is for {platform}, and this machine is {machine}");
        Failure::new(ErrorKind::Input, message).hint("name this machine's platform with --platform")
    })
}

fn variable(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn no_runtime(error: ContainerError) -> Failure {
    Failure::new(ErrorKind::Unavailable, error)
        .hint("install one (on Debian: apt-get install runc) or name it with --runtime")
}
