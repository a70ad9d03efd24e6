//! Selection paths such as `images.cpu.packages.0`, as they stand on a command line.

use super::Evaluator;
use crate::error::{Eval, Fault};
use crate::source::Pos;
use crate::syntax::tree::Parameter;
use crate::value::{Attrs, Lambda, Value};

impl<'a> Evaluator<'a> {
    /// What stands at a selection path in a value: names between dots, in quotes where they hold dots, and numbers for
    /// places in lists. Functions on the way are called where every argument has a default.
    pub fn select(&self, value: Value<'a>, path: &str) -> Eval<Value<'a>> {
        let mut value = value;
        for part in parts(path)? {
            value = self.with_defaults(value)?;
            value = match part.parse::<usize>() {
                Ok(index) if part.bytes().all(|byte| byte.is_ascii_digit()) => {
                    self.select_item(value, index, path)?
                }
                _ => self.select_attribute(value, &part, path)?,
            };
        }
        Ok(value)
    }

    fn select_item(&self, value: Value<'a>, index: usize, path: &str) -> Eval<Value<'a>> {
        let Value::List(items) = value else {
            return Err(unfit(value, "a list", path));
        };
        let item = items.get(index).ok_or_else(|| {
            let count = items.len();
            let message = format!(
                "list index {index} in selection path '{path}' is out of range: the list has length {count}"
            );
            Fault::value(Pos::NONE, message)
        })?;
        self.force(item)
    }

    fn select_attribute(&self, value: Value<'a>, name: &str, path: &str) -> Eval<Value<'a>> {
        let Value::Attrs(attrs) = value else {
            return Err(unfit(value, "a set", path));
        };
        if name.is_empty() {
            let message = format!("empty attribute name in selection path '{path}'");
            return Err(Fault::value(Pos::NONE, message));
        }
        match attrs.get(self.symbol(name)) {
            Some(attr) => self.force(attr.value).map_err(|fault| {
                let what = format!("while evaluating the attribute '{name}'");
                fault.at(attr.pos).within(attr.pos, what)
            }),
            None => {
                let message = format!("attribute '{name}' in selection path '{path}' not found");
                let fault = Fault::value(Pos::NONE, message);
                Err(self.suggesting(fault, name, attrs.entries()))
            }
        }
    }

    /// The value of a function whose every argument has a default; any other value as it is.
    fn with_defaults(&self, value: Value<'a>) -> Eval<Value<'a>> {
        match value {
            Value::Attrs(attrs) => match attrs.get(self.names.functor) {
                Some(functor) => {
                    let functor = self.force(functor.value)?;
                    let value = self.call(functor, &[self.known(value)], Pos::NONE)?;
                    self.with_defaults(value)
                }
                None => Ok(value),
            },
            Value::Lambda(lambda) => self.call_with_defaults(value, lambda),
            value => Ok(value),
        }
    }

    fn call_with_defaults(&self, value: Value<'a>, lambda: &Lambda<'a>) -> Eval<Value<'a>> {
        let Parameter::Pattern { formals, .. } = &lambda.expr.parameter else {
            return Ok(value);
        };
        if let Some(formal) = formals.iter().find(|formal| formal.default.is_none()) {
            let message = format!(
                "cannot look into a function whose argument '{}' has no default",
                self.name_text(formal.name)
            );
            let hint = "call the function in an expression: --expr '(import ./FILE { … }).NAME'";
            return Err(Fault::value(formal.pos, message).hint(hint));
        }
        let nothing: &'a Attrs<'a> = self.empty.attrs;
        self.call(value, &[self.known(Value::Attrs(nothing))], Pos::NONE)
    }
}

fn unfit(value: Value<'_>, wanted: &str, path: &str) -> Fault {
    let message = format!(
        "the expression selected by the selection path '{path}' should be {wanted} but is {}",
        value.describe()
    );
    Fault::value(Pos::NONE, message)
}

/// The parts of a selection path.
fn parts(path: &str) -> Eval<Vec<String>> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '.' => parts.push(std::mem::take(&mut part)),
            '"' => loop {
                match letters.next() {
                    Some('"') => break,
                    Some(letter) => part.push(letter),
                    None => {
                        let message = format!("missing closing quote in selection path '{path}'");
                        return Err(Fault::value(Pos::NONE, message));
                    }
                }
            },
            letter => part.push(letter),
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use crate::{MemoryFiles, Options, evaluate};

    fn check(text: &str, path: &str, expected: &str) {
        let files = MemoryFiles::new();
        let found = evaluate(&files, &Options::default(), |evaluator| {
            let value = evaluator.expression(text, "test.nix")?;
            evaluator.print(evaluator.select(value, path)?)
        });
        let found = found.unwrap_or_else(|error| error.message().to_owned());
        assert_eq!(found, expected, "{text} at {path}");
    }

    #[test]
    fn names_places_and_quotes() {
        let text = "{ x ? 1 }: { a = [ { \"b.c\" = x + 1; } 2 ]; f = { y ? 5 }: { z = y; }; }";
        check(text, "a.1", "2");
        check(text, "a.0.\"b.c\"", "2");
        check(text, "f.z", "5");
        check(text, "f", "<LAMBDA>");
        check(text, "", "<LAMBDA>");
        check("{ __functor = self: { k ? 3 }: { z = k; }; }", "z", "3");
    }

    #[test]
    fn mistakes() {
        let text = "{ images = [ 1 ]; n = 1; }";
        check(
            text,
            "image",
            "attribute 'image' in selection path 'image' not found",
        );
        check(
            text,
            "images.7",
            "list index 7 in selection path 'images.7' is out of range: the list has length 1",
        );
        check(
            text,
            "images.x",
            "the expression selected by the selection path 'images.x' should be a set but is a list",
        );
        check(
            text,
            "n.0",
            "the expression selected by the selection path 'n.0' should be a list but is an integer",
        );
        check(
            text,
            "a.\"x",
            "missing closing quote in selection path 'a.\"x'",
        );
        check(text, ".n", "empty attribute name in selection path '.n'");
        check(
            "{ y }: y",
            "z",
            "cannot look into a function whose argument 'y' has no default",
        );
    }
}
