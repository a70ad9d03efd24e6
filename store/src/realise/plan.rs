//! Decides what has to be made. Pure: a graph and knowledge about paths in, data out.
//!
//! From the targets down: an output that is known to be valid ends the search there, so nothing below a finished image is
//! looked at. The plan says at most what will be done: when inputs turn out as they were before under another name, a
//! derivation that is planned need not be built after all.

use std::collections::{BTreeMap, BTreeSet};

use cognix_derivations::{Derivation, DerivationGraph, StorePath};
use serde::Serialize;

use super::RealiseError;
use crate::error::StoreError;
use crate::path_infos::PathInfos;

/// The builder that the store has itself.
pub const FETCHURL: &str = "builtin:fetchurl";

/// What is there and what has to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Outputs that are valid: targets, and inputs of steps.
    pub known: BTreeMap<(StorePath, String), StorePath>,
    /// What has to be made, each after what it needs.
    pub steps: Vec<Step>,
    /// How many derivations the targets stand on, themselves included.
    pub derivations: usize,
}

/// One derivation that has to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its path.
    pub derivation: StorePath,
    /// Its name.
    pub name: String,
    /// How.
    pub action: Action,
    /// The steps that must be done before.
    pub needs: BTreeSet<StorePath>,
}

/// How a derivation is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// By downloading.
    Fetch {
        /// From where, as the derivation says it.
        urls: Vec<String>,
        /// How long the file is, where the derivation says it.
        size: Option<u64>,
    },
    /// By a builder.
    Build {
        /// Its name.
        builder: String,
    },
}

impl Plan {
    /// The downloads, and how many bytes they are as far as that is known.
    pub fn fetches(&self) -> (usize, u64) {
        let sizes = self.steps.iter().filter_map(|step| match step.action {
            Action::Fetch { size, .. } => Some(size.unwrap_or(0)),
            Action::Build { .. } => None,
        });
        sizes.fold((0, 0), |(count, sum), size| (count + 1, sum + size))
    }

    /// How many steps are not downloads.
    pub fn builds(&self) -> usize {
        self.steps.len() - self.fetches().0
    }
}

/// Decides what has to be made so that the targets are valid.
pub fn plan(
    graph: &DerivationGraph,
    targets: &[(StorePath, String)],
    infos: &dyn PathInfos,
) -> Result<Plan, RealiseError> {
    let mut known = BTreeMap::new();
    let mut missing = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<(StorePath, String)> = targets.to_vec();
    while let Some(wanted) = waiting.pop() {
        if !seen.insert(wanted.clone()) {
            continue;
        }
        let (path, output) = &wanted;
        let unknown = || RealiseError::UnknownTarget {
            derivation: path.clone(),
            output: output.clone(),
        };
        let derivation = graph.get(path).ok_or_else(unknown)?;
        if !derivation.outputs().contains_key(output) {
            return Err(unknown());
        }
        if let Some(valid) = known_output(graph, derivation, output, infos)? {
            known.insert(wanted, valid);
        } else if missing.insert(path.clone()) {
            for (input, outputs) in derivation.input_derivations() {
                waiting.extend(outputs.iter().map(|output| (input.clone(), output.clone())));
            }
        }
    }
    let paths: Vec<StorePath> = targets.iter().map(|(path, _)| path.clone()).collect();
    let steps = if missing.is_empty() {
        Vec::new()
    } else {
        let wanted = graph
            .iter()
            .filter(|derivation| missing.contains(derivation.as_path()));
        wanted
            .map(|derivation| step(derivation, &missing))
            .collect()
    };
    Ok(Plan {
        known,
        steps,
        derivations: graph.input_closure(&paths).len(),
    })
}

/// Where an output is, if it is valid.
pub(super) fn known_output(
    graph: &DerivationGraph,
    derivation: &Derivation,
    output: &str,
    infos: &dyn PathInfos,
) -> Result<Option<StorePath>, StoreError> {
    if let Some(path) = derivation.outputs()[output].path() {
        return Ok(infos.is_valid(path)?.then(|| path.clone()));
    }
    match graph.realisation_id(derivation.as_path(), output) {
        Some(id) => infos.realisation(&id),
        None => Ok(None),
    }
}

fn step(derivation: &Derivation, missing: &BTreeSet<StorePath>) -> Step {
    let inputs = derivation.input_derivations().keys();
    Step {
        derivation: derivation.path(),
        name: derivation.name().to_owned(),
        action: action(derivation),
        needs: inputs
            .filter(|input| missing.contains(*input))
            .cloned()
            .collect(),
    }
}

/// What a derivation asks for.
pub(super) fn action(derivation: &Derivation) -> Action {
    if derivation.builder_name() != FETCHURL {
        return Action::Build {
            builder: derivation.builder_name().to_owned(),
        };
    }
    let list = derivation
        .env_str("urls")
        .or_else(|| derivation.env_str("url"));
    Action::Fetch {
        urls: list
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect(),
        size: derivation
            .env_str("size")
            .and_then(|size| size.parse().ok()),
    }
}
