//! The wheels of a lock by layer. Who shares one was decided, by which rule, when the lock was made; see
//! [`crate::lock`].

use std::collections::BTreeMap;

use crate::lock::LockedWheel;

/// How the wheels of an image are laid out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WheelGroups<'a> {
    /// A layer each, in the lock's order.
    pub(super) single: Vec<&'a LockedWheel>,
    /// Layers that several share, by name, with the wheels in the lock's order. None is empty.
    pub(super) groups: Vec<(&'a str, Vec<&'a LockedWheel>)>,
}

/// Sorts the wheels into their layers. The names of shared layers are in the order of the numbers in them.
pub(super) fn group(wheels: &[LockedWheel]) -> WheelGroups<'_> {
    let mut groups: BTreeMap<(usize, &str), Vec<&LockedWheel>> = BTreeMap::new();
    let mut single = Vec::new();
    for wheel in wheels {
        match wheel.layer.as_deref() {
            None => single.push(wheel),
            Some(layer) => groups.entry((layer.len(), layer)).or_default().push(wheel),
        }
    }
    let groups = groups.into_iter().map(|((_, name), list)| (name, list));
    WheelGroups {
        single,
        groups: groups.collect(),
    }
}
