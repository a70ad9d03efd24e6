//! From text to expressions whose variables are resolved.
//!
//! `rnix` reads the text; what it accepts and Nix does not is refused here: names bound twice, variables that do not
//! exist, numbers out of range, operators that are experiments. [`tree`] is what is evaluated.

mod lower;
mod nesting;
mod scope;
mod sets;
mod strings;
pub(crate) mod tree;

use bumpalo::Bump;
use rnix::{ParseError, Root, TextRange};

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
    if let Some(offset) = nesting::too_deep(text) {
        let message = format!("the text nests deeper than {} levels", nesting::MAX_DEPTH);
        let pos = Sources::pos(reading.start, offset);
        return Err(Fault::new(ErrorKind::Limit, pos, message));
    }
    let parsed = Root::parse(text);
    if let Some(problem) = parsed.errors().first() {
        let (offset, message) = describe(problem, text.len());
        let pos = Sources::pos(reading.start, offset);
        return Err(Fault::new(ErrorKind::Syntax, pos, message));
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

/// A mistake that the syntax library found: where it is, and what in words.
fn describe(problem: &ParseError, end: usize) -> (usize, String) {
    let start = |range: &TextRange| usize::from(range.start());
    let (offset, what) = match problem {
        ParseError::Unexpected(range) | ParseError::UnexpectedExtra(range) => {
            (start(range), "unexpected text".to_owned())
        }
        ParseError::UnexpectedWanted(found, range, wanted) => {
            let wanted: Vec<String> = wanted.iter().map(|kind| word(*kind)).collect();
            let what = format!(
                "unexpected {}, expected {}",
                word(*found),
                wanted.join(" or ")
            );
            (start(range), what)
        }
        ParseError::UnexpectedDoubleBind(range) => {
            (start(range), "the name is bound twice".to_owned())
        }
        ParseError::DuplicatedArgs(range, name) => (
            start(range),
            format!("duplicate formal function argument '{name}'"),
        ),
        ParseError::UnexpectedEOF | ParseError::UnexpectedEOFWanted(_) => {
            (end, "unexpected end of file".to_owned())
        }
        ParseError::RecursionLimitExceeded => (0, "the text nests too deep".to_owned()),
        other => (0, other.to_string()),
    };
    (offset, format!("syntax error: {what}"))
}

/// A token in the reader's words: `TOKEN_SEMICOLON` is `;`.
fn word(kind: rnix::SyntaxKind) -> String {
    use rnix::SyntaxKind::*;
    let word = match kind {
        TOKEN_SEMICOLON => "';'",
        TOKEN_COMMA => "','",
        TOKEN_COLON => "':'",
        TOKEN_DOT => "'.'",
        TOKEN_ASSIGN => "'='",
        TOKEN_L_BRACE => "'{'",
        TOKEN_R_BRACE => "'}'",
        TOKEN_L_BRACK => "'['",
        TOKEN_R_BRACK => "']'",
        TOKEN_L_PAREN => "'('",
        TOKEN_R_PAREN => "')'",
        TOKEN_AT => "'@'",
        TOKEN_QUESTION => "'?'",
        TOKEN_IDENT => "a name",
        TOKEN_INTEGER | TOKEN_FLOAT => "a number",
        TOKEN_STRING_START | TOKEN_STRING_CONTENT | TOKEN_STRING_END => "a string",
        TOKEN_INTERPOL_START => "'${'",
        TOKEN_INTERPOL_END => "'}'",
        TOKEN_ERROR => "text that is no Nix",
        other => {
            let name = format!("{other:?}").to_lowercase();
            return format!("'{}'", name.trim_start_matches("token_"));
        }
    };
    word.to_owned()
}
