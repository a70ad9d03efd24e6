//! Which triggers are pending once all packages are unpacked: what dpkg would still have to do.

use std::collections::{BTreeMap, BTreeSet};

use crate::builtins::system::{Package, SystemError, root::Root};

/// What packages wait for, and what has happened.
pub(super) struct Triggers<'a> {
    /// Who is interested in what, in the order of the packages.
    interests: Vec<(&'a Package, String)>,
    active: BTreeSet<String>,
}

/// An interest in a trigger, as a package's `triggers` file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::builtins::system) struct Interest {
    pub(in crate::builtins::system) name: String,
    /// Whether the package that activates it is not held up.
    pub(in crate::builtins::system) noawait: bool,
}

impl<'a> Triggers<'a> {
    pub(super) fn read(root: &Root<'a>) -> Result<Self, SystemError> {
        let mut triggers = Self {
            interests: Vec::new(),
            active: BTreeSet::new(),
        };
        for package in root.packages() {
            let Some(text) = root.control(package, "triggers")? else {
                continue;
            };
            let text = String::from_utf8_lossy(&text);
            triggers.active.extend(activated(&text));
            for interest in interests(&text) {
                // A path is activated by whatever lies there.
                let path = interest.name.strip_prefix('/');
                if path.is_some_and(|path| root.is_shipped(path)) {
                    triggers.active.insert(interest.name.clone());
                }
                triggers.interests.push((package, interest.name));
            }
        }
        Ok(triggers)
    }

    pub(super) fn activate(&mut self, names: Vec<String>) {
        self.active.extend(names);
    }

    /// The active triggers of each package that is interested in any.
    pub(super) fn pending(&self) -> Vec<(&'a Package, Vec<String>)> {
        let mut pending: BTreeMap<&str, (&'a Package, Vec<String>)> = BTreeMap::new();
        for (package, name) in &self.interests {
            if self.active.contains(name) {
                let entry = pending.entry(&package.name);
                let (_, names) = entry.or_insert_with(|| (package, Vec::new()));
                names.push(name.clone());
            }
        }
        pending.into_values().collect()
    }
}

/// What a `triggers` file says its package waits for.
pub(in crate::builtins::system) fn interests(text: &str) -> Vec<Interest> {
    let directives = directives(text).filter(|(word, _)| word.starts_with("interest"));
    let interests = directives.map(|(word, name)| Interest {
        name: name.to_owned(),
        noawait: word == "interest-noawait",
    });
    interests.collect()
}

fn activated(text: &str) -> impl Iterator<Item = String> {
    let directives = directives(text).filter(|(word, _)| word.starts_with("activate"));
    directives.map(|(_, name)| name.to_owned())
}

fn directives(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.next()?))
    })
}
