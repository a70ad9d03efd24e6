//! Nix syntax as literal values, each with its place.
//!
//! Reads the syntax tree of `rnix` and checks what the grammar does not: one key is set once, also through nested paths
//! (`a.b = 1; a.c = 2;` is one set, `a = 1; a.b = 2;` is a mistake, as in Nix).

use std::collections::BTreeMap;

use rnix::ast::{self, AstNode, Attr, Entry, Expr, HasEntry, InterpolPart, LiteralKind};
use rnix::{ParseError, Root, TextRange};

use super::error::{SpecError, SpecReason};
use super::{MAX_BYTES, nesting};

/// What one file says.
pub(super) struct Document<'t> {
    pub(super) text: &'t str,
    pub(super) file: &'t str,
    pub(super) root: Set,
}

/// A set of values by key.
pub(super) type Set = BTreeMap<String, Value>;

/// A value, and the bytes at which it and its key start.
pub(super) struct Value {
    pub(super) offset: usize,
    pub(super) key_offset: usize,
    pub(super) content: Content,
}

/// Literals, and what stands for everything that is none.
pub(super) enum Content {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Value>),
    /// A path relative to the file, as written.
    Path(String),
    Set(Set),
    /// An expression, in words. It is a mistake only where someone reads it.
    Expression(&'static str),
}

impl Content {
    /// The kind of value, in words.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "a number",
            Self::Boolean(_) => "a truth value",
            Self::List(_) => "a list",
            Self::Path(_) => "a path",
            Self::Set(_) => "a set",
            Self::Expression(what) => what,
        }
    }
}

impl Document<'_> {
    /// An error at a byte of the text.
    pub(super) fn error(&self, offset: usize, reason: SpecReason) -> SpecError {
        error(self.text, self.file, offset, reason)
    }
}

/// Reads a text whose whole is one set.
pub(super) fn read<'t>(text: &'t str, file: &'t str) -> Result<Document<'t>, SpecError> {
    if text.len() > MAX_BYTES {
        return Err(error(
            text,
            file,
            0,
            SpecReason::TooLarge { limit: MAX_BYTES },
        ));
    }
    if let Some(offset) = nesting::too_deep(text) {
        return Err(error(
            text,
            file,
            offset,
            SpecReason::TooDeep {
                limit: nesting::MAX_DEPTH,
            },
        ));
    }
    let parsed = Root::parse(text);
    if let Some(problem) = parsed.errors().first() {
        let (offset, message) = describe(problem, text.len());
        return Err(error(text, file, offset, SpecReason::Syntax(message)));
    }
    let reader = Reader { text, file };
    let Some(expression) = parsed.tree().expr() else {
        return Err(error(
            text,
            file,
            0,
            SpecReason::Syntax("the file holds no expression".to_owned()),
        ));
    };
    let offset = offset_of(&expression);
    let value = reader.value(expression)?;
    let Content::Set(root) = value.content else {
        let found = value.content.describe();
        let reason = SpecReason::WrongType {
            key: "the spec".to_owned(),
            expected: "a set",
            found,
        };
        return Err(error(text, file, offset, reason));
    };
    Ok(Document { text, file, root })
}

struct Reader<'t> {
    text: &'t str,
    file: &'t str,
}

impl Reader<'_> {
    fn value(&self, expression: Expr) -> Result<Value, SpecError> {
        let offset = offset_of(&expression);
        let content = match expression {
            Expr::Paren(inner) => match inner.expr() {
                Some(inner) => return self.value(inner),
                None => Content::Expression("nothing"),
            },
            Expr::Str(string) => text_of(&string)
                .map_or(Content::Expression("an interpolated string"), Content::Text),
            Expr::Literal(literal) => match literal.kind() {
                LiteralKind::Integer(number) => match number.value() {
                    Ok(number) => Content::Integer(number),
                    Err(_) => Content::Expression("a number that is too large"),
                },
                LiteralKind::Float(_) => Content::Expression("a number with a fraction"),
                LiteralKind::Uri(_) => Content::Expression("a URL without quotes"),
            },
            Expr::Ident(name) => match name.to_string().as_str() {
                "true" => Content::Boolean(true),
                "false" => Content::Boolean(false),
                "null" => Content::Expression("null"),
                _ => Content::Expression("a variable"),
            },
            Expr::List(list) => Content::List(
                list.items()
                    .map(|item| self.value(item))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
            Expr::PathRel(path) => {
                let written = path.to_string();
                if written.contains("${") {
                    Content::Expression("an interpolated path")
                } else {
                    Content::Path(written)
                }
            }
            Expr::AttrSet(set) if set.rec_token().is_some() => {
                Content::Expression("a recursive set")
            }
            Expr::AttrSet(set) => self.set(&set)?,
            other => Content::Expression(name_of(&other)),
        };
        Ok(Value {
            offset,
            key_offset: offset,
            content,
        })
    }

    fn set(&self, node: &ast::AttrSet) -> Result<Content, SpecError> {
        let mut set = Set::new();
        for entry in node.entries() {
            match entry {
                Entry::Inherit(_) => return Ok(Content::Expression("a set that inherits")),
                Entry::AttrpathValue(entry) => {
                    let (Some(path), Some(value)) = (entry.attrpath(), entry.value()) else {
                        continue;
                    };
                    let Some(keys) = keys_of(&path) else {
                        return Ok(Content::Expression("a set with computed keys"));
                    };
                    self.insert(&mut set, &keys, self.value(value)?, "")?;
                }
            }
        }
        Ok(Content::Set(set))
    }

    /// Puts a value at a path of keys, making the sets on the way.
    fn insert(
        &self,
        set: &mut Set,
        keys: &[(String, usize)],
        value: Value,
        above: &str,
    ) -> Result<(), SpecError> {
        let Some(((key, offset), rest)) = keys.split_first() else {
            return Ok(());
        };
        let path = if above.is_empty() {
            key.clone()
        } else {
            format!("{above}.{key}")
        };
        let Some(known) = set.get_mut(key) else {
            let value = match rest {
                [] => Value {
                    key_offset: *offset,
                    ..value
                },
                rest => {
                    let mut inner = Set::new();
                    self.insert(&mut inner, rest, value, &path)?;
                    Value {
                        offset: *offset,
                        key_offset: *offset,
                        content: Content::Set(inner),
                    }
                }
            };
            set.insert(key.clone(), value);
            return Ok(());
        };
        match (&mut known.content, rest, value.content) {
            (Content::Set(inner), [], Content::Set(more)) => {
                for (key, value) in more {
                    self.insert(inner, &[(key, value.key_offset)], value, &path)?;
                }
                Ok(())
            }
            (Content::Set(inner), [_, ..], content) => {
                self.insert(inner, rest, Value { content, ..value }, &path)
            }
            _ => {
                let first = place(self.text, known.key_offset).0;
                Err(error(
                    self.text,
                    self.file,
                    *offset,
                    SpecReason::Duplicate { key: path, first },
                ))
            }
        }
    }
}

