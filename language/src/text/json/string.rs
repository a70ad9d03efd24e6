//! The strings of a document.

use std::borrow::Cow;

use super::{JsonError, Reader};

impl<'a> Reader<'a> {
    /// The string whose opening quote is next.
    pub(super) fn string(&mut self) -> Result<Cow<'a, [u8]>, JsonError> {
        self.at += 1;
        let mut read = Cow::Borrowed(&b""[..]);
        loop {
            let plain = self.plain()?;
            if read.is_empty() {
                read = Cow::Borrowed(plain);
            } else {
                read.to_mut().extend_from_slice(plain);
            }
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(read);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let char = self.escape()?;
                    let mut buffer = [0; 4];
                    read.to_mut()
                        .extend_from_slice(char.encode_utf8(&mut buffer).as_bytes());
                }
                Some(_) => return Err(self.error("a control character must be escaped")),
                None => return Err(self.error("the string does not end")),
            }
        }
    }

    /// What needs no escape, as far as it goes.
    fn plain(&mut self) -> Result<&'a [u8], JsonError> {
        let text = self.text;
        let rest = &text[self.at..];
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
            .unwrap_or(rest.len());
        let plain = &rest[..end];
        if let Err(error) = std::str::from_utf8(plain) {
            self.at += error.valid_up_to();
            return Err(self.error("the string is not valid UTF-8"));
        }
        self.at += end;
        Ok(plain)
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let escaped = self.text.get(self.at).copied();
        let char = match escaped {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.error("unknown escape")),
        };
        self.at += 1;
        Ok(char)
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex()?;
        let code = match first {
            0xd800..0xdc00 => {
                if !self.text[self.at..].starts_with(b"\\u") {
                    return Err(self.error("the first half of a surrogate pair stands alone"));
                }
                self.at += 2;
                let second = self.hex()?;
                if !(0xdc00..0xe000).contains(&second) {
                    return Err(self.error("the first half of a surrogate pair stands alone"));
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            0 => return Err(self.error("a string of the language cannot hold a null byte")),
            code => code,
        };
        char::from_u32(code)
            .ok_or_else(|| self.error("the second half of a surrogate pair stands alone"))
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
        if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(self.error("'\\u' must be followed by four hexadecimal digits"));
        }
        self.at += 4;
        Ok(digits
            .iter()
            .filter_map(|digit| char::from(*digit).to_digit(16))
            .fold(0, |code, digit| code << 4 | digit))
    }
}
