//! From the syntax library's tree to our own.

use rnix::SyntaxNode;
use rnix::ast::{self, AstToken, BinOpKind, Expr as Node, InterpolPart, LiteralKind, UnaryOpKind};
use rowan::ast::AstNode;

use super::scope::{Extra, Level, Meaning, Scope};
use super::sets::{Key, Pending, SetBuilder};
use super::strings::{self, Part, Raw};
use super::tree::{AttrExpr, AttrValue, ComputedAttr, Expr, Kind, Name, Operator, SetExpr};
use super::{Reading, constant};
use crate::error::{ErrorKind, Eval, Fault};
use crate::paths;
use crate::source::{Pos, Sources};
use crate::text::numbers;
use crate::value::{Context, Str, Symbol, Value};

/// Lowers a whole text.
pub(super) fn lower<'a>(reading: &Reading<'_, 'a>, node: &Node) -> Eval<Expr<'a>> {
    let lowering = Lowering { reading };
    match reading.extra {
        None => lowering.expr(node, None),
        Some(extra) => {
            let scope = Scope {
                up: None,
                level: Level::Names(extra),
            };
            lowering.expr(node, Some(&scope))
        }
    }
}

pub(super) struct Lowering<'r, 'e, 'a> {
    pub(super) reading: &'r Reading<'e, 'a>,
}

pub(super) type Around<'s> = Option<&'s Scope<'s>>;

impl<'a> Lowering<'_, '_, 'a> {
    pub(super) fn pos(&self, node: &SyntaxNode) -> Pos {
        Sources::pos(self.reading.start, node.text_range().start().into())
    }

    pub(super) fn symbol(&self, name: &str) -> Symbol {
        self.reading
            .symbols
            .intern(self.reading.arena, name.as_bytes())
    }

    fn alloc(&self, expr: Expr<'a>) -> &'a Expr<'a> {
        self.reading.arena.alloc(expr)
    }

