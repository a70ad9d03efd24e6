use proptest::prelude::*;

use super::*;
use crate::lock::tests::{amd64, example};

/// Sizes that follow neither the order of the names nor its reverse.
fn wheels(count: usize) -> Vec<LockedWheel> {
    let mut lock = example();
    let pattern = amd64(&mut lock).python.packages[0].clone();
    let wheel = |at: usize| {
        let mut wheel = pattern.clone();
        wheel.package.name = format!("wheel-{at:03}");
        wheel.package.sha256 = Sha256::of(wheel.package.name.as_bytes());
        wheel.package.size = (at as u64 * 7919) % 1009 + 1;
        wheel.omit.clear();
        wheel
    };
    (0..count).map(wheel).collect()
}

/// A lock of nothing but wheels, placed.
fn placed(
    mut wheels: Vec<LockedWheel>,
    budget: u32,
    earlier: Option<&PlatformLock>,
) -> PlatformLock {
    let mut lock = example();
    let mut platform = amd64(&mut lock).clone();
    platform.debian.packages.clear();
    wheels.sort_by(|one, other| one.name.cmp(&other.name));
    place_wheels(&mut wheels, &platform.debian, OTHERS, budget, earlier).expect("room for groups");
    platform.python.packages = wheels;
    platform
}

/// Every layer by what is in it: names and digests.
fn layers(lock: &PlatformLock) -> BTreeSet<Vec<(String, Sha256)>> {
    let mut layers: BTreeMap<&str, Vec<(String, Sha256)>> = BTreeMap::new();
    for wheel in &lock.python.packages {
        let layer = wheel.layer.as_deref().unwrap_or(&wheel.name);
        let entry = (wheel.name.clone(), wheel.sha256);
        layers.entry(layer).or_default().push(entry);
    }
    layers.into_values().collect()
}

/// How many layers of `after` are not in `before`, by whether several share them.
fn moved(before: &PlatformLock, after: &PlatformLock) -> (usize, usize) {
    let known = layers(before);
    let new = layers(after);
    let new: Vec<_> = new.difference(&known).collect();
    let groups = new.iter().filter(|layer| layer.len() > 1).count();
    (new.len() - groups, groups)
}

fn with(wheels: &[LockedWheel], name: &str, size: u64) -> Vec<LockedWheel> {
    let mut wheels = wheels.to_vec();
    let mut added = wheels[0].clone();
    added.package.name = name.to_owned();
    added.package.size = size;
    added.package.sha256 = Sha256::of(name.as_bytes());
    wheels.push(added);
    wheels
}

#[test]
fn every_wheel_has_its_own_layer_while_there_is_room() {
    let lock = placed(wheels(100 - OTHERS), 100, None);
    assert!(
        lock.python
            .packages
            .iter()
            .all(|wheel| wheel.layer.is_none())
    );
}

#[test]
fn the_largest_stay_alone_and_the_budget_is_used_up() {
    for (budget, groups) in [(100, 16), (126, 16), (40, 10), (20, 5)] {
        let lock = placed(wheels(210), budget, None);
        let (alone, grouped): (Vec<_>, Vec<_>) = lock
            .python
            .packages
            .iter()
            .partition(|wheel| wheel.layer.is_none());
        assert_eq!(layers(&lock).len(), budget as usize - OTHERS, "{budget}");
        assert_eq!(alone.len(), budget as usize - OTHERS - groups, "{budget}");
        let smallest = alone.iter().map(|wheel| wheel.size).min();
        assert!(grouped.iter().map(|wheel| wheel.size).max() <= smallest);
    }
    let mut too_many = wheels(3);
    let empty = DebianLock {
        releases: Vec::new(),
        packages: Vec::new(),
    };
    let error = place_wheels(&mut too_many, &empty, OTHERS, 3, None).expect_err("no layer is left");
    assert!(
        error
            .to_string()
            .starts_with("a budget of 3 layers leaves none for 3 wheels"),
        "{error}"
    );
}

#[test]
fn commands_and_extra_packages_have_room() {
    let mut lock = example();
    let debian = amd64(&mut lock).debian.clone();
    let interpreter = amd64(&mut lock).interpreter.clone();
    let others = |further| others(&interpreter, true, further);
    let place = |further, earlier| {
        let mut platform = amd64(&mut example()).clone();
        let mut wheels = wheels(210);
        place_wheels(&mut wheels, &debian, others(further), 100, earlier).expect("room");
        platform.python.packages = wheels;
        platform
    };
    let without = place(0, None);
    assert_eq!(count(&without, others(0)), 100);
    let with_commands = place(5, None);
    assert_eq!(count(&with_commands, others(5)), 100);
    // Commands that came later make the lock one of too many layers; placed again, the groups stay.
    assert_eq!(count(&without, others(5)), 105);
    let again = place(5, Some(&without));
    assert_eq!(count(&again, others(5)), 100);
    let groups = |lock: &PlatformLock| -> BTreeMap<String, String> {
        let grouped = lock.python.packages.iter();
        let grouped = grouped.filter_map(|wheel| Some((wheel.name.clone(), wheel.layer.clone()?)));
        grouped.collect()
    };
    let (before, after) = (groups(&without), groups(&again));
    assert_eq!(after.len(), before.len() + 5);
    assert!(
        before
            .iter()
            .all(|(name, group)| after.get(name) == Some(group))
    );
}

