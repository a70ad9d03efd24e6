//! Specs as values: the model's file over the built-in one, and what their outputs are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cognix_derivations::StorePath;
use cognix_language::{
    Attr, ContextElement, Evaluator, Files, Instantiated, Limits, Options, Pos, Thunk, Value,
};

use super::disk::DiskFiles;
use super::error::{SpecError, SpecReason};
use super::keys::Keys;
use super::known::{Known, input_value, packages, root, set};
use super::settings::{Settings, Spec};
use super::variant::{Derivations, ExtraPackage, ProjectFiles, StoreText, Variant};
use super::{DEFAULT, FILE_NAME, decode, images};

type Read<T> = Result<T, SpecError>;

/// The library that outputs know as `cognix`.
pub(super) const LIBRARY: &str = include_str!("library.nix");

/// An evaluated spec.
pub(super) struct Session<'e, 'a> {
    pub(super) evaluator: &'e Evaluator<'a>,
    pub(super) settings: Settings,
    pub(super) description: Option<String>,
    /// What the outputs function returned.
    pub(super) outputs: Keys<'e, 'a>,
    /// The outputs with the inputs, as the spec itself sees them.
    pub(super) whole: Value<'a>,
    library: Keys<'e, 'a>,
}

/// Evaluates the spec of a project and works with its values.
pub(super) fn within<R: Send>(
    project: &Path,
    known: &Known,
    work: impl for<'e, 'a> FnOnce(&Session<'e, 'a>) -> Read<R> + Send,
) -> Read<R> {
    let files = DiskFiles::open(project).map_err(unreadable)?;
    run(&files, known, work)
}

/// The settings alone.
pub(super) fn settings(project: &Path) -> Read<Settings> {
    let files = DiskFiles::open(project).map_err(unreadable)?;
    cognix_language::evaluate(&files, &Options::default(), |evaluator| {
        Ok(both(evaluator, &files).and_then(|(spec, _)| spec.settings()))
    })?
}

fn unreadable(error: impl std::fmt::Display) -> SpecError {
    SpecError {
        place: None,
        reason: Box::new(SpecReason::Unreadable(error.to_string())),
    }
}

/// The built-in spec with the project's own over it, and the outputs of one of them.
fn both<'a>(evaluator: &Evaluator<'a>, files: &dyn Files) -> Read<(Spec, Value<'a>)> {
    let explained = |fault| SpecError::from(evaluator.explain(fault));
    let default = evaluator
        .expression(DEFAULT, "the built-in cognix.nix")
        .map_err(explained)?;
    let default = Keys::of(evaluator, default, "", "", Pos::NONE)?;
    let mut spec = decode::spec(&default)?;
    let mut outputs = default.get("outputs")?;
    if files
        .kind(FILE_NAME)
        .map_err(|error| unreadable(error.reason))?
        .is_some()
    {
        let own = evaluator.file(FILE_NAME).map_err(explained)?;
        let own = Keys::of(evaluator, own, "", "", Pos::NONE)?;
        spec = spec.extend(decode::spec(&own)?);
        outputs = own.get("outputs")?.or(outputs);
    }
    Ok((spec, outputs.map_or(Value::Null, |entry| entry.value)))
}

/// The same with any files.
pub(super) fn run<R: Send>(
    files: &(dyn Files + Sync),
    known: &Known,
    work: impl for<'e, 'a> FnOnce(&Session<'e, 'a>) -> Read<R> + Send,
) -> Read<R> {
    let options = Options {
        limits: Limits {
            cancelled: known.cancelled.clone(),
            ..Limits::default()
        },
        ..Options::default()
    };
    cognix_language::evaluate(files, &options, |evaluator| {
        let session = Session::new(evaluator, files, known);
        Ok(session.and_then(|session| work(&session)))
    })?
}

impl<'e, 'a> Session<'e, 'a> {
    fn new(evaluator: &'e Evaluator<'a>, files: &dyn Files, known: &Known) -> Read<Self> {
        let explained = |fault| SpecError::from(evaluator.explain(fault));
        let (spec, outputs) = both(evaluator, files)?;
        let description = spec.description.clone();
        let settings = spec.settings()?;
        let library = Self::library(evaluator, &settings, known).map_err(explained)?;
        let library = Keys::of(evaluator, library, "cognix", "", Pos::NONE)?;
        check_inputs(evaluator, &settings, outputs)?;
        let arguments = Self::arguments(evaluator, &settings, known, outputs);
        let applied = call(&library, "apply", arguments)?;
        let applied = Keys::of(evaluator, applied, "", "", Pos::NONE)?;
        let whole = applied
            .get("self")?
            .map_or(Value::Null, |entry| entry.value);
        let value = applied
            .get("outputs")?
            .map_or(Value::Null, |entry| entry.value);
        let outputs = Keys::of(evaluator, value, "outputs", "outputs", Pos::NONE)?;
        Ok(Self {
            evaluator,
            settings,
            description,
            outputs: Keys {
                path: String::new(),
                ..outputs
            },
            whole,
            library,
        })
    }

