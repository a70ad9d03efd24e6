//! What a lock answers: the part of a model's configuration that decides which packages are chosen.

use std::collections::{BTreeMap, BTreeSet};

use cognix_derivations::Sha256;
use serde::{Deserialize, Serialize};

use super::{Architecture, InputPin, InputPins, LayerRecipes, PinnedArchive};
use crate::spec::BaseTier;

/// The question whose answer is a lock.
///
/// Only what can change the answer stands here. Two equal requests are answered by the same lock, so a lock is
/// current exactly when the request made from today's files equals the one it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockRequest {
    /// Debian packages below every model, apart from the interpreter, sorted.
    pub base: Vec<String>,
    /// The largest number of layers.
    pub budget: u32,
    /// Debian packages that Python packages are built with besides those that always are there, sorted.
    #[serde(
        default,
        rename = "buildPackages",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub build_packages: Vec<String>,
    /// Whether the image holds Python's bytecode.
    #[serde(default = "by_default", skip_serializing_if = "Clone::clone")]
    pub bytecode: bool,
    /// The requirement that brings the runtime of the Cog SDK, where somebody chose one; else the SDK asks for it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coglet: Option<String>,
    /// Which package keeps an image path that several bring with different contents, by path.
    pub conflicts: BTreeMap<String, String>,
    /// Versions that must hold where a package is chosen anyway, a line each, in the order of the files.
    pub constraints: Vec<String>,
    /// Where the model's requirement files look for packages.
    #[serde(rename = "indexOptions")]
    pub index_options: IndexOptions,
    /// The package sources by name, without addresses.
    pub inputs: InputPins,
    /// Debian packages whose maintainer scripts are not run, sorted.
    #[serde(
        default,
        rename = "leaveOutScripts",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub leave_out_scripts: Vec<String>,
    /// Python packages that are built from source even where there are wheels, sorted; `:all:` are those of the model.
    #[serde(default, rename = "noBinary", skip_serializing_if = "Vec::is_empty")]
    pub no_binary: Vec<String>,
    /// What the spec's overrides pin whatever packages ask for themselves, a line each, sorted: `numpy==1.26.4`, or a wheel
    /// at an address with its digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
    /// The versions that the lock of the model's own project holds it to, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins: Option<PinnedVersions>,
    /// What the image is built for, sorted.
    pub platforms: Vec<Architecture>,
    /// Python as `major.minor`.
    pub python: String,
    /// How layers are made.
    pub recipes: LayerRecipes,
    /// Whether Debian packages that are only recommended come along, as with `apt-get --install-recommends`.
    pub recommends: bool,
    /// The model's Python requirements, a line each, in the order of the file.
    pub requirements: Vec<String>,
    /// The requirement that brings the Cog SDK.
    pub sdk: String,
    /// The model's Debian packages, sorted.
    #[serde(rename = "systemPackages")]
    pub system_packages: Vec<String>,
    /// How much of a Debian system lies below the model.
    pub tier: BaseTier,
    /// Digests of wheels whose files may differ from what their RECORD says, sorted.
    pub waivers: Vec<Sha256>,
}

/// What the lock of another tool holds a model to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedVersions {
    /// The lock, below the model's folder.
    pub file: String,
    /// The digest of what it says besides versions: files, and which package needs which others where.
    pub sha256: Sha256,
    /// `NAME==VERSION`, sorted; a package that is in several versions has several.
    pub versions: Vec<String>,
}

/// What a lock that says nothing of bytecode means.
fn by_default() -> bool {
    true
}

/// The options of requirement files that say where packages are looked for, as they are written there but without
/// credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IndexOptions {
    /// `--extra-index-url`, in the order of the files.
    pub extra_indexes: Vec<String>,
    /// `--find-links`: pages, or folders of the project.
    pub find_links: Vec<String>,
    /// `--index-url`.
    pub index: Option<String>,
    /// `--no-index`: only [`Self::find_links`] are looked at.
    pub no_index: bool,
    /// `--pre`: releases that are not final count too.
    pub prerelease: bool,
}

/// One difference between what a lock answers and what is asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Asked for now, not in the lock.
    Added(String),
    /// In the lock, no longer asked for.
    Removed(String),
    /// The same thing with another value.
    Changed {
        /// What it is.
        what: String,
        /// The lock's value.
        from: String,
        /// The value asked for now.
        to: String,
    },
}

impl std::fmt::Display for Change {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Added(what) => write!(formatter, "added {what}"),
            Self::Removed(what) => write!(formatter, "removed {what}"),
            Self::Changed { what, from, to } => write!(formatter, "{what} was {from}, is {to}"),
        }
    }
}

impl LockRequest {
    /// The digest of the request's canonical text.
    pub fn digest(&self) -> Sha256 {
        let text = serde_json::to_vec(self).expect("a request of strings and lists is always JSON");
        Sha256::of(&text)
    }

