//! What strings refer to in the store.

/// What one string refers to: elements in order, each once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    elements: &'a [ContextElement<'a>],
}

/// One thing in the store that a string refers to. Paths are whole store paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContextElement<'a> {
    /// A path as it is: a source, a text, or the file of a derivation.
    Path(&'a str),
    /// A derivation's file with everything that it stands on, outputs included.
    DeepDerivation(&'a str),
    /// An output of a derivation.
    Output {
        /// The derivation's file.
        derivation: &'a str,
        /// The output's name.
        output: &'a str,
    },
}

impl<'a> Context<'a> {
    /// Refers to nothing.
    pub const EMPTY: Self = Self { elements: &[] };

    /// Takes elements that are in order, each once.
    pub(crate) fn from_sorted(elements: &'a [ContextElement<'a>]) -> Self {
        debug_assert!(elements.windows(2).all(|pair| pair[0] < pair[1]));
        Self { elements }
    }

    /// Whether it refers to nothing.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// What it refers to.
    pub fn elements(&self) -> &'a [ContextElement<'a>] {
        self.elements
    }
}
