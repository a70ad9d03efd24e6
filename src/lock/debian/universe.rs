//! All packages of the suites together: names, candidates and who provides what.
//!
//! Indexes are given in order of preference (base suite, updates, security). The candidate of a name is its highest
//! version among the suites that are preferred most, since backports and their like wait until they are asked for; when
//! several indexes hold that version, the first one supplies it.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::control;
use super::error::DebianError;
use super::packages::{PackageIndex, Record};
use super::relation::{self, Operator, Relation};
use super::request::Unfollowed;
use super::version;

/// What decides how indexes are read, the same for all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    /// The architecture of the image, as Debian names it.
    pub(super) architecture: &'a str,
    /// Whether packages that are only recommended are chosen too.
    pub(super) recommends: bool,
    /// Dependencies that are left out.
    pub(super) unfollowed: &'a [Unfollowed],
}

/// A package name that has at least one version; equal for equal indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PackageId(u32);

impl PackageId {
    /// Its place among all packages.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One version of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RecordId(u32);

/// Everything that can be installed.
pub(super) struct Universe<'a> {
    indexes: &'a [PackageIndex],
    rules: Rules<'a>,
    records: Vec<Record<'a>>,
    packages: Vec<Package<'a>>,
    /// Of a version that several indexes hold, the records after the first.
    copies: HashMap<RecordId, Vec<RecordId>>,
    // Only looked up, never walked over: the order of a hash map reaches nothing.
    by_name: HashMap<&'a str, PackageId>,
    providers: HashMap<&'a str, Vec<Provision<'a>>>,
    owners: Vec<PackageId>,
    dependencies: RefCell<HashMap<RecordId, Rc<[Dependency<'a>]>>>,
    mentions: OnceCell<HashMap<&'a str, u32>>,
}

/// One name and its versions, the highest first.
pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    pub(super) versions: Vec<RecordId>,
    /// The version that is taken when nothing else is said.
    pub(super) candidate: RecordId,
    pub(super) essential: bool,
    pub(super) protected: bool,
}

/// A version that provides a name, perhaps in a version of its own.
#[derive(Clone, Copy)]
pub(super) struct Provision<'a> {
    pub(super) record: RecordId,
    pub(super) version: Option<&'a str>,
}

/// What one field entry demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency<'a> {
    pub(super) kind: DependencyKind,
    /// Alternatives in the order of the field; a negative dependency has one.
    pub(super) alternatives: Vec<Relation<'a>>,
}

/// The fields that decide what is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DependencyKind {
    PreDepends,
    Depends,
    Conflicts,
    Breaks,
    Recommends,
}

impl DependencyKind {
    /// In the order in which apt looks at them.
    const FIELDS: [(&'static str, Self); 5] = [
        ("Pre-Depends", Self::PreDepends),
        ("Depends", Self::Depends),
        ("Conflicts", Self::Conflicts),
        ("Breaks", Self::Breaks),
        ("Recommends", Self::Recommends),
    ];

    /// Whether a package cannot do without it.
    pub(super) fn is_critical(self) -> bool {
        self != Self::Recommends
    }

    /// Whether the named packages must be absent.
    pub(super) fn is_negative(self) -> bool {
        matches!(self, Self::Conflicts | Self::Breaks)
    }

    /// The field as a verb of a sentence.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::PreDepends | Self::Depends => "depends on",
            Self::Conflicts => "conflicts with",
            Self::Breaks => "breaks",
            Self::Recommends => "recommends",
        }
    }
}

impl<'a> Universe<'a> {
    /// Reads all indexes.
    pub(super) fn new(indexes: &'a [PackageIndex], rules: Rules<'a>) -> Result<Self, DebianError> {
        let mut records = Vec::new();
        for (place, index) in indexes.iter().enumerate() {
            records.append(&mut index.records(place, rules.architecture)?);
        }
        let mut universe = Self {
            indexes,
            rules,
            copies: HashMap::new(),
            by_name: HashMap::with_capacity(records.len()),
            records,
            packages: Vec::new(),
            providers: HashMap::new(),
            owners: Vec::new(),
            dependencies: RefCell::default(),
            mentions: OnceCell::new(),
        };
        universe.group_versions();
        universe.collect_providers()?;
        Ok(universe)
    }

