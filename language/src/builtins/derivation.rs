//! Derivations: from attributes to `.drv` files and to the sets that stand for their outputs.
//!
//! Source of the rules: Nix's manual, "Derivations" and "Advanced attributes", and what Nix 2.26 makes of each (the
//! golden derivations beside the tests).

use std::collections::{BTreeMap, BTreeSet};

use cognix_derivations::{
    ContentAddress, ContentAddressMethod, Derivation, DerivationGraph, HashAlgorithm, NixHash,
    StorePath, StorePathName, downstream_placeholder,
};

use super::Builtin;
use crate::error::{Eval, Fault};
use crate::eval::{Coercion, Evaluator, Instantiated, SourceImport, Text};
use crate::source::Pos;
use crate::text::hashes;
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

    /// Reads the attributes.
    fn draft(&self, given: &'a Attrs<'a>, pos: Pos) -> Eval<Draft<'a>> {
        let flag = |name: Symbol| match given.get(name) {
            None => Ok(false),
            Some(attr) => match self.force(attr.value)? {
                Value::Bool(value) => Ok(value),
                other => Err(self.expected("a Boolean", other, attr.pos)),
            },
        };
        let ignore_nulls = flag(self.names.ignore_nulls)?;
        let mut draft = Draft {
            structured: flag(self.names.structured_attrs)?.then(BTreeMap::new),
            ..Draft::default()
        };
        for attr in self.by_name(given) {
            let name = attr.name;
            if name == self.names.ignore_nulls {
                continue;
            }
            let key = self.utf8(self.symbols.name(name), attr.pos)?;
            let within = |fault: Fault| {
                fault.within(attr.pos, format!("while evaluating the attribute '{key}'"))
            };
            let value = self.force(attr.value).map_err(within)?;
            if ignore_nulls && matches!(value, Value::Null) {
                continue;
            }
            self.draft_attr(&mut draft, name, &key, value, attr.pos)
                .map_err(within)?;
        }
        if draft.builder.is_empty() {
            return Err(Fault::value(pos, "required attribute 'builder' missing"));
        }
        if draft.system.is_empty() {
            return Err(Fault::value(pos, "required attribute 'system' missing"));
        }
        Ok(draft)
    }

    fn draft_attr(
        &self,
        draft: &mut Draft<'a>,
        name: Symbol,
        key: &str,
        value: Value<'a>,
        pos: Pos,
    ) -> Eval<()> {
        let names = &self.names;
        if name == names.content_addressed || name == names.impure {
            match value {
                Value::Bool(false) => {}
                Value::Bool(true) if name == names.content_addressed => {
                    draft.is_floating = true;
                    return Ok(());
                }
                Value::Bool(true) => {
                    let message = "an impure derivation gives another output each time it is built";
                    return Err(Fault::forbidden(pos, message));
                }
                other => return Err(self.expected("a Boolean", other, pos)),
            }
        }
        if name == names.args {
            let Value::List(items) = value else {
                return Err(self.expected("a list", value, pos));
            };
            for item in items {
                let item = self.force(item)?;
                let (text, context) = self.text(item, Coercion::ENVIRONMENT, pos)?;
                draft.elements.extend_from_slice(context.elements());
                self.take_in(draft, text.len(), pos)?;
                draft.args.push(self.utf8(&text, pos)?);
            }
            return Ok(());
        }
        if draft.structured.is_some() {
            if name == names.structured_attrs {
                return Ok(());
            }
            let (json, context) = self.to_json(value, true, pos)?;
            draft.elements.extend_from_slice(context.elements());
            self.take_in(draft, key.len() + json.len(), pos)?;
            if let Some(structured) = &mut draft.structured {
                structured.insert(key.to_owned(), json);
            }
            return self.structured_attr(draft, name, value, pos);
        }
        let (text, context) = self.text(value, Coercion::ENVIRONMENT, pos)?;
        draft.elements.extend_from_slice(context.elements());
        self.take_in(draft, key.len() + text.len(), pos)?;
        let plain = || self.utf8(&text, pos);
        if name == names.builder {
            draft.builder = plain()?;
        } else if name == names.system {
            draft.system = plain()?;
        } else if name == names.output_hash {
            draft.output_hash = Some(plain()?);
        } else if name == names.output_hash_algo {
            draft.algorithm = algorithm(&plain()?, pos)?;
        } else if name == names.output_hash_mode {
            draft.method = Some(method(&plain()?, pos)?);
        } else if name == names.outputs {
            let text = plain()?;
            let outputs = text
                .split([' ', '\t', '\n', '\r'])
                .filter(|name| !name.is_empty());
            draft.outputs = outputs_of(outputs, pos)?;
        }
        draft.env.insert(key.to_owned(), text.into_owned());
        Ok(())
    }

    /// Counts what a derivation takes in, before it does.
    fn take_in(&self, draft: &mut Draft<'a>, bytes: usize, pos: Pos) -> Eval<()> {
        draft.bytes += bytes;
        self.room_for(draft.bytes, pos)
    }

    /// What structured attributes with meanings say.
    fn structured_attr(
        &self,
        draft: &mut Draft<'a>,
        name: Symbol,
        value: Value<'a>,
        pos: Pos,
    ) -> Eval<()> {
        let names = &self.names;
        let plain = || {
            let bytes = self.plain_string(value, pos)?;
            self.utf8(bytes, pos)
        };
        if name == names.builder {
            let (bytes, context) = self.string_value(value, pos)?;
            draft.elements.extend_from_slice(context.elements());
            draft.builder = self.utf8(bytes, pos)?;
        } else if name == names.system {
            draft.system = plain()?;
        } else if name == names.output_hash {
            draft.output_hash = Some(plain()?);
        } else if name == names.output_hash_algo {
            draft.algorithm = algorithm(&plain()?, pos)?;
        } else if name == names.output_hash_mode {
            draft.method = Some(method(&plain()?, pos)?);
        } else if name == names.outputs {
            let Value::List(items) = value else {
                return Err(self.expected("a list", value, pos));
            };
            let outputs = items.iter().map(|item| {
                let item = self.force(item)?;
                let bytes = self.plain_string(item, pos)?;
                self.utf8(bytes, pos)
            });
            let outputs = outputs.collect::<Eval<Vec<_>>>()?;
            draft.outputs = outputs_of(outputs.iter().map(String::as_str), pos)?;
        }
        Ok(())
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

/// Attributes while they are read.
struct Draft<'a> {
    env: BTreeMap<String, Vec<u8>>,
    args: Vec<String>,
    builder: String,
    system: String,
    outputs: Vec<String>,
    output_hash: Option<String>,
    algorithm: Option<HashAlgorithm>,
    method: Option<ContentAddressMethod>,
    is_floating: bool,
    /// Attributes as JSON, where they are structured.
    structured: Option<BTreeMap<String, String>>,
    elements: Vec<ContextElement<'a>>,
    /// How long all texts are that it took in so far.
    bytes: usize,
}

