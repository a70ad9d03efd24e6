//! The virtual environment and its wheels: a layer each, and shared ones for small wheels when there are too many.

use std::collections::BTreeMap;

use cognix_derivations::{Derivation, DerivationBuilder, StorePath};

use super::bytecode::Compiler;
use super::run_steps::RootPart;
use super::system_packages::{Tree, TreeLayer, tree_layer};
use super::{Held, Instantiation, LayerDerivation, RecipeError, fetch, interpreter, json, sdist};
use crate::lock::platform::PythonVersion;
use crate::lock::{LockedInterpreter, LockedPlatform, LockedWheel, python};

/// Adds the frame of the virtual environment and its layer.
pub(super) fn environment_layer(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    python: PythonVersion,
) -> Result<(), RecipeError> {
    let environment = environment(builder, lock.interpreter, python)?;
    tree_layer(
        builder,
        lock,
        "virtual-environment",
        "python",
        "",
        &[(&environment, false)],
        Vec::new(),
    )
}

/// Adds the frame of the virtual environment.
pub(super) fn environment(
    builder: &mut Instantiation,
    interpreter: &LockedInterpreter,
    python: PythonVersion,
) -> Result<StorePath, RecipeError> {
    let derivation = Derivation::builder("virtual-environment")
        .floating_output("out")
        .system("builtin")
        .builder("builtin:cognix-venv-1")
        .env("home", interpreter::home(interpreter))
        .env("python", python.to_string())
        .build();
    builder.add("the virtual environment", derivation)
}

/// What the layers of Python packages are made with.
pub(super) struct Packages<'a> {
    pub(super) lock: LockedPlatform<'a>,
    pub(super) python: PythonVersion,
    /// Packages whose files are the `out` of a derivation, by name.
    pub(super) replaced: &'a BTreeMap<String, StorePath>,
    /// Makes bytecode, where the image has any.
    pub(super) compiler: Option<&'a Compiler<'a>>,
}

impl Packages<'_> {
    /// Adds wheel, bytecode and layer of one package. The layer is described from the wheel file; no tree is written.
    pub(super) fn wheel_layer(
        &self,
        builder: &mut Instantiation,
        wheel: &LockedWheel,
    ) -> Result<(), RecipeError> {
        let (lock, python) = (self.lock, self.python);
        let mut rules = lock.request.conflicts.keys();
        if wheel.build.is_some() && rules.any(|path| path.starts_with("venv/")) {
            // Which of its paths the rules give to others is known when it is built.
            return self.group_layer(builder, &wheel.name, &[wheel]);
        }
        let file = wheel_file(builder, lock, wheel, python)?;
        let mut derivation = Derivation::builder(&format!("layer-{}.json", wheel.name))
            .floating_output("out")
            .system("builtin")
            .builder("builtin:cognix-wheel-layer-1")
            .env("filename", file.name)
            .env("layer", wheel.name.as_str())
            .env("omit", json(&wheel.omit))
            .env("python", python.to_string())
            .env("recipe", lock.request.recipes.wheel.as_str())
            .env("wheel", builder.reference(&file.derivation, "out"))
            .input_derivation(&file.derivation, "out");
        if let Some(compiler) = self.compiler {
            let bytecode = compiler.wheel(builder, wheel, &file.derivation)?;
            derivation = derivation
                .env("bytecode", builder.reference(&bytecode, "out"))
                .input_derivation(&bytecode, "out");
        }
        let derivation = builder.add_layer(&wheel.name, with_waiver(derivation, wheel.waived))?;
        builder.root.push(match is_by_rule(lock, &wheel.omit) {
            true => RootPart::Layer(derivation.clone()),
            false => RootPart::Wheel(Box::new(wheel.clone())),
        });
        builder.layers.push(LayerDerivation {
            name: wheel.name.clone(),
            group: "wheel",
            derivation,
            fetches: vec![file.fetch],
            holds: vec![Held::from(wheel)],
        });
        Ok(())
    }

    /// Adds a layer that several small wheels share, made of their trees, or one whose wheel is replaced.
    pub(super) fn group_layer(
        &self,
        builder: &mut Instantiation,
        name: &str,
        wheels: &[&LockedWheel],
    ) -> Result<(), RecipeError> {
        let (lock, python) = (self.lock, self.python);
        let mut derivations = Vec::new();
        let mut bytecode = Vec::new();
        let mut fetches = Vec::new();
        let mut holds = Vec::new();
        for wheel in wheels {
            let mut held = Held::from(*wheel);
            match self.replaced.get(&wheel.name) {
                Some(replacement) => {
                    derivations.push(replacement.clone());
                    held.size = 0;
                    if let Some(compiler) = self.compiler {
                        bytecode.push(compiler.replacement(builder, wheel, replacement)?);
                    }
                }
                None => {
                    let file = wheel_file(builder, lock, wheel, python)?;
                    derivations.push(tree(builder, wheel, &file, wheel.waived, python)?);
                    if let Some(compiler) = self.compiler {
                        bytecode.push(compiler.wheel(builder, wheel, &file.derivation)?);
                    }
                    fetches.push(file.fetch);
                }
            }
            holds.push(held);
        }
        let trees = wheels
            .iter()
            .zip(&derivations)
            .map(|(wheel, derivation)| Tree {
                package: &wheel.name,
                omit: &wheel.omit,
                ..Tree::of(derivation)
            });
        let layer = TreeLayer {
            name,
            group: "wheel",
            prefix: "",
            trees: trees.chain(bytecode.iter().map(Tree::of)).collect(),
            fetches,
            holds,
        };
        layer.add(builder, lock)
    }
}

