//! Derivations with all their inputs: the reachable set and the order to build it in.
//!
//! A [`DerivationGraph`] is closed: a derivation enters after everything it takes in. What can only be said about a
//! derivation together with its inputs is computed once, on entry. Nothing depends on the order of entering.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::OnceLock;

use crate::derivation::{
    Derivation, DerivationBuilder, DerivationError, InputHashes, Parts, RealisationId,
};
use crate::digest::Sha256;
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
#[derive(Debug, Clone, Default)]
pub struct DerivationGraph {
    /// Each after its inputs.
    nodes: Vec<Node>,
    /// Where each one is in `nodes`.
    places: BTreeMap<StorePath, usize>,
}

/// A derivation and what follows from it and its inputs.
#[derive(Debug, Clone)]
struct Node {
    derivation: Derivation,
    /// Where its inputs are, in their order.
    inputs: Vec<usize>,
    /// Some output path, its own or of an input, is not known before building.
    deferred: bool,
    /// See [`Parts::hash_as_input`]. Both hashes are computed when somebody asks: what is content-addressed may never need
    /// them.
    hash_as_input: OnceLock<Sha256>,
    /// See [`Parts::masked_hash`].
    masked_hash: OnceLock<Sha256>,
}

impl DerivationGraph {
    /// A graph without derivations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a derivation whose inputs are in already, and returns its path. One that is there stays as it is.
    pub fn insert(&mut self, derivation: Derivation) -> Result<StorePath, GraphError> {
        let path = derivation.path();
        if !self.contains(&path) {
            let inputs = self.inputs(derivation.parts())?;
            let mut masked = None;
            if derivation.is_input_addressed() && !self.any_deferred(&inputs) {
                let hashes = self.hashes(derivation.parts(), &inputs);
                masked = Some(derivation.parts().masked_hash(&hashes));
            }
            derivation.check_output_paths(masked.as_ref())?;
            self.enter(derivation, inputs, masked);
        }
        Ok(path)
    }

    /// Finishes a derivation whose inputs are in already, and adds it. The same as [`DerivationBuilder::build_in`] and
    /// [`Self::insert`], in half the time.
    pub fn add(&mut self, builder: DerivationBuilder) -> Result<&Derivation, GraphError> {
        let (derivation, inputs, masked) = self.complete(builder.into_parts()?)?;
        let place = match self.places.get(derivation.as_path()) {
            Some(place) => *place,
            None => self.enter(derivation, inputs, masked),
        };
        Ok(&self.nodes[place].derivation)
    }

    /// The derivation of this path.
    pub fn get(&self, path: &StorePath) -> Option<&Derivation> {
        self.node(path).map(|node| &node.derivation)
    }

    /// Whether the derivation of this path is in.
    pub fn contains(&self, path: &StorePath) -> bool {
        self.places.contains_key(path)
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
        let mut waiting_for = vec![0; self.nodes.len()];
        let mut users = vec![Vec::new(); self.nodes.len()];
        let mut ready = BinaryHeap::new();
        for (place, node) in self.nodes.iter().enumerate() {
            waiting_for[place] = node.inputs.len();
            if node.inputs.is_empty() {
                ready.push(Reverse((node.derivation.as_path(), place)));
            }
            for input in &node.inputs {
                users[*input].push(place);
            }
        }
        std::iter::from_fn(move || {
            let Reverse((_, place)) = ready.pop()?;
            for user in std::mem::take(&mut users[place]) {
                waiting_for[user] -= 1;
                if waiting_for[user] == 0 {
                    ready.push(Reverse((self.nodes[user].derivation.as_path(), user)));
                }
            }
            Some(&self.nodes[place].derivation)
        })
    }

    /// The derivations that no other one takes in.
    pub fn tops(&self) -> impl Iterator<Item = &Derivation> {
        let mut used = vec![false; self.nodes.len()];
        for input in self.nodes.iter().flat_map(|node| &node.inputs) {
            used[*input] = true;
        }
        self.nodes
            .iter()
            .zip(used)
            .filter(|(_, used)| !used)
            .map(|(node, _)| &node.derivation)
    }

    /// The key under which the realisation of an output is recorded. `None` when the derivation is not in or makes no such
    /// output.
    pub fn realisation_id(&self, derivation: &StorePath, output: &str) -> Option<RealisationId> {
        let place = *self.places.get(derivation)?;
        self.nodes[place].derivation.outputs().get(output)?;
        Some(RealisationId::new(self.masked_hash(place), output))
    }

    /// These derivations and everything they take in, directly or not. Paths that are not in are left out.
    pub fn input_closure(&self, derivations: &[StorePath]) -> BTreeSet<StorePath> {
        let mut closure = BTreeSet::new();
        let mut waiting: Vec<&StorePath> = derivations.iter().collect();
        while let Some(path) = waiting.pop() {
            if let Some(node) = self.node(path)
                && closure.insert(path.clone())
            {
                waiting.extend(node.derivation.input_derivations().keys());
            }
        }
        closure
    }