    /// Whether two requests ask the same of the system below Python: then the same Debian packages answer both.
    pub fn same_system(&self, other: &Self) -> bool {
        let debian = |request: &Self| -> InputPins {
            let inputs = request.inputs.clone().into_iter();
            inputs.filter(|(_, pin)| pin.kind == "debian").collect()
        };
        let lists = |request: &Self| (request.base.clone(), request.system_packages.clone());
        let values = |request: &Self| (request.tier, request.recommends, request.python.clone());
        lists(self) == lists(other)
            && values(self) == values(other)
            && debian(self) == debian(other)
    }

    /// What differs between the request of a lock (`self`) and the one asked now.
    pub fn changes(&self, now: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let scalars = [
            ("python_version", &self.python, &now.python),
            ("the Cog SDK", &self.sdk, &now.sdk),
            (
                "the grouping of layers",
                &self.recipes.grouping,
                &now.recipes.grouping,
            ),
            (
                "the tree layer recipe",
                &self.recipes.tree,
                &now.recipes.tree,
            ),
            (
                "the wheel layer recipe",
                &self.recipes.wheel,
                &now.recipes.wheel,
            ),
        ];
        for (what, from, to) in scalars {
            if from != to {
                changes.push(changed(what, from.clone(), to.clone()));
            }
        }
        if self.coglet != now.coglet {
            let text = |value: &Option<String>| match value {
                Some(requirement) => requirement.clone(),
                None => "whatever the SDK needs".to_owned(),
            };
            changes.push(changed("coglet", text(&self.coglet), text(&now.coglet)));
        }
        self.value_changes(now, &mut changes);
        list_changes("base package", &self.base, &now.base, &mut changes);
        list_changes(
            "constraint",
            &self.constraints,
            &now.constraints,
            &mut changes,
        );
        list_changes(
            "requirement",
            &self.requirements,
            &now.requirements,
            &mut changes,
        );
        list_changes(
            "system package",
            &self.system_packages,
            &now.system_packages,
            &mut changes,
        );
        list_changes(
            "build package",
            &self.build_packages,
            &now.build_packages,
            &mut changes,
        );
        list_changes(
            "package whose scripts are left out",
            &self.leave_out_scripts,
            &now.leave_out_scripts,
            &mut changes,
        );
        list_changes(
            "package without wheels",
            &self.no_binary,
            &now.no_binary,
            &mut changes,
        );
        self.override_changes(now, &mut changes);
        self.pin_changes(now, &mut changes);
        self.input_changes(now, &mut changes);
        changes
    }

    /// What moved in the lock of the model's own project.
    fn pin_changes(&self, now: &Self, changes: &mut Vec<Change>) {
        let (before, after) = match (&self.pins, &now.pins) {
            (Some(before), Some(after)) => (before, after),
            (before, after) => {
                let file = |pins: &Option<PinnedVersions>| match pins {
                    Some(pins) => pins.file.clone(),
                    None => "not there".to_owned(),
                };
                if before != after {
                    changes.push(changed("the project's lock", file(before), file(after)));
                }
                return;
            }
        };
        if before.file != after.file {
            let (from, to) = (before.file.clone(), after.file.clone());
            changes.push(changed("the project's lock", from, to));
        }
        fn by_name(pins: &PinnedVersions) -> BTreeMap<&str, Vec<&str>> {
            let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for line in &pins.versions {
                let (name, version) = override_of(line);
                names.entry(name).or_default().push(version);
            }
            names
        }
        let (old, new) = (by_name(before), by_name(after));
        let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        let mut moved = false;
        for name in names {
            let text = |names: &BTreeMap<&str, Vec<&str>>| match names.get(name) {
                Some(versions) => versions.join(" or "),
                None => "not there".to_owned(),
            };
            if old.get(name) != new.get(name) {
                moved = true;
                let what = format!("{name} in {}", after.file);
                changes.push(changed(&what, text(&old), text(&new)));
            }
        }
        if !moved && before.sha256 != after.sha256 {
            let what = format!("what {} says besides versions", after.file);
            changes.push(changed(
                &what,
                before.sha256.to_string(),
                after.sha256.to_string(),
            ));
        }
    }

