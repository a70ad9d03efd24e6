//! Expressions, one kind after the other.

use super::Evaluator;
use crate::error::{ErrorKind, Eval, Fault};
use crate::source::Pos;
use crate::syntax::tree::{Expr, Kind, LambdaExpr, Name, Operator};
use crate::value::{Attr, Env, Lambda, Symbol, Thunk, Value};

/// The longest value that is shown in a message.
const MAX_BRIEF: usize = 60;

impl<'a> Evaluator<'a> {
    pub(crate) fn eval(&self, expr: &'a Expr<'a>, env: &'a Env<'a>) -> Eval<Value<'a>> {
        self.guard(expr.pos)?;
        let pos = expr.pos;
        match expr.kind {
            Kind::Constant(thunk) => self.force(thunk),
            Kind::Local { level, slot } => self
                .force(Self::variable(env, level, slot))
                .map_err(|fault| fault.at(pos)),
            Kind::FromWith { name, levels } => self.variable_of_with(name, levels, env, pos),
            Kind::Select {
                from,
                path,
                default,
            } => self.select_path(from, path, default, env),
            Kind::Has { from, path } => self.has_path(from, path, env),
            Kind::Set(set) => Ok(Value::Attrs(self.set(set, env)?)),
            Kind::List(items) => self.list(items.iter().map(|item| self.delay(item, env)), pos),
            Kind::Lambda(lambda) => Ok(self.closure(lambda, env)),
            Kind::Call {
                function,
                arguments,
            } => {
                let function = self.eval(function, env)?;
                match arguments {
                    [argument] => self.call(function, &[self.delay(argument, env)], pos),
                    arguments => {
                        let arguments: Vec<_> = arguments
                            .iter()
                            .map(|argument| self.delay(argument, env))
                            .collect();
                        self.call(function, &arguments, pos)
                    }
                }
            }
            Kind::Let { bindings, body } => {
                let (inner, _) = self.bindings(bindings, env);
                self.eval(body, inner)
            }
            Kind::With { set, body } => {
                let slots = self.arena.alloc_slice_copy(&[self.delay(set, env)]);
                let inner = self.arena.alloc(Env {
                    up: Some(env),
                    slots,
                });
                self.eval(body, inner)
            }
            Kind::If { condition, yes, no } => match self.condition(condition, env)? {
                true => self.eval(yes, env),
                false => self.eval(no, env),
            },
            Kind::Assert {
                condition,
                text,
                body,
            } => match self.condition(condition, env)? {
                true => self.eval(body, env),
                false => {
                    let message = format!("assertion '{text}' failed");
                    Err(Fault::new(ErrorKind::Assertion, pos, message))
                }
            },
            Kind::Not(operand) => Ok(Value::Bool(!self.condition(operand, env)?)),
            Kind::Negate(operand) => {
                let operand = self.eval(operand, env)?;
                self.arithmetic(Operator::Subtract, Value::Int(0), operand, pos)
            }
            Kind::Binary {
                operator,
                left,
                right,
            } => self.binary(operator, left, right, env, pos),
            Kind::Interpolation(parts) => self.interpolate(parts, env),
            Kind::PathInterpolation(parts) => self.interpolate_path(parts, env, pos),
            Kind::CurrentPosition => Ok(self.position(pos)),
        }
    }

    /// A condition, which must be a Boolean.
    pub(super) fn condition(&self, expr: &'a Expr<'a>, env: &'a Env<'a>) -> Eval<bool> {
        match self.eval(expr, env)? {
            Value::Bool(value) => Ok(value),
            other => Err(self.expected("a Boolean", other, expr.pos)),
        }
    }

    pub(super) fn closure(&self, expr: &'a LambdaExpr<'a>, env: &'a Env<'a>) -> Value<'a> {
        Value::Lambda(self.arena.alloc(Lambda { expr, env }))
    }

    fn variable_of_with(
        &self,
        name: Symbol,
        levels: &[u32],
        env: &'a Env<'a>,
        pos: Pos,
    ) -> Eval<Value<'a>> {
        for level in levels {
            let thunk = Self::variable(env, *level, 0);
            let Value::Attrs(attrs) = self.force(thunk)? else {
                let value = self.force(thunk)?;
                return Err(self
                    .expected("a set", value, pos)
                    .within(pos, "while evaluating the set of a 'with'"));
            };
            if let Some(attr) = attrs.get(name) {
                return self.force(attr.value);
            }
        }
        let name = self.name_text(name);
        let fault = Fault::value(pos, format!("undefined variable '{name}'"));
        let sets = levels
            .iter()
            .filter_map(|level| Self::variable(env, *level, 0).known());
        let attrs = sets.flat_map(|set| match set {
            Value::Attrs(attrs) => attrs.entries(),
            _ => &[],
        });
        Err(self.suggesting(fault, &name, attrs))
    }

    /// The known text of a name in a path, or the one that is computed now.
    fn path_name(&self, name: &Name<'a>, env: &'a Env<'a>) -> Eval<Symbol> {
        match name {
            Name::Fixed(symbol, _) => Ok(*symbol),
            Name::Computed(expr) => self.attr_name(self.eval(expr, env)?, expr.pos),
        }
    }

    fn select_path(
        &self,
        from: &'a Expr<'a>,
        path: &'a [Name<'a>],
        default: Option<&'a Expr<'a>>,
        env: &'a Env<'a>,
    ) -> Eval<Value<'a>> {
        let mut value = self.eval(from, env)?;
        let mut last: Option<&'a Attr<'a>> = None;
        let within = |fault: Fault, attr: &Attr<'a>, count: usize| {
            let what = format!(
                "while evaluating the attribute '{}'",
                self.path_text(&path[..count], env)
            );
            fault.at(path[count - 1].pos()).within(attr.pos, what)
        };
        for (index, part) in path.iter().enumerate() {
            let name = self.path_name(part, env)?;
            if let Some(attr) = last {
                value = self
                    .force(attr.value)
                    .map_err(|fault| within(fault, attr, index))?;
            }
            let found = match value {
                Value::Attrs(attrs) => attrs.get(name),
                other if default.is_none() => {
                    return Err(self.without_attributes(other, name, part.pos()));
                }
                _ => None,
            };
            match (found, default) {
                (Some(attr), _) => last = Some(attr),
                (None, Some(default)) => return self.eval(default, env),
                (None, None) => return Err(self.missing(value, name, part.pos())),
            }
        }
        match last {
            Some(attr) => self
                .force(attr.value)
                .map_err(|fault| within(fault, attr, path.len())),
            None => Ok(value),
        }
    }

    /// A value that is asked for an attribute and is no set.
    fn without_attributes(&self, value: Value<'a>, name: Symbol, pos: Pos) -> Fault {
        let name = self.name_text(name);
        let fault = self.expected(&format!("a set with the attribute '{name}'"), value, pos);
        match value {
            Value::Lambda(_) => {
                fault.hint("a function must be called before its result has attributes")
            }
            _ => fault,
        }
    }

    /// A path of names as it is written, for messages.
    fn path_text(&self, path: &[Name<'a>], env: &'a Env<'a>) -> String {
        let names = path.iter().map(|name| match self.path_name(name, env) {
            Ok(name) => self.name_text(name).into_owned(),
            Err(_) => "…".to_owned(),
        });
        names.collect::<Vec<_>>().join(".")
    }

    /// An attribute that is not there, with the nearest one that is.
    pub(crate) fn missing(&self, set: Value<'a>, name: Symbol, pos: Pos) -> Fault {
        let name = self.name_text(name);
        let fault = Fault::value(pos, format!("attribute '{name}' missing"));
        match set {
            Value::Attrs(attrs) => self.suggesting(fault, &name, attrs.entries()),
            _ => fault,
        }
    }

    /// A mistake about a name with the nearest one that there is.
    pub(super) fn suggesting<'s>(
        &self,
        fault: Fault,
        name: &str,
        attrs: impl IntoIterator<Item = &'s Attr<'a>>,
    ) -> Fault
    where
        'a: 's,
    {
        let attrs = attrs.into_iter();
        let names: Vec<_> = attrs.map(|attr| self.name_text(attr.name)).collect();
        match crate::text::suggest::nearest(name, names.iter().map(AsRef::as_ref)) {
            Some(nearest) => fault.hint(format!("did you mean '{nearest}'?")),
            None => fault,
        }
    }

    fn has_path(
        &self,
        from: &'a Expr<'a>,
        path: &'a [Name<'a>],
        env: &'a Env<'a>,
    ) -> Eval<Value<'a>> {
        let mut value = self.eval(from, env)?;
        let mut parts = path.iter().peekable();
        while let Some(part) = parts.next() {
            let name = self.path_name(part, env)?;
            let Value::Attrs(attrs) = value else {
                return Ok(Value::Bool(false));
            };
            match attrs.get(name) {
                None => return Ok(Value::Bool(false)),
                Some(attr) if parts.peek().is_some() => value = self.force(attr.value)?,
                Some(_) => {}
            }
        }
        Ok(Value::Bool(true))
    }

    /// The attribute of a value that must be a set.
    pub(crate) fn attribute(&self, from: &'a Thunk<'a>, name: Symbol, pos: Pos) -> Eval<Value<'a>> {
        let value = self.force(from).map_err(|fault| fault.at(pos))?;
        let Value::Attrs(attrs) = value else {
            return Err(self.without_attributes(value, name, pos));
        };
        match attrs.get(name) {
            Some(attr) => self.force(attr.value),
            None => Err(self.missing(value, name, pos)),
        }
    }

    /// `{ file; line; column; }` of a position in a file; null where there is none.
    pub(crate) fn position(&self, pos: Pos) -> Value<'a> {
        let (Some(file), Some(place)) = (self.sources.path(pos), self.sources.place(pos)) else {
            return Value::Null;
        };
        self.record([
            (self.names.file, self.string(&file)),
            (self.names.line, Value::Int(place.line.into())),
            (self.names.column, Value::Int(place.column.into())),
        ])
    }

    /// A value of another type than needed.
    pub(crate) fn expected(&self, wanted: &str, found: Value<'a>, pos: Pos) -> Fault {
        let shown = self.brief(found);
        let message = format!("expected {wanted} but found {}{shown}", found.describe());
        Fault::value(pos, message)
    }

    /// A small value as it is written, for messages; nothing for large ones.
    pub(super) fn brief(&self, value: Value<'a>) -> String {
        match value {
            Value::String(text) if text.bytes.len() > MAX_BRIEF => String::new(),
            Value::Null | Value::Lambda(_) | Value::Builtin(_) | Value::Partial(_) => String::new(),
            Value::List(items) if !items.is_empty() => String::new(),
            Value::Attrs(attrs) if !attrs.is_empty() => String::new(),
            value => {
                let text = self.print_lazily(value);
                match text.chars().count() <= MAX_BRIEF {
                    true => format!(": {text}"),
                    false => String::new(),
                }
            }
        }
    }
}
