//! What the packages' scripts make that no rule covers: they are run, on the packages and the rules' configuration.
//!
//! Which scripts these are is known only when the packages are unpacked; the configuration's `control` output has the
//! commands. So the derivation is always there, and where there is nothing to run it needs no sandbox: its attribute
//! [`UNLESS_EMPTY`] says that without a command there is no change.

use cognix_derivations::{Derivation, StorePath};
use cognix_store::build::foreign::{Entry, Identity, OutputKind, Plan, UNLESS_EMPTY};

use super::{Instantiation, RecipeError, system_packages::Deb};
use crate::{builtins::system::RUN_FILE, layers::timestamp::Timestamp, lock::LockedPlatform};

/// Runs the commands as dpkg would, and takes away what holds times or is of no use afterwards.
const SCRIPT: &str = include_str!("system_scripts.sh");

/// Adds the derivation whose output is what the scripts change.
pub(super) fn scripts(
    builder: &mut Instantiation,
    lock: LockedPlatform<'_>,
    debs: &[Deb<'_>],
    configuration: &StorePath,
) -> Result<StorePath, RecipeError> {
    let plan = Plan {
        root: root(builder, debs, configuration),
        environment: Some(environment(builder, lock)),
        directory: "/".to_owned(),
        identity: Identity::Root,
        output: OutputKind::Changes,
        ..Plan::default()
    };
    let commands = format!("{}/{RUN_FILE}", builder.reference(configuration, "control"));
    let mut derivation = Derivation::builder("system-scripts")
        .floating_output("out")
        .system(&format!("{}-linux", lock.architecture.machine()))
        .builder("/bin/sh")
        .arg("-euc")
        .arg(SCRIPT)
        .arg("sh")
        .arg(commands.as_str())
        .env("sandbox", plan.to_json())
        .env(UNLESS_EMPTY, commands.as_str())
        .input_derivation(configuration, "out")
        .input_derivation(configuration, "control");
    for deb in debs {
        derivation = derivation
            .input_derivation(&deb.unpacked, "out")
            .input_derivation(&deb.unpacked, "control");
    }
    builder.add("the packages' scripts", derivation.build())
}

/// The packages below the configuration, as a sandbox's root.
pub(super) fn root(
    builder: &Instantiation,
    debs: &[Deb<'_>],
    configuration: &StorePath,
) -> Vec<Entry<String>> {
    let trees = debs.iter().map(|deb| &deb.unpacked).chain([configuration]);
    let entry = |derivation: &StorePath| Entry::Tree {
        tree: builder.reference(derivation, "out"),
        control: Some(builder.reference(derivation, "control")),
    };
    trees.map(entry).collect()
}

fn environment(
    builder: &Instantiation,
    lock: LockedPlatform<'_>,
) -> std::collections::BTreeMap<String, String> {
    let time = builder.timestamp.unwrap_or(Timestamp::default().seconds());
    let variables = [
        ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DPKG_MAINTSCRIPT_ARCH", lock.architecture.debian()),
        ("HOME", "/root"),
        ("LC_ALL", "C.UTF-8"),
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ("SOURCE_DATE_EPOCH", &time.to_string()),
        ("TZ", "UTC"),
    ];
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}
