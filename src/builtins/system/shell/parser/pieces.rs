//! Words and what they are made of: quotations, parameters and substitutions.

use std::rc::Rc;

use super::{Parsed, cursor::Cursor};
use crate::builtins::system::shell::words::{Operation, Part, Word};

impl Cursor<'_> {
    /// The next word, or none where an operator or the line's end comes first.
    pub(super) fn word(&mut self) -> Parsed<Option<Word>> {
        self.skip_blanks();
        let mut parts = Parts::default();
        while let Some(next) = self.peek() {
            match next {
                _ if next.is_whitespace() || ";&|()<>".contains(next) => break,
                _ => self.piece(&mut parts, false)?,
            }
        }
        Ok(parts.finish())
    }

    /// One character, quotation or expansion.
    fn piece(&mut self, parts: &mut Parts, quoted: bool) -> Parsed<()> {
        match self.bump() {
            Some('\\') => match self.bump() {
                Some('\n') => {}
                Some(next) if quoted && !"$`\"\\".contains(next) => {
                    parts.push('\\', true);
                    parts.push(next, true);
                }
                Some(next) => parts.push(next, true),
                None => parts.push('\\', true),
            },
            Some('\'') if !quoted => {
                let end = self.rest().find('\'').ok_or_else(|| self.error("\"'\""))?;
                parts.quote(&self.rest()[..end]);
                self.at += end + 1;
            }
            Some('"') if !quoted => {
                parts.quote("");
                while self.peek() != Some('"') {
                    if self.peek().is_none() {
                        return Err(self.error("'\"'"));
                    }
                    self.piece(parts, true)?;
                }
                self.at += 1;
            }
            Some('$') => self.dollar(parts, quoted)?,
            Some('`') => self.backticks(parts, quoted)?,
            Some(next) => parts.push(next, quoted),
            None => {}
        }
        Ok(())
    }

    fn dollar(&mut self, parts: &mut Parts, quoted: bool) -> Parsed<()> {
        let rest = self.rest();
        if rest.starts_with("((") {
            let end = arithmetic_end(rest).ok_or_else(|| self.error("\"))\""))?;
            self.at += end;
            parts.add(Part::Unknown);
        } else if self.eat("(") {
            let command = Rc::new(self.nested(|parser| parser.list())?);
            if !self.eat(")") {
                return Err(self.error("\")\""));
            }
            parts.add(Part::Substitution { command, quoted });
        } else if self.eat("{") {
            let part = self.nested(|parser| parser.braces(quoted))?;
            parts.add(part);
        } else {
            let name = parameter_name(rest);
            self.at += name.len();
            if name.is_empty() {
                parts.push('$', quoted);
            } else {
                parts.add(Part::Parameter {
                    name: name.to_owned(),
                    operation: Operation::Value,
                    quoted,
                });
            }
        }
        Ok(())
    }

    fn braces(&mut self, quoted: bool) -> Parsed<Part> {
        let length = self.rest().starts_with('#') && !self.rest().starts_with("#}");
        self.at += usize::from(length);
        let name = parameter_name(self.rest()).to_owned();
        self.at += name.len();
        let empty = self.eat(":");
        let operators = ["-", "=", "+", "%%", "%", "##", "#"];
        let operator = operators.into_iter().find(|operator| self.eat(operator));
        let mut parts = Parts::default();
        while self.peek() != Some('}') {
            if self.peek().is_none() {
                return Err(self.error("\"}\""));
            }
            self.piece(&mut parts, false)?;
        }
        self.at += 1;
        let word = parts.finish().unwrap_or_default();
        let operation = match operator {
            None if length && word.0.is_empty() => Operation::Length,
            None if word.0.is_empty() && !empty => Operation::Value,
            Some("-") => Operation::Default { word, empty },
            Some("=") => Operation::Assign { word, empty },
            Some("+") => Operation::Alternative { word, empty },
            Some(operator) if !empty => Operation::Remove {
                pattern: word,
                prefix: operator.starts_with('#'),
                longest: operator.len() == 2,
            },
            _ => Operation::Unknown,
        };
        Ok(Part::Parameter {
            name,
            operation,
            quoted,
        })
    }

    fn backticks(&mut self, parts: &mut Parts, quoted: bool) -> Parsed<()> {
        let mut inner = String::new();
        loop {
            match self.bump().ok_or_else(|| self.error("\"`\""))? {
                '`' => break,
                '\\' if self.rest().starts_with(['`', '\\', '$']) => inner.extend(self.bump()),
                next => inner.push(next),
            }
        }
        let mut parser = Cursor::new(&inner);
        parser.depth = self.depth;
        let command = parser.nested(|parser| parser.list());
        let command = Rc::new(command.map_err(|_| self.error("a command between backticks"))?);
        parts.add(Part::Substitution { command, quoted });
        Ok(())
    }
}

/// Where an arithmetic expression ends, brackets and substitutions within it passed over.
fn arithmetic_end(rest: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, next) in rest.char_indices() {
        match next {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// The name after a dollar sign: a variable, an argument's number or one of the special ones.
pub(super) fn parameter_name(rest: &str) -> &str {
    let is_name = |next: char| next.is_ascii_alphanumeric() || next == '_';
    let length = match rest.chars().next() {
        Some(first) if first.is_ascii_digit() || "@*#?$!-".contains(first) => 1,
        Some(first) if is_name(first) => rest.find(|next| !is_name(next)).unwrap_or(rest.len()),
        _ => 0,
    };
    &rest[..length]
}

/// The parts of a word while it is read; neighbouring literals become one.
#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn push(&mut self, next: char, quoted: bool) {
        match self.0.last_mut() {
            Some(Part::Literal {
                text,
                quoted: before,
            }) if *before == quoted => text.push(next),
            _ => self.0.push(Part::Literal {
                text: next.to_string(),
                quoted,
            }),
        }
    }

    /// A quotation makes a word even when it is empty.
    fn quote(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Part::Literal {
                text: before,
                quoted: true,
            }) => before.push_str(text),
            _ => self.0.push(Part::Literal {
                text: text.to_owned(),
                quoted: true,
            }),
        }
    }

    fn add(&mut self, part: Part) {
        self.0.push(part);
    }

    fn finish(self) -> Option<Word> {
        (!self.0.is_empty()).then_some(Word(self.0))
    }
}
