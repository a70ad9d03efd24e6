//! `match` and `split`.

use std::rc::Rc;

use super::Builtin;
use crate::error::{ErrorKind, Eval, Fault};
use crate::eval::Evaluator;
use crate::source::Pos;
use crate::text::regex::{Groups, Regex, RegexError};
use crate::value::{Context, Thunk, Value};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "match",
        parameters: &["regex", "text"],
        doc: "What the groups of a POSIX extended regular expression hold when it matches the whole text, as a list with `null` for groups that took no part; `null` when it does not match.",
        function: |evaluator, arguments, pos| {
            let (regex, text) = arguments_of(evaluator, arguments, pos)?;
            let mut steps = 0;
            let groups = regex.match_whole(text, &mut steps);
            evaluator.spend(steps / STATES, pos)?;
            match groups.map_err(|error| fault(&error, pos))? {
                Some(groups) => listed(evaluator, text, &groups, pos),
                None => Ok(Value::Null),
            }
        },
    },
    Builtin {
        name: "split",
        parameters: &["regex", "text"],
        doc: "Cuts a text where a POSIX extended regular expression matches: a list of the strings between the matches, and between these for each match the list of what its groups hold.",
        function: |evaluator, arguments, pos| {
            let (regex, text) = arguments_of(evaluator, arguments, pos)?;
            let mut steps = 0;
            let found = regex.find_all(text, &mut steps);
            evaluator.spend(steps / STATES, pos)?;
            let found = found.map_err(|error| fault(&error, pos))?;
            if found.is_empty() {
                return evaluator.list([arguments[1]].into_iter(), pos);
            }
            let mut parts = Vec::with_capacity(2 * found.len() + 1);
            let mut last = 0;
            for one in found {
                parts.push(evaluator.kept_string(&text[last..one.span.start], Context::EMPTY));
                parts.push(listed(evaluator, text, &one.groups, pos)?);
                last = one.span.end;
            }
            parts.push(evaluator.kept_string(&text[last..], Context::EMPTY));
            evaluator.known_list(parts, pos)
        },
    },
];

/// How many states of an expression take as long as a step of the evaluation.
const STATES: u64 = 16;
/// Compiled expressions are kept for the evaluation, as many as this.
const MAX_KEPT: usize = 1000;

fn arguments_of<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<(Rc<Regex>, &'a [u8])> {
    let pattern = evaluator.plain_argument(arguments[0], pos)?;
    let (text, _) = evaluator.string_argument(arguments[1], pos)?;
    let known = evaluator.regexes.borrow().get(pattern).cloned();
    if let Some(regex) = known {
        return Ok((regex, text));
    }
    let regex = Regex::new(pattern).map_err(|error| {
        let pattern = String::from_utf8_lossy(pattern);
        match error {
            RegexError::Invalid { .. } => {
                let message = format!("invalid regular expression '{pattern}': {error}");
                Fault::value(pos, message)
            }
            _ => fault(&error, pos),
        }
    })?;
    let regex = Rc::new(regex);
    let mut kept = evaluator.regexes.borrow_mut();
    if kept.len() >= MAX_KEPT {
        kept.clear();
    }
    kept.insert(pattern.to_vec(), Rc::clone(&regex));
    Ok((regex, text))
}

fn fault(error: &RegexError, pos: Pos) -> Fault {
    Fault::new(
        ErrorKind::Limit,
        pos,
        format!("{error} by a regular expression"),
    )
}

fn listed<'a>(
    evaluator: &Evaluator<'a>,
    text: &'a [u8],
    groups: &Groups,
    pos: Pos,
) -> Eval<Value<'a>> {
    let values = groups.iter().map(|group| match group {
        Some(span) => evaluator.kept_string(&text[span.clone()], Context::EMPTY),
        None => Value::Null,
    });
    evaluator.known_list(values.collect(), pos)
}
