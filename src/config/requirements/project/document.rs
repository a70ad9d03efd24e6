//! A TOML document whose every key and value knows its place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::super::position::Position;

/// A value of a document, with the path of its key.
#[derive(Clone)]
pub(super) struct Item<'d> {
    text: &'d str,
    /// The path, as in `tool.uv.sources`; empty for the whole document.
    pub(super) key: String,
    /// Where messages point to: the key of a table, the value of anything else.
    place: Range<usize>,
    value: Value<'d>,
}

#[derive(Clone, Copy)]
enum Value<'d> {
    Table(&'d DeTable<'d>),
    Other(&'d DeValue<'d>),
}

impl<'d> Item<'d> {
    /// The document itself.
    pub(super) fn document(text: &'d str, table: &'d DeTable<'d>) -> Self {
        Self {
            text,
            key: String::new(),
            place: 0..0,
            value: Value::Table(table),
        }
    }

    /// Where it stands.
    pub(super) fn position(&self) -> Position {
        Position::of_offset(self.text, self.place.start)
    }

    fn of(
        &self,
        key: String,
        name: Option<&Spanned<impl Sized>>,
        value: &'d Spanned<DeValue<'d>>,
    ) -> Self {
        let place = match (value.get_ref(), name) {
            (DeValue::Table(_), Some(name)) => name.span(),
            _ => value.span(),
        };
        let value = match value.get_ref() {
            DeValue::Table(table) => Value::Table(table),
            other => Value::Other(other),
        };
        Self {
            text: self.text,
            key,
            place,
            value,
        }
    }

    fn below(&self, name: &str) -> String {
        match self.key.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.key),
        }
    }

    /// The value below a path of keys, which are separated by `.`.
    pub(super) fn get(&self, path: &str) -> Option<Self> {
        let (first, rest) = path
            .split_once('.')
            .map_or((path, None), |(first, rest)| (first, Some(rest)));
        let found = self.child(first)?;
        match rest {
            Some(rest) => found.get(rest),
            None => Some(found),
        }
    }

    fn child(&self, name: &str) -> Option<Self> {
        let Value::Table(table) = self.value else {
            return None;
        };
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
        Some(self.of(self.below(name), Some(key), value))
    }

    /// The entries of a table, in the order of the file; nothing where it is none.
    pub(super) fn entries(&self) -> Vec<(String, Self)> {
        let Value::Table(table) = self.value else {
            return Vec::new();
        };
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let item = |(key, value): (&'d Spanned<_>, &'d Spanned<DeValue<'d>>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            let name = name.as_ref().to_owned();
            let item = self.of(self.below(&name), Some(key), value);
            (name, item)
        };
        entries.into_iter().map(item).collect()
    }

    /// The items of a list; `None` where it is none.
    pub(super) fn items(&self) -> Option<Vec<Self>> {
        let Value::Other(DeValue::Array(array)) = self.value else {
            return None;
        };
        let items = array.iter().enumerate();
        let item = |(index, value)| {
            self.of(
                format!("{}[{index}]", self.key),
                None::<&Spanned<()>>,
                value,
            )
        };
        Some(items.map(item).collect())
    }

    /// The items of a list, or the one value that stands for a list of one.
    pub(super) fn one_or_many(&self) -> Vec<Self> {
        self.items().unwrap_or_else(|| vec![self.clone()])
    }

    pub(super) fn text(&self) -> Option<&'d str> {
        match self.value {
            Value::Other(value) => value.as_str(),
            Value::Table(_) => None,
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.value {
            Value::Other(value) => value.as_bool(),
            Value::Table(_) => None,
        }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, Value::Table(_))
    }

    /// What it is, in words.
    pub(super) fn describe(&self) -> &'static str {
        match self.value {
            Value::Table(_) => "a table",
            Value::Other(DeValue::Array(_)) => "a list",
            Value::Other(DeValue::String(_)) => "a text",
            Value::Other(DeValue::Boolean(_)) => "true or false",
            Value::Other(DeValue::Integer(_) | DeValue::Float(_)) => "a number",
            Value::Other(_) => "a date",
        }
    }

    /// The text of a key below, if it is one.
    pub(super) fn text_of(&self, path: &str) -> Option<&'d str> {
        self.get(path)?.text()
    }

    /// The flag of a key below, if it is one.
    pub(super) fn flag_of(&self, path: &str) -> Option<bool> {
        self.get(path)?.flag()
    }
}
