//! YAML text as a tree whose every node knows its place.
//!
//! Built from the events of `granit-parser`, within fixed bounds: size, depth, one document, and a budget for what
//! aliases stand for. Scalars stay text, because only the key that reads one knows what it is: `3.10` is a version
//! under `python_version` and a number nowhere. Nothing here knows the keys of a configuration.

use std::collections::BTreeMap;
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag, options};

use super::position::{Position, saturate};
use super::reason::Reason;

/// The largest text that is read.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// The deepest nesting of lists and mappings, with aliases followed.
pub(super) const MAX_DEPTH: usize = 32;
/// How many nodes all aliases together may stand for.
pub(super) const MAX_ALIAS_NODES: usize = 10_000;

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) position: Position,
    /// How many nodes this one is, itself included and aliases followed.
    nodes: usize,
    /// How many levels of lists and mappings it has.
    height: usize,
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Content {
    Scalar(Scalar),
    Sequence(Vec<Rc<Node>>),
    Mapping(Vec<Entry>),
}

/// The text of a scalar, and whether it was written without quotes.
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) plain: bool,
}

/// One key of a mapping and its value; keys are unique within a mapping.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_position: Position,
    pub(super) value: Rc<Node>,
}

impl Node {
    /// Whether the node stands for no value at all.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.is_null())
    }

    /// Whether the node is null or an empty text.
    pub(super) fn is_empty(&self) -> bool {
        self.is_null() || matches!(&self.content, Content::Scalar(scalar) if scalar.text.is_empty())
    }

    /// The node in words, for messages.
    pub(super) fn describe(&self) -> String {
        match &self.content {
            Content::Sequence(_) => "a list".to_owned(),
            Content::Mapping(_) => "a mapping".to_owned(),
            Content::Scalar(scalar) => scalar.describe(),
        }
    }
}

impl Scalar {
    pub(super) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The truth value of an unquoted scalar, in the spellings of YAML 1.1.
    pub(super) fn boolean(&self) -> Option<bool> {
        if !self.plain {
            return None;
        }
        match self.text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some(true),
            "false" | "no" | "off" | "n" => Some(false),
            _ => None,
        }
    }

    /// Whether the scalar is text rather than a number, truth value or nothing.
    pub(super) fn is_text(&self) -> bool {
        let number =
            || self.text.parse::<f64>().is_ok() && self.text.contains(|c: char| c.is_ascii_digit());
        !self.plain
            || !(self.is_null() || number() || matches!(self.text.as_str(), "true" | "false"))
    }

    fn describe(&self) -> String {
        let shown = super::finding::quoted(&self.text);
        match (self.is_null(), self.is_text()) {
            (true, _) => "no value".to_owned(),
            (_, true) => format!("text {shown}"),
            (_, false) => self.text.clone(),
        }
    }
}

/// Why a text gave no tree, and where.
#[derive(Debug)]
pub(super) struct YamlError {
    pub(super) reason: Reason,
    pub(super) position: Position,
}

/// A tree, and the mistakes that do not end the reading.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// The root; absent when the text holds nothing.
    pub(super) root: Option<Rc<Node>>,
    /// Mistakes after which the rest still has a meaning, such as a key that is there twice.
    pub(super) mistakes: Vec<YamlError>,
}

/// Reads a text that holds at most one document.
pub(super) fn read(text: &str) -> Result<Document, YamlError> {
    if text.len() > MAX_BYTES {
        return Err(YamlError {
            reason: Reason::TooLarge { limit: MAX_BYTES },
            position: Position::START,
        });
    }
    let mut limits =
        options! { flow_nesting_limit: MAX_DEPTH + 2, block_nesting_limit: MAX_DEPTH + 2 };
    limits.set_emit_comments(false);
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, limits),
        anchors: BTreeMap::new(),
        alias_nodes: 0,
        mistakes: Vec::new(),
    };
    let root = reader.document()?;
    Ok(Document {
        root,
        mistakes: reader.mistakes,
    })
}

struct Reader<'t, I: granit_parser::BorrowedInput<'t>> {
    events: Parser<'t, I>,
    /// Finished anchored nodes; one that is being read is not here yet, which tells a cycle.
    anchors: BTreeMap<usize, Rc<Node>>,
    alias_nodes: usize,
    mistakes: Vec<YamlError>,
}

