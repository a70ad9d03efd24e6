//! POSIX extended regular expressions as `match` and `split` take them.
//!
//! Nix hands its expressions to the C++ standard library, whose choices are visible: which escapes are errors, which of
//! two equally long matches fills the groups, what a group holds after an empty repetition. No other engine makes the same
//! ones, so this is one of our own: [`parse`] reads the text, [`program`] lays it out as states, [`run`] walks them.
//!
//! The walk remembers which state failed at which byte, so its time is bounded by their product; the original's is not.
//! Back references do not exist in this grammar.

mod bracket;
mod parse;
mod program;
mod run;
#[cfg(test)]
mod tests;

use std::ops::Range;

use program::Program;

/// Why an expression was refused, or a match given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegexError {
    /// It is not an expression of this grammar.
    #[error("{reason}, at byte {at}")]
    Invalid {
        /// What is wrong.
        reason: &'static str,
        /// Where, counted from zero.
        at: usize,
    },
    /// It has too many states, or needs too much memory on this text.
    #[error("memory limit exceeded")]
    TooLarge,
    /// Looking through this text with it takes too long.
    #[error("time limit exceeded")]
    TooSlow,
}

/// What the groups of one match hold, in the order of their opening parentheses; `None` where a group took no part.
pub(crate) type Groups = Vec<Option<Range<usize>>>;

/// One place where a text matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The bytes that match.
    pub(crate) span: Range<usize>,
    /// What the groups hold.
    pub(crate) groups: Groups,
}

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Regex(Program);

impl Regex {
    /// Compiles an expression.
    pub(crate) fn new(pattern: &[u8]) -> Result<Self, RegexError> {
        program::compile(&parse::parse(pattern)?).map(Self)
    }

    /// The groups, when the expression matches the whole text. `steps` grows by how many states that took.
    pub(crate) fn match_whole(
        &self,
        text: &[u8],
        steps: &mut u64,
    ) -> Result<Option<Groups>, RegexError> {
        run::match_whole(&self.0, text, steps)
    }

    /// Every match, from left to right, each the longest at its place and none overlapping another. `steps` grows by how
    /// many states that took.
    pub(crate) fn find_all(&self, text: &[u8], steps: &mut u64) -> Result<Vec<Found>, RegexError> {
        run::find_all(&self.0, text, steps)
    }
}
