//! Attribute sets while they are read: paths of names become nested sets, and sets that are written in several places
//! become one.

use std::collections::BTreeMap;

use rnix::ast::{self, Attr, Entry, Expr, HasEntry, InterpolPart};
use rowan::ast::AstNode;

use super::lower::Lowering;
use crate::error::{ErrorKind, Eval, Fault};
use crate::source::Pos;
use crate::value::Symbol;

/// A set, its attributes not yet looked into.
#[derive(Default)]
pub(super) struct SetBuilder {
    pub(super) recursive: bool,
    pub(super) attrs: BTreeMap<Symbol, (Pos, Pending)>,
    pub(super) computed: Vec<(Pos, Expr, Pending)>,
    pub(super) sources: Vec<Expr>,
}

/// What an attribute will be.
pub(super) enum Pending {
    Expr(Expr),
    Set(SetBuilder),
    /// `inherit name;` with the position of the name.
    Outside(Pos),
    /// `inherit (from) name;`.
    Source(usize),
}

/// A name on the left of `=`.
pub(super) enum Key {
    Fixed(Symbol),
    Computed(Expr),
}

impl SetBuilder {
    /// Reads the entries of a set or of `let`.
    pub(super) fn read(
        lowering: &Lowering<'_, '_, '_>,
        node: &impl HasEntry,
        recursive: bool,
    ) -> Eval<Self> {
        let mut set = Self {
            recursive,
            ..Self::default()
        };
        for entry in node.entries() {
            match entry {
                Entry::Inherit(inherit) => set.inherit(lowering, &inherit)?,
                Entry::AttrpathValue(entry) => {
                    let (Some(path), Some(value)) = (entry.attrpath(), entry.value()) else {
                        continue;
                    };
                    set.bind(lowering, &path, value)?;
                }
            }
        }
        Ok(set)
    }

    fn inherit(&mut self, lowering: &Lowering<'_, '_, '_>, inherit: &ast::Inherit) -> Eval<()> {
        let source = inherit.from().and_then(|from| from.expr()).map(|from| {
            self.sources.push(from);
            self.sources.len() - 1
        });
        for attr in inherit.attrs() {
            let pos = lowering.pos(attr.syntax());
            let Key::Fixed(name) = lowering.key(&attr)? else {
                let message = "dynamic attributes not allowed in inherit";
                return Err(Fault::new(ErrorKind::Syntax, pos, message));
            };
            if let Some((first, _)) = self.attrs.get(&name) {
                return Err(lowering.duplicate(&[name], pos, *first));
            }
            let pending = source.map_or(Pending::Outside(pos), Pending::Source);
            self.attrs.insert(name, (pos, pending));
        }
        Ok(())
    }

    fn bind(
        &mut self,
        lowering: &Lowering<'_, '_, '_>,
        path: &ast::Attrpath,
        value: Expr,
    ) -> Eval<()> {
        let pos = lowering.pos(path.syntax());
        let mut names = Vec::new();
        let mut attrs = path.attrs().peekable();
        let mut set = self;
        while let Some(attr) = attrs.next() {
            let is_last = attrs.peek().is_none();
            let attr_pos = lowering.pos(attr.syntax());
            match lowering.key(&attr)? {
                Key::Computed(name) if is_last => {
                    let pending = lowering.pending(value)?;
                    set.computed.push((attr_pos, name, pending));
                    return Ok(());
                }
                Key::Computed(name) => {
                    let nested = Pending::Set(Self::default());
                    set.computed.push((attr_pos, name, nested));
                    set = match set.computed.last_mut() {
                        Some((_, _, Pending::Set(nested))) => nested,
                        _ => return Ok(()),
                    };
                }
                Key::Fixed(name) if is_last => {
                    names.push(name);
                    let pending = lowering.pending(value)?;
                    return set.insert(lowering, name, pos, pending, &mut names);
                }
                Key::Fixed(name) => {
                    names.push(name);
                    let entry = set
                        .attrs
                        .entry(name)
                        .or_insert_with(|| (attr_pos, Pending::Set(Self::default())));
                    set = match entry {
                        (_, Pending::Set(nested)) => nested,
                        (first, _) => return Err(lowering.duplicate(&names, pos, *first)),
                    };
                }
            }
        }
        Ok(())
    }

