//! From a model to its lock: the question, what answering it needs, and what can be told of the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use cognix_store::CancellationToken;

use super::sources::{ImageWorkshop, Workshop};
use super::{PipelineError, Project, is_standalone, variants};
use crate::builtins::wheel::{self, InstallTarget};
use crate::config;
use crate::lock::exchange::{ForeignLock, Import, Places, RequirementPlace};
use crate::lock::platform::{Architecture, Interpreter, Platform};
use crate::lock::python::{Cutoff, WheelOrigin};
use crate::lock::why::{self, Root, Why};
use crate::lock::{
    self, IndexOptions, InputPin, LayerRecipes, Lock, LockRequest, PackageKind, PinnedArchive,
    Question, ResolveContext, Resolved, Sandbox, standalone,
};
use crate::mirrors::Mirrors;
use crate::mirrors::package_indexes::{IndexInput, ModelIndexes, PYPI, PYTORCH};
use crate::spec;

/// How to choose versions.
#[derive(Default)]
pub struct LockOptions {
    /// A lock whose choices are kept where they still fit.
    pub previous: Option<Lock>,
    /// Packages of that lock whose choices are not kept.
    pub update: BTreeSet<(PackageKind, String)>,
    /// Inputs that are no package sources and are asked for again.
    pub update_inputs: BTreeSet<String>,
    /// The lock whose layers stay what they are where they can, whatever versions are chosen.
    pub arranged: Option<Lock>,
    /// A lock of another tool whose versions must hold.
    pub import: Option<ForeignLock>,
    /// Python packages uploaded later are left out; a date or a moment.
    pub exclude_newer: Option<String>,
    /// Where build backends of sources run.
    pub workshop: Option<Workshop>,
    /// Ends the work early.
    pub cancel: CancellationToken,
}

