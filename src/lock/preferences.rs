//! What earlier answers have: versions, and commits of repositories, which are kept wherever they still fit.

use std::collections::{BTreeMap, BTreeSet};

use super::LockedWheel;
use super::python::{KnownCommit, Preference, WheelOrigin};

/// Versions to keep if they still fit, one for each package, and commits that references of repositories name.
#[derive(Debug, Default)]
pub(super) struct Preferences {
    versions: BTreeMap<String, String>,
    /// By repository and reference; with the packages that come from there.
    commits: BTreeMap<(String, Option<String>), (String, BTreeSet<String>)>,
}

impl Preferences {
    /// Adds what packages have that have nothing yet.
    pub(super) fn add(&mut self, wheels: &[LockedWheel]) {
        for wheel in wheels {
            self.versions
                .entry(wheel.name.clone())
                .or_insert_with(|| wheel.version.clone());
            let revision = wheel.build.as_ref();
            let revision = revision.and_then(|build| build.revision.as_ref());
            if let (WheelOrigin::Git(address), Some(revision)) = (&wheel.origin, revision) {
                let asked = (address.repository.clone(), revision.reference.clone());
                let known = self.commits.entry(asked);
                let known = known.or_insert_with(|| (address.commit.clone(), BTreeSet::new()));
                known.1.insert(wheel.name.clone());
            }
        }
    }

    /// Forgets what packages have that are not to be kept; what comes from one commit moves together.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.versions.retain(|name, _| keep(name));
        self.commits
            .retain(|_, (_, packages)| packages.iter().all(|name| keep(name)));
    }

    /// The versions.
    pub(super) fn list(&self) -> Vec<Preference> {
        let entries = self.versions.iter();
        let entries = entries.map(|(name, version)| Preference {
            name: name.clone(),
            version: version.clone(),
        });
        entries.collect()
    }

    /// The commits.
    pub(super) fn commits(&self) -> Vec<KnownCommit> {
        let known = self.commits.iter();
        let known = known.map(|((repository, reference), (commit, _))| KnownCommit {
            repository: repository.clone(),
            reference: reference.clone(),
            commit: commit.clone(),
        });
        known.collect()
    }
}
