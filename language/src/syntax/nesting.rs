//! A bound on how deep a text nests, checked on its tokens before any parser recurses into it.
//!
//! The syntax library has a bound of its own, but it counts expressions only: operators, negations and applications nest as well, in the parser and when the tree is freed. The bound here is
//! on the safe side. It counts a full level for brackets, functions and keywords, and a little for every other token
//! that may be a link of a chain; what separates elements (`;`, `,`, blanks in a list) ends a chain.

use rnix::SyntaxKind::{self, *};

/// Far above what people write, and below what the stack of an evaluation holds. The parser itself goes into 512
/// expressions; this bounds chains, which it reads without going deeper but whose trees are as deep as they are long.
pub(super) const MAX_DEPTH: usize = 10_000;
/// What a full level weighs against a link of a chain.
const LEVEL: usize = 10;

/// The byte offset at which `text` nests too deep, if it does.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    let mut counter = Counter::default();
    let mut offset = 0;
    for (kind, token) in rnix::tokenize(text) {
        counter.token(kind);
        if counter.outer + counter.chain > MAX_DEPTH * LEVEL {
            return Some(offset);
        }
        offset += token.len();
    }
    None
}

/// The weight of what is open at one token.
#[derive(Default)]
struct Counter {
    open: Vec<Level>,
    /// The weight of everything around the innermost bracket.
    outer: usize,
    /// The weight of the chain inside it.
    chain: usize,
    /// How many semicolons inside it belong to `with` and `assert`, which go on after them.
    continuing: usize,
}

/// An open bracket, or a `let` that waits for its `in`, and the counts around it.
struct Level {
    kind: LevelKind,
    outer: usize,
    continuing: usize,
}

#[derive(PartialEq, Clone, Copy)]
enum LevelKind {
    List,
    Let,
    Other,
}

impl Counter {
    fn token(&mut self, kind: SyntaxKind) {
        match kind {
            TOKEN_L_BRACK => self.enter(LevelKind::List),
            TOKEN_LET => self.enter(LevelKind::Let),
            TOKEN_L_PAREN | TOKEN_L_BRACE | TOKEN_INTERPOL_START => self.enter(LevelKind::Other),
            TOKEN_IN => {
                if self.innermost() == Some(LevelKind::Let) {
                    self.leave(LEVEL);
                }
            }
            TOKEN_R_PAREN | TOKEN_R_BRACE | TOKEN_R_BRACK | TOKEN_INTERPOL_END => {
                // The old `let { … }` has no `in`.
                while self.innermost() == Some(LevelKind::Let) {
                    self.leave(0);
                }
                self.leave(1);
            }
            TOKEN_SEMICOLON if self.continuing > 0 => self.continuing -= 1,
            TOKEN_SEMICOLON | TOKEN_COMMA => self.chain = 0,
            TOKEN_WITH | TOKEN_ASSERT => {
                self.continuing += 1;
                self.chain += LEVEL;
            }
            TOKEN_IF | TOKEN_THEN | TOKEN_ELSE | TOKEN_COLON => self.chain += LEVEL,
            TOKEN_WHITESPACE | TOKEN_COMMENT | TOKEN_STRING_CONTENT | TOKEN_STRING_END => {}
            _ if self.innermost() == Some(LevelKind::List) && is_element(kind) => {}
            _ => self.chain += 1,
        }
    }

    fn innermost(&self) -> Option<LevelKind> {
        self.open.last().map(|level| level.kind)
    }

    fn enter(&mut self, kind: LevelKind) {
        self.open.push(Level {
            kind,
            outer: self.outer,
            continuing: self.continuing,
        });
        self.outer += self.chain + LEVEL;
        (self.chain, self.continuing) = (0, 0);
    }

    /// Closes the innermost level, which becomes a link of the chain around it unless it is a list's element.
    fn leave(&mut self, link: usize) {
        if let Some(level) = self.open.pop() {
            let link = if self.innermost() == Some(LevelKind::List) {
                0
            } else {
                link
            };
            self.chain = self.outer - level.outer - LEVEL + link;
            (self.outer, self.continuing) = (level.outer, level.continuing);
        }
    }
}

/// What is a list's element, or part of one, without nesting in the one before it.
fn is_element(kind: SyntaxKind) -> bool {
    matches!(
        kind,
        TOKEN_IDENT
            | TOKEN_INTEGER
            | TOKEN_FLOAT
            | TOKEN_DOT
            | TOKEN_STRING_START
            | TOKEN_URI
            | TOKEN_PATH_ABS
            | TOKEN_PATH_HOME
            | TOKEN_PATH_REL
            | TOKEN_PATH_SEARCH
    )
}