    fn library(
        evaluator: &'e Evaluator<'a>,
        settings: &Settings,
        known: &Known,
    ) -> cognix_language::Eval<Value<'a>> {
        let library = evaluator.own_expression(LIBRARY, "the cognix library")?;
        let text = |text: &str| evaluator.known(evaluator.string(text));
        let (platform, python, packages, root) = match &known.locked {
            Some(locked) => (
                text(&locked.platform.to_string()),
                text(&locked.python),
                evaluator.known(packages(evaluator, &locked.packages, &locked.builds)),
                evaluator.known(root(evaluator, &locked.root)?),
            ),
            None => (
                text(
                    &settings
                        .platforms
                        .first()
                        .copied()
                        .unwrap_or_default()
                        .to_string(),
                ),
                evaluator.failing("the image's Python is known once it is locked"),
                evaluator.known(Value::Null),
                evaluator.failing(
                    "the image's Debian packages are known once it is locked; run `cognix lock`",
                ),
            ),
        };
        let arguments = set(
            evaluator,
            [
                ("platform", platform),
                ("python", python),
                ("packages", packages),
                ("root", root),
            ],
        );
        evaluator.call(library, &[evaluator.known(arguments)], Pos::NONE)
    }

    /// What the outputs function is called with.
    fn arguments(
        evaluator: &'e Evaluator<'a>,
        settings: &Settings,
        known: &Known,
        function: Value<'a>,
    ) -> Value<'a> {
        let mut inputs: BTreeMap<&str, &'a Thunk<'a>> = BTreeMap::new();
        for (name, input) in &settings.inputs {
            let sha256 = known
                .inputs
                .get(name)
                .or(input.sha256.as_ref())
                .or(input.digest.as_ref());
            inputs.insert(name, evaluator.known(input_value(evaluator, input, sha256)));
        }
        for (name, target) in &settings.follows {
            if let Some(input) = inputs.get(target.as_str()) {
                inputs.insert(name, input);
            }
        }
        let inputs = set(evaluator, inputs);
        let taken = match evaluator.closed_pattern(function) {
            None => Value::Null,
            Some(names) => {
                let null = evaluator.known(Value::Null);
                evaluator.attrs(
                    names
                        .into_iter()
                        .map(|name| Attr {
                            name,
                            pos: Pos::NONE,
                            value: null,
                        })
                        .collect(),
                )
            }
        };
        set(
            evaluator,
            [
                ("function", evaluator.known(function)),
                ("inputs", evaluator.known(inputs)),
                ("taken", evaluator.known(taken)),
            ],
        )
    }

    /// The images that the spec makes: name, keys and place.
    pub(super) fn images(&self) -> Read<Vec<Keys<'e, 'a>>> {
        self.outputs.only_known()?;
        let Some(images) = self.outputs.keys("images")? else {
            return Ok(Vec::new());
        };
        let named = images.each(|keys, name, pos| match decode::is_plain_name(name) {
            true => Ok(keys.clone()),
            false => Err(keys.error(
                pos,
                SpecReason::Name {
                    what: "image",
                    found: name.to_owned(),
                },
            )),
        })?;
        Ok(named
            .into_values()
            .map(|keys| Keys {
                schema: "images.*".to_owned(),
                ..keys
            })
            .collect())
    }

    /// The variants, sorted by name; one that changes nothing where the spec makes no images.
    pub(super) fn variants(&self) -> Read<Vec<Variant>> {
        let images = self.images()?;
        if images.is_empty() {
            return Ok(vec![images::variant(self, None)?]);
        }
        images
            .iter()
            .map(|image| images::variant(self, Some(image)))
            .collect()
    }

    /// What overrides come to, by package.
    pub(super) fn overridden(&self, image: Option<&Keys<'e, 'a>>) -> Read<Option<Keys<'e, 'a>>> {
        let mut overlays = Vec::new();
        for keys in [Some(&self.outputs), image].into_iter().flatten() {
            if let Some(entry) = keys.get("overrides")? {
                match entry.value {
                    Value::Lambda(_) => overlays.push(self.evaluator.known(entry.value)),
                    _ => {
                        return Err(keys.wrong(
                            "overrides",
                            &entry,
                            "a function `final: prev: { … }`",
                        ));
                    }
                }
            }
        }
        if overlays.is_empty() {
            return Ok(None);
        }
        let overlays = self
            .evaluator
            .list(overlays.into_iter(), Pos::NONE)
            .map_err(|fault| self.explained(fault))?;
        let value = call(&self.library, "overridden", overlays)?;
        Keys::of(self.evaluator, value, "overrides", "", Pos::NONE).map(Some)
    }

    /// What comes into an image besides, with names and places.
    fn extra_packages(&self, image: Option<&Keys<'e, 'a>>) -> Read<Vec<ExtraPackage>> {
        const KEY: &str = "extraPackages";
        let Some(image) = image else {
            return Ok(Vec::new());
        };
        let mut packages: Vec<ExtraPackage> = Vec::new();
        for item in image
            .items(KEY, "a list of derivations")?
            .unwrap_or_default()
        {
            let path = image.path_of(KEY);
            let placed = call(&self.library, "placed", item.value)?;
            let placed = Keys::of(self.evaluator, placed, &path, "", item.pos)?;
            let package = placed
                .get("package")?
                .map_or(Value::Null, |entry| entry.value);
            let (derivation, output) = self.derivation(package, &path, item.pos)?;
            let destination = placed.text("destination")?.unwrap_or_default();
            let is_plain = |part: &str| !matches!(part, "." | "..") && !part.contains('\0');
            if !destination.starts_with('/') || !destination.split('/').all(is_plain) {
                let (key, found) = (format!("{path}: destination"), destination);
                return Err(image.error(item.pos, SpecReason::Destination { key, found }));
            }
            let name = placed.text("name")?.unwrap_or_default();
            if packages.iter().any(|package| package.name == name) {
                let reason = SpecReason::SecondPackage {
                    key: path,
                    found: name,
                };
                return Err(image.error(item.pos, reason));
            }
            packages.push(ExtraPackage {
                name,
                derivation,
                output,
                destination,
            });
        }
        Ok(packages)
    }

    /// The file and the output of a derivation.
    pub(super) fn derivation(
        &self,
        value: Value<'a>,
        path: &str,
        pos: Pos,
    ) -> Read<(StorePath, String)> {
        let keys = Keys::of(self.evaluator, value, path, "", pos)?;
        let drv_path = keys.get("drvPath")?;
        let drv_path = drv_path.and_then(|entry| match entry.value {
            Value::String(text) => {
                text.context
                    .elements()
                    .iter()
                    .find_map(|element| match element {
                        ContextElement::DeepDerivation(path) => StorePath::parse(path).ok(),
                        _ => None,
                    })
            }
            _ => None,
        });
        let Some(derivation) = drv_path else {
            let reason = SpecReason::WrongType {
                key: path.to_owned(),
                expected: "a derivation",
                found: value.describe(),
            };
            return Err(keys.error(pos, reason));
        };
        let output = keys.text("outputName")?.unwrap_or_else(|| "out".to_owned());
        Ok((derivation, output))
    }

    /// What a variant's image is made of besides its locked packages.
    pub(super) fn derivations(&self, variant: &str) -> Read<Derivations> {
        let images = self.images()?;
        let image = images
            .iter()
            .find(|image| image.path == format!("images.{variant}"));
        let extra_packages = self.extra_packages(image)?;
        let mut replaced = BTreeMap::new();
        if let Some(overridden) = self.overridden(image)? {
            for attr in self.evaluator.by_name(overridden.attrs) {
                let name = self.evaluator.name_text(attr.name).into_owned();
                let Some(one) = overridden.keys(&name)? else {
                    continue;
                };
                if one.boolean("isChanged")? == Some(true)
                    && let Some(entry) = one.get("derivation")?
                {
                    let path = format!("overrides.{name}");
                    let (derivation, _) = self.derivation(entry.value, &path, attr.pos)?;
                    replaced.insert(name, derivation);
                }
            }
        }
        let named = extra_packages.iter().map(|package| &package.derivation);
        let named: BTreeSet<StorePath> = named.chain(replaced.values()).cloned().collect();
        Ok(Derivations {
            extra_packages,
            replaced,
            ..needed(self.evaluator.instantiated(), &named)
        })
    }

    /// One of `packages`, with what it needs.
    pub(super) fn package(&self, name: &str) -> Read<Derivations> {
        let packages = self.outputs.keys("packages")?;
        let found = match &packages {
            Some(packages) => packages
                .get(name)?
                .map(|entry| (packages.path_of(name), entry)),
            None => None,
        };
        let Some((path, entry)) = found else {
            let names = packages.map_or(Vec::new(), |packages| {
                self.evaluator.by_name(packages.attrs)
            });
            let names = names.iter().map(|attr| self.evaluator.name_text(attr.name));
            let reason = SpecReason::Package {
                found: name.to_owned(),
                known: names.collect::<Vec<_>>().join(", "),
            };
            return Err(SpecError::at(None, reason));
        };
        let (derivation, output) = self.derivation(entry.value, &path, entry.pos)?;
        let needed = needed(
            self.evaluator.instantiated(),
            &BTreeSet::from([derivation.clone()]),
        );
        Ok(Derivations {
            extra_packages: vec![ExtraPackage {
                name: name.to_owned(),
                derivation,
                output,
                destination: String::new(),
            }],
            ..needed
        })
    }

    pub(super) fn explained(&self, fault: cognix_language::Fault) -> SpecError {
        self.evaluator.explain(fault).into()
    }
}

