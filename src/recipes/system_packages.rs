//! Debian packages: one derivation each, the configuration that their scripts would have made, and their layers.

use std::collections::BTreeMap;

use cognix_derivations::{Derivation, StorePath, StorePathName};
use uv_normalize::PackageName;

use super::python_packages::is_by_rule;
use super::run_steps::RootPart;
use super::{
    Held, Instantiation, LayerDerivation, RecipeError, System, TreeReference,
    changes_layer::changes_layer, fetch, json, system_scripts,
};
use crate::lock::{DebGroup, DebianLock, LockedDeb, LockedPlatform};

/// One package's derivations.
pub(super) struct Deb<'a> {
    pub(super) locked: &'a LockedDeb,
    fetch: StorePath,
    /// The derivation of its files and what is said about them.
    pub(super) unpacked: StorePath,
}

impl Deb<'_> {
    /// The derivation that unpacks it.
    pub(super) fn into_unpacked(self) -> StorePath {
        self.unpacked
    }
}

/// Adds fetch and unpacking of every package, in the lock's order.
pub(super) fn debs<'a>(
    builder: &mut Instantiation,
    debian: &'a DebianLock,
) -> Result<Vec<Deb<'a>>, RecipeError> {
    debian
        .packages
        .iter()
        .map(|locked| deb(builder, locked))
        .collect()
}

fn deb<'a>(builder: &mut Instantiation, locked: &'a LockedDeb) -> Result<Deb<'a>, RecipeError> {
    let fetch = fetch::fetch(
        builder,
        locked.file_name(),
        &locked.url(),
        locked.sha256,
        Some(locked.size),
    )?;
    let name = StorePathName::sanitized(&format!("{}-{}", locked.name, locked.version));
    let derivation = Derivation::builder(name.as_str())
        .floating_output("out")
        .floating_output("control")
        .system("builtin")
        .builder("builtin:cognix-deb-1")
        .env("architecture", locked.architecture.as_str())
        .env("deb", builder.reference(&fetch, "out"))
        .env("package", locked.name.as_str())
        .env("version", locked.version.as_str())
        .input_derivation(&fetch, "out")
        .build();
    let unpacked = builder.add(&locked.name, derivation)?;
    Ok(Deb {
        locked,
        fetch,
        unpacked,
    })
}

/// Adds a layer for each that the lock names, and one for the configuration above them all.
pub(super) fn layers(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    debs: &[Deb<'_>],
) -> Result<(), RecipeError> {
    let mut by_layer: BTreeMap<(DebGroup, &str), Vec<&Deb<'_>>> = BTreeMap::new();
    for deb in debs {
        let layer = (deb.locked.group, deb.locked.layer_name());
        by_layer.entry(layer).or_default().push(deb);
    }
    for ((_, name), members) in by_layer {
        let trees = members.iter().map(|deb| Tree {
            control: true,
            package: &deb.locked.name,
            ..Tree::of(&deb.unpacked)
        });
        let layer = TreeLayer {
            name,
            group: "debian",
            prefix: "",
            trees: trees.collect(),
            fetches: members.iter().map(|deb| deb.fetch.clone()).collect(),
            holds: members.iter().map(|deb| Held::from(deb.locked)).collect(),
        };
        layer.add(builder, lock)?;
    }
    let left_out = &lock.request.leave_out_scripts;
    let configuration = system_configuration(builder, debs, left_out)?;
    tree_layer(
        builder,
        lock,
        "system-configuration",
        "system",
        "",
        &[(&configuration, true)],
        Vec::new(),
    )?;
    let scripts = system_scripts::scripts(builder, lock, debs, &configuration)?;
    builder.system = Some(System {
        configuration,
        scripts: scripts.clone(),
    });
    changes_layer(builder, lock, "system-scripts", "system", &scripts)
}

/// Adds what the packages' scripts would have made; those of some packages are left out.
pub(super) fn system_configuration(
    builder: &mut Instantiation,
    debs: &[Deb<'_>],
    left_out: &[String],
) -> Result<StorePath, RecipeError> {
    let references: Vec<_> = debs
        .iter()
        .map(|deb| tree_reference(builder, &deb.unpacked, Some(&deb.locked.name)))
        .collect();
    let mut derivation = Derivation::builder("system-configuration")
        .floating_output("out")
        .floating_output("control")
        .system("builtin")
        .builder("builtin:cognix-system-1")
        .env("debs", json(&references));
    if !left_out.is_empty() {
        derivation = derivation.env("leaveOut", json(&left_out));
    }
    for deb in debs {
        derivation = derivation
            .input_derivation(&deb.unpacked, "out")
            .input_derivation(&deb.unpacked, "control");
    }
    builder.add("the system configuration", derivation.build())
}

fn tree_reference(
    builder: &Instantiation,
    derivation: &StorePath,
    name: Option<&str>,
) -> TreeReference {
    TreeReference {
        control: Some(builder.reference(derivation, "control")),
        name: name.map(str::to_owned),
        omit: Vec::new(),
        out: builder.reference(derivation, "out"),
    }
}

/// Adds a layer made of the trees of other derivations, each with or without a `control` output.
pub(super) fn tree_layer(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    name: &str,
    group: &'static str,
    prefix: &str,
    trees: &[(&StorePath, bool)],
    fetches: Vec<StorePath>,
) -> Result<(), RecipeError> {
    let trees = trees.iter().map(|(derivation, control)| Tree {
        control: *control,
        package: name,
        ..Tree::of(derivation)
    });
    let layer = TreeLayer {
        name,
        group,
        prefix,
        trees: trees.collect(),
        fetches,
        holds: Vec::new(),
    };
    layer.add(builder, lock)
}

/// A rule's owner as trees are called.
fn owner_name(owner: &str, is_wheel: bool) -> String {
    let name = is_wheel
        .then(|| owner.parse::<PackageName>().ok())
        .flatten();
    name.map_or_else(|| owner.to_owned(), |name| name.to_string())
}

/// One tree of a layer.
#[derive(Clone, Copy)]
pub(super) struct Tree<'a> {
    /// The derivation whose `out` it is.
    pub(super) derivation: &'a StorePath,
    /// Whether its modes are in the same derivation's `control`.
    pub(super) control: bool,
    /// What rules about paths call it.
    pub(super) package: &'a str,
    /// Image paths that it leaves to others.
    pub(super) omit: &'a [String],
}

impl<'a> Tree<'a> {
    /// A tree without modes and without a name, whole.
    pub(super) fn of(derivation: &'a StorePath) -> Self {
        Self {
            derivation,
            control: false,
            package: "",
            omit: &[],
        }
    }
}

/// A layer made of the trees of other derivations.
pub(super) struct TreeLayer<'a> {
    pub(super) name: &'a str,
    pub(super) group: &'static str,
    /// The directory they are put in, empty for the root.
    pub(super) prefix: &'a str,
    pub(super) trees: Vec<Tree<'a>>,
    pub(super) fetches: Vec<StorePath>,
    pub(super) holds: Vec<Held>,
}

