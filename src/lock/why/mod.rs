//! Says why a package is in an image: who asked for it, why in this version, and why this file.
//!
//! Everything but the files that the release has beside the chosen one comes from the lock, so no index is asked. Roots
//! (lines of requirement files, `system_packages` and what every image has) are given, because only their files know where
//! they stand.

mod tags;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use tags::OtherFiles;

use super::platform::Platform;
use super::python::{PythonError, SourceBuild, SourceReason, Target};
use super::request::override_of;
use super::{DebGroup, PackageKind, PlatformLock, ResolveError, UnknownPackage, VariantLock};

/// The most chains that are told.
const MAX_CHAINS: usize = 20;

/// Something outside the lock that asks for a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Root {
    /// What is asked for there, as it is written: `pandas<3`.
    pub text: String,
    /// Where: `requirements.txt:3`.
    pub place: String,
    /// What kind of package it asks for.
    #[serde(skip)]
    pub kind: PackageKind,
}

/// Why a package is in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// What it is.
    pub kind: PackageKind,
    /// The package.
    pub name: String,
    /// Its version.
    #[serde(rename = "packageVersion")]
    pub version: String,
    /// The shortest chains from outside to the package.
    pub asked_by: Vec<Chain>,
    /// How many more chains there are.
    pub more_chains: usize,
    /// What limits its version, and who says so.
    pub limits: Vec<Limit>,
    /// Python packages uploaded later were not considered; only for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_newer: Option<String>,
    /// Whether the release was withdrawn.
    pub yanked: bool,
    /// The file's name.
    pub file: String,
    /// Where it comes from.
    pub url: String,
    /// The tag of the file that fits the image best; only for wheels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// How it becomes a wheel, if it is a source archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<WhyBuilt>,
    /// What else the release has, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_files: Option<OtherFiles>,
}

/// How a source archive becomes a wheel, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WhyBuilt {
    /// The build backend.
    pub backend: String,
    /// Why it is built here.
    pub reason: SourceReason,
    /// The wheels that it is built with, as `NAME VERSION`.
    pub requires: Vec<String>,
}

impl From<&SourceBuild> for WhyBuilt {
    fn from(build: &SourceBuild) -> Self {
        let requires = build.requires.iter();
        Self {
            backend: build.backend.clone(),
            reason: build.reason,
            requires: requires
                .map(|wheel| format!("{} {}", wheel.name, wheel.version))
                .collect(),
        }
    }
}

/// One way from outside to a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Chain {
    /// Where it begins.
    pub root: Root,
    /// The packages between, from the outside in.
    pub through: Vec<Step>,
}

/// A package on the way, and what it says about the next one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Step {
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it asks for: `numpy>=1.23.2`.
    pub asks: String,
}

/// Something that limits a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Limit {
    /// The requirement: `numpy>=1.23.2`.
    pub text: String,
    /// Who says so: a place, or a package and its version.
    pub by: String,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WhyError {
    /// The lock has no such package.
    #[error(transparent)]
    Unknown(#[from] UnknownPackage),
    /// The lock's Python cannot be understood.
    #[error(transparent)]
    Interpreter(#[from] Box<ResolveError>),
    /// The image's Python has no tags.
    #[error(transparent)]
    Target(#[from] PythonError),
}

/// What is asked, and of whom.
pub struct Question<'a> {
    /// The image's part of the lock.
    pub lock: &'a VariantLock,
    /// Python packages uploaded later were not considered.
    pub exclude_newer: &'a str,
    /// The platform of the image.
    pub platform: Platform,
    /// What stands outside the lock and asks for packages.
    pub roots: &'a [Root],
}

impl Question<'_> {
    /// Answers for one package; `files` are all files of the project, if they are known.
    pub fn why(&self, name: &str, files: Option<&[String]>) -> Result<Why, WhyError> {
        let (kind, name) = self.lock.find_package(name)?;
        let unknown = || UnknownPackage {
            name: name.clone(),
            nearest: Vec::new(),
        };
        let locked = self.lock.platforms.get(&self.platform.architecture);
        let locked = locked.ok_or_else(unknown)?;
        let target = Target::new(
            super::resolve::python_version(locked, self.platform).map_err(Box::new)?,
            self.platform.glibc,
            self.platform.architecture,
        )?;
        let graph = Graph::new(locked, kind);
        let (roots, named) = graph.roots(
            self.roots,
            &target,
            &format!("base.tier {}", self.lock.request.tier),
        );
        let node = graph.nodes.get(name.as_str()).ok_or_else(unknown)?;
        let (asked_by, more_chains) = graph.chains(&roots, named, &name);
        let mut why = Why {
            kind,
            version: node.version.to_owned(),
            asked_by,
            more_chains,
            limits: graph.limits(&roots, &name, self.lock),
            exclude_newer: None,
            yanked: false,
            file: String::new(),
            url: String::new(),
            tag: None,
            build: None,
            other_files: None,
            name: name.clone(),
        };
        if let Some(deb) = locked.debian.packages.iter().find(|deb| deb.name == name)
            && kind == PackageKind::Deb
        {
            (why.file, why.url) = (deb.file_name().to_owned(), deb.url());
        } else if let Some(wheel) = locked
            .python
            .packages
            .iter()
            .find(|wheel| wheel.name == name)
        {
            (why.file, why.url) = (wheel.filename.clone(), wheel.url());
            why.yanked = wheel.yanked;
            why.build = wheel.build.as_ref().map(WhyBuilt::from);
            why.exclude_newer = Some(self.exclude_newer.to_owned());
            why.tag = tags::matching(&wheel.filename, &target);
            let other = |files| tags::others(&wheel.filename, files, &target);
            why.other_files = files.map(other);
        }
        Ok(why)
    }
}

/// The packages of one kind, and who needs whom.
struct Graph<'a> {
    kind: PackageKind,
    nodes: BTreeMap<&'a str, Node<'a>>,
}