#[test]
fn one_more_wheel_of_any_size_changes_at_most_one_group() {
    let before = placed(wheels(210), 100, None);
    let mut lock = before.clone();
    for (at, size) in [1, 400, 700, 1_000, 5_000, 2, 100_000]
        .into_iter()
        .enumerate()
    {
        let alone_now = lock
            .python
            .packages
            .iter()
            .filter(|wheel| wheel.layer.is_none());
        let smallest = alone_now.map(|wheel| wheel.size).min();
        let more = with(&lock.python.packages, &format!("added-{at}"), size);
        let after = placed(more, 100, Some(&lock));
        let (alone, groups) = moved(&lock, &after);
        assert!(groups <= 1 && alone <= 1, "{size}: {alone} and {groups}");
        assert_eq!(
            (alone, groups),
            (usize::from(Some(size) > smallest), 1),
            "{size}"
        );
        assert_eq!(layers(&after).len(), 100 - OTHERS);
        lock = after;
    }
}

#[test]
fn another_version_changes_its_own_layer_alone() {
    let before = placed(wheels(210), 100, None);
    for at in 0..210 {
        let mut changed = before.python.packages.clone();
        changed[at].package.sha256 = Sha256::of(b"another version");
        changed[at].package.size += 3;
        let after = placed(changed, 100, Some(&before));
        let (alone, groups) = moved(&before, &after);
        assert_eq!(alone + groups, 1, "{}", before.python.packages[at].name);
    }
}

#[test]
fn a_wheel_that_outgrows_its_group_leaves_it() {
    let before = placed(wheels(210), 100, None);
    let smallest = before
        .python
        .packages
        .iter()
        .filter(|wheel| wheel.layer.is_none());
    let smallest = smallest
        .map(|wheel| wheel.size)
        .min()
        .expect("some are alone");
    let at = before
        .python
        .packages
        .iter()
        .position(|wheel| wheel.layer.is_some());
    let at = at.expect("some are not");
    let size = |times: u64, changed: bool| {
        let mut wheels = before.python.packages.clone();
        wheels[at].package.size = smallest * times;
        if changed {
            wheels[at].package.sha256 = Sha256::of(b"another version");
        }
        placed(wheels, 100, Some(&before)).python.packages[at]
            .layer
            .clone()
    };
    assert_eq!(size(OUTGROWN, true), None);
    assert_eq!(size(OUTGROWN - 1, true), before.python.packages[at].layer);
    assert_eq!(size(OUTGROWN, false), before.python.packages[at].layer);
}

#[test]
fn groups_end_when_there_is_room_for_all_and_some_to_spare() {
    let grouped = placed(wheels(210), 100, None);
    let slots = 100 - OTHERS;
    let left = |count: usize| {
        let wheels = grouped.python.packages[..count].to_vec();
        let after = placed(wheels, 100, Some(&grouped));
        after
            .python
            .packages
            .iter()
            .filter(|wheel| wheel.layer.is_some())
            .count()
    };
    assert!(left(slots) > 0, "kept as they were");
    assert!(left(slots - slots / SPARE + 1) > 0);
    assert_eq!(left(slots - slots / SPARE), 0);
}

#[test]
fn another_budget_places_everything_anew() {
    let large = placed(wheels(210), 100, None);
    let fresh = placed(wheels(210), 40, None);
    let again = placed(large.python.packages.clone(), 40, Some(&large));
    assert_eq!(again.python.packages, fresh.python.packages);
}