    fn override_changes(&self, now: &Self, changes: &mut Vec<Change>) {
        // The whole line: the digest of a file counts too.
        let pins = |request: &Self| -> BTreeMap<String, String> {
            let lines = request.overrides.iter();
            let pins = lines.map(|line| {
                let name = override_of(line).0;
                let rest = line[name.len()..].trim_start_matches([' ', '@', '=']);
                (name.to_owned(), rest.to_owned())
            });
            pins.collect()
        };
        let (before, after) = (pins(self), pins(now));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let text = |pins: &BTreeMap<String, String>| match pins.get(name) {
                Some(pin) => pin.clone(),
                None => "not there".to_owned(),
            };
            if before.get(name) != after.get(name) {
                let what = format!("overrides.{name}");
                changes.push(changed(&what, text(&before), text(&after)));
            }
        }
    }

    fn value_changes(&self, now: &Self, changes: &mut Vec<Change>) {
        let values = [
            ("base.tier", self.tier.to_string(), now.tier.to_string()),
            (
                "base.recommends",
                self.recommends.to_string(),
                now.recommends.to_string(),
            ),
            (
                "bytecode",
                self.bytecode.to_string(),
                now.bytecode.to_string(),
            ),
            (
                "layers.budget",
                self.budget.to_string(),
                now.budget.to_string(),
            ),
        ];
        for (what, from, to) in values {
            if from != to {
                changes.push(changed(what, from, to));
            }
        }
        let platforms = |request: &Self| texts(&request.platforms);
        list_changes("platform", &platforms(self), &platforms(now), changes);
        let waivers = |request: &Self| texts(&request.waivers);
        list_changes("waiver", &waivers(self), &waivers(now), changes);
        let conflicts = |request: &Self| -> Vec<String> {
            let rules = request.conflicts.iter();
            rules
                .map(|(path, owner)| format!("{path} = {owner}"))
                .collect()
        };
        list_changes("conflict rule", &conflicts(self), &conflicts(now), changes);
        let options = |request: &Self| request.index_options.lines();
        list_changes("option", &options(self), &options(now), changes);
    }

    fn input_changes(&self, now: &Self, changes: &mut Vec<Change>) {
        let names = |pins: &InputPins| pins.keys().cloned().collect::<Vec<_>>();
        list_changes("input", &names(&self.inputs), &names(&now.inputs), changes);
        for (name, old) in &self.inputs {
            let Some(new) = now.inputs.get(name) else {
                continue;
            };
            let kinds = (vec![old.kind.clone()], vec![new.kind.clone()]);
            let rank = |pin: &InputPin| -> Vec<String> {
                pin.rank.iter().map(ToString::to_string).collect()
            };
            let ranks = (rank(old), rank(new));
            let mut values = vec![
                ("type", &kinds.0, &kinds.1),
                ("components", &old.components, &new.components),
                ("packages", &old.packages, &new.packages),
                ("place in the order", &ranks.0, &ranks.1),
            ];
            let archives = (archives(old), archives(new));
            let releases = (releases(old), releases(new));
            // The suites follow from Python, and so do archives, and its change was told.
            if self.python == now.python {
                values.push(("suites", &old.suites, &new.suites));
                values.push(("archives", &archives.0, &archives.1));
                values.push(("releases", &releases.0, &releases.1));
            }
            for (what, from, to) in values {
                if from != to {
                    let what = format!("{what} of {name}");
                    changes.push(changed(&what, from.join(", "), to.join(", ")));
                }
            }
        }
    }
}

/// The package that a line of [`LockRequest::overrides`] is about, and what it pins: a version, or an address.
pub(super) fn override_of(line: &str) -> (&str, &str) {
    let (name, pin) = match line.split_once(" @ ") {
        Some((name, address)) => (name, address.split_whitespace().next().unwrap_or(address)),
        None => {
            let in_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let end = line.find(|c| !in_name(c)).unwrap_or(line.len());
            let (name, pin) = line.split_at(end);
            (name, pin.trim_start().strip_prefix("==").unwrap_or(pin))
        }
    };
    (name.trim(), pin.trim())
}

fn releases(pin: &InputPin) -> Vec<String> {
    let releases = pin.releases.iter();
    releases
        .map(|(suite, sha256)| format!("{suite} {sha256}"))
        .collect()
}

impl IndexOptions {
    /// The options as a requirements file spells them.
    pub fn lines(&self) -> Vec<String> {
        let index = self.index.iter().map(|url| format!("--index-url {url}"));
        let extra = self.extra_indexes.iter();
        let extra = extra.map(|url| format!("--extra-index-url {url}"));
        let links = self.find_links.iter();
        let links = links.map(|place| format!("--find-links {place}"));
        let flags = [("--no-index", self.no_index), ("--pre", self.prerelease)];
        let flags = flags.into_iter().filter(|(_, set)| *set);
        index
            .chain(extra)
            .chain(links)
            .chain(flags.map(|(flag, _)| flag.to_owned()))
            .collect()
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// Archives of the model's own, one line each.
fn archives(pin: &InputPin) -> Vec<String> {
    let line = |own: &PinnedArchive| {
        let PinnedArchive {
            path,
            platform,
            sha256,
            version,
        } = own;
        format!("{version} for {platform} at {path} ({sha256})")
    };
    pin.archives.iter().map(line).collect()
}

fn changed(what: &str, from: String, to: String) -> Change {
    Change::Changed {
        what: what.to_owned(),
        from,
        to,
    }
}

fn list_changes(what: &'static str, old: &[String], new: &[String], changes: &mut Vec<Change>) {
    let before: BTreeSet<_> = old.iter().collect();
    let after: BTreeSet<_> = new.iter().collect();
    changes.extend(
        after
            .difference(&before)
            .map(|line| Change::Added(format!("{what} {line}"))),
    );
    changes.extend(
        before
            .difference(&after)
            .map(|line| Change::Removed(format!("{what} {line}"))),
    );
    if before == after && old != new {
        let what = format!("order of {what}s");
        changes.push(changed(&what, old.join(", "), new.join(", ")));
    }
}
