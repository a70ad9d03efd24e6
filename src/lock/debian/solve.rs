//! Chooses packages by apt's rules, for a system on which nothing is installed yet.
//!
//! apt does not search for a best solution: it *marks*. Requests are marked first, then each one's dependencies in the
//! order of the fields, depth first. For a group of alternatives the first candidate that can be marked wins; the
//! candidates of one alternative are ordered by [`Solver::prefer`]. A package that cannot be marked loses its
//! candidate and is not tried again. What ends up marked but needed by nobody is dropped again ([`super::sweep`]).
//! The rules are apt 2.6's and are compared with it in `tests/`. Where recommendations are asked for, they are
//! dependencies whose failure does not matter.
//!
//! "Protected" is apt's word for a decision that no later step may change: requests, and what only one package can
//! satisfy for a protected one.

use std::cmp::Ordering;
use std::rc::Rc;

use super::error::DebianError;
use super::universe::{Dependency, PackageId, RecordId, Universe};

/// Deeper chains of dependencies are given up, as in apt; the deepest real ones have some hundred links.
const MAX_DEPTH: usize = 3000;

/// What is decided about one package.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    /// The version that will be installed.
    pub(super) installed: Option<RecordId>,
    /// The version that may be installed; lost once that proved impossible.
    pub(super) candidate: Option<RecordId>,
    protected: bool,
}

/// The marks of all packages.
pub(super) struct Solver<'u, 'a> {
    universe: &'u Universe<'a>,
    marks: Vec<Mark>,
    requested: Vec<PackageId>,
}

