//! From YAML nodes to values: shapes, unknown keys, and the places of both.
//!
//! A [`Decoder`] never stops at a mistake: it notes it, says "nothing" for the value, and goes on, so that a user sees
//! all mistakes of a file at once. What the keys mean is in [`super::sections`].

use std::collections::BTreeMap;

use super::credentials;
use super::finding::Finding;
use super::keys;
use super::position::{Position, Spanned};
use super::reason::Reason;
use super::requirements::RequirementReason;
use super::yaml::{Content, Entry, Node, Scalar};

/// Collects findings while nodes become values.
pub(super) struct Decoder<'f> {
    file: &'f str,
    pub(super) errors: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    /// The requirements file: it is looked at also when the section that names it has mistakes.
    pub(super) python_requirements: Option<Spanned<String>>,
}

/// A mapping whose keys were checked against the known ones.
pub(super) struct Fields<'n> {
    entries: BTreeMap<&'n str, &'n Entry>,
    /// The path of the mapping, empty for the whole file.
    path: String,
    /// Where the mapping, or the key that holds it, stands.
    pub(super) position: Position,
}

/// The node of one key, with what messages need.
#[derive(Clone)]
pub(super) struct Field<'n> {
    pub(super) node: &'n Node,
    /// The path of the key.
    pub(super) path: String,
    /// Where the value stands; where the key stands if there is no value.
    pub(super) position: Position,
    /// Where the key stands.
    pub(super) key_position: Position,
}

impl<'n> Fields<'n> {
    pub(super) fn get(&self, key: &str) -> Option<Field<'n>> {
        let entry = self.entries.get(key)?;
        let key_position = entry.key_position;
        let position = if entry.value.is_null() {
            key_position
        } else {
            entry.value.position
        };
        Some(Field {
            node: &entry.value,
            path: self.path_of(key),
            position,
            key_position,
        })
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

impl<'n> Field<'n> {
    /// The item of a list at `index`.
    fn item(&self, index: usize, node: &'n Node) -> Self {
        let position = node.position;
        Self {
            node,
            path: format!("{}[{index}]", self.path),
            position,
            key_position: position,
        }
    }
}

impl<'f> Decoder<'f> {
    pub(super) fn new(file: &'f str) -> Self {
        Self {
            file,
            errors: Vec::new(),
            warnings: Vec::new(),
            python_requirements: None,
        }
    }

    pub(super) fn error(&mut self, path: &str, position: Position, reason: Reason) {
        self.errors.push(self.finding(path, position, reason));
    }

    pub(super) fn warning(&mut self, path: &str, position: Position, reason: Reason) {
        self.warnings.push(self.finding(path, position, reason));
    }

    /// A warning about a key that is not in the file.
    pub(super) fn warning_without_place(&mut self, path: &str, reason: Reason) {
        self.warnings.push(Finding {
            file: self.file.to_owned(),
            position: None,
            key: path.to_owned(),
            reason,
        });
    }

    fn finding(&self, path: &str, position: Position, reason: Reason) -> Finding {
        Finding {
            file: self.file.to_owned(),
            position: Some(position),
            key: path.to_owned(),
            reason,
        }
    }

    fn wrong_type(&mut self, field: &Field<'_>, expected: &'static str) {
        let reason = match field.node.is_null() {
            true => Reason::Null { expected },
            false => Reason::WrongType {
                expected,
                found: field.node.describe(),
            },
        };
        self.error(&field.path, field.position, reason);
    }

