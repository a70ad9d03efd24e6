//! Derivations: from attributes to `.drv` files and to the sets that stand for their outputs.
//!
//! Source of the rules: Nix's manual, "Derivations" and "Advanced attributes", and what Nix 2.26 makes of each (the
//! golden derivations beside the tests).

mod attributes;

use std::collections::{BTreeMap, BTreeSet};

use attributes::{Draft, fixed_hash, text_method};
use cognix_derivations::{
    ContentAddress, ContentAddressMethod, Derivation, DerivationGraph, HashAlgorithm, StorePath,
    StorePathName, downstream_placeholder,
};

use super::Builtin;
use crate::error::{Eval, Fault};
use crate::eval::{Evaluator, Instantiated, SourceImport, Text};
use crate::source::Pos;
use crate::value::{Attr, Attrs, Context, ContextElement, State, Symbol, Thunk, Value};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "derivation",
        parameters: &["attributes"],
        doc: "A derivation of these attributes: `name`, `system` and `builder` are required, `args`, `outputs` and those that say what the outputs' content is (`outputHash`, `outputHashAlgo`, `outputHashMode`, `__contentAddressed`, `__structuredAttrs`, `__ignoreNulls`) have meanings, all others become the builder's environment. The result is the first output; others are attributes of it by their names.",
        function: |evaluator, arguments, pos| evaluator.derivation(arguments[0], pos),
    },
    Builtin {
        name: "derivationStrict",
        parameters: &["attributes"],
        doc: "What `derivation` stands on: makes the derivation at once and gives its file (`drvPath`) and the path of each output, as strings that refer to them.",
        function: |evaluator, arguments, pos| evaluator.derivation_strict(arguments[0], pos),
    },
];

/// What a derivation takes at least, beside its texts.
const DERIVATION_BYTES: usize = 2 << 10;

/// What an evaluation wants in a store.
#[derive(Default)]
pub(crate) struct Drafts {
    pub(crate) graph: DerivationGraph,
    texts: BTreeMap<StorePath, usize>,
    ordered_texts: Vec<Text>,
    pub(crate) sources: BTreeMap<StorePath, SourceImport>,
    /// Whole files and folders, by path and name: copied once however often they are used.
    pub(crate) plain_sources: BTreeMap<(String, String), StorePath>,
}

impl Drafts {
    /// The contents of a text that this evaluation made, by its path.
    pub(crate) fn text(&self, path: &str) -> Option<&[u8]> {
        if !path.starts_with(cognix_derivations::STORE_DIR) {
            return None;
        }
        let path = StorePath::parse(path).ok()?;
        let index = self.texts.get(&path)?;
        Some(&self.ordered_texts[*index].bytes)
    }

    pub(crate) fn add_text(&mut self, text: Text) {
        if !self.texts.contains_key(&text.path) {
            self.texts
                .insert(text.path.clone(), self.ordered_texts.len());
            self.ordered_texts.push(text);
        }
    }
}

/// Gives what it gets: for values that are known here, and are not evaluated yet in a real Nix, which prints `<CODE>`.
static ITSELF: Builtin = Builtin {
    name: "derivation",
    parameters: &["value"],
    doc: "",
    function: |evaluator, arguments, _| evaluator.force(arguments[0]),
};

impl<'a> Evaluator<'a> {
    /// What the evaluation so far wants in a store.
    pub fn instantiated(&self) -> Instantiated {
        let drafts = self.drafts.borrow();
        Instantiated {
            graph: drafts.graph.clone(),
            texts: drafts.ordered_texts.clone(),
            sources: drafts.sources.values().cloned().collect(),
        }
    }

    /// Takes derivations that were made elsewhere, so that values can refer to them. Each comes after what it needs.
    pub fn adopt(&self, derivations: &DerivationGraph) {
        let mut drafts = self.drafts.borrow_mut();
        for derivation in derivations.iter() {
            // Their inputs are there: a graph holds every derivation after its inputs.
            let _ = drafts.graph.insert(derivation.clone());
        }
    }

