//! What `name/suite` means for dependencies: where the candidate of one does not do, the suite's own version may.
//!
//! A package of a suite that is not preferred, backports for example, often needs other packages of the same suite in
//! versions that are no candidates. apt then makes the suite's version the candidate, as far as bounds ask for it, before
//! it marks anything. "Works" is meant for what is marked at that moment, which are the requests.

use super::error::DebianError;
use super::relation::Relation;
use super::solve::Solver;
use super::universe::{Dependency, PackageId, RecordId, Universe};

/// Makes the requested versions candidates, and what they need of their suites.
pub(super) fn follow_suites<'a>(
    universe: &Universe<'a>,
    solver: &mut Solver<'_, 'a>,
    requests: &[(RecordId, &str)],
) -> Result<(), DebianError> {
    for (request, suite) in requests {
        let mut switch = Switch {
            universe,
            solver,
            suite,
            changed: vec![*request],
        };
        // Whatever it could not switch is told when marking fails.
        switch.follow(*request)?;
    }
    Ok(())
}

struct Switch<'s, 'u, 'a> {
    universe: &'s Universe<'a>,
    solver: &'s mut Solver<'u, 'a>,
    suite: &'s str,
    changed: Vec<RecordId>,
}

impl<'a> Switch<'_, '_, 'a> {
    fn follow(&mut self, version: RecordId) -> Result<bool, DebianError> {
        self.solver.set_candidate(version);
        let known = self.changed.len();
        for dependency in self.universe.dependencies(version)?.iter() {
            if dependency.kind.is_negative() {
                continue;
            }
            let mut fine = false;
            for relation in &dependency.alternatives {
                fine = fine || self.works(relation)?;
            }
            if !fine
                && !self.switch_one_of(&dependency.alternatives)?
                && dependency.kind.is_critical()
            {
                self.changed.truncate(known);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether what meets an alternative is a candidate whose own dependencies are met.
    fn works(&self, relation: &Relation<'_>) -> Result<bool, DebianError> {
        let candidate = |package: PackageId| self.solver.mark(package).candidate;
        let providers = self.universe.provisions(relation.name);
        let own = self.universe.find(relation.name).and_then(candidate);
        let meets = |id: &RecordId| {
            let only = |package| (package == self.universe.owner(*id)).then_some(*id);
            self.universe.satisfying(relation, only).contains(id)
        };
        let possible: Vec<RecordId> = match relation.bound {
            None if !providers.is_empty() => providers
                .iter()
                .map(|provision| provision.record)
                .filter(|id| candidate(self.universe.owner(*id)) == Some(*id))
                .collect(),
            None => own.into_iter().collect(),
            Some(_) => own.into_iter().filter(meets).collect(),
        };
        for id in possible {
            let owner = self.universe.owner(id);
            let dependencies = self.universe.dependencies(id)?;
            let met = |dependency: &Dependency<'a>| {
                !dependency.kind.is_critical() || self.solver.is_met(owner, dependency)
            };
            if dependencies.iter().all(met) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Only a bound can be a reason for another version.
    fn switch_one_of(&mut self, alternatives: &[Relation<'_>]) -> Result<bool, DebianError> {
        for relation in alternatives
            .iter()
            .filter(|relation| relation.bound.is_some())
        {
            let Some(package) = self.universe.find(relation.name) else {
                continue;
            };
            let mut versions = self.universe.package(package).versions.iter().copied();
            let of_suite = versions.find(|id| self.universe.is_in_suite(*id, self.suite));
            let meets = |id: &RecordId| {
                let only = |other| (other == package).then_some(*id);
                self.universe.satisfying(relation, only).contains(id)
            };
            let Some(version) = of_suite.filter(meets) else {
                continue;
            };
            let before = self.solver.mark(package).candidate;
            let changed = self.changed.iter().map(|id| self.universe.owner(*id));
            if before == Some(version) && changed.into_iter().any(|other| other == package) {
                return Ok(true);
            }
            self.changed.push(version);
            if self.follow(version)? {
                return Ok(true);
            }
            if let Some(before) = before {
                self.solver.set_candidate(before);
            }
            self.changed.pop();
        }
        Ok(false)
    }
}
