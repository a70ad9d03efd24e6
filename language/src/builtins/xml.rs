//! `toXML`.

use std::collections::BTreeSet;

use crate::error::Eval;
use crate::eval::Evaluator;
use crate::source::Pos;
use crate::syntax::tree::{LambdaExpr, Parameter};
use crate::text::numbers;
use crate::text::xml::XmlWriter;
use crate::value::{Attrs, ContextElement, Thunk, Value};

/// A value as XML; what its strings refer to goes with it.
pub(super) fn to_xml<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let mut writer = Writer {
        evaluator,
        xml: XmlWriter::new(),
        elements: Vec::new(),
        seen: BTreeSet::new(),
        pos,
    };
    writer.xml.open("expr", &[]);
    writer.value(arguments[0])?;
    let context = evaluator.context(writer.elements);
    Ok(evaluator.string_with(&writer.xml.finish(), context))
}

struct Writer<'e, 'a> {
    evaluator: &'e Evaluator<'a>,
    xml: XmlWriter,
    elements: Vec<ContextElement<'a>>,
    /// The derivations that were shown already.
    seen: BTreeSet<&'a [u8]>,
    pos: Pos,
}

impl<'a> Writer<'_, 'a> {
    fn value(&mut self, thunk: &'a Thunk<'a>) -> Eval<()> {
        self.evaluator.guard(self.pos)?;
        self.evaluator.room_for(self.xml.len(), self.pos)?;
        match self.evaluator.force(thunk)? {
            Value::Null => self.xml.empty("null", &[]),
            Value::Bool(true) => self.leaf("bool", b"true"),
            Value::Bool(false) => self.leaf("bool", b"false"),
            Value::Int(number) => self.leaf("int", number.to_string().as_bytes()),
            Value::Float(number) => self.leaf("float", numbers::print_float(number).as_bytes()),
            Value::Path(path) => self.leaf("path", path.as_bytes()),
            Value::String(text) => {
                self.elements.extend_from_slice(text.context.elements());
                self.leaf("string", text.bytes);
            }
            Value::List(items) => {
                self.xml.open("list", &[]);
                for item in items {
                    self.value(item)?;
                }
                self.xml.close();
            }
            Value::Attrs(attrs) if self.evaluator.is_derivation(attrs)? => {
                self.derivation(attrs)?
            }
            Value::Attrs(attrs) => {
                self.xml.open("attrs", &[]);
                self.attrs(attrs)?;
                self.xml.close();
            }
            Value::Lambda(lambda) => self.function(lambda.expr),
            Value::Builtin(_) | Value::Partial(_) => self.xml.empty("unevaluated", &[]),
        }
        Ok(())
    }

    fn leaf(&mut self, element: &'static str, value: &[u8]) {
        self.xml.empty(element, &[("value", value)]);
    }

    fn attrs(&mut self, attrs: &'a Attrs<'a>) -> Eval<()> {
        for attr in self.evaluator.by_name(attrs) {
            let name = self.evaluator.symbols.name(attr.name);
            self.xml.open("attr", &[("name", name)]);
            self.value(attr.value)?;
            self.xml.close();
        }
        Ok(())
    }

    fn derivation(&mut self, attrs: &'a Attrs<'a>) -> Eval<()> {
        let names = &self.evaluator.names;
        let mut shown = Vec::new();
        let mut file: &[u8] = b"";
        for (name, attribute) in [(names.drv_path, "drvPath"), (names.out_path, "outPath")] {
            let Some(attr) = attrs.get(name) else {
                continue;
            };
            if let Value::String(text) = self.evaluator.force(attr.value)? {
                shown.push((attribute, text.bytes));
                if attribute == "drvPath" {
                    file = text.bytes;
                }
            }
        }
        self.xml.open("derivation", &shown);
        if !file.is_empty() && self.seen.insert(file) {
            self.attrs(attrs)?;
        } else {
            self.xml.empty("repeated", &[]);
        }
        self.xml.close();
        Ok(())
    }

    fn function(&mut self, lambda: &'a LambdaExpr<'a>) {
        let symbols = &self.evaluator.symbols;
        self.xml.open("function", &[]);
        match &lambda.parameter {
            Parameter::Name(name) => self.xml.empty("varpat", &[("name", symbols.name(*name))]),
            Parameter::Pattern {
                formals,
                open,
                whole,
            } => {
                let mut attributes: Vec<(&'static str, &[u8])> = Vec::new();
                if *open {
                    attributes.push(("ellipsis", b"1"));
                }
                if let Some(whole) = whole {
                    attributes.push(("name", symbols.name(*whole)));
                }
                self.xml.open("attrspat", &attributes);
                let mut names: Vec<&[u8]> = formals
                    .iter()
                    .map(|formal| symbols.name(formal.name))
                    .collect();
                names.sort_unstable();
                for name in names {
                    self.xml.empty("attr", &[("name", name)]);
                }
                self.xml.close();
            }
        }
        self.xml.close();
    }
}