impl TreeLayer<'_> {
    /// Adds its derivation. The request's rules about paths are told to it only where there are any; those about wheels
    /// were settled by the lock.
    pub(super) fn add(
        self,
        builder: &mut Instantiation,
        lock: LockedPlatform<'_>,
    ) -> Result<(), RecipeError> {
        let is_wheel = self.group == "wheel";
        // What is built was not there to be settled.
        let has_built = self.holds.iter().any(|held| held.build.is_some());
        let rules = lock.request.conflicts.iter();
        let rules = rules.filter(|(path, _)| path.starts_with("venv/") == is_wheel);
        let rules: BTreeMap<&String, String> = rules
            .filter(|_| !is_wheel || has_built)
            .map(|(path, owner)| (path, owner_name(owner, is_wheel)))
            .collect();
        let reference = |tree: &Tree<'_>| TreeReference {
            control: tree
                .control
                .then(|| builder.reference(tree.derivation, "control")),
            name: (!rules.is_empty()).then(|| tree.package.to_owned()),
            omit: tree.omit.to_vec(),
            out: builder.reference(tree.derivation, "out"),
        };
        let references: Vec<_> = self.trees.iter().map(reference).collect();
        let mut derivation = layer_derivation(lock, self.name, self.prefix, &json(&references));
        if !rules.is_empty() {
            derivation = derivation.env("conflicts", json(&rules));
        }
        for tree in &self.trees {
            derivation = derivation.input_derivation(tree.derivation, "out");
            if tree.control {
                derivation = derivation.input_derivation(tree.derivation, "control");
            }
        }
        let derivation = builder.add_layer(self.name, derivation)?;
        // Where something is left out or lies elsewhere, the layer is not simply its trees.
        let is_changed = |tree: &Tree<'_>| is_by_rule(lock, tree.omit);
        let is_plain = self.prefix.is_empty() && rules.is_empty();
        if is_plain && !self.trees.iter().any(is_changed) {
            builder
                .root
                .extend(self.trees.iter().map(|tree| RootPart::Tree {
                    derivation: tree.derivation.clone(),
                    control: tree.control,
                }));
        } else {
            builder.root.push(RootPart::Layer(derivation.clone()));
        }
        builder.layers.push(LayerDerivation {
            name: self.name.to_owned(),
            group: self.group,
            derivation,
            fetches: self.fetches,
            holds: self.holds,
        });
        Ok(())
    }
}

/// The attributes that every layer made of trees has.
pub(super) fn layer_derivation(
    lock: LockedPlatform<'_>,
    name: &str,
    prefix: &str,
    trees: &str,
) -> cognix_derivations::DerivationBuilder {
    Derivation::builder(&format!("layer-{name}.json"))
        .floating_output("out")
        .system("builtin")
        .builder("builtin:cognix-tree-layer-1")
        .env("layer", name)
        .env("omit", "[]")
        .env("prefix", prefix)
        .env("recipe", lock.request.recipes.tree.as_str())
        .env("trees", trees)
}
