//! Attributes that are handed over as data, not as variables: `__structuredAttrs`.
//!
//! The evaluator has put all of them into the variable `__json`. A program gets them as `.attrs.json`, and as `.attrs.sh`
//! for shells. Both are what Nix 2.26 writes (`ParsedDerivation::prepareStructuredAttrs` and `writeStructuredAttrsShell`),
//! its narrow integers included.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cognix_derivations::Derivation;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::ForeignError;

/// The variable that holds all attributes.
const ATTRIBUTES: &str = "__json";
/// The attribute that names the outputs, and becomes their paths.
const OUTPUTS: &str = "outputs";

/// The files of one derivation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// `.attrs.json`
    pub(super) json: String,
    /// `.attrs.sh`
    pub(super) shell: String,
}

/// Whether a derivation has its attributes as data.
pub(super) fn are_used(derivation: &Derivation) -> bool {
    derivation.env().contains_key(ATTRIBUTES)
}

/// The text of one attribute, if it is a text.
pub(super) fn text_of(derivation: &Derivation, name: &str) -> Option<String> {
    let attributes: Map<String, Value> =
        serde_json::from_str(derivation.env_str(ATTRIBUTES)?).ok()?;
    Some(attributes.get(name)?.as_str()?.to_owned())
}

/// Both files, where outputs and everything else still stand for their paths.
pub(super) fn files(
    derivation: &Derivation,
    placeholder: impl Fn(&str) -> String,
) -> Result<Files, ForeignError> {
    let text = derivation.env_str(ATTRIBUTES).unwrap_or_default();
    let unreadable = |source| ForeignError::StructuredAttributes { source };
    // What stands there is kept as it is: numbers have more than one spelling.
    let mut attributes: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(text).map_err(unreadable)?;
    let outputs = derivation.outputs().keys();
    let outputs: BTreeMap<&String, String> =
        outputs.map(|name| (name, placeholder(name))).collect();
    let outputs = serde_json::value::to_raw_value(&outputs).map_err(unreadable)?;
    attributes.insert(OUTPUTS.to_owned(), outputs);
    let json = serde_json::to_string(&attributes).map_err(unreadable)?;
    let mut shell = String::new();
    for (name, value) in attributes.iter().filter(|(name, _)| is_variable(name)) {
        let value: Value = serde_json::from_str(value.get()).map_err(unreadable)?;
        if let Some((kind, text)) = declared(&value) {
            let _ = writeln!(shell, "declare {kind}{name}={text}");
        }
    }
    Ok(Files { json, shell })
}

/// Whether a shell can have a variable of this name.
fn is_variable(name: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(starts) && name.chars().all(|c| starts(c) || c.is_ascii_digit())
}

/// How a shell declares a value, if it can: the option of `declare`, and the value.
fn declared(value: &Value) -> Option<(&'static str, String)> {
    if let Some(text) = simple(value) {
        return Some(("", text));
    }
    match value {
        Value::Array(items) => {
            let items: Option<String> =
                items.iter().map(|item| Some(simple(item)? + " ")).collect();
            Some(("-a ", format!("({})", items?)))
        }
        Value::Object(members) => {
            let members: Option<String> = members
                .iter()
                .map(|(name, value)| Some(format!("[{}]={} ", quoted(name), simple(value)?)))
                .collect();
            Some(("-A ", format!("({})", members?)))
        }
        _ => None,
    }
}

/// A value that is one word.
fn simple(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(quoted(text)),
        Value::Null => Some(quoted("")),
        Value::Bool(value) => Some(if *value { "1" } else { "" }.to_owned()),
        Value::Number(number) => {
            if let Some(whole) = number.as_i64() {
                return Some(low_half(whole).to_string());
            }
            let value = number.as_f64()?;
            (value.ceil() == value).then(|| narrowed(value).to_string())
        }
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// An integer as C's `int`.
fn low_half(whole: i64) -> i32 {
    let [a, b, c, d, ..] = whole.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// A number as C's `int`; processors answer with the smallest where it does not fit.
fn narrowed(value: f64) -> i32 {
    let fits = f64::from(i32::MIN)..=f64::from(i32::MAX);
    match fits.contains(&value) {
        #[expect(clippy::cast_possible_truncation, reason = "it was looked at just now")]
        true => value as i32,
        false => i32::MIN,
    }
}

/// A word in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a builder of Nix 2.26.3 found, for these attributes and outputs.
    const JSON: &str = r#"{"bad-name":1,"big":3000000000,"builder":"/bin/sh","deep":{"a":{"b":1}},"empty":[],"env2":{},"float":1.5,"good":["a",1,null,false],"int":3,"list":["a b",1,true,null,2.5],"name":"x","neg":-4,"no":false,"nothing":null,"outputs":{"dev":"/nix/store/hmc6706r4cnl95386nhp1lgbba1amkf0-x-dev","out":"/nix/store/7v99djsv9hm6pnl2x85dba8099lfm71h-x"},"set":{"a":"x y","b c":1},"string":"it's a \"b\" $c\n","system":"x86_64-linux","whole":2.0,"yes":true}"#;
    const SHELL: &str = r#"declare big=-1294967296
declare builder='/bin/sh'
declare -a empty=()
declare -A env2=()
declare -a good=('a' 1 ''  )
declare int=3
declare name='x'
declare neg=-4
declare no=
declare nothing=''
declare -A outputs=(['dev']='/nix/store/hmc6706r4cnl95386nhp1lgbba1amkf0-x-dev' ['out']='/nix/store/7v99djsv9hm6pnl2x85dba8099lfm71h-x' )
declare -A set=(['a']='x y' ['b c']=1 )
declare string='it'\''s a "b" $c
'
declare system='x86_64-linux'
declare whole=2
declare yes=1
"#;

    fn derivation(json: &str) -> Derivation {
        Derivation::builder("x")
            .system("x86_64-linux")
            .builder("/bin/sh")
            .env(ATTRIBUTES, json)
            .floating_output("dev")
            .floating_output("out")
            .build()
            .expect("a derivation")
    }

    fn path(output: &str) -> String {
        match output {
            "out" => "/nix/store/7v99djsv9hm6pnl2x85dba8099lfm71h-x".to_owned(),
            other => format!("/nix/store/hmc6706r4cnl95386nhp1lgbba1amkf0-x-{other}"),
        }
    }

    #[test]
    fn the_files_are_those_of_a_real_nix() {
        let start = JSON.find(r#""outputs":{"#).expect("outputs");
        let end = JSON.find(r#","set""#).expect("the next attribute");
        let before = format!(
            r#"{}"outputs":["out","dev"]{}"#,
            &JSON[..start],
            &JSON[end..]
        );
        let files = files(&derivation(&before), path).expect("sound");
        assert_eq!(files.json, JSON);
        assert_eq!(files.shell, SHELL);
    }
}
