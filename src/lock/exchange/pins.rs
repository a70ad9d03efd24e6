//! What a foreign lock decides: versions to hold the resolver to, and hashes to hold its files against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uv_pep508::{MarkerEnvironment, Requirement, VerbatimUrl, VersionOrUrl};

use super::read::{Entry, Origin};
use super::{ExchangeError, ForeignLock};
use crate::lock::LockedWheel;
use crate::lock::python::WheelOrigin;

/// A foreign lock, and the model's requirements with their places, to tell both sides of a contradiction.
#[derive(Debug)]
pub struct Import {
    /// The lock.
    pub lock: Arc<ForeignLock>,
    /// The model's requirements.
    pub requirements: Vec<RequirementPlace>,
    /// Whether it is the lock of the model's own project: then nothing of it is chosen from elsewhere.
    pub is_own: bool,
    /// Packages that one image has in versions of its own.
    pub freed: BTreeSet<String>,
}

/// A requirement and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequirementPlace {
    /// The line of the requirement.
    pub text: String,
    /// `FILE:LINE`.
    pub place: String,
    /// Whether it stands in a file whose lock this is: then the lock has what it asks for.
    pub is_locked: bool,
}

/// What came of an import, for one platform; names sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Packages whose version is the imported one.
    pub pinned: Vec<String>,
    /// Packages that the imported lock does not hold, so that they were chosen freely.
    pub free: Vec<String>,
    /// Packages that it has from somewhere other than an index, with where from: they were chosen freely too.
    pub elsewhere: Vec<(String, String)>,
    /// How many packages of it the model does not need.
    pub unused: usize,
}

/// The decisions of a foreign lock for one environment.
#[derive(Debug)]
pub(in crate::lock) struct Pins {
    file: String,
    is_own: bool,
    /// Usually one entry a name; several where the format cannot say which one is for whom.
    entries: BTreeMap<String, Vec<Entry>>,
}

impl Import {
    /// The pins for one environment; refused where the model's own requirements forbid one.
    pub(in crate::lock) fn pins(
        &self,
        environment: &MarkerEnvironment,
    ) -> Result<Pins, ExchangeError> {
        let mut entries: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for entry in self.lock.entries(environment)? {
            let same = entries.entry(entry.name.clone()).or_default();
            if !same.iter().any(|other| other.version == entry.version) {
                same.push(entry);
            }
        }
        entries.retain(|name, _| !self.freed.contains(name));
        let pins = Pins {
            file: self.lock.file().to_owned(),
            entries,
            is_own: self.is_own,
        };
        for requirement in &self.requirements {
            let command = requirement.is_locked.then(|| self.lock.command());
            pins.agree(requirement, environment, command)?;
        }
        Ok(pins)
    }
}

impl Pins {
    /// The same without what it says about some packages.
    pub(in crate::lock) fn without(mut self, names: &BTreeSet<&str>) -> Self {
        self.entries
            .retain(|name, _| !names.contains(name.as_str()));
        self
    }

    /// What the resolver is told: one exact version for every package that has one.
    pub(in crate::lock) fn constraints(&self) -> Vec<String> {
        let entries = self.entries.values().filter_map(|entries| single(entries));
        entries
            .filter_map(|entry| Some(format!("{}=={}", entry.name, entry.version.as_ref()?)))
            .collect()
    }

