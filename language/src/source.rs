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
    /// The text of the line, and of those before and after it, where there are any.
    pub lines: [Option<String>; 3],
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
        let nth = |line: usize| file.text.split('\n').nth(line).map(str::to_owned);
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Some(Place {
            file: file.name.clone(),
            line: number(line + 1),
            column: number(offset - line_start + 1),
            lines: [line.checked_sub(1).and_then(nth), nth(line), nth(line + 1)],
        })
    }
}
