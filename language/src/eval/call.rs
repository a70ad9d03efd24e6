//! Function calls.

use super::Evaluator;
use crate::builtins::Builtin;
use crate::error::{Eval, Fault};
use crate::source::Pos;
use crate::syntax::tree::{Formal, Parameter};
use crate::value::{Attrs, Env, Lambda, Partial, State, Symbol, Thunk, Value};

impl<'a> Evaluator<'a> {
    /// Calls a function with arguments that may be not evaluated.
    pub fn call(
        &self,
        function: Value<'a>,
        arguments: &[&'a Thunk<'a>],
        pos: Pos,
    ) -> Eval<Value<'a>> {
        let mut function = function;
        let mut rest = arguments;
        while let Some((argument, after)) = rest.split_first() {
            match function {
                Value::Lambda(lambda) => {
                    function = self.deeper(pos, || self.call_lambda(lambda, argument, pos))?;
                    rest = after;
                }
                Value::Builtin(builtin) => {
                    function = self.call_builtin(builtin, &[], &mut rest, pos)?;
                }
                Value::Partial(partial) => {
                    function =
                        self.call_builtin(partial.builtin, partial.arguments, &mut rest, pos)?;
                }
                Value::Attrs(attrs) => {
                    let Some(functor) = attrs.get(self.names.functor) else {
                        return Err(self.not_a_function(function, pos));
                    };
                    let functor = self.force(functor.value)?;
                    let itself = self.known(function);
                    function = self.deeper(pos, || self.call(functor, &[itself], pos))?;
                }
                other => return Err(self.not_a_function(other, pos)),
            }
        }
        Ok(function)
    }

    fn not_a_function(&self, found: Value<'a>, pos: Pos) -> Fault {
        let message = format!(
            "attempt to call something which is not a function but {}{}",
            found.describe(),
            self.brief(found)
        );
        Fault::value(pos, message)
    }

    fn call_builtin(
        &self,
        builtin: &'static Builtin,
        known: &[&'a Thunk<'a>],
        rest: &mut &[&'a Thunk<'a>],
        pos: Pos,
    ) -> Eval<Value<'a>> {
        let missing = builtin.parameters.len() - known.len();
        if rest.len() < missing {
            let arguments = [known, rest].concat();
            *rest = &[];
            let arguments = self.arena.alloc_slice_copy(&arguments);
            return Ok(Value::Partial(
                self.arena.alloc(Partial { builtin, arguments }),
            ));
        }
        let (now, after) = rest.split_at(missing);
        *rest = after;
        let run = |arguments: &[&'a Thunk<'a>]| {
            (builtin.function)(self, arguments, pos).map_err(|fault| {
                let fault = fault.at(pos);
                // The message of `throw` is what its author wanted to be read, not that it was thrown.
                if matches!(builtin.name, "throw" | "abort") && fault.has_no_trace() {
                    return fault;
                }
                fault.within(pos, format!("while calling the '{}' builtin", builtin.name))
            })
        };
        self.deeper(pos, || match known {
            [] => run(now),
            known => run(&[known, now].concat()),
        })
    }

    fn call_lambda(
        &self,
        lambda: &'a Lambda<'a>,
        argument: &'a Thunk<'a>,
        pos: Pos,
    ) -> Eval<Value<'a>> {
        let within = |fault: Fault| {
            let name = lambda.expr.name;
            let name = name.map_or_else(
                || "an anonymous function".into(),
                |name| format!("'{}'", self.name_text(name)),
            );
            fault.within(pos, format!("while calling {name}"))
        };
        let env = match &lambda.expr.parameter {
            Parameter::Name(_) => {
                let slots = self.arena.alloc_slice_copy(&[argument]);
                self.arena.alloc(Env {
                    up: Some(lambda.env),
                    slots,
                })
            }
            Parameter::Pattern {
                formals,
                open,
                whole,
            } => {
                let value = self
                    .force(argument)
                    .map_err(|fault| within(fault.at(pos)))?;
                let Value::Attrs(attrs) = value else {
                    return Err(within(self.expected("a set", value, pos)));
                };
                self.pattern(lambda, formals, *open, *whole, attrs, argument)
                    .map_err(|fault| within(fault.at(pos)))?
            }
        };
        self.eval(&lambda.expr.body, env).map_err(within)
    }

    /// The variables of a pattern: the attributes of the argument, defaults for those that it lacks.
    fn pattern(
        &self,
        lambda: &'a Lambda<'a>,
        formals: &'a [Formal<'a>],
        open: bool,
        whole: Option<Symbol>,
        attrs: &'a Attrs<'a>,
        argument: &'a Thunk<'a>,
    ) -> Eval<&'a Env<'a>> {
        let mut slots = Vec::with_capacity(formals.len() + 1);
        let mut defaults = Vec::new();
        let mut used = 0;
        for formal in formals {
            match (attrs.get(formal.name), &formal.default) {
                (Some(attr), _) => {
                    used += 1;
                    slots.push(attr.value);
                }
                (None, Some(default)) => {
                    let thunk = self.thunk(State::Busy);
                    defaults.push((thunk, default));
                    slots.push(thunk);
                }
                (None, None) => return Err(self.lacks(lambda, formals, formal, attrs)),
            }
        }
        if !open && used < attrs.len() {
            return Err(self.unexpected(lambda, formals, attrs));
        }
        if whole.is_some() {
            slots.push(argument);
        }
        let slots = self.arena.alloc_slice_copy(&slots);
        let env: &'a Env<'a> = self.arena.alloc(Env {
            up: Some(lambda.env),
            slots,
        });
        for (thunk, default) in defaults {
            thunk.state.set(State::Expr(default, env));
        }
        Ok(env)
    }

    fn function_name(&self, lambda: &Lambda<'a>) -> String {
        match lambda.expr.name {
            Some(name) => format!("function '{}'", self.name_text(name)),
            None => "anonymous function".to_owned(),
        }
    }

    fn lacks(
        &self,
        lambda: &Lambda<'a>,
        formals: &[Formal<'a>],
        formal: &Formal<'a>,
        attrs: &Attrs<'a>,
    ) -> Fault {
        let message = format!(
            "{} called without required argument '{}'",
            self.function_name(lambda),
            self.name_text(formal.name)
        );
        let fault = Fault::value(Pos::NONE, message)
            .within(lambda.expr.pos, "where the function is defined");
        // An argument that it does not know may be this one, misspelt.
        let is_known = |name| formals.iter().any(|formal| formal.name == name);
        let given = attrs.entries().iter().filter(|attr| !is_known(attr.name));
        let given: Vec<_> = given.map(|attr| self.name_text(attr.name)).collect();
        let wanted = self.name_text(formal.name);
        match crate::text::suggest::nearest(&wanted, given.iter().map(AsRef::as_ref)) {
            Some(near) => fault.hint(format!("there is '{near}': is '{wanted}' meant?")),
            None => fault,
        }
    }

    fn unexpected(&self, lambda: &Lambda<'a>, formals: &[Formal<'a>], attrs: &Attrs<'a>) -> Fault {
        let is_known = |name| formals.iter().any(|formal| formal.name == name);
        let entries = self.by_name(attrs);
        let extra = entries.iter().find(|attr| !is_known(attr.name));
        let name = extra.map_or_else(String::new, |attr| self.name_text(attr.name).into_owned());
        let message = format!(
            "{} called with unexpected argument '{name}'",
            self.function_name(lambda)
        );
        let fault = Fault::value(extra.map_or(Pos::NONE, |attr| attr.pos), message)
            .within(lambda.expr.pos, "where the function is defined");
        let names: Vec<_> = formals
            .iter()
            .map(|formal| self.name_text(formal.name))
            .collect();
        match crate::text::suggest::nearest(&name, names.iter().map(AsRef::as_ref)) {
            Some(nearest) => fault.hint(format!("did you mean '{nearest}'?")),
            None => fault,
        }
    }
}
