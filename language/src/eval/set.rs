//! Attribute sets and the bindings of `let`.

use super::Evaluator;
use crate::error::{Eval, Fault};
use crate::syntax::tree::{AttrExpr, AttrValue, Expr, Kind, SetExpr};
use crate::value::{Attr, Attrs, Env, State, Thunk, Value};

impl<'a> Evaluator<'a> {
    /// The value of an expression, later. What is known already, or is somebody's value, needs nothing new.
    pub(super) fn delay(&self, expr: &'a Expr<'a>, env: &'a Env<'a>) -> &'a Thunk<'a> {
        match expr.kind {
            Kind::Constant(thunk) => thunk,
            Kind::Local { level, slot } => Self::variable(env, level, slot),
            _ => self.thunk(State::Expr(expr, env)),
        }
    }

    pub(super) fn variable(env: &'a Env<'a>, level: u32, slot: u32) -> &'a Thunk<'a> {
        let mut env = env;
        for _ in 0..level {
            env = match env.up {
                Some(up) => up,
                None => break,
            };
        }
        env.slots[slot as usize]
    }

    /// A set.
    pub(super) fn set(&self, set: &'a SetExpr<'a>, env: &'a Env<'a>) -> Eval<&'a Attrs<'a>> {
        if set.recursive {
            let (inner, values) = self.bindings(set, env);
            return self.recursive_set(set, inner, values);
        }
        let sources = self.sources_of(set, env);
        let mut entries = Vec::with_capacity(set.attrs.len() + set.computed.len());
        for attr in set.attrs {
            let value = match &attr.value {
                AttrValue::Inside(expr) | AttrValue::Outside(expr) => self.delay(expr, env),
                AttrValue::Source(index) => self.inherited(attr, &sources, *index),
            };
            entries.push(Attr {
                name: attr.name,
                pos: attr.pos,
                value,
            });
        }
        self.computed(set, env, &mut entries)?;
        Ok(self.attrs_from_sorted(entries))
    }

    /// The variables of a recursive set or of `let`, and the level that they make.
    pub(super) fn bindings(
        &self,
        set: &'a SetExpr<'a>,
        env: &'a Env<'a>,
    ) -> (&'a Env<'a>, &'a [&'a Thunk<'a>]) {
        // Those that see each other exist before the level does, and learn of it afterwards. Where `__overrides` may
        // replace some, none is shared with others.
        let shares = set.overrides.is_none();
        let mut slots: Vec<&'a Thunk<'a>> = Vec::with_capacity(set.attrs.len());
        for attr in set.attrs {
            slots.push(match &attr.value {
                AttrValue::Outside(expr) if shares => self.delay(expr, env),
                AttrValue::Outside(expr) => self.thunk(State::Expr(expr, env)),
                AttrValue::Inside(expr) if shares => match Self::shared(expr, env, &slots) {
                    Some(thunk) => thunk,
                    None => self.thunk(State::Busy),
                },
                AttrValue::Inside(_) | AttrValue::Source(_) => self.thunk(State::Busy),
            });
        }
        let slots: &'a [&'a Thunk<'a>] = self.arena.alloc_slice_copy(&slots);
        let inner: &'a Env<'a> = self.arena.alloc(Env {
            up: Some(env),
            slots,
        });
        let sources = self.sources_of(set, inner);
        for (index, (attr, slot)) in set.attrs.iter().zip(slots).enumerate() {
            match &attr.value {
                AttrValue::Outside(_) => {}
                AttrValue::Inside(expr) => {
                    if !shares || Self::shared(expr, env, &slots[..index]).is_none() {
                        slot.state.set(State::Expr(expr, inner));
                    }
                }
                AttrValue::Source(index) => {
                    let source = sources[*index as usize];
                    slot.state.set(State::Attr(source, attr.name, attr.pos));
                }
            }
        }
        (inner, slots)
    }