    /// Adds an attribute; two sets become one.
    fn insert(
        &mut self,
        lowering: &Lowering<'_, '_, '_>,
        name: Symbol,
        pos: Pos,
        pending: Pending,
        path: &mut Vec<Symbol>,
    ) -> Eval<()> {
        match (self.attrs.get_mut(&name), pending) {
            (None, pending) => {
                self.attrs.insert(name, (pos, pending));
                Ok(())
            }
            (Some((_, Pending::Set(known))), Pending::Set(more)) => {
                let first_source = known.sources.len();
                known.sources.extend(more.sources);
                for (name, (pos, pending)) in more.attrs {
                    let pending = match pending {
                        Pending::Source(index) => Pending::Source(index + first_source),
                        other => other,
                    };
                    path.push(name);
                    known.insert(lowering, name, pos, pending, path)?;
                    path.pop();
                }
                known.computed.extend(more.computed);
                Ok(())
            }
            (Some((first, _)), _) => Err(lowering.duplicate(path, pos, *first)),
        }
    }
}

impl Lowering<'_, '_, '_> {
    /// A name on the left of `=` or after a dot: known, or to be computed.
    pub(super) fn key(&self, attr: &Attr) -> Eval<Key> {
        match attr {
            Attr::Ident(name) => Ok(Key::Fixed(self.symbol(&name.to_string()))),
            Attr::Str(string) => Ok(match self.literal_text(string) {
                Some(text) => Key::Fixed(self.symbol(&text)),
                None => Key::Computed(Expr::Str(string.clone())),
            }),
            Attr::Dynamic(dynamic) => {
                let Some(expr) = dynamic.expr() else {
                    let pos = self.pos(dynamic.syntax());
                    return Err(Fault::new(ErrorKind::Syntax, pos, "syntax error: no name"));
                };
                if let Expr::Str(string) = &expr
                    && let Some(text) = self.literal_text(string)
                {
                    return Ok(Key::Fixed(self.symbol(&text)));
                }
                Ok(Key::Computed(expr))
            }
        }
    }

    /// What a string says, if no expression is in it.
    pub(super) fn literal_text(&self, string: &ast::Str) -> Option<String> {
        let is_literal = |part: &InterpolPart<_>| matches!(part, InterpolPart::Literal(_));
        if !string.parts().all(|part| is_literal(&part)) {
            return None;
        }
        let (parts, _) = super::lower::string_parts(string);
        Some(
            parts
                .into_iter()
                .map(|part| match part {
                    super::strings::Part::Text(text) => text,
                    super::strings::Part::Expression(_) => String::new(),
                })
                .collect(),
        )
    }

    /// The value of an attribute; sets stay open for more.
    fn pending(&self, value: Expr) -> Eval<Pending> {
        (self.reading.guard)()?;
        match value {
            Expr::Paren(paren) => match paren.expr() {
                Some(inner) => self.pending(inner),
                None => Ok(Pending::Expr(Expr::Paren(paren))),
            },
            Expr::AttrSet(node) => {
                let recursive = node.rec_token().is_some();
                Ok(Pending::Set(SetBuilder::read(self, &node, recursive)?))
            }
            other => Ok(Pending::Expr(other)),
        }
    }

    fn duplicate(&self, path: &[Symbol], pos: Pos, first: Pos) -> Fault {
        let names: Vec<_> = path
            .iter()
            .map(|name| String::from_utf8_lossy(self.reading.symbols.name(*name)))
            .collect();
        let message = format!("attribute '{}' already defined", names.join("."));
        Fault::new(ErrorKind::Syntax, pos, message).within(first, "where it is defined first")
    }
}
