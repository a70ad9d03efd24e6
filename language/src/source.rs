//! The texts that are evaluated, and places in them.

use std::cell::RefCell;
use std::fmt;

/// A place in some text: a byte of all texts together. [`Pos::NONE`] is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pos(u32);

impl Pos {
    /// No place: what the program itself made.
    pub const NONE: Self = Self(0);
}

/// A place as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, or what else the text was called.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in bytes, from 1, as Nix counts.
    pub column: u32,
    /// The text of the line, and of those before and after it, where there are any. Of long lines it is a part.
    pub lines: [Option<String>; 3],
    /// Where in the line's text the column is: how many letters are before it.
    pub mark: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Every text of one evaluation.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    files: RefCell<Vec<Source>>,
}

#[derive(Debug)]
struct Source {
    name: String,
    text: String,
    /// The position of its first byte.
    start: u32,
    origin: Origin,
}

/// Where a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file, with its path as the language sees it.
    File(String),
    /// Given as a text: it has places for messages, but none that the language tells.
    Given,
    /// Part of the program: its places say nothing to a reader.
    Own,
}

impl Sources {
    /// Adds a text; positions in it count from what is returned. `None` when all texts together are too long.
    pub(crate) fn add(&self, name: &str, text: &str, origin: Origin) -> Option<u32> {
        let mut files = self.files.borrow_mut();
        let start = match files.last() {
            None => 1,
            Some(last) => last
                .start
                .checked_add(u32::try_from(last.text.len()).ok()?)?
                .checked_add(1)?,
        };
        start.checked_add(u32::try_from(text.len()).ok()?)?;
        files.push(Source {
            name: name.to_owned(),
            text: text.to_owned(),
            start,
            origin,
        });
        Some(start)
    }

    /// The position of a byte in the text that starts at `start`.
    pub(crate) fn pos(start: u32, offset: usize) -> Pos {
        Pos(u32::try_from(offset).map_or(0, |offset| start.saturating_add(offset)))
    }

    /// The path of the file that a position is in; `None` where it is in none.
    pub(crate) fn path(&self, pos: Pos) -> Option<String> {
        let files = self.files.borrow();
        let index = files.partition_point(|file| file.start <= pos.0);
        match &files.get(index.checked_sub(1)?)?.origin {
            Origin::File(path) if pos != Pos::NONE => Some(path.clone()),
            _ => None,
        }
    }

    /// Where a position is; `None` for no position and for the program's own texts.
    pub(crate) fn place(&self, pos: Pos) -> Option<Place> {
        if pos == Pos::NONE {
            return None;
        }
        let files = self.files.borrow();
        let index = files.partition_point(|file| file.start <= pos.0);
        let file = files.get(index.checked_sub(1)?)?;
        if file.origin == Origin::Own {
            return None;
        }
        let offset = ((pos.0 - file.start) as usize).min(file.text.len());
        let before = &file.text.as_bytes()[..offset];
        let line = before.iter().filter(|byte| **byte == b'\n').count();
        let line_start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |index| index + 1);
        let nth = |line: usize| file.text.split('\n').nth(line);
        let start = |line: usize| nth(line).map(|text| part_of(text, 0).0);
        let (text, mark) = part_of(nth(line).unwrap_or_default(), offset - line_start);
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Some(Place {
            file: file.name.clone(),
            line: number(line + 1),
            column: number(offset - line_start + 1),
            lines: [
                line.checked_sub(1).and_then(start),
                Some(text),
                start(line + 1),
            ],
            mark,
        })
    }
}

/// The longest part of a line that is shown, in bytes, and how much of it is before the column.
const LONGEST_PART: usize = 120;
const BEFORE_COLUMN: usize = 80;

/// The part of a line around a column, and how many letters of it are before the column.
fn part_of(line: &str, column: usize) -> (String, usize) {
    let column = line.floor_char_boundary(column);
    let start = match column + (LONGEST_PART - BEFORE_COLUMN) > LONGEST_PART {
        true if line.len() > LONGEST_PART => line.floor_char_boundary(column - BEFORE_COLUMN),
        _ => 0,
    };
    let end = line.floor_char_boundary(start + LONGEST_PART);
    let before = if start > 0 { "…" } else { "" };
    let after = if end < line.len() { "…" } else { "" };
    let mark = before.chars().count() + line[start..column].chars().count();
    (format!("{before}{}{after}", &line[start..end]), mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_shown_around_the_column() {
        let letters = "abcdefghij".repeat(30);
        assert_eq!(part_of("short é line", 9), ("short é line".to_owned(), 8));
        assert_eq!(part_of("short", 5), ("short".to_owned(), 5));
        assert_eq!(part_of(&letters, 5), (format!("{}…", &letters[..120]), 5));
        let (text, mark) = part_of(&letters, 200);
        assert_eq!((text.chars().count(), mark), (122, 81));
        assert_eq!(text.chars().nth(mark), Some('a'));
        let (text, mark) = part_of(&letters, 300);
        assert_eq!((text.chars().count(), mark), (81, 81));
        // Columns count bytes, marks letters.
        let (text, mark) = part_of(&"é".repeat(200), 301);
        assert_eq!(text.chars().nth(mark), Some('é'));
    }
}
