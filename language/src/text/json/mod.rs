//! JSON: what `fromJSON` accepts.
//!
//! [`Reader`] gives out a document piece by piece and keeps its own stack, so that nesting costs memory of the document's
//! size and nothing else; building values is the caller's work. Strings are bytes and always valid UTF-8.
//! Integers are those of Nix: what does not fit 64 bits is a float, except that positive ones from 2⁶³ up to 2⁶⁴ are refused.

mod number;
mod string;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

/// One piece of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without point and exponent.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string that is a value.
    Text(Cow<'a, [u8]>),
    /// `[`
    ListStart,
    /// `]`
    ListEnd,
    /// `{`
    ObjectStart,
    /// The name of the value that follows. Names may come again; the last one counts.
    Key(Cow<'a, [u8]>),
    /// `}`
    ObjectEnd,
}

/// The text is not a document that Nix reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub(crate) struct JsonError {
    line: usize,
    column: usize,
    reason: &'static str,
}

/// What may come next.
#[derive(Debug, Clone, Copy)]
enum Next {
    Value,
    /// The first value of a list, or its end.
    FirstOrEnd,
    /// The first name of an object, or its end.
    KeyOrEnd,
    /// A comma, or the end of what is open; without anything open, the end of the text.
    After,
}

/// Reads a document piece by piece.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// For each thing that is open, whether it is an object.
    open: Vec<bool>,
    next: Next,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of a text; a byte order mark is skipped.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self {
            text: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
            at: 0,
            open: Vec::new(),
            next: Next::Value,
        }
    }

    /// The next piece; `None` after the last one, when nothing but blanks follows.
    pub(crate) fn next(&mut self) -> Result<Option<Event<'a>>, JsonError> {
        let byte = self.skip_blanks();
        match self.next {
            Next::FirstOrEnd if byte == Some(b']') => Ok(Some(self.close())),
            Next::Value | Next::FirstOrEnd => self.value(byte).map(Some),
            Next::KeyOrEnd if byte == Some(b'}') => Ok(Some(self.close())),
            Next::KeyOrEnd => self.key(byte).map(Some),
            Next::After => match (self.open.last(), byte) {
                (None, None) => Ok(None),
                (None, Some(_)) => Err(self.error("expected the end of the document")),
                (Some(true), Some(b'}')) | (Some(false), Some(b']')) => Ok(Some(self.close())),
                (Some(object), Some(b',')) => {
                    let object = *object;
                    self.at += 1;
                    let byte = self.skip_blanks();
                    if object {
                        self.key(byte).map(Some)
                    } else {
                        self.value(byte).map(Some)
                    }
                }
                (Some(true), _) => Err(self.error("expected ',' or '}'")),
                (Some(false), _) => Err(self.error("expected ',' or ']'")),
            },
        }
    }

    fn error(&self, reason: &'static str) -> JsonError {
        let before = &self.text[..self.at.min(self.text.len())];
        let line_start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        JsonError {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            column: before.len() - line_start + 1,
            reason,
        }
    }

    fn skip_blanks(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn close(&mut self) -> Event<'a> {
        self.at += 1;
        self.next = Next::After;
        match self.open.pop() {
            Some(true) => Event::ObjectEnd,
            _ => Event::ListEnd,
        }
    }

    fn key(&mut self, byte: Option<u8>) -> Result<Event<'a>, JsonError> {
        if byte != Some(b'"') {
            return Err(self.error("expected a name in double quotes"));
        }
        let key = self.string()?;
        if self.skip_blanks() != Some(b':') {
            return Err(self.error("expected ':'"));
        }
        self.at += 1;
        self.next = Next::Value;
        Ok(Event::Key(key))
    }

    fn value(&mut self, byte: Option<u8>) -> Result<Event<'a>, JsonError> {
        self.next = Next::After;
        match byte {
            Some(b'"') => self.string().map(Event::Text),
            Some(b'[') => {
                self.at += 1;
                self.open.push(false);
                self.next = Next::FirstOrEnd;
                Ok(Event::ListStart)
            }
            Some(b'{') => {
                self.at += 1;
                self.open.push(true);
                self.next = Next::KeyOrEnd;
                Ok(Event::ObjectStart)
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.word(b"null", Event::Null),
            Some(b't') => self.word(b"true", Event::Bool(true)),
            Some(b'f') => self.word(b"false", Event::Bool(false)),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("the document ends where a value should be")),
        }
    }

    fn word(&mut self, word: &[u8], event: Event<'a>) -> Result<Event<'a>, JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(event)
    }
}
