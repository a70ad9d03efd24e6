//! Arithmetic and order.

use super::Builtin;
use crate::error::{Eval, Fault};
use crate::eval::Evaluator;
use crate::source::Pos;
use crate::syntax::tree::Operator;
use crate::value::{Thunk, Value};

macro_rules! arithmetic {
    ($name:literal, $doc:literal, $operator:expr) => {
        Builtin {
            name: $name,
            parameters: &["left", "right"],
            doc: $doc,
            function: |evaluator, arguments, pos| {
                let left = evaluator.force(arguments[0])?;
                let right = evaluator.force(arguments[1])?;
                evaluator.arithmetic($operator, left, right, pos)
            },
        }
    };
}

macro_rules! bits {
    ($name:literal, $doc:literal, $operation:expr) => {
        Builtin {
            name: $name,
            parameters: &["left", "right"],
            doc: $doc,
            function: |evaluator, arguments, pos| {
                let left = evaluator.int_argument(arguments[0], pos)?;
                let right = evaluator.int_argument(arguments[1], pos)?;
                let operation: fn(i64, i64) -> i64 = $operation;
                Ok(Value::Int(operation(left, right)))
            },
        }
    };
}

pub(super) const BUILTINS: &[Builtin] = &[
    arithmetic!(
        "add",
        "The sum of two numbers. Only numbers: strings are joined with `+`.",
        Operator::Add
    ),
    bits!(
        "bitAnd",
        "The bits that both of two integers have.",
        |left, right| left & right
    ),
    bits!(
        "bitOr",
        "The bits that at least one of two integers has.",
        |left, right| left | right
    ),
    bits!(
        "bitXor",
        "The bits that exactly one of two integers has.",
        |left, right| left ^ right
    ),
    Builtin {
        name: "ceil",
        parameters: &["number"],
        doc: "The smallest integer that is not less than a number.",
        function: |evaluator, arguments, pos| rounded(evaluator, arguments[0], f64::ceil, pos),
    },
    arithmetic!(
        "div",
        "The quotient of two numbers. That of two integers is an integer, rounded towards zero; dividing by zero is an error.",
        Operator::Divide
    ),
    Builtin {
        name: "floor",
        parameters: &["number"],
        doc: "The largest integer that is not more than a number.",
        function: |evaluator, arguments, pos| rounded(evaluator, arguments[0], f64::floor, pos),
    },
    Builtin {
        name: "lessThan",
        parameters: &["left", "right"],
        doc: "Whether the left value comes before the right one: `left < right` as a function. Numbers, strings, paths, and lists of these have an order.",
        function: |evaluator, arguments, pos| {
            let left = evaluator.force(arguments[0])?;
            let right = evaluator.force(arguments[1])?;
            Ok(Value::Bool(evaluator.is_less(left, right, pos)?))
        },
    },
    arithmetic!("mul", "The product of two numbers.", Operator::Multiply),
    arithmetic!("sub", "The difference of two numbers.", Operator::Subtract),
];

/// Beyond the integers the answer of a real Nix is that of its processor; ours is an error.
fn rounded<'a>(
    evaluator: &Evaluator<'a>,
    argument: &'a Thunk<'a>,
    round: fn(f64) -> f64,
    pos: Pos,
) -> Eval<Value<'a>> {
    /// 2⁶³, the first whole number that is no integer of the language.
    const END: f64 = 9_223_372_036_854_775_808.0;
    let value = evaluator.force(argument)?;
    let rounded = round(evaluator.number(value, pos)?);
    if !(-END..END).contains(&rounded) {
        return Err(Fault::value(
            pos,
            format!("{rounded} is not an integer of 64 bits"),
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole, and in the range of integers"
    )]
    Ok(Value::Int(rounded as i64))
}