    /// The text that stands for an output of a derivation that was adopted: its path where that is known, and its
    /// placeholder elsewhere. It refers to the output.
    pub fn output(&self, derivation: &StorePath, output: &str) -> Value<'a> {
        let drafts = self.drafts.borrow();
        let known = drafts.graph.get(derivation);
        let path = known.and_then(|known| known.outputs().get(output)?.path().cloned());
        let text = path.map_or_else(
            || downstream_placeholder(derivation, output),
            |path| path.to_string(),
        );
        let element = ContextElement::Output {
            derivation: self.arena.alloc_str(&derivation.to_string()),
            output: self.arena.alloc_str(output),
        };
        self.string_with(text.as_bytes(), self.context(vec![element]))
    }

    /// `derivation`: a set for each output, each with all the others. Nothing is made before a path is asked for.
    fn derivation(&self, argument: &'a Thunk<'a>, pos: Pos) -> Eval<Value<'a>> {
        let given = self.force(argument)?;
        let Value::Attrs(given) = given else {
            return Err(self.expected("a set", given, pos));
        };
        let names = &self.names;
        let outputs: Vec<Symbol> = match given.get(names.outputs) {
            None => vec![names.out],
            Some(attr) => self.output_symbols(attr)?,
        };
        let Some(first) = outputs.first() else {
            return Err(Fault::value(
                pos,
                "a derivation cannot have an empty list of outputs",
            ));
        };
        let strict = self.lazy_call(Value::Builtin(&BUILTINS[1]), &[argument]);
        let sets: Vec<&'a Thunk<'a>> = outputs.iter().map(|_| self.thunk(State::Busy)).collect();
        let all = self.list(sets.iter().copied(), pos)?;
        let at = |name: Symbol, value: &'a Thunk<'a>| Attr {
            name,
            pos: Pos::NONE,
            value,
        };
        let own = |name: Symbol| {
            [
                names.all,
                names.drv_attrs,
                names.out_path,
                names.drv_path,
                names.kind,
                names.output_name,
            ]
            .contains(&name)
        };
        let mut common: Vec<Attr<'a>> = Vec::with_capacity(given.len() + outputs.len() + 6);
        let index = outputs.iter().position(|output| output == first);
        let index = index.unwrap_or(0);
        let later = |value| self.lazy_call(Value::Builtin(&ITSELF), &[value]);
        common.push(at(names.all, later(self.known(all))));
        common.push(at(names.drv_attrs, argument));
        common.push(at(
            names.drv_path,
            self.thunk(State::Attr(strict, names.drv_path, Pos::NONE)),
        ));
        common.push(at(names.kind, self.known(self.string("derivation"))));
        for (place, (output, set)) in outputs.iter().zip(&sets).enumerate() {
            if !own(*output) {
                let set = if place == index { set } else { later(set) };
                common.push(at(*output, set));
            }
        }
        common.extend(given.entries().iter().filter(|attr| !own(attr.name)));
        for (output, set) in outputs.iter().zip(&sets) {
            let path = self.thunk(State::Attr(strict, *output, Pos::NONE));
            let name = self.string(self.symbols.name(*output));
            let mut entries = Vec::with_capacity(common.len() + 2);
            entries.push(at(names.out_path, path));
            entries.push(at(names.output_name, self.known(name)));
            entries.extend_from_slice(&common);
            set.state.set(State::Value(self.attrs(entries)));
        }
        self.force(sets[index])
    }

    fn output_symbols(&self, attr: &Attr<'a>) -> Eval<Vec<Symbol>> {
        let value = self.force(attr.value)?;
        let Value::List(items) = value else {
            return Err(self.expected("a list", value, attr.pos));
        };
        let symbols = items.iter().map(|item| {
            let name = self.force(item)?;
            Ok(self.symbol(self.plain_string(name, attr.pos)?))
        });
        symbols.collect()
    }

    fn derivation_strict(&self, argument: &'a Thunk<'a>, pos: Pos) -> Eval<Value<'a>> {
        let given = self.force(argument)?;
        let Value::Attrs(given) = given else {
            return Err(self.expected("a set", given, pos));
        };
        let Some(name) = given.get(self.names.name) else {
            return Err(Fault::value(pos, "required attribute 'name' missing"));
        };
        let within = |fault: Fault| {
            fault.within(
                name.pos,
                "while evaluating the attribute 'name' of a derivation",
            )
        };
        let value = self.force(name.value).map_err(within)?;
        let text = self.plain_string(value, name.pos).map_err(within)?;
        let text = self.utf8(text, name.pos).map_err(within)?;
        self.strict_named(given, &text, pos).map_err(|fault| {
            fault
                .at(name.pos)
                .within(name.pos, format!("while evaluating derivation '{text}'"))
        })
    }

    fn strict_named(&self, given: &'a Attrs<'a>, name: &str, pos: Pos) -> Eval<Value<'a>> {
        StorePathName::parse(&format!("{name}.drv"))
            .map_err(|error| Fault::value(Pos::NONE, error.to_string()))?;
        if name.ends_with(".drv") {
            let message = "derivation names are not allowed to end in '.drv'";
            return Err(Fault::value(Pos::NONE, message));
        }
        let draft = self.draft(given, pos)?;
        let derivation = self.finish(name, draft, pos)?;
        let path: &'a str = self.arena.alloc_str(&derivation.path().to_string());
        let deep = self.context(vec![ContextElement::DeepDerivation(path)]);
        let mut entries = vec![Attr {
            name: self.names.drv_path,
            pos: Pos::NONE,
            value: self.known(self.string_with(path.as_bytes(), deep)),
        }];
        for (output, kind) in derivation.outputs() {
            let text = match kind.path() {
                Some(path) => path.to_string(),
                None => downstream_placeholder(derivation.as_path(), output),
            };
            let output_name: &'a str = self.arena.alloc_str(output);
            let context = self.context(vec![ContextElement::Output {
                derivation: path,
                output: output_name,
            }]);
            entries.push(Attr {
                name: self.symbol(output),
                pos: Pos::NONE,
                value: self.known(self.string_with(text.as_bytes(), context)),
            });
        }
        Ok(self.attrs(entries))
    }

    /// Makes the derivation and remembers it.
    fn finish(&self, name: &str, draft: Draft<'a>, pos: Pos) -> Eval<Derivation> {
        self.keep(DERIVATION_BYTES + draft.bytes, pos)?;
        let mut builder = Derivation::builder(name)
            .plain_environment()
            .environment(draft.env)
            .system(&draft.system)
            .builder(&draft.builder);
        for arg in draft.args {
            builder = builder.arg(arg);
        }
        if let Some(structured) = draft.structured {
            let members: Vec<String> = structured
                .into_iter()
                .map(|(key, json)| format!("{}:{json}", serde_json::Value::from(key)))
                .collect();
            builder = builder.env("__json", format!("{{{}}}", members.join(",")));
        }
        let mut drafts = self.drafts.borrow_mut();
        for element in self.context(draft.elements).elements() {
            builder = add_input(builder, element, &drafts, pos)?;
        }
        match draft.output_hash {
            Some(hash) => {
                if draft.outputs != ["out"] {
                    let message = "a fixed-output derivation has the one output 'out'";
                    return Err(Fault::value(pos, message));
                }
                let hash = fixed_hash(&hash, draft.algorithm, pos)?;
                builder = builder.fixed_output(match draft.method {
                    None | Some(ContentAddressMethod::Flat) => ContentAddress::Flat(hash),
                    Some(ContentAddressMethod::Recursive) => ContentAddress::Recursive(hash),
                    Some(ContentAddressMethod::Text) => return Err(text_method(pos)),
                });
            }
            None if draft.is_floating => {
                let method = draft.method.unwrap_or(ContentAddressMethod::Recursive);
                let algorithm = draft.algorithm.unwrap_or(HashAlgorithm::Sha256);
                for output in &draft.outputs {
                    builder = builder.floating_output_with(output, method, algorithm);
                }
            }
            None => {
                for output in &draft.outputs {
                    builder = builder.input_addressed_output(output);
                }
            }
        }
        let added = drafts.graph.add(builder);
        added
            .cloned()
            .map_err(|error| Fault::value(pos, error.to_string()))
    }

    /// `toFile`: a text in the store.
    pub(crate) fn text_file(
        &self,
        name: &str,
        bytes: &[u8],
        context: Context<'a>,
        pos: Pos,
    ) -> Eval<Value<'a>> {
        let name =
            StorePathName::parse(name).map_err(|error| Fault::value(pos, error.to_string()))?;
        let mut references = BTreeSet::new();
        for element in context.elements() {
            let ContextElement::Path(path) = element else {
                let message = format!(
                    "the file '{name}' cannot refer to what a derivation makes, which is not there yet"
                );
                return Err(Fault::value(pos, message));
            };
            references.insert(store_path(path, pos)?);
        }
        self.keep(bytes.len(), pos)?;
        let address = ContentAddress::Text(cognix_derivations::Sha256::of(bytes));
        let path = cognix_derivations::content_addressed_path(&name, &address, &references, false)
            .map_err(|error| Fault::value(pos, error.to_string()))?;
        let text: &'a str = self.arena.alloc_str(&path.to_string());
        self.drafts.borrow_mut().add_text(Text {
            path,
            bytes: bytes.to_vec(),
            references,
        });
        let context = self.context(vec![ContextElement::Path(text)]);
        Ok(self.string_with(text.as_bytes(), context))
    }
}