    /// What stands for an expression already: a constant, a variable from around a level, or one that comes before it
    /// there.
    fn shared(
        expr: &'a Expr<'a>,
        env: &'a Env<'a>,
        before: &[&'a Thunk<'a>],
    ) -> Option<&'a Thunk<'a>> {
        match expr.kind {
            Kind::Constant(thunk) => Some(thunk),
            Kind::Local { level: 0, slot } => before.get(slot as usize).copied(),
            Kind::Local { level, slot } => Some(Self::variable(env, level - 1, slot)),
            _ => None,
        }
    }

    fn recursive_set(
        &self,
        set: &'a SetExpr<'a>,
        inner: &'a Env<'a>,
        values: &'a [&'a Thunk<'a>],
    ) -> Eval<&'a Attrs<'a>> {
        let pairs = set.attrs.iter().zip(values);
        let mut entries: Vec<Attr<'a>> = pairs
            .map(|(attr, value)| Attr {
                name: attr.name,
                pos: attr.pos,
                value,
            })
            .collect();
        if let Some(slot) = set.overrides {
            let overrides = self.force(values[slot as usize])?;
            let Value::Attrs(overrides) = overrides else {
                let message = format!(
                    "'__overrides' must be a set, found {}",
                    overrides.describe()
                );
                return Err(Fault::value(set.attrs[slot as usize].pos, message));
            };
            for attr in overrides.entries() {
                match entries.binary_search_by_key(&attr.name, |entry| entry.name) {
                    Ok(index) => {
                        // Others in the set see the replacement too.
                        entries[index].value.state.set(State::Attr(
                            values[slot as usize],
                            attr.name,
                            attr.pos,
                        ));
                        entries[index] = *attr;
                    }
                    Err(index) => entries.insert(index, *attr),
                }
            }
        }
        self.computed(set, inner, &mut entries)?;
        Ok(self.attrs_from_sorted(entries))
    }

    fn sources_of(&self, set: &'a SetExpr<'a>, env: &'a Env<'a>) -> Vec<&'a Thunk<'a>> {
        set.sources
            .iter()
            .map(|source| self.delay(source, env))
            .collect()
    }

    fn inherited(
        &self,
        attr: &AttrExpr<'a>,
        sources: &[&'a Thunk<'a>],
        index: u32,
    ) -> &'a Thunk<'a> {
        self.thunk(State::Attr(sources[index as usize], attr.name, attr.pos))
    }

    /// Adds the attributes whose names are computed, in the order written.
    fn computed(
        &self,
        set: &'a SetExpr<'a>,
        env: &'a Env<'a>,
        entries: &mut Vec<Attr<'a>>,
    ) -> Eval<()> {
        for attr in set.computed {
            let name = match self.eval(&attr.name, env)? {
                Value::Null => continue,
                name => self.attr_name(name, attr.name.pos)?,
            };
            let entry = Attr {
                name,
                pos: attr.pos,
                value: self.delay(&attr.value, env),
            };
            match entries.binary_search_by_key(&name, |entry| entry.name) {
                Ok(index) => {
                    let message = format!(
                        "dynamic attribute '{}' already defined",
                        self.name_text(name)
                    );
                    let first = entries[index].pos;
                    return Err(
                        Fault::value(attr.pos, message).within(first, "where it is defined first")
                    );
                }
                Err(index) => entries.insert(index, entry),
            }
        }
        Ok(())
    }

    /// A computed name: a string that refers to nothing.
    pub(super) fn attr_name(
        &self,
        value: Value<'a>,
        pos: crate::Pos,
    ) -> Eval<crate::value::Symbol> {
        match value {
            Value::String(text) if text.context.is_empty() => Ok(self.symbol(text.bytes)),
            Value::String(_) => Err(Fault::value(
                pos,
                "the name of an attribute cannot refer to a store path",
            )),
            other => Err(self.expected("a string", other, pos)),
        }
    }
}
