//! Lists.

use std::collections::BTreeMap;

use super::{Builtin, closure, sort};
use crate::error::{Eval, Fault};
use crate::eval::Evaluator;
use crate::source::Pos;
use crate::value::{Attr, Symbol, Thunk, Value};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "all",
        parameters: &["predicate", "list"],
        doc: "Whether a predicate holds for every item of a list. It is asked until it does not hold.",
        function: |evaluator, arguments, pos| some(evaluator, arguments, false, pos),
    },
    Builtin {
        name: "any",
        parameters: &["predicate", "list"],
        doc: "Whether a predicate holds for some item of a list. It is asked until it holds.",
        function: |evaluator, arguments, pos| some(evaluator, arguments, true, pos),
    },
    Builtin {
        name: "concatLists",
        parameters: &["lists"],
        doc: "The items of all lists of a list, one after another.",
        function: |evaluator, arguments, pos| {
            let lists = evaluator.list_argument(arguments[0], pos)?;
            let lists = lists.iter().map(|list| evaluator.list_argument(list, pos));
            concat(evaluator, &lists.collect::<Eval<Vec<_>>>()?, pos)
        },
    },
    Builtin {
        name: "concatMap",
        parameters: &["function", "list"],
        doc: "Calls a function, which makes a list of each item, and joins these lists.",
        function: |evaluator, arguments, pos| {
            let function = evaluator.function_argument(arguments[0], pos)?;
            let items = evaluator.list_argument(arguments[1], pos)?;
            let lists = items
                .iter()
                .map(|item| match evaluator.call(function, &[item], pos)? {
                    Value::List(items) => Ok(items),
                    other => Err(evaluator.expected("a list", other, pos)),
                });
            concat(evaluator, &lists.collect::<Eval<Vec<_>>>()?, pos)
        },
    },
    Builtin {
        name: "elem",
        parameters: &["value", "list"],
        doc: "Whether some item of a list is equal to a value.",
        function: |evaluator, arguments, pos| {
            for item in evaluator.list_argument(arguments[1], pos)? {
                let value = evaluator.force(arguments[0])?;
                let other = evaluator.force(item)?;
                // A function is only ever equal to itself.
                if std::ptr::eq(arguments[0], *item) || evaluator.equal(value, other, pos)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        },
    },
    Builtin {
        name: "elemAt",
        parameters: &["list", "index"],
        doc: "An item of a list by its index; the first one is 0.",
        function: |evaluator, arguments, pos| {
            let index = evaluator.int_argument(arguments[1], pos)?;
            element(evaluator, arguments[0], index, pos)
        },
    },
    Builtin {
        name: "filter",
        parameters: &["predicate", "list"],
        doc: "The items of a list for which a predicate holds.",
        function: filter,
    },
    Builtin {
        name: "foldl'",
        parameters: &["function", "initial", "list"],
        doc: "Calls a function with a value and the first item, then with the result and the next item, to the end of the list. Each result is evaluated before the next call.",
        function: |evaluator, arguments, pos| {
            let function = evaluator.function_argument(arguments[0], pos)?;
            let items = evaluator.list_argument(arguments[2], pos)?;
            let mut result = arguments[1];
            for item in items {
                let next = evaluator.call(function, &[result, item], pos)?;
                result = evaluator.known(next);
            }
            evaluator.force(result)
        },
    },
    Builtin {
        name: "genericClosure",
        parameters: &["arguments"],
        doc: "Everything that can be reached from the sets of the list `startSet`: `operator` makes a list of further sets from each one. Sets whose attribute `key` was seen before are left out.",
        function: closure::generic_closure,
    },
    Builtin {
        name: "genList",
        parameters: &["function", "length"],
        doc: "A list of a length; each item is what the function makes of its index. The function is called when an item is needed.",
        function: |evaluator, arguments, pos| {
            let length = evaluator.int_argument(arguments[1], pos)?;
            let length = usize::try_from(length)
                .map_err(|_| Fault::value(pos, format!("cannot create list of size {length}")))?;
            let function = evaluator.function_argument(arguments[0], pos)?;
            // For each item: its place in the list, the call, and the index as its argument.
            let each = 2 * size_of::<usize>() + 2 * size_of::<Thunk<'_>>();
            evaluator.room_for(length.saturating_mul(each), pos)?;
            let items = (0_i64..).take(length).map(|index| {
                let index = evaluator.known(Value::Int(index));
                evaluator.lazy_call(function, &[index])
            });
            let items: Vec<_> = items.collect();
            evaluator.list(items.into_iter(), pos)
        },
    },
    Builtin {
        name: "groupBy",
        parameters: &["function", "list"],
        doc: "A set of lists: the function makes a name of each item, and items with the same name are in one list.",
        function: group_by,
    },
    Builtin {
        name: "head",
        parameters: &["list"],
        doc: "The first item of a list. That of an empty one is an error.",
        function: |evaluator, arguments, pos| element(evaluator, arguments[0], 0, pos),
    },
    Builtin {
        name: "length",
        parameters: &["list"],
        doc: "How many items a list has.",
        function: |evaluator, arguments, pos| {
            let items = evaluator.list_argument(arguments[0], pos)?;
            Ok(Value::Int(i64::try_from(items.len()).unwrap_or(i64::MAX)))
        },
    },
    Builtin {
        name: "map",
        parameters: &["function", "list"],
        doc: "A list of what a function makes of each item. The function is called when an item is needed.",
        function: |evaluator, arguments, pos| {
            let items = evaluator.list_argument(arguments[1], pos)?;
            if items.is_empty() {
                return Ok(Value::List(items));
            }
            let function = evaluator.function_argument(arguments[0], pos)?;
            let each = 2 * size_of::<usize>() + size_of::<Thunk<'_>>();
            evaluator.room_for(items.len().saturating_mul(each), pos)?;
            let mapped: Vec<_> = items
                .iter()
                .map(|item| evaluator.lazy_call(function, &[item]))
                .collect();
            evaluator.list(mapped.into_iter(), pos)
        },
    },
    Builtin {
        name: "partition",
        parameters: &["predicate", "list"],
        doc: "A set of two lists: `right` has the items for which a predicate holds, `wrong` the others.",
        function: |evaluator, arguments, pos| {
            let predicate = evaluator.function_argument(arguments[0], pos)?;
            let (mut right, mut wrong) = (Vec::new(), Vec::new());
            for item in evaluator.list_argument(arguments[1], pos)? {
                evaluator.force(item)?;
                match evaluator.holds(predicate, &[item], pos)? {
                    true => right.push(*item),
                    false => wrong.push(*item),
                }
            }
            let right = evaluator.list(right.into_iter(), pos)?;
            let wrong = evaluator.list(wrong.into_iter(), pos)?;
            let names = &evaluator.names;
            Ok(evaluator.record([(names.right, right), (names.wrong, wrong)]))
        },
    },
    Builtin {
        name: "sort",
        parameters: &["comparator", "list"],
        doc: "The items of a list in order. The comparator gets two items and says whether the first one belongs before the second; items of which neither does keep their order.",
        function: sort_list,
    },
    Builtin {
        name: "tail",
        parameters: &["list"],
        doc: "The items of a list without the first one. That of an empty list is an error.",
        function: |evaluator, arguments, pos| match evaluator.list_argument(arguments[0], pos)? {
            [] => Err(Fault::value(pos, "'tail' called on an empty list")),
            [_, rest @ ..] => Ok(Value::List(rest)),
        },
    },
];

