//! Reads a script into its syntax tree.
//!
//! ```text
//! list     = and_or ( ( ";" | "&" | newline ) and_or )*
//! and_or   = pipeline ( ( "&&" | "||" ) pipeline )*
//! pipeline = [ "!" ] command ( "|" command )*
//! command  = if | for | while | until | case | "{" list "}" | "(" list ")" | name "()" command | simple
//! ```

mod commands;
mod cursor;
mod pieces;

use self::cursor::Cursor;
use super::words::Command;

/// A script that cannot be read. It may be fine for its own interpreter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}")]
pub(in crate::builtins::system) struct ParseError {
    line: usize,
    expected: &'static str,
}

type Parsed<T> = Result<T, ParseError>;

/// Reads a whole script.
pub(super) fn parse(script: &str) -> Parsed<Command> {
    let mut parser = Cursor::new(script);
    let list = parser.list()?;
    parser.skip_blanks();
    match parser.peek() {
        None => Ok(list),
        Some(_) => Err(parser.error("the end of the script")),
    }
}
