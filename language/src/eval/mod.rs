//! The machine: values are made when somebody needs them, each once.

mod call;
mod coerce;
mod compare;
mod door;
mod expr;
mod files;
#[cfg(test)]
mod mistakes;
mod operators;
mod selection;
mod set;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use bumpalo::Bump;

use crate::builtins::{self, derivation::Drafts};
use crate::error::{ErrorKind, Eval, EvalError, Fault};
use crate::files::Files;
use crate::limits::Limits;
use crate::source::{Origin, Place, Pos, Sources};
use crate::syntax::tree::Parameter;
use crate::syntax::{self, Base, Extra, Reading};
use crate::value::{
    Attr, Attrs, Context, ContextElement, Env, State, Str, Symbol, Symbols, Thunk, Value,
};

pub use coerce::Coercion;
pub use door::{Instantiated, Options, Text, evaluate};
pub use files::SourceImport;
pub(crate) use files::SourceRequest;

/// The stack that an evaluation has; only what is touched takes memory.
const STACK: usize = 1 << 30;
/// What must be left of it for whatever is called next.
const STACK_RESERVE: usize = 16 << 20;

/// One evaluation: the values it made, the files and derivations it knows.
pub struct Evaluator<'a> {
    pub(crate) arena: &'a Bump,
    pub(crate) symbols: Symbols<'a>,
    pub(crate) names: Names,
    pub(crate) sources: Sources,
    pub(crate) limits: Limits,
    pub(crate) files: &'a dyn Files,
    /// The text that stands for the project's folder at the start of paths.
    pub(crate) root: &'a str,
    /// What printed paths begin with in its place.
    pub(crate) shown_root: &'a str,
    base: Base<'a>,
    stack_start: usize,
    depth: Cell<usize>,
    steps: Cell<u64>,
    /// Bytes that are kept elsewhere than in the arena: derivations, and texts of every kind.
    kept: Cell<usize>,
    /// Files that were imported, by path.
    imported: RefCell<BTreeMap<&'a str, &'a Thunk<'a>>>,
    pub(crate) drafts: RefCell<Drafts>,
    pub(crate) regexes: RefCell<builtins::RegexCache>,
    /// What `trace` and `warn` said.
    pub(crate) messages: RefCell<Vec<String>>,
    /// Values that every evaluation needs often.
    pub(crate) empty: Empty<'a>,
}

/// Values without contents.
pub(crate) struct Empty<'a> {
    pub(crate) attrs: &'a Attrs<'a>,
    pub(crate) string: &'a Str<'a>,
}

macro_rules! names {
    ($($field:ident = $text:literal),* $(,)?) => {
        /// Names that the program itself looks for.
        pub(crate) struct Names { $(pub(crate) $field: Symbol),* }

        impl Names {
            fn new<'a>(symbols: &Symbols<'a>, arena: &'a Bump) -> Self {
                Self { $($field: symbols.intern(arena, $text.as_bytes())),* }
            }
        }
    };
}

