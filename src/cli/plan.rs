//! `cognix plan`: what a build would do.

use std::collections::BTreeMap;

use clap::Args;

use super::image_args::ImageArgs;
use super::lock::ChoiceArgs;
use super::printer::{Printer, size};
use super::project::{ProjectArgs, VariantArg, pipeline_failure};
use super::{Failure, Global};
use crate::pipeline::{PlannedLayer, Scripts};
use crate::recipes::Held;

/// Show what a build would fetch and build, how large, and which layers the image would have.
///
/// Nothing is fetched or built. A missing lock is made first, as a build would.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    variant: VariantArg,
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
        let project = self.project.open(&self.variant, printer)?;
        let lock =
            super::build::lock_for_build(&project, global, printer, self.locked, &self.choice)?;
        if let Some(name) = &self.why {
            return super::why::run(&project, &lock, name, printer);
        }
        project
            .project
            .require_buildable()
            .map_err(pipeline_failure)?;
        let source = project.scan_source()?;
        let options = self.image.options(project.project.root())?;
        let instantiated =
            project.instantiate(&lock, project.architecture(), source.store_path(), &options)?;
        let store = global.open_store()?;
        let part = project.project.part(&lock).map_err(pipeline_failure)?;
        let plan = crate::pipeline::plan(&store, &instantiated, part.request.budget)
            .map_err(pipeline_failure)?;
        Ok(printer.result(&plan, || text(&plan))?)
    }
}

fn text(plan: &crate::pipeline::Plan) -> String {
    let mut text = format!(
        "image   {}\nfetch   {} files, {}\nbuild   {} derivations ({} of {} are there)\nlayers  {} of at most {}, {}\n",
        plan.drv_path,
        plan.fetch.files,
        size(plan.fetch.bytes),
        plan.build,
        plan.cached,
        plan.derivations,
        plan.layers.len(),
        plan.totals.budget,
        total(plan),
    );
    for step in &plan.steps {
        let notes = [
            (step.recorded, "recorded"),
            (!step.secrets.is_empty(), "sees secrets"),
            (!step.runs, "there already"),
        ];
        let notes = notes.into_iter().filter(|(holds, _)| *holds);
        let notes: Vec<&str> = notes.map(|(_, note)| note).collect();
        let notes = match notes.is_empty() {
            true => String::new(),
            false => format!(" ({})", notes.join(", ")),
        };
        text.push_str(&format!("  {:<8} {}{notes}\n", step.name, step.command));
    }
    for layer in &plan.layers {
        let size = match (layer.size, layer.fetch_bytes) {
            (Some(known), _) => size(known),
            (None, 0) => "?".to_owned(),
            (None, bytes) => format!("~{}", size(bytes)),
        };
        let (name, group) = (&layer.name, layer.group);
        let line = format!("  {name:<28} {group:<7} {size:>9}  {}", contents(layer));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(&scripts(plan.scripts.as_ref()));
    for (package, modules) in &plan.without_bytecode {
        for module in modules {
            text.push_str(&format!("  no bytecode of {package:<13} {module}\n"));
        }
    }
    for item in &plan.downloads {
        let size = item.size.map_or("of unknown size".to_owned(), size);
        text.push_str(&format!("  fetch {:<60} {size}\n", item.name));
    }
    text
}

/// What becomes of the packages' scripts: by rule and reason, since most packages have the same ones.
fn scripts(scripts: Option<&Scripts>) -> String {
    let Some(scripts) = scripts else {
        return "scripts known once the packages were unpacked by a build\n".to_owned();
    };
    let mut lines: BTreeMap<(u8, String), Vec<String>> = BTreeMap::new();
    let mut count = 0;
    for (package, outcomes) in &scripts.packages {
        for outcome in outcomes {
            count += 1;
            let script = format!("{package} {}", outcome.script);
            let mut add = |kind, why: &str| {
                let line = lines.entry((kind, why.to_owned())).or_default();
                line.push(script.clone());
            };
            if !outcome.run.is_empty() {
                let why: Vec<&str> = outcome.run.iter().map(String::as_str).collect();
                add(0, &format!("run      {script}: {}", why.join("; ")));
                continue;
            }
            for rule in &outcome.rules {
                add(1, &format!("rule     {rule}"));
            }
            for reason in &outcome.left_out {
                add(2, &format!("left out {reason}"));
            }
            if outcome.rules.is_empty() && outcome.left_out.is_empty() {
                add(3, "nothing to do at a first installation");
            }
        }
    }
    let run = scripts.run().count();
    let mut text = format!("scripts {count} of packages, {run} to be run\n");
    for ((kind, line), scripts) in lines {
        match kind {
            0 => text.push_str(&format!("  {line}\n")),
            _ => text.push_str(&format!("  {line}: {}\n", scripts.join(", "))),
        }
    }
    text
}

/// The size of all layers, and how sure that is.
fn total(plan: &crate::pipeline::Plan) -> String {
    let bytes = size(plan.totals.bytes);
    if plan.totals.described == plan.layers.len() {
        return bytes;
    }
    format!("~{bytes} (~ is the size of what is fetched for it; ? is not known before the build)")
}

/// What is in a layer: the packages by name and version, as many as fit into a line.
fn contents(layer: &PlannedLayer) -> String {
    const SHOWN: usize = 6;
    let files = layer.files.map(|files| format!("{files} files"));
    let Some((first, rest)) = layer.holds.split_first() else {
        return files.unwrap_or_default();
    };
    let held = |held: &Held| {
        let waived = if held.waived { " (RECORD waived)" } else { "" };
        let built = held.build.as_ref();
        let built = built.map(|build| {
            let with = match build.requires.is_empty() {
                true => String::new(),
                false => format!(", with {}", build.requires.join(", ")),
            };
            format!(" (built with {}: {}{with})", build.backend, build.reason)
        });
        let built = built.unwrap_or_default();
        format!("{} {}{waived}{built}", held.name, held.version)
    };
    if rest.is_empty() {
        return files.map_or_else(|| held(first), |files| format!("{}, {files}", held(first)));
    }
    // Those that someone should notice come first.
    let mut names: Vec<&Held> = layer.holds.iter().collect();
    names.sort_by_key(|held| !held.waived && held.build.is_none());
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| held(name)).collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let files = files.map_or_else(String::new, |files| format!(", {files}"));
    format!(
        "{} packages{files}: {}{more}",
        names.len(),
        shown.join(", ")
    )
}
