//! Attribute sets, and the sets of names that functions take.

use std::collections::BTreeMap;

use super::Builtin;
use crate::error::{Eval, Fault};
use crate::eval::Evaluator;
use crate::source::Pos;
use crate::syntax::tree::Parameter;
use crate::value::{Attr, Symbol, Thunk, Value};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "attrNames",
        parameters: &["set"],
        doc: "The names of a set's attributes, in alphabetical order.",
        function: |evaluator, arguments, pos| {
            let attrs = evaluator.set_argument(arguments[0], pos)?;
            let entries = evaluator.by_name(attrs);
            let names = entries.iter().map(|attr| evaluator.name_string(attr.name));
            evaluator.known_list(names.collect(), pos)
        },
    },
    Builtin {
        name: "attrValues",
        parameters: &["set"],
        doc: "The values of a set's attributes, in the alphabetical order of their names.",
        function: |evaluator, arguments, pos| {
            let attrs = evaluator.set_argument(arguments[0], pos)?;
            let entries = evaluator.by_name(attrs);
            evaluator.list(entries.iter().map(|attr| attr.value), pos)
        },
    },
    Builtin {
        name: "catAttrs",
        parameters: &["name", "sets"],
        doc: "The values that the attribute `name` has in the sets of a list. Sets without it are left out.",
        function: |evaluator, arguments, pos| {
            let name = evaluator.name_argument(arguments[0], pos)?;
            let mut values = Vec::new();
            for set in evaluator.list_argument(arguments[1], pos)? {
                let attrs = evaluator.set_argument(set, pos)?;
                values.extend(attrs.get(name).map(|attr| attr.value));
            }
            evaluator.list(values.into_iter(), pos)
        },
    },
    Builtin {
        name: "functionArgs",
        parameters: &["function"],
        doc: "The names in the pattern of a function, each with whether it has a default. Of a function without a pattern, and of one of the program's, the empty set.",
        function: function_args,
    },
    Builtin {
        name: "getAttr",
        parameters: &["name", "set"],
        doc: "An attribute whose name is computed: `set.${name}` as a function.",
        function: |evaluator, arguments, pos| {
            let name = evaluator.name_argument(arguments[0], pos)?;
            let attrs = evaluator.set_argument(arguments[1], pos)?;
            let attr = evaluator.required(attrs, name, pos)?;
            evaluator.force(attr.value)
        },
    },
    Builtin {
        name: "hasAttr",
        parameters: &["name", "set"],
        doc: "Whether a set has an attribute: `set ? ${name}` as a function.",
        function: |evaluator, arguments, pos| {
            let name = evaluator.name_argument(arguments[0], pos)?;
            let attrs = evaluator.set_argument(arguments[1], pos)?;
            Ok(Value::Bool(attrs.get(name).is_some()))
        },
    },
    Builtin {
        name: "intersectAttrs",
        parameters: &["names", "set"],
        doc: "The attributes of `set` whose names are also in `names`.",
        function: |evaluator, arguments, pos| {
            let names = evaluator.set_argument(arguments[0], pos)?;
            let attrs = evaluator.set_argument(arguments[1], pos)?;
            let both = match names.len() < attrs.len() {
                true => names
                    .entries()
                    .iter()
                    .filter_map(|attr| attrs.get(attr.name))
                    .copied()
                    .collect(),
                false => attrs
                    .entries()
                    .iter()
                    .filter(|attr| names.get(attr.name).is_some())
                    .copied()
                    .collect(),
            };
            Ok(Value::Attrs(evaluator.attrs_from_sorted(both)))
        },
    },
    Builtin {
        name: "listToAttrs",
        parameters: &["list"],
        doc: "A set from a list of sets, each with the `name` and the `value` of an attribute. Of several with one name the first counts.",
        function: list_to_attrs,
    },
    Builtin {
        name: "mapAttrs",
        parameters: &["function", "set"],
        doc: "A set with the same names; each value is what the function makes of the name and the value there. The function is called when a value is needed.",
        function: |evaluator, arguments, pos| {
            let attrs = evaluator.set_argument(arguments[1], pos)?;
            evaluator.room_for(attrs.len() * 4 * size_of::<Attr<'_>>(), pos)?;
            let mapped = attrs.entries().iter().map(|attr| {
                let name = evaluator.known(evaluator.name_string(attr.name));
                Attr {
                    name: attr.name,
                    pos: Pos::NONE,
                    value: later(evaluator, arguments[0], &[name, attr.value]),
                }
            });
            Ok(Value::Attrs(evaluator.attrs_from_sorted(mapped.collect())))
        },
    },
    Builtin {
        name: "removeAttrs",
        parameters: &["set", "names"],
        doc: "The set without the attributes of a list of names. Names that it does not have do not matter.",
        function: |evaluator, arguments, pos| {
            let attrs = evaluator.set_argument(arguments[0], pos)?;
            let mut names = Vec::new();
            for name in evaluator.list_argument(arguments[1], pos)? {
                names.push(evaluator.name_argument(name, pos)?);
            }
            names.sort_unstable();
            let kept = attrs
                .entries()
                .iter()
                .filter(|attr| names.binary_search(&attr.name).is_err());
            Ok(Value::Attrs(
                evaluator.attrs_from_sorted(kept.copied().collect()),
            ))
        },
    },
    Builtin {
        name: "unsafeGetAttrPos",
        parameters: &["name", "set"],
        doc: "Where an attribute was written, as a set of `file`, `line` and `column`; `null` where that is not known. Unsafe because formatting a file must not change what it means.",
        function: |evaluator, arguments, pos| {
            let name = evaluator.name_argument(arguments[0], pos)?;
            let attrs = evaluator.set_argument(arguments[1], pos)?;
            Ok(attrs
                .get(name)
                .map_or(Value::Null, |attr| evaluator.position(attr.pos)))
        },
    },
    Builtin {
        name: "zipAttrsWith",
        parameters: &["function", "sets"],
        doc: "A set with every name that one of the sets of a list has; each value is what the function makes of the name and the list of the values there. The function is called when a value is needed.",
        function: zip_attrs_with,
    },
];

