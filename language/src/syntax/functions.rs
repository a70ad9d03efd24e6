//! Functions: what they take, and the variables that they see.

use std::collections::BTreeMap;

use rnix::ast::{self, Expr as Node, Param};
use rowan::ast::AstNode;

use super::lower::{Around, Lowering};
use super::scope::{Extra, Level, Scope};
use super::tree::{Expr, Formal, Kind, LambdaExpr, Parameter};
use crate::error::{ErrorKind, Eval, Fault};
use crate::value::Symbol;

impl<'a> Lowering<'_, '_, 'a> {
    pub(super) fn lambda(
        &self,
        lambda: &ast::Lambda,
        name: Option<Symbol>,
        scope: Around<'_>,
    ) -> Eval<&'a LambdaExpr<'a>> {
        (self.reading.guard)()?;
        let syntax = lambda.syntax();
        let pos = self.pos(syntax);
        let mut names = Extra::new();
        let param = lambda.param().ok_or_else(|| self.broken(syntax))?;
        let parameter = match param {
            Param::IdentParam(param) => {
                let symbol = self.symbol(&param.to_string());
                names.insert(symbol, 0);
                Parameter::Name(symbol)
            }
            Param::Pattern(pattern) => self.pattern(&pattern, scope, &mut names)?,
        };
        let inner = Scope {
            up: scope,
            level: Level::Names(&names),
        };
        let body = match lambda.body() {
            Some(Node::Lambda(next)) => Expr {
                pos: self.pos(next.syntax()),
                kind: Kind::Lambda(self.lambda(&next, name, Some(&inner))?),
            },
            body => self.child(body, syntax, Some(&inner))?,
        };
        Ok(self.reading.arena.alloc(LambdaExpr {
            pos,
            name,
            parameter,
            body,
        }))
    }

    fn pattern(
        &self,
        pattern: &ast::Pattern,
        scope: Around<'_>,
        names: &mut Extra,
    ) -> Eval<Parameter<'a>> {
        let mut entries = BTreeMap::new();
        let duplicate = |name: &str, pos| {
            let message = format!("duplicate formal function argument '{name}'");
            Fault::new(ErrorKind::Syntax, pos, message)
        };
        for entry in pattern.pat_entries() {
            let pos = self.pos(entry.syntax());
            let name = entry.ident().ok_or_else(|| self.broken(entry.syntax()))?;
            let name = name.to_string();
            if entries
                .insert(self.symbol(&name), (pos, entry.default()))
                .is_some()
            {
                return Err(duplicate(&name, pos));
            }
        }
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        names.extend(
            entries
                .keys()
                .enumerate()
                .map(|(slot, name)| (*name, number(slot))),
        );
        let whole = match pattern.pat_bind().and_then(|bind| bind.ident()) {
            None => None,
            Some(ident) => {
                let symbol = self.symbol(&ident.to_string());
                if names.insert(symbol, number(entries.len())).is_some() {
                    return Err(duplicate(&ident.to_string(), self.pos(ident.syntax())));
                }
                Some(symbol)
            }
        };
        let inner = Scope {
            up: scope,
            level: Level::Names(names),
        };
        let formals = entries.into_iter().map(|(name, (pos, default))| {
            let default = match default {
                Some(default) => Some(self.named(&default, name, Some(&inner))?),
                None => None,
            };
            Ok(Formal { name, pos, default })
        });
        Ok(Parameter::Pattern {
            formals: self.slice(formals.collect::<Eval<Vec<_>>>()?),
            open: pattern.ellipsis_token().is_some(),
            whole,
        })
    }
}
