//! Writes a lock as `pylock.toml` (PEP 751), for pip, uv and whatever else installs from it.
//!
//! The format wants an address or a path for every file, and a lock of ours holds neither; so addresses are those at which
//! the exporting machine finds the files. Extras, groups and source archives do not exist in our locks. One table a
//! package and version; a marker where only some of the locked platforms have it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::lock::platform::Architecture;
use crate::lock::python::WheelOrigin;
use crate::lock::{LockedWheel, VariantLock};
use crate::mirrors::git::GitAddress;

/// The name and version of the format.
const LOCK_VERSION: &str = "1.0";

/// Where an exported file says that a wheel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// On a package index of the machine.
    Url(String),
    /// Below the exported file's folder.
    Path(String),
}

/// A package in one version, with the platforms that have it.
struct Package<'a> {
    architectures: BTreeSet<Architecture>,
    dependencies: BTreeSet<&'a str>,
    /// By file name; several where platforms have different wheels.
    wheels: BTreeMap<&'a str, &'a LockedWheel>,
}

/// The text of a `pylock.toml`; `addresses` are by the wheels' own URLs (`LockedWheel::url`).
pub fn pylock(lock: &VariantLock, addresses: &BTreeMap<String, Address>) -> String {
    let mut packages: BTreeMap<(&str, &str), Package<'_>> = BTreeMap::new();
    for (architecture, platform) in &lock.platforms {
        for wheel in &platform.python.packages {
            let package = packages
                .entry((&wheel.name, &wheel.version))
                .or_insert_with(|| Package {
                    architectures: BTreeSet::new(),
                    dependencies: BTreeSet::new(),
                    wheels: BTreeMap::new(),
                });
            package.architectures.insert(*architecture);
            package
                .dependencies
                .extend(wheel.requires.iter().map(String::as_str));
            package.wheels.insert(&wheel.filename, wheel);
        }
    }
    let mut text = header(lock);
    for ((name, version), package) in &packages {
        let partial = package.architectures.len() < lock.platforms.len();
        let marker = partial.then(|| machines(&package.architectures));
        package.write(name, version, marker, addresses, &mut text);
    }
    text
}

fn header(lock: &VariantLock) -> String {
    let environments = lock.platforms.keys().map(|architecture| {
        format!(
            "implementation_name == 'cpython' and platform_machine == '{}' and sys_platform == 'linux'",
            architecture.machine()
        )
    });
    let mut text = format!("lock-version = {}\n", quoted(LOCK_VERSION));
    list(
        &mut text,
        "environments",
        environments.map(|marker| quoted(&marker)),
    );
    let python = format!("=={}.*", lock.request.python);
    text.push_str(&format!("requires-python = {}\n", quoted(&python)));
    text.push_str("created-by = \"cognix\"\n");
    if lock
        .platforms
        .values()
        .all(|platform| platform.python.packages.is_empty())
    {
        text.push_str("packages = []\n");
    }
    text
}

fn machines(architectures: &BTreeSet<Architecture>) -> String {
    let machines = architectures
        .iter()
        .map(|architecture| format!("platform_machine == '{}'", architecture.machine()));
    machines.collect::<Vec<_>>().join(" or ")
}

impl Package<'_> {
    fn write(
        &self,
        name: &str,
        version: &str,
        marker: Option<String>,
        addresses: &BTreeMap<String, Address>,
        text: &mut String,
    ) {
        text.push_str(&format!(
            "\n[[packages]]\nname = {}\nversion = {}\n",
            quoted(name),
            quoted(version)
        ));
        if let Some(marker) = marker {
            text.push_str(&format!("marker = {}\n", quoted(&marker)));
        }
        if !self.dependencies.is_empty() {
            let tables = self.dependencies.iter();
            let tables = tables.map(|name| format!("{{ name = {} }}", quoted(name)));
            list(text, "dependencies", tables);
        }
        let file = |wheel: &&LockedWheel| {
            let address = match addresses.get(&wheel.url()) {
                Some(Address::Url(url)) => format!(", url = {}", quoted(url)),
                Some(Address::Path(path)) => format!(", path = {}", quoted(path)),
                None => String::new(),
            };
            format!(
                "{{ name = {}{address}, size = {}, hashes = {{ sha256 = {} }} }}",
                quoted(&wheel.filename),
                wheel.size,
                quoted(&wheel.sha256.to_string()),
            )
        };
        let (sources, wheels): (Vec<&LockedWheel>, Vec<_>) = self
            .wheels
            .values()
            .partition(|wheel| wheel.build.is_some());
        if let Some(source) = sources.first() {
            let line = match (&source.origin, addresses.get(&source.url())) {
                (WheelOrigin::Folder { .. }, Some(Address::Path(path))) => {
                    format!("directory = {{ path = {} }}\n", quoted(path))
                }
                (WheelOrigin::Git(address), _) => vcs(address, source),
                _ => format!("sdist = {}\n", file(source)),
            };
            text.push_str(&line);
        }
        if !wheels.is_empty() {
            list(text, "wheels", wheels.iter().map(file));
        }
    }
}

/// A source that is a commit.
fn vcs(address: &GitAddress, source: &LockedWheel) -> String {
    let revision = source
        .build
        .as_ref()
        .and_then(|build| build.revision.as_ref());
    let reference = revision.and_then(|revision| revision.reference.as_deref());
    let optional = |key: &str, value: Option<&str>| {
        value.map_or(String::new(), |value| {
            format!(", {key} = {}", quoted(value))
        })
    };
    format!(
        "vcs = {{ type = \"git\", url = {}{}, commit-id = {}{} }}\n",
        quoted(&address.repository),
        optional("requested-revision", reference),
        quoted(&address.commit),
        optional("subdirectory", address.subdirectory.as_deref()),
    )
}

fn list(text: &mut String, key: &str, items: impl Iterator<Item = String>) {
    text.push_str(&format!("{key} = [\n"));
    for item in items {
        // Writing to a string does not fail.
        let _ = writeln!(text, "    {item},");
    }
    text.push_str("]\n");
}

fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}
