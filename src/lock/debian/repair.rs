//! What apt does when marking leaves a dependency unmet: its second pass, for a system on which nothing is installed.
//!
//! Marking can leave a gap when a later request conflicts with what an earlier one had brought in. apt then scores every
//! package, goes through the broken ones from the highest score to the lowest, and for each unmet dependency either
//! marks another package that would meet it (when the broken one may not be dropped) or drops the one with the lower
//! score. This is repeated until nothing changes. What is still broken afterwards cannot be installed.

use super::error::DebianError;
use super::solve::Solver;
use super::universe::{Dependency, PackageId, RecordId, Universe};

/// More rounds do not help any more, says apt.
const MAX_ROUNDS: usize = 20;

/// Tries to meet what marking left unmet; whether it could is seen in the marks.
pub(super) fn repair<'a>(
    universe: &Universe<'a>,
    solver: &mut Solver<'_, 'a>,
) -> Result<(), DebianError> {
    let scores = scores(universe, solver)?;
    let mut order: Vec<_> = universe.packages().map(|(id, _)| id).collect();
    order.sort_by_key(|id| std::cmp::Reverse(scores[id.index()]));
    let tried = vec![false; universe.package_count()];
    let mut repair = Repair {
        universe,
        solver,
        scores,
        tried,
    };
    for round in 0..MAX_ROUNDS {
        let mut changed = false;
        for package in &order {
            changed |= repair.package(*package, round)?;
        }
        if !changed {
            break;
        }
    }
    Ok(())
}

struct Repair<'s, 'u, 'a> {
    universe: &'s Universe<'a>,
    solver: &'s mut Solver<'u, 'a>,
    scores: Vec<i64>,
    /// Packages that were marked here once are not marked again.
    tried: Vec<bool>,
}

/// How one alternative of an unmet dependency was dealt with.
#[derive(PartialEq, Eq)]
enum Outcome {
    /// Nothing could be done.
    Unchanged,
    /// Another package was marked.
    Marked,
    /// The broken package itself was dropped.
    Dropped,
}

impl<'a> Repair<'_, '_, 'a> {
    /// Looks at one package's dependencies; whether anything was changed.
    fn package(&mut self, package: PackageId, round: usize) -> Result<bool, DebianError> {
        let Some(installed) = self.solver.mark(package).installed else {
            return Ok(false);
        };
        let mut changed = false;
        let mut rivals = Vec::new();
        for dependency in critical(&self.universe.dependencies(installed)?) {
            if dependency.kind.is_negative() {
                changed |= self.conflict(package, dependency, &mut rivals);
            } else {
                changed |= self.unmet(package, dependency)?;
            }
            if self.solver.mark(package).installed.is_none() {
                return Ok(true);
            }
        }
        for rival in rivals {
            let kept = self.solver.keep(rival);
            changed |= kept;
            if (!kept || round > 1) && self.score(package) > self.score(rival) {
                self.scores[rival.index()] = self.score(package);
                changed = true;
            }
        }
        Ok(changed)
    }

    /// A package that may not be dropped gets another solution, any other one is dropped.
    fn unmet(
        &mut self,
        package: PackageId,
        dependency: &Dependency<'a>,
    ) -> Result<bool, DebianError> {
        let mut changed = false;
        for place in 0..dependency.alternatives.len() {
            if self.solver.is_met(package, dependency) {
                return Ok(changed);
            }
            match self.alternative(package, dependency, place)? {
                Outcome::Unchanged => {}
                Outcome::Marked => changed = true,
                Outcome::Dropped => return Ok(true),
            }
        }
        Ok(changed)
    }

    fn alternative(
        &mut self,
        package: PackageId,
        dependency: &Dependency<'a>,
        place: usize,
    ) -> Result<Outcome, DebianError> {
        let targets = self
            .universe
            .all_satisfying(&dependency.alternatives[place]);
        let protected = self.solver.is_protected(package);
        if !protected {
            // With several alternatives apt drops a package only after it has seen all of them without a solution.
            let last = place + 1 == dependency.alternatives.len();
            return Ok(match last && self.solver.keep(package) {
                true => Outcome::Dropped,
                false => Outcome::Unchanged,
            });
        }
        for target in targets {
            let target = self.universe.owner(target);
            if self.mark(target)? {
                let lower = self.score(target).min(self.score(package));
                self.scores[target.index()] = lower;
                return Ok(Outcome::Marked);
            }
        }
        Ok(Outcome::Unchanged)
    }

    /// Of two packages that exclude each other the one with the lower score is dropped.
    fn conflict(
        &mut self,
        package: PackageId,
        dependency: &Dependency<'a>,
        rivals: &mut Vec<PackageId>,
    ) -> bool {
        if self.solver.is_met(package, dependency) {
            return false;
        }
        for rival in self.solver.installed_for(package, dependency, 0) {
            let rival = self.universe.owner(rival);
            if self.score(package) <= self.score(rival) {
                if self.solver.is_protected(package) {
                    continue;
                }
                return self.solver.keep(package);
            }
            if !self.solver.is_protected(rival) {
                rivals.push(rival);
            }
        }
        false
    }

