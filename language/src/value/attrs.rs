//! Attribute sets.

use super::{Symbol, Thunk};
use crate::Pos;

/// An attribute set: attributes ordered by the numbers of their names, each name once.
pub struct Attrs<'a> {
    entries: &'a [Attr<'a>],
}

/// One attribute.
#[derive(Clone, Copy)]
pub struct Attr<'a> {
    /// Its name.
    pub name: Symbol,
    /// Where it was written.
    pub pos: Pos,
    /// Its value.
    pub value: &'a Thunk<'a>,
}

impl<'a> Attrs<'a> {
    /// Takes entries that are ordered by their symbols, each once.
    pub(crate) fn from_sorted(entries: &'a [Attr<'a>]) -> Self {
        debug_assert!(entries.windows(2).all(|pair| pair[0].name < pair[1].name));
        Self { entries }
    }

    /// The attribute of a name.
    pub fn get(&self, name: Symbol) -> Option<&'a Attr<'a>> {
        let index = self
            .entries
            .binary_search_by_key(&name, |attr| attr.name)
            .ok()?;
        Some(&self.entries[index])
    }

    /// The attributes, ordered by symbol: an order without meaning. Whatever is seen of it must be ordered by name.
    pub fn entries(&self) -> &'a [Attr<'a>] {
        self.entries
    }

    /// How many attributes there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