/// Whether the predicate answers `wanted` for some item; without one, the opposite.
fn some<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    wanted: bool,
    pos: Pos,
) -> Eval<Value<'a>> {
    let predicate = evaluator.function_argument(arguments[0], pos)?;
    for item in evaluator.list_argument(arguments[1], pos)? {
        if evaluator.holds(predicate, &[item], pos)? == wanted {
            return Ok(Value::Bool(wanted));
        }
    }
    Ok(Value::Bool(!wanted))
}

fn concat<'a>(
    evaluator: &Evaluator<'a>,
    lists: &[&'a [&'a Thunk<'a>]],
    pos: Pos,
) -> Eval<Value<'a>> {
    let mut filled = lists.iter().filter(|list| !list.is_empty());
    match (filled.next(), filled.next()) {
        (None, _) => return Ok(Value::List(&[])),
        (Some(only), None) => return Ok(Value::List(only)),
        _ => {}
    }
    let length: usize = lists.iter().map(|list| list.len()).sum();
    evaluator.room_for(length.saturating_mul(size_of::<usize>()), pos)?;
    evaluator.list(lists.concat().into_iter(), pos)
}

fn element<'a>(
    evaluator: &Evaluator<'a>,
    list: &'a Thunk<'a>,
    index: i64,
    pos: Pos,
) -> Eval<Value<'a>> {
    let items = evaluator.list_argument(list, pos)?;
    let item = usize::try_from(index)
        .ok()
        .and_then(|index| items.get(index));
    match item {
        Some(item) => evaluator.force(item),
        None => {
            let message = match items.len() {
                0 => format!("list index {index} is out of bounds: the list is empty"),
                count => {
                    format!("list index {index} is out of bounds: the list has length {count}")
                }
            };
            Err(Fault::value(pos, message))
        }
    }
}

