//! Which packages share a layer, decided when the lock is made and recorded in it.
//!
//! An image has at most as many layers as its budget says. While every package has room it has a layer of its own. Where
//! there is not, the rule `largest-alone-16-by-name-1` decides:
//!
//! 1. The largest packages have a layer each; the others share up to 16 groups (a quarter of the budget where that is
//!    less), and the group of a package follows from its name alone.
//! 2. Locking again moves nothing that it need not: what was alone stays alone, what was in a group stays in it. A new
//!    package is alone if it is larger than the smallest that is; that one then goes to its group, if there is no other
//!    place for it. So one more package changes at most one group, however large it is.
//! 3. A package leaves its group only in another version, and only if there is a free layer or it has become four times as
//!    large as the smallest one that is alone.
//! 4. Everything has a layer of its own again as soon as an eighth of the layers would be left free.
//!
//! Wheels are placed by this rule, and so are the packages that a model asks Debian for: each brings what only it needs
//! into its layer, and what several need stays with the one that had it first. The lock holds the names of the layers, so
//! a lock never changes its meaning, whatever later rules say.

use std::collections::{BTreeMap, BTreeSet};

use cognix_derivations::Sha256;

use super::{DebGroup, DebianLock, LockedDeb, LockedInterpreter, LockedWheel, PlatformLock};

/// The rule of new locks.
const RULE: &str = "largest-alone-16-by-name-1";
/// Every rule there has ever been.
const RULES: [&str; 1] = [RULE];

/// How many groups there are where the budget is not small: few, because each takes a layer from the large packages, and
/// enough that a changed one leaves most of the others alone.
const GROUPS: usize = 16;
/// Layers of what is no package: the configuration of the system, what scripts make of it, the virtual environment, the
/// model's files.
const OTHERS: usize = 4;
/// The part of the budget that requested Debian packages may take.
const REQUESTED: usize = 8;
/// How much larger than the smallest one that is alone a package has to become to leave its group.
const OUTGROWN: u64 = 4;
/// What is left free, as a part of all layers, before everything is alone again.
const SPARE: usize = 8;

/// What the shared layers of wheels are called, before the number.
const WHEELS: &str = "wheels-";
/// What the shared layers of requested Debian packages are called, before the number.
const SYSTEM_PACKAGES: &str = "system-packages-";

/// A rule of another cognix, or a misspelt one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "layers.grouping in cognix.nix is {found:?}, and this cognix knows {}",
    RULES.join(", ")
)]
pub struct UnknownRule {
    found: String,
}

/// More packages than the layers of the budget can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a budget of {budget} layers leaves none for {wheels} wheels: {others} hold Debian packages, the interpreter, commands \
     and the model; raise layers.budget in cognix.nix (100 is usual, 126 the most)"
)]
pub struct BudgetTooSmall {
    budget: usize,
    others: usize,
    wheels: usize,
}

/// Refuses a rule that nobody knows.
pub(super) fn check_rule(id: &str) -> Result<(), UnknownRule> {
    if RULES.contains(&id) {
        return Ok(());
    }
    let found = id.chars().take(80).collect();
    Err(UnknownRule { found })
}

/// How many layers hold neither wheels nor Debian packages. `further` are those of which the lock says nothing: commands of
/// `build.run`, extra packages of the spec.
pub(super) fn others(interpreter: &LockedInterpreter, bytecode: bool, further: usize) -> usize {
    OTHERS + usize::from(interpreter.archive().is_some()) + usize::from(bytecode) + further
}

/// How many layers an image of a lock has at most: one that turns out to be empty is left out.
pub(super) fn count(lock: &PlatformLock, others: usize) -> usize {
    let wheels = &lock.python.packages;
    let wheels = wheels
        .iter()
        .map(|wheel| wheel.layer.as_deref().unwrap_or(&wheel.name));
    layers_of(&lock.debian) + wheels.collect::<BTreeSet<_>>().len() + others
}