impl Default for Draft<'_> {
    fn default() -> Self {
        Self {
            env: BTreeMap::new(),
            args: Vec::new(),
            builder: String::new(),
            system: String::new(),
            outputs: vec!["out".to_owned()],
            output_hash: None,
            algorithm: None,
            method: None,
            is_floating: false,
            structured: None,
            elements: Vec::new(),
            bytes: 0,
        }
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

fn algorithm(name: &str, pos: Pos) -> Eval<Option<HashAlgorithm>> {
    match name {
        "" => Ok(None),
        name => hashes::algorithm(name)
            .map(Some)
            .map_err(|error| Fault::value(pos, error.to_string())),
    }
}

fn method(name: &str, pos: Pos) -> Eval<ContentAddressMethod> {
    match name {
        "recursive" | "nar" => Ok(ContentAddressMethod::Recursive),
        "flat" => Ok(ContentAddressMethod::Flat),
        "text" => Err(text_method(pos)),
        other => {
            let message = format!(
                "invalid value '{other}' for 'outputHashMode': expected 'flat' or 'recursive'"
            );
            Err(Fault::value(pos, message))
        }
    }
}

fn text_method(pos: Pos) -> Fault {
    Fault::value(
        pos,
        "the outputHashMode 'text' makes dynamic derivations, which are not supported",
    )
}

fn outputs_of<'o>(outputs: impl Iterator<Item = &'o str>, pos: Pos) -> Eval<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for output in outputs {
        if names.iter().any(|known| known == output) {
            let message = format!("duplicate derivation output '{output}'");
            return Err(Fault::value(pos, message));
        }
        if output == "drv" || output == "drvPath" {
            let message = format!("invalid derivation output name '{output}'");
            return Err(Fault::value(pos, message));
        }
        names.push(output.to_owned());
    }
    match names.is_empty() {
        true => Err(Fault::value(
            pos,
            "a derivation cannot have an empty set of outputs",
        )),
        false => Ok(names),
    }
}

/// The hash of a fixed output; an empty text stands for zeros, so that a build tells the real one.
fn fixed_hash(text: &str, algorithm: Option<HashAlgorithm>, pos: Pos) -> Eval<NixHash> {
    if text.is_empty() {
        let Some(algorithm) = algorithm else {
            return Err(Fault::value(
                pos,
                "an empty outputHash needs an outputHashAlgo",
            ));
        };
        let size = match algorithm {
            HashAlgorithm::Md5 => 16,
            HashAlgorithm::Sha1 => 20,
            HashAlgorithm::Sha256 | HashAlgorithm::Blake3 => 32,
            HashAlgorithm::Sha512 => 64,
        };
        let zeros = vec![0; size];
        return NixHash::from_bytes(algorithm, &zeros)
            .ok_or_else(|| Fault::value(pos, "the hash has a wrong length"));
    }
    hashes::parse(text, algorithm).map_err(|error| Fault::value(pos, error.to_string()))
}
