//! Values as text, as `nix-instantiate --eval` prints them.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{Thunk, Value};
use crate::error::Eval;
use crate::eval::Evaluator;
use crate::paths;
use crate::source::Pos;
use crate::text::numbers;

/// Words that cannot be names without quotes.
const KEYWORDS: [&str; 9] = [
    "if", "then", "else", "assert", "with", "let", "in", "rec", "inherit",
];

impl<'a> Evaluator<'a> {
    /// A value as an expression; what is not evaluated yet is `<CODE>`.
    pub fn print_lazily(&self, value: Value<'a>) -> String {
        let mut printer = Printer::new(self);
        // Only the depth of the stack can fail here.
        let _ = printer.value(value);
        printer.text
    }

    /// A value as an expression, everything in it evaluated first.
    pub fn print(&self, value: Value<'a>) -> Eval<String> {
        self.force_deep(value)?;
        let mut printer = Printer::new(self);
        printer.value(value)?;
        Ok(printer.text)
    }
}

struct Printer<'e, 'a> {
    evaluator: &'e Evaluator<'a>,
    seen: BTreeSet<*const ()>,
    text: String,
}

impl<'e, 'a> Printer<'e, 'a> {
    fn new(evaluator: &'e Evaluator<'a>) -> Self {
        Self {
            evaluator,
            seen: BTreeSet::new(),
            text: String::new(),
        }
    }

    fn value(&mut self, value: Value<'a>) -> Eval<()> {
        self.evaluator.guard(Pos::NONE)?;
        self.evaluator.room_for(self.text.len(), Pos::NONE)?;
        match value {
            Value::Null => self.text.push_str("null"),
            Value::Bool(value) => self.text.push_str(if value { "true" } else { "false" }),
            Value::Int(number) => drop(write!(self.text, "{number}")),
            Value::Float(number) => self.text.push_str(&numbers::print_float(number)),
            Value::String(text) => quote(&mut self.text, text.bytes),
            Value::Path(path) => self.path(path),
            Value::Lambda(_) => self.text.push_str("<LAMBDA>"),
            // In a real Nix this one is a function of the language.
            Value::Builtin(builtin) if builtin.name == "derivation" => {
                self.text.push_str("<LAMBDA>")
            }
            Value::Builtin(_) => self.text.push_str("<PRIMOP>"),
            Value::Partial(_) => self.text.push_str("<PRIMOP-APP>"),
            Value::List(items) => {
                if !items.is_empty() && !self.seen.insert(items.as_ptr().cast()) {
                    self.text.push_str("«repeated»");
                    return Ok(());
                }
                self.text.push_str("[ ");
                for item in items {
                    self.thunk(item)?;
                    self.text.push(' ');
                }
                self.text.push(']');
            }
            Value::Attrs(attrs) => {
                if !attrs.is_empty() && !self.seen.insert(std::ptr::from_ref(attrs).cast()) {
                    self.text.push_str("«repeated»");
                    return Ok(());
                }
                self.text.push_str("{ ");
                for attr in self.evaluator.by_name(attrs) {
                    let name = self.evaluator.symbols.name(attr.name);
                    match is_plain(name) {
                        true => self.text.push_str(&String::from_utf8_lossy(name)),
                        false => quote(&mut self.text, name),
                    }
                    self.text.push_str(" = ");
                    self.thunk(attr.value)?;
                    self.text.push_str("; ");
                }
                self.text.push('}');
            }
        }
        Ok(())
    }

    fn path(&mut self, path: &str) {
        match paths::below(self.evaluator.root, path) {
            Some("") => self.text.push_str(self.evaluator.shown_root),
            Some(below) => {
                let root = self.evaluator.shown_root.trim_end_matches('/');
                let _ = write!(self.text, "{root}/{below}");
            }
            None => self.text.push_str(path),
        }
    }

    fn thunk(&mut self, thunk: &'a Thunk<'a>) -> Eval<()> {
        match thunk.known() {
            Some(value) => self.value(value),
            None => {
                self.text.push_str("<CODE>");
                Ok(())
            }
        }
    }
}

/// Whether a name needs no quotes.
fn is_plain(name: &[u8]) -> bool {
    let starts = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let continues = |byte: &u8| byte.is_ascii_alphanumeric() || b"_'-".contains(byte);
    name.first().is_some_and(starts)
        && name.iter().all(continues)
        && !KEYWORDS.iter().any(|word| word.as_bytes() == name)
}

/// Writes a string with quotes and escapes; bytes that are not UTF-8 are replaced.
fn quote(text: &mut String, bytes: &[u8]) {
    text.push('"');
    let string = String::from_utf8_lossy(bytes);
    let mut letters = string.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '$' if letters.peek() == Some(&'{') => text.push_str("\\$"),
            letter => text.push(letter),
        }
    }
    text.push('"');
}
