//! JSON, TOML and XML.

use super::{Builtin, xml};
use crate::error::{Eval, Fault};
use crate::eval::Evaluator;
use crate::source::Pos;
use crate::text::json::{Event, Reader};
use crate::value::{Attr, Symbol, Thunk, Value};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "fromJSON",
        parameters: &["text"],
        doc: "The value of a JSON document. Numbers with a point or an exponent become floats.",
        function: from_json,
    },
    Builtin {
        name: "fromTOML",
        parameters: &["text"],
        doc: "The value of a TOML 1.0 document. Dates and times are not supported.",
        function: |evaluator, arguments, pos| {
            let text = evaluator.plain_argument(arguments[0], pos)?;
            let table = crate::text::toml::parse(text)
                .map_err(|error| Fault::value(pos, format!("while parsing TOML: {error}")))?;
            toml_table(evaluator, table, pos)
        },
    },
    Builtin {
        name: "toJSON",
        parameters: &["value"],
        doc: "A value as JSON. A set with `__toString` or `outPath` becomes a string, a path the store path of its contents; functions are an error.",
        function: |evaluator, arguments, pos| {
            let value = evaluator.force(arguments[0])?;
            let (text, context) = evaluator.to_json(value, true, pos)?;
            Ok(evaluator.string_with(text.as_bytes(), context))
        },
    },
    Builtin {
        name: "toXML",
        parameters: &["value"],
        doc: "A value as XML, functions and their patterns included. Inside of a derivation, nothing but its attributes is shown, and only the first time.",
        function: xml::to_xml,
    },
];

/// A list or an object whose end has not been read.
enum Open<'a> {
    List(Vec<&'a Thunk<'a>>),
    Object {
        entries: Vec<Attr<'a>>,
        key: Option<Symbol>,
    },
}

fn from_json<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let text = evaluator.plain_argument(arguments[0], pos)?;
    let fault = |error: crate::text::json::JsonError| {
        Fault::value(pos, format!("while parsing JSON: {error}"))
    };
    let mut reader = Reader::new(text);
    let mut open: Vec<Open<'a>> = Vec::new();
    let mut document = Value::Null;
    while let Some(event) = reader.next().map_err(fault)? {
        evaluator.guard(pos)?;
        let value = match event {
            Event::Null => Value::Null,
            Event::Bool(value) => Value::Bool(value),
            Event::Int(number) => Value::Int(number),
            Event::Float(number) => Value::Float(number),
            Event::Text(text) => evaluator.string(text),
            Event::ListStart => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::ObjectStart => {
                open.push(Open::Object {
                    entries: Vec::new(),
                    key: None,
                });
                continue;
            }
            Event::Key(name) => {
                if let Some(Open::Object { key, .. }) = open.last_mut() {
                    *key = Some(evaluator.symbol(name));
                }
                continue;
            }
            Event::ListEnd | Event::ObjectEnd => match open.pop() {
                Some(Open::List(items)) => evaluator.list(items.into_iter(), pos)?,
                Some(Open::Object { mut entries, .. }) => {
                    // Of several with one name the last counts, and the first is what is kept.
                    entries.reverse();
                    evaluator.attrs(entries)
                }
                None => Value::Null,
            },
        };
        match open.last_mut() {
            None => document = value,
            Some(Open::List(items)) => items.push(evaluator.known(value)),
            Some(Open::Object { entries, key }) => {
                let value = evaluator.known(value);
                entries.extend(key.take().map(|name| Attr {
                    name,
                    pos: Pos::NONE,
                    value,
                }));
            }
        }
    }
    Ok(document)
}

fn toml_table<'a>(evaluator: &Evaluator<'a>, table: toml::Table, pos: Pos) -> Eval<Value<'a>> {
    let mut entries = Vec::with_capacity(table.len());
    for (name, value) in table {
        refuse_null(&name, pos)?;
        entries.push(Attr {
            name: evaluator.symbol(name),
            pos: Pos::NONE,
            value: evaluator.known(toml_value(evaluator, value, pos)?),
        });
    }
    Ok(evaluator.attrs(entries))
}

fn toml_value<'a>(evaluator: &Evaluator<'a>, value: toml::Value, pos: Pos) -> Eval<Value<'a>> {
    evaluator.guard(pos)?;
    Ok(match value {
        toml::Value::Boolean(value) => Value::Bool(value),
        toml::Value::Integer(number) => Value::Int(number),
        toml::Value::Float(number) => Value::Float(number),
        toml::Value::String(text) => {
            refuse_null(&text, pos)?;
            evaluator.string(text)
        }
        toml::Value::Array(items) => {
            let items = items
                .into_iter()
                .map(|item| toml_value(evaluator, item, pos));
            evaluator.known_list(items.collect::<Eval<_>>()?, pos)?
        }
        toml::Value::Table(table) => toml_table(evaluator, table, pos)?,
        toml::Value::Datetime(_) => {
            let message = "while parsing TOML: dates and times are not supported";
            return Err(Fault::value(pos, message));
        }
    })
}

fn refuse_null(text: &str, pos: Pos) -> Eval<()> {
    match text.contains('\0') {
        false => Ok(()),
        true => Err(Fault::value(
            pos,
            "a string of the language cannot hold a null byte",
        )),
    }
}
