//! What strings say: escapes, and the indentation of `''` strings.
//!
//! Source of the rules: the lexer of Nix and its manual, "String".

/// A part of a string: text, or the number of an expression in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Expression(usize),
}

/// The parts of a string as the syntax library gives them: raw text, or the number of an expression.
pub(super) enum Raw {
    Text(String),
    Expression(usize),
}

/// A string in double quotes.
pub(super) fn plain(parts: Vec<Raw>) -> Vec<Part> {
    let parts = parts.into_iter().map(|part| match part {
        Raw::Text(text) => Part::Text(unescape(&text)),
        Raw::Expression(number) => Part::Expression(number),
    });
    parts.collect()
}

fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut letters = raw.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => {}
            },
            // Lines end with a line feed, however the file was saved.
            '\r' => {
                letters.next_if_eq(&'\n');
                text.push('\n');
            }
            letter => text.push(letter),
        }
    }
    text
}

/// A piece of an indented string. The text of escapes is no indentation.
enum Piece {
    Text { text: String, is_escape: bool },
    Expression(usize),
}

/// A string in pairs of single quotes.
pub(super) fn indented(parts: Vec<Raw>) -> Vec<Part> {
    let mut pieces = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        match part {
            Raw::Expression(number) => pieces.push(Piece::Expression(number)),
            Raw::Text(raw) => cut(
                if index == 0 { first_line(&raw) } else { &raw },
                &mut pieces,
            ),
        }
    }
    strip(&pieces, indentation(&pieces))
}

/// The text without a first line of blanks.
fn first_line(raw: &str) -> &str {
    match raw.trim_start_matches(' ').strip_prefix('\n') {
        Some(rest) => rest,
        None => raw,
    }
}

/// Cuts raw text at its escapes.
fn cut(raw: &str, pieces: &mut Vec<Piece>) {
    let mut text = String::new();
    let mut rest = raw;
    let flush = |text: &mut String, pieces: &mut Vec<Piece>| {
        if !text.is_empty() {
            let text = std::mem::take(text);
            let is_escape = false;
            pieces.push(Piece::Text { text, is_escape });
        }
    };
    while let Some(letter) = rest.chars().next() {
        let escape = if let Some(after) = rest.strip_prefix("'''") {
            Some(("''".to_owned(), after))
        } else if let Some(after) = rest.strip_prefix("''$") {
            Some(("$".to_owned(), after))
        } else if let Some(after) = rest.strip_prefix("''\\") {
            let mut letters = after.chars();
            let escaped = match letters.next() {
                Some('n') => "\n".to_owned(),
                Some('r') => "\r".to_owned(),
                Some('t') => "\t".to_owned(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            Some((escaped, letters.as_str()))
        } else {
            None
        };
        match escape {
            Some((escaped, after)) => {
                flush(&mut text, pieces);
                pieces.push(Piece::Text {
                    text: escaped,
                    is_escape: true,
                });
                rest = after;
            }
            None => {
                text.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    flush(&mut text, pieces);
}

/// The smallest indentation of a line that holds more than blanks.
fn indentation(pieces: &[Piece]) -> usize {
    let mut at_line_start = true;
    let mut least = usize::MAX;
    let mut current = 0;
    for piece in pieces {
        match piece {
            Piece::Text {
                text,
                is_escape: false,
            } => {
                for letter in text.chars() {
                    match letter {
                        ' ' if at_line_start => current += 1,
                        '\n' => (at_line_start, current) = (true, 0),
                        _ if at_line_start => {
                            at_line_start = false;
                            least = least.min(current);
                        }
                        _ => {}
                    }
                }
            }
            _ if at_line_start => {
                at_line_start = false;
                least = least.min(current);
            }
            _ => {}
        }
    }
    least
}

fn strip(pieces: &[Piece], indentation: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at_line_start = true;
    let mut dropped = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let text = match piece {
            Piece::Expression(number) => {
                (at_line_start, dropped) = (false, 0);
                parts.push(Part::Expression(*number));
                continue;
            }
            Piece::Text { text, .. } => text,
        };
        let mut kept = String::with_capacity(text.len());
        for letter in text.chars() {
            if at_line_start && letter == ' ' {
                if dropped >= indentation {
                    kept.push(letter);
                }
                dropped += 1;
                continue;
            }
            at_line_start = letter == '\n';
            dropped = 0;
            kept.push(letter);
        }
        if index + 1 == pieces.len()
            && let Some(end) = kept.rfind('\n')
            && kept[end + 1..].bytes().all(|byte| byte == b' ')
        {
            // The blanks before the closing quotes.
            kept.truncate(end + 1);
        }
        match parts.last_mut() {
            _ if kept.is_empty() => {}
            Some(Part::Text(before)) => before.push_str(&kept),
            _ => parts.push(Part::Text(kept)),
        }
    }
    parts
}
