//! dpkg's database beyond what single packages bring: the status of all, triggers, and the format.
//!
//! ```text
//! var/lib/dpkg/status          one stanza per package, sorted by name
//!              info/format     the version of the database
//!              triggers/File   which package waits for files below which path
//!              triggers/NAME   which packages wait for an event of this name
//!              triggers/Unincorp   what has been activated: nothing
//! ```

use std::collections::BTreeMap;

use super::{
    Package, SystemError,
    root::{Owner, Root},
    scripts::interests,
};
use crate::builtins::deb::STATUS_FILE;

const RULE: &str = "dpkg";
const DATABASE: &str = "var/lib/dpkg";

/// What a package says about itself, as dpkg keeps it.
pub(super) struct Stanza(String);

impl Stanza {
    /// Reads it; empty for a package that says nothing.
    pub(super) fn of(root: &Root<'_>, package: &Package) -> Result<Self, SystemError> {
        let text = root.control(package, STATUS_FILE)?.unwrap_or_default();
        Ok(Self(String::from_utf8_lossy(&text).into_owned()))
    }

    /// The first line of a field.
    pub(super) fn get(&self, field: &str) -> Option<&str> {
        let mut lines = self.0.lines();
        lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(": "))
    }
}

/// The name that dpkg has for a package: with the architecture where several may be installed.
pub(super) fn name(root: &Root<'_>, package: &Package) -> Result<String, SystemError> {
    let stanza = Stanza::of(root, package)?;
    Ok(
        match (stanza.get("Multi-Arch"), stanza.get("Architecture")) {
            (Some("same"), Some(architecture)) => format!("{}:{architecture}", package.name),
            _ => package.name.clone(),
        },
    )
}

/// Adds the database.
pub(super) fn apply(root: &mut Root<'_>) -> Result<(), SystemError> {
    let mut status = Vec::new();
    for package in root.packages() {
        if let Some(stanza) = root.control(package, STATUS_FILE)? {
            status.extend(stanza);
            status.push(b'\n');
        }
    }
    if status.is_empty() {
        return Ok(());
    }
    // Scanners read it in every image, with dpkg or without.
    root.add_file(RULE, &format!("{DATABASE}/status"), status, Owner::FILE)?;
    let format = b"1\n".to_vec();
    root.add_file(
        RULE,
        &format!("{DATABASE}/info/format"),
        format,
        Owner::FILE,
    )?;
    triggers(root)
}

fn triggers(root: &mut Root<'_>) -> Result<(), SystemError> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for package in root.packages() {
        let Some(text) = root.control(package, "triggers")? else {
            continue;
        };
        let name = name(root, package)?;
        for interest in interests(&String::from_utf8_lossy(&text)) {
            let noawait = if interest.noawait { "/noawait" } else { "" };
            let (file, line) = match interest.name.starts_with('/') {
                true => ("File", format!("{} {name}{noawait}\n", interest.name)),
                false => (interest.name.as_str(), format!("{name}{noawait}\n")),
            };
            files.entry(file.to_owned()).or_default().push_str(&line);
        }
    }
    for (file, text) in files {
        let path = format!("{DATABASE}/triggers/{file}");
        root.add_file(RULE, &path, text.into_bytes(), Owner::FILE)?;
    }
    // Without this list dpkg takes its database for one of before there were triggers, and activates them all.
    let pending = format!("{DATABASE}/triggers/Unincorp");
    root.add_file(RULE, &pending, Vec::new(), Owner::FILE)
}
