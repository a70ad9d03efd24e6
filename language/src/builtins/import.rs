//! Expressions in files.

use super::Builtin;
use crate::error::{Eval, Fault};
use crate::eval::{Coercion, Evaluator};
use crate::paths;
use crate::source::Pos;
use crate::syntax::Extra;
use crate::value::{Env, Thunk, Value};

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
];

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
        let builds = |element: &crate::value::ContextElement<'_>| {
            !matches!(element, crate::value::ContextElement::Path(_))
        };
        if context.elements().iter().any(builds) {
            let message = format!(
                "'{text}' would have to be built before it can be read: an evaluation builds nothing"
            );
            return Err(Fault::forbidden(pos, message));
        }
        Ok(paths::canonical(&text))
    }
}
