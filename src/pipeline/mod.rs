//! The stages in order: the only file that knows them all.
//!
//! ```text
//! load ─▶ request ─▶ resolve ─▶ Lock ┐
//! scan_source ─────────▶ store path ─┴─▶ instantiate ─▶ realise ─▶ record_image ─▶ write_image
//! ```
//!
//! It translates between the rooms, so that early ones never import later ones, and does nothing else.

mod additions;
mod bytecode;
mod error;
mod hints;
mod locking;
mod outputs;
#[cfg(all(test, feature = "network-tests"))]
mod real_packages;
mod realisation;
mod record;
mod run;
mod sdk;
mod sources;
mod steps;
mod variants;
#[cfg(test)]
mod variants_tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cognix_derivations::{ContentAddress, StorePath, StorePathName, content_addressed_path};
use cognix_store::Store;

use crate::builtins::source::SourceTree;
use crate::config::{self, Effective, LoadOptions, Loaded};
use crate::layers::Timestamp;
use crate::lock::exchange::ForeignLock;
use crate::lock::platform::{Architecture, Interpreter, Platform, PythonVersion};
use crate::lock::{Lock, VariantLock, WantedInput, standalone};
use crate::mirrors::standalone::STANDALONE;
use crate::mirrors::{Mirrors, ProjectSources};
use crate::recipes::{self, EditablePackage, Ingredients, cog_runtime, labels};
use crate::spec::{self, Derivations, Settings, Variant};
use sdk::Sdk;

pub use additions::ImageDerivations;
pub use bytecode::without_bytecode;
pub use error::PipelineError;
pub use locking::LockOptions;
pub use outputs::{SpecCheck, check_spec, show_spec, spec_package};
pub use realisation::{Realisation, SandboxOptions};
pub use record::{
    ImageLayer, ImageRecord, Plan, PlannedLayer, PlannedStep, Scripts, plan, scripts,
};
pub use run::{ExecOptions, Images, exec, load_images, unpack_image, write_images};

pub use sdk::{SdkError, SdkWheels};
pub use sources::Workshop;
pub use steps::{MissingSecret, Recorded, Recording, check_secrets};
pub use variants::{NoOutputs, Outputs, VariantError};

/// The name of the source tree in the store.
const SOURCE_NAME: &str = "source";

/// How a model is read.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// How its configuration is found.
    pub config: LoadOptions,
    /// What to build for; what the spec says when empty.
    pub platforms: Vec<Architecture>,
    /// The SDK and the runtime that the machine's variables name in place of those that the model names.
    pub sdk: SdkWheels,
    /// Which of its images is meant; the default one, or the only one, when absent.
    pub variant: Option<String>,
}

/// Reads a model's configuration, and nothing else.
pub fn load(dir: &Path, options: &LoadOptions) -> Result<Loaded, PipelineError> {
    Ok(config::load(dir, options)?)
}

/// Reads a model's configuration as one of its variants changes it.
pub fn load_variant(
    dir: &Path,
    options: &LoadOptions,
    variant: &str,
) -> Result<Loaded, PipelineError> {
    let root = config::root(dir, options)?;
    let variants = variants::of(&*variants::outputs(&root)?)?;
    let adjustments = variants::adjustments(variants::choose(&variants, Some(variant))?);
    Ok(config::load_with(dir, options, &adjustments)?)
}

/// One of the images of a model that can be built.
#[derive(Debug)]
pub struct Project {
    loaded: Loaded,
    settings: Settings,
    /// Never empty, sorted by architecture.
    platforms: Vec<Platform>,
    sdk: Sdk,
    variant: Variant,
    /// The lock of the model's own project, whose versions hold.
    project_lock: Option<Arc<ForeignLock>>,
    origin: Arc<Origin>,
}

/// What all images of a model share.
#[derive(Debug)]
struct Origin {
    dir: PathBuf,
    options: OpenOptions,
    settings: Settings,
    outputs: Arc<dyn Outputs>,
    /// Never empty.
    variants: Vec<Variant>,
}

impl Project {
    /// Reads a model; refuses what no image can be built of.
    pub fn open(dir: &Path, options: OpenOptions) -> Result<Self, PipelineError> {
        let root = config::root(dir, &options.config)?;
        Self::open_with(dir, options, variants::outputs(&root)?)
    }

