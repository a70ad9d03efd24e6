//! `cognix build`: the image.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use cognix_store::{ErrorKind, Realised};
use serde_json::{Value, json};

use super::lock::{ChoiceArgs, make};
use super::printer::{Printer, size};
use super::progress::Progress;
use super::project::{
    OpenProject, ProjectArgs, Work, default_jobs, pipeline_failure, realise_image,
};
use super::{Failure, Global};
use crate::image::{Destination, DestinationError};
use crate::lock::Lock;
use crate::pipeline::ImageRecord;
use crate::recipes::Instantiated;

/// Build the image of a model.
///
/// Prints the image's digest. Without --output the image is only recorded in the store.
#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    #[command(flatten)]
    project: ProjectArgs,
    /// Where to write the image: oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME] (repeatable).
    #[arg(short, long = "output", value_name = "DESTINATION")]
    outputs: Vec<String>,
    /// Never make or change the lock.
    #[arg(long)]
    locked: bool,
    /// How many builds run at once [default: the number of cores].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    #[command(flatten)]
    choice: ChoiceArgs,
}

impl BuildArgs {
    pub(super) fn run(&self, global: &Global, printer: Printer) -> Result<(), Failure> {
        let started = Instant::now();
        let destinations = self
            .outputs
            .iter()
            .map(|text| parse_destination(text))
            .collect::<Result<Vec<_>, _>>()?;
        let project = self.project.open(printer)?;
        project.project.require_runner().map_err(pipeline_failure)?;
        let lock = lock_for_build(&project, printer, self.locked, &self.choice)?;
        let jobs = self.jobs.map_or_else(default_jobs, usize::from);
        let built = build(global, printer, &project, &lock, jobs)?;
        for destination in &destinations {
            let progress = Progress::new(printer);
            let step = progress.step(&format!("writing {destination}"));
            let written = Work::new()?.run_here(|cancel| {
                crate::pipeline::write_image(&built.store, &built.image, destination, cancel)
            });
            drop(step);
            progress.finish();
            written?;
        }
        let value = report(&built, started);
        Ok(printer.result(&value, || summary(&built))?)
    }
}

/// An image that is in the store.
pub(super) struct Built {
    pub(super) store: cognix_store::Store,
    pub(super) image: ImageRecord,
    instantiated: Instantiated,
    realised: Realised,
}

/// Realises the image of a project whose lock is known.
pub(super) fn build(
    global: &Global,
    printer: Printer,
    project: &OpenProject,
    lock: &Lock,
    jobs: usize,
) -> Result<Built, Failure> {
    let store = global.open_store()?;
    let source = project.scan_source()?;
    let instantiated = project.instantiate(lock, project.architecture(), source.store_path())?;
    source.import(&store).map_err(pipeline_failure)?;
    let work = Work::new()?;
    let progress = Arc::new(Progress::new(printer));
    let mirrors = project.mirrors(false)?;
    let realised = realise_image(
        &work,
        &store,
        mirrors,
        &instantiated,
        jobs,
        Arc::clone(&progress) as _,
    );
    progress.finish();
    let realised = realised?;
    let image = project
        .project
        .record_image(&store, &instantiated, &realised)
        .map_err(pipeline_failure)?;
    Ok(Built {
        store,
        image,
        instantiated,
        realised,
    })
}

/// The lock a build uses: the one that is there, or a new one where there is none.
pub(super) fn lock_for_build(
    project: &OpenProject,
    printer: Printer,
    locked: bool,
    choice: &ChoiceArgs,
) -> Result<Lock, Failure> {
    match project.read_lock()? {
        Some(lock) => project.check_current(&lock).map(|()| lock),
        None if locked => project.current_lock(),
        None => make(project, printer, choice),
    }
}

fn parse_destination(text: &str) -> Result<Destination, Failure> {
    let destination = text.parse().map_err(|error: DestinationError| {
        Failure::new(ErrorKind::Input, error)
            .hint("write for example oci:image:latest or docker-archive:image.tar:name:latest")
    })?;
    if let Destination::Registry(reference) = &destination {
        let message = format!("{destination} is a registry, and pushing is not possible yet");
        let hint = format!(
            "write oci:image:latest and run `skopeo copy oci:image:latest docker://{reference}`"
        );
        return Err(Failure::new(ErrorKind::Input, message).hint(hint));
    }
    Ok(destination)
}

fn summary(built: &Built) -> String {
    let image = &built.image;
    format!(
        "{}\n{} layers, {}\n{}\n",
        image.digest,
        image.layers.len(),
        size(image.total_size()),
        image.out_path
    )
}

fn report(built: &Built, started: Instant) -> Value {
    let image = &built.image;
    let layers: Vec<Value> = image
        .layers
        .iter()
        .zip(&built.instantiated.layers)
        .map(|(layer, derivation)| {
            json!({
                "digest": layer.digest, "diffId": layer.diff_id, "size": layer.size, "mediaType": layer.media_type,
                "name": layer.name, "group": derivation.group, "storePaths": layer.store_paths, "recipe": layer.recipe,
            })
        })
        .collect();
    let stats = &built.realised.stats;
    json!({
        "version": 1,
        "image": { "digest": image.digest, "mediaType": image.media_type, "size": image.size },
        "config": { "digest": image.config_digest },
        "platform": "linux/amd64",
        "drvPath": built.instantiated.image,
        "outPath": image.out_path,
        "layers": layers,
        "stats": {
            "derivations": stats.derivations, "built": stats.built, "substituted": stats.substituted,
            "cached": stats.cached, "bytesFetched": stats.bytes_fetched,
            "millis": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        },
    })
}