/// Adds one thing that a derivation refers to.
fn add_input(
    builder: cognix_derivations::DerivationBuilder,
    element: &ContextElement<'_>,
    drafts: &Drafts,
    pos: Pos,
) -> Eval<cognix_derivations::DerivationBuilder> {
    Ok(match element {
        ContextElement::Path(path) => builder.input_source(&store_path(path, pos)?),
        ContextElement::Output { derivation, output } => {
            builder.input_derivation(&store_path(derivation, pos)?, output)
        }
        // Everything that building it could need: the files of all derivations below, and all that they take in and make.
        ContextElement::DeepDerivation(path) => {
            let path = store_path(path, pos)?;
            let mut builder = builder;
            for derivation in drafts.graph.input_closure(&[path]) {
                let Some(known) = drafts.graph.get(&derivation) else {
                    continue;
                };
                builder = builder.input_source(&derivation);
                for source in known.input_sources() {
                    builder = builder.input_source(source);
                }
                for output in known.outputs().keys() {
                    builder = builder.input_derivation(&derivation, output);
                }
            }
            builder
        }
    })
}

/// A store path that stands in a context.
pub(crate) fn store_path(text: &str, pos: Pos) -> Eval<StorePath> {
    StorePath::parse(text).map_err(|error| Fault::value(pos, error.to_string()))
}