impl Project {
    /// The question that a lock of this project answers.
    pub fn request(&self) -> LockRequest {
        let install = &self.loaded.effective.install;
        LockRequest {
            base: sorted(self.settings.base.packages.iter().cloned()),
            budget: self.settings.layers.budget,
            bytecode: self.settings.bytecode,
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
            build_packages: sorted(self.settings.wheels.build_packages.iter().cloned()),
            no_binary: {
                let spec = self.settings.wheels.no_binary.iter();
                sorted(spec.chain(&install.options.no_binary).cloned())
            },
            overrides: self.overrides(),
            pins: self.project_lock.as_ref().map(|lock| lock.pinned()),
            platforms: self.architectures().collect(),
            python: self.python().to_string(),
            recipes: LayerRecipes {
                grouping: self.settings.layers.grouping.clone(),
                tree: self.settings.layers.recipes.tree.clone(),
                wheel: self.settings.layers.recipes.wheel.clone(),
            },
            recommends: self.settings.base.recommends,
            leave_out_scripts: sorted(self.settings.base.leave_out_scripts.iter().cloned()),
            tier: self.settings.base.tier,
            requirements: self.requirements(),
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

    /// The requirements; a repository at the commit that the project's lock has of it.
    fn requirements(&self) -> Vec<String> {
        let lines = &self.loaded.effective.install.requirements;
        let Some(lock) = &self.project_lock else {
            return texts(lines);
        };
        let commits = lock.commits();
        let text = |line: &config::RequirementLine| {
            let commit = line.name.as_ref().and_then(|name| commits.get(name));
            let is_repository = line.kind == config::RequirementKind::Repository;
            let parts = line.text.split_once(" @ ").filter(|_| is_repository);
            match (commit, parts) {
                (Some(commit), Some((label, pointer))) => {
                    let rest = pointer.find(' ').map_or("", |end| &pointer[end..]);
                    format!("{label} @ {commit}{rest}")
                }
                _ => line.text.clone(),
            }
        };
        lines.iter().map(text).collect()
    }

    /// What the variant pins. Where the tables of frameworks have chosen the build of a pinned package, the pin is of that
    /// build.
    fn overrides(&self) -> Vec<String> {
        let install = &self.loaded.effective.install;
        let lines = &install.requirements;
        let pins = variants::overrides(&self.variant, |name| {
            let about = |line: &&config::RequirementLine| {
                line.name.as_deref() == Some(name) && line.text.contains("==")
            };
            lines.iter().find(about).map(|line| line.text.clone())
        });
        // What the spec pins goes before what the project's own file overrides.
        let own = install.overrides.iter().filter(|line| {
            line.name
                .as_ref()
                .is_none_or(|name| !self.variant.pins.contains_key(name))
        });
        let own = own.map(|line| line.text.clone());
        sorted(pins.into_iter().chain(own))
    }

    /// The indexes of the project's own file that some packages come from, unless the spec has one of the name.
    fn named_indexes(&self) -> impl Iterator<Item = &config::NamedIndex> {
        let indexes = self.loaded.effective.install.options.indexes.iter();
        indexes.filter(|index| !self.settings.inputs.contains_key(&index.name))
    }

    /// How many layers hold what a lock does not tell of: a command or an extra package each, and the project itself.
    fn further_layers(&self) -> usize {
        let project = usize::from(self.package().is_some());
        self.loaded.effective.steps.len() + self.variant.extra_packages + project
    }

    /// The number of layers that an image of a lock would have, where that is more than it may: commands or extra packages
    /// were added, and wheels have to share layers now.
    pub fn layers_over_budget(&self, lock: &Lock) -> Option<usize> {
        let part = lock.variant(self.variant())?;
        let most = part.most_layers(self.further_layers());
        (u32::try_from(most).unwrap_or(u32::MAX) > part.request.budget).then_some(most)
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
        let is_used = |input: &spec::Input| match input.kind {
            spec::InputKind::Pypi | spec::InputKind::Index | spec::InputKind::Debian => true,
            spec::InputKind::Url => is_standalone(input) && has_standalone,
            spec::InputKind::Path | spec::InputKind::Oci => false,
        };
        let inputs = self.settings.inputs.iter();
        inputs
            .filter(|(_, input)| is_used(input))
            .map(|(name, input)| (name.clone(), pin(input)))
            .chain(self.named_indexes().map(|index| {
                let pin = InputPin {
                    packages: index.packages.iter().cloned().collect(),
                    kind: spec::InputKind::Pypi.name().to_owned(),
                    ..InputPin::default()
                };
                (index.name.clone(), pin)
            }))
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

    /// The Python package indexes that the model names.
    pub(super) fn model_indexes(&self) -> ModelIndexes {
        let inputs = self.settings.indexes().into_iter().map(|input| IndexInput {
            name: input.name.clone(),
            url: input.url.clone(),
            packages: input.packages.clone(),
        });
        let named = self.named_indexes().map(|index| IndexInput {
            name: index.name.clone(),
            url: Some(index.url.clone()),
            packages: index.packages.iter().cloned().collect(),
        });
        let options = self.loaded.effective.install.options.clone();
        ModelIndexes {
            root: self.root().to_owned(),
            inputs: inputs.chain(named).collect(),
            index: options.index,
            extra_indexes: options.extra_indexes,
            find_links: options.find_links,
            no_index: options.no_index,
        }
    }

    /// Chooses exact versions of everything, for every variant of the model. `mirrors` says where each of them finds its
    /// package sources.
    pub async fn resolve(
        &self,
        mirrors: impl Fn(&Self) -> Result<Mirrors, PipelineError> + Send + Sync,
        options: LockOptions,
    ) -> Result<Resolved, PipelineError> {
        let cutoff = match &options.exclude_newer {
            Some(text) => text.parse::<Cutoff>().map_err(PipelineError::Cutoff)?,
            None => Cutoff::start_of_today(),
        };
        let projects = self.every()?;
        let sources = projects.iter().map(&mirrors);
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        if let (Some(import), Some(own)) = (&options.import, &self.project_lock) {
            return Err(PipelineError::TwoLocks {
                import: import.file().to_owned(),
                own: own.file().to_owned(),
            });
        }
        let import = options.import.map(Arc::new);
        let (mirrors_of, cancel) = (&mirrors, options.cancel.clone());
        let workshop = options.workshop.as_ref();
        let mut questions = Vec::new();
        for (project, mirrors) in projects.iter().zip(&sources) {
            let python = project.python();
            let target = InstallTarget {
                python: (python.major, python.minor),
            };
            questions.push(Question {
                variant: project.variant().to_owned(),
                request: project.request(),
                mirrors,
                platforms: project.platforms.clone(),
                further_layers: project.further_layers(),
                keys: project.trusted_keys()?,
                import: import
                    .clone()
                    .or(project.project_lock.clone())
                    .map(|lock| project.import(lock)),
                sandbox: workshop.map(|workshop| -> Box<dyn Sandbox + '_> {
                    Box::new(ImageWorkshop {
                        workshop,
                        mirrors: Box::new(move || mirrors_of(project)),
                        cancel: cancel.clone(),
                    })
                }),
                commands: Box::new(move |entry_points: &str| {
                    wheel::command_digests(entry_points, &target)
                }),
            });
        }
        let context = ResolveContext {
            cutoff,
            cutoff_is_asked: options.exclude_newer.is_some(),
            arranged: options.arranged,
            previous: options.previous,
            update: options.update,
            inputs: self.wanted_inputs(),
            update_inputs: options.update_inputs,
            cancel: options.cancel,
        };
        Ok(lock::resolve(&questions, context).await?)
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
        Ok(lock::exchange::export(self.part(lock)?, &places).await?)
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
        let part = self.part(lock)?;
        let question = why::Question {
            lock: part,
            exclude_newer: &lock.exclude_newer,
            platform: *platform.ok_or(PipelineError::NotLocked(architecture))?,
            roots: &self.roots(),
        };
        let found = part.find_package(name).ok();
        let wheel = found
            .filter(|(kind, _)| *kind == PackageKind::Wheel)
            .and_then(|(_, name)| {
                let packages = &part.platforms.get(&architecture)?.python.packages;
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
        let lines = lines.map(|line| root(wheel, &line.text, self.place(line.line, &line.file)));
        let sdk = root(
            wheel,
            &request.sdk,
            "every Cog image has the SDK".to_owned(),
        );
        let packages = self.loaded.effective.system_packages.iter();
        let packages = packages.map(|package| {
            let place = self.place(package.position.line, file);
            root(deb, &package.value, place)
        });
        let base = request.base.iter();
        let base = base.map(|name| root(deb, name, "base.packages of cognix.nix".to_owned()));
        let build = self.loaded.model.build.as_ref();
        let line = build.map(|build| build.python_version.position.line);
        let python = match line {
            Some(line) => self.place(line, file),
            None => "the image's Python".to_owned(),
        };
        let interpreter = root(deb, &format!("python{}", self.python()), python);
        let fixed = [sdk, interpreter];
        lines.chain(packages).chain(base).chain(fixed).collect()
    }

    /// Where something stands that asks for a package; what the variant changes has no line.
    fn place(&self, line: u32, file: &str) -> String {
        match line {
            0 => format!("images.{} of {}", self.variant(), spec::FILE_NAME),
            line => format!("{file}:{line}"),
        }
    }

    /// A lock of another tool, with the places of the model's own requirements.
    fn import(&self, lock: Arc<ForeignLock>) -> Import {
        let lines = &self.loaded.effective.install.requirements;
        let is_own = self.project_lock.is_some();
        // What the configuration itself and the variant ask for is in no lock of the project.
        let is_besides =
            |line: &config::RequirementLine| line.line == 0 || line.file == self.loaded.file_name;
        let place = |line: &config::RequirementLine| RequirementPlace {
            text: line.text.clone(),
            place: self.place(line.line, &line.file),
            is_locked: is_own && !is_besides(line),
        };
        let freed = lines.iter().filter(|line| is_own && line.line == 0);
        Import {
            lock,
            is_own,
            freed: freed.filter_map(|line| line.name.clone()).collect(),
            requirements: lines.iter().map(place).collect(),
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
}

fn texts(lines: &[config::RequirementLine]) -> Vec<String> {
    lines.iter().map(|line| line.text.clone()).collect()
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let names: std::collections::BTreeSet<String> = names.collect();
    names.into_iter().collect()
}