    /// A mapping with its unknown keys told.
    pub(super) fn mapping<'n>(&mut self, field: &Field<'n>, known: &[&str]) -> Option<Fields<'n>> {
        let Content::Mapping(entries) = &field.node.content else {
            self.wrong_type(field, "a mapping");
            return None;
        };
        let mut fields = Fields {
            entries: BTreeMap::new(),
            path: field.path.clone(),
            position: field.key_position,
        };
        for entry in entries {
            if known.contains(&entry.key.as_str()) {
                fields.entries.insert(&entry.key, entry);
            } else {
                let nearest = keys::nearest(&entry.key, known);
                self.warning(
                    &fields.path_of(&entry.key),
                    entry.key_position,
                    Reason::UnknownKey { nearest },
                );
            }
        }
        Some(fields)
    }

    /// A list, decoded item by item; a null list is an empty one.
    pub(super) fn list<'n, T>(
        &mut self,
        field: Option<Field<'n>>,
        mut item: impl FnMut(&mut Self, &Field<'n>) -> Option<T>,
    ) -> Vec<Spanned<T>> {
        let Some(field) = field else {
            return Vec::new();
        };
        match &field.node.content {
            Content::Sequence(items) => items
                .iter()
                .enumerate()
                .filter_map(|(index, node)| {
                    let field = field.item(index, node);
                    item(self, &field).map(|value| Spanned::new(value, field.position))
                })
                .collect(),
            _ if field.node.is_null() => Vec::new(),
            _ => {
                self.wrong_type(&field, "a list");
                Vec::new()
            }
        }
    }

    /// The text of a scalar as it is written; numbers keep their spelling.
    pub(super) fn text(&mut self, field: &Field<'_>) -> Option<String> {
        match &field.node.content {
            Content::Scalar(scalar) if !scalar.is_null() => Some(scalar.text.clone()),
            _ => {
                self.wrong_type(field, "a text");
                None
            }
        }
    }

    /// A text where an empty one means the same as none.
    pub(super) fn optional_text(&mut self, field: Option<Field<'_>>) -> Option<Spanned<String>> {
        let field = field?;
        let text = self.text(&field)?;
        (!text.is_empty()).then(|| Spanned::new(text, field.position))
    }

    /// A text that must be there and say something.
    pub(super) fn required_text(
        &mut self,
        fields: &Fields<'_>,
        key: &'static str,
    ) -> Option<Spanned<String>> {
        match fields.get(key) {
            Some(field) if !field.node.is_null() => {
                let text = self.text(&field)?;
                if text.is_empty() {
                    self.error(&field.path, field.position, Reason::Required { key });
                    return None;
                }
                Some(Spanned::new(text, field.position))
            }
            other => {
                let position = other.map_or(fields.position, |field| field.position);
                self.error(&fields.path_of(key), position, Reason::Required { key });
                None
            }
        }
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, field: Option<Field<'_>>) -> Vec<Spanned<String>> {
        self.list(field, |decoder, field| decoder.text(field))
    }

    /// A list of texts whose addresses lose their credentials.
    pub(super) fn addresses(&mut self, field: Option<Field<'_>>) -> Vec<Spanned<String>> {
        self.list(field, |decoder, field| {
            let text = Spanned::new(decoder.text(field)?, field.position);
            Some(decoder.without_credentials(&field.path, text).value)
        })
    }

    /// The text without credentials, which are no part of a model, nor of the label that shows it.
    pub(super) fn without_credentials(
        &mut self,
        path: &str,
        text: Spanned<String>,
    ) -> Spanned<String> {
        match credentials::removed(&text.value) {
            Some(clean) => {
                let reason = RequirementReason::Credentials.into();
                self.warning(path, text.position, reason);
                Spanned::new(clean, text.position)
            }
            None => text,
        }
    }

    /// A truth value.
    pub(super) fn boolean(&mut self, field: Option<Field<'_>>) -> Option<Spanned<bool>> {
        let field = field?;
        match &field.node.content {
            Content::Scalar(scalar) if scalar.boolean().is_some() => scalar
                .boolean()
                .map(|value| Spanned::new(value, field.position)),
            _ => {
                self.wrong_type(&field, "true or false");
                None
            }
        }
    }

    /// A whole number, possibly negative, as it is written.
    pub(super) fn integer(&mut self, field: &Field<'_>) -> Option<i64> {
        match &field.node.content {
            Content::Scalar(Scalar { text, plain: true }) if text.parse::<i64>().is_ok() => {
                text.parse().ok()
            }
            _ => {
                self.wrong_type(field, "a whole number");
                None
            }
        }
    }

    /// Runs a value through its own parser, and notes what that says.
    pub(super) fn parsed<T>(
        &mut self,
        path: &str,
        text: Spanned<String>,
        parse: impl FnOnce(&str) -> Result<T, Reason>,
    ) -> Option<Spanned<T>> {
        match parse(&text.value) {
            Ok(value) => Some(Spanned::new(value, text.position)),
            Err(reason) => {
                self.error(path, text.position, reason);
                None
            }
        }
    }
}