    /// Puts in the output paths that follow from the inputs. Also where the inputs are, and the masked hash if it was needed.
    pub(crate) fn complete(
        &self,
        parts: Parts,
    ) -> Result<(Derivation, Vec<usize>, Option<Sha256>), GraphError> {
        let inputs = self.inputs(&parts)?;
        if !parts.is_deferred() || self.any_deferred(&inputs) {
            return Ok((Derivation::from_checked(parts), inputs, None));
        }
        let masked = parts.masked_hash(&self.hashes(&parts, &inputs));
        let parts = parts.with_input_addressed_paths(&masked)?;
        Ok((Derivation::from_checked(parts), inputs, Some(masked)))
    }

    /// Where the inputs are, all of which make what is taken of them.
    fn inputs(&self, parts: &Parts) -> Result<Vec<usize>, GraphError> {
        let mut inputs = Vec::with_capacity(parts.input_derivations().len());
        for (input, outputs) in parts.input_derivations() {
            let Some(place) = self.places.get(input) else {
                return Err(GraphError::UnknownInput {
                    derivation: parts.path(),
                    input: input.clone(),
                });
            };
            let available = self.nodes[*place].derivation.outputs();
            if let Some(output) = outputs
                .iter()
                .find(|output| !available.contains_key(*output))
            {
                return Err(GraphError::UnknownOutput {
                    derivation: parts.path(),
                    input: input.clone(),
                    output: output.clone(),
                    available: available.keys().cloned().collect(),
                });
            }
            inputs.push(*place);
        }
        Ok(inputs)
    }

    fn enter(
        &mut self,
        derivation: Derivation,
        inputs: Vec<usize>,
        masked: Option<Sha256>,
    ) -> usize {
        let place = self.nodes.len();
        let fixed = derivation.fixed_output().is_some();
        let unknown = || {
            let mut outputs = derivation.outputs().values();
            outputs.any(|output| output.path().is_none())
        };
        self.places.insert(derivation.path(), place);
        self.nodes.push(Node {
            deferred: !fixed && (unknown() || self.any_deferred(&inputs)),
            derivation,
            inputs,
            hash_as_input: OnceLock::new(),
            masked_hash: masked.map_or_else(OnceLock::new, OnceLock::from),
        });
        place
    }

    /// The hashes that stand for these inputs.
    fn hashes<'a>(
        &self,
        parts: &'a Parts,
        inputs: &[usize],
    ) -> Vec<(Sha256, &'a BTreeSet<String>)> {
        let mut hashes: Vec<_> = inputs
            .iter()
            .map(|place| self.hash_as_input(*place))
            .zip(parts.input_derivations().values())
            .collect();
        hashes.sort_unstable();
        hashes
    }

    fn hash_as_input(&self, place: usize) -> Sha256 {
        // A graph may be too deep for the stack of a thread.
        let mut waiting = vec![place];
        while let Some(&last) = waiting.last() {
            let node = &self.nodes[last];
            let missing = waiting.len();
            if node.hash_as_input.get().is_none() && node.derivation.fixed_output().is_none() {
                let unknown = |input: &&usize| self.nodes[**input].hash_as_input.get().is_none();
                waiting.extend(node.inputs.iter().filter(unknown));
            }
            if waiting.len() == missing {
                node.hash_as_input
                    .get_or_init(|| self.hash(node, |parts, hashes| parts.hash_as_input(hashes)));
                waiting.pop();
            }
        }
        self.nodes[place]
            .hash_as_input
            .get()
            .copied()
            .expect("it has just been computed")
    }

    fn masked_hash(&self, place: usize) -> Sha256 {
        let node = &self.nodes[place];
        *node.masked_hash.get_or_init(|| {
            if node.derivation.parts().is_masked() {
                self.hash_as_input(place)
            } else {
                self.hash(node, |parts, hashes| parts.masked_hash(hashes))
            }
        })
    }

    fn hash(&self, node: &Node, hash: impl Fn(&Parts, &InputHashes<'_>) -> Sha256) -> Sha256 {
        let parts = node.derivation.parts();
        parts
            .fixed_hash()
            .unwrap_or_else(|| hash(parts, &self.hashes(parts, &node.inputs)))
    }

    /// Whether some input has no output path before it is built.
    fn any_deferred(&self, inputs: &[usize]) -> bool {
        inputs.iter().any(|input| self.nodes[*input].deferred)
    }

    fn node(&self, path: &StorePath) -> Option<&Node> {
        self.places.get(path).map(|place| &self.nodes[*place])
    }
}

/// The same derivations, in whichever order they entered.
impl PartialEq for DerivationGraph {
    fn eq(&self, other: &Self) -> bool {
        self.places.keys().eq(other.places.keys())
            && self
                .places
                .keys()
                .all(|path| self.get(path) == other.get(path))
    }
}

impl Eq for DerivationGraph {}

#[cfg(test)]
mod tests;