    /// Marks a package, and what it needs, where that goes without taking anything back.
    fn mark(&mut self, package: PackageId) -> Result<bool, DebianError> {
        let requested = self.solver.requested().contains(&package);
        if requested
            || std::mem::replace(&mut self.tried[package.index()], true)
            || !self.solver.mark_alone(package)
        {
            return Ok(false);
        }
        let Some(installed) = self.solver.mark(package).installed else {
            return Ok(false);
        };
        for dependency in critical(&self.universe.dependencies(installed)?) {
            if !self.mark_for(package, dependency)? {
                self.solver.keep(package);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn mark_for(
        &mut self,
        package: PackageId,
        dependency: &Dependency<'a>,
    ) -> Result<bool, DebianError> {
        let mut failed = false;
        for place in 0..dependency.alternatives.len() {
            if self.solver.is_met(package, dependency) {
                return Ok(!failed);
            }
            let target = self.target(package, dependency, place);
            if target.is_some_and(|target| self.solver.is_protected(target)) {
                failed = true;
            } else if dependency.kind.is_negative() {
                return Ok(!failed);
            } else {
                let has_candidate = self.solver.has_candidate(package, dependency, place);
                match target.filter(|_| has_candidate) {
                    Some(target) if self.mark(target)? => return Ok(true),
                    _ => failed = true,
                }
            }
        }
        Ok(!failed)
    }

    /// The package of the alternative's name, else the first that provides it.
    fn target(
        &self,
        package: PackageId,
        dependency: &Dependency<'a>,
        place: usize,
    ) -> Option<PackageId> {
        let name = dependency.alternatives[place].name;
        let providers = self
            .universe
            .provisions(name)
            .iter()
            .rev()
            .map(|provision| self.universe.owner(provision.record));
        self.universe
            .find(name)
            .or_else(|| providers.into_iter().find(|provider| *provider != package))
    }

    fn score(&self, package: PackageId) -> i64 {
        self.scores[package.index()]
    }
}

/// What a package cannot do without; only that is repaired.
fn critical<'d, 'a>(
    dependencies: &'d [Dependency<'a>],
) -> impl Iterator<Item = &'d Dependency<'a>> {
    dependencies
        .iter()
        .filter(|dependency| dependency.kind.is_critical())
}

/// How much would be lost with each package: by its priority, by who depends on it, and by who conflicts with it.
fn scores<'a>(universe: &Universe<'a>, solver: &Solver<'_, 'a>) -> Result<Vec<i64>, DebianError> {
    let mut scores = vec![0; universe.package_count()];
    let installed: Vec<_> = solver.installed().collect();
    let mut edges = Vec::new();
    for id in &installed {
        let package = universe.package(universe.owner(*id));
        let basic = if package.essential || package.protected {
            100
        } else {
            0
        };
        scores[universe.owner(*id).index()] += basic + universe.record(*id).priority.score();
        edges.extend(weighted(universe, *id)?);
    }
    for edge in &edges {
        edge.add_to(universe, solver, &mut scores);
    }
    // One level of inheritance: what an important package depends on by name is important.
    let before = scores.clone();
    for Edge {
        from,
        relation,
        weight,
    } in &edges
    {
        if *weight > 0
            && let Some(target) = universe.find(relation.name)
            && solver.mark(target).installed.is_some()
        {
            scores[target.index()] += before[universe.owner(*from).index()].max(0);
        }
    }
    for (id, package) in universe.packages() {
        let gained = (scores[id.index()] - before[id.index()]).abs();
        let mut providers: Vec<_> = universe
            .provisions(package.name)
            .iter()
            .map(|provision| provision.record)
            .collect();
        providers.retain(|provider| {
            gained != 0 && solver.mark(universe.owner(*provider)).installed == Some(*provider)
        });
        providers.dedup();
        for provider in providers {
            scores[universe.owner(provider).index()] += gained;
        }
    }
    for (id, package) in universe.packages() {
        if solver.requested().contains(&id) {
            scores[id.index()] += 10_000;
        }
        if package.essential || package.protected {
            scores[id.index()] += 5_000;
        }
    }
    Ok(scores)
}

/// One alternative of one relation of a marked package.
struct Edge<'a> {
    from: RecordId,
    relation: super::relation::Relation<'a>,
    weight: i64,
}

fn weighted<'a>(universe: &Universe<'a>, from: RecordId) -> Result<Vec<Edge<'a>>, DebianError> {
    let edge = |relation, weight| Edge {
        from,
        relation,
        weight,
    };
    let mut edges = Vec::new();
    for dependency in critical(&universe.dependencies(from)?) {
        let weight = if dependency.kind.is_negative() { -1 } else { 1 };
        edges.extend(
            dependency
                .alternatives
                .iter()
                .map(|relation| edge(*relation, weight)),
        );
    }
    let recommended = universe.relations(from, "Recommends")?;
    edges.extend(
        recommended
            .into_iter()
            .flatten()
            .map(|relation| edge(relation, 1)),
    );
    Ok(edges)
}

impl<'a> Edge<'a> {
    fn add_to(&self, universe: &Universe<'a>, solver: &Solver<'_, 'a>, scores: &mut [i64]) {
        let owner = universe.owner(self.from);
        let own = |id: PackageId| self.weight < 0 && id == owner;
        let satisfied =
            universe.satisfying(&self.relation, |package| solver.mark(package).installed);
        let target = universe.find(self.relation.name);
        let by_name = |id: &RecordId| Some(universe.owner(*id)) == target;
        if self.relation.bound.is_some() && !satisfied.iter().any(by_name) {
            return;
        }
        let providers = satisfied
            .iter()
            .filter(|id| !by_name(id))
            .map(|id| universe.owner(*id));
        for id in target.into_iter().chain(providers).filter(|id| !own(*id)) {
            scores[id.index()] += self.weight;
        }
    }
}
