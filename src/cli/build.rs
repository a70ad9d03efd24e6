//! `cognix build`: the image.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use cognix_store::{ErrorKind, Realised, Store};
use serde_json::{Value, json};

use super::image_args::ImageArgs;
use super::lock::{ChoiceArgs, make};
use super::printer::{Printer, size};
use super::progress::Progress;
use super::project::{
    OpenProject, ProjectArgs, VariantArg, Work, default_jobs, pipeline_failure, realise_image,
};
use super::steps::StepArgs;
use super::{Failure, Global};
use crate::image::{Destination, DestinationError, INDEX_MEDIA_TYPE, ImageError, ImageIndex};
use crate::lock::{Architecture, Lock};
use crate::pipeline::{ImageDerivations, ImageOptions, ImageRecord, Images, SandboxOptions};
use crate::spec::DEFAULT_VARIANT;

/// Build the image of a model.
///
/// Prints the image's digest; for several platforms that of their index. Without --output the image is only recorded in
/// the store.
#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    variant: VariantArg,
    /// Build every variant of cognix.nix.
    #[arg(long, conflicts_with_all = ["variant", "outputs"])]
    all_variants: bool,
    /// Build one of the packages of cognix.nix instead, and print where it is.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["variant", "outputs", "all_variants"])]
    package: Option<String>,
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
    #[command(flatten)]
    image: ImageArgs,
    #[command(flatten)]
    steps: StepArgs,
}

impl BuildArgs {
    pub(super) fn run(&self, global: &Global, printer: Printer) -> Result<(), Failure> {
        if self.all_variants {
            return self.run_all(global, printer);
        }
        if let Some(name) = &self.package {
            return self.run_package(name, global, printer);
        }
        let started = Instant::now();
        let destinations = self
            .outputs
            .iter()
            .map(|text| parse_destination(text))
            .collect::<Result<Vec<_>, _>>()?;
        let project = self.project.open(&self.variant, printer)?;
        check_buildable(&project)?;
        refuse_several(&project, &destinations)?;
        let lock = lock_for_build(&project, global, printer, self.locked, &self.choice)?;
        let request = self.request(&project, lock)?;
        let store = global.open_store()?;
        let built = build_all(&store, printer, &project, &request)?;
        let images = load(&store, &built, !destinations.is_empty())?;
        if let Some(images) = &images {
            for destination in &destinations {
                write(&store, images, destination, printer)?;
            }
        }
        let done = Done {
            variant: project.project.variant(),
            built: &built,
            index: images.as_ref().and_then(Images::index),
        };
        done.say(printer, &destinations);
        Ok(printer.result(&done.report(started), || format!("{}\n", done.digest()))?)
    }

    /// Every variant, one after the other: they share most of what they are made of.
    fn run_all(&self, global: &Global, printer: Printer) -> Result<(), Failure> {
        let first = self.project.open_all(None, printer)?;
        let names: Vec<String> = first.project.variants().map(str::to_owned).collect();
        let projects = names.iter().map(|name| first.other(name, printer));
        let projects = projects.collect::<Result<Vec<_>, _>>()?;
        projects.iter().try_for_each(check_buildable)?;
        let lock = match first.read_lock()? {
            Some(lock) => first.check_all_current(&lock).map(|()| lock)?,
            None if self.locked => return Err(first.missing_lock()),
            None => make(&first, global, printer, &self.choice)?,
        };
        let store = global.open_store()?;
        let mut reports = serde_json::Map::new();
        let mut text = String::new();
        for project in &projects {
            let started = Instant::now();
            let name = project.project.variant();
            let request = self.request(project, lock.clone())?;
            let built = build_all(&store, printer, project, &request)?;
            let images = load(&store, &built, false)?;
            let done = Done {
                variant: name,
                built: &built,
                index: images.as_ref().and_then(Images::index),
            };
            done.say_built(printer);
            text.push_str(&format!("{name} {}\n", done.digest()));
            reports.insert(name.to_owned(), done.report(started));
        }
        let value = json!({ "version": 1, "variants": reports });
        Ok(printer.result(&value, || text)?)
    }

