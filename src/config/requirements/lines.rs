//! From the text of a requirements file to its lines, by pip's rules: a backslash joins, a comment ends.

use super::super::credentials;
use super::super::position::{Position, saturate};

/// One line with its continuations, without comments and without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    /// Where it starts.
    pub(super) position: Position,
    /// Whether an address in it had a user, a password or a signature.
    pub(super) had_credentials: bool,
}

/// Splits a text; lines that say nothing are left out.
pub(super) fn split(text: &str) -> Vec<Line> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let mut open: Option<Line> = None;
    for (index, raw) in text.lines().enumerate() {
        let comment = raw.trim_start().starts_with('#');
        let (part, continued) = match raw.strip_suffix('\\') {
            Some(part) if !comment => (part, true),
            _ => (raw, false),
        };
        let mut line = open.take().unwrap_or_else(|| Line {
            text: String::new(),
            position: Position {
                line: saturate(index + 1),
                column: saturate(raw.chars().take_while(|c| c.is_whitespace()).count() + 1),
            },
            had_credentials: false,
        });
        // A comment between continued lines ends the requirement, and is no part of its last word.
        line.text.push_str(if comment { " #" } else { part });
        if continued {
            open = Some(line);
        } else {
            found.push(line);
        }
    }
    found.extend(open);
    for line in &mut found {
        let text = without_comment(&line.text).trim();
        let clean = credentials::removed(text);
        line.had_credentials = clean.is_some();
        line.text = clean.unwrap_or_else(|| text.to_owned());
    }
    found.retain(|line| !line.text.is_empty());
    found
}

/// A comment starts the line, or follows white space. Elsewhere it is one only where no address or path comes before:
/// `pkg#why` has a comment, `pkg @ https://host/x#egg=x` has none.
fn without_comment(text: &str) -> &str {
    let is_comment = |at: &usize| {
        let before = &text[..*at];
        before.is_empty() || before.ends_with(char::is_whitespace) || !before.contains('/')
    };
    let starts = text.match_indices('#').map(|(at, _)| at);
    let end = starts.into_iter().find(is_comment).unwrap_or(text.len());
    &text[..end]
}
