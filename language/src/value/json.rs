//! Values as JSON, as `builtins.toJSON` and `--json` write it: keys by name, nothing between tokens.

use super::{Context, ContextElement, Value};
use crate::error::{Eval, Fault};
use crate::eval::{Coercion, Evaluator};
use crate::source::Pos;
use crate::text::numbers;

impl<'a> Evaluator<'a> {
    /// A value as JSON and what its strings refer to. `copy` says whether paths become store paths.
    pub fn to_json(&self, value: Value<'a>, copy: bool, pos: Pos) -> Eval<(String, Context<'a>)> {
        let mut writer = Writer {
            evaluator: self,
            copy,
            text: String::new(),
            elements: Vec::new(),
        };
        writer.value(value, pos)?;
        let context = self.context(writer.elements);
        Ok((writer.text, context))
    }
}

struct Writer<'e, 'a> {
    evaluator: &'e Evaluator<'a>,
    copy: bool,
    text: String,
    elements: Vec<ContextElement<'a>>,
}

impl<'a> Writer<'_, 'a> {
    fn value(&mut self, value: Value<'a>, pos: Pos) -> Eval<()> {
        self.evaluator.guard(pos)?;
        self.evaluator.room_for(self.text.len(), pos)?;
        match value {
            Value::Null => self.text.push_str("null"),
            Value::Bool(value) => self.text.push_str(if value { "true" } else { "false" }),
            Value::Int(number) => self.text.push_str(&number.to_string()),
            Value::Float(number) => self.text.push_str(&numbers::float_in_json(number)),
            Value::String(text) => {
                self.elements.extend_from_slice(text.context.elements());
                self.string(text.bytes, pos)?;
            }
            Value::Path(_) => {
                let coercion = Coercion {
                    more: false,
                    copy: self.copy,
                };
                let (text, context) = self.evaluator.text(value, coercion, pos)?;
                self.elements.extend_from_slice(context.elements());
                self.string(&text, pos)?;
            }
            Value::List(items) => {
                self.text.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.text.push(',');
                    }
                    let within = |fault: Fault| {
                        fault.within(pos, format!("while evaluating list element {index}"))
                    };
                    let item = self.evaluator.force(item).map_err(within)?;
                    self.value(item, pos).map_err(within)?;
                }
                self.text.push(']');
            }
            Value::Attrs(attrs) => return self.attrs(value, attrs, pos),
            Value::Lambda(_) | Value::Builtin(_) | Value::Partial(_) => {
                let message = format!("cannot convert {} to JSON", value.describe());
                return Err(Fault::value(pos, message));
            }
        }
        Ok(())
    }

    fn attrs(&mut self, value: Value<'a>, attrs: &'a super::Attrs<'a>, pos: Pos) -> Eval<()> {
        let evaluator = self.evaluator;
        if attrs.get(evaluator.names.to_string).is_some() {
            let (text, context) = evaluator.text(value, Coercion::PLAIN, pos)?;
            self.elements.extend_from_slice(context.elements());
            return self.string(&text, pos);
        }
        if let Some(path) = attrs.get(evaluator.names.out_path) {
            let path = evaluator.force(path.value)?;
            return self.value(path, pos);
        }
        self.text.push('{');
        for (index, attr) in evaluator.by_name(attrs).into_iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.string(evaluator.symbols.name(attr.name), attr.pos)?;
            self.text.push(':');
            let within = |fault: Fault| {
                let name = evaluator.name_text(attr.name);
                fault.within(attr.pos, format!("while evaluating the attribute '{name}'"))
            };
            let value = evaluator.force(attr.value).map_err(within)?;
            self.value(value, attr.pos).map_err(within)?;
        }
        self.text.push('}');
        Ok(())
    }

    fn string(&mut self, bytes: &[u8], pos: Pos) -> Eval<()> {
        self.evaluator
            .room_for(self.text.len() + bytes.len(), pos)?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Fault::value(pos, "a string that is not UTF-8 cannot be JSON"))?;
        let quoted = serde_json::to_string(text)
            .map_err(|error| Fault::value(pos, format!("a string cannot be JSON: {error}")))?;
        self.text.push_str(&quoted);
        Ok(())
    }
}
