//! What functions of the program do with their arguments before anything else: evaluate them and look at their types.

use crate::error::Eval;
use crate::eval::Evaluator;
use crate::source::Pos;
use crate::value::{Attr, Attrs, Context, Str, Symbol, Thunk, Value};

impl<'a> Evaluator<'a> {
    /// An argument that must be a list.
    pub(super) fn list_argument(
        &self,
        argument: &'a Thunk<'a>,
        pos: Pos,
    ) -> Eval<&'a [&'a Thunk<'a>]> {
        match self.force(argument)? {
            Value::List(items) => Ok(items),
            other => Err(self.expected("a list", other, pos)),
        }
    }

    /// An argument that must be a set.
    pub(super) fn set_argument(&self, argument: &'a Thunk<'a>, pos: Pos) -> Eval<&'a Attrs<'a>> {
        match self.force(argument)? {
            Value::Attrs(attrs) => Ok(attrs),
            other => Err(self.expected("a set", other, pos)),
        }
    }

    /// An argument that must be an integer.
    pub(super) fn int_argument(&self, argument: &'a Thunk<'a>, pos: Pos) -> Eval<i64> {
        match self.force(argument)? {
            Value::Int(number) => Ok(number),
            other => Err(self.expected("an integer", other, pos)),
        }
    }

    /// An argument that must be a string; what it refers to comes with it.
    pub(super) fn string_argument(
        &self,
        argument: &'a Thunk<'a>,
        pos: Pos,
    ) -> Eval<(&'a [u8], Context<'a>)> {
        let value = self.force(argument)?;
        self.string_value(value, pos)
    }

    /// An argument that must be a string that refers to nothing.
    pub(super) fn plain_argument(&self, argument: &'a Thunk<'a>, pos: Pos) -> Eval<&'a [u8]> {
        let value = self.force(argument)?;
        self.plain_string(value, pos)
    }

    /// An argument that must be a plain string, as a name.
    pub(super) fn name_argument(&self, argument: &'a Thunk<'a>, pos: Pos) -> Eval<Symbol> {
        Ok(self.symbol(self.plain_argument(argument, pos)?))
    }

    /// An argument that must be something that can be called: a function, or a set with `__functor`.
    pub(super) fn function_argument(&self, argument: &'a Thunk<'a>, pos: Pos) -> Eval<Value<'a>> {
        let value = self.force(argument)?;
        let is_function = match value {
            Value::Lambda(_) | Value::Builtin(_) | Value::Partial(_) => true,
            Value::Attrs(attrs) => attrs.get(self.names.functor).is_some(),
            _ => false,
        };
        match is_function {
            true => Ok(value),
            false => Err(self.expected("a function", value, pos)),
        }
    }

    /// What a function says about something, which must be a Boolean.
    pub(super) fn holds(
        &self,
        function: Value<'a>,
        arguments: &[&'a Thunk<'a>],
        pos: Pos,
    ) -> Eval<bool> {
        match self.call(function, arguments, pos)? {
            Value::Bool(value) => Ok(value),
            other => Err(self.expected("a Boolean", other, pos)),
        }
    }

    /// An attribute that a set must have.
    pub(super) fn required(
        &self,
        attrs: &'a Attrs<'a>,
        name: Symbol,
        pos: Pos,
    ) -> Eval<&'a Attr<'a>> {
        attrs
            .get(name)
            .ok_or_else(|| self.missing(Value::Attrs(attrs), name, pos))
    }

    /// A string of bytes that live as long as the evaluation.
    pub(super) fn kept_string(&self, bytes: &'a [u8], context: Context<'a>) -> Value<'a> {
        if bytes.is_empty() && context.is_empty() {
            return Value::String(self.empty.string);
        }
        Value::String(self.arena.alloc(Str { bytes, context }))
    }

    /// A name as a string.
    pub(super) fn name_string(&self, name: Symbol) -> Value<'a> {
        self.kept_string(self.symbols.name(name), Context::EMPTY)
    }

    /// A list of values that are known.
    pub(super) fn known_list(&self, values: Vec<Value<'a>>, pos: Pos) -> Eval<Value<'a>> {
        self.list(values.into_iter().map(|value| self.known(value)), pos)
    }
}
