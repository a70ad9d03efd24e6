//! What strings refer to in the store.

use std::collections::BTreeMap;

use super::Builtin;
use crate::error::{Eval, Fault};
use crate::eval::{Coercion, Evaluator};
use crate::source::Pos;
use crate::value::{Attr, Context, ContextElement, Thunk, Value};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "addDrvOutputDependencies",
        parameters: &["text"],
        doc: "A string that refers to the file of one derivation then refers to all its outputs and everything that they stand on.",
        function: add_output_dependencies,
    },
    Builtin {
        name: "appendContext",
        parameters: &["text", "context"],
        doc: "The string, which then refers to more: a set as `getContext` makes one.",
        function: append_context,
    },
    Builtin {
        name: "getContext",
        parameters: &["text"],
        doc: "What a string refers to: a set with a name for each store path. There, `path` says that the path itself is meant, `outputs` names outputs of a derivation, and `allOutputs` means all of them.",
        function: get_context,
    },
    Builtin {
        name: "hasContext",
        parameters: &["text"],
        doc: "Whether a string refers to something in the store.",
        function: |evaluator, arguments, pos| {
            let (_, context) = evaluator.string_argument(arguments[0], pos)?;
            Ok(Value::Bool(!context.is_empty()))
        },
    },
    Builtin {
        name: "unsafeDiscardOutputDependency",
        parameters: &["text"],
        doc: "A string that refers to the files of derivations themselves, where it referred to all that they stand on. Unsafe because what was referred to may then be missing.",
        function: |evaluator, arguments, pos| {
            let value = evaluator.force(arguments[0])?;
            let (text, context) = evaluator.text(value, Coercion::INTERPOLATED, pos)?;
            let elements = context.elements().iter().map(|element| match element {
                ContextElement::DeepDerivation(path) => ContextElement::Path(path),
                other => *other,
            });
            Ok(evaluator.string_with(&text, evaluator.context(elements.collect())))
        },
    },
    Builtin {
        name: "unsafeDiscardStringContext",
        parameters: &["text"],
        doc: "The string, referring to nothing. Unsafe because what was referred to may then be missing.",
        function: |evaluator, arguments, pos| {
            let value = evaluator.force(arguments[0])?;
            if let Value::String(text) = value {
                return Ok(evaluator.kept_string(text.bytes, Context::EMPTY));
            }
            let (text, _) = evaluator.text(value, Coercion::INTERPOLATED, pos)?;
            Ok(evaluator.string(text))
        },
    },
];

fn add_output_dependencies<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let value = evaluator.force(arguments[0])?;
    let (text, context) = evaluator.text(value, Coercion::INTERPOLATED, pos)?;
    let shown = String::from_utf8_lossy(&text);
    let element = match context.elements() {
        [ContextElement::Path(path)] if is_derivation(path) => ContextElement::DeepDerivation(path),
        [ContextElement::DeepDerivation(path)] => ContextElement::DeepDerivation(path),
        [ContextElement::Path(path)] => {
            return Err(Fault::value(
                pos,
                format!("path '{path}' is not a derivation"),
            ));
        }
        [ContextElement::Output { output, .. }] => {
            let message = format!(
                "'{shown}' refers to the output '{output}' of a derivation, not to the derivation itself"
            );
            return Err(Fault::value(pos, message));
        }
        elements => {
            let message = format!(
                "the string '{shown}' must refer to one store path, but refers to {}",
                elements.len()
            );
            return Err(Fault::value(pos, message));
        }
    };
    Ok(evaluator.string_with(&text, evaluator.context(vec![element])))
}

fn append_context<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let (text, context) = evaluator.string_argument(arguments[0], pos)?;
    let mut elements = context.elements().to_vec();
    for attr in evaluator.by_name(evaluator.set_argument(arguments[1], pos)?) {
        let pos = attr.pos;
        let path = std::str::from_utf8(evaluator.symbols.name(attr.name)).unwrap_or_default();
        if cognix_derivations::StorePath::parse(path).is_err() {
            let name = evaluator.name_text(attr.name);
            return Err(Fault::value(
                pos,
                format!("context key '{name}' is not a store path"),
            ));
        }
        let given = evaluator.set_argument(attr.value, pos)?;
        let names = &evaluator.names;
        if let Some(attr) = given.get(names.path)
            && flag(evaluator, attr)?
        {
            elements.push(ContextElement::Path(path));
        }
        let not_a_derivation = |what: &str| {
            let message = format!(
                "tried to add {what} context of {path}, which is not a derivation, to a string"
            );
            Fault::value(pos, message)
        };
        if let Some(attr) = given.get(names.all_outputs)
            && flag(evaluator, attr)?
        {
            if !is_derivation(path) {
                return Err(not_a_derivation("all-outputs"));
            }
            elements.push(ContextElement::DeepDerivation(path));
        }
        if let Some(attr) = given.get(names.outputs) {
            let outputs = evaluator.list_argument(attr.value, attr.pos)?;
            if !outputs.is_empty() && !is_derivation(path) {
                return Err(not_a_derivation("derivation output"));
            }
            for output in outputs {
                let output = evaluator.plain_argument(output, attr.pos)?;
                let output = std::str::from_utf8(output)
                    .map_err(|_| Fault::value(attr.pos, "the name of an output must be UTF-8"))?;
                elements.push(ContextElement::Output {
                    derivation: path,
                    output,
                });
            }
        }
    }
    Ok(evaluator.kept_string(text, evaluator.context(elements)))
}

fn flag<'a>(evaluator: &Evaluator<'a>, attr: &Attr<'a>) -> Eval<bool> {
    match evaluator.force(attr.value)? {
        Value::Bool(value) => Ok(value),
        other => Err(evaluator.expected("a Boolean", other, attr.pos)),
    }
}

fn get_context<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    #[derive(Default)]
    struct Info<'a> {
        path: bool,
        all_outputs: bool,
        outputs: Vec<Value<'a>>,
    }
    let (_, context) = evaluator.string_argument(arguments[0], pos)?;
    let mut infos: BTreeMap<&'a str, Info<'a>> = BTreeMap::new();
    for element in context.elements() {
        match element {
            ContextElement::Path(path) => infos.entry(path).or_default().path = true,
            ContextElement::DeepDerivation(path) => {
                infos.entry(path).or_default().all_outputs = true;
            }
            ContextElement::Output { derivation, output } => {
                let info = infos.entry(derivation).or_default();
                info.outputs
                    .push(evaluator.kept_string(output.as_bytes(), Context::EMPTY));
            }
        }
    }
    let names = &evaluator.names;
    let mut entries = Vec::with_capacity(infos.len());
    for (path, info) in infos {
        let mut known = Vec::new();
        if info.path {
            known.push((names.path, Value::Bool(true)));
        }
        if info.all_outputs {
            known.push((names.all_outputs, Value::Bool(true)));
        }
        if !info.outputs.is_empty() {
            known.push((names.outputs, evaluator.known_list(info.outputs, pos)?));
        }
        let known = known
            .into_iter()
            .map(|(name, value)| entry(evaluator, name, value));
        let value = evaluator.attrs(known.collect());
        entries.push(entry(evaluator, evaluator.symbol(path), value));
    }
    Ok(evaluator.attrs(entries))
}

fn entry<'a>(evaluator: &Evaluator<'a>, name: crate::value::Symbol, value: Value<'a>) -> Attr<'a> {
    Attr {
        name,
        pos: Pos::NONE,
        value: evaluator.known(value),
    }
}

fn is_derivation(path: &str) -> bool {
    path.ends_with(".drv")
}
