//! The stages in order: the only file that knows them all.
//!
//! ```text
//! load ─▶ request ─▶ resolve ─▶ Lock ┐
//! scan_source ─────────▶ store path ─┴─▶ instantiate ─▶ realise ─▶ record_image ─▶ write_image
//! ```
//!
//! It translates between the rooms, so that early ones never import later ones, and does nothing else.

mod error;
#[cfg(all(test, feature = "network-tests"))]
mod real_packages;
mod record;
mod run;
mod sdk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cognix_derivations::{ContentAddress, StorePath, StorePathName, content_addressed_path};
use cognix_store::{CancellationToken, Store};

use crate::builtins::source::SourceTree;
use crate::builtins::wheel::{self, InstallTarget};
use crate::config::{self, Effective, LoadOptions, Loaded};
use crate::layers::Timestamp;
use crate::lock::exchange::{ForeignLock, Import, Places, RequirementPlace};
use crate::lock::platform::{Architecture, Interpreter, Platform, PythonVersion};
use crate::lock::python::{Cutoff, WheelOrigin};
use crate::lock::why::{self, Root, Why};
use crate::lock::{
    self, IndexOptions, InputPin, LayerRecipes, Lock, LockRequest, PackageKind, PinnedArchive,
    ResolveContext, Resolved, standalone,
};
use crate::mirrors::package_indexes::{IndexInput, ModelIndexes, PYPI, PYTORCH};
use crate::mirrors::standalone::STANDALONE;
use crate::mirrors::{Mirrors, ProjectSources};
use crate::recipes::{self, Ingredients, Instantiated, cog_runtime, labels};
use crate::spec::{self, Settings};
use sdk::Sdk;

pub use error::PipelineError;
pub use record::{ImageLayer, ImageRecord, Plan, PlannedLayer, plan};
pub use run::{ExecOptions, Images, Realisation, exec, load_images, unpack_image, write_images};

pub use sdk::{SdkError, SdkWheels};

/// The name of the source tree in the store.
const SOURCE_NAME: &str = "source";

/// Reads a model's configuration, and nothing else.
pub fn load(dir: &Path, options: &LoadOptions) -> Result<Loaded, PipelineError> {
    Ok(config::load(dir, options)?)
}

/// A model that can be built.
#[derive(Debug)]
pub struct Project {
    loaded: Loaded,
    settings: Settings,
    /// Never empty, sorted by architecture.
    platforms: Vec<Platform>,
    sdk: Sdk,
}

impl Project {
    /// Reads a model; refuses what no image can be built of.
    ///
    /// The platforms are those of the spec unless some are given.
    pub fn open(
        dir: &Path,
        options: &LoadOptions,
        platforms: &[Architecture],
    ) -> Result<Self, PipelineError> {
        let mut loaded = load(dir, options)?;
        // A command can be run in an image that has nothing to run by itself; see `require_runner`.
        let mut unsupported = std::mem::take(&mut loaded.unsupported);
        unsupported.retain(|finding| !matches!(finding.reason, config::Reason::NothingToRun));
        if !unsupported.is_empty() {
            return Err(refused(unsupported));
        }
        let settings = spec::load(&loaded.root)?;
        let wanted = if platforms.is_empty() {
            &settings.platforms
        } else {
            platforms
        };
        let platforms = platforms_of(&loaded.effective, &settings, wanted)?;
        let sdk = Sdk::choose(
            &SdkWheels::default(),
            loaded.effective.sdk.as_ref(),
            &loaded.root,
            "",
        )?;
        Ok(Self {
            sdk,
            loaded,
            settings,
            platforms,
        })
    }

