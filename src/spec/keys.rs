//! Evaluated sets as keys with values: what a key holds, where it stands, and which keys there are.

use std::collections::BTreeMap;

use cognix_language::{Attr, Attrs, Evaluator, Fault, Pos, Thunk, Value};

use super::error::{SpecError, SpecReason};
use super::options;

/// A set of keys.
#[derive(Clone)]
pub(super) struct Keys<'e, 'a> {
    pub(super) evaluator: &'e Evaluator<'a>,
    /// The path to the set, as messages show it.
    pub(super) path: String,
    /// The path to the set in the table of options, where any name is `*`.
    pub(super) schema: String,
    pub(super) attrs: &'a Attrs<'a>,
    pub(super) pos: Pos,
}

/// One value of a set.
pub(super) struct Entry<'a> {
    pub(super) value: Value<'a>,
    pub(super) pos: Pos,
}

type Read<T> = Result<T, SpecError>;

impl<'e, 'a> Keys<'e, 'a> {
    /// The keys of a value that must be a set.
    pub(super) fn of(
        evaluator: &'e Evaluator<'a>,
        value: Value<'a>,
        path: &str,
        schema: &str,
        pos: Pos,
    ) -> Read<Self> {
        match value {
            Value::Attrs(attrs) => Ok(Self {
                evaluator,
                path: path.to_owned(),
                schema: schema.to_owned(),
                attrs,
                pos,
            }),
            other => Err(SpecError::at(
                evaluator.place(pos),
                SpecReason::WrongType {
                    key: match path {
                        "" => "the spec".to_owned(),
                        path => path.to_owned(),
                    },
                    expected: "a set",
                    found: other.describe(),
                },
            )),
        }
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// A mistake at a place.
    pub(super) fn error(&self, pos: Pos, reason: SpecReason) -> SpecError {
        SpecError::at(self.evaluator.place(pos), reason)
    }

    /// A mistake of the evaluation, with the key that was read.
    fn fault(&self, key: &str, attr: &Attr<'a>, fault: Fault) -> SpecError {
        let what = format!("while evaluating {}", self.path_of(key));
        self.evaluator.explain(fault.within(attr.pos, what)).into()
    }

    /// Refuses keys that do not exist: a misspelt one would silently do nothing.
    pub(super) fn only_known(&self) -> Read<()> {
        let known = options::keys_below(&self.schema);
        for attr in self.evaluator.by_name(self.attrs) {
            let name = self.evaluator.name_text(attr.name);
            if known.contains(&name.as_ref()) {
                continue;
            }
            let names = known.iter().copied();
            let nearest = names
                .map(|known| (strsim::osa_distance(&name, known), known))
                .filter(|(distance, known)| *distance <= 2.min(known.len() / 2))
                .min();
            let reason = SpecReason::UnknownKey {
                key: self.path_of(&name),
                known: known.join(", "),
                nearest: nearest.map(|(_, known)| known.to_owned()),
            };
            return Err(self.error(attr.pos, reason));
        }
        Ok(())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.attrs.get(self.evaluator.symbol(key)).is_some()
    }

    /// The place of a key.
    pub(super) fn pos_of(&self, key: &str) -> Pos {
        let attr = self.attrs.get(self.evaluator.symbol(key));
        attr.map_or(self.pos, |attr| attr.pos)
    }

    /// The value of a key; `null` is as if it was not there.
    pub(super) fn get(&self, key: &str) -> Read<Option<Entry<'a>>> {
        let Some(attr) = self.attrs.get(self.evaluator.symbol(key)) else {
            return Ok(None);
        };
        let value = self.forced(key, attr, attr.value)?;
        let pos = attr.pos;
        Ok((!matches!(value, Value::Null)).then_some(Entry { value, pos }))
    }