    /// Refuses a pin that a requirement of the model forbids, where it applies at all.
    fn agree(
        &self,
        requirement: &RequirementPlace,
        environment: &MarkerEnvironment,
        command: Option<&'static str>,
    ) -> Result<(), ExchangeError> {
        // What is no plain requirement has its own message in the resolver, or names a file instead of a version.
        let Ok(parsed) = requirement.text.parse::<Requirement<VerbatimUrl>>() else {
            return Ok(());
        };
        let entry = self.entries.get(parsed.name.as_str());
        if let (None, Some(command)) = (entry, command)
            && parsed.marker.evaluate(environment, &[])
        {
            return Err(ExchangeError::NotLocked {
                requirement_place: requirement.place.clone(),
                requirement: requirement.text.clone(),
                file: self.file.clone(),
                command,
            });
        }
        let (Some(entry), Some(VersionOrUrl::VersionSpecifier(specifiers))) = (
            entry.and_then(|entries| single(entries)),
            &parsed.version_or_url,
        ) else {
            return Ok(());
        };
        let Some(version) = &entry.version else {
            return Ok(());
        };
        if specifiers.contains(version) || !parsed.marker.evaluate(environment, &[]) {
            return Ok(());
        }
        Err(ExchangeError::Contradiction {
            requirement_place: requirement.place.clone(),
            requirement: requirement.text.clone(),
            file: self.file.clone(),
            line: entry.line,
            package: entry.name.clone(),
            version: version.to_string(),
            way_out: match command {
                Some(command) => format!("run {command} to bring it up to date"),
                None => "change one of them".to_owned(),
            },
        })
    }

    /// Holds the resolver's choice against the lock, and tells what was free.
    pub(in crate::lock) fn compare(
        &self,
        wheels: &[LockedWheel],
    ) -> Result<Imported, ExchangeError> {
        let mut imported = Imported::default();
        for wheel in wheels {
            let Some(entries) = self.entries.get(&wheel.name) else {
                imported.free.push(wheel.name.clone());
                continue;
            };
            if let [
                Entry {
                    origin: Origin::Elsewhere(what),
                    line,
                    ..
                },
            ] = entries[..]
            {
                if !matches!(wheel.origin, WheelOrigin::Index { .. }) {
                    imported.pinned.push(wheel.name.clone());
                    continue;
                }
                if self.is_own {
                    return Err(ExchangeError::Elsewhere {
                        package: wheel.name.clone(),
                        from: what,
                        file: self.file.clone(),
                        line,
                    });
                }
                imported
                    .elsewhere
                    .push((wheel.name.clone(), what.to_owned()));
                continue;
            }
            self.check(wheel, entries)?;
            imported.pinned.push(wheel.name.clone());
        }
        let used = imported.pinned.len() + imported.elsewhere.len();
        imported.unused = self.entries.len() - used;
        Ok(imported)
    }

    fn check(&self, wheel: &LockedWheel, entries: &[Entry]) -> Result<(), ExchangeError> {
        let has_version = |entry: &&Entry| match &entry.version {
            Some(version) => version.to_string() == wheel.version,
            None => true,
        };
        let Some(entry) = entries.iter().find(has_version) else {
            let listed = entries.iter().map(|entry| {
                let version = entry.version.as_ref().map(ToString::to_string);
                format!("{} (line {})", version.unwrap_or_default(), entry.line)
            });
            return Err(ExchangeError::Undecided {
                package: wheel.name.clone(),
                version: wheel.version.clone(),
                file: self.file.clone(),
                listed: listed.collect::<Vec<_>>().join(" and "),
            });
        };
        let files = &entry.files;
        if files.is_empty() || files.iter().any(|file| file.sha256 == wheel.sha256) {
            return Ok(());
        }
        let same_name = files
            .iter()
            .find(|file| file.name.as_ref() == Some(&wheel.filename));
        let expected = match same_name {
            Some(file) => format!("has {} for it", file.sha256),
            None => format!(
                "does not list this file among its {}; it was perhaps made on another platform",
                files.len()
            ),
        };
        Err(ExchangeError::OtherFile {
            package: wheel.name.clone(),
            version: wheel.version.clone(),
            filename: wheel.filename.clone(),
            actual: wheel.sha256,
            file: self.file.clone(),
            line: entry.line,
            expected,
        })
    }
}

/// The only entry, if it is a release.
fn single(entries: &[Entry]) -> Option<&Entry> {
    match entries {
        [entry] if entry.origin == Origin::Release => Some(entry),
        _ => None,
    }
}