/// A call of something that is not even known to be a function yet.
pub(super) fn later<'a>(
    evaluator: &Evaluator<'a>,
    function: &'a Thunk<'a>,
    arguments: &[&'a Thunk<'a>],
) -> &'a Thunk<'a> {
    match function.known() {
        Some(function) => evaluator.lazy_call(function, arguments),
        None => {
            let arguments = [&[function], arguments].concat();
            evaluator.lazy_call(Value::Builtin(&APPLY), &arguments)
        }
    }
}

/// Calls its first argument with what follows; has no name in the language.
static APPLY: Builtin = Builtin {
    name: "apply",
    parameters: &["function", "argument"],
    doc: "",
    function: |evaluator, arguments, pos| {
        let function = evaluator.force(arguments[0])?;
        evaluator.call(function, &arguments[1..], pos)
    },
};

fn function_args<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let lambda = match evaluator.force(arguments[0])? {
        Value::Lambda(lambda) => lambda,
        Value::Builtin(_) | Value::Partial(_) => return Ok(Value::Attrs(evaluator.empty.attrs)),
        _ => return Err(Fault::value(pos, "'functionArgs' requires a function")),
    };
    let Parameter::Pattern { formals, .. } = &lambda.expr.parameter else {
        return Ok(Value::Attrs(evaluator.empty.attrs));
    };
    let entries = formals.iter().map(|formal| Attr {
        name: formal.name,
        pos: formal.pos,
        value: evaluator.known(Value::Bool(formal.default.is_some())),
    });
    Ok(Value::Attrs(evaluator.attrs_from_sorted(entries.collect())))
}

fn list_to_attrs<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let mut entries: BTreeMap<Symbol, Attr<'a>> = BTreeMap::new();
    for item in evaluator.list_argument(arguments[0], pos)? {
        let attrs = evaluator.set_argument(item, pos)?;
        let name = evaluator.required(attrs, evaluator.names.name, pos)?;
        let name = evaluator.name_argument(name.value, pos)?;
        if let std::collections::btree_map::Entry::Vacant(entry) = entries.entry(name) {
            let value = evaluator.required(attrs, evaluator.names.value, pos)?;
            entry.insert(Attr { name, ..*value });
        }
    }
    Ok(Value::Attrs(
        evaluator.attrs_from_sorted(entries.into_values().collect()),
    ))
}

fn zip_attrs_with<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let function = evaluator.function_argument(arguments[0], pos)?;
    let mut found: BTreeMap<Symbol, Vec<&'a Thunk<'a>>> = BTreeMap::new();
    for set in evaluator.list_argument(arguments[1], pos)? {
        for attr in evaluator.set_argument(set, pos)?.entries() {
            found.entry(attr.name).or_default().push(attr.value);
        }
    }
    let mut entries = Vec::with_capacity(found.len());
    for (name, values) in found {
        let values = evaluator.list(values.into_iter(), pos)?;
        let arguments = [
            evaluator.known(evaluator.name_string(name)),
            evaluator.known(values),
        ];
        entries.push(Attr {
            name,
            pos: Pos::NONE,
            value: evaluator.lazy_call(function, &arguments),
        });
    }
    Ok(Value::Attrs(evaluator.attrs_from_sorted(entries)))
}