/// Whether some of these paths are left to others by a rule: then what others bring there is not the same.
pub(super) fn is_by_rule(lock: LockedPlatform<'_>, omit: &[String]) -> bool {
    let rules = &lock.request.conflicts;
    omit.iter().any(|path| rules.contains_key(path))
}

/// Says so where the lock has a waiver for a wheel; others have no such attribute.
fn with_waiver(derivation: DerivationBuilder, waived: bool) -> DerivationBuilder {
    match waived {
        true => derivation.env("record", "waived"),
        false => derivation,
    }
}

/// A wheel in the store.
struct WheelFile {
    /// The name that says of which package and version it is.
    name: String,
    /// The derivation whose `out` it is.
    derivation: StorePath,
    /// The fetch that it is made from.
    fetch: StorePath,
}

/// Adds the wheel of a package: fetched, or built.
fn wheel_file(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    wheel: &LockedWheel,
    python: PythonVersion,
) -> Result<WheelFile, RecipeError> {
    let fetch = fetch_file(builder, wheel)?;
    if wheel.build.is_none() {
        return Ok(WheelFile {
            name: wheel.filename.clone(),
            derivation: fetch.clone(),
            fetch,
        });
    }
    Ok(WheelFile {
        name: sdist::wheel_name(wheel),
        derivation: sdist::wheel(builder, lock, wheel, python)?,
        fetch,
    })
}

/// Adds the tree of one installed package, for those who need its files in the store.
pub fn wheel_tree(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    wheel: &LockedWheel,
    python: PythonVersion,
) -> Result<StorePath, RecipeError> {
    let file = wheel_file(builder, lock, wheel, python)?;
    tree(builder, wheel, &file, wheel.waived, python)
}

/// Adds the tree of a wheel that something is built with.
pub(super) fn tool_tree(
    builder: &mut Instantiation,
    wheel: &python::LockedWheel,
    python: PythonVersion,
) -> Result<StorePath, RecipeError> {
    let fetch = fetch_file(builder, wheel)?;
    let file = WheelFile {
        name: wheel.filename.clone(),
        derivation: fetch.clone(),
        fetch,
    };
    tree(builder, wheel, &file, false, python)
}

/// The same of one that was built.
pub(super) fn built_tool_tree(
    builder: &mut Instantiation,
    source: &python::LockedWheel,
    built: StorePath,
    python: PythonVersion,
) -> Result<StorePath, RecipeError> {
    let file = WheelFile {
        name: sdist::wheel_name(source),
        derivation: built.clone(),
        fetch: built,
    };
    tree(builder, source, &file, false, python)
}

fn tree(
    builder: &mut Instantiation,
    wheel: &python::LockedWheel,
    file: &WheelFile,
    waived: bool,
    python: PythonVersion,
) -> Result<StorePath, RecipeError> {
    let derivation = Derivation::builder(&format!(
        "{}-{}",
        wheel.name,
        wheel.version.replace('!', "_")
    ))
    .floating_output("out")
    .system("builtin")
    .builder("builtin:cognix-wheel-1")
    .env("filename", file.name.as_str())
    .env("python", python.to_string())
    .env("wheel", builder.reference(&file.derivation, "out"))
    .input_derivation(&file.derivation, "out");
    builder.add(&wheel.name, with_waiver(derivation, waived).build())
}

/// Adds the fetch of a wheel or source archive.
pub(super) fn fetch_file(
    builder: &mut Instantiation,
    wheel: &python::LockedWheel,
) -> Result<StorePath, RecipeError> {
    if let python::WheelOrigin::Git(address) = &wheel.origin {
        let (name, url) = (&wheel.filename, address.tree());
        return fetch::fetch_tree(builder, name, &url, wheel.sha256, wheel.size);
    }
    fetch::fetch(
        builder,
        &wheel.filename,
        &wheel.url(),
        wheel.sha256,
        Some(wheel.size),
    )
}