    /// Reads a model whose spec has these outputs.
    pub fn open_with(
        dir: &Path,
        options: OpenOptions,
        outputs: Arc<dyn Outputs>,
    ) -> Result<Self, PipelineError> {
        let root = config::root(dir, &options.config)?;
        let origin = Origin {
            dir: dir.to_owned(),
            settings: spec::load(&root)?,
            variants: variants::of(&*outputs)?,
            outputs,
            options,
        };
        let variant = variants::choose(&origin.variants, origin.options.variant.as_deref())?;
        let variant = variant.clone();
        Self::of_origin(Arc::new(origin), variant)
    }

    fn of_origin(origin: Arc<Origin>, variant: Variant) -> Result<Self, PipelineError> {
        let options = &origin.options;
        let adjustments = variants::adjustments(&variant);
        let mut loaded = config::load_with(&origin.dir, &options.config, &adjustments)?;
        // A command can be run in an image that has nothing to run by itself; see `require_runner`.
        let mut unsupported = std::mem::take(&mut loaded.unsupported);
        unsupported.retain(|finding| !matches!(finding.reason, config::Reason::NothingToRun));
        if !unsupported.is_empty() {
            return Err(refused(unsupported));
        }
        let settings = variants::settings(&origin.settings, &variant);
        let wanted = if options.platforms.is_empty() {
            &settings.platforms
        } else {
            &options.platforms
        };
        let platforms = platforms_of(&loaded.effective, &settings, wanted)?;
        // A folder with wheels for several machines has one that fits only where there is one platform.
        let machine = match platforms.as_slice() {
            [platform] => platform.architecture.machine(),
            _ => "",
        };
        let project_file = loaded.effective.install.project.as_ref();
        let lock = project_file.and_then(|file| file.lock.as_ref());
        let lock = lock.map(|lock| ForeignLock::read_as(lock, &loaded.root.join(lock)));
        let project_lock = lock.transpose()?.map(Arc::new);
        let version = loaded.effective.sdk.as_ref();
        let sdk = Sdk::choose(&options.sdk, version, &loaded.root, machine)?;
        Ok(Self {
            sdk,
            loaded,
            settings,
            platforms,
            variant,
            project_lock,
            origin,
        })
    }

    /// The variant that this image is.
    pub fn variant(&self) -> &str {
        &self.variant.name
    }

    /// The names of all variants of the model.
    pub fn variants(&self) -> impl Iterator<Item = &str> {
        let variants = self.origin.variants.iter();
        variants.map(|variant| variant.name.as_str())
    }

    /// Every image of the model, in the order in which they are locked.
    pub fn every(&self) -> Result<Vec<Self>, PipelineError> {
        let names = variants::locking_order(&self.origin.variants);
        names.into_iter().map(|name| self.other(name)).collect()
    }

    /// Another image of the same model.
    pub fn other(&self, variant: &str) -> Result<Self, PipelineError> {
        let variant = variants::choose(&self.origin.variants, Some(variant))?;
        Self::of_origin(Arc::clone(&self.origin), variant.clone())
    }

    /// The inputs of the spec that are no package sources.
    pub fn wanted_inputs(&self) -> BTreeMap<String, WantedInput> {
        variants::wanted_inputs(&self.origin.settings)
    }

    /// Refuses a variant of which no image can be built yet, before anything is fetched for it.
    pub fn require_buildable(&self) -> Result<(), PipelineError> {
        Ok(variants::check_buildable(&self.variant)?)
    }

