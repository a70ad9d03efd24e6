//! Debian packages: one derivation each, the configuration that their scripts would have made, and their layers.

use cognix_derivations::{Derivation, StorePath, StorePathName};

use super::{Instantiation, LayerDerivation, RecipeError, TreeReference, fetch, json};
use crate::lock::{DebGroup, LockedDeb, LockedPlatform};

/// One package's derivations.
pub(super) struct Deb<'a> {
    locked: &'a LockedDeb,
    fetch: StorePath,
    unpacked: StorePath,
}

/// Adds fetch and unpacking of every package, in the lock's order.
pub(super) fn debs<'a>(
    builder: &mut Instantiation,
    lock: LockedPlatform<'a>,
) -> Result<Vec<Deb<'a>>, RecipeError> {
    lock.debian
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

/// Adds a layer per group of packages that is not empty, and one for the configuration above them all.
pub(super) fn layers(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    debs: &[Deb<'_>],
) -> Result<(), RecipeError> {
    for group in DebGroup::ALL {
        let members: Vec<&Deb<'_>> = debs
            .iter()
            .filter(|deb| deb.locked.group == group)
            .collect();
        if members.is_empty() {
            continue;
        }
        let trees = members
            .iter()
            .map(|deb| (&deb.unpacked, true))
            .collect::<Vec<_>>();
        let fetches = members.iter().map(|deb| deb.fetch.clone()).collect();
        tree_layer(builder, lock, group.name(), "debian", "", &trees, fetches)?;
    }
    let configuration = system_configuration(builder, debs)?;
    tree_layer(
        builder,
        lock,
        "system-configuration",
        "system",
        "",
        &[(&configuration, true)],
        Vec::new(),
    )
}

fn system_configuration(
    builder: &mut Instantiation,
    debs: &[Deb<'_>],
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
    let references: Vec<_> = trees
        .iter()
        .map(|(derivation, control)| TreeReference {
            control: control.then(|| builder.reference(derivation, "control")),
            name: None,
            out: builder.reference(derivation, "out"),
        })
        .collect();
    let mut derivation = layer_derivation(lock, name, prefix, &json(&references));
    for (tree, control) in trees {
        derivation = derivation.input_derivation(tree, "out");
        if *control {
            derivation = derivation.input_derivation(tree, "control");
        }
    }
    let derivation = builder.add(name, derivation.build())?;
    builder.layers.push(LayerDerivation {
        name: name.to_owned(),
        group,
        derivation,
        fetches,
    });
    Ok(())
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
