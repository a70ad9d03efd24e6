//! `cognix plan`: what a build would do.

use clap::Args;

use super::image_args::ImageArgs;
use super::lock::ChoiceArgs;
use super::printer::{Printer, size};
use super::project::{ProjectArgs, pipeline_failure};
use super::{Failure, Global};

/// Show what a build would fetch and build, how large, and which layers the image would have.
///
/// Nothing is fetched or built. A missing lock is made first, as a build would.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    project: ProjectArgs,
    /// Never make or change the lock.
    #[arg(long)]
    locked: bool,
    /// Explain one package of the lock instead: who asked for it, why in this version, and why this file.
    #[arg(long, value_name = "PACKAGE")]
    why: Option<String>,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    image: ImageArgs,
}

impl PlanArgs {
    pub(super) fn run(&self, global: &Global, printer: Printer) -> Result<(), Failure> {
        let project = self.project.open(printer)?;
        let lock = super::build::lock_for_build(&project, printer, self.locked, &self.choice)?;
        if let Some(name) = &self.why {
            return super::why::run(&project, &lock, name, printer);
        }
        let source = project.scan_source()?;
        let options = self.image.options(project.project.root())?;
        let instantiated =
            project.instantiate(&lock, project.architecture(), source.store_path(), &options)?;
        let store = global.open_store()?;
        let plan = crate::pipeline::plan(&store, &instantiated).map_err(pipeline_failure)?;
        Ok(printer.result(&plan, || text(&plan))?)
    }
}

fn text(plan: &crate::pipeline::Plan) -> String {
    let mut text = format!(
        "image   {}\nfetch   {} files, {}\nbuild   {} derivations ({} of {} are there)\nlayers  {}\n",
        plan.drv_path,
        plan.fetch.files,
        size(plan.fetch.bytes),
        plan.build,
        plan.cached,
        plan.derivations,
        plan.layers.len(),
    );
    for layer in &plan.layers {
        let size = match (layer.size, layer.fetch_bytes) {
            (Some(known), _) => size(known),
            (None, 0) => "unknown until built".to_owned(),
            (None, bytes) => format!("from {}", size(bytes)),
        };
        text.push_str(&format!("  {:<28} {:<7} {size}\n", layer.name, layer.group));
    }
    for item in &plan.downloads {
        let size = item.size.map_or("of unknown size".to_owned(), size);
        text.push_str(&format!("  fetch {:<60} {size}\n", item.name));
    }
    text
}
