//! From text to expressions whose variables are resolved.
//!
//! `rnix` reads the text; what it accepts and Nix does not is refused here: names bound twice, variables that do not
//! exist, numbers out of range, operators that are experiments. [`tree`] is what is evaluated.

mod functions;
mod lower;
mod mistakes;
mod nesting;
mod scope;
mod sets;
mod strings;
pub(crate) mod tree;

use bumpalo::Bump;
use rnix::Root;

use crate::error::{ErrorKind, Eval, Fault};
use crate::source::Sources;
use crate::value::{Symbols, Thunk};

pub(crate) use scope::{Base, Extra};
use tree::Expr;

/// What reading a text needs.
pub(crate) struct Reading<'e, 'a> {
    pub(crate) arena: &'a Bump,
    pub(crate) symbols: &'e Symbols<'a>,
    /// Where the text starts among all texts.
    pub(crate) start: u32,
    /// The folder that relative paths start from.
    pub(crate) folder: &'e str,
    /// The names that are always there.
    pub(crate) base: &'e Base<'a>,
    /// Names of `scopedImport`: the variables of a level around the text.
    pub(crate) extra: Option<&'e Extra>,
    /// Ends too deep a recursion.
    pub(crate) guard: &'e dyn Fn() -> Eval<()>,
}

/// Reads a text.
pub(crate) fn read<'a>(reading: &Reading<'_, 'a>, text: &str) -> Eval<&'a Expr<'a>> {
    if let Some((offset, message)) = nesting::too_much(text) {
        let pos = Sources::pos(reading.start, offset);
        return Err(Fault::new(ErrorKind::Limit, pos, message));
    }
    let parsed = Root::parse(text);
    if !parsed.errors().is_empty() {
        let mistake = mistakes::first(text, parsed.errors());
        let pos = Sources::pos(reading.start, mistake.offset);
        let message = format!("syntax error: {}", mistake.message);
        let fault = Fault::new(ErrorKind::Syntax, pos, message);
        return Err(match mistake.hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        });
    }
    let Some(expression) = parsed.tree().expr() else {
        let pos = Sources::pos(reading.start, text.len());
        let message = "syntax error: there is no expression";
        return Err(Fault::new(ErrorKind::Syntax, pos, message));
    };
    let lowered = lower::lower(reading, &expression)?;
    Ok(reading.arena.alloc(lowered))
}

/// A value that stands in an expression.
pub(crate) fn constant<'a>(arena: &'a Bump, value: crate::Value<'a>) -> &'a Thunk<'a> {
    arena.alloc(Thunk::new(crate::value::State::Value(value)))
}
