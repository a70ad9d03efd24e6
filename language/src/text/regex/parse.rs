//! The grammar: text to tree.
//!
//! ```text
//! alternatives = sequence ("|" sequence)*
//! sequence     = (assertion | atom quantifier*)*
//! assertion    = "^" | "$"
//! atom         = "." | byte | "\" special | "(" alternatives ")" | bracket
//! quantifier   = "*" | "+" | "?" | "{" n "}" | "{" n ",}" | "{" n "," m "}"
//! ```
//!
//! Only the special bytes `.[\()*+?{|^$` may be escaped. An empty sequence matches the empty text. A quantifier without an
//! atom before it is an error, also after an assertion.

use super::RegexError;
use super::bracket::{self, ByteSet};

/// How deep groups may nest; what reads and lays out the tree recurses this far.
const MAX_DEPTH: usize = 250;
/// The bytes that mean something outside of brackets, and may be escaped there.
const SPECIAL: &[u8] = b".[\\()*+?{|^$";

/// One node of an expression.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    Byte(u8),
    Set(Box<ByteSet>),
    Start,
    End,
    Group(usize, Box<Self>),
    Sequence(Vec<Self>),
    Alternatives(Vec<Self>),
    Repeat {
        node: Box<Self>,
        min: u32,
        max: Option<u32>,
    },
}

/// A tree and how many groups it has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) root: Node,
    pub(super) groups: usize,
}

/// Reads an expression.
pub(super) fn parse(pattern: &[u8]) -> Result<Tree, RegexError> {
    let mut parser = Parser {
        pattern,
        at: 0,
        groups: 0,
        depth: 0,
    };
    let root = parser.alternatives()?;
    match parser.peek() {
        None => Ok(Tree {
            root,
            groups: parser.groups,
        }),
        Some(b')') => Err(parser.invalid("')' without '('")),
        Some(_) => Err(parser.invalid("nothing to repeat")),
    }
}

struct Parser<'a> {
    pattern: &'a [u8],
    at: usize,
    groups: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.pattern.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn invalid(&self, reason: &'static str) -> RegexError {
        RegexError::Invalid {
            reason,
            at: self.at,
        }
    }

    fn alternatives(&mut self) -> Result<Node, RegexError> {
        let mut alternatives = vec![self.sequence()?];
        while self.take(b'|') {
            alternatives.push(self.sequence()?);
        }
        Ok(one_or(alternatives, Node::Alternatives))
    }

    /// Ends before `|`, `)`, a quantifier without an atom, and the end of the text.
    fn sequence(&mut self) -> Result<Node, RegexError> {
        let mut nodes = Vec::new();
        loop {
            let node = match self.peek() {
                Some(b'^') => {
                    self.at += 1;
                    Node::Start
                }
                Some(b'$') => {
                    self.at += 1;
                    Node::End
                }
                None | Some(b'|' | b')' | b'*' | b'+' | b'?' | b'{') => break,
                Some(byte) => {
                    let mut node = self.atom(byte)?;
                    while let Some((min, max)) = self.quantifier()? {
                        node = Node::Repeat {
                            node: Box::new(node),
                            min,
                            max,
                        };
                        self.depth += 1;
                        if self.depth > MAX_DEPTH {
                            return Err(RegexError::TooLarge);
                        }
                    }
                    node
                }
            };
            nodes.push(node);
        }
        Ok(one_or(nodes, Node::Sequence))
    }

    fn atom(&mut self, byte: u8) -> Result<Node, RegexError> {
        self.at += 1;
        match byte {
            0 => Err(self.invalid("unexpected null byte")),
            b'.' => Ok(Node::Set(Box::new(ByteSet::any()))),
            b'\\' => match self.peek() {
                Some(escaped) if SPECIAL.contains(&escaped) => {
                    self.at += 1;
                    Ok(Node::Byte(escaped))
                }
                Some(_) => Err(self.invalid("only one of .[\\()*+?{|^$ may follow '\\'")),
                None => Err(self.invalid("'\\' at the end")),
            },
            b'[' => {
                let (set, end) = bracket::parse(self.pattern, self.at)?;
                self.at = end;
                Ok(Node::Set(Box::new(set)))
            }
            b'(' => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(RegexError::TooLarge);
                }
                let depth = self.depth;
                let group = self.groups;
                self.groups += 1;
                let inner = self.alternatives()?;
                match self.peek() {
                    Some(b')') => self.at += 1,
                    None => return Err(self.invalid("'(' without ')'")),
                    Some(_) => return Err(self.invalid("nothing to repeat")),
                }
                self.depth = depth - 1;
                Ok(Node::Group(group, Box::new(inner)))
            }
            byte => Ok(Node::Byte(byte)),
        }
    }

    fn quantifier(&mut self) -> Result<Option<(u32, Option<u32>)>, RegexError> {
        let bounds = match self.peek() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            Some(b'{') => {
                self.at += 1;
                return self.interval().map(Some);
            }
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(bounds))
    }

    fn interval(&mut self) -> Result<(u32, Option<u32>), RegexError> {
        let Some(min) = self.count()? else {
            return Err(self.invalid("'{' must be followed by a number"));
        };
        let max = if self.take(b',') {
            self.count()?
        } else {
            Some(min)
        };
        if !self.take(b'}') {
            return Err(self.invalid("expected '}'"));
        }
        if max.is_some_and(|max| max < min) {
            return Err(self.invalid("the bounds of '{}' are in the wrong order"));
        }
        Ok((min, max))
    }

    fn count(&mut self) -> Result<Option<u32>, RegexError> {
        let start = self.at;
        let mut count: u32 = 0;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            count = count
                .checked_mul(10)
                .and_then(|count| count.checked_add(u32::from(digit - b'0')))
                .filter(|count| i32::try_from(*count).is_ok())
                .ok_or_else(|| self.invalid("the number is too large"))?;
            self.at += 1;
        }
        Ok((self.at > start).then_some(count))
    }
}

fn one_or(mut nodes: Vec<Node>, several: fn(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(node) if nodes.is_empty() => node,
        Some(node) => {
            nodes.push(node);
            several(nodes)
        }
        None => Node::Sequence(nodes),
    }
}