    fn forced(&self, key: &str, attr: &Attr<'a>, thunk: &'a Thunk<'a>) -> Read<Value<'a>> {
        self.evaluator
            .force(thunk)
            .map_err(|fault| self.fault(key, attr, fault))
    }

    pub(super) fn wrong(&self, key: &str, entry: &Entry<'a>, expected: &'static str) -> SpecError {
        let reason = SpecReason::WrongType {
            key: self.path_of(key),
            expected,
            found: entry.value.describe(),
        };
        self.error(entry.pos, reason)
    }

    /// The set below a key.
    pub(super) fn keys(&self, key: &str) -> Read<Option<Self>> {
        match self.get(key)? {
            None => Ok(None),
            Some(entry) => Self::of(
                self.evaluator,
                entry.value,
                &self.path_of(key),
                &join(&self.schema, key),
                entry.pos,
            )
            .map(Some),
        }
    }

    /// Reads every value of the set, each a set itself, with its name and place.
    pub(super) fn each<T>(
        &self,
        mut read: impl FnMut(&Self, &str, Pos) -> Read<T>,
    ) -> Read<BTreeMap<String, T>> {
        let mut values = BTreeMap::new();
        for attr in self.evaluator.by_name(self.attrs) {
            let name = self.evaluator.name_text(attr.name).into_owned();
            if let Some(mut keys) = self.keys(&name)? {
                keys.schema = join(&self.schema, "*");
                values.insert(name.clone(), read(&keys, &name, attr.pos)?);
            }
        }
        Ok(values)
    }

    fn utf8(&self, key: &str, entry: &Entry<'a>, expected: &'static str) -> Read<String> {
        match entry.value {
            Value::String(text) => match std::str::from_utf8(text.bytes) {
                Ok(text) => Ok(text.to_owned()),
                Err(_) => Err(self.wrong(key, entry, expected)),
            },
            _ => Err(self.wrong(key, entry, expected)),
        }
    }

    /// A string.
    pub(super) fn text(&self, key: &str) -> Read<Option<String>> {
        let entry = self.get(key)?;
        entry
            .map(|entry| self.utf8(key, &entry, "a string"))
            .transpose()
    }

    /// A string that means something.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(String, String) -> Result<T, SpecReason>,
    ) -> Read<Option<T>> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        parse(self.path_of(key), text)
            .map(Some)
            .map_err(|reason| self.error(self.pos_of(key), reason))
    }

    /// The items of a list, evaluated.
    pub(super) fn items(&self, key: &str, expected: &'static str) -> Read<Option<Vec<Entry<'a>>>> {
        let Some(entry) = self.get(key)? else {
            return Ok(None);
        };
        let Value::List(items) = entry.value else {
            return Err(self.wrong(key, &entry, expected));
        };
        let items = items.iter().map(|item| {
            let value = self.evaluator.force(item).map_err(|fault| {
                let what = format!("while evaluating {}", self.path_of(key));
                SpecError::from(self.evaluator.explain(fault.within(entry.pos, what)))
            })?;
            let pos = entry.pos;
            Ok(Entry { value, pos })
        });
        items.collect::<Read<Vec<_>>>().map(Some)
    }

    /// A list of strings.
    pub(super) fn texts(&self, key: &str) -> Read<Option<Vec<String>>> {
        let Some(items) = self.items(key, "a list of strings")? else {
            return Ok(None);
        };
        let texts = items
            .iter()
            .map(|item| self.utf8(key, item, "a list of strings"));
        texts.collect::<Read<Vec<_>>>().map(Some)
    }

    /// A list of strings that mean something.
    pub(super) fn parsed_list<T>(
        &self,
        key: &str,
        parse: impl Fn(String, String) -> Result<T, SpecReason>,
    ) -> Read<Option<Vec<T>>> {
        let Some(texts) = self.texts(key)? else {
            return Ok(None);
        };
        let pos = self.pos_of(key);
        let values = texts
            .into_iter()
            .map(|text| parse(self.path_of(key), text).map_err(|reason| self.error(pos, reason)));
        values.collect::<Read<Vec<_>>>().map(Some)
    }

    /// A list of files beside the spec or below, relative to it.
    pub(super) fn paths(&self, key: &str) -> Read<Option<Vec<String>>> {
        let Some(items) = self.items(key, "a list of paths")? else {
            return Ok(None);
        };
        let paths = items.iter().map(|item| self.path_below(key, item));
        paths.collect::<Read<Vec<_>>>().map(Some)
    }

    /// A file or folder of the project, relative to it.
    pub(super) fn path_value(&self, key: &str) -> Read<Option<String>> {
        let entry = self.get(key)?;
        entry.map(|entry| self.path_below(key, &entry)).transpose()
    }

    fn path_below(&self, key: &str, entry: &Entry<'a>) -> Read<String> {
        let Value::Path(path) = entry.value else {
            return Err(self.wrong(key, entry, "a path"));
        };
        match self.evaluator.project_path(path) {
            Some(below) => Ok(below.to_owned()),
            None => {
                let (key, found) = (self.path_of(key), path.to_owned());
                Err(self.error(entry.pos, SpecReason::PathOutside { key, found }))
            }
        }
    }

    pub(super) fn boolean(&self, key: &str) -> Read<Option<bool>> {
        match self.get(key)? {
            None => Ok(None),
            Some(Entry {
                value: Value::Bool(value),
                ..
            }) => Ok(Some(value)),
            Some(entry) => Err(self.wrong(key, &entry, "true or false")),
        }
    }

    pub(super) fn number(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Read<Option<u32>> {
        let Some(entry) = self.get(key)? else {
            return Ok(None);
        };
        let Value::Int(found) = entry.value else {
            return Err(self.wrong(key, &entry, "a number"));
        };
        match u32::try_from(found) {
            Ok(number) if range.contains(&found) => Ok(Some(number)),
            _ => {
                let (least, most) = range.into_inner();
                let key = self.path_of(key);
                let reason = SpecReason::Range {
                    key,
                    least,
                    most,
                    found,
                };
                Err(self.error(entry.pos, reason))
            }
        }
    }

    /// A set of strings by any names, each name checked.
    pub(super) fn text_map(
        &self,
        key: &str,
        check: impl Fn(String, &str) -> Result<String, SpecReason>,
    ) -> Read<Option<BTreeMap<String, String>>> {
        let Some(keys) = self.keys(key)? else {
            return Ok(None);
        };
        let mut texts = BTreeMap::new();
        for attr in self.evaluator.by_name(keys.attrs) {
            let name = self.evaluator.name_text(attr.name);
            let text = keys.text(&name)?.unwrap_or_default();
            let checked = check(keys.path.clone(), &name);
            let checked = checked.map_err(|reason| keys.error(attr.pos, reason))?;
            if texts.insert(checked, text).is_some() {
                let (key, found) = (keys.path.clone(), name.into_owned());
                return Err(keys.error(attr.pos, SpecReason::ImagePath { key, found }));
            }
        }
        Ok(Some(texts))
    }
}

/// A key below a path.
pub(super) fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}
