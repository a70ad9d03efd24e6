//! Places in a text file, and values that remember theirs.

use serde::Serialize;

/// A place in a text file; both numbers count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Position {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place of a byte offset in `text`; an offset past the end means the end.
    pub fn of_offset(text: &str, offset: usize) -> Self {
        let offset = text.floor_char_boundary(offset.min(text.len()));
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: saturate(before.bytes().filter(|byte| *byte == b'\n').count() + 1),
            column: saturate(before[line_start..].chars().count() + 1),
        }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// A line or column number of a size that files do not reach; larger ones are shown as the largest.
pub(super) fn saturate(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A value read from a file, with the place where it stands.
///
/// Later stages keep it, so that a message about a package that cannot be found points at the line that asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// What was read.
    pub value: T,
    /// Where it starts.
    pub position: Position,
}

impl<T> Spanned<T> {
    /// Joins a value and its place.
    pub fn new(value: T, position: Position) -> Self {
        Self { value, position }
    }

    /// Another value at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned {
            value: change(self.value),
            position: self.position,
        }
    }
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_lines_and_characters() {
        let text = "ä: 1\nbé: 2\n";
        for (offset, expected) in [
            (0, "1:1"),
            (2, "1:2"),
            (6, "2:1"),
            (9, "2:3"),
            (1, "1:1"),
            (99, "3:1"),
        ] {
            assert_eq!(
                Position::of_offset(text, offset).to_string(),
                expected,
                "offset {offset}"
            );
        }
    }
}