/// The hash and the order are part of what the rule means: another result needs another rule.
#[test]
fn the_rule_is_pinned() {
    let numbers = ["numpy", "six", "idna", "zipp", "certifi"].map(|name| number(name, GROUPS));
    assert_eq!(numbers, [4, 5, 15, 5, 9]);
    let builtin = crate::spec::Spec::builtin().and_then(crate::spec::Spec::settings);
    let builtin = builtin.expect("the built-in spec is whole").layers.grouping;
    assert_eq!((check_rule(&builtin), builtin.as_str()), (Ok(()), RULE));
    let error = check_rule("largest-alone-9").expect_err("no such rule");
    assert_eq!(
        error.to_string(),
        "layers.grouping in cognix.nix is \"largest-alone-9\", and this cognix knows largest-alone-16-by-name-1"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any history of additions and removals keeps the budget, and once there are groups, each addition changes at most one.
    #[test]
    fn any_history_keeps_its_promises(
        start in 1..140_usize,
        changes in prop::collection::vec((any::<bool>(), 1..2_000_u64, any::<prop::sample::Index>()), 1..40),
    ) {
        let mut lock = placed(wheels(start), 60, None);
        for (at, (adds, size, which)) in changes.into_iter().enumerate() {
            let next = if adds || lock.python.packages.len() < 2 {
                with(&lock.python.packages, &format!("added-{at}"), size)
            } else {
                let mut fewer = lock.python.packages.clone();
                fewer.remove(which.index(fewer.len()));
                fewer
            };
            let grouped = lock.python.packages.iter().any(|wheel| wheel.layer.is_some());
            let adds = next.len() > lock.python.packages.len();
            let next = placed(next, 60, Some(&lock));
            prop_assert!(layers(&next).len() <= 60 - OTHERS);
            let (alone, groups) = moved(&lock, &next);
            if grouped && adds {
                prop_assert!(groups <= 1 && alone <= 1, "{alone} alone, {groups} groups");
            }
            lock = next;
        }
    }
}

/// Debian packages: name, what they need, whether somebody asked for them, their group.
fn debian(rows: &[(&str, &[&str], bool)]) -> DebianLock {
    let mut lock = example();
    let pattern = amd64(&mut lock).debian.packages[0].clone();
    let package = |(name, depends, requested): &(&str, &[&str], bool)| {
        let mut deb = pattern.clone();
        deb.package.name = (*name).to_owned();
        deb.package.sha256 = Sha256::of(name.as_bytes());
        deb.package.depends = depends.iter().map(|name| (*name).to_owned()).collect();
        deb.package.requested = *requested;
        deb.group = match *name {
            "libc6" => DebGroup::Base,
            _ => DebGroup::SystemPackages,
        };
        deb
    };
    DebianLock {
        releases: Vec::new(),
        packages: rows.iter().map(package).collect(),
    }
}

fn requested(
    mut debian: DebianLock,
    earlier: Option<&PlatformLock>,
) -> (PlatformLock, Vec<String>) {
    place_requested(&mut debian, 100, earlier);
    let rows = debian.packages.iter();
    let rows = rows
        .map(|deb| format!("{} in {}", deb.name, deb.layer_name()))
        .collect();
    let mut lock = example();
    let mut platform = amd64(&mut lock).clone();
    platform.debian = debian;
    (platform, rows)
}

#[test]
fn a_requested_package_has_a_layer_with_what_only_it_needs() {
    let git: (&str, &[&str], bool) = ("git", &["libc6", "libcurl", "libpcre"], true);
    let libs: [(&str, &[&str], bool); 3] = [
        ("libc6", &[], true),
        ("libcurl", &["libc6"], false),
        ("libpcre", &[], false),
    ];
    let before = debian(&[git, libs[0], libs[1], libs[2]]);
    let (before, rows) = requested(before, None);
    assert_eq!(
        rows,
        [
            "git in git",
            "libc6 in base",
            "libcurl in git",
            "libpcre in git"
        ]
    );
    // What both need stays where it was, although curl comes first by name.
    let curl: (&str, &[&str], bool) = ("curl", &["libcurl", "libssh"], true);
    let libssh: (&str, &[&str], bool) = ("libssh", &[], false);
    let after = || debian(&[curl, git, libs[0], libs[1], libs[2], libssh]);
    let (_, rows) = requested(after(), Some(&before));
    assert_eq!(
        rows,
        [
            "curl in curl",
            "git in git",
            "libc6 in base",
            "libcurl in git",
            "libpcre in git",
            "libssh in curl"
        ]
    );
    let (after, rows) = requested(after(), None);
    assert_eq!(
        rows[3], "libcurl in curl",
        "the first by name, without an earlier lock"
    );
    // When nobody asks for curl any more, what is left goes to whoever needs it.
    let (_, rows) = requested(debian(&[git, libs[0], libs[1], libs[2]]), Some(&after));
    assert_eq!(rows[2], "libcurl in git");
}

#[test]
fn many_requested_packages_share_layers() {
    let names: Vec<String> = (0..40).map(|at| format!("tool-{at:02}")).collect();
    let rows: Vec<(&str, &[&str], bool)> = names
        .iter()
        .map(|name| (name.as_str(), [].as_slice(), true))
        .collect();
    let (lock, _) = requested(debian(&rows), None);
    let layers: BTreeSet<_> = lock
        .debian
        .packages
        .iter()
        .map(LockedDeb::layer_name)
        .collect();
    assert_eq!(layers.len(), 100 / REQUESTED);
    // One more changes one layer.
    let mut more = rows.clone();
    more.insert(0, ("added", &[], true));
    let (after, _) = requested(debian(&more), Some(&lock));
    let members = |lock: &PlatformLock| {
        let mut layers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for deb in &lock.debian.packages {
            let names = layers.entry(deb.layer_name().to_owned()).or_default();
            names.push(deb.name.clone());
        }
        layers.into_values().collect::<BTreeSet<_>>()
    };
    let (before, now) = (members(&lock), members(&after));
    let changed = now.difference(&before).filter(|layer| layer.len() > 1);
    assert_eq!(changed.count(), 1);
    assert_eq!(members(&after).len(), 100 / REQUESTED);
}