    /// Takes the SDK and the runtime that the machine's variables name in place of those that the model names.
    pub fn with_sdk(mut self, wheels: &SdkWheels) -> Result<Self, PipelineError> {
        // A folder with wheels for several machines has one that fits only where there is one platform.
        let machine = match self.platforms.as_slice() {
            [platform] => platform.architecture.machine(),
            _ => "",
        };
        let version = self.loaded.effective.sdk.as_ref();
        self.sdk = Sdk::choose(wheels, version, &self.loaded.root, machine)?;
        Ok(self)
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

    /// The question that a lock of this project answers.
    pub fn request(&self) -> LockRequest {
        let install = &self.loaded.effective.install;
        LockRequest {
            base: sorted(self.settings.base.packages.iter().cloned()),
            budget: self.settings.layers.budget,
            coglet: self.sdk.coglet.clone(),
            conflicts: self.settings.layers.conflicts.clone(),
            constraints: texts(&install.constraints),
            index_options: IndexOptions {
                index: install.options.index.clone(),
                extra_indexes: install.options.extra_indexes.clone(),
                find_links: install.options.find_links.clone(),
                no_index: install.options.no_index,
                prerelease: install.options.prerelease,
            },
            inputs: self.pins(),
            platforms: self.architectures().collect(),
            python: self.python().to_string(),
            recipes: LayerRecipes {
                grouping: self.settings.layers.grouping.clone(),
                tree: self.settings.layers.recipes.tree.clone(),
                wheel: self.settings.layers.recipes.wheel.clone(),
            },
            recommends: self.settings.base.recommends,
            tier: self.settings.base.tier,
            requirements: texts(&install.requirements),
            sdk: self.sdk.requirement.clone(),
            system_packages: sorted(
                self.loaded
                    .effective
                    .system_packages
                    .iter()
                    .map(|package| package.value.clone()),
            ),
            waivers: self.settings.wheels.waivers.clone(),
        }
    }

    /// What the image is built for.
    pub fn architectures(&self) -> impl Iterator<Item = Architecture> {
        self.platforms.iter().map(|platform| platform.architecture)
    }

    fn python(&self) -> PythonVersion {
        self.platforms[0].python
    }

    fn pins(&self) -> BTreeMap<String, InputPin> {
        let indexes = self.settings.indexes().into_iter();
        let named = indexes.filter(|input| ![PYPI, PYTORCH].contains(&input.name.as_str()));
        let named: Vec<&str> = named.map(|input| input.name.as_str()).collect();
        let rank = |name: &str| named.iter().position(|other| *other == name);
        let pin = |input: &spec::Input| InputPin {
            archives: self.archives(input),
            components: input.components.clone(),
            packages: input.packages.clone(),
            rank: rank(&input.name).map(|index| index + 1),
            releases: {
                let suites = input.suites_of(self.platforms[0].suite);
                let pinned = suites.filter_map(|suite| input.releases.get_key_value(suite));
                pinned
                    .map(|(suite, sha256)| (suite.clone(), *sha256))
                    .collect()
            },
            suites: input
                .suites_of(self.platforms[0].suite)
                .map(str::to_owned)
                .collect(),
            kind: input.kind.name().to_owned(),
        };
        let standalone = |platform: &Platform| platform.interpreter == Interpreter::Standalone;
        let has_standalone = self.platforms.iter().any(standalone);
        // What nothing is taken from decides nothing.
        let is_used = |input: &spec::Input| {
            input.kind != spec::InputKind::Url || is_standalone(input) && has_standalone
        };
        let inputs = self.settings.inputs.iter();
        inputs
            .filter(|(_, input)| is_used(input))
            .map(|(name, input)| (name.clone(), pin(input)))
            .collect()
    }

    /// The archives of an input that are for this model's Python, on its platforms and in their order.
    fn archives(&self, input: &spec::Input) -> Vec<PinnedArchive> {
        let of = |platform: &Platform| {
            let fits = |own: &&PinnedArchive| {
                standalone::fits(own, platform.python, platform.architecture)
            };
            input.archives.iter().find(fits).cloned()
        };
        self.platforms.iter().filter_map(of).collect()
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
            spec::InputKind::Pypi => false,
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

    /// The Python package indexes that the model names.
    fn model_indexes(&self) -> ModelIndexes {
        let inputs = self.settings.indexes().into_iter().map(|input| IndexInput {
            name: input.name.clone(),
            url: input.url.clone(),
            packages: input.packages.clone(),
        });
        let options = self.request().index_options;
        ModelIndexes {
            root: self.root().to_owned(),
            inputs: inputs.collect(),
            index: options.index,
            extra_indexes: options.extra_indexes,
            find_links: options.find_links,
            no_index: options.no_index,
        }
    }

    /// Chooses exact versions of everything.
    pub async fn resolve(
        &self,
        mirrors: &Mirrors,
        options: LockOptions,
    ) -> Result<Resolved, PipelineError> {
        let cutoff = match &options.exclude_newer {
            Some(text) => text.parse::<Cutoff>().map_err(PipelineError::Cutoff)?,
            None => Cutoff::start_of_today(),
        };
        let python = self.python();
        let target = InstallTarget {
            python: (python.major, python.minor),
        };
        let context = ResolveContext {
            commands: &|entry_points| wheel::command_digests(entry_points, &target),
            mirrors,
            platforms: self.platforms.clone(),
            cutoff,
            keys: self.trusted_keys()?,
            arranged: options.arranged,
            previous: options.previous,
            update: options.update,
            import: options.import.map(|lock| self.import(lock)),
            cancel: options.cancel,
        };
        Ok(lock::resolve(&self.request(), context).await?)
    }

    /// The wheels of a lock as a `pylock.toml` in a folder, with the addresses at which this machine finds them.
    pub async fn export(
        &self,
        lock: &Lock,
        mirrors: &Mirrors,
        folder: &Path,
    ) -> Result<String, PipelineError> {
        let places = Places {
            mirrors,
            project: self.root(),
            folder,
        };
        Ok(lock::exchange::export(lock, &places).await?)
    }

    /// Why a package of a lock is there; `mirrors` are asked for what else its release has.
    pub async fn why(
        &self,
        lock: &Lock,
        architecture: Architecture,
        name: &str,
        mirrors: &Mirrors,
    ) -> Result<Why, PipelineError> {
        let mut platforms = self.platforms.iter();
        let platform = platforms.find(|platform| platform.architecture == architecture);
        let question = why::Question {
            lock,
            platform: *platform.ok_or(PipelineError::NotLocked(architecture))?,
            roots: &self.roots(),
        };
        let found = lock.find_package(name).ok();
        let wheel = found
            .filter(|(kind, _)| *kind == PackageKind::Wheel)
            .and_then(|(_, name)| {
                let packages = &lock.platforms.get(&architecture)?.python.packages;
                packages.iter().find(|wheel| wheel.name == name)
            });
        let files = match wheel.map(|wheel| (&wheel.origin, &wheel.name)) {
            Some((WheelOrigin::Index { input }, name)) => mirrors.python_files(input, name).await,
            _ => None,
        };
        Ok(question.why(name, files.as_deref())?)
    }

    /// Everything that asks for packages, with its place.
    fn roots(&self) -> Vec<Root> {
        let file = &self.loaded.file_name;
        let root = |kind, text: &str, place: String| Root {
            text: text.to_owned(),
            place,
            kind,
        };
        let (wheel, deb) = (PackageKind::Wheel, PackageKind::Deb);
        let request = self.request();
        let lines = self.loaded.effective.install.requirements.iter();
        let lines =
            lines.map(|line| root(wheel, &line.text, format!("{}:{}", line.file, line.line)));
        let sdk = root(
            wheel,
            &request.sdk,
            "every Cog image has the SDK".to_owned(),
        );
        let packages = self.loaded.effective.system_packages.iter();
        let packages = packages.map(|package| {
            let place = format!("{file}:{}", package.position.line);
            root(deb, &package.value, place)
        });
        let base = request.base.iter();
        let base = base.map(|name| root(deb, name, "base.packages of cognix.nix".to_owned()));
        let build = self.loaded.model.build.as_ref();
        let line = build.map(|build| build.python_version.position.line);
        let python = match line {
            Some(line) => format!("{file}:{line}"),
            None => "the image's Python".to_owned(),
        };
        let interpreter = root(deb, &format!("python{}", self.python()), python);
        let fixed = [sdk, interpreter];
        lines.chain(packages).chain(base).chain(fixed).collect()
    }

    /// A lock of another tool, with the places of the model's own requirements.
    fn import(&self, lock: ForeignLock) -> Import {
        let place = |line: &config::RequirementLine| RequirementPlace {
            text: line.text.clone(),
            place: format!("{}:{}", line.file, line.line),
        };
        let requirements = self.loaded.effective.install.requirements.iter().map(place);
        Import {
            lock,
            requirements: requirements.collect(),
        }
    }

    /// The contents of the key files that Debian inputs name, by input.
    fn trusted_keys(&self) -> Result<BTreeMap<String, Vec<Vec<u8>>>, PipelineError> {
        let read = |file: &String| Ok(fs_err::read(self.root().join(file))?);
        let inputs = self.settings.inputs.values();
        let with_keys = inputs.filter(|input| !input.keys.is_empty());
        with_keys
            .map(|input| {
                let rings = input.keys.iter().map(read);
                Ok((
                    input.name.clone(),
                    rings.collect::<Result<_, PipelineError>>()?,
                ))
            })
            .collect()
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
    ) -> Result<Instantiated, PipelineError> {
        let lock = lock
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
        Ok(recipes::instantiate(Ingredients {
            lock,
            source,
            runtime: &runtime,
        })?)
    }
}

fn texts(lines: &[config::RequirementLine]) -> Vec<String> {
    lines.iter().map(|line| line.text.clone()).collect()
}

fn refused(errors: Vec<config::Finding>) -> PipelineError {
    let warnings = Vec::new();
    config::ConfigErrors { errors, warnings }.into()
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let names: std::collections::BTreeSet<String> = names.collect();
    names.into_iter().collect()
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

/// How to choose versions.
#[derive(Debug, Default)]
pub struct LockOptions {
    /// A lock whose choices are kept where they still fit.
    pub previous: Option<Lock>,
    /// Packages of that lock whose choices are not kept.
    pub update: BTreeSet<(PackageKind, String)>,
    /// The lock whose layers stay what they are where they can, whatever versions are chosen.
    pub arranged: Option<Lock>,
    /// A lock of another tool whose versions must hold.
    pub import: Option<ForeignLock>,
    /// Python packages uploaded later are left out; a date or a moment.
    pub exclude_newer: Option<String>,
    /// Ends the work early.
    pub cancel: CancellationToken,
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