impl<'t, I: granit_parser::BorrowedInput<'t>> Reader<'t, I> {
    /// Reads the whole stream: also what follows the first document must be valid, and nothing.
    fn document(&mut self) -> Result<Option<Rc<Node>>, YamlError> {
        let mut root = None;
        let mut started = false;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::DocumentStart(..) if started => {
                    return Err(YamlError {
                        reason: Reason::SeveralDocuments,
                        position: position(&span),
                    });
                }
                Event::DocumentStart(..) => {
                    started = true;
                    if let Some((event, span)) = self.next()? {
                        root = Some(self.node(event, &span, 0)?);
                    }
                }
                _ => {}
            }
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, YamlError> {
        match self.events.next() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => {
                let reason = match error.kind() {
                    granit_parser::ErrorKind::RecursionLimitExceeded => {
                        Reason::TooDeep { limit: MAX_DEPTH }
                    }
                    kind => Reason::Yaml(kind.to_string()),
                };
                Err(YamlError {
                    reason,
                    position: mark(error.marker()),
                })
            }
        }
    }

    /// Reads the node that starts with `event`, below `depth` lists and mappings.
    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Rc<Node>, YamlError> {
        let position = position(span);
        let fail = |reason| Err(YamlError { reason, position });
        let (content, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, position, depth),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain
                    && known_tag(tag.as_deref(), position)? != Some("str");
                (
                    Content::Scalar(Scalar {
                        text: text.into_owned(),
                        plain,
                    }),
                    anchor,
                )
            }
            _ if depth >= MAX_DEPTH => return fail(Reason::TooDeep { limit: MAX_DEPTH }),
            Event::SequenceStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), position)?;
                (Content::Sequence(self.sequence(depth + 1)?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), position)?;
                (Content::Mapping(self.mapping(depth + 1)?), anchor)
            }
            other => return fail(Reason::Yaml(format!("unexpected {other:?}"))),
        };
        let node = Rc::new(Node::new(content, position));
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }

    /// The node that an alias names; it is shared, but counted as if it were written out.
    fn alias(
        &mut self,
        anchor: usize,
        position: Position,
        depth: usize,
    ) -> Result<Rc<Node>, YamlError> {
        let fail = |reason| Err(YamlError { reason, position });
        let Some(node) = self.anchors.get(&anchor) else {
            return fail(Reason::AliasCycle);
        };
        self.alias_nodes = self.alias_nodes.saturating_add(node.nodes);
        if self.alias_nodes > MAX_ALIAS_NODES {
            return fail(Reason::AliasBudget {
                limit: MAX_ALIAS_NODES,
            });
        }
        if depth + node.height > MAX_DEPTH {
            return fail(Reason::TooDeep { limit: MAX_DEPTH });
        }
        Ok(Rc::clone(node))
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Rc<Node>>, YamlError> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            items.push(self.node(event, &span, depth)?);
        }
        Ok(items)
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Entry>, YamlError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: BTreeMap<String, Position> = BTreeMap::new();
        let mut merged = Vec::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, &span, depth)?;
            let Some((event, span)) = self.next()? else {
                break;
            };
            let value = self.node(event, &span, depth)?;
            let Content::Scalar(Scalar { text, plain }) = &key.content else {
                self.mistakes.push(YamlError {
                    reason: Reason::KeyNotScalar,
                    position: key.position,
                });
                continue;
            };
            if let Some(first) = places.get(text) {
                let reason = Reason::DuplicateKey {
                    key: text.clone(),
                    first: *first,
                };
                self.mistakes.push(YamlError {
                    reason,
                    position: key.position,
                });
                continue;
            }
            places.insert(text.clone(), key.position);
            if *plain && text == "<<" {
                merged.push(value);
            } else {
                entries.push(Entry {
                    key: text.clone(),
                    key_position: key.position,
                    value,
                });
            }
        }
        for value in merged {
            self.merge(&value, &mut places, &mut entries);
        }
        Ok(entries)
    }

    /// `<<: *base` and `<<: [*first, *second]`: keys that the mapping does not have itself, the first source wins.
    fn merge(
        &mut self,
        value: &Rc<Node>,
        places: &mut BTreeMap<String, Position>,
        entries: &mut Vec<Entry>,
    ) {
        match &value.content {
            Content::Mapping(source) => {
                for entry in source.iter().filter(|entry| !entry.key.is_empty()) {
                    if !places.contains_key(&entry.key) {
                        places.insert(entry.key.clone(), entry.key_position);
                        let (key, key_position) = (entry.key.clone(), entry.key_position);
                        entries.push(Entry {
                            key,
                            key_position,
                            value: Rc::clone(&entry.value),
                        });
                    }
                }
            }
            Content::Sequence(sources)
                if sources
                    .iter()
                    .all(|s| matches!(s.content, Content::Mapping(_))) =>
            {
                for source in sources {
                    self.merge(source, places, entries);
                }
            }
            _ => {
                let reason = Reason::WrongType {
                    expected: "a mapping to merge",
                    found: value.describe(),
                };
                self.mistakes.push(YamlError {
                    reason,
                    position: value.position,
                });
            }
        }
    }
}

impl Node {
    fn new(content: Content, position: Position) -> Self {
        let children: Vec<&Rc<Self>> = match &content {
            Content::Scalar(_) => Vec::new(),
            Content::Sequence(items) => items.iter().collect(),
            Content::Mapping(entries) => entries.iter().map(|entry| &entry.value).collect(),
        };
        let nodes = children.iter().fold(1 + children.len(), |sum, child| {
            sum.saturating_add(child.nodes)
        });
        let height = match &content {
            Content::Scalar(_) => 0,
            _ => 1 + children.iter().map(|child| child.height).max().unwrap_or(0),
        };
        Self {
            content,
            position,
            nodes,
            height,
        }
    }
}

/// The name of a core tag; tags that would change what a value means are refused.
fn known_tag(tag: Option<&Tag>, position: Position) -> Result<Option<&str>, YamlError> {
    match tag {
        None => Ok(None),
        Some(tag) => match tag.core_suffix() {
            Some(name @ ("str" | "int" | "float" | "bool" | "null" | "seq" | "map")) => {
                Ok(Some(name))
            }
            _ => Err(YamlError {
                reason: Reason::Tag {
                    tag: tag.to_string(),
                },
                position,
            }),
        },
    }
}

fn position(span: &Span) -> Position {
    mark(&span.start)
}

/// The library counts lines from 1 and columns from 0.
fn mark(marker: &granit_parser::Marker) -> Position {
    Position {
        line: saturate(marker.line()),
        column: saturate(marker.col() + 1),
    }
}
