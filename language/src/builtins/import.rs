//! Expressions in files.

use super::Builtin;
use crate::error::{ErrorKind, Eval, Fault};
use crate::eval::{Coercion, Evaluator};
use crate::paths;
use crate::source::Pos;
use crate::syntax::Extra;
use crate::value::{ContextElement, Env, Thunk, Value};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "import",
        parameters: &["path"],
        doc: "The value of the expression in a file of the project. A folder stands for its `default.nix`. However often a file is imported, it is evaluated once.",
        function: |evaluator, arguments, pos| {
            let path = evaluator.path_argument(arguments[0], pos)?;
            evaluator.import(&path, pos)
        },
    },
    Builtin {
        name: "scopedImport",
        parameters: &["scope", "path"],
        doc: "Like `import`, with the attributes of `scope` as variables around the expression. It is evaluated each time.",
        function: scoped_import,
    },
    Builtin {
        name: "findFile",
        parameters: &["search_path", "name"],
        doc: "The first file `name` in a search path, a list of sets with `path` and `prefix`. What `<name>` calls, with `builtins.nixPath`, which is empty.",
        function: find_file,
    },
    Builtin {
        name: "storePath",
        parameters: &["path"],
        doc: "A path in the store as a string that refers to it. The evaluation must have made it: it does not look into stores.",
        function: store_path,
    },
];

fn find_file<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let list = evaluator.force(arguments[0])?;
    let Value::List(entries) = list else {
        return Err(evaluator.expected("a list", list, pos));
    };
    let name = evaluator.plain_string(evaluator.force(arguments[1])?, pos)?;
    let name = evaluator.utf8(name, pos)?;
    for entry in entries {
        let entry = evaluator.force(entry)?;
        let Value::Attrs(attrs) = entry else {
            return Err(evaluator.expected("a set", entry, pos));
        };
        let prefix = match attrs.get(evaluator.names.prefix) {
            None => String::new(),
            Some(attr) => {
                let prefix = evaluator.plain_string(evaluator.force(attr.value)?, pos)?;
                evaluator.utf8(prefix, pos)?
            }
        };
        let symbol = evaluator.symbol("path");
        let Some(folder) = attrs.get(symbol) else {
            return Err(evaluator.missing(entry, symbol, pos));
        };
        let below = match prefix.as_str() {
            "" => Some(name.as_str()),
            prefix => paths::below(prefix, &name),
        };
        let Some(below) = below else { continue };
        let folder = evaluator.path_argument(folder.value, pos)?;
        let path = paths::canonical(&format!("{folder}/{below}"));
        if evaluator.resolve_path(&folder, true, pos)?.is_some() && evaluator.exists(&path, pos)? {
            return Ok(Value::Path(evaluator.arena.alloc_str(&path)));
        }
    }
    let message = format!("file '{name}' was not found in the search path");
    if !entries.is_empty() {
        return Err(Fault::new(ErrorKind::Thrown, pos, message));
    }
    let fault = Fault::forbidden(
        pos,
        format!("{message}, which is empty: `<{name}>` would mean another file on every machine"),
    );
    Err(fault.hint("use a relative path or an input"))
}

fn store_path<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let path = evaluator.path_argument(arguments[0], pos)?;
    let rest = paths::below(cognix_derivations::STORE_DIR, &path).filter(|rest| !rest.is_empty());
    let Some(rest) = rest else {
        let message = format!("path '{path}' is not in the store");
        return Err(Fault::value(pos, message));
    };
    let name = rest.split('/').next().unwrap_or_default();
    let top = &path[..path.len() - rest.len() + name.len()];
    let is_derivation = || {
        let parsed = cognix_derivations::StorePath::parse(top);
        parsed.is_ok_and(|path| evaluator.drafts.borrow().graph.contains(&path))
    };
    let is_text = evaluator.drafts.borrow().text(top).is_some();
    if !is_text && evaluator.in_source(top).is_none() && !is_derivation() {
        let message =
            format!("'{top}' is nothing that this evaluation made: it does not look into stores");
        let fault = Fault::forbidden(pos, message);
        return Err(fault.hint("use the derivation that makes the path, or a file of the project"));
    }
    let top = evaluator.arena.alloc_str(top);
    let context = evaluator.context(vec![ContextElement::Path(top)]);
    Ok(evaluator.string_with(path.as_bytes(), context))
}

fn scoped_import<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let scope = evaluator.force(arguments[0])?;
    let Value::Attrs(scope) = scope else {
        return Err(evaluator.expected("a set", scope, pos));
    };
    let path = evaluator.path_argument(arguments[1], pos)?;
    let file = evaluator.import_path(&path, pos)?;
    let mut names = Extra::new();
    let mut slots = Vec::new();
    for attr in scope.entries() {
        names.insert(attr.name, u32::try_from(slots.len()).unwrap_or(u32::MAX));
        slots.push(attr.value);
    }
    let slots = evaluator.arena.alloc_slice_copy(&slots);
    let env = evaluator.arena.alloc(Env { up: None, slots });
    evaluator.import_text(&file, Some((&names, env)), pos)
}

impl<'a> Evaluator<'a> {
    /// A path of the language from an argument: a path, or a string with an absolute one. What would have to be built
    /// first is refused.
    pub(crate) fn path_argument(&self, argument: &'a Thunk<'a>, pos: Pos) -> Eval<String> {
        let value = self.force(argument)?;
        let (bytes, context) = self.text(value, Coercion::PLAIN, pos)?;
        let text = self.utf8(&bytes, pos)?;
        if !text.starts_with('/') {
            let message = format!("string '{text}' does not represent an absolute path");
            return Err(Fault::value(pos, message));
        }
        let builds = |element: &ContextElement<'_>| !matches!(element, ContextElement::Path(_));
        if context.elements().iter().any(builds) {
            let message = format!(
                "'{text}' would have to be built before it can be read: an evaluation builds nothing"
            );
            return Err(Fault::forbidden(pos, message));
        }
        Ok(paths::canonical(&text))
    }
}