    /// Refuses a model that has nothing to run, or whose code is not there: its image would start and fail.
    pub fn require_runner(&self) -> Result<(), PipelineError> {
        let model = &self.loaded.model;
        let references = [("run", &model.run), ("train", &model.train)];
        let finding = |position, key: &str, reason| config::Finding {
            file: self.loaded.file_name.clone(),
            position,
            key: key.to_owned(),
            reason,
        };
        if references.iter().all(|(_, reference)| reference.is_none()) {
            return Err(refused(vec![finding(
                None,
                "",
                config::Reason::NothingToRun,
            )]));
        }
        let mut missing = Vec::new();
        for (key, reference) in references {
            if let Some(reference) = reference
                && !self.root().join(&reference.file).is_file()
            {
                let path = reference.file.clone();
                let reason = config::Reason::FileMissing { path };
                missing.push(finding(Some(reference.position), key, reason));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(refused(missing))
    }

    /// The project's folder.
    pub fn root(&self) -> &Path {
        &self.loaded.root
    }

    /// The image's name.
    pub fn image_name(&self) -> &str {
        &self.loaded.effective.image
    }

    /// The lock of the model's own project, whose versions hold, by its path below the model.
    pub fn project_lock(&self) -> Option<&str> {
        self.project_lock.as_ref().map(|lock| lock.file())
    }

    /// The model's own project as the image has it, where it is a package.
    fn package(&self) -> Option<EditablePackage> {
        let file = self.loaded.effective.install.project.as_ref()?;
        let package = file.package.as_ref()?;
        let place = |folder: &String| match folder.is_empty() {
            true => format!("/{}", recipes::SOURCE_PREFIX),
            false => format!("/{}/{folder}", recipes::SOURCE_PREFIX),
        };
        Some(EditablePackage {
            name: package.name.clone(),
            version: package.version.clone(),
            entry_points: package.entry_points.clone(),
            folder: place(&package.folder),
            import_roots: package.import_roots.iter().map(place).collect(),
        })
    }

    /// The image's name, if the model has one; the one that is made up otherwise follows from the folder, which must not
    /// reach a digest.
    fn given_name(&self) -> Option<&str> {
        let model = &self.loaded.model;
        let named = model.image.as_ref().or(model.model.as_ref());
        named.map(|name| name.value.as_str())
    }

    /// What was noticed while reading.
    pub fn warnings(&self) -> impl Iterator<Item = &config::Finding> {
        self.loaded.warnings.iter()
    }

    /// What the image is built for.
    pub fn architectures(&self) -> impl Iterator<Item = Architecture> {
        self.platforms.iter().map(|platform| platform.architecture)
    }

    fn python(&self) -> PythonVersion {
        self.platforms[0].python
    }

    /// The part of a lock that is for this image.
    pub fn part<'l>(&self, lock: &'l Lock) -> Result<&'l VariantLock, PipelineError> {
        lock.variant(self.variant())
            .ok_or_else(|| PipelineError::VariantNotLocked(self.variant().to_owned()))
    }

    /// The lock beside the model, if there is one.
    pub fn read_lock(&self) -> Result<Option<Lock>, PipelineError> {
        Ok(Lock::read(self.root())?)
    }

    /// Writes the lock beside the model.
    pub fn write_lock(&self, lock: &Lock) -> Result<(), PipelineError> {
        Ok(lock.write(self.root())?)
    }

    /// Where this machine finds the model's package sources.
    pub fn mirrors(
        &self,
        arguments: &[String],
        cache: PathBuf,
        offline: bool,
    ) -> Result<Mirrors, PipelineError> {
        let inputs = self.settings.inputs.values();
        let others = inputs.filter(|input| match input.kind {
            spec::InputKind::Pypi
            | spec::InputKind::Index
            | spec::InputKind::Path
            | spec::InputKind::Oci => false,
            spec::InputKind::Debian => true,
            spec::InputKind::Url => is_standalone(input),
        });
        let sources = ProjectSources {
            inputs: others
                .map(|input| (input.name.clone(), input.url.clone()))
                .collect(),
            indexes: self.model_indexes(),
        };
        Ok(Mirrors::new(sources, arguments, cache, offline)?)
    }

    /// Looks at the model's files and computes where they are in a store.
    pub fn scan_source(&self) -> Result<Source, PipelineError> {
        let tree = SourceTree::scan(self.root())?;
        let name = StorePathName::parse(SOURCE_NAME)?;
        let address = ContentAddress::Recursive(tree.nar_hash()?.0.into());
        let path = content_addressed_path(&name, &address, &Default::default(), false)?;
        Ok(Source { tree, name, path })
    }

    /// The derivations of the model's image for one platform.
    pub fn instantiate(
        &self,
        lock: &Lock,
        architecture: Architecture,
        source: &StorePath,
        options: &ImageOptions,
    ) -> Result<ImageDerivations, PipelineError> {
        self.instantiate_with(lock, architecture, source, options, None)
    }

