//! Says why requests cannot be met, from a request down to the obstacle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::error::DebianError;
use super::relation::display_group;
use super::solve::Solver;
use super::universe::{Dependency, PackageId, RecordId, Universe};

/// Longer explanations help nobody.
const MOST_REASONS: usize = 8;

/// The reasons why some marked package has a dependency that is not met; empty when all are met.
pub(super) fn obstacles<'a>(
    universe: &Universe<'a>,
    solver: &Solver<'_, 'a>,
) -> Result<Vec<String>, DebianError> {
    let mut explanation = Explanation {
        universe,
        solver,
        seen: BTreeSet::new(),
        reasons: Vec::new(),
    };
    let requested = solver.requested().iter().copied();
    let others = solver.installed().map(|id| universe.owner(id));
    for package in requested.chain(others) {
        if let Some(dependency) = solver.broken(package)?
            && !explanation.seen.contains(&package)
        {
            explanation.way_to(package)?;
            explanation.dependency(package, &dependency)?;
        }
    }
    explanation.reasons.truncate(MOST_REASONS);
    Ok(explanation.reasons)
}

struct Explanation<'s, 'u, 'a> {
    universe: &'s Universe<'a>,
    solver: &'s Solver<'u, 'a>,
    seen: BTreeSet<PackageId>,
    reasons: Vec<String>,
}

impl<'a> Explanation<'_, '_, 'a> {
    /// Who brought a package in, from a request down: the shortest way over what is marked.
    fn way_to(&mut self, package: PackageId) -> Result<(), DebianError> {
        let mut brought_by: BTreeMap<PackageId, (PackageId, String)> = BTreeMap::new();
        let mut waiting: VecDeque<_> = self.solver.requested().iter().copied().collect();
        while let Some(from) = waiting.pop_front().filter(|from| *from != package) {
            let Some(installed) = self.solver.mark(from).installed else {
                continue;
            };
            let dependencies = self.universe.dependencies(installed)?;
            for dependency in dependencies
                .iter()
                .filter(|dependency| !dependency.kind.is_negative())
            {
                let group = format!(
                    "{} {}",
                    dependency.kind.verb(),
                    display_group(&dependency.alternatives)
                );
                let places = 0..dependency.alternatives.len();
                for met in
                    places.flat_map(|place| self.solver.installed_for(from, dependency, place))
                {
                    let met = self.universe.owner(met);
                    if !brought_by.contains_key(&met) && !self.solver.requested().contains(&met) {
                        brought_by.insert(met, (from, group.clone()));
                        waiting.push_back(met);
                    }
                }
            }
        }
        let mut way = Vec::new();
        let mut end = package;
        while let Some((from, group)) = brought_by.get(&end) {
            way.push(format!("{} {group}", self.universe.package(*from).name));
            end = *from;
        }
        self.reasons.extend(way.into_iter().rev());
        Ok(())
    }

    /// Why a dependency of a package is not met, and what stands in the way of what would meet it.
    fn dependency(
        &mut self,
        package: PackageId,
        dependency: &Dependency<'a>,
    ) -> Result<(), DebianError> {
        if !self.seen.insert(package) || self.reasons.len() >= MOST_REASONS {
            return Ok(());
        }
        let name = self.universe.package(package).name;
        let group = display_group(&dependency.alternatives);
        let verb = dependency.kind.verb();
        if dependency.kind.is_negative() {
            let rivals = self.solver.installed_for(package, dependency, 0);
            for rival in &rivals {
                self.way_to(self.universe.owner(*rival))?;
            }
            let rivals: Vec<_> = rivals
                .into_iter()
                .map(|id| self.universe.record(id).name)
                .collect();
            self.reasons.push(format!(
                "{name} {verb} {group}, but {} is needed too",
                rivals.join(", ")
            ));
            return Ok(());
        }
        let possible = self.possible(dependency);
        if possible.is_empty() {
            self.reasons.push(format!(
                "{name} {verb} {group}, but {}",
                self.available(dependency)
            ));
            return Ok(());
        }
        self.reasons.push(format!("{name} {verb} {group}"));
        for id in possible {
            self.package(id)?;
        }
        Ok(())
    }

    /// The newest versions that would meet the dependency if nothing stood in the way.
    fn possible(&self, dependency: &Dependency<'a>) -> Vec<RecordId> {
        let newest = |package: PackageId| Some(self.universe.package(package).candidate);
        let relations = dependency.alternatives.iter();
        relations
            .flat_map(|relation| self.universe.satisfying(relation, newest))
            .collect()
    }

    fn available(&self, dependency: &Dependency<'a>) -> String {
        let known: Vec<_> = dependency
            .alternatives
            .iter()
            .filter_map(|relation| self.universe.find(relation.name))
            .map(|package| {
                let package = self.universe.package(package);
                let newest = self.universe.record(package.candidate).version;
                format!("{} {newest}", package.name)
            })
            .collect();
        match known.is_empty() {
            true => "no suite has it".to_owned(),
            false => format!("there is only {}", known.join(", ")),
        }
    }

    /// Why a version that is wanted cannot be installed.
    fn package(&mut self, id: RecordId) -> Result<(), DebianError> {
        let package = self.universe.owner(id);
        if let Some(rival) = self.rival(id)? {
            let name = self.universe.record(id).name;
            self.reasons.push(format!("{rival} stands against {name}"));
            return Ok(());
        }
        let dependencies = self.universe.dependencies(id)?;
        let unmet = dependencies.iter().find(|dependency| {
            dependency.kind.is_critical() && !self.solver.is_met(package, dependency)
        });
        match unmet {
            Some(dependency) => self.dependency(package, dependency),
            None => Ok(()),
        }
    }

    /// A marked package that conflicts with a version.
    fn rival(&self, id: RecordId) -> Result<Option<String>, DebianError> {
        let package = self.universe.owner(id);
        for other in self.solver.installed() {
            let owner = self.universe.owner(other);
            let dependencies = self.universe.dependencies(other)?;
            let negative = dependencies
                .iter()
                .filter(|dependency| dependency.kind.is_negative());
            for dependency in negative.filter(|_| owner != package) {
                let only = |candidate: PackageId| (candidate == package).then_some(id);
                let relation = &dependency.alternatives[0];
                if !self.universe.satisfying(relation, only).is_empty() {
                    return Ok(Some(format!(
                        "{}, which {} {relation},",
                        self.universe.record(other).name,
                        dependency.kind.verb()
                    )));
                }
            }
        }
        Ok(None)
    }
}
