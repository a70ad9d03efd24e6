//! TOML: what `fromTOML` accepts.
//!
//! The crate reads TOML 1.1, Nix reads 1.0: line breaks, comments and a comma at the end within inline tables and two escapes
//! came between, and are refused here.

/// The text is not TOML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TomlError(String);

/// Reads a document.
pub(crate) fn parse(text: &[u8]) -> Result<toml::Table, TomlError> {
    let text = std::str::from_utf8(text)
        .map_err(|error| TomlError(format!("invalid UTF-8 after byte {}", error.valid_up_to())))?;
    let table = text
        .parse()
        .map_err(|error: toml::de::Error| TomlError(error.to_string().trim_end().to_owned()))?;
    match Scanner::new(text).newer_syntax() {
        None => Ok(table),
        Some((line, what)) => Err(TomlError(format!("line {line}: {what}"))),
    }
}

/// Looks for what TOML 1.0 does not have, in a text that is TOML.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    const fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
        }
    }

    fn newer_syntax(mut self) -> Option<(usize, &'static str)> {
        self.find().map(|what| {
            let before = &self.text[..self.at.min(self.text.len())];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            (line, what)
        })
    }

    fn find(&mut self) -> Option<&'static str> {
        let mut open = Vec::new();
        let mut comma = false;
        while let Some(byte) = self.text.get(self.at).copied() {
            let inline = open.last() == Some(&b'{');
            match byte {
                b'"' | b'\'' => {
                    if let Some(what) = self.skip_string(byte) {
                        return Some(what);
                    }
                }
                b'{' | b'[' => open.push(byte),
                b'}' if comma => return Some("an inline table must not end with a comma"),
                b'}' | b']' => {
                    open.pop();
                }
                b'\n' | b'#' if inline => return Some("an inline table must be on one line"),
                b'#' => self.skip_comment(),
                _ => {}
            }
            if !matches!(byte, b' ' | b'\t') {
                comma = inline && byte == b',';
            }
            self.at += 1;
        }
        None
    }

    /// Stops before the line break.
    fn skip_comment(&mut self) {
        while self
            .text
            .get(self.at + 1)
            .is_some_and(|byte| *byte != b'\n')
        {
            self.at += 1;
        }
    }

    /// Stops at the closing quote.
    fn skip_string(&mut self, quote: u8) -> Option<&'static str> {
        let three = [quote; 3];
        let multiline = self.text[self.at..].starts_with(&three);
        self.at += if multiline { 3 } else { 1 };
        while let Some(byte) = self.text.get(self.at).copied() {
            if byte == b'\\' && quote == b'"' {
                self.at += 1;
                if let Some(b'e' | b'x') = self.text.get(self.at) {
                    return Some("unknown escape");
                }
            } else if !multiline && byte == quote {
                return None;
            } else if multiline && self.text[self.at..].starts_with(&three) {
                // Up to two quotes before the closing ones belong to the string.
                let rest = &self.text[self.at..];
                self.at += rest.iter().take_while(|byte| **byte == quote).count() - 1;
                return None;
            }
            self.at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_1_0_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
        };
        check(
            "a = { x = 1, }",
            "line 1: an inline table must not end with a comma",
        );
        check(
            "\na = { x = 1\n}",
            "line 2: an inline table must be on one line",
        );
        check(
            "a = { x = [1] # no\n}",
            "line 1: an inline table must be on one line",
        );
        check("a = \"\\e\"", "line 1: unknown escape");
        check("a = \"\"\"\n\\x41\"\"\"", "line 2: unknown escape");
    }

    #[test]
    fn what_only_looks_like_it_is_read() {
        for text in [
            "a = \"{\"\nb = 1",
            "a = [\n 1, # one\n 2,\n]",
            "a = { x = [\n1,\n] }",
            "a = '''{\n'''\nb = 1",
            "a = \"\"\"x\"\"\"\"\"\nb = { c = 'x,' }",
            "# {\na = '\\e'",
            "a = \"\\\\e\"",
            "[a]\n[[b]]\nc = {}",
        ] {
            assert!(parse(text.as_bytes()).is_ok(), "{text}");
        }
    }
}