impl<'u, 'a> Solver<'u, 'a> {
    /// Nothing is marked, and every package may have its highest version.
    pub(super) fn new(universe: &'u Universe<'a>) -> Self {
        let mark = |package: &super::universe::Package<'_>| Mark {
            candidate: Some(package.candidate),
            ..Mark::default()
        };
        let marks = universe
            .packages()
            .map(|(_, package)| mark(package))
            .collect();
        Self {
            universe,
            marks,
            requested: Vec::new(),
        }
    }

    /// Marks the requests, in their order, and everything they need. Those that name a suite come with its name.
    pub(super) fn solve(
        &mut self,
        requests: &[RecordId],
        suites: &[(RecordId, &str)],
    ) -> Result<(), DebianError> {
        for request in requests {
            let package = self.universe.owner(*request);
            let mark = self.mark_mut(package);
            mark.candidate = Some(*request);
            mark.installed = Some(*request);
            mark.protected = true;
            if !self.requested.contains(&package) {
                self.requested.push(package);
            }
        }
        super::switch::follow_suites(self.universe, self, suites)?;
        for package in self.requested.clone() {
            self.install(package, Asked::ByUser, 0)?;
        }
        Ok(())
    }

    pub(super) fn requested(&self) -> &[PackageId] {
        &self.requested
    }

    pub(super) fn mark(&self, package: PackageId) -> Mark {
        self.marks[package.index()]
    }

    fn mark_mut(&mut self, package: PackageId) -> &mut Mark {
        &mut self.marks[package.index()]
    }

    /// Makes another version the one that is or may be installed.
    pub(super) fn set_candidate(&mut self, version: RecordId) {
        let package = self.universe.owner(version);
        let mark = self.mark_mut(package);
        if mark.installed.is_some() && mark.installed == mark.candidate {
            mark.installed = Some(version);
        }
        mark.candidate = Some(version);
    }

    /// Takes packages back that nobody needs.
    pub(super) fn unmark(&mut self, package: PackageId) {
        self.mark_mut(package).installed = None;
    }

    pub(super) fn is_protected(&self, package: PackageId) -> bool {
        self.mark(package).protected
    }

    /// Takes a package back unless it is protected; whether it is not marked any more.
    pub(super) fn keep(&mut self, package: PackageId) -> bool {
        let mark = self.mark_mut(package);
        if !mark.protected {
            mark.installed = None;
        }
        mark.installed.is_none()
    }

    /// Marks a package without looking at what it needs.
    pub(super) fn mark_alone(&mut self, package: PackageId) -> bool {
        let mark = self.mark_mut(package);
        if mark.installed.is_none() && !mark.protected {
            mark.installed = mark.candidate;
        }
        mark.installed.is_some()
    }

    pub(super) fn has_candidate(
        &self,
        owner: PackageId,
        dependency: &Dependency<'a>,
        place: usize,
    ) -> bool {
        !self.candidates_for(owner, dependency, place).is_empty()
    }

    /// Whether every marked package has what it needs.
    pub(super) fn is_sound(&self) -> Result<bool, DebianError> {
        for installed in self.installed() {
            if self.broken(self.universe.owner(installed))?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Every version that is marked, in the order of the indexes.
    pub(super) fn installed(&self) -> impl Iterator<Item = RecordId> {
        self.marks.iter().filter_map(|mark| mark.installed)
    }

    /// The marked versions that satisfy one alternative, or violate one negative dependency.
    pub(super) fn installed_for(
        &self,
        owner: PackageId,
        dependency: &Dependency<'a>,
        place: usize,
    ) -> Vec<RecordId> {
        self.matching(owner, dependency, place, |package| {
            self.mark(package).installed
        })
    }

    fn candidates_for(
        &self,
        owner: PackageId,
        dependency: &Dependency<'a>,
        place: usize,
    ) -> Vec<RecordId> {
        self.matching(owner, dependency, place, |package| {
            self.mark(package).candidate
        })
    }

    fn matching(
        &self,
        owner: PackageId,
        dependency: &Dependency<'a>,
        place: usize,
        selected: impl Fn(PackageId) -> Option<RecordId>,
    ) -> Vec<RecordId> {
        let mut found = self
            .universe
            .satisfying(&dependency.alternatives[place], selected);
        if dependency.kind.is_negative() {
            // No package stands in its own way, neither by name nor by what it provides.
            found.retain(|id| self.universe.owner(*id) != owner);
        }
        found
    }

    /// Whether the marks of today are fine with this dependency.
    pub(super) fn is_met(&self, owner: PackageId, dependency: &Dependency<'a>) -> bool {
        let any = (0..dependency.alternatives.len())
            .any(|place| !self.installed_for(owner, dependency, place).is_empty());
        any != dependency.kind.is_negative()
    }

    /// The first dependency of a marked package that has to be met and is not.
    pub(super) fn broken(&self, package: PackageId) -> Result<Option<Dependency<'a>>, DebianError> {
        self.unmet(package, |dependency| dependency.kind.is_critical())
    }

    fn unmet(
        &self,
        package: PackageId,
        matters: impl Fn(&Dependency<'a>) -> bool,
    ) -> Result<Option<Dependency<'a>>, DebianError> {
        let Some(installed) = self.mark(package).installed else {
            return Ok(None);
        };
        let dependencies = self.universe.dependencies(installed)?;
        Ok(dependencies
            .iter()
            .find(|dependency| matters(dependency) && !self.is_met(package, dependency))
            .cloned())
    }

    /// Marks a package together with its dependencies; `false` when that is not possible.
    fn install(
        &mut self,
        package: PackageId,
        asked: Asked,
        depth: usize,
    ) -> Result<bool, DebianError> {
        let mark = self.mark(package);
        if depth > MAX_DEPTH
            || (asked == Asked::ByDependency && mark.protected && mark.installed.is_none())
        {
            return Ok(false);
        }
        let Some(candidate) = mark.candidate else {
            return Ok(false);
        };
        if !mark.protected && mark.installed.is_some() && self.unmet(package, |_| true)?.is_none() {
            return Ok(true);
        }
        let dependencies = self.universe.dependencies(candidate)?;
        if !self.is_possible(package, &dependencies) {
            if !mark.protected {
                *self.mark_mut(package) = Mark::default();
            }
            return Ok(false);
        }
        // A protected package goes on after a failure, so that the message can name every obstacle.
        let gives_up = !mark.protected && asked == Asked::ByDependency;
        let mut failed = !self.remove_conflicts(package, &dependencies, gives_up)?;
        if failed && gives_up {
            return Ok(false);
        }
        let mark_mut = self.mark_mut(package);
        mark_mut.installed = Some(candidate);
        // While its dependencies are marked, none of them may unmark it.
        mark_mut.protected = true;
        let installed =
            self.install_dependencies(package, &dependencies, mark.protected, gives_up, depth);
        self.mark_mut(package).protected = mark.protected;
        failed |= !installed?;
        if failed && gives_up {
            let mark = self.mark_mut(package);
            mark.installed = None;
            mark.candidate = None;
            return Ok(false);
        }
        Ok(!failed)
    }

    /// Whether every group has an alternative that is marked or could be.
    fn is_possible(&self, package: PackageId, dependencies: &[Dependency<'a>]) -> bool {
        let mut needed = dependencies
            .iter()
            .filter(|dependency| dependency.kind.is_critical() && !dependency.kind.is_negative());
        needed.all(|dependency| {
            (0..dependency.alternatives.len()).any(|place| {
                !self.installed_for(package, dependency, place).is_empty()
                    || !self.candidates_for(package, dependency, place).is_empty()
            })
        })
    }

    /// Unmarks what the package conflicts with; a protected package bars it for good.
    fn remove_conflicts(
        &mut self,
        package: PackageId,
        dependencies: &[Dependency<'a>],
        gives_up: bool,
    ) -> Result<bool, DebianError> {
        let protected = self.mark(package).protected;
        let mut removed_all = true;
        for dependency in dependencies
            .iter()
            .filter(|dependency| dependency.kind.is_negative())
        {
            if !protected && self.is_met(package, dependency) {
                continue;
            }
            for rival in self.ordered_candidates(package, dependency) {
                let rival = self.universe.owner(rival);
                let mark = self.mark(rival);
                if mark.installed.is_some() && mark.protected {
                    removed_all = false;
                    if gives_up {
                        return Ok(false);
                    }
                    continue;
                }
                let mark = self.mark_mut(rival);
                mark.installed = None;
                if protected {
                    mark.candidate = None;
                    mark.protected = true;
                }
            }
        }
        Ok(removed_all)
    }

    fn install_dependencies(
        &mut self,
        package: PackageId,
        dependencies: &Rc<[Dependency<'a>]>,
        protected: bool,
        gives_up: bool,
        depth: usize,
    ) -> Result<bool, DebianError> {
        let positive = dependencies
            .iter()
            .filter(|dependency| !dependency.kind.is_negative());
        // Only what was missing before the first one was marked is looked at, except below a protected package.
        let missing: Vec<_> = positive
            .filter(|dependency| protected || !self.is_met(package, dependency))
            .collect();
        let mut installed_all = true;
        for dependency in missing {
            let critical = dependency.kind.is_critical();
            let met = if self.is_met(package, dependency) {
                !(protected && critical)
                    || self.protect_only_solution(package, dependency, depth)?
            } else {
                self.install_one_of(package, dependency, protected && critical, depth)?
            };
            if !met && critical {
                installed_all = false;
                if gives_up {
                    return Ok(false);
                }
            }
        }
        Ok(installed_all)
    }

    /// A dependency of a protected package that one package alone can satisfy makes that package protected.
    fn protect_only_solution(
        &mut self,
        package: PackageId,
        dependency: &Dependency<'a>,
        depth: usize,
    ) -> Result<bool, DebianError> {
        let mut solutions: Vec<_> = (0..dependency.alternatives.len())
            .flat_map(|place| self.candidates_for(package, dependency, place))
            .filter(|id| !self.is_barred(*id))
            .collect();
        solutions.sort_unstable();
        solutions.dedup();
        let [only] = solutions[..] else {
            return Ok(true);
        };
        let only = self.universe.owner(only);
        if self.mark(only).protected {
            return Ok(true);
        }
        self.mark_mut(only).protected = true;
        self.install(only, Asked::ByDependency, depth + 1)
    }

    fn install_one_of(
        &mut self,
        package: PackageId,
        dependency: &Dependency<'a>,
        protected: bool,
        depth: usize,
    ) -> Result<bool, DebianError> {
        let solutions = self.ordered_candidates(package, dependency);
        for solution in &solutions {
            let owner = self.universe.owner(*solution);
            // Trying an earlier one may have cost this one its candidate.
            if self.mark(owner).candidate != Some(*solution) {
                continue;
            }
            if protected && solutions.len() == 1 {
                let mark = self.mark_mut(owner);
                if !(mark.protected && mark.installed.is_none()) {
                    mark.installed = Some(*solution);
                    mark.protected = true;
                }
            }
            if self.install(owner, Asked::ByDependency, depth + 1)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All candidates for a group: alternatives in their order, and the candidates of each by preference.
    fn ordered_candidates(&self, package: PackageId, dependency: &Dependency<'a>) -> Vec<RecordId> {
        let mut ordered = Vec::new();
        for (place, relation) in dependency.alternatives.iter().enumerate() {
            let mut candidates = self.candidates_for(package, dependency, place);
            candidates.sort_by(|left, right| self.prefer(relation.name, *left, *right));
            for candidate in candidates {
                if ordered.last() != Some(&candidate) {
                    ordered.push(candidate);
                }
            }
        }
        if !dependency.kind.is_negative() {
            ordered.retain(|id| !self.is_barred(*id));
        }
        ordered
    }

    fn is_barred(&self, id: RecordId) -> bool {
        let mark = self.mark(self.universe.owner(id));
        mark.protected && mark.installed.is_none()
    }

    /// The order in which packages are tried for one name: decided ones, the package of that name, essential ones,
    /// protected ones, by priority, and at last the one whose name the indexes mention later.
    pub(super) fn prefer(&self, target: &str, left: RecordId, right: RecordId) -> Ordering {
        let universe = self.universe;
        let (first, second) = (universe.owner(left), universe.owner(right));
        let better = |test: &dyn Fn(PackageId) -> bool| test(second).cmp(&test(first));
        better(&|id| self.mark(id).protected)
            .then_with(|| better(&|id| universe.package(id).name == target))
            .then_with(|| better(&|id| universe.package(id).essential))
            .then_with(|| better(&|id| universe.package(id).protected))
            .then_with(|| {
                universe
                    .record(left)
                    .priority
                    .cmp(&universe.record(right).priority)
            })
            .then_with(|| match first == second {
                true => Ordering::Equal,
                false => universe
                    .first_mention(second)
                    .cmp(&universe.first_mention(first)),
            })
    }
}

/// On whose behalf a package is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    ByUser,
    ByDependency,
}
