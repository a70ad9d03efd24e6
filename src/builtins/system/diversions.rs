//! Diversions that scripts ask for: notes of dpkg about files that one package leaves to another.
//!
//! Only those that move no file; one that does is not covered, and its script is run.

use super::{
    SystemError,
    root::{Owner, Root},
    shell::{Effect, Script, Text},
};

const RULE: &str = "dpkg-divert";

/// A file that other packages' files of the same path give way to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Diversion {
    path: String,
    to: String,
    package: String,
}

/// What a call of `dpkg-divert` does.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Add(Diversion),
    Remove(Diversion),
}

impl Change {
    /// None when a call changes nothing, moves files, or has a word that is not known.
    fn of(arguments: &[Text], own: &str) -> Option<Self> {
        let (mut path, mut to, mut package) = (None, None, own.to_owned());
        let (mut adds, mut removes, mut stays) = (true, false, false);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let word = word.as_deref()?;
            match word {
                "--package" => package = words.next()?.clone()?,
                "--divert" => to = words.next().cloned().flatten(),
                "--local" => package = ":".to_owned(),
                "--add" | "--quiet" => {}
                "--remove" => removes = true,
                "--no-rename" => stays = true,
                "--rename" => stays = false,
                _ if word.starts_with('-') => adds = false,
                _ => path = Some(word.to_owned()),
            }
        }
        let path = path.filter(|_| adds && stays)?;
        let to = to.unwrap_or_else(|| format!("{path}.distrib"));
        let plain = [&path, &to].into_iter().all(|path| path.starts_with('/'))
            && ![&path, &to, &package]
                .into_iter()
                .any(|text| text.contains('\n'));
        let diversion = Diversion { path, to, package };
        let change = match removes {
            true => Self::Remove(diversion),
            false => Self::Add(diversion),
        };
        plain.then_some(change)
    }
}

impl Change {
    /// Changes the list as dpkg does, which reads it from the end and adds to the front.
    fn apply(&self, diversions: &mut Vec<Diversion>) {
        match self {
            Self::Add(added) if !diversions.iter().any(|other| other.path == added.path) => {
                diversions.reverse();
                diversions.insert(0, added.clone());
            }
            Self::Remove(removed) if diversions.contains(removed) => {
                diversions.reverse();
                diversions.retain(|other| other != removed);
            }
            _ => {}
        }
    }
}

/// Whether a call of `dpkg-divert` adds a diversion as the rule does it: without moving files.
pub(super) fn is_addition(arguments: &[Text]) -> bool {
    matches!(Change::of(arguments, ":"), Some(Change::Add(_)))
}

/// Adds the list.
pub(super) fn apply(root: &mut Root<'_>) -> Result<(), SystemError> {
    let mut diversions: Vec<Diversion> = Vec::new();
    // Packages are unpacked before any is configured.
    for (file, arguments) in [
        ("preinst", ["install", ""]),
        ("postinst", ["configure", ""]),
    ] {
        for package in root.packages() {
            let Some(text) = root.control(package, file)? else {
                continue;
            };
            let text = String::from_utf8_lossy(&text);
            if !text.contains(RULE) {
                continue;
            }
            let script = Script {
                text: &text,
                package: &package.name,
                arguments: &arguments,
            };
            // One that cannot be followed is run.
            let effects = script.effects(root).unwrap_or_default();
            let change = |effect: &Effect| match effect {
                Effect::Call(words) => match words.split_first() {
                    Some((Some(program), words)) if program == RULE => {
                        Change::of(words, &package.name)
                    }
                    _ => None,
                },
                _ => None,
            };
            let changes: Vec<Change> = effects.iter().filter_map(change).collect();
            let adds = |path: &str| {
                let mut changes = changes.iter();
                changes.any(|change| matches!(change, Change::Add(added) if added.path == path))
            };
            for change in &changes {
                match change {
                    // Both ways were followed, and the one that removes is for what was another way before.
                    Change::Remove(removed) if adds(&removed.path) => {}
                    change => change.apply(&mut diversions),
                }
            }
        }
    }
    if diversions.is_empty() || root.package("dpkg").is_none() {
        return Ok(());
    }
    let lines = diversions
        .iter()
        .flat_map(|one| [&one.path, "\n", &one.to, "\n", &one.package, "\n"]);
    let text: String = lines.collect();
    root.add_file(
        RULE,
        "var/lib/dpkg/diversions",
        text.into_bytes(),
        Owner::FILE,
    )
}