/// Refuses outputs that take something which is no input, before the function is called.
fn check_inputs<'a>(
    evaluator: &Evaluator<'a>,
    settings: &Settings,
    function: Value<'a>,
) -> Read<()> {
    let inputs = settings.inputs.keys().chain(settings.follows.keys());
    let known: Vec<&str> = ["self", "cognix"]
        .into_iter()
        .chain(inputs.map(String::as_str))
        .collect();
    for (name, pos) in evaluator.required_names(function) {
        let name = evaluator.name_text(name);
        if !known.contains(&name.as_ref()) {
            let reason = SpecReason::NoInput {
                found: name.into_owned(),
                known: known.join(", "),
            };
            return Err(SpecError::at(evaluator.place(pos), reason));
        }
    }
    Ok(())
}

/// Of all that an evaluation made, what some derivations need.
fn needed(all: Instantiated, named: &BTreeSet<StorePath>) -> Derivations {
    let named: Vec<StorePath> = named.iter().cloned().collect();
    let closure = all.graph.input_closure(&named);
    let mut graph = cognix_derivations::DerivationGraph::new();
    let mut referred: BTreeSet<StorePath> = BTreeSet::new();
    for derivation in all
        .graph
        .iter()
        .filter(|drv| closure.contains(drv.as_path()))
    {
        referred.extend(derivation.input_sources().iter().cloned());
        // Its inputs came before it, here as there.
        let _ = graph.insert(derivation.clone());
    }
    let mut texts = BTreeMap::new();
    for text in all.texts.into_iter().rev() {
        if referred.contains(&text.path) {
            referred.extend(text.references.iter().cloned());
            let (bytes, references) = (text.bytes, text.references);
            texts.insert(text.path, StoreText { bytes, references });
        }
    }
    let sources = all.sources.into_iter();
    let sources = sources.filter(|source| referred.contains(&source.store_path));
    let sources = sources.map(|source| {
        let files = ProjectFiles {
            path: source.path,
            kept: source.kept,
            flat: source.is_flat,
        };
        (source.store_path, files)
    });
    Derivations {
        graph,
        texts,
        sources: sources.collect(),
        ..Derivations::default()
    }
}

/// Calls a function of the library.
fn call<'e, 'a>(library: &Keys<'e, 'a>, name: &str, argument: Value<'a>) -> Read<Value<'a>> {
    let evaluator = library.evaluator;
    let function = library.get(name)?.map_or(Value::Null, |entry| entry.value);
    let argument = evaluator.known(argument);
    evaluator
        .call(function, &[argument], Pos::NONE)
        .map_err(|fault| evaluator.explain(fault).into())
}

/// The built-in spec's settings, complete by themselves.
pub(super) fn parse(text: &str, file_name: &str) -> Read<Spec> {
    let files = cognix_language::MemoryFiles::new();
    cognix_language::evaluate(&files, &Options::default(), |evaluator| {
        let read = || {
            let value = evaluator
                .expression(text, file_name)
                .map_err(|fault| SpecError::from(evaluator.explain(fault)))?;
            decode::spec(&Keys::of(evaluator, value, "", "", Pos::NONE)?)
        };
        Ok(read())
    })?
}
