//! The syntax tree: commands and the words they are made of.

use std::rc::Rc;

/// A command, however large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Assignments, then a name with its arguments.
    Simple {
        assignments: Vec<(String, Word)>,
        words: Vec<Word>,
        silent: bool,
    },
    /// One after the other.
    Sequence(Vec<Self>),
    /// Each reads what the one before it writes.
    Pipeline(Vec<Self>),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    /// Conditions with what they guard, then what remains.
    If {
        arms: Vec<(Self, Self)>,
        otherwise: Box<Self>,
    },
    /// Over the words, or over the arguments where none are given.
    For {
        variable: String,
        words: Option<Vec<Word>>,
        body: Box<Self>,
    },
    While {
        condition: Box<Self>,
        until: bool,
        body: Box<Self>,
    },
    Case {
        word: Word,
        arms: Vec<(Vec<Word>, Self)>,
    },
    Function {
        name: String,
        body: Rc<Self>,
    },
    /// What happens inside to variables stays inside.
    Subshell(Box<Self>),
    /// The files that what comes next writes to.
    Writes(Vec<Word>),
    /// Something of bash whose result is not known.
    Opaque,
}

/// A word before it is expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word(pub(super) Vec<Part>);

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Literal {
        text: String,
        quoted: bool,
    },
    Parameter {
        name: String,
        operation: Operation,
        quoted: bool,
    },
    Substitution {
        command: Rc<Command>,
        quoted: bool,
    },
    /// Arithmetic and what only bash knows.
    Unknown,
}

/// What is done with a parameter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    Value,
    Length,
    /// `${name:-word}`; the flag tells whether an empty value counts as unset, as the colon says.
    Default {
        word: Word,
        empty: bool,
    },
    /// `${name:=word}`
    Assign {
        word: Word,
        empty: bool,
    },
    /// `${name:+word}`
    Alternative {
        word: Word,
        empty: bool,
    },
    /// `${name#pattern}`, `${name%%pattern}`
    Remove {
        pattern: Word,
        prefix: bool,
        longest: bool,
    },
    Unknown,
}

impl Word {
    /// The text, when the word is plain and nothing in it is quoted: only then can it be a reserved word.
    pub(super) fn bare(&self) -> Option<&str> {
        match self.0.as_slice() {
            [
                Part::Literal {
                    text,
                    quoted: false,
                },
            ] => Some(text),
            _ => None,
        }
    }
}