    pub(super) fn slice<T>(&self, items: Vec<T>) -> &'a [T] {
        self.reading.arena.alloc_slice_fill_iter(items)
    }

    fn string(&self, text: &str) -> Value<'a> {
        let bytes = self.reading.arena.alloc_slice_copy(text.as_bytes());
        let context = Context::EMPTY;
        Value::String(self.reading.arena.alloc(Str { bytes, context }))
    }

    fn constant(&self, value: Value<'a>) -> Kind<'a> {
        Kind::Constant(constant(self.reading.arena, value))
    }

    /// The child of a node that the grammar promises.
    pub(super) fn child(
        &self,
        child: Option<Node>,
        of: &SyntaxNode,
        scope: Around<'_>,
    ) -> Eval<Expr<'a>> {
        match child {
            Some(child) => self.expr(&child, scope),
            None => Err(self.broken(of)),
        }
    }

    fn child_ref(
        &self,
        child: Option<Node>,
        of: &SyntaxNode,
        scope: Around<'_>,
    ) -> Eval<&'a Expr<'a>> {
        Ok(self.alloc(self.child(child, of, scope)?))
    }

    /// The child of an operator, a list or a call. There a function stands in parentheses; the library does not mind.
    fn operand(&self, child: Option<Node>, of: &SyntaxNode, scope: Around<'_>) -> Eval<Expr<'a>> {
        if let Some(Node::Lambda(lambda)) = &child {
            let message = "syntax error: unexpected function";
            let fault = Fault::new(ErrorKind::Syntax, self.pos(lambda.syntax()), message);
            return Err(fault.hint("here it stands in parentheses: (x: …)"));
        }
        self.child(child, of, scope)
    }

    fn operand_ref(
        &self,
        child: Option<Node>,
        of: &SyntaxNode,
        scope: Around<'_>,
    ) -> Eval<&'a Expr<'a>> {
        Ok(self.alloc(self.operand(child, of, scope)?))
    }

    pub(super) fn broken(&self, node: &SyntaxNode) -> Fault {
        let message = "syntax error: part of the expression is missing";
        Fault::new(ErrorKind::Syntax, self.pos(node), message)
    }

    fn expr(&self, node: &Node, scope: Around<'_>) -> Eval<Expr<'a>> {
        (self.reading.guard)()?;
        let syntax = node.syntax();
        let pos = self.pos(syntax);
        let kind = match node {
            Node::Paren(paren) => return self.child(paren.expr(), syntax, scope),
            Node::Root(root) => return self.child(root.expr(), syntax, scope),
            Node::Literal(literal) => self.literal(literal, pos)?,
            Node::Ident(name) => self.variable(&name.to_string(), pos, scope)?,
            Node::Str(string) => self.interpolation(string, scope)?,
            Node::PathAbs(path) => self.path(path.parts(), pos, scope)?,
            Node::PathRel(path) => self.path(path.parts(), pos, scope)?,
            Node::PathHome(path) => {
                let message = format!(
                    "the path '{path}' is in somebody's home: an evaluation sees files of the project only"
                );
                return Err(Fault::forbidden(pos, message));
            }
            Node::PathSearch(path) => self.search_path(&path.to_string(), pos, scope)?,
            Node::List(list) if list.items().next().is_none() => self.constant(Value::List(&[])),
            Node::List(list) => {
                let items = list.items();
                let items = items.map(|item| self.operand(Some(item), syntax, scope));
                Kind::List(self.slice(items.collect::<Eval<Vec<_>>>()?))
            }
            Node::AttrSet(set) => {
                let builder = SetBuilder::read(self, set, set.rec_token().is_some())?;
                Kind::Set(self.set(builder, scope)?)
            }
            Node::LetIn(node) => self.let_in(node, scope)?,
            Node::LegacyLet(node) => self.legacy_let(node, pos, scope)?,
            Node::Lambda(lambda) => Kind::Lambda(self.lambda(lambda, None, scope)?),
            Node::Apply(apply) => self.call(apply, scope)?,
            Node::Select(select) => Kind::Select {
                from: self.child_ref(select.expr(), syntax, scope)?,
                path: self.attr_path(select.attrpath(), syntax, scope)?,
                default: match select.default_expr() {
                    Some(default) => Some(self.alloc(self.expr(&default, scope)?)),
                    None => None,
                },
            },
            Node::HasAttr(has) => Kind::Has {
                from: self.child_ref(has.expr(), syntax, scope)?,
                path: self.attr_path(has.attrpath(), syntax, scope)?,
            },
            Node::With(with) => {
                let set = self.child_ref(with.namespace(), syntax, scope)?;
                let inner = Scope {
                    up: scope,
                    level: Level::With,
                };
                let body = self.child_ref(with.body(), syntax, Some(&inner))?;
                Kind::With { set, body }
            }
            Node::IfElse(node) => Kind::If {
                condition: self.child_ref(node.condition(), syntax, scope)?,
                yes: self.child_ref(node.body(), syntax, scope)?,
                no: self.child_ref(node.else_body(), syntax, scope)?,
            },
            Node::Assert(assert) => {
                let condition = assert.condition();
                let text = condition.as_ref().map(ToString::to_string);
                Kind::Assert {
                    condition: self.child_ref(condition, syntax, scope)?,
                    text: self.reading.arena.alloc_str(&text.unwrap_or_default()),
                    body: self.child_ref(assert.body(), syntax, scope)?,
                }
            }
            Node::UnaryOp(node) => {
                let operand = self.operand_ref(node.expr(), syntax, scope)?;
                match node.operator() {
                    Some(UnaryOpKind::Invert) => Kind::Not(operand),
                    _ => Kind::Negate(operand),
                }
            }
            Node::BinOp(node) => return self.binary(node, scope),
            Node::CurPos(_) => Kind::CurrentPosition,
            Node::Error(_) => return Err(self.broken(syntax)),
        };
        Ok(Expr { pos, kind })
    }

    fn literal(&self, literal: &ast::Literal, pos: Pos) -> Eval<Kind<'a>> {
        let value = match literal.kind() {
            LiteralKind::Integer(number) => {
                let value = number.value().map_err(|_| {
                    let message = format!("invalid integer '{}'", number.syntax().text());
                    Fault::new(ErrorKind::Syntax, pos, message)
                })?;
                Value::Int(value)
            }
            LiteralKind::Float(number) => {
                let value = numbers::parse_float(number.syntax().text());
                Value::Float(value.ok_or_else(|| {
                    let message = format!("invalid float '{}'", number.syntax().text());
                    Fault::new(ErrorKind::Syntax, pos, message)
                })?)
            }
            LiteralKind::Uri(uri) => self.string(uri.syntax().text()),
        };
        Ok(self.constant(value))
    }

    fn variable(&self, name: &str, pos: Pos, scope: Around<'_>) -> Eval<Kind<'a>> {
        let symbol = self.symbol(name);
        match Scope::look_up(scope, symbol) {
            Meaning::Local { level, slot } => Ok(Kind::Local { level, slot }),
            meaning => match (self.reading.base.names.get(&symbol), meaning) {
                (Some(thunk), _) => Ok(Kind::Constant(thunk)),
                (None, Meaning::With(levels)) => Ok(Kind::FromWith {
                    name: symbol,
                    levels: self.slice(levels),
                }),
                (None, _) => Err(self.undefined(name, pos, scope)),
            },
        }
    }

    fn undefined(&self, name: &str, pos: Pos, scope: Around<'_>) -> Fault {
        let message = format!("undefined variable '{name}'");
        let fault = Fault::new(ErrorKind::Syntax, pos, message);
        let local = Scope::names(scope).into_iter();
        let base = self.reading.base.names.keys().copied();
        let names: Vec<String> = local
            .chain(base)
            .map(|symbol| String::from_utf8_lossy(self.reading.symbols.name(symbol)).into_owned())
            .filter(|name| !name.starts_with("__"))
            .collect();
        match crate::text::suggest::nearest(name, names.iter().map(String::as_str)) {
            Some(nearest) => fault.hint(format!("did you mean '{nearest}'?")),
            None => fault,
        }
    }

    fn interpolation(&self, string: &ast::Str, scope: Around<'_>) -> Eval<Kind<'a>> {
        let (parts, expressions) = string_parts(string);
        let pos = self.pos(string.syntax());
        if expressions.is_empty() {
            let text = match parts.into_iter().next() {
                Some(Part::Text(text)) => text,
                _ => String::new(),
            };
            return Ok(self.constant(self.string(&text)));
        }
        let parts = parts.into_iter().map(|part| match part {
            Part::Text(text) => Ok(Expr {
                pos,
                kind: self.constant(self.string(&text)),
            }),
            Part::Expression(number) => self.expr(&expressions[number], scope),
        });
        Ok(Kind::Interpolation(
            self.slice(parts.collect::<Eval<Vec<_>>>()?),
        ))
    }

    fn path(
        &self,
        parts: Vec<InterpolPart<ast::PathContent>>,
        pos: Pos,
        scope: Around<'_>,
    ) -> Eval<Kind<'a>> {
        let mut lowered = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            match part {
                InterpolPart::Literal(content) if index == 0 => {
                    let mut path = paths::absolute(self.reading.folder, content.text());
                    if parts.len() > 1 && content.text().ends_with('/') && !path.ends_with('/') {
                        path.push('/');
                    }
                    let path = Value::Path(self.reading.arena.alloc_str(&path));
                    let kind = self.constant(path);
                    lowered.push(Expr { pos, kind });
                }
                InterpolPart::Literal(content) => {
                    let kind = self.constant(self.string(content.text()));
                    lowered.push(Expr { pos, kind });
                }
                InterpolPart::Interpolation(inner) => {
                    lowered.push(self.child(inner.expr(), inner.syntax(), scope)?);
                }
            }
        }
        match (lowered.len(), lowered.first()) {
            (1, Some(only)) => Ok(only.kind),
            _ => Ok(Kind::PathInterpolation(self.slice(lowered))),
        }
    }

    /// `<name>` is a call of `__findFile`, which somebody may have bound; the one of the language refuses.
    fn search_path(&self, text: &str, pos: Pos, scope: Around<'_>) -> Eval<Kind<'a>> {
        let name = text.trim_start_matches('<').trim_end_matches('>');
        let function = Expr {
            pos,
            kind: self.variable("__findFile", pos, scope)?,
        };
        let path = Expr {
            pos,
            kind: self.variable("__nixPath", pos, scope)?,
        };
        let name = Expr {
            pos,
            kind: self.constant(self.string(name)),
        };
        Ok(Kind::Call {
            function: self.alloc(function),
            arguments: self.slice(vec![path, name]),
        })
    }

    fn attr_path(
        &self,
        path: Option<ast::Attrpath>,
        of: &SyntaxNode,
        scope: Around<'_>,
    ) -> Eval<&'a [Name<'a>]> {
        let path = path.ok_or_else(|| self.broken(of))?;
        let names = path.attrs().map(|attr| {
            Ok(match self.key(&attr)? {
                Key::Fixed(name) => Name::Fixed(name, self.pos(attr.syntax())),
                Key::Computed(expr) => Name::Computed(self.alloc(self.expr(&expr, scope)?)),
            })
        });
        Ok(self.slice(names.collect::<Eval<Vec<_>>>()?))
    }

    fn binary(&self, node: &ast::BinOp, scope: Around<'_>) -> Eval<Expr<'a>> {
        let syntax = node.syntax();
        let sign = syntax
            .children_with_tokens()
            .filter_map(|child| child.into_token())
            .find(|token| BinOpKind::from_kind(token.kind()).is_some());
        // An error of an operator is shown at its sign, not at the start of its left side.
        let pos = sign.map_or(self.pos(syntax), |sign| {
            Sources::pos(self.reading.start, sign.text_range().start().into())
        });
        let operator = match node.operator() {
            Some(BinOpKind::Concat) => Operator::Concat,
            Some(BinOpKind::Update) => Operator::Update,
            Some(BinOpKind::Add) => Operator::Add,
            Some(BinOpKind::Sub) => Operator::Subtract,
            Some(BinOpKind::Mul) => Operator::Multiply,
            Some(BinOpKind::Div) => Operator::Divide,
            Some(BinOpKind::And) => Operator::And,
            Some(BinOpKind::Or) => Operator::Or,
            Some(BinOpKind::Implication) => Operator::Implies,
            Some(BinOpKind::Equal) => Operator::Equal,
            Some(BinOpKind::NotEqual) => Operator::NotEqual,
            Some(BinOpKind::Less) => Operator::Less,
            Some(BinOpKind::LessOrEq) => Operator::LessOrEqual,
            Some(BinOpKind::More) => Operator::More,
            Some(BinOpKind::MoreOrEq) => Operator::MoreOrEqual,
            Some(BinOpKind::PipeLeft | BinOpKind::PipeRight) => {
                let message =
                    "pipe operators are an experiment of Nix and not part of the language";
                return Err(Fault::new(ErrorKind::Syntax, pos, message));
            }
            None => return Err(self.broken(syntax)),
        };
        let kind = Kind::Binary {
            operator,
            left: self.operand_ref(node.lhs(), syntax, scope)?,
            right: self.operand_ref(node.rhs(), syntax, scope)?,
        };
        Ok(Expr { pos, kind })
    }

    fn call(&self, apply: &ast::Apply, scope: Around<'_>) -> Eval<Kind<'a>> {
        let mut arguments = Vec::new();
        let mut function = Node::Apply(apply.clone());
        while let Node::Apply(inner) = &function {
            arguments.push(self.operand(inner.argument(), inner.syntax(), scope)?);
            let Some(next) = inner.lambda() else {
                return Err(self.broken(apply.syntax()));
            };
            function = next;
        }
        arguments.reverse();
        Ok(Kind::Call {
            function: self.alloc(self.expr(&function, scope)?),
            arguments: self.slice(arguments),
        })
    }

    fn let_in(&self, node: &ast::LetIn, scope: Around<'_>) -> Eval<Kind<'a>> {
        let builder = SetBuilder::read(self, node, true)?;
        if let Some((pos, _, _)) = builder.computed.first() {
            let message = "dynamic attributes not allowed in let";
            return Err(Fault::new(ErrorKind::Syntax, *pos, message));
        }
        let names = names_of(&builder);
        let bindings = self.set(builder, scope)?;
        let inner = Scope {
            up: scope,
            level: Level::Names(&names),
        };
        let body = self.child_ref(node.body(), node.syntax(), Some(&inner))?;
        Ok(Kind::Let { bindings, body })
    }

    /// `let { …; body = …; }` of the oldest Nix.
    fn legacy_let(&self, node: &ast::LegacyLet, pos: Pos, scope: Around<'_>) -> Eval<Kind<'a>> {
        let builder = SetBuilder::read(self, node, true)?;
        let kind = Kind::Set(self.set(builder, scope)?);
        Ok(Kind::Select {
            from: self.alloc(Expr { pos, kind }),
            path: self.slice(vec![Name::Fixed(self.symbol("body"), pos)]),
            default: None,
        })
    }

    fn set(&self, builder: SetBuilder, scope: Around<'_>) -> Eval<&'a SetExpr<'a>> {
        let names = names_of(&builder);
        let own = Scope {
            up: scope,
            level: Level::Names(&names),
        };
        let inside: Around<'_> = match builder.recursive {
            true => Some(&own),
            false => scope,
        };
        let sources = builder
            .sources
            .iter()
            .map(|source| self.expr(source, inside));
        let sources = self.slice(sources.collect::<Eval<Vec<_>>>()?);
        let mut attrs = Vec::with_capacity(builder.attrs.len());
        let overrides = self.symbol("__overrides");
        let overrides = names.get(&overrides).copied().filter(|_| builder.recursive);
        for (name, (pos, pending)) in builder.attrs {
            let value = match pending {
                Pending::Expr(node) => AttrValue::Inside(self.named(&node, name, inside)?),
                Pending::Set(set) => {
                    let kind = Kind::Set(self.set(set, inside)?);
                    AttrValue::Inside(Expr { pos, kind })
                }
                Pending::Outside(pos) => {
                    let text = String::from_utf8_lossy(self.reading.symbols.name(name));
                    let kind = self.variable(&text, pos, scope)?;
                    AttrValue::Outside(Expr { pos, kind })
                }
                Pending::Source(index) => {
                    AttrValue::Source(u32::try_from(index).unwrap_or(u32::MAX))
                }
            };
            attrs.push(AttrExpr { name, pos, value });
        }
        let mut computed = Vec::with_capacity(builder.computed.len());
        for (pos, name, pending) in builder.computed {
            let name = self.expr(&name, inside)?;
            let value = match pending {
                Pending::Set(set) => {
                    let kind = Kind::Set(self.set(set, inside)?);
                    Expr { pos, kind }
                }
                Pending::Expr(node) => self.expr(&node, inside)?,
                Pending::Outside(_) | Pending::Source(_) => continue,
            };
            computed.push(ComputedAttr { name, value, pos });
        }
        Ok(self.reading.arena.alloc(SetExpr {
            recursive: builder.recursive,
            sources,
            attrs: self.slice(attrs),
            computed: self.slice(computed),
            overrides,
        }))
    }

    /// A value with a name: a function gets to know it.
    pub(super) fn named(&self, node: &Node, name: Symbol, scope: Around<'_>) -> Eval<Expr<'a>> {
        match node {
            Node::Lambda(lambda) => Ok(Expr {
                pos: self.pos(lambda.syntax()),
                kind: Kind::Lambda(self.lambda(lambda, Some(name), scope)?),
            }),
            other => self.expr(other, scope),
        }
    }
}

/// The places of a set's known names: their order by symbol.
fn names_of(builder: &SetBuilder) -> Extra {
    let slot = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
    let names = builder.attrs.keys().enumerate();
    names.map(|(index, name)| (*name, slot(index))).collect()
}

/// The parts of a string, and the expressions in it.
pub(super) fn string_parts(string: &ast::Str) -> (Vec<Part>, Vec<Node>) {
    let mut expressions = Vec::new();
    let mut raw = Vec::new();
    for part in string.parts() {
        match part {
            InterpolPart::Literal(content) => {
                raw.push(Raw::Text(content.syntax().text().to_owned()));
            }
            InterpolPart::Interpolation(inner) => {
                if let Some(expr) = inner.expr() {
                    raw.push(Raw::Expression(expressions.len()));
                    expressions.push(expr);
                }
            }
        }
    }
    let is_indented = string
        .syntax()
        .first_token()
        .is_some_and(|token| token.text().starts_with("''"));
    let parts = match is_indented {
        true => strings::indented(raw),
        false => strings::plain(raw),
    };
    (parts, expressions)
}
