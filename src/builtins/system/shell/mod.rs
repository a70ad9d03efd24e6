//! Follows a maintainer script as a shell would, without running anything.
//!
//! What a script would do is found out by reading it: variables, loops, functions and command substitutions are followed,
//! questions about files are answered from the packages' trees, and every other command is taken to do nothing that
//! matters here. Where an answer cannot be known, both ways are followed and what differs afterwards is unknown. What
//! comes out is which programs would have been called, with which words, and which files would have been written to.
//!
//! This is no shell: arithmetic, jobs and the conditional expressions of bash are read and not understood.

mod expand;
mod interpreter;
mod parser;
mod pattern;
mod test_command;
#[cfg(test)]
mod tests;
mod words;

pub(super) use self::{
    interpreter::{Effect, Script},
    parser::ParseError,
    pattern::matches as pattern_matches,
};

/// What can be known about the system that the script would find.
pub(super) trait World {
    /// What is at a path. `follow` tells whether a link at its end is followed.
    fn find(&self, path: &str, follow: bool) -> Option<Found>;
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A directory.
    Directory,
    /// A file, with or without execute bit.
    File {
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link that was not followed.
    Link,
}

/// A text that may not be known.
pub(super) type Text = Option<String>;