/// The text of a string, unless something is interpolated.
fn text_of(string: &ast::Str) -> Option<String> {
    let mut text = String::new();
    for part in string.normalized_parts() {
        match part {
            InterpolPart::Literal(literal) => text.push_str(&literal),
            InterpolPart::Interpolation(_) => return None,
        }
    }
    Some(text)
}

/// The keys of a path with their places, unless one is computed.
fn keys_of(path: &ast::Attrpath) -> Option<Vec<(String, usize)>> {
    path.attrs()
        .map(|attr| {
            let offset = offset_of(&attr);
            match attr {
                Attr::Ident(name) => Some((name.to_string(), offset)),
                Attr::Str(string) => text_of(&string).map(|text| (text, offset)),
                Attr::Dynamic(_) => None,
            }
        })
        .collect()
}

fn name_of(expression: &Expr) -> &'static str {
    match expression {
        Expr::Lambda(_) => "a function",
        Expr::Apply(_) => "a function call",
        Expr::LetIn(_) | Expr::LegacyLet(_) => "a let expression",
        Expr::With(_) => "a with expression",
        Expr::IfElse(_) => "a condition",
        Expr::PathAbs(_) | Expr::PathRel(_) | Expr::PathHome(_) | Expr::PathSearch(_) => "a path",
        Expr::BinOp(_) | Expr::UnaryOp(_) => "an operation",
        Expr::Select(_) => "a selection",
        _ => "an expression",
    }
}

/// Where a node starts.
fn offset_of<N: AstNode>(node: &N) -> usize {
    start(node.syntax().text_range())
}

fn start(range: TextRange) -> usize {
    range.start().into()
}

/// The place and the words of a syntax error.
fn describe(problem: &ParseError, end: usize) -> (usize, String) {
    match problem {
        ParseError::Unexpected(range) => (start(*range), "unexpected text".to_owned()),
        ParseError::UnexpectedExtra(range) => (
            start(*range),
            "unexpected text after the expression".to_owned(),
        ),
        ParseError::UnexpectedWanted(found, range, wanted) => (
            start(*range),
            format!("unexpected {}, expected {}", token(*found), tokens(wanted)),
        ),
        ParseError::UnexpectedDoubleBind(range) => {
            (start(*range), "a pattern has two names".to_owned())
        }
        ParseError::DuplicatedArgs(range, name) => {
            (start(*range), format!("argument {name} is there twice"))
        }
        ParseError::UnexpectedEOF => (end, "unexpected end of file".to_owned()),
        ParseError::UnexpectedEOFWanted(wanted) => (
            end,
            format!("unexpected end of file, expected {}", tokens(wanted)),
        ),
        other => (0, other.to_string()),
    }
}

fn tokens(kinds: &[rnix::SyntaxKind]) -> String {
    kinds
        .iter()
        .map(|kind| token(*kind))
        .collect::<Vec<_>>()
        .join(" or ")
}

/// The library's name of a token without its prefix: `TOKEN_SEMICOLON` is `semicolon`.
fn token(kind: rnix::SyntaxKind) -> String {
    format!("{kind:?}")
        .trim_start_matches("TOKEN_")
        .trim_start_matches("NODE_")
        .to_lowercase()
        .replace('_', " ")
}

pub(super) fn error(text: &str, file: &str, offset: usize, reason: SpecReason) -> SpecError {
    let (line, column) = place(text, offset);
    SpecError {
        file: file.to_owned(),
        line,
        column,
        reason: Box::new(reason),
    }
}

/// Line and column of a byte, both from 1.
fn place(text: &str, offset: usize) -> (u32, u32) {
    let before = &text[..text.floor_char_boundary(offset.min(text.len()))];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
    (
        number(before.matches('\n').count()),
        number(before[line_start..].chars().count()),
    )
}
