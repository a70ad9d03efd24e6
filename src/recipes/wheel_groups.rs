//! Which wheels share a layer when there are more of them than an image may have layers.
//!
//! The largest keep a layer each; the small ones are put into a fixed number of groups by their names alone. So one more
//! wheel changes one group: its own if it is small, else that of the wheel which no longer is one of the largest.
//! Wheels that leave paths to others are never grouped: what such a layer leaves out would depend on who else is in it.

use cognix_derivations::Sha256;

use crate::lock::LockedWheel;

/// How many groups there are: few, because each takes a layer from the large wheels, and enough that a changed one
/// leaves most of the others alone.
const GROUPS: usize = 8;

/// How the wheels of an image are laid out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WheelGroups<'a> {
    /// A layer each, in the lock's order.
    pub(super) single: Vec<&'a LockedWheel>,
    /// A layer for each list; the number is the group's, the wheels are in the lock's order. None is empty.
    pub(super) groups: Vec<(usize, Vec<&'a LockedWheel>)>,
}

/// Lays the wheels out in at most `slots` layers; `None` if there is no way.
pub(super) fn group(wheels: &[LockedWheel], slots: usize) -> Option<WheelGroups<'_>> {
    if wheels.len() <= slots {
        let single = wheels.iter().collect();
        let groups = Vec::new();
        return Some(WheelGroups { single, groups });
    }
    let groups = GROUPS.min(slots);
    let mut by_size: Vec<&LockedWheel> = wheels.iter().collect();
    // Those that cannot be grouped first, then the largest.
    by_size.sort_by_key(|wheel| (wheel.omit.is_empty(), std::cmp::Reverse(wheel.size)));
    let (single, small) = by_size.split_at(slots - groups);
    if small.iter().any(|wheel| !wheel.omit.is_empty()) || groups == 0 {
        return None;
    }
    let mut single = single.to_vec();
    single.sort_by_key(|wheel| &wheel.name);
    let mut lists = vec![Vec::new(); groups];
    for wheel in small {
        lists[number(&wheel.name, groups)].push(*wheel);
    }
    lists
        .iter_mut()
        .for_each(|list| list.sort_by_key(|wheel| &wheel.name));
    let lists = lists.into_iter().enumerate();
    let groups = lists.filter(|(_, list)| !list.is_empty()).collect();
    Some(WheelGroups { single, groups })
}

/// The group of a name, which depends on nothing else.
fn number(name: &str, groups: usize) -> usize {
    usize::from(Sha256::of(name.as_bytes()).as_bytes()[0]) % groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wheels(count: usize) -> Vec<LockedWheel> {
        let mut lock = crate::lock::tests::example();
        let pattern = &crate::lock::tests::amd64(&mut lock).python.packages[0];
        let wheel = |at: usize| {
            let mut wheel = pattern.clone();
            wheel.package.name = format!("wheel-{at:03}");
            // Neither the order of the names nor its reverse.
            wheel.package.size = (at as u64 * 7919) % 1009 + 1;
            wheel.omit.clear();
            wheel
        };
        (0..count).map(wheel).collect()
    }

    fn names(list: &[&LockedWheel]) -> Vec<String> {
        list.iter().map(|wheel| wheel.name.clone()).collect()
    }

    /// Every layer by what is in it.
    fn layers(groups: &WheelGroups<'_>) -> Vec<Vec<String>> {
        let single = groups.single.iter().map(|wheel| vec![wheel.name.clone()]);
        let lists = groups.groups.iter().map(|(_, list)| names(list));
        single.chain(lists).collect()
    }

    #[test]
    fn every_wheel_has_its_own_layer_while_there_is_room() {
        let wheels = wheels(90);
        let groups = group(&wheels, 90).expect("room for all");
        assert_eq!((groups.single.len(), groups.groups.len()), (90, 0));
    }

    #[test]
    fn the_small_ones_share_layers() {
        let wheels = wheels(140);
        let groups = group(&wheels, 94).expect("small ones can share");
        let all = layers(&groups);
        assert_eq!((groups.single.len(), all.len()), (86, 94));
        let mut found: Vec<String> = all.concat();
        found.sort();
        assert_eq!(found, names(&wheels.iter().collect::<Vec<_>>()));
        let smallest_single = groups.single.iter().map(|wheel| wheel.size).min();
        let grouped = groups.groups.iter().flat_map(|(_, list)| list);
        assert!(grouped.map(|wheel| wheel.size).max() <= smallest_single);
    }

    #[test]
    fn one_more_wheel_changes_one_group() {
        let before = wheels(140);
        for size in [1, 500, 5_000] {
            let mut after = before.clone();
            let mut added = before[0].clone();
            added.package.name = "zz-added".to_owned();
            added.package.size = size;
            after.push(added);
            let (before, after) = (group(&before, 94), group(&after, 94));
            let before = layers(&before.expect("small ones can share"));
            let changed: Vec<_> = layers(&after.expect("small ones can share"))
                .into_iter()
                .filter(|layer| !before.contains(layer))
                .collect();
            // A large one has a layer of its own, and the wheel whose place it took is in a group now.
            let expected = if size == 1 { 1 } else { 2 };
            assert_eq!(changed.len(), expected, "{size}: {changed:?}");
        }
    }

    #[test]
    fn wheels_that_leave_paths_out_stay_alone() {
        let mut wheels = wheels(140);
        wheels.sort_by_key(|wheel| wheel.size);
        let leave = |wheel: &mut LockedWheel| wheel.omit = vec!["nvidia/__init__.py".to_owned()];
        wheels[..5].iter_mut().for_each(leave);
        let groups = group(&wheels, 94).expect("the others can share");
        let grouped = groups.groups.iter().flat_map(|(_, list)| list);
        assert_eq!(grouped.filter(|wheel| !wheel.omit.is_empty()).count(), 0);
        assert!(group(&wheels, GROUPS + 4).is_none());
        assert!(group(&wheels[5..], GROUPS).is_some());
        assert!(group(&wheels[5..], 0).is_none());
    }
}
