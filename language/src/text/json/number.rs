//! The numbers of a document.

use super::{Event, JsonError, Reader};

impl<'a> Reader<'a> {
    pub(super) fn number(&mut self) -> Result<Event<'a>, JsonError> {
        let start = self.at;
        let negative = self.take(b'-');
        if !self.take(b'0') && self.digits() == 0 {
            return Err(self.error("expected a digit"));
        }
        let mut whole = true;
        if self.take(b'.') {
            whole = false;
            if self.digits() == 0 {
                return Err(self.error("expected a digit after '.'"));
            }
        }
        if self.take(b'e') || self.take(b'E') {
            whole = false;
            if !self.take(b'+') {
                self.take(b'-');
            }
            if self.digits() == 0 {
                return Err(self.error("expected a digit in the exponent"));
            }
        }
        let text = self.text;
        let text = std::str::from_utf8(&text[start..self.at]).unwrap_or_default();
        if whole {
            if let Ok(int) = text.parse() {
                return Ok(Event::Int(int));
            }
            if !negative && text.parse::<u64>().is_ok() {
                return Err(self.error("the number is larger than 2^63 - 1"));
            }
        }
        match text.parse::<f64>() {
            Ok(float) if float.is_finite() => Ok(Event::Float(float)),
            _ => Err(self.error("the number is too large")),
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self) -> usize {
        let rest = &self.text[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }
}
