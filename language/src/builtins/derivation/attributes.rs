//! The attributes of a derivation, read one by one.

use std::collections::BTreeMap;

use cognix_derivations::{ContentAddressMethod, HashAlgorithm, NixHash};

use crate::error::{Eval, Fault};
use crate::eval::{Coercion, Evaluator};
use crate::source::Pos;
use crate::text::hashes;
use crate::value::{Attrs, ContextElement, Symbol, Value};

/// Attributes while they are read.
pub(super) struct Draft<'a> {
    pub(super) env: BTreeMap<String, Vec<u8>>,
    pub(super) args: Vec<String>,
    pub(super) builder: String,
    pub(super) system: String,
    pub(super) outputs: Vec<String>,
    pub(super) output_hash: Option<String>,
    pub(super) algorithm: Option<HashAlgorithm>,
    pub(super) method: Option<ContentAddressMethod>,
    pub(super) is_floating: bool,
    /// Attributes as JSON, where they are structured.
    pub(super) structured: Option<BTreeMap<String, String>>,
    pub(super) elements: Vec<ContextElement<'a>>,
    /// How long all texts are that it took in so far.
    pub(super) bytes: usize,
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

impl<'a> Evaluator<'a> {
    /// Reads the attributes.
    pub(super) fn draft(&self, given: &'a Attrs<'a>, pos: Pos) -> Eval<Draft<'a>> {
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
        } else if self.says_what_outputs_are(name) {
            self.draft_outputs(draft, name, plain()?, pos)?;
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

    /// Whether an attribute is the system, or says how the outputs are addressed.
    fn says_what_outputs_are(&self, name: Symbol) -> bool {
        let names = &self.names;
        [
            names.system,
            names.output_hash,
            names.output_hash_algo,
            names.output_hash_mode,
        ]
        .contains(&name)
    }

    fn draft_outputs(
        &self,
        draft: &mut Draft<'a>,
        name: Symbol,
        text: String,
        pos: Pos,
    ) -> Eval<()> {
        let names = &self.names;
        if name == names.system {
            draft.system = text;
        } else if name == names.output_hash {
            draft.output_hash = Some(text);
        } else if name == names.output_hash_algo {
            draft.algorithm = algorithm(&text, pos)?;
        } else {
            draft.method = Some(method(&text, pos)?);
        }
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
        } else if self.says_what_outputs_are(name) {
            self.draft_outputs(draft, name, plain()?, pos)?;
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

pub(super) fn text_method(pos: Pos) -> Fault {
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
pub(super) fn fixed_hash(text: &str, algorithm: Option<HashAlgorithm>, pos: Pos) -> Eval<NixHash> {
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
