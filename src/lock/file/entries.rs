//! Packages as the file lists them: every `.deb` and every wheel once, whichever images have it.
//!
//! An entry holds what is true of the file everywhere. The dependencies that it has in every image stand with it; those
//! that an image adds (through an extra, or because alternatives were settled otherwise) stand with the image.

use std::collections::BTreeMap;
use std::str::FromStr;

use cognix_derivations::Sha256;
use serde::{Deserialize, Serialize};
use uv_distribution_filename::{DistExtension, WheelFilename};

use super::LockFileError;
use super::places::{file_name, line_of, split_mirror_url, wheel_origin};
use super::references::WheelReference;
use crate::lock::python::WheelOrigin;
use crate::lock::{DebGroup, LockedDeb, LockedWheel, debian, python};

/// One `.deb`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DebShape {
    pub(super) architecture: String,
    /// What it needs in every image; `depends` of the package is this and what the image adds.
    pub(super) depends: Vec<String>,
    pub(super) name: String,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    pub(super) url: String,
    pub(super) version: String,
}

/// One wheel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WheelShape {
    pub(super) name: String,
    /// As with [`DebShape::depends`].
    pub(super) requires: Vec<String>,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) spelling: Option<String>,
    pub(super) url: String,
    pub(super) version: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) yanked: bool,
}

/// A package's file in one of the two lists.
pub(super) trait Entry: Ord + Clone {
    /// The package.
    fn name(&self) -> &str;
    /// Where the file comes from.
    fn url(&self) -> &str;
    /// What it needs.
    fn edges(&mut self) -> &mut Vec<String>;
}

impl Entry for DebShape {
    fn name(&self) -> &str {
        &self.name
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn edges(&mut self) -> &mut Vec<String> {
        &mut self.depends
    }
}

impl Entry for WheelShape {
    fn name(&self) -> &str {
        &self.name
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn edges(&mut self) -> &mut Vec<String> {
        &mut self.requires
    }
}

/// A list of entries, and how variants call them: by the name of the file, with a number where several files share it.
pub(super) struct Entries<E> {
    /// Sorted by package and file.
    list: Vec<E>,
    /// The index of every entry, by what it is called.
    called: BTreeMap<String, usize>,
}

/// The order of the list.
fn place<E: Entry>(entry: &E) -> (String, String, E) {
    (
        entry.name().to_owned(),
        file_name(entry.url()),
        entry.clone(),
    )
}

impl<E: Entry> Entries<E> {
    /// Gathers the entries of all images; each is given with everything that it needs there.
    pub(super) fn gather(all: impl Iterator<Item = E>) -> Self {
        // By what is the same everywhere: what all of them need.
        let mut common: BTreeMap<E, Vec<String>> = BTreeMap::new();
        for mut entry in all {
            let edges = std::mem::take(entry.edges());
            common
                .entry(entry)
                .and_modify(|common| common.retain(|edge| edges.contains(edge)))
                .or_insert(edges);
        }
        let entries = common.into_iter().map(|(mut entry, common)| {
            *entry.edges() = common;
            entry
        });
        let mut list: Vec<E> = entries.collect();
        list.sort_by_cached_key(place);
        Self::of(list)
    }

    /// Adds entries that images do not have, with no needs of their own, unless they are there.
    pub(super) fn with_tools(self, tools: impl Iterator<Item = E>) -> Self {
        let mut list = self.list;
        for tool in tools {
            let same = |known: &E| {
                let mut known = known.clone();
                known.edges().clear();
                known == tool
            };
            if !list.iter().any(same) {
                list.push(tool);
            }
        }
        list.sort_by_cached_key(place);
        Self::of(list)
    }

    fn of(list: Vec<E>) -> Self {
        let mut called = BTreeMap::new();
        for (index, entry) in list.iter().enumerate() {
            let file = file_name(entry.url());
            let mut name = file.clone();
            let mut number = 1;
            while called.contains_key(&name) {
                number += 1;
                name = format!("{file}#{number}");
            }
            called.insert(name, index);
        }
        Self { list, called }
    }

    /// Takes a list as the file has it.
    pub(super) fn read(list: Vec<E>, text: &str) -> Result<Self, LockFileError> {
        let sorted = |pair: &&[E]| place(&pair[0]) >= place(&pair[1]);
        if let Some(pair) = list.windows(2).find(sorted) {
            return Err(LockFileError::Inconsistent {
                line: line_of(text, pair[1].url()),
                message: format!("{} stands twice or out of order", pair[1].name()),
            });
        }
        Ok(Self::of(list))
    }

    /// The list as the file has it.
    pub(super) fn into_list(self) -> Vec<E> {
        self.list
    }

    /// What an entry is called, and which of its edges are the image's alone.
    pub(super) fn call(&self, mut entry: E) -> (String, Vec<String>) {
        let edges = std::mem::take(entry.edges());
        let same = |known: &E| {
            let mut known = known.clone();
            known.edges().clear();
            known == entry
        };
        let found = self.called.iter().find_map(|(name, index)| {
            let known = &self.list[*index];
            (known.url() == entry.url() && same(known)).then(|| (name.clone(), known.clone()))
        });
        let (name, mut known) = found.expect("the entries were gathered from all images");
        let common = known.edges();
        let own = edges.into_iter().filter(|edge| !common.contains(edge));
        (name, own.collect())
    }