struct Node<'a> {
    version: &'a str,
    needs: &'a [String],
    bounds: &'a BTreeMap<String, String>,
    requested: bool,
    group: Option<DebGroup>,
}

/// A root and the package that it leads to.
type Leads<'a> = Vec<(Root, &'a str)>;

impl<'a> Graph<'a> {
    fn new(locked: &'a PlatformLock, kind: PackageKind) -> Self {
        let nodes = match kind {
            PackageKind::Wheel => {
                let wheels = locked.python.packages.iter();
                let node = |wheel: &'a super::LockedWheel| Node {
                    version: &wheel.version,
                    needs: &wheel.requires,
                    bounds: &wheel.bounds,
                    requested: false,
                    group: None,
                };
                wheels
                    .map(|wheel| (wheel.name.as_str(), node(wheel)))
                    .collect()
            }
            PackageKind::Deb => {
                let debs = locked.debian.packages.iter();
                let node = |deb: &'a super::LockedDeb| Node {
                    version: &deb.version,
                    needs: &deb.depends,
                    bounds: &deb.bounds,
                    requested: deb.requested,
                    group: Some(deb.group),
                };
                debs.map(|deb| (deb.name.as_str(), node(deb))).collect()
            }
        };
        Self { kind, nodes }
    }

    /// The given roots with the packages that they name, then roots for what nobody named; and how many the former are.
    fn roots(&self, given: &[Root], target: &Target, tier: &str) -> (Leads<'a>, usize) {
        let mut leads = Leads::new();
        for root in given.iter().filter(|root| root.kind == self.kind) {
            let name = match self.kind {
                PackageKind::Wheel => tags::required(&root.text, target),
                PackageKind::Deb => root.text.split(['=', '/', ':']).next().map(str::to_owned),
            };
            let found = name.and_then(|name| self.nodes.get_key_value(name.as_str()));
            leads.extend(found.map(|(name, _)| (root.clone(), *name)));
        }
        let extra = |name: &str, place: &str| Root {
            text: name.to_owned(),
            place: place.to_owned(),
            kind: self.kind,
        };
        let requested = self.nodes.iter().filter(|(_, node)| node.requested);
        for (name, node) in requested {
            // A request for what only this package provides names something else.
            if !leads.iter().any(|(_, lead)| lead == name) {
                let place = match node.group {
                    Some(DebGroup::Base) => tier,
                    _ => "system_packages",
                };
                leads.push((extra(name, place), name));
            }
        }
        let named = leads.len();
        let mut reached = self.reached(leads.iter().map(|(_, name)| *name));
        while let Some(name) = self.topmost(&reached) {
            let place = match self.nodes[name].group {
                Some(DebGroup::Base) => tier,
                Some(_) => "recommended by another package",
                None => "of a line that does not name it",
            };
            leads.push((extra(name, place), name));
            reached.extend(self.reached([name]));
        }
        (leads, named)
    }

    /// Of the packages that are not reached yet one that no other of them needs, or any where they need each other.
    fn topmost(&self, reached: &BTreeSet<&str>) -> Option<&'a str> {
        let rest: BTreeMap<&'a str, &Node<'a>> = self
            .nodes
            .iter()
            .filter(|(name, _)| !reached.contains(*name))
            .map(|(name, node)| (*name, node))
            .collect();
        let needed: BTreeSet<&str> = rest
            .iter()
            .flat_map(|(name, node)| node.needs.iter().filter(move |needed| needed != name))
            .map(String::as_str)
            .collect();
        let top = rest.keys().find(|name| !needed.contains(*name));
        top.or_else(|| rest.keys().next()).copied()
    }

    fn reached(&self, names: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
        let mut pending: Vec<&str> = names.into_iter().collect();
        let mut reached = BTreeSet::new();
        while let Some(name) = pending.pop() {
            if let Some(node) = self.nodes.get(name)
                && reached.insert(name)
            {
                pending.extend(node.needs.iter().map(String::as_str));
            }
        }
        reached
    }

    /// How many steps each package is away from one, along what it needs.
    fn distances(&self, name: &str) -> BTreeMap<&'a str, usize> {
        let mut distances = BTreeMap::new();
        let mut ring: Vec<&str> = self
            .nodes
            .get_key_value(name)
            .map(|(name, _)| *name)
            .into_iter()
            .collect();
        let mut distance = 0;
        while !ring.is_empty() {
            let mut next = Vec::new();
            for name in ring {
                if distances.contains_key(name) {
                    continue;
                }
                distances.insert(name, distance);
                let needs = |node: &Node<'_>| node.needs.iter().any(|needed| needed == name);
                let dependents = self.nodes.iter().filter(|(_, node)| needs(node));
                next.extend(dependents.map(|(name, _)| *name));
            }
            ring = next;
            distance += 1;
        }
        distances
    }

    /// For every root all shortest chains, those of named roots first and then the shortest; and how many are left out.
    fn chains(&self, leads: &Leads<'a>, named: usize, name: &str) -> (Vec<Chain>, usize) {
        let distances = self.distances(name);
        let mut chains = Vec::new();
        for (place, (root, lead)) in leads.iter().enumerate() {
            if !distances.contains_key(lead) {
                continue;
            }
            let mut open = vec![(Vec::new(), *lead)];
            while let Some((through, at)) = open.pop() {
                if at == name {
                    let root = root.clone();
                    chains.push((place >= named, Chain { root, through }));
                    continue;
                }
                let node = &self.nodes[at];
                let nearer = |next: &&String| {
                    distances.get(next.as_str()).map(|distance| distance + 1)
                        == distances.get(at).copied()
                };
                for next in node.needs.iter().filter(nearer) {
                    let mut through = through.clone();
                    through.push(Step {
                        name: at.to_owned(),
                        version: node.version.to_owned(),
                        asks: self.words(next, node.bounds.get(next)),
                    });
                    open.push((through, next));
                }
                // Chains that will not be told need not be finished, only counted.
                if open.len() + chains.len() > 1000 {
                    break;
                }
            }
        }
        chains.sort_by_key(|(unnamed, chain)| (*unnamed, chain.through.len(), chain.clone()));
        let more = chains.len().saturating_sub(MAX_CHAINS);
        let told = chains.into_iter().take(MAX_CHAINS);
        (told.map(|(_, chain)| chain).collect(), more)
    }

    /// What has a say in the version: overrides, the roots that name the package, constraints, and the packages that need
    /// it.
    fn limits(&self, leads: &Leads<'_>, name: &str, lock: &VariantLock) -> Vec<Limit> {
        let named = leads
            .iter()
            .filter(|(root, lead)| *lead == name && root.text != name);
        let mut limits: Vec<Limit> = Vec::new();
        if self.kind == PackageKind::Wheel {
            let pins = lock.request.overrides.iter();
            let pins = pins.filter(|line| override_of(line).0 == name);
            limits.extend(pins.map(|line| Limit {
                text: line.clone(),
                by: match lock.request.pins {
                    // uv overrides requirements in pyproject.toml too.
                    Some(_) => "an override, which decides".to_owned(),
                    None => format!("overrides.{name} of cognix.nix, which decides"),
                },
            }));
        }
        if let (PackageKind::Wheel, Some(pins)) = (self.kind, &lock.request.pins) {
            let lines = pins.versions.iter();
            let about = lines.filter(|line| override_of(line).0 == name);
            limits.extend(about.map(|line| Limit {
                text: line.clone(),
                by: pins.file.clone(),
            }));
        }
        limits.extend(named.map(|(root, _)| Limit {
            text: root.text.clone(),
            by: root.place.clone(),
        }));
        if self.kind == PackageKind::Wheel {
            let constraints = lock.request.constraints.iter();
            let about = constraints.filter(|line| tags::name_of(line).as_deref() == Some(name));
            limits.extend(about.map(|line| Limit {
                text: line.clone(),
                by: "a constraint".to_owned(),
            }));
        }
        for (dependent, node) in &self.nodes {
            if let Some(bound) = node.bounds.get(name) {
                limits.push(Limit {
                    text: self.words(name, Some(bound)),
                    by: format!("{dependent} {}", node.version),
                });
            }
        }
        limits
    }

    /// What a package says about another, as its metadata has it.
    fn words(&self, name: &str, bound: Option<&String>) -> String {
        match (bound, self.kind) {
            (None, _) => name.to_owned(),
            (Some(bound), PackageKind::Wheel) => format!("{name}{bound}"),
            (Some(bound), PackageKind::Deb) => {
                let groups = bound
                    .split(", ")
                    .map(|group| match group.strip_prefix("for ") {
                        Some(words) => words.to_owned(),
                        None => format!("{name} {group}"),
                    });
                groups.collect::<Vec<_>>().join(", ")
            }
        }
    }
}
