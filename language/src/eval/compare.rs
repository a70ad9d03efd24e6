//! Equality and order of values.

use super::Evaluator;
use crate::error::{Eval, Fault};
use crate::source::Pos;
use crate::value::{Attrs, Thunk, Value};

impl<'a> Evaluator<'a> {
    /// `left == right`. Functions are never equal, not even to themselves.
    #[expect(clippy::float_cmp, reason = "the language compares numbers exactly")]
    #[expect(clippy::cast_precision_loss, reason = "the language's own conversion")]
    pub(crate) fn equal(&self, left: Value<'a>, right: Value<'a>, pos: Pos) -> Eval<bool> {
        self.guard(pos)?;
        Ok(match (left, right) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::Int(left), Value::Int(right)) => left == right,
            (Value::Float(left), Value::Float(right)) => left == right,
            (Value::Int(left), Value::Float(right)) => left as f64 == right,
            (Value::Float(left), Value::Int(right)) => left == right as f64,
            (Value::String(left), Value::String(right)) => left.bytes == right.bytes,
            (Value::Path(left), Value::Path(right)) => left == right,
            (Value::List(left), Value::List(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(right) {
                    if !self.same(left, right, pos)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Attrs(left), Value::Attrs(right)) => self.equal_sets(left, right, pos)?,
            _ => false,
        })
    }

    /// What is the same is equal without a look into it; so functions in equal places are.
    fn same(&self, left: &'a Thunk<'a>, right: &'a Thunk<'a>, pos: Pos) -> Eval<bool> {
        let value = self.force(left)?;
        if std::ptr::eq(left, right) {
            return Ok(true);
        }
        let right = self.force(right)?;
        self.equal(value, right, pos)
    }

    fn equal_sets(&self, left: &'a Attrs<'a>, right: &'a Attrs<'a>, pos: Pos) -> Eval<bool> {
        if std::ptr::eq(left, right) && left.is_empty() {
            return Ok(true);
        }
        if let (Some(left), Some(right)) = (self.derivation_out(left)?, self.derivation_out(right)?)
        {
            return self.same(left, right, pos);
        }
        if left.len() != right.len() {
            return Ok(false);
        }
        let names = |attrs: &'a Attrs<'a>| attrs.entries().iter().map(|attr| attr.name);
        if !names(left).eq(names(right)) {
            return Ok(false);
        }
        for (left, right) in left.entries().iter().zip(right.entries()) {
            if !self.same(left.value, right.value, pos)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The output path of a set that is a derivation. Derivations are equal when their outputs are.
    fn derivation_out(&self, attrs: &'a Attrs<'a>) -> Eval<Option<&'a Thunk<'a>>> {
        if !self.is_derivation(attrs)? {
            return Ok(None);
        }
        Ok(attrs.get(self.names.out_path).map(|attr| attr.value))
    }

    /// Whether a set says that it is a derivation.
    pub(crate) fn is_derivation(&self, attrs: &'a Attrs<'a>) -> Eval<bool> {
        let Some(kind) = attrs.get(self.names.kind) else {
            return Ok(false);
        };
        Ok(match self.force(kind.value)? {
            Value::String(text) => text.bytes == b"derivation",
            _ => false,
        })
    }

    /// `left < right`.
    #[expect(clippy::cast_precision_loss, reason = "the language's own conversion")]
    pub(crate) fn is_less(&self, left: Value<'a>, right: Value<'a>, pos: Pos) -> Eval<bool> {
        self.guard(pos)?;
        Ok(match (left, right) {
            (Value::Int(left), Value::Int(right)) => left < right,
            (Value::Float(left), Value::Float(right)) => left < right,
            (Value::Int(left), Value::Float(right)) => (left as f64) < right,
            (Value::Float(left), Value::Int(right)) => left < right as f64,
            (Value::String(left), Value::String(right)) => left.bytes < right.bytes,
            (Value::Path(left), Value::Path(right)) => left < right,
            (Value::List(left), Value::List(right)) => {
                for (index, right) in right.iter().enumerate() {
                    let Some(left) = left.get(index) else {
                        return Ok(true);
                    };
                    let (left, right) = (self.force(left)?, self.force(right)?);
                    if !self.equal(left, right, pos)? {
                        return self.is_less(left, right, pos);
                    }
                }
                false
            }
            (left, right) => {
                let message = format!(
                    "cannot compare {} with {}",
                    left.describe(),
                    right.describe()
                );
                return Err(Fault::value(pos, message));
            }
        })
    }
}
