//! The functions and values that every expression can use: tables, one file per topic.
//!
//! A [`Builtin`] says its name, what it takes and what it does; the reference page is made of these tables. Names that are
//! also there without `builtins.` are in [`GLOBAL`].

mod arguments;
mod closure;
mod contexts;
mod control;
pub(crate) mod derivation;
mod files;
pub(crate) mod forbidden;
mod formats;
mod import;
mod lists;
mod numbers;
mod regexes;
mod sets;
mod sort;
mod strings;
mod types;
mod xml;

use std::collections::BTreeMap;

use crate::error::Eval;
use crate::eval::Evaluator;
use crate::source::Pos;
use crate::syntax::Base;
use crate::value::{Attr, State, Thunk, Value};

/// A function of the program.
pub struct Builtin {
    /// Its name below `builtins`.
    pub name: &'static str,
    /// The names of what it takes, in order.
    pub parameters: &'static [&'static str],
    /// What it does, for the reference page. Markdown.
    pub doc: &'static str,
    /// How.
    pub function: Function,
}

/// A function of the program: the arguments are as many as parameters, and not evaluated yet.
pub type Function = for<'e, 'a> fn(&'e Evaluator<'a>, &'e [&'a Thunk<'a>], Pos) -> Eval<Value<'a>>;

/// A value of the program that is no function.
pub struct ConstantBuiltin {
    /// Its name below `builtins`.
    pub name: &'static str,
    /// What it is, for the reference page. Markdown.
    pub doc: &'static str,
    /// It.
    pub value: for<'e, 'a> fn(&'e Evaluator<'a>) -> Value<'a>,
}

/// Compiled regular expressions, by their text.
pub(crate) type RegexCache = BTreeMap<Vec<u8>, std::rc::Rc<crate::text::regex::Regex>>;

/// Every table of functions, a topic each.
pub const TOPICS: &[(&str, &[Builtin])] = &[
    ("Types", types::BUILTINS),
    ("Numbers", numbers::BUILTINS),
    ("Strings", strings::BUILTINS),
    ("Regular expressions", regexes::BUILTINS),
    ("Lists", lists::BUILTINS),
    ("Attribute sets", sets::BUILTINS),
    ("Evaluation", control::BUILTINS),
    ("JSON, TOML and XML", formats::BUILTINS),
    ("What strings refer to", contexts::BUILTINS),
    ("Derivations", derivation::BUILTINS),
    ("Expressions in files", import::BUILTINS),
    ("Files", files::BUILTINS),
    ("What an evaluation must not see", forbidden::BUILTINS),
];

/// Values that are no functions.
pub const CONSTANTS: &[ConstantBuiltin] = &[
    ConstantBuiltin {
        name: "true",
        doc: "The Boolean that holds.",
        value: |_| Value::Bool(true),
    },
    ConstantBuiltin {
        name: "false",
        doc: "The Boolean that does not hold.",
        value: |_| Value::Bool(false),
    },
    ConstantBuiltin {
        name: "null",
        doc: "No value.",
        value: |_| Value::Null,
    },
    ConstantBuiltin {
        name: "langVersion",
        doc: "The version of the language: 6.",
        value: |_| Value::Int(6),
    },
    ConstantBuiltin {
        name: "nixVersion",
        doc: "The version of Nix whose language this is.",
        value: |evaluator| evaluator.string(crate::NIX_VERSION),
    },
    ConstantBuiltin {
        name: "storeDir",
        doc: "The store's folder, `/nix/store` wherever a store really is.",
        value: |evaluator| evaluator.string(cognix_derivations::STORE_DIR),
    },
    ConstantBuiltin {
        name: "nixPath",
        doc: "Always an empty list: `<name>` is looked up nowhere.",
        value: |_| Value::List(&[]),
    },
];

/// Names that are there without `builtins.`; every other is there with `__` before it.
pub const GLOBAL: &[&str] = &[
    "abort",
    "baseNameOf",
    "break",
    "derivation",
    "derivationStrict",
    "dirOf",
    "false",
    "fetchGit",
    "fetchMercurial",
    "fetchTarball",
    "fetchTree",
    "fromTOML",
    "import",
    "isNull",
    "map",
    "null",
    "placeholder",
    "removeAttrs",
    "scopedImport",
    "throw",
    "toString",
    "true",
];

/// Fails with the message that it is called with. It has no name in the language.
pub(crate) static FAILING: Builtin = Builtin {
    name: "throw",
    parameters: &["message"],
    doc: "",
    function: |evaluator, arguments, pos| {
        let message = evaluator.force(arguments[0])?;
        let message = evaluator.string_value(message, pos)?.0;
        let message = String::from_utf8_lossy(message);
        Err(crate::Fault::new(crate::ErrorKind::Thrown, pos, message))
    },
};

/// The names that are always there.
pub(crate) fn base<'a>(evaluator: &Evaluator<'a>) -> Base<'a> {
    let mut entries: Vec<(&'static str, &'a Thunk<'a>)> = Vec::new();
    for builtin in TOPICS.iter().flat_map(|(_, table)| *table) {
        entries.push((builtin.name, evaluator.known(Value::Builtin(builtin))));
    }
    for constant in CONSTANTS {
        let value = (constant.value)(evaluator);
        entries.push((constant.name, evaluator.known(value)));
    }
    for builtin in forbidden::VALUES {
        let nothing = evaluator.known(Value::Null);
        entries.push((
            builtin.name,
            evaluator.lazy_call(Value::Builtin(builtin), &[nothing]),
        ));
    }
    let itself = evaluator.thunk(State::Busy);
    entries.push(("builtins", itself));
    let attrs = entries.iter().map(|(name, value)| Attr {
        name: evaluator.symbol(name),
        pos: Pos::NONE,
        value,
    });
    let builtins = evaluator.attrs(attrs.collect());
    itself.state.set(State::Value(builtins));
    let mut base = Base::default();
    for (name, value) in entries {
        let text = match GLOBAL.contains(&name) || name == "builtins" {
            true => name.to_owned(),
            false => format!("__{name}"),
        };
        base.names.insert(evaluator.symbol(text), value);
    }
    base
}