/// Says for each wheel which layer it shares, if it does. The [`others`] are neither wheels nor Debian packages.
pub(super) fn place_wheels(
    wheels: &mut [LockedWheel],
    debian: &DebianLock,
    others: usize,
    budget: u32,
    earlier: Option<&PlatformLock>,
) -> Result<(), BudgetTooSmall> {
    let budget = usize::try_from(budget).unwrap_or(usize::MAX);
    let others = layers_of(debian) + others;
    let earlier: BTreeMap<&str, &LockedWheel> = earlier
        .iter()
        .flat_map(|lock| &lock.python.packages)
        .map(|wheel| (wheel.name.as_str(), wheel))
        .collect();
    let items: Vec<Item<'_>> = wheels
        .iter()
        .map(|wheel| Item {
            name: &wheel.name,
            size: wheel.size,
            earlier: earlier.get(wheel.name.as_str()).map(|before| {
                match number_of(&before.layer, WHEELS) {
                    None => Earlier::Alone,
                    Some(group) => Earlier::Group {
                        group,
                        changed: before.sha256 != wheel.sha256,
                    },
                }
            }),
        })
        .collect();
    let room = Room {
        layers: budget.saturating_sub(others),
        groups: (budget / 4).clamp(1, GROUPS),
    };
    let places = place(&items, room).filter(|_| others <= budget);
    let places = places.ok_or(BudgetTooSmall {
        budget,
        others,
        wheels: items.len(),
    })?;
    for (wheel, group) in wheels.iter_mut().zip(places) {
        wheel.layer = group.map(|group| format!("{WHEELS}{group}"));
    }
    Ok(())
}

/// How many layers the Debian packages of a lock have.
fn layers_of(debian: &DebianLock) -> usize {
    let layers = debian.packages.iter().map(LockedDeb::layer_name);
    layers.collect::<BTreeSet<_>>().len()
}

/// Says for each Debian package that was asked for, or came along with one, which layer holds it.
pub(super) fn place_requested(
    debian: &mut DebianLock,
    budget: u32,
    earlier: Option<&PlatformLock>,
) {
    let earlier: BTreeMap<&str, &LockedDeb> = earlier
        .iter()
        .flat_map(|lock| &lock.debian.packages)
        .filter(|deb| deb.group == DebGroup::SystemPackages)
        .map(|deb| (deb.name.as_str(), deb))
        .collect();
    let owners = owners(&debian.packages, &earlier);
    let mut sizes: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
    for deb in &debian.packages {
        if let Some(root) = owners.get(deb.name.as_str()) {
            let (size, changed) = sizes.entry(root).or_default();
            *size += deb.size;
            let before = earlier.get(deb.name.as_str());
            *changed |= before.is_none_or(|before| before.sha256 != deb.sha256);
        }
    }
    let items: Vec<Item<'_>> = sizes
        .iter()
        .map(|(root, (size, changed))| Item {
            name: root,
            size: *size,
            earlier: earlier.get(root).and_then(|before| {
                match number_of(&before.layer, SYSTEM_PACKAGES) {
                    None => (before.layer.as_deref() == Some(root)).then_some(Earlier::Alone),
                    Some(group) => Some(Earlier::Group {
                        group,
                        changed: *changed,
                    }),
                }
            }),
        })
        .collect();
    let budget = usize::try_from(budget).unwrap_or(usize::MAX);
    let layers = (budget / REQUESTED).max(1);
    let room = Room {
        layers,
        groups: (layers / 4).max(1),
    };
    let places = place(&items, room).expect("there is room for one group");
    let layers: BTreeMap<String, String> = items
        .iter()
        .zip(places)
        .map(|(root, place)| {
            let layer = place.map(|group| format!("{SYSTEM_PACKAGES}{group}"));
            (
                root.name.to_owned(),
                layer.unwrap_or_else(|| root.name.to_owned()),
            )
        })
        .collect();
    let owners: BTreeMap<String, String> = owners
        .into_iter()
        .map(|(deb, root)| (deb.to_owned(), layers[root].clone()))
        .collect();
    for deb in &mut debian.packages {
        deb.layer = owners.get(&deb.name).cloned();
    }
}

/// The requested package in whose layer each package lies: the one that it was with before, else the first by name that
/// needs it.
fn owners<'a>(
    packages: &'a [LockedDeb],
    earlier: &BTreeMap<&str, &LockedDeb>,
) -> BTreeMap<&'a str, &'a str> {
    let members: BTreeMap<&str, &LockedDeb> = packages
        .iter()
        .filter(|deb| deb.group == DebGroup::SystemPackages)
        .map(|deb| (deb.name.as_str(), deb))
        .collect();
    let layer_before = |name: &str| earlier.get(name).map(|deb| &deb.layer);
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for root in members.values().filter(|deb| deb.requested) {
        let mut pending = vec![root.name.as_str()];
        let mut seen = BTreeSet::new();
        while let Some(name) = pending.pop() {
            let Some(deb) = members.get(name).filter(|_| seen.insert(name)) else {
                continue;
            };
            pending.extend(deb.depends.iter().map(String::as_str));
            if deb.requested && name != root.name {
                continue;
            }
            let was_here =
                layer_before(name).is_some() && layer_before(name) == layer_before(&root.name);
            match owners.get(name) {
                Some(owner) if !was_here || layer_before(name) == layer_before(owner) => {}
                _ => {
                    owners.insert(&deb.name, &root.name);
                }
            }
        }
    }
    // What nobody asked for and nobody needs cannot be; if it were, it would be its own.
    for name in members.keys() {
        owners.entry(name).or_insert(name);
    }
    owners
}