    /// A derivation of the spec's own.
    fn run_package(&self, name: &str, global: &Global, printer: Printer) -> Result<(), Failure> {
        let project = self.project.open_all(None, printer)?;
        let lock = project.read_lock()?;
        let (derivations, output) =
            crate::pipeline::spec_package(&project.project, name, lock.as_ref())
                .map_err(pipeline_failure)?;
        let store = global.open_store()?;
        derivations.import(&store).map_err(pipeline_failure)?;
        let mirrors = project.mirrors(false)?;
        let work = Work::new()?;
        let progress = Arc::new(Progress::new(printer));
        let realisation = crate::pipeline::Realisation {
            store: store.clone(),
            mirrors,
            jobs: self.jobs.map_or_else(default_jobs, usize::from),
            events: Arc::clone(&progress) as _,
            cancel: work.cancel.clone(),
            sandbox: self.steps.sandbox(&self.choice.limits)?,
        };
        let target = (derivations.image.clone(), output);
        let realised =
            work.run(realisation.outputs(&derivations.graph, std::slice::from_ref(&target)));
        progress.finish();
        let realised = realised?;
        let out_path = realised.outputs.get(&target).map(ToString::to_string);
        let out_path = out_path.unwrap_or_default();
        let value = json!({ "version": 1, "drvPath": target.0, "outPath": out_path });
        Ok(printer.result(&value, || format!("{out_path}\n"))?)
    }

    fn request(&self, project: &OpenProject, lock: Lock) -> Result<BuildRequest, Failure> {
        Ok(BuildRequest {
            options: self.image.options(project.project.root())?,
            lock,
            jobs: self.jobs.map_or_else(default_jobs, usize::from),
            sandbox: self.steps.sandbox(&self.choice.limits)?,
        })
    }
}

/// Said before anything is fetched.
fn check_buildable(project: &OpenProject) -> Result<(), Failure> {
    let project = &project.project;
    let runner = project.require_runner();
    runner
        .and_then(|()| project.require_buildable())
        .map_err(pipeline_failure)
}

/// The image of a project for each of its platforms.
fn build_all(
    store: &Store,
    printer: Printer,
    project: &OpenProject,
    request: &BuildRequest,
) -> Result<Vec<Built>, Failure> {
    let platforms = project.project.architectures();
    platforms
        .map(|architecture| build(store, printer, project, architecture, request))
        .collect()
}

/// The images, where they are written somewhere or an index is made of them. What the store has recorded of one image says
/// the rest.
fn load(store: &Store, built: &[Built], are_written: bool) -> Result<Option<Images>, Failure> {
    if built.len() == 1 && !are_written {
        return Ok(None);
    }
    let records: Vec<_> = built.iter().map(|built| built.image.clone()).collect();
    let images = crate::pipeline::load_images(store, &records);
    images.map(Some).map_err(pipeline_failure)
}

fn write(
    store: &Store,
    images: &Images,
    destination: &Destination,
    printer: Printer,
) -> Result<(), Failure> {
    let progress = Progress::new(printer);
    let step = progress.step(&format!("writing {destination}"));
    let written = Work::new()?
        .run_here(|cancel| crate::pipeline::write_images(store, images, destination, cancel));
    drop(step);
    progress.finish();
    written
}

/// What all images of one build share.
pub(super) struct BuildRequest {
    pub(super) options: ImageOptions,
    pub(super) lock: Lock,
    pub(super) jobs: usize,
    pub(super) sandbox: SandboxOptions,
}

/// An image that is in the store.
pub(super) struct Built {
    pub(super) image: ImageRecord,
    architecture: Architecture,
    instantiated: ImageDerivations,
    realised: Realised,
}

/// Realises the image of a project for one platform.
pub(super) fn build(
    store: &Store,
    printer: Printer,
    project: &OpenProject,
    architecture: Architecture,
    request: &BuildRequest,
) -> Result<Built, Failure> {
    let source = project.scan_source()?;
    let instantiated = project.instantiate(
        &request.lock,
        architecture,
        source.store_path(),
        &request.options,
    )?;
    let imported = source.import(store);
    let imported = imported.and_then(|()| instantiated.import(store));
    imported.map_err(pipeline_failure)?;
    let work = Work::new()?;
    let progress = Arc::new(Progress::new(printer));
    let mirrors = project.mirrors(false)?;
    let realised = realise_image(
        &work,
        store,
        mirrors,
        &instantiated,
        request,
        Arc::clone(&progress) as _,
    );
    progress.finish();
    let realised = realised?;
    say_what_was_run(store, printer, &instantiated)?;
    let image = project
        .project
        .record_image(store, architecture, &instantiated, &realised)
        .map_err(pipeline_failure)?;
    Ok(Built {
        image,
        architecture,
        instantiated,
        realised,
    })
}

