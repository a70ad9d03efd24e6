//! Values: what expressions evaluate to. They live in one arena per evaluation and are plain copies of small words.

mod attrs;
mod context;
pub(crate) mod json;
pub(crate) mod print;
mod symbols;

use std::cell::Cell;

pub use attrs::{Attr, Attrs};
pub use context::{Context, ContextElement};
pub use symbols::Symbol;
pub(crate) use symbols::Symbols;

use crate::builtins::Builtin;
use crate::syntax::tree::{Expr, LambdaExpr};

/// A value. What a list or a set holds may be not evaluated yet.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A string: bytes, and what they refer to in the store.
    String(&'a Str<'a>),
    /// A path: absolute, with the project's folder as it is called inside.
    Path(&'a str),
    /// A list.
    List(&'a [&'a Thunk<'a>]),
    /// An attribute set.
    Attrs(&'a Attrs<'a>),
    /// A function written in the language.
    Lambda(&'a Lambda<'a>),
    /// A function of the program.
    Builtin(&'static Builtin),
    /// A function of the program with some of its arguments.
    Partial(&'a Partial<'a>),
}

/// A string.
pub struct Str<'a> {
    /// Its bytes. Usually UTF-8; nobody checks.
    pub bytes: &'a [u8],
    /// What it refers to in the store.
    pub context: Context<'a>,
}

/// A function with the variables that it sees.
pub struct Lambda<'a> {
    pub(crate) expr: &'a LambdaExpr<'a>,
    pub(crate) env: &'a Env<'a>,
}

/// A function of the program that waits for more arguments.
pub struct Partial<'a> {
    pub(crate) builtin: &'static Builtin,
    pub(crate) arguments: &'a [&'a Thunk<'a>],
}

/// Variables, by level and place.
pub(crate) struct Env<'a> {
    pub(crate) up: Option<&'a Self>,
    pub(crate) slots: &'a [&'a Thunk<'a>],
}

/// A value that may be not evaluated yet.
pub struct Thunk<'a> {
    pub(crate) state: Cell<State<'a>>,
}

/// What is known of a value.
#[derive(Clone, Copy)]
pub(crate) enum State<'a> {
    /// It.
    Value(Value<'a>),
    /// How to get it.
    Expr(&'a Expr<'a>, &'a Env<'a>),
    /// The function and the arguments to call it with.
    Call(Value<'a>, &'a [&'a Thunk<'a>]),
    /// An attribute of something else, for `inherit (from)`.
    Attr(&'a Thunk<'a>, Symbol, crate::Pos),
    /// It is being evaluated.
    Busy,
}

impl<'a> Thunk<'a> {
    pub(crate) fn new(state: State<'a>) -> Self {
        Self {
            state: Cell::new(state),
        }
    }

    /// The value, if it is evaluated already.
    pub fn known(&self) -> Option<Value<'a>> {
        match self.state.get() {
            State::Value(value) => Some(value),
            _ => None,
        }
    }
}

impl Value<'_> {
    /// The word of `builtins.typeOf`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::String(_) => "string",
            Self::Path(_) => "path",
            Self::List(_) => "list",
            Self::Attrs(_) => "set",
            Self::Lambda(_) | Self::Builtin(_) | Self::Partial(_) => "lambda",
        }
    }

    /// The kind of value, in words for messages.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a Boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::String(text) if text.context.is_empty() => "a string",
            Self::String(_) => "a string with context",
            Self::Path(_) => "a path",
            Self::List(_) => "a list",
            Self::Attrs(_) => "a set",
            Self::Lambda(_) => "a function",
            Self::Builtin(_) => "a built-in function",
            Self::Partial(_) => "a partially applied built-in function",
        }
    }
}