fn filter<'a>(evaluator: &Evaluator<'a>, arguments: &[&'a Thunk<'a>], pos: Pos) -> Eval<Value<'a>> {
    let items = evaluator.list_argument(arguments[1], pos)?;
    if items.is_empty() {
        return Ok(Value::List(items));
    }
    let predicate = evaluator.function_argument(arguments[0], pos)?;
    let mut kept = Vec::new();
    for item in items {
        if evaluator.holds(predicate, &[item], pos)? {
            kept.push(*item);
        }
    }
    if kept.len() == items.len() {
        return Ok(Value::List(items));
    }
    evaluator.list(kept.into_iter(), pos)
}

fn group_by<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let function = evaluator.function_argument(arguments[0], pos)?;
    let mut groups: BTreeMap<Symbol, Vec<&'a Thunk<'a>>> = BTreeMap::new();
    for item in evaluator.list_argument(arguments[1], pos)? {
        let name = evaluator.call(function, &[item], pos)?;
        let name = evaluator.symbol(evaluator.plain_string(name, pos)?);
        groups.entry(name).or_default().push(item);
    }
    let mut entries = Vec::with_capacity(groups.len());
    for (name, items) in groups {
        let items = evaluator.list(items.into_iter(), pos)?;
        entries.push(Attr {
            name,
            pos: Pos::NONE,
            value: evaluator.known(items),
        });
    }
    Ok(Value::Attrs(evaluator.attrs_from_sorted(entries)))
}

fn sort_list<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let items = evaluator.list_argument(arguments[1], pos)?;
    if items.is_empty() {
        return Ok(Value::List(items));
    }
    let comparator = evaluator.function_argument(arguments[0], pos)?;
    for item in items {
        evaluator.force(item)?;
    }
    let mut sorted = items.to_vec();
    match comparator {
        Value::Builtin(builtin) if builtin.name == "lessThan" => {
            sort::sort(&mut sorted, &mut |left, right| {
                let (left, right) = (evaluator.force(left)?, evaluator.force(right)?);
                evaluator.is_less(left, right, pos)
            })?;
        }
        comparator => sort::sort(&mut sorted, &mut |left, right| {
            evaluator.holds(comparator, &[left, right], pos)
        })?,
    }
    evaluator.list(sorted.into_iter(), pos)
}
