//! Names of attributes and variables, as small numbers.

use std::cell::RefCell;
use std::collections::BTreeMap;

use bumpalo::Bump;

/// A name. Two names are equal when their numbers are; their order is that of first use and means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(u32);

/// Every name of one evaluation.
#[derive(Default)]
pub(crate) struct Symbols<'a> {
    tables: RefCell<Tables<'a>>,
}

#[derive(Default)]
struct Tables<'a> {
    by_name: BTreeMap<&'a [u8], Symbol>,
    names: Vec<&'a [u8]>,
}

impl<'a> Symbols<'a> {
    /// The number of a name.
    pub(crate) fn intern(&self, arena: &'a Bump, name: &[u8]) -> Symbol {
        let mut tables = self.tables.borrow_mut();
        if let Some(symbol) = tables.by_name.get(name) {
            return *symbol;
        }
        let number = u32::try_from(tables.names.len());
        let symbol = Symbol(number.expect("names take memory, which ends before numbers do"));
        let name: &'a [u8] = arena.alloc_slice_copy(name);
        tables.by_name.insert(name, symbol);
        tables.names.push(name);
        symbol
    }

    /// Puts what has names into their order.
    pub(crate) fn sort_by_name<T>(&self, items: &mut [T], name: impl Fn(&T) -> Symbol) {
        let names = &self.tables.borrow().names;
        items.sort_by_key(|item| names[name(item).0 as usize]);
    }

    /// The name of a number.
    pub(crate) fn name(&self, symbol: Symbol) -> &'a [u8] {
        self.tables.borrow().names[symbol.0 as usize]
    }
}
