//! Which member names a wheel may have.
//!
//! A name becomes a path in the environment, so it must be one path for every reader and on every system, below the
//! place where the wheel is installed. Nothing is cleaned up: a name that would need it is refused.

use std::collections::{HashMap, HashSet};

use super::ArchiveError;

/// The longest path that Linux opens.
const PATH_BYTES: usize = 4_095;
/// The longest name in a directory.
const PART_BYTES: usize = 255;
/// The deepest path that enters the store.
pub(in super::super) const PATH_DEPTH: usize = 64;

/// Checks a member's name, without the slash that marks a directory.
pub(super) fn check(name: &str) -> Result<(), ArchiveError> {
    match problem(name) {
        None => Ok(()),
        Some(problem) => Err(ArchiveError::Name {
            name: name.to_owned(),
            problem,
        }),
    }
}

/// What is wrong with a path inside a wheel, if anything is.
pub(in super::super) fn problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.len() > PATH_BYTES {
        return Some("is longer than 4095 bytes");
    }
    if name.starts_with('/') {
        return Some("is absolute");
    }
    let first_two = name.as_bytes().get(..2);
    if first_two.is_some_and(|start| start[0].is_ascii_alphabetic() && start[1] == b':') {
        return Some("begins like a drive");
    }
    if name.contains('\\') {
        return Some("contains a backslash");
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if !name.bytes().all(is_plain) && !name.chars().all(is_printable) {
        return Some("contains an unprintable character");
    }
    parts_problem(name)
}

fn parts_problem(name: &str) -> Option<&'static str> {
    let mut depth = 0;
    for part in name.split('/') {
        depth += 1;
        match part {
            "" => return Some("has an empty part"),
            "." | ".." => return Some("has a part that is `.` or `..`"),
            _ if part.len() > PART_BYTES => return Some("has a part longer than 255 bytes"),
            _ => {}
        }
    }
    (depth > PATH_DEPTH).then_some("is deeper than 64 directories")
}

/// Whether a terminal shows the character as itself: neither control nor format, unassigned or invisible space.
pub(super) fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    // The standard library knows what is printable, and tells it through its escapes only. Escapes of a whole text,
    // not of one character, leave marks alone that combine with the character before them.
    let mut text = String::from("a");
    text.push(character);
    text.escape_debug().nth(1) == Some(character)
}

/// Two paths that cannot be in one tree.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Conflict<'a> {
    /// The same path for two files, or for a file and a directory.
    Twice(&'a str),
    /// A path that needs a file as its directory.
    Below {
        /// The file.
        file: &'a str,
        /// The path below it.
        name: &'a str,
    },
}

/// Finds a path that occurs twice (directories may) or lies below a file.
pub(in super::super) fn conflict<'a>(
    files: impl Iterator<Item = &'a str> + Clone,
    directories: impl Iterator<Item = &'a str> + Clone,
) -> Option<Conflict<'a>> {
    // Every directory, with a path that needs it. Above a directory that is known, everything is known.
    let mut needed: HashMap<&str, &str> = directories.clone().map(|name| (name, name)).collect();
    for name in files.clone().chain(directories) {
        let mut path = name;
        while let Some((parent, _)) = path.rsplit_once('/') {
            if needed.contains_key(parent) {
                break;
            }
            needed.insert(parent, name);
            path = parent;
        }
    }
    let mut seen = HashSet::new();
    for file in files {
        match needed.get(file) {
            None if seen.insert(file) => {}
            Some(name) if *name != file => return Some(Conflict::Below { file, name }),
            _ => return Some(Conflict::Twice(file)),
        }
    }
    None
}
