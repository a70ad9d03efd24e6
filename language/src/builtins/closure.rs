//! `genericClosure`: everything that can be reached, each key once.

use std::collections::{BTreeSet, VecDeque};

use crate::error::Eval;
use crate::eval::Evaluator;
use crate::source::Pos;
use crate::value::{Thunk, Value};

/// The items of `startSet` and what `operator` finds from them, in the order in which they are found.
pub(super) fn generic_closure<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let names = &evaluator.names;
    let given = evaluator.set_argument(arguments[0], pos)?;
    let start = evaluator.required(given, names.start_set, pos)?;
    let start = evaluator.list_argument(start.value, start.pos)?;
    if start.is_empty() {
        return Ok(Value::List(start));
    }
    let operator = evaluator.required(given, names.operator, pos)?;
    let operator = evaluator.function_argument(operator.value, operator.pos)?;
    let mut waiting: VecDeque<&'a Thunk<'a>> = start.iter().copied().collect();
    let mut found = Vec::new();
    let mut keys = Keys::default();
    while let Some(item) = waiting.pop_front() {
        let attrs = evaluator.set_argument(item, pos)?;
        let key = evaluator.required(attrs, names.key, pos)?;
        let key = evaluator.force(key.value)?;
        if !keys.insert(evaluator, key, pos)? {
            continue;
        }
        found.push(item);
        let more = evaluator.call(operator, &[item], pos)?;
        let Value::List(more) = more else {
            return Err(evaluator.expected("a list", more, pos));
        };
        for item in more {
            evaluator.force(item)?;
            waiting.push_back(item);
        }
    }
    evaluator.list(found.into_iter(), pos)
}

/// Keys that were seen. Nearly always all are of one plain kind; any others are kept in the language's order.
#[derive(Default)]
struct Keys<'a> {
    ints: BTreeSet<i64>,
    texts: BTreeSet<&'a [u8]>,
    paths: BTreeSet<&'a str>,
    mixed: Vec<Value<'a>>,
}

impl<'a> Keys<'a> {
    /// Whether the key is new.
    fn insert(&mut self, evaluator: &Evaluator<'a>, key: Value<'a>, pos: Pos) -> Eval<bool> {
        let (ints, texts, paths) = (
            self.ints.is_empty(),
            self.texts.is_empty(),
            self.paths.is_empty(),
        );
        match key {
            Value::Int(key) if texts && paths && self.mixed.is_empty() => {
                return Ok(self.ints.insert(key));
            }
            Value::String(key) if ints && paths && self.mixed.is_empty() => {
                return Ok(self.texts.insert(key.bytes));
            }
            Value::Path(key) if ints && texts && self.mixed.is_empty() => {
                return Ok(self.paths.insert(key));
            }
            _ => {}
        }
        self.mix(evaluator);
        self.insert_mixed(evaluator, key, pos)
    }

    /// Puts keys of a plain kind among the others; they are in order already.
    fn mix(&mut self, evaluator: &Evaluator<'a>) {
        let ints = std::mem::take(&mut self.ints).into_iter().map(Value::Int);
        self.mixed.extend(ints);
        let texts = std::mem::take(&mut self.texts).into_iter();
        self.mixed
            .extend(texts.map(|text| evaluator.kept_string(text, crate::Context::EMPTY)));
        let paths = std::mem::take(&mut self.paths).into_iter().map(Value::Path);
        self.mixed.extend(paths);
    }

    fn insert_mixed(&mut self, evaluator: &Evaluator<'a>, key: Value<'a>, pos: Pos) -> Eval<bool> {
        let (mut low, mut high) = (0, self.mixed.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if evaluator.is_less(self.mixed[middle], key, pos)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low < self.mixed.len() && !evaluator.is_less(key, self.mixed[low], pos)? {
            return Ok(false);
        }
        self.mixed.insert(low, key);
        Ok(true)
    }
}
