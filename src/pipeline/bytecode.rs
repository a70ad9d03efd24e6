//! Which modules of an image have no bytecode, and why: what the derivations that compile have reported.

use std::collections::BTreeMap;

use cognix_store::Store;

use super::PipelineError;
use super::record::known_output;
use crate::recipes::{Instantiated, REPORT, compiled_package};

/// The modules that have no bytecode, by package, a line each: the path in the image and the reason. Of packages that this
/// store has not compiled nothing is known.
pub fn without_bytecode(
    store: &Store,
    instantiated: &Instantiated,
) -> Result<BTreeMap<String, Vec<String>>, PipelineError> {
    let mut reports = BTreeMap::new();
    for derivation in instantiated.graph.iter() {
        let Some(package) = compiled_package(derivation.name()) else {
            continue;
        };
        if !derivation.outputs().contains_key(REPORT) {
            continue;
        }
        let path = derivation.path();
        let Some(report) = known_output(store, instantiated, &path, REPORT)? else {
            continue;
        };
        let text = fs_err::read(store.real_path(&report))?;
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if !lines.is_empty() {
            reports.insert(package.to_owned(), lines);
        }
    }
    Ok(reports)
}