    /// The entry that is called so, with what it needs in an image that adds some edges.
    pub(super) fn find(
        &self,
        name: &str,
        own: Vec<String>,
        text: &str,
    ) -> Result<E, LockFileError> {
        let Some(index) = self.called.get(name) else {
            return Err(LockFileError::Inconsistent {
                line: line_of(text, &format!("\"{name}\"")),
                message: format!("{name} is named by a variant, and no package has that file"),
            });
        };
        let mut entry = self.list[*index].clone();
        entry.edges().extend(own);
        // Names come before what is said about them, as in the lists of both kinds.
        entry
            .edges()
            .sort_by(|one, other| split_edge(one).cmp(&split_edge(other)));
        Ok(entry)
    }

    /// What entries are called that nothing in a set of names calls.
    pub(super) fn unnamed(&self, names: &std::collections::BTreeSet<String>) -> Option<&E> {
        let unnamed = self.called.iter().find(|(name, _)| !names.contains(*name));
        unnamed.map(|(_, index)| &self.list[*index])
    }
}

impl From<&LockedDeb> for DebShape {
    fn from(deb: &LockedDeb) -> Self {
        Self {
            architecture: deb.architecture.clone(),
            depends: edges(&deb.depends, &deb.bounds, true),
            name: deb.name.clone(),
            sha256: deb.sha256,
            size: deb.size,
            url: deb.url(),
            version: deb.version.clone(),
        }
    }
}

impl DebShape {
    pub(super) fn into_deb(
        self,
        group: DebGroup,
        requested: bool,
        layer: Option<String>,
        text: &str,
    ) -> Result<LockedDeb, LockFileError> {
        let (input, path) = split_mirror_url(&self.url, text)?;
        let (depends, bounds) = split_edges(self.depends);
        let package = debian::LockedDeb {
            name: self.name,
            version: self.version,
            architecture: self.architecture,
            input,
            path,
            size: self.size,
            sha256: self.sha256,
            depends,
            requested,
        };
        Ok(LockedDeb {
            package,
            group,
            bounds,
            layer,
        })
    }
}

impl From<&LockedWheel> for WheelShape {
    fn from(wheel: &LockedWheel) -> Self {
        Self {
            name: wheel.name.clone(),
            requires: edges(&wheel.requires, &wheel.bounds, false),
            sha256: wheel.sha256,
            size: wheel.size,
            spelling: wheel.spelling.clone(),
            url: wheel.url(),
            version: wheel.version.clone(),
            yanked: wheel.yanked,
        }
    }
}

/// Whether a file is a source archive by its name.
fn is_source(filename: &str) -> bool {
    matches!(
        DistExtension::from_path(filename),
        Ok(DistExtension::Source(_))
    )
}

impl From<&python::LockedWheel> for WheelShape {
    /// A wheel that something is built with; what it needs itself is not said of it.
    fn from(wheel: &python::LockedWheel) -> Self {
        Self {
            name: wheel.name.clone(),
            requires: Vec::new(),
            sha256: wheel.sha256,
            size: wheel.size,
            spelling: wheel.spelling.clone(),
            url: wheel.url(),
            version: wheel.version.clone(),
            yanked: wheel.yanked,
        }
    }
}

impl WheelShape {
    pub(super) fn into_wheel(
        self,
        reference: WheelReference,
        build: Option<python::SourceBuild>,
        text: &str,
    ) -> Result<LockedWheel, LockFileError> {
        let (origin, filename) = wheel_origin(&self.name, &self.url, text)?;
        let is_own = match &build {
            Some(_) => matches!(origin, WheelOrigin::Git(_)) || is_source(&filename),
            None => WheelFilename::from_str(&filename).is_ok_and(|named| {
                named.name.as_str() == self.name && named.version.to_string() == self.version
            }),
        };
        if !is_own {
            let message = format!("{filename} is not {} {}", self.name, self.version);
            return Err(LockFileError::Inconsistent {
                line: line_of(text, &self.url),
                message,
            });
        }
        let (requires, bounds) = split_edges(self.requires);
        let package = python::LockedWheel {
            name: self.name,
            spelling: self.spelling,
            version: self.version,
            filename,
            sha256: self.sha256,
            size: self.size,
            requires,
            origin,
            yanked: self.yanked,
        };
        Ok(LockedWheel {
            package,
            layer: reference.layer,
            omit: reference.omit,
            bounds,
            waived: reference.waived,
            build,
        })
    }
}

/// Edges as the file has them: each name with what is said about it, `numpy>=1.21` or `libc6 (>= 2.36)`.
fn edges(names: &[String], bounds: &BTreeMap<String, String>, spaced: bool) -> Vec<String> {
    let edge = |name: &String| match bounds.get(name) {
        Some(bound) if spaced || bound.starts_with('@') => format!("{name} {bound}"),
        Some(bound) => format!("{name}{bound}"),
        None => name.clone(),
    };
    names.iter().map(edge).collect()
}

/// A name of an edge, and what follows it.
fn split_edge(edge: &str) -> (&str, &str) {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let (name, bound) = edge.split_at(edge.find(|c| !in_name(c)).unwrap_or(edge.len()));
    (name, bound.trim_start())
}

fn split_edges(edges: Vec<String>) -> (Vec<String>, BTreeMap<String, String>) {
    let split = edges.iter().map(|edge| split_edge(edge));
    let bounds = split.clone().filter(|(_, bound)| !bound.is_empty());
    let bounds = bounds.map(|(name, bound)| (name.to_owned(), bound.to_owned()));
    (
        split.clone().map(|(name, _)| name.to_owned()).collect(),
        bounds.collect(),
    )
}
