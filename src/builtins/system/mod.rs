//! `builtin:cognix-system-1`: what the packages' maintainer scripts would have done, as data and rules.
//!
//! ```text
//! out/      only what no package brings: users, certificates, alternatives, the linker's cache, dpkg's status, links
//! control/  modes.json    modes and owners that a store cannot hold
//!           notes         what was noticed, one line each
//!           scripts.json  what becomes of every maintainer script and trigger: covered by a rule, left out, run
//!           run           the commands that run what no rule covers; empty when there is nothing
//! ```
//!
//! No script is run here. Rules read the packages' trees and control archives and add files, in an order that does not depend
//! on the order of the packages; one that would write over a package's file is an error that names both. The result is
//! compared with what `mmdebstrap` makes of the same packages.
//!
//! Left out on purpose: services and timers (nothing starts them in an image), debconf's answers and compiled Python
//! files. What needs a program of the packages (the caches of fonts, MIME types, image loaders and schemas, users that no
//! rule knows) is left to the derivation that runs scripts. `/dev`, `/etc/hosts` and `/etc/resolv.conf` are the runtime's.

mod alternatives;
mod builder;
mod certificates;
mod database;
mod diversions;
mod error;
mod files;
mod linker_cache;
mod pam;
mod root;
pub mod scripts;
mod shell;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use self::builder::SystemBuilder;
pub use self::error::SystemError;
use self::root::Root;
pub use self::scripts::{RUN_FILE, SCRIPTS_FILE, ScriptOutcome, Scripts};
use crate::{
    builtins::deb::tree::TreeWriter,
    layers::{modes::MODES_FILE, path::ImagePath},
};

/// The builder's name.
pub const NAME: &str = "builtin:cognix-system-1";
/// The file of the `control` output that says what was left out.
pub const NOTES_FILE: &str = "notes";

/// One unpacked package.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its files.
    pub out: PathBuf,
    /// Its control archive.
    pub control: PathBuf,
}

/// Works the configuration out and writes it to `out` and `control`, neither of which may exist.
///
/// Returns the notes. The order of the packages does not matter. Scripts of the packages in `left_out` are not run.
pub fn configure(
    mut packages: Vec<Package>,
    left_out: &BTreeSet<String>,
    out: &Path,
    control: &Path,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<String>, SystemError> {
    packages.sort_by(|left, right| left.name.cmp(&right.name));
    if let Some(pair) = packages
        .windows(2)
        .find(|pair| pair[0].name == pair[1].name)
    {
        return Err(SystemError::Repeated {
            package: pair[0].name.clone(),
        });
    }
    let mut root = Root::new(&packages, cancelled)?;
    // Paths of later rules lead through the links of the first, and the linker's cache sees the links of all.
    files::aliases(&mut root)?;
    files::base(&mut root)?;
    files::accounts(&mut root)?;
    files::shells(&mut root)?;
    pam::apply(&mut root)?;
    certificates::apply(&mut root)?;
    alternatives::apply(&mut root)?;
    linker_cache::apply(&mut root, cancelled)?;
    diversions::apply(&mut root)?;
    database::apply(&mut root)?;
    // Scripts are looked at when everything is in place: what is there already needs nobody to make it.
    for name in left_out {
        if root.package(name).is_some() {
            continue;
        }
        root.note(format!(
            "scripts of {name} are left out on request, and there is no such package"
        ));
    }
    let (scripts, run) = scripts::classify(&root, left_out)?;
    root.write(out)?;
    write_control(&root, &scripts, &run, control)?;
    Ok(root.notes().to_vec())
}

fn write_control(
    root: &Root<'_>,
    scripts: &Scripts,
    run: &[u8],
    place: &Path,
) -> Result<(), SystemError> {
    let mut tree = TreeWriter::create(place)?;
    let notes: String = root.notes().iter().flat_map(|note| [note, "\n"]).collect();
    tree.file_with(
        &ImagePath::parse(MODES_FILE)?,
        false,
        &root.modes().to_json(),
    )?;
    tree.file_with(&ImagePath::parse(NOTES_FILE)?, false, notes.as_bytes())?;
    tree.file_with(&ImagePath::parse(SCRIPTS_FILE)?, false, &scripts.to_json())?;
    tree.file_with(&ImagePath::parse(RUN_FILE)?, false, run)?;
    Ok(())
}