/// The number in the name of a shared layer.
fn number_of(layer: &Option<String>, prefix: &str) -> Option<usize> {
    layer.as_ref()?.strip_prefix(prefix)?.parse().ok()
}

/// Something that is alone or in a group.
#[derive(Debug, Clone, Copy)]
struct Item<'a> {
    name: &'a str,
    size: u64,
    /// Where the earlier lock has it; none if it is new.
    earlier: Option<Earlier>,
}

/// A place in an earlier lock.
#[derive(Debug, Clone, Copy)]
enum Earlier {
    /// A layer of its own.
    Alone,
    /// A group, from 1.
    Group { group: usize, changed: bool },
}

/// How many layers there are, and how many of them are groups if there are any.
#[derive(Debug, Clone, Copy)]
struct Room {
    layers: usize,
    groups: usize,
}

/// The group of each item, from 1; none for those that are alone. No answer if there is no layer at all.
fn place(items: &[Item<'_>], room: Room) -> Option<Vec<Option<usize>>> {
    let groups = room.groups.min(room.layers);
    let by_name = |item: &Item<'_>| number(item.name, groups);
    let was_grouped = |item: &&Item<'_>| matches!(item.earlier, Some(Earlier::Group { .. }));
    let roomy = items.len() + room.layers / SPARE <= room.layers;
    if roomy || (items.len() <= room.layers && !items.iter().any(|item| was_grouped(&item))) {
        return Some(vec![None; items.len()]);
    }
    if groups == 0 {
        return None;
    }
    // An earlier lock with another number of groups is of no use: nobody is where the name says.
    let mut known = items.iter().filter(was_grouped).peekable();
    let keeps = known.peek().is_some()
        && known.all(|item| {
            matches!(item.earlier, Some(Earlier::Group { group, .. }) if group == by_name(item))
        });
    let alone = if keeps {
        kept_alone(items, room.layers - groups)
    } else {
        largest((0..items.len()).collect(), items, room.layers - groups)
    };
    let places = items.iter().enumerate();
    Some(
        places
            .map(|(at, item)| (!alone.contains(&at)).then(|| by_name(item)))
            .collect(),
    )
}

/// Who is alone where an earlier lock decided before.
fn kept_alone(items: &[Item<'_>], slots: usize) -> BTreeSet<usize> {
    let (mut candidates, mut changed) = (Vec::new(), Vec::new());
    for (at, item) in items.iter().enumerate() {
        match item.earlier {
            Some(Earlier::Group { changed: false, .. }) => {}
            Some(Earlier::Group { changed: true, .. }) => changed.push(at),
            Some(Earlier::Alone) | None => candidates.push(at),
        }
    }
    let alone = largest(candidates.clone(), items, slots);
    let smallest = alone.iter().map(|at| items[*at].size).min();
    let free = slots.saturating_sub(alone.len());
    let outgrown = |at: &usize| {
        smallest.is_none_or(|smallest| items[*at].size >= smallest.saturating_mul(OUTGROWN))
    };
    let leaving = largest(changed.clone(), items, free);
    candidates.extend(
        changed
            .into_iter()
            .filter(|at| leaving.contains(at) || outgrown(at)),
    );
    largest(candidates, items, slots)
}

/// The largest of some items; of equal ones the first by name.
fn largest(mut of: Vec<usize>, items: &[Item<'_>], count: usize) -> BTreeSet<usize> {
    of.sort_by_key(|at| (std::cmp::Reverse(items[*at].size), items[*at].name));
    of.into_iter().take(count).collect()
}

/// The group of a name, which depends on nothing else.
fn number(name: &str, groups: usize) -> usize {
    usize::from(Sha256::of(name.as_bytes()).as_bytes()[0]) % groups + 1
}

#[cfg(test)]
mod tests;
