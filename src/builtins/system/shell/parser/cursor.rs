//! Where the reader is in a script, and what lies between commands.

use super::{ParseError, Parsed};

/// Nesting beyond this is no maintainer script.
const DEPTH_MAX: usize = 100;

pub(super) struct Cursor<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    /// Here-documents whose bodies begin after the current line, and whether tabs before their ends are dropped.
    pub(super) pending: Vec<(String, bool)>,
    pub(super) depth: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            pending: Vec::new(),
            depth: 0,
        }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    pub(super) fn error(&self, expected: &'static str) -> ParseError {
        let line = self.text[..self.at].matches('\n').count() + 1;
        ParseError { line, expected }
    }

    /// Blanks, comments and continued lines.
    pub(super) fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            if rest.starts_with("\\\n") {
                self.at += 2;
            } else if rest.starts_with([' ', '\t', '\r']) {
                self.at += 1;
            } else if rest.starts_with('#') {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else {
                return;
            }
        }
    }

    /// Everything that may lie between two commands.
    pub(super) fn skip_separators(&mut self) {
        loop {
            self.skip_blanks();
            match self.peek() {
                Some('\n') => self.newline(),
                Some(';') if !self.rest().starts_with(";;") => self.at += 1,
                Some('&') if !self.rest().starts_with("&&") && !self.rest().starts_with("&>") => {
                    self.at += 1
                }
                _ => return,
            }
        }
    }

    pub(super) fn skip_newlines(&mut self) {
        self.skip_blanks();
        while self.peek() == Some('\n') {
            self.newline();
            self.skip_blanks();
        }
    }

    /// Ends the line and passes over the bodies of its here-documents.
    pub(super) fn newline(&mut self) {
        self.at += 1;
        for (end, tabs) in std::mem::take(&mut self.pending) {
            while self.at < self.text.len() {
                let rest = self.rest();
                let line = rest.lines().next().unwrap_or_default();
                self.at += (line.len() + 1).min(rest.len());
                let line = if tabs {
                    line.trim_start_matches('\t')
                } else {
                    line
                };
                if line == end {
                    break;
                }
            }
        }
    }

    /// The bare word that comes next, if one does.
    pub(super) fn next_word(&mut self) -> &'a str {
        self.skip_blanks();
        let rest = self.rest();
        if rest.starts_with(";;") {
            return ";;";
        }
        let end = rest.find(|next: char| next.is_whitespace() || ";&|()<>\"'`$\\".contains(next));
        &rest[..end.unwrap_or(rest.len())]
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.next_word() == word;
        if found {
            self.at += word.len();
        }
        found
    }

    pub(super) fn expect_word(&mut self, word: &'static str) -> Parsed<()> {
        self.skip_newlines();
        if self.eat_word(word) {
            Ok(())
        } else {
            Err(self.error(word))
        }
    }

    pub(super) fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("less nesting"));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }
}