    fn group_versions(&mut self) {
        for (number, record) in self.records.iter().enumerate() {
            let this = RecordId(number as u32);
            let id = *self.by_name.entry(record.name).or_insert_with(|| {
                self.packages.push(Package {
                    name: record.name,
                    versions: vec![],
                    candidate: this,
                    essential: false,
                    protected: false,
                });
                PackageId(self.packages.len() as u32 - 1)
            });
            let package = &mut self.packages[id.0 as usize];
            package.essential |= record.essential;
            package.protected |= record.protected;
            let same = |other: &&RecordId| self.records[other.0 as usize].version == record.version;
            match package.versions.iter().find(same) {
                Some(first) => self.copies.entry(*first).or_default().push(this),
                None => package.versions.push(this),
            }
            self.owners.push(id);
        }
        let (indexes, copies, records) = (self.indexes, &self.copies, &self.records);
        let preference = |id: &RecordId| {
            let all = copies.get(id).map_or(&[][..], Vec::as_slice);
            let of = |id: &RecordId| indexes[records[id.0 as usize].index].preference;
            all.iter().map(of).chain([of(id)]).max()
        };
        for package in &mut self.packages {
            // Stable: versions that are equal by order keep the order of the indexes.
            package.versions.sort_by(|left, right| {
                let text = |id: &RecordId| self.records[id.0 as usize].version;
                version::compare(text(right), text(left))
            });
            let mut best = package.candidate;
            for (place, id) in package.versions.iter().enumerate() {
                if place == 0 || preference(id) > preference(&best) {
                    best = *id;
                }
            }
            package.candidate = best;
        }
    }

    /// Makes a version the candidate, for every package that has it.
    pub(super) fn prefer(&mut self, versions: &BTreeMap<String, String>) {
        for package in &mut self.packages {
            let Some(wanted) = versions.get(package.name) else {
                continue;
            };
            let is_wanted = |id: &RecordId| self.records[id.0 as usize].version == wanted;
            if let Some(kept) = package.versions.iter().copied().find(is_wanted) {
                package.candidate = kept;
            }
        }
    }

    fn collect_providers(&mut self) -> Result<(), DebianError> {
        for (number, record) in self.records.iter().enumerate() {
            if record.provides.is_empty() {
                continue;
            }
            let groups = relation::parse_field(record.provides, self.rules.architecture);
            let groups = groups.map_err(|group| {
                self.indexes[record.index].malformed(record.name, "Provides", group)
            })?;
            for provided in groups.into_iter().flatten() {
                let version = match provided.bound {
                    None => None,
                    Some((Operator::Equal, version)) => Some(version),
                    // Policy 7.5 allows `=` alone; apt ignores such an entry too.
                    Some(_) => continue,
                };
                let adds_nothing =
                    provided.name == record.name && version.is_none_or(|own| own == record.version);
                if !adds_nothing {
                    let record = RecordId(number as u32);
                    self.providers
                        .entry(provided.name)
                        .or_default()
                        .push(Provision { record, version });
                }
            }
        }
        Ok(())
    }

