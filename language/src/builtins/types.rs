//! What kind of value something is.

use super::Builtin;
use crate::value::Value;

macro_rules! is {
    ($name:literal, $doc:literal, $pattern:pat) => {
        Builtin {
            name: $name,
            parameters: &["value"],
            doc: $doc,
            function: |evaluator, arguments, _| {
                let value = evaluator.force(arguments[0])?;
                Ok(Value::Bool(matches!(value, $pattern)))
            },
        }
    };
}

pub(super) const BUILTINS: &[Builtin] = &[
    is!(
        "isAttrs",
        "Whether a value is an attribute set.",
        Value::Attrs(_)
    ),
    is!("isBool", "Whether a value is a Boolean.", Value::Bool(_)),
    is!(
        "isFloat",
        "Whether a value is a number with a fraction.",
        Value::Float(_)
    ),
    is!(
        "isFunction",
        "Whether a value is a function, one of the program's included. A set with `__functor` is none.",
        Value::Lambda(_) | Value::Builtin(_) | Value::Partial(_)
    ),
    is!("isInt", "Whether a value is a whole number.", Value::Int(_)),
    is!("isList", "Whether a value is a list.", Value::List(_)),
    is!(
        "isNull",
        "Whether a value is `null`. `value == null` says the same.",
        Value::Null
    ),
    is!(
        "isPath",
        "Whether a value is a path. A string that looks like one is none.",
        Value::Path(_)
    ),
    is!("isString", "Whether a value is a string.", Value::String(_)),
    Builtin {
        name: "typeOf",
        parameters: &["value"],
        doc: "The kind of a value as a word: `int`, `bool`, `string`, `path`, `null`, `set`, `list`, `lambda` or `float`.",
        function: |evaluator, arguments, _| {
            let value = evaluator.force(arguments[0])?;
            Ok(evaluator.string(value.type_name()))
        },
    },
];
