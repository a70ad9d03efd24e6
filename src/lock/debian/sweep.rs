//! Drops what was marked on the way to a solution and is needed by nobody in the end.
//!
//! While marking, a group's first alternative may be tried, pull in packages, and fail. apt then finds what no request
//! and no essential package reaches. Recommendations and suggestions count as reasons to keep a package, though not
//! to choose one.

use super::error::DebianError;
use super::relation::Relation;
use super::solve::Solver;
use super::universe::{PackageId, RecordId, Universe};
use super::{control, version};

/// Unmarks everything that is not reached from the requests.
pub(super) fn sweep(
    universe: &Universe<'_>,
    solver: &mut Solver<'_, '_>,
) -> Result<(), DebianError> {
    let reached = reached(universe, solver)?;
    let garbage: Vec<_> = solver
        .installed()
        .map(|id| universe.owner(id))
        .filter(|id| !reached[id.index()])
        .collect();
    for package in garbage {
        solver.unmark(package);
    }
    Ok(())
}

fn reached(universe: &Universe<'_>, solver: &Solver<'_, '_>) -> Result<Vec<bool>, DebianError> {
    let mut reached = vec![false; universe.package_count()];
    let mut waiting: Vec<PackageId> = solver.requested().to_vec();
    let essential = |id: &PackageId| {
        let package = universe.package(*id);
        package.essential || package.protected
    };
    waiting.extend(
        solver
            .installed()
            .map(|id| universe.owner(id))
            .filter(essential),
    );
    while let Some(package) = waiting.pop() {
        let Some(installed) = solver.mark(package).installed else {
            continue;
        };
        if std::mem::replace(&mut reached[package.index()], true) {
            continue;
        }
        for field in ["Pre-Depends", "Depends", "Recommends", "Suggests"] {
            for relation in universe.relations(installed, field)?.into_iter().flatten() {
                waiting.extend(keepers(universe, solver, &relation));
            }
        }
    }
    Ok(reached)
}

/// The marked packages that a relation keeps: all that satisfy it, but of one source only the newest.
fn keepers(
    universe: &Universe<'_>,
    solver: &Solver<'_, '_>,
    relation: &Relation<'_>,
) -> Vec<PackageId> {
    let found = universe.satisfying(relation, |package| solver.mark(package).installed);
    let sources: Vec<_> = found.iter().map(|id| source(universe, *id)).collect();
    let newest = |place: &usize| {
        let (name, own) = sources[*place];
        !sources
            .iter()
            .any(|(other, newer)| *other == name && version::compare(newer, own).is_gt())
    };
    (0..found.len())
        .filter(newest)
        .map(|place| universe.owner(found[place]))
        .collect()
}

/// Name and version of the source package.
fn source<'a>(universe: &Universe<'a>, id: RecordId) -> (&'a str, &'a str) {
    let record = universe.record(id);
    let Some(source) = control::field(record.stanza, "Source") else {
        return (record.name, record.version);
    };
    match source.split_once(" (") {
        Some((name, version)) => (name, version.trim_end_matches(')')),
        None => (source, record.version),
    }
}
