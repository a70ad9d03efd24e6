//! Values as strings.

use std::borrow::Cow;

use super::Evaluator;
use crate::error::{Eval, Fault};
use crate::source::Pos;
use crate::text::numbers;
use crate::value::{Context, Value};

/// What may become a string, and how paths do.
#[derive(Debug, Clone, Copy)]
pub struct Coercion {
    /// Whether numbers, Booleans, `null` and lists may, as with `toString`.
    pub more: bool,
    /// Whether a path becomes the store path of its contents.
    pub copy: bool,
}

impl Coercion {
    /// Strings, and paths as they are.
    pub const PLAIN: Self = Self {
        more: false,
        copy: false,
    };
    /// As in `"${…}"`.
    pub const INTERPOLATED: Self = Self {
        more: false,
        copy: true,
    };
    /// As `toString` does.
    pub const TO_STRING: Self = Self {
        more: true,
        copy: false,
    };
    /// As in the environment of a derivation.
    pub const ENVIRONMENT: Self = Self {
        more: true,
        copy: true,
    };
}

impl<'a> Evaluator<'a> {
    /// A value as a string, and what it refers to.
    pub fn text(
        &self,
        value: Value<'a>,
        coercion: Coercion,
        pos: Pos,
    ) -> Eval<(Cow<'a, [u8]>, Context<'a>)> {
        self.guard(pos)?;
        match value {
            Value::String(text) => return Ok((Cow::Borrowed(text.bytes), text.context)),
            Value::Path(path) if coercion.copy => {
                let (path, context) = self.copy_to_store(path, pos)?;
                return Ok((Cow::Borrowed(path.as_bytes()), context));
            }
            Value::Path(path) => return Ok((Cow::Borrowed(path.as_bytes()), Context::EMPTY)),
            Value::Attrs(attrs) => {
                if let Some(function) = attrs.get(self.names.to_string) {
                    let function = self.force(function.value)?;
                    let result = self.call(function, &[self.known(value)], pos)?;
                    return self.text(result, coercion, pos);
                }
                if let Some(path) = attrs.get(self.names.out_path) {
                    let path = self.force(path.value)?;
                    return self.text(path, coercion, pos);
                }
            }
            _ => {}
        }
        if !coercion.more {
            return Err(self.not_a_string(value, pos));
        }
        let bytes: Cow<'a, [u8]> = match value {
            Value::Null | Value::Bool(false) => Cow::Borrowed(b""),
            Value::Bool(true) => Cow::Borrowed(b"1"),
            Value::Int(number) => Cow::Owned(number.to_string().into_bytes()),
            Value::Float(number) => Cow::Owned(numbers::float_in_string(number).into_bytes()),
            Value::List(items) => {
                let mut bytes = Vec::new();
                let mut elements = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let item = self.force(item)?;
                    let (text, context) = self.text(item, coercion, pos)?;
                    self.room_for(bytes.len() + text.len(), pos)?;
                    bytes.extend_from_slice(&text);
                    elements.extend_from_slice(context.elements());
                    let is_empty_list = matches!(item, Value::List([]));
                    if index + 1 < items.len() && !is_empty_list {
                        bytes.push(b' ');
                    }
                }
                return Ok((Cow::Owned(bytes), self.context(elements)));
            }
            other => return Err(self.not_a_string(other, pos)),
        };
        Ok((bytes, Context::EMPTY))
    }

    fn not_a_string(&self, value: Value<'a>, pos: Pos) -> Fault {
        let shown = self.brief(value);
        let message = format!("cannot coerce {} to a string{shown}", value.describe());
        let fault = Fault::value(pos, message);
        match value {
            Value::Int(_) | Value::Float(_) => fault.hint("toString makes a string of a number"),
            Value::Bool(_) => fault
                .hint("toString makes \"1\" of true and \"\" of false, builtins.toJSON the words"),
            Value::List(_) => {
                fault.hint("builtins.concatStringsSep makes a string of a list of strings")
            }
            Value::Attrs(_) => fault.hint(
                "only a set with 'outPath', such as a derivation, or with '__toString' is one",
            ),
            Value::Lambda(_) | Value::Partial(_) => {
                fault.hint("does the function lack an argument?")
            }
            _ => fault,
        }
    }

    /// A string as UTF-8, for names of files, hashes and the like.
    pub fn utf8(&self, bytes: &[u8], pos: Pos) -> Eval<String> {
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| Fault::value(pos, "the string is not UTF-8"))
    }

    /// A value that must be a string, and what it refers to.
    pub fn string_value(&self, value: Value<'a>, pos: Pos) -> Eval<(&'a [u8], Context<'a>)> {
        match value {
            Value::String(text) => Ok((text.bytes, text.context)),
            other => Err(self.expected("a string", other, pos)),
        }
    }

    /// A value that must be a string that refers to nothing.
    pub fn plain_string(&self, value: Value<'a>, pos: Pos) -> Eval<&'a [u8]> {
        let (bytes, context) = self.string_value(value, pos)?;
        match context.is_empty() {
            true => Ok(bytes),
            false => {
                let text = String::from_utf8_lossy(bytes);
                let message =
                    format!("the string '{text}' is not allowed to refer to a store path");
                Err(Fault::value(pos, message))
            }
        }
    }
}