/// Which maintainer scripts have made a part of the image, and which modules have no bytecode.
fn say_what_was_run(
    store: &Store,
    printer: Printer,
    instantiated: &ImageDerivations,
) -> Result<(), Failure> {
    if !printer.is_verbose() {
        return Ok(());
    }
    let scripts = crate::pipeline::scripts(store, instantiated).map_err(pipeline_failure)?;
    for (package, outcomes) in scripts.iter().flat_map(|scripts| &scripts.packages) {
        for outcome in outcomes.iter().filter(|outcome| !outcome.run.is_empty()) {
            let why: Vec<&str> = outcome.run.iter().map(String::as_str).collect();
            let (script, why) = (&outcome.script, why.join("; "));
            printer.detail(format!("script {package} {script} was run: {why}"));
        }
    }
    let modules = crate::pipeline::without_bytecode(store, instantiated);
    for (package, modules) in modules.map_err(pipeline_failure)? {
        for module in modules {
            printer.detail(format!("no bytecode of {package}: {module}"));
        }
    }
    Ok(())
}

/// Said before anything is built.
fn refuse_several(project: &OpenProject, destinations: &[Destination]) -> Result<(), Failure> {
    let file = destinations
        .iter()
        .find_map(|destination| match destination {
            Destination::DockerArchive { file, .. } => Some(file.clone()),
            _ => None,
        });
    match file {
        Some(file) if project.project.architectures().count() > 1 => {
            let error = ImageError::DockerArchiveOfSeveral { file };
            let hint = "choose one with --platform linux/amd64";
            Err(Failure::new(ErrorKind::Input, error).hint(hint))
        }
        _ => Ok(()),
    }
}

/// The lock a build uses: the one that is there, or a new one where there is none.
pub(super) fn lock_for_build(
    project: &OpenProject,
    global: &Global,
    printer: Printer,
    locked: bool,
    choice: &ChoiceArgs,
) -> Result<Lock, Failure> {
    match project.read_lock()? {
        Some(lock) => project.check_current(&lock).map(|()| lock),
        None if locked => project.current_lock(),
        None => make(project, global, printer, choice),
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

/// What a build has come to.
struct Done<'a> {
    variant: &'a str,
    /// One for each platform, at least one.
    built: &'a [Built],
    /// That of several platforms.
    index: Option<&'a ImageIndex>,
}

impl Done<'_> {
    fn digest(&self) -> String {
        match (self.index, self.built) {
            (Some(index), _) => format!("sha256:{}", index.digest()),
            (None, built) => built
                .first()
                .map_or_else(String::new, |built| built.image.digest.clone()),
        }
    }

    /// Tells people what the digest on standard output is the digest of, and where the image is now.
    fn say(&self, printer: Printer, destinations: &[Destination]) {
        self.say_built(printer);
        for destination in destinations {
            printer.note(format!("wrote {destination}"));
        }
        if destinations.is_empty() {
            printer
                .note("to get it out: cognix build -o oci:DIR:TAG or -o docker-archive:FILE:NAME");
        }
    }

    fn say_built(&self, printer: Printer) {
        let variant = match self.variant {
            DEFAULT_VARIANT => String::new(),
            name => format!("{name} for "),
        };
        for built in self.built {
            let image = &built.image;
            printer.note(format!(
                "{variant}{}: {} layers, {}, in the store as {}",
                built.architecture,
                image.layers.len(),
                size(image.total_size()),
                image.out_path
            ));
        }
    }

    fn report(&self, started: Instant) -> Value {
        let mut value = match (self.index, self.built) {
            (Some(index), _) => json!({
                "index": {
                    "digest": self.digest(), "mediaType": INDEX_MEDIA_TYPE, "size": index.text().len(),
                },
                "images": self.built.iter().map(report).collect::<Vec<_>>(),
            }),
            (None, built) => built.first().map(report).unwrap_or_default(),
        };
        value["version"] = json!(1);
        value["variant"] = json!(self.variant);
        value["stats"] = self.stats(started);
        value
    }

    fn stats(&self, started: Instant) -> Value {
        let sum = |field: fn(&Realised) -> u64| {
            let all = self.built.iter().map(|built| field(&built.realised));
            all.sum::<u64>()
        };
        json!({
            "derivations": sum(|realised| realised.stats.derivations as u64),
            "built": sum(|realised| realised.stats.built as u64),
            "substituted": sum(|realised| realised.stats.substituted as u64),
            "cached": sum(|realised| realised.stats.cached as u64),
            "bytesFetched": sum(|realised| realised.stats.bytes_fetched),
            "millis": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }
}

fn report(built: &Built) -> Value {
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
    json!({
        "image": { "digest": image.digest, "mediaType": image.media_type, "size": image.size },
        "config": { "digest": image.config_digest },
        "platform": built.architecture,
        "drvPath": built.instantiated.image,
        "outPath": image.out_path,
        "layers": layers,
    })
}
