//! A bound on how deep a text nests, checked on its tokens before any parser recurses into it.
//!
//! The syntax library has a bound of its own, but it counts expressions only: operators, negations and applications nest as well, in the parser and when the tree is freed. The bound here is
//! on the safe side. It counts a full level for brackets, functions and keywords, and a little for every other token
//! that may be a link of a chain; what separates elements (`;`, `,`, blanks in a list) ends a chain.

use rnix::SyntaxKind::{self, *};

/// Far above what people write, and below what the stack of an evaluation holds. The parser itself goes into 512
/// expressions; this bounds chains, which it reads without going deeper but whose trees are as deep as they are long.
const MAX_DEPTH: usize = 10_000;
/// The sum of the lengths of all chains, each counted at each of its links: the syntax library may look at a whole chain
/// for each link of it.
const MAX_CHAINS: usize = 100_000_000;
/// What a full level weighs against a link of a chain.
const LEVEL: usize = 10;

/// Where and why `text` is too much for a parser, if it is.
pub(super) fn too_much(text: &str) -> Option<(usize, String)> {
    let mut counter = Counter::default();
    let mut words = Words::new(text);
    let mut offset = 0;
    let mut chains = 0;
    for (kind, token) in rnix::tokenize(text) {
        counter.token(kind);
        if counter.outer + counter.chain > MAX_DEPTH * LEVEL {
            let message = format!("the text nests deeper than {MAX_DEPTH} levels");
            return Some((offset, message));
        }
        chains += counter.chain;
        if chains > MAX_CHAINS {
            let message = "chains of operators as long as these cannot be read in reasonable time";
            return Some((offset, message.to_owned()));
        }
        if !words.allow(offset) {
            let message = "too much text without a blank: this cannot be read in reasonable time";
            return Some((offset, message.to_owned()));
        }
        offset += token.len();
    }
    None
}

/// At the start of each token the tokenizer looks ahead for a path or an address, to the end of what may be one. In a
/// text that is one long word, every token looks at all of it.
struct Words<'t> {
    text: &'t [u8],
    /// The end of the word that was looked at last.
    end: usize,
    /// How many more bytes may be looked at.
    left: usize,
}

impl<'t> Words<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text: text.as_bytes(),
            end: 0,
            // What people write has words of some letters; this is for a few hundred tokens in each.
            left: (1 << 24) + 16 * text.len(),
        }
    }

    /// Counts what is looked at from here on; `false` when that is too much in all.
    fn allow(&mut self, offset: usize) -> bool {
        if offset >= self.end {
            let rest = self.text.get(offset..).unwrap_or_default();
            let length = rest.iter().position(|byte| !may_be_in_path(*byte));
            self.end = offset + length.unwrap_or(rest.len());
        }
        let looked_at = self.end.saturating_sub(offset);
        self.left = self.left.saturating_sub(looked_at);
        self.left > 0
    }
}

fn may_be_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-+/<~".contains(&byte)
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
