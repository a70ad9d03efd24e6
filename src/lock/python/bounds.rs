//! What each chosen package says about the others: the versions and extras it asks for on the image's platform.
//!
//! The resolver's answer has edges without words. The words are in the metadata that it read for choosing; walked from the
//! requirements with the extras that each edge switches on, they are those that had a say in the answer.

use std::collections::{BTreeMap, BTreeSet};

use uv_distribution_types::{
    Identifier as _, Name as _, Node, Requirement, RequirementSource, Resolution,
};
use uv_normalize::{ExtraName, PackageName};
use uv_pep508::MarkerEnvironment;
use uv_resolver::{InMemoryIndex, MetadataResponse};

/// For each package, for each package it needs, what stands behind the name: `[standard]>=0.3,<2`. Nothing for those that
/// take any version.
pub(super) type Bounds = BTreeMap<String, BTreeMap<String, String>>;

/// Reads the bounds of a resolution.
pub(super) fn bounds(
    resolution: &Resolution,
    index: &InMemoryIndex,
    roots: &[Requirement],
    markers: &MarkerEnvironment,
) -> Bounds {
    let requires = requirements(resolution, index);
    let mut walk = Walk {
        requires: &requires,
        markers,
        pending: Vec::new(),
        seen: BTreeSet::new(),
    };
    let holds = |root: &&Requirement| root.evaluate_markers(Some(markers), &[]);
    roots.iter().filter(holds).for_each(|root| walk.reach(root));
    let mut said: BTreeMap<String, BTreeMap<String, Said>> = BTreeMap::new();
    while let Some((name, extra)) = walk.pending.pop() {
        for requirement in walk.active(&name, extra.as_ref()) {
            walk.reach(requirement);
            let edges = said.entry(name.to_string()).or_default();
            edges
                .entry(requirement.name.to_string())
                .or_default()
                .add(requirement);
        }
    }
    let texts = |edges: BTreeMap<String, Said>| {
        let texts = edges.into_iter().map(|(name, said)| (name, said.text()));
        texts.filter(|(_, text)| !text.is_empty()).collect()
    };
    said.into_iter()
        .map(|(name, edges)| (name, texts(edges)))
        .collect()
}

type Requirements = BTreeMap<PackageName, Vec<Requirement>>;

fn requirements(resolution: &Resolution, index: &InMemoryIndex) -> Requirements {
    let mut requires = Requirements::new();
    let graph = resolution.graph();
    for node in graph.node_indices() {
        let Node::Dist { dist, .. } = &graph[node] else {
            continue;
        };
        if let Some(response) = index.distributions().get(&dist.distribution_id())
            && let MetadataResponse::Found(found) = response.as_ref()
        {
            requires.insert(dist.name().clone(), found.metadata.requires_dist.to_vec());
        }
    }
    requires
}

/// Packages still to be looked at, each with an extra or without.
struct Walk<'a> {
    requires: &'a Requirements,
    markers: &'a MarkerEnvironment,
    pending: Vec<(PackageName, Option<ExtraName>)>,
    seen: BTreeSet<(PackageName, Option<ExtraName>)>,
}

impl<'a> Walk<'a> {
    fn reach(&mut self, requirement: &Requirement) {
        let extras = requirement.extras.iter().cloned().map(Some);
        for extra in extras.chain([None]) {
            let state = (requirement.name.clone(), extra);
            if self.seen.insert(state.clone()) {
                self.pending.push(state);
            }
        }
    }

    /// What a package needs with an extra, or without any.
    fn active(&self, name: &PackageName, extra: Option<&ExtraName>) -> Vec<&'a Requirement> {
        let extras: Vec<ExtraName> = extra.into_iter().cloned().collect();
        let requires = self.requires.get(name).into_iter().flatten();
        requires
            .filter(|requirement| requirement.name != *name || !requirement.extras.is_empty())
            .filter(|requirement| requirement.evaluate_markers(Some(self.markers), &extras))
            .collect()
    }
}

/// Everything that one package says about another.
#[derive(Default)]
struct Said {
    extras: BTreeSet<String>,
    specifiers: BTreeSet<String>,
}

impl Said {
    fn add(&mut self, requirement: &Requirement) {
        self.extras
            .extend(requirement.extras.iter().map(ToString::to_string));
        if let RequirementSource::Registry { specifier, .. } = &requirement.source {
            self.specifiers
                .extend(specifier.iter().map(ToString::to_string));
        }
    }

    fn text(self) -> String {
        let join = |words: BTreeSet<String>| words.into_iter().collect::<Vec<_>>().join(",");
        let specifiers = join(self.specifiers);
        match self.extras.is_empty() {
            true => specifiers,
            false => format!("[{}]{specifiers}", join(self.extras)),
        }
    }
}
