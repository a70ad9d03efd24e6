//! What a derivation demands of whoever builds it: attributes that Nix obeys, and that are refused here.
//!
//! A check that is not made, or a file that is not there, would be found out long after the build.

use cognix_derivations::Derivation;
use serde_json::{Map, Value};

use super::ForeignError;

/// Attributes that would have to be obeyed.
const REFUSED: [&str; 8] = [
    "__noChroot",
    "allowedReferences",
    "allowedRequisites",
    "disallowedReferences",
    "disallowedRequisites",
    "exportReferencesGraph",
    "outputChecks",
    "unsafeDiscardReferences",
];

/// The attribute that names what a machine must have, and what of it says something about its size alone.
const FEATURES: &str = "requiredSystemFeatures";
const SIZES: [&str; 2] = ["benchmark", "big-parallel"];

/// Refuses a derivation that demands more than a build here gives.
pub(super) fn check(derivation: &Derivation) -> Result<(), ForeignError> {
    let attributes = derivation.env_str("__json");
    let attributes: Map<String, Value> = attributes
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let words = |name: &str| -> Vec<String> {
        let variable = derivation.env_str(name).unwrap_or_default();
        let variable = variable.split_ascii_whitespace().map(str::to_owned);
        variable
            .chain(attributes.get(name).into_iter().flat_map(said))
            .collect()
    };
    if let Some(what) = REFUSED.into_iter().find(|name| !words(name).is_empty()) {
        let what = what.to_owned();
        return Err(ForeignError::Unsupported { what });
    }
    let features = words(FEATURES);
    let other = features
        .iter()
        .find(|feature| !SIZES.contains(&feature.as_str()));
    match other {
        Some(feature) => Err(ForeignError::Unsupported {
            what: format!("{feature} of {FEATURES}"),
        }),
        None => Ok(()),
    }
}

/// What a value says, nothing where it is empty.
fn said(value: &Value) -> Vec<String> {
    match value {
        Value::Null | Value::Bool(false) => Vec::new(),
        Value::String(text) if text.is_empty() => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(said).collect(),
        Value::Object(members) => members.keys().cloned().collect(),
        Value::Bool(true) | Value::Number(_) => vec![value.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(attributes: &[(&str, &str)]) -> Result<(), String> {
        let mut derivation = Derivation::builder("x")
            .system("x86_64-linux")
            .builder("/bin/sh")
            .floating_output("out");
        for (name, value) in attributes {
            derivation = derivation.env(name, *value);
        }
        check(&derivation.build().expect("a derivation")).map_err(|error| error.to_string())
    }

    #[test]
    fn what_nobody_would_obey_is_refused() {
        let refused = |attributes: &[(&str, &str)], expected: &str| {
            let message = checked(attributes).expect_err(expected);
            assert!(message.contains(expected), "{message}");
        };
        refused(&[("allowedReferences", "out")], "allowedReferences is not");
        refused(
            &[("exportReferencesGraph", "graph /nix/store")],
            "exportReferencesGraph",
        );
        refused(
            &[("__json", r#"{"outputChecks":{"out":{}}}"#)],
            "outputChecks",
        );
        refused(
            &[("requiredSystemFeatures", "big-parallel kvm")],
            "kvm of requiredSystemFeatures",
        );
        refused(
            &[("__json", r#"{"requiredSystemFeatures":["kvm"]}"#)],
            "kvm",
        );
    }

    #[test]
    fn what_demands_nothing_is_not() {
        for attributes in [
            &[][..],
            &[("__noChroot", ""), ("allowedReferences", "")],
            &[("requiredSystemFeatures", "big-parallel")],
            &[("__json", r#"{"outputChecks":{},"__noChroot":false}"#)],
            &[("preferLocalBuild", "1"), ("allowSubstitutes", "")],
        ] {
            checked(attributes).expect("nothing to obey");
        }
    }
}
