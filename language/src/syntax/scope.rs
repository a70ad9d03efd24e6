//! Which variable a name means.

use std::collections::BTreeMap;

use crate::value::{Symbol, Thunk};

/// The names that are always there: built-in functions and values.
#[derive(Default)]
pub(crate) struct Base<'a> {
    pub(crate) names: BTreeMap<Symbol, &'a Thunk<'a>>,
}

/// Names of one level and their places in it.
pub(crate) type Extra = BTreeMap<Symbol, u32>;

/// The variables around an expression, from the inside out.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    pub(super) up: Option<&'s Self>,
    pub(super) level: Level<'s>,
}

/// One level of variables.
#[derive(Clone, Copy)]
pub(super) enum Level<'s> {
    /// Known names.
    Names(&'s Extra),
    /// Those of a set that is known only later.
    With,
}

/// What a name means.
pub(super) enum Meaning {
    /// A known variable.
    Local { level: u32, slot: u32 },
    /// One of the sets of `with`, by their levels from the inside out.
    With(Vec<u32>),
    /// Nothing that is written around it.
    Unknown,
}

impl<'s> Scope<'s> {
    /// What a name means in a scope, which may be none at all.
    pub(super) fn look_up(scope: Option<&'s Self>, name: Symbol) -> Meaning {
        let mut withs = Vec::new();
        let mut next = scope;
        let mut level = 0;
        while let Some(scope) = next {
            match scope.level {
                Level::Names(names) => {
                    if let Some(slot) = names.get(&name) {
                        return Meaning::Local { level, slot: *slot };
                    }
                }
                Level::With => withs.push(level),
            }
            next = scope.up;
            level += 1;
        }
        match withs.is_empty() {
            true => Meaning::Unknown,
            false => Meaning::With(withs),
        }
    }

    /// Every name in sight, for suggestions.
    pub(super) fn names(scope: Option<&'s Self>) -> Vec<Symbol> {
        let mut names = Vec::new();
        let mut next = scope;
        while let Some(scope) = next {
            if let Level::Names(level) = scope.level {
                names.extend(level.keys());
            }
            next = scope.up;
        }
        names
    }
}