    /// The same where one command, counted from 0, is to be run with a network.
    fn instantiate_with(
        &self,
        lock: &Lock,
        architecture: Architecture,
        source: &StorePath,
        options: &ImageOptions,
        with_network: Option<usize>,
    ) -> Result<ImageDerivations, PipelineError> {
        self.require_buildable()?;
        let inputs = &lock.inputs;
        let part = self.part(lock)?;
        let lock = part
            .platform(architecture)
            .ok_or(PipelineError::NotLocked(architecture))?;
        let settings = cog_runtime::ModelSettings {
            architecture,
            coglet_python: self.sdk.is_coglet.then(|| self.python().to_string()),
            predict: self
                .loaded
                .effective
                .run
                .as_ref()
                .map(|reference| reference.text.clone()),
            train: self
                .loaded
                .effective
                .train
                .as_ref()
                .map(|reference| reference.text.clone()),
            max_concurrency: self.loaded.effective.concurrency,
            environment: self
                .loaded
                .effective
                .environment
                .clone()
                .into_iter()
                .collect(),
        };
        let mut labels = labels::labels(lock, self.loaded.label());
        labels.extend(options.labels.clone());
        let mut runtime = cog_runtime::runtime(&settings, labels);
        runtime.annotations = labels::annotations(self.given_name());
        runtime.annotations.extend(options.annotations.clone());
        let asked = options
            .timestamp
            .filter(|timestamp| !timestamp.is_default());
        runtime.created = asked.map(Timestamp::seconds);
        let derivations = match self.variant.has_derivations {
            true => self
                .origin
                .outputs
                .derivations(self.variant(), lock, inputs)?,
            false => Derivations::default(),
        };
        let instantiated = recipes::instantiate(Ingredients {
            lock,
            source,
            runtime: &runtime,
            additions: &additions::additions(&derivations),
            project: self.package().as_ref(),
            steps: &self.run_steps(part, &settings, with_network),
        })?;
        Ok(ImageDerivations {
            instantiated,
            project: self.root().to_owned(),
            texts: derivations.texts,
            sources: derivations.sources,
        })
    }
}

fn refused(errors: Vec<config::Finding>) -> PipelineError {
    let warnings = Vec::new();
    config::ConfigErrors { errors, warnings }.into()
}

/// The image's Python on each of the platforms.
fn platforms_of(
    effective: &Effective,
    settings: &Settings,
    wanted: &[Architecture],
) -> Result<Vec<Platform>, PipelineError> {
    let (major, minor) = effective.python.numbers();
    let python = u8::try_from(major).ok().zip(u8::try_from(minor).ok());
    let wanted: std::collections::BTreeSet<Architecture> = wanted.iter().copied().collect();
    let own = |platform: &Platform| {
        let inputs = settings
            .inputs
            .values()
            .filter(|input| is_standalone(input));
        let mut archives = inputs.flat_map(|input| &input.archives);
        archives.any(|own| standalone::fits(own, platform.python, platform.architecture))
    };
    let platforms = wanted.into_iter().map(|architecture| {
        let mut platform = python
            .and_then(|(major, minor)| {
                Platform::for_python(PythonVersion { major, minor }, architecture)
            })
            .ok_or_else(|| PipelineError::Python(effective.python.short()))?;
        if own(&platform) {
            platform.interpreter = Interpreter::Standalone;
        }
        Ok(platform)
    });
    platforms.collect()
}

/// Whether interpreters come from this package source.
fn is_standalone(input: &spec::Input) -> bool {
    input.kind == spec::InputKind::Url && input.name == STANDALONE
}

/// What somebody wants an image to say beside what follows from its files.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    /// More labels.
    pub labels: BTreeMap<String, String>,
    /// More annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// When the image was created and its files were last changed.
    pub timestamp: Option<Timestamp>,
}

/// The model's files, and the store path that they have.
#[derive(Debug)]
pub struct Source {
    tree: SourceTree,
    name: StorePathName,
    path: StorePath,
}

impl Source {
    /// Where the files are in every store.
    pub fn store_path(&self) -> &StorePath {
        &self.path
    }

    /// Copies the files into a store that does not have them yet.
    pub fn import(&self, store: &Store) -> Result<(), PipelineError> {
        if store.is_valid(&self.path)? {
            return Ok(());
        }
        let info = store.import(&self.name, &mut |target| {
            self.tree.write_to(target).map_err(std::io::Error::other)
        })?;
        if info.path == self.path {
            return Ok(());
        }
        Err(PipelineError::SourceChanged)
    }
}
