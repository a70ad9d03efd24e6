//! A derivation as Nix shows it: version 4 of the JSON of `nix derivation show`.

use serde_json::{Value, json};

use super::{Output, Parts, STRUCTURED_ATTRS, aterm};
use crate::store_path::StorePath;

/// What structured attributes are.
pub(super) type Object = serde_json::Map<String, Value>;

pub(super) fn to_json(parts: &Parts) -> Value {
    let input = |outputs| json!({ "dynamicOutputs": {}, "outputs": outputs });
    let mut value = json!({
        "args": parts.args,
        "builder": parts.builder,
        "env": object(parts.env.iter().filter(|(key, _)| *key != STRUCTURED_ATTRS).map(
            |(key, value)| (key.clone(), String::from_utf8_lossy(value).into()),
        )),
        "inputs": {
            "drvs": object(parts.input_derivations.iter().map(
                |(path, outputs)| (path.base_name(), input(outputs)),
            )),
            "srcs": parts.input_sources.iter().map(StorePath::base_name).collect::<Vec<_>>(),
        },
        "name": parts.name,
        "outputs": object(parts.outputs.iter().map(
            |(name, output)| (name.clone(), output_to_json(output)),
        )),
        "system": parts.system,
        "version": 4,
    });
    if let Some(attrs) = parts.env.get(STRUCTURED_ATTRS) {
        value["structuredAttrs"] =
            serde_json::from_slice(attrs).expect("a derivation's structured attributes are JSON");
    }
    value
}

fn object(entries: impl Iterator<Item = (String, Value)>) -> Value {
    Value::Object(entries.collect())
}

fn output_to_json(output: &Output) -> Value {
    match output {
        Output::InputAddressed(path) => json!({ "path": path.as_base_name() }),
        Output::Fixed { ca, .. } => {
            json!({ "method": aterm::method_of(ca).as_str(), "hash": ca.hash().to_sri() })
        }
        Output::Floating { method, algorithm } => {
            json!({ "method": method.as_str(), "hashAlgo": algorithm.as_str() })
        }
        Output::Deferred => json!({}),
    }
}
