//! Derivations with all their inputs: the reachable set and the order to build it in.
//!
//! A [`DerivationGraph`] is closed: a derivation enters after everything it takes in. What can only be said about a
//! derivation together with its inputs is computed once, on entry. Nothing depends on the order of entering.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use crate::derivation::{Derivation, DerivationError, Identity, RealisationId};
use crate::store_path::StorePath;

/// A derivation cannot enter a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Inputs must be there first; so there can be no cycle.
    #[error("{derivation} takes in {input}, which is not known")]
    UnknownInput {
        /// The derivation that was to enter.
        derivation: StorePath,
        /// The first input that is missing.
        input: StorePath,
    },
    /// The input is there but makes no such output.
    #[error("{derivation} takes output {output:?} of {input}, which only has {}", available.join(", "))]
    UnknownOutput {
        /// The derivation that was to enter.
        derivation: StorePath,
        /// The input.
        input: StorePath,
        /// The output that it lacks.
        output: String,
        /// The outputs that it has.
        available: Vec<String>,
    },
    /// It claims an output path that does not follow from its content: somebody else's, perhaps.
    #[error(transparent)]
    Derivation(#[from] DerivationError),
}

/// A closed set of derivations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DerivationGraph {
    /// Every input of every derivation is a key.
    nodes: BTreeMap<StorePath, Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    derivation: Derivation,
    identity: Identity,
}

impl DerivationGraph {
    /// A graph without derivations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a derivation whose inputs are in already, and returns its path. One that is there stays as it is.
    pub fn insert(&mut self, derivation: Derivation) -> Result<StorePath, GraphError> {
        if !self.nodes.contains_key(derivation.as_path()) {
            let identity = self.identify(&derivation)?;
            derivation.check_output_paths(&identity, self.inputs_deferred(&derivation))?;
            self.nodes.insert(
                derivation.path(),
                Node {
                    derivation: derivation.clone(),
                    identity,
                },
            );
        }
        Ok(derivation.path())
    }

    /// The derivation of this path.
    pub fn get(&self, path: &StorePath) -> Option<&Derivation> {
        self.nodes.get(path).map(|node| &node.derivation)
    }

    /// Whether the derivation of this path is in.
    pub fn contains(&self, path: &StorePath) -> bool {
        self.nodes.contains_key(path)
    }

    /// How many derivations are in.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no derivation.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All derivations, each after its inputs; where that leaves a choice, the smallest path first.
    pub fn iter(&self) -> impl Iterator<Item = &Derivation> {
        let mut waiting_for: BTreeMap<&StorePath, usize> = BTreeMap::new();
        let mut users: BTreeMap<&StorePath, Vec<&StorePath>> = BTreeMap::new();
        let mut ready = BTreeSet::new();
        for (path, node) in &self.nodes {
            let inputs = node.derivation.input_derivations();
            if inputs.is_empty() {
                ready.insert(path);
            }
            waiting_for.insert(path, inputs.len());
            for input in inputs.keys() {
                users.entry(input).or_default().push(path);
            }
        }
        std::iter::from_fn(move || {
            let path = ready.pop_first()?;
            for user in users.remove(path).unwrap_or_default() {
                if let btree_map::Entry::Occupied(mut count) = waiting_for.entry(user) {
                    *count.get_mut() -= 1;
                    if *count.get() == 0 {
                        ready.insert(user);
                    }
                }
            }
            Some(&self.nodes[path].derivation)
        })
    }

    /// The key under which the realisation of an output is recorded. `None` when the derivation is not in or makes no such
    /// output.
    pub fn realisation_id(&self, derivation: &StorePath, output: &str) -> Option<RealisationId> {
        let node = self.nodes.get(derivation)?;
        node.derivation.outputs().get(output)?;
        Some(RealisationId::new(node.identity.masked, output))
    }

    /// These derivations and everything they take in, directly or not. Paths that are not in are left out.
    pub fn input_closure(&self, derivations: &[StorePath]) -> BTreeSet<StorePath> {
        let mut closure = BTreeSet::new();
        let mut waiting: Vec<&StorePath> = derivations.iter().collect();
        while let Some(path) = waiting.pop() {
            if let Some(node) = self.nodes.get(path)
                && closure.insert(path.clone())
            {
                waiting.extend(node.derivation.input_derivations().keys());
            }
        }
        closure
    }

    /// The hashes of a derivation whose inputs are in.
    pub(crate) fn identify(&self, derivation: &Derivation) -> Result<Identity, GraphError> {
        let mut identities = BTreeMap::new();
        for (input, outputs) in derivation.input_derivations() {
            let Some(node) = self.nodes.get(input) else {
                return Err(GraphError::UnknownInput {
                    derivation: derivation.path(),
                    input: input.clone(),
                });
            };
            let available = node.derivation.outputs();
            if let Some(output) = outputs
                .iter()
                .find(|output| !available.contains_key(*output))
            {
                return Err(GraphError::UnknownOutput {
                    derivation: derivation.path(),
                    input: input.clone(),
                    output: output.clone(),
                    available: available.keys().cloned().collect(),
                });
            }
            identities.insert(input, &node.identity);
        }
        Ok(Identity::of(derivation, &identities))
    }

    /// Whether some input has no output path before it is built.
    pub(crate) fn inputs_deferred(&self, derivation: &Derivation) -> bool {
        derivation
            .input_derivations()
            .keys()
            .filter_map(|input| self.nodes.get(input))
            .any(|node| node.identity.deferred)
    }
}

#[cfg(test)]
mod tests;