names! {
    name = "name", value = "value", functor = "__functor", to_string = "__toString",
    out_path = "outPath", drv_path = "drvPath", kind = "type", outputs = "outputs",
    output_name = "outputName", all = "all", drv_attrs = "drvAttrs", args = "args",
    builder = "builder", system = "system", output_hash = "outputHash",
    output_hash_algo = "outputHashAlgo", output_hash_mode = "outputHashMode",
    ignore_nulls = "__ignoreNulls", structured_attrs = "__structuredAttrs",
    content_addressed = "__contentAddressed", impure = "__impure", out = "out",
    path = "path", filter = "filter", recursive = "recursive", sha256 = "sha256",
    file = "file", line = "line", column = "column", success = "success", right = "right",
    wrong = "wrong", key = "key", start_set = "startSet", operator = "operator",
    version = "version", all_outputs = "allOutputs", prefix = "prefix", hash = "hash",
    hash_algo = "hashAlgo", to_hash_format = "toHashFormat",
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(
        arena: &'a Bump,
        files: &'a dyn Files,
        options: &Options,
        stack_start: usize,
    ) -> Self {
        let symbols = Symbols::default();
        let names = Names::new(&symbols, arena);
        let empty = Empty {
            attrs: arena.alloc(Attrs::from_sorted(&[])),
            string: arena.alloc(Str {
                bytes: &[],
                context: Context::EMPTY,
            }),
        };
        let mut evaluator = Self {
            arena,
            symbols,
            names,
            sources: Sources::default(),
            limits: options.limits.clone(),
            files,
            root: arena.alloc_str(&options.root),
            shown_root: arena.alloc_str(options.shown_root.as_ref().unwrap_or(&options.root)),
            base: Base::default(),
            stack_start,
            depth: Cell::new(0),
            steps: Cell::new(0),
            kept: Cell::new(0),
            imported: RefCell::default(),
            drafts: RefCell::default(),
            regexes: RefCell::default(),
            messages: RefCell::default(),
            empty,
        };
        evaluator.base = builtins::base(&evaluator);
        evaluator
    }

    /// Evaluates a text. Relative paths in it start from the project's folder; `name` is what messages call it.
    pub fn expression(&self, text: &str, name: &str) -> Eval<Value<'a>> {
        self.run(text, name, self.root, None, Origin::Given)
    }

    /// Evaluates a text of the program itself, whose places are of no interest to a reader.
    pub fn own_expression(&self, text: &str, name: &str) -> Eval<Value<'a>> {
        self.run(text, name, self.root, None, Origin::Own)
    }

    pub(crate) fn run(
        &self,
        text: &str,
        name: &str,
        folder: &str,
        extra: Option<(&Extra, &'a Env<'a>)>,
        origin: Origin,
    ) -> Eval<Value<'a>> {
        self.keep(text.len(), Pos::NONE)?;
        let Some(start) = self.sources.add(name, text, origin) else {
            let message = "all texts together are longer than 4 GiB";
            return Err(Fault::new(ErrorKind::Limit, Pos::NONE, message));
        };
        let reading = Reading {
            arena: self.arena,
            symbols: &self.symbols,
            start,
            folder,
            base: &self.base,
            extra: extra.map(|(names, _)| names),
            guard: &|| self.guard(Pos::NONE),
        };
        let expr = syntax::read(&reading, text)?;
        let env = match extra {
            Some((_, env)) => env,
            None => self.arena.alloc(Env {
                up: None,
                slots: &[],
            }),
        };
        self.eval(expr, env)
    }

    /// The value of something that may be not evaluated yet.
    pub fn force(&self, thunk: &'a Thunk<'a>) -> Eval<Value<'a>> {
        match thunk.state.get() {
            State::Value(value) => Ok(value),
            State::Busy => Err(Fault::new(
                ErrorKind::InfiniteRecursion,
                Pos::NONE,
                "infinite recursion encountered: this value needs itself",
            )),
            state => {
                thunk.state.set(State::Busy);
                let value = match state {
                    State::Expr(expr, env) => {
                        self.eval(expr, env).map_err(|fault| fault.at(expr.pos))
                    }
                    State::Call(function, arguments) => self.call(function, arguments, Pos::NONE),
                    State::Attr(from, name, pos) => self.attribute(from, name, pos),
                    State::Value(_) | State::Busy => return self.force(thunk),
                };
                // After a mistake the value can be asked for again, and then fails in the same way.
                thunk.state.set(match &value {
                    Ok(value) => State::Value(*value),
                    Err(_) => state,
                });
                value
            }
        }
    }

    /// The value with everything in it. A set or list that is in itself is looked at once.
    pub fn force_deep(&self, value: Value<'a>) -> Eval<()> {
        let mut seen = std::collections::BTreeSet::new();
        self.force_deep_in(value, &mut seen)
    }

    fn force_deep_in(
        &self,
        value: Value<'a>,
        seen: &mut std::collections::BTreeSet<*const ()>,
    ) -> Eval<()> {
        self.guard(Pos::NONE)?;
        match value {
            Value::List(items) => {
                if items.is_empty() || !seen.insert(items.as_ptr().cast()) {
                    return Ok(());
                }
                for item in items {
                    let item = self.force(item)?;
                    self.force_deep_in(item, seen)?;
                }
            }
            Value::Attrs(attrs) => {
                if attrs.is_empty() || !seen.insert(std::ptr::from_ref(attrs).cast()) {
                    return Ok(());
                }
                for attr in self.by_name(attrs) {
                    let within = |fault: Fault| {
                        let name = self.name_text(attr.name);
                        fault.within(attr.pos, format!("while evaluating the attribute '{name}'"))
                    };
                    let value = self.force(attr.value).map_err(within)?;
                    self.force_deep_in(value, seen).map_err(within)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts a step, and ends what takes too much.
    pub(crate) fn guard(&self, pos: Pos) -> Eval<()> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        let here = 0_u8;
        let used = self.stack_start.abs_diff(std::ptr::from_ref(&here).addr());
        if used > STACK - STACK_RESERVE {
            return Err(self.too_much(
                pos,
                "stack overflow: values are nested too deep, possibly without end",
            ));
        }
        if steps.is_multiple_of(1024) {
            self.check_limits(pos, steps)?;
        }
        Ok(())
    }

    /// Counts work that one call did as the steps that would have taken as long.
    pub(crate) fn spend(&self, steps: u64, pos: Pos) -> Eval<()> {
        if steps == 0 {
            return Ok(());
        }
        let steps = self.steps.get().saturating_add(steps);
        self.steps.set(steps);
        self.check_limits(pos, steps)
    }

    #[cold]
    fn check_limits(&self, pos: Pos, steps: u64) -> Eval<()> {
        let cancelled = self.limits.cancelled.as_ref();
        if cancelled.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(Fault::new(ErrorKind::Cancelled, pos, "interrupted"));
        }
        if steps > self.limits.steps {
            let message = format!(
                "the evaluation takes more than {} steps, possibly without end",
                self.limits.steps
            );
            return Err(self.too_much(pos, message));
        }
        self.room_for(0, pos)
    }

    #[cold]
    fn too_much(&self, pos: Pos, message: impl Into<String>) -> Fault {
        Fault::new(ErrorKind::Limit, pos, message)
    }

    /// Whether there is memory for so many bytes more.
    pub(crate) fn room_for(&self, bytes: usize, pos: Pos) -> Eval<()> {
        let used = self.arena.allocated_bytes().saturating_add(self.kept.get());
        let wanted = used.saturating_add(bytes);
        if wanted <= self.limits.memory {
            return Ok(());
        }
        let message = format!(
            "the evaluation needs more than its {} MiB of memory",
            self.limits.memory >> 20
        );
        Err(self.too_much(pos, message))
    }

    /// Counts bytes that will be kept elsewhere than in the arena until the evaluation ends.
    pub(crate) fn keep(&self, bytes: usize, pos: Pos) -> Eval<()> {
        self.room_for(bytes, pos)?;
        self.kept.set(self.kept.get().saturating_add(bytes));
        Ok(())
    }

    /// A function call is open while this runs.
    pub(crate) fn deeper<T>(&self, pos: Pos, work: impl FnOnce() -> Eval<T>) -> Eval<T> {
        self.guard(pos)?;
        let depth = self.depth.get();
        if depth >= self.limits.call_depth {
            let message = format!(
                "stack overflow: more than {} function calls inside each other, possibly without end",
                self.limits.call_depth
            );
            return Err(self.too_much(pos, message));
        }
        self.depth.set(depth + 1);
        let result = work();
        self.depth.set(depth);
        result
    }

    // Making values.

    /// Something that is not evaluated yet.
    pub(crate) fn thunk(&self, state: State<'a>) -> &'a Thunk<'a> {
        self.arena.alloc(Thunk::new(state))
    }

    /// A value where one that may be not evaluated is needed.
    pub fn known(&self, value: Value<'a>) -> &'a Thunk<'a> {
        self.thunk(State::Value(value))
    }

    /// A call that happens when its value is needed.
    pub(crate) fn lazy_call(
        &self,
        function: Value<'a>,
        arguments: &[&'a Thunk<'a>],
    ) -> &'a Thunk<'a> {
        let arguments = self.arena.alloc_slice_copy(arguments);
        self.thunk(State::Call(function, arguments))
    }

    /// A string that refers to nothing.
    pub fn string(&self, bytes: impl AsRef<[u8]>) -> Value<'a> {
        self.string_with(bytes.as_ref(), Context::EMPTY)
    }

    /// A string with what it refers to.
    pub fn string_with(&self, bytes: &[u8], context: Context<'a>) -> Value<'a> {
        if bytes.is_empty() && context.is_empty() {
            return Value::String(self.empty.string);
        }
        let bytes = self.arena.alloc_slice_copy(bytes);
        Value::String(self.arena.alloc(Str { bytes, context }))
    }

    /// A list of as many items as the iterator says. The memory is looked for first.
    pub fn list<I>(&self, items: I, pos: Pos) -> Eval<Value<'a>>
    where
        I: ExactSizeIterator<Item = &'a Thunk<'a>>,
    {
        self.room_for(items.len().saturating_mul(size_of::<usize>()), pos)?;
        Ok(Value::List(self.arena.alloc_slice_fill_iter(items)))
    }

    /// The number of a name.
    pub fn symbol(&self, name: impl AsRef<[u8]>) -> Symbol {
        self.symbols.intern(self.arena, name.as_ref())
    }

    /// A name's text; bytes that are not UTF-8 are replaced.
    pub fn name_text(&self, name: Symbol) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.symbols.name(name))
    }

    /// A set of attributes in any order. Of several with one name the first stays.
    pub fn attrs(&self, mut entries: Vec<Attr<'a>>) -> Value<'a> {
        entries.sort_by_key(|attr| attr.name);
        entries.dedup_by_key(|attr| attr.name);
        Value::Attrs(self.attrs_from_sorted(entries))
    }

    /// A set of attributes whose names are the program's.
    pub(crate) fn record<const N: usize>(&self, entries: [(Symbol, Value<'a>); N]) -> Value<'a> {
        let entries = entries.map(|(name, value)| Attr {
            name,
            pos: Pos::NONE,
            value: self.known(value),
        });
        self.attrs(entries.into())
    }

    pub(crate) fn attrs_from_sorted(&self, entries: Vec<Attr<'a>>) -> &'a Attrs<'a> {
        if entries.is_empty() {
            return self.empty.attrs;
        }
        let entries = self.arena.alloc_slice_copy(&entries);
        self.arena.alloc(Attrs::from_sorted(entries))
    }

    /// Attributes in the order of their names.
    pub fn by_name(&self, attrs: &Attrs<'a>) -> Vec<Attr<'a>> {
        let mut entries = attrs.entries().to_vec();
        self.symbols.sort_by_name(&mut entries, |attr| attr.name);
        entries
    }

    /// What several strings together refer to.
    pub(crate) fn context(&self, mut elements: Vec<ContextElement<'a>>) -> Context<'a> {
        if elements.is_empty() {
            return Context::EMPTY;
        }
        elements.sort_unstable();
        elements.dedup();
        Context::from_sorted(self.arena.alloc_slice_copy(&elements))
    }

    /// What two strings together refer to.
    pub(crate) fn merged(&self, one: Context<'a>, other: Context<'a>) -> Context<'a> {
        if other.is_empty() || one == other {
            return one;
        }
        if one.is_empty() {
            return other;
        }
        self.context([one.elements(), other.elements()].concat())
    }

    /// Where a position is in its text.
    pub fn place(&self, pos: Pos) -> Option<Place> {
        self.sources.place(pos)
    }

    /// A mistake with its places looked up.
    pub fn explain(&self, fault: Fault) -> EvalError {
        fault.resolve(&self.sources)
    }

    /// A value that fails with this message when somebody asks for it.
    pub fn failing(&self, message: &str) -> &'a Thunk<'a> {
        let message = self.known(self.string(message));
        self.lazy_call(Value::Builtin(&builtins::FAILING), &[message])
    }

    /// The names that a function takes, if it takes a set with these and no others.
    pub fn closed_pattern(&self, function: Value<'a>) -> Option<Vec<Symbol>> {
        let Value::Lambda(lambda) = function else {
            return None;
        };
        match &lambda.expr.parameter {
            Parameter::Pattern {
                formals,
                open: false,
                ..
            } => Some(formals.iter().map(|formal| formal.name).collect()),
            _ => None,
        }
    }

    /// The names that a function cannot be called without, and where they are written.
    pub fn required_names(&self, function: Value<'a>) -> Vec<(Symbol, Pos)> {
        let Value::Lambda(lambda) = function else {
            return Vec::new();
        };
        match &lambda.expr.parameter {
            Parameter::Pattern { formals, .. } => {
                let required = formals.iter().filter(|formal| formal.default.is_none());
                required.map(|formal| (formal.name, formal.pos)).collect()
            }
            Parameter::Name(_) => Vec::new(),
        }
    }

    /// Where a path is below the project's folder; `None` for what is elsewhere.
    pub fn project_path<'p>(&self, path: &'p str) -> Option<&'p str> {
        crate::paths::below(self.root, path)
    }

    /// The path of a file of the project.
    pub fn project_file(&self, below: &str) -> Value<'a> {
        let path = crate::paths::absolute(self.root, below);
        Value::Path(self.arena.alloc_str(&path))
    }

    /// What `builtins.trace` and `builtins.warn` said so far, in the order of evaluation.
    pub fn take_messages(&self) -> Vec<String> {
        self.messages.take()
    }
}
