//! When and whether something is evaluated, and what is said about it.

use super::Builtin;
use crate::error::{ErrorKind, Eval, Fault};
use crate::eval::{Coercion, Evaluator};
use crate::source::Pos;
use crate::value::{Thunk, Value};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "abort",
        parameters: &["message"],
        doc: "Ends the evaluation with a message. Unlike `throw`, `tryEval` does not catch it.",
        function: |evaluator, arguments, pos| {
            let message = message(evaluator, arguments[0], pos)?;
            let text = format!("evaluation aborted with the following error message: '{message}'");
            Err(Fault::new(ErrorKind::Aborted, pos, text))
        },
    },
    Builtin {
        name: "addErrorContext",
        parameters: &["message", "value"],
        doc: "The value. If evaluating it fails, the message becomes a line of the trace.",
        function: |evaluator, arguments, pos| match evaluator.force(arguments[1]) {
            Ok(value) => Ok(value),
            Err(fault) => {
                let message = message(evaluator, arguments[0], pos)?;
                Err(fault.within(pos, message))
            }
        },
    },
    Builtin {
        name: "break",
        parameters: &["value"],
        doc: "The value. Where a real Nix has a debugger, it starts here; there is none.",
        function: |evaluator, arguments, _| evaluator.force(arguments[0]),
    },
    Builtin {
        name: "deepSeq",
        parameters: &["first", "value"],
        doc: "The value, after the first argument and everything in it have been evaluated.",
        function: |evaluator, arguments, _| {
            let first = evaluator.force(arguments[0])?;
            evaluator.force_deep(first)?;
            evaluator.force(arguments[1])
        },
    },
    Builtin {
        name: "seq",
        parameters: &["first", "value"],
        doc: "The value, after the first argument has been evaluated: whether it is a list or a set, not what is in it.",
        function: |evaluator, arguments, _| {
            evaluator.force(arguments[0])?;
            evaluator.force(arguments[1])
        },
    },
    Builtin {
        name: "throw",
        parameters: &["message"],
        doc: "Fails with a message. `tryEval` catches it.",
        function: |evaluator, arguments, pos| {
            let message = message(evaluator, arguments[0], pos)?;
            Err(Fault::new(ErrorKind::Thrown, pos, message))
        },
    },
    Builtin {
        name: "trace",
        parameters: &["message", "value"],
        doc: "The value, after the message has been shown to whoever evaluates. A message that is no string is shown as an expression.",
        function: |evaluator, arguments, _| {
            let text = match evaluator.force(arguments[0])? {
                Value::String(text) => String::from_utf8_lossy(text.bytes).into_owned(),
                other => evaluator.print_lazily(other),
            };
            say(evaluator, format!("trace: {text}"));
            evaluator.force(arguments[1])
        },
    },
    Builtin {
        name: "traceVerbose",
        parameters: &["message", "value"],
        doc: "The value. The message is for a setting that a real Nix has; here it is not even evaluated.",
        function: |evaluator, arguments, _| evaluator.force(arguments[1]),
    },
    Builtin {
        name: "tryEval",
        parameters: &["value"],
        doc: "A set: `success` says whether the value can be evaluated, `value` is the value then and `false` otherwise. Only `throw` and `assert` are caught, and only what fails on the way to the value itself, not in it.",
        function: |evaluator, arguments, _| {
            let (success, value) = match evaluator.force(arguments[0]) {
                Ok(value) => (true, value),
                Err(fault) if fault.is_catchable() => (false, Value::Bool(false)),
                Err(fault) => return Err(fault),
            };
            let names = &evaluator.names;
            Ok(evaluator.record([(names.success, Value::Bool(success)), (names.value, value)]))
        },
    },
    Builtin {
        name: "warn",
        parameters: &["message", "value"],
        doc: "The value, after the message, which must be a string, has been shown as a warning.",
        function: |evaluator, arguments, pos| {
            let (text, _) = evaluator.string_argument(arguments[0], pos)?;
            say(
                evaluator,
                format!("evaluation warning: {}", String::from_utf8_lossy(text)),
            );
            evaluator.force(arguments[1])
        },
    },
];

fn message<'a>(evaluator: &Evaluator<'a>, argument: &'a Thunk<'a>, pos: Pos) -> Eval<String> {
    let value = evaluator.force(argument)?;
    let (text, _) = evaluator.text(value, Coercion::INTERPOLATED, pos)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// How many messages are kept, and how long each may be: a loop can make any number.
const MAX_MESSAGES: usize = 1000;
const MAX_MESSAGE: usize = 64 << 10;

fn say(evaluator: &Evaluator<'_>, mut message: String) {
    let mut messages = evaluator.messages.borrow_mut();
    if messages.len() < MAX_MESSAGES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        messages.push(message);
    }
}
