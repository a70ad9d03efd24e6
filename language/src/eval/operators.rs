//! Operators.

use super::{Coercion, Evaluator};
use crate::error::{Eval, Fault};
use crate::paths;
use crate::source::Pos;
use crate::syntax::tree::{Expr, Operator};
use crate::value::{Attr, Attrs, Context, Env, Value};

impl<'a> Evaluator<'a> {
    pub(super) fn binary(
        &self,
        operator: Operator,
        left: &'a Expr<'a>,
        right: &'a Expr<'a>,
        env: &'a Env<'a>,
        pos: Pos,
    ) -> Eval<Value<'a>> {
        match operator {
            Operator::And => Ok(Value::Bool(
                self.condition(left, env)? && self.condition(right, env)?,
            )),
            Operator::Or => Ok(Value::Bool(
                self.condition(left, env)? || self.condition(right, env)?,
            )),
            Operator::Implies => Ok(Value::Bool(
                !self.condition(left, env)? || self.condition(right, env)?,
            )),
            Operator::Update => {
                let left = self.operand_set(left, env)?;
                let right = self.operand_set(right, env)?;
                Ok(Value::Attrs(self.update(left, right, pos)?))
            }
            operator => {
                let left = self.eval(left, env)?;
                let right = self.eval(right, env)?;
                self.operate(operator, left, right, pos)
            }
        }
    }

    fn operand_set(&self, expr: &'a Expr<'a>, env: &'a Env<'a>) -> Eval<&'a Attrs<'a>> {
        match self.eval(expr, env)? {
            Value::Attrs(attrs) => Ok(attrs),
            other => Err(self.expected("a set", other, expr.pos)),
        }
    }

    fn operate(
        &self,
        operator: Operator,
        left: Value<'a>,
        right: Value<'a>,
        pos: Pos,
    ) -> Eval<Value<'a>> {
        let less = |left, right| self.is_less(left, right, pos);
        match operator {
            Operator::Add => self.add(left, right, pos),
            Operator::Equal => Ok(Value::Bool(self.equal(left, right, pos)?)),
            Operator::NotEqual => Ok(Value::Bool(!self.equal(left, right, pos)?)),
            Operator::Less => Ok(Value::Bool(less(left, right)?)),
            Operator::LessOrEqual => Ok(Value::Bool(!less(right, left)?)),
            Operator::More => Ok(Value::Bool(less(right, left)?)),
            Operator::MoreOrEqual => Ok(Value::Bool(!less(left, right)?)),
            Operator::Concat => match (left, right) {
                (Value::List(left), Value::List(right)) => match (left, right) {
                    ([], other) | (other, []) => Ok(Value::List(other)),
                    _ => {
                        let bytes = (left.len() + right.len()) * size_of::<usize>();
                        self.room_for(bytes, pos)?;
                        let items = [left, right].concat();
                        Ok(Value::List(self.arena.alloc_slice_copy(&items)))
                    }
                },
                (Value::List(_), other) | (other, _) => Err(self.expected("a list", other, pos)),
            },
            operator => self.arithmetic(operator, left, right, pos),
        }
    }

    /// `left // right`.
    pub(crate) fn update(
        &self,
        left: &'a Attrs<'a>,
        right: &'a Attrs<'a>,
        pos: Pos,
    ) -> Eval<&'a Attrs<'a>> {
        if right.is_empty() {
            return Ok(left);
        }
        if left.is_empty() {
            return Ok(right);
        }
        let (one, other) = (left.entries(), right.entries());
        self.room_for((one.len() + other.len()) * size_of::<Attr<'a>>(), pos)?;
        let mut merged = Vec::with_capacity(one.len() + other.len());
        let (mut i, mut j) = (0, 0);
        while i < one.len() && j < other.len() {
            match one[i].name.cmp(&other[j].name) {
                std::cmp::Ordering::Less => {
                    merged.push(one[i]);
                    i += 1;
                }
                std::cmp::Ordering::Greater => {
                    merged.push(other[j]);
                    j += 1;
                }
                std::cmp::Ordering::Equal => {
                    merged.push(other[j]);
                    i += 1;
                    j += 1;
                }
            }
        }
        merged.extend_from_slice(&one[i..]);
        merged.extend_from_slice(&other[j..]);
        Ok(self.attrs_from_sorted(merged))
    }

    /// `left + right`: numbers, strings, paths.
    fn add(&self, left: Value<'a>, right: Value<'a>, pos: Pos) -> Eval<Value<'a>> {
        match (left, right) {
            (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
                self.arithmetic(Operator::Add, left, right, pos)
            }
            (Value::Int(_) | Value::Float(_), other) => {
                let message = format!("cannot add {} to {}", other.describe(), left.describe());
                let fault = Fault::value(pos, message);
                Err(match other {
                    Value::String(_) => fault.hint("toString makes a string of a number"),
                    _ => fault,
                })
            }
            (Value::List(_), Value::List(_)) => {
                let message = "cannot add a list to a list";
                Err(Fault::value(pos, message).hint("the operator that joins lists is '++'"))
            }
            (Value::Path(start), end) => {
                let (bytes, context) = self.text(end, Coercion::PLAIN, pos)?;
                self.path_from(&[start.as_bytes(), &bytes].concat(), context, pos)
            }
            (left, right) => {
                let coercion = Coercion::INTERPOLATED;
                let (left, left_context) = self.text(left, coercion, pos)?;
                let (right, right_context) = self.text(right, coercion, pos)?;
                self.room_for(left.len() + right.len(), pos)?;
                let context = self.merged(left_context, right_context);
                Ok(self.string_with(&[&left[..], &right[..]].concat(), context))
            }
        }
    }

    /// A path from its text.
    fn path_from(&self, bytes: &[u8], context: Context<'a>, pos: Pos) -> Eval<Value<'a>> {
        if !context.is_empty() {
            let message = "a string that refers to a store path cannot be appended to a path";
            return Err(Fault::value(pos, message));
        }
        let text = std::str::from_utf8(bytes)
            .ok()
            .filter(|text| !text.contains('\0'))
            .ok_or_else(|| Fault::value(pos, "a path must be UTF-8 without NUL"))?;
        Ok(Value::Path(self.arena.alloc_str(&paths::canonical(text))))
    }

    pub(super) fn interpolate(&self, parts: &'a [Expr<'a>], env: &'a Env<'a>) -> Eval<Value<'a>> {
        let mut bytes = Vec::new();
        let mut elements = Vec::new();
        for part in parts {
            let value = self.eval(part, env)?;
            let within = |fault: Fault| {
                fault.within(part.pos, "while making a string of what stands in '${…}'")
            };
            let (text, context) =
                self.text(value, Coercion::INTERPOLATED, part.pos)
                    .map_err(|fault| match fault.kind() {
                        crate::ErrorKind::Value => fault,
                        _ => within(fault),
                    })?;
            self.room_for(bytes.len() + text.len(), part.pos)?;
            bytes.extend_from_slice(&text);
            elements.extend_from_slice(context.elements());
        }
        Ok(self.string_with(&bytes, self.context(elements)))
    }

    pub(super) fn interpolate_path(
        &self,
        parts: &'a [Expr<'a>],
        env: &'a Env<'a>,
        pos: Pos,
    ) -> Eval<Value<'a>> {
        let mut bytes = Vec::new();
        let mut elements = Vec::new();
        for part in parts {
            let value = self.eval(part, env)?;
            let (text, context) = self.text(value, Coercion::PLAIN, part.pos)?;
            bytes.extend_from_slice(&text);
            elements.extend_from_slice(context.elements());
        }
        self.path_from(&bytes, self.context(elements), pos)
    }

    /// Numbers.
    pub(crate) fn arithmetic(
        &self,
        operator: Operator,
        left: Value<'a>,
        right: Value<'a>,
        pos: Pos,
    ) -> Eval<Value<'a>> {
        if let (Value::Int(left), Value::Int(right)) = (left, right) {
            let result = match operator {
                Operator::Add => left.checked_add(right),
                Operator::Subtract => left.checked_sub(right),
                Operator::Multiply => left.checked_mul(right),
                _ if right == 0 => return Err(Fault::value(pos, "division by zero")),
                _ => left.checked_div(right),
            };
            let sign = operator.sign();
            return result.map(Value::Int).ok_or_else(|| {
                let message = format!("integer overflow in {left} {sign} {right}");
                Fault::value(pos, message)
            });
        }
        let (left, right) = (self.number(left, pos)?, self.number(right, pos)?);
        Ok(Value::Float(match operator {
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            _ if right == 0.0 => return Err(Fault::value(pos, "division by zero")),
            _ => left / right,
        }))
    }

    /// A number as one with a fraction.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the language's own conversion: large whole numbers lose digits"
    )]
    pub(crate) fn number(&self, value: Value<'a>, pos: Pos) -> Eval<f64> {
        match value {
            Value::Int(number) => Ok(number as f64),
            Value::Float(number) => Ok(number),
            other => Err(self.expected("a number", other, pos)),
        }
    }
}