    pub(super) fn record(&self, id: RecordId) -> &Record<'a> {
        &self.records[id.0 as usize]
    }

    pub(super) fn package(&self, id: PackageId) -> &Package<'a> {
        &self.packages[id.0 as usize]
    }

    /// The package that a version belongs to.
    pub(super) fn owner(&self, id: RecordId) -> PackageId {
        self.owners[id.0 as usize]
    }

    pub(super) fn index_of(&self, id: RecordId) -> &'a PackageIndex {
        &self.indexes[self.record(id).index]
    }

    /// Whether one of the suites that hold a version has this name.
    pub(super) fn is_in_suite(&self, id: RecordId, suite: &str) -> bool {
        let copies = self.copies.get(&id).map_or(&[][..], Vec::as_slice);
        let mut all = copies.iter().chain([&id]);
        all.any(|id| self.index_of(*id).suites.iter().any(|name| name == suite))
    }

    pub(super) fn package_count(&self) -> usize {
        self.packages.len()
    }

    pub(super) fn find(&self, name: &str) -> Option<PackageId> {
        self.by_name.get(name).copied()
    }

    /// Every package in the order of the indexes.
    pub(super) fn packages(&self) -> impl Iterator<Item = (PackageId, &Package<'a>)> {
        self.packages
            .iter()
            .enumerate()
            .map(|(number, package)| (PackageId(number as u32), package))
    }

    /// Every name that packages only provide, with the packages; unordered names are for searching only.
    pub(super) fn provided_names(&self) -> impl Iterator<Item = &'a str> {
        let mut names: Vec<_> = self.providers.keys().copied().collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// The versions that provide a name by their `Provides` field.
    pub(super) fn provisions(&self, name: &str) -> &[Provision<'a>] {
        self.providers.get(name).map_or(&[], Vec::as_slice)
    }

    /// What a version demands, in the order in which apt looks at it.
    pub(super) fn dependencies(&self, id: RecordId) -> Result<Rc<[Dependency<'a>]>, DebianError> {
        if let Some(known) = self.dependencies.borrow().get(&id) {
            return Ok(known.clone());
        }
        let mut found = Vec::new();
        let owner = self.record(id).name;
        for (field, kind) in DependencyKind::FIELDS {
            if !kind.is_critical() && !self.rules.recommends {
                continue;
            }
            for group in self.relations(id, field)? {
                if group
                    .iter()
                    .any(|relation| self.is_unfollowed(owner, relation))
                {
                    continue;
                }
                if kind.is_negative() {
                    let single = |relation| Dependency {
                        kind,
                        alternatives: vec![relation],
                    };
                    found.extend(group.into_iter().map(single));
                } else {
                    found.push(Dependency {
                        kind,
                        alternatives: group,
                    });
                }
            }
        }
        let found: Rc<[_]> = found.into();
        self.dependencies.borrow_mut().insert(id, found.clone());
        Ok(found)
    }

    fn is_unfollowed(&self, owner: &str, relation: &Relation<'_>) -> bool {
        let is_it =
            |left_out: &Unfollowed| left_out.package == owner && left_out.needs == relation.name;
        self.rules.unfollowed.iter().any(is_it)
    }

    /// The groups of one relation field of a version.
    pub(super) fn relations(
        &self,
        id: RecordId,
        field: &'static str,
    ) -> Result<Vec<Vec<Relation<'a>>>, DebianError> {
        let record = self.record(id);
        let Some(value) = control::field(record.stanza, field) else {
            return Ok(Vec::new());
        };
        let malformed = |group| self.indexes[record.index].malformed(record.name, field, group);
        relation::parse_field(value, self.rules.architecture).map_err(malformed)
    }

    /// The versions that satisfy a relation among those that `selected` gives for each package: the package of that
    /// name first, then those that provide it.
    pub(super) fn satisfying(
        &self,
        relation: &Relation<'_>,
        selected: impl Fn(PackageId) -> Option<RecordId>,
    ) -> Vec<RecordId> {
        let meets = |version: Option<&str>| match (relation.bound, version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((operator, bound)), Some(version)) => {
                version::satisfies(version, operator, bound)
            }
        };
        let plain = relation.name.strip_suffix(":any");
        let own = self
            .find(plain.unwrap_or(relation.name))
            .and_then(&selected)
            .filter(|id| {
                let record = self.record(*id);
                meets(Some(record.version)) && (plain.is_none() || record.any_allowed)
            });
        let mut found: Vec<_> = own.into_iter().collect();
        let allowed = |id: RecordId| plain.is_none() || self.record(id).any_allowed;
        for provision in self.provisions(plain.unwrap_or(relation.name)) {
            let chosen = selected(self.owner(provision.record)) == Some(provision.record);
            if chosen
                && allowed(provision.record)
                && meets(provision.version)
                && !found.contains(&provision.record)
            {
                found.push(provision.record);
            }
        }
        found
    }

    /// Every version that satisfies a relation, candidate or not: of the package by that name from the highest down,
    /// then of the providers from the last one listed.
    pub(super) fn all_satisfying(&self, relation: &Relation<'_>) -> Vec<RecordId> {
        let own = self
            .find(relation.name)
            .into_iter()
            .flat_map(|id| self.package(id).versions.iter().copied());
        let provided = self
            .provisions(relation.name)
            .iter()
            .rev()
            .map(|provision| provision.record);
        let mut found: Vec<_> = own.chain(provided).collect();
        found.retain(|id| {
            self.satisfying(relation, |package| {
                (package == self.owner(*id)).then_some(*id)
            })
            .contains(id)
        });
        found
    }

    /// Where a package name is first mentioned, counted over all names of all indexes.
    ///
    /// apt numbers names in this order and settles ties between providers by the number, so it is part of its rules.
    /// Counting reads every relation of every stanza, which is done only once there is such a tie.
    pub(super) fn first_mention(&self, id: PackageId) -> u32 {
        let mentions = self.mentions.get_or_init(|| {
            let mut mentions = HashMap::with_capacity(self.packages.len() * 2);
            for record in &self.records {
                let next = mentions.len() as u32;
                mentions.entry(record.name).or_insert(next);
                for name in mentioned_names(record.stanza, self.rules.architecture) {
                    let next = mentions.len() as u32;
                    mentions.entry(name).or_insert(next);
                }
            }
            mentions
        });
        mentions
            .get(self.package(id).name)
            .copied()
            .expect("every package is mentioned by its own stanza")
    }
}

/// The names in a stanza's relation fields, in the order in which apt reads the fields.
fn mentioned_names<'a>(stanza: &'a str, architecture: &str) -> Vec<&'a str> {
    const FIELDS: [&str; 9] = [
        "Pre-Depends",
        "Depends",
        "Conflicts",
        "Breaks",
        "Recommends",
        "Suggests",
        "Replaces",
        "Enhances",
        "Provides",
    ];
    let mut values = [""; 9];
    for (name, value) in control::fields(stanza) {
        if let Some(place) = FIELDS.iter().position(|field| *field == name) {
            values[place] = value;
        }
    }
    let groups = values
        .into_iter()
        .flat_map(|value| relation::parse_field(value, architecture).unwrap_or_default());
    groups.flatten().map(|relation| relation.name).collect()
}
