//! Strings, names of files, versions and hashes.

use super::Builtin;
use crate::error::{Eval, Fault};
use crate::eval::{Coercion, Evaluator};
use crate::paths;
use crate::source::Pos;
use crate::text::{hashes, strings, versions};
use crate::value::{Context, Thunk, Value};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "baseNameOf",
        parameters: &["path"],
        doc: "The last part of a path or of a string that is one: what stands behind the last slash. A slash at the end does not count.",
        function: |evaluator, arguments, pos| {
            let value = evaluator.force(arguments[0])?;
            let (text, context) = evaluator.text(value, Coercion::PLAIN, pos)?;
            let path = text
                .strip_suffix(b"/")
                .filter(|rest| !rest.is_empty())
                .unwrap_or(&text);
            let start = path
                .iter()
                .rposition(|byte| *byte == b'/')
                .map_or(0, |slash| slash + 1);
            Ok(evaluator.string_with(&path[start..], context))
        },
    },
    Builtin {
        name: "compareVersions",
        parameters: &["left", "right"],
        doc: "-1 if the left version is older, 0 if both are the same, 1 if it is newer. `1.0pre1` is older than `1.0`, which is older than `1.0.1`.",
        function: |evaluator, arguments, pos| {
            let left = evaluator.plain_argument(arguments[0], pos)?;
            let right = evaluator.plain_argument(arguments[1], pos)?;
            Ok(Value::Int(match versions::compare(left, right) {
                std::cmp::Ordering::Less => -1,
                std::cmp::Ordering::Equal => 0,
                std::cmp::Ordering::Greater => 1,
            }))
        },
    },
    Builtin {
        name: "concatStringsSep",
        parameters: &["separator", "list"],
        doc: "The strings of a list with a separator between them.",
        function: concat_strings,
    },
    Builtin {
        name: "convertHash",
        parameters: &["arguments"],
        doc: "Spells a hash in another way. `hash` is the hash, `hashAlgo` its algorithm where it does not name one itself, `toHashFormat` one of `base16`, `nix32`, `base64` and `sri`.",
        function: convert_hash,
    },
    Builtin {
        name: "dirOf",
        parameters: &["path"],
        doc: "What stands before the last slash of a path or of a string that is one; `.` for a string without a slash.",
        function: |evaluator, arguments, pos| {
            let value = evaluator.force(arguments[0])?;
            if let Value::Path(path) = value {
                return Ok(Value::Path(paths::parent(path)));
            }
            let (text, context) = evaluator.text(value, Coercion::PLAIN, pos)?;
            Ok(evaluator.string_with(strings::parent(&text), context))
        },
    },
    Builtin {
        name: "hashString",
        parameters: &["algorithm", "text"],
        doc: "The hash of a string in hexadecimal digits. The algorithm is `md5`, `sha1`, `sha256` or `sha512`.",
        function: |evaluator, arguments, pos| {
            let algorithm = algorithm(evaluator, arguments[0], pos)?;
            let (text, _) = evaluator.string_argument(arguments[1], pos)?;
            evaluator.spend(text.len() as u64 / BYTES, pos)?;
            let hash = cognix_derivations::NixHash::of(algorithm, text);
            Ok(evaluator.string(hash.to_hex()))
        },
    },
    Builtin {
        name: "parseDrvName",
        parameters: &["name"],
        doc: "Splits the name of a package from its version, at the first dash that no letter follows: a set of `name` and `version`.",
        function: |evaluator, arguments, pos| {
            let text = evaluator.plain_argument(arguments[0], pos)?;
            let (name, version) = versions::split_name(text);
            let name = evaluator.kept_string(name, Context::EMPTY);
            let version = evaluator.kept_string(version, Context::EMPTY);
            let names = &evaluator.names;
            Ok(evaluator.record([(names.name, name), (names.version, version)]))
        },
    },
    Builtin {
        name: "replaceStrings",
        parameters: &["from", "to", "text"],
        doc: "The text with every string of the list `from` replaced by the one at its place in `to`. At each place the first that fits counts; what was replaced is not looked at again.",
        function: replace_strings,
    },
    Builtin {
        name: "splitVersion",
        parameters: &["version"],
        doc: "The components of a version, as `compareVersions` compares them.",
        function: |evaluator, arguments, pos| {
            let version = evaluator.plain_argument(arguments[0], pos)?;
            let components = versions::components(version)
                .map(|component| evaluator.kept_string(component, Context::EMPTY));
            evaluator.known_list(components.collect(), pos)
        },
    },
    Builtin {
        name: "stringLength",
        parameters: &["text"],
        doc: "How many bytes a string has.",
        function: |evaluator, arguments, pos| {
            let value = evaluator.force(arguments[0])?;
            let (text, _) = evaluator.text(value, Coercion::INTERPOLATED, pos)?;
            Ok(Value::Int(i64::try_from(text.len()).unwrap_or(i64::MAX)))
        },
    },
    Builtin {
        name: "substring",
        parameters: &["start", "length", "text"],
        doc: "So many bytes of a string from a start on, the first one being 0; fewer where the string ends before. A negative length means all that is left.",
        function: substring,
    },
    Builtin {
        name: "toString",
        parameters: &["value"],
        doc: "A value as a string: numbers, `true` as `1`, `false` and `null` as nothing, paths, the items of a list with blanks between them, of a set what its `__toString` makes of it or else its `outPath`.",
        function: |evaluator, arguments, pos| {
            let value = evaluator.force(arguments[0])?;
            if let Value::String(_) = value {
                return Ok(value);
            }
            let (text, context) = evaluator.text(value, Coercion::TO_STRING, pos)?;
            Ok(evaluator.string_with(&text, context))
        },
    },
];

/// How many bytes are gone through in the time that a step of the evaluation takes.
const BYTES: u64 = 64;

/// The algorithm that an argument names.
pub(super) fn algorithm<'a>(
    evaluator: &Evaluator<'a>,
    argument: &'a Thunk<'a>,
    pos: Pos,
) -> Eval<cognix_derivations::HashAlgorithm> {
    let name = evaluator.plain_argument(argument, pos)?;
    hashes::algorithm(&String::from_utf8_lossy(name))
        .map_err(|error| Fault::value(pos, error.to_string()))
}

fn concat_strings<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let (separator, context) = evaluator.string_argument(arguments[0], pos)?;
    let items = evaluator.list_argument(arguments[1], pos)?;
    let mut elements = context.elements().to_vec();
    let mut joined = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            joined.extend_from_slice(separator);
        }
        let item = evaluator.force(item)?;
        let (text, context) = evaluator.text(item, Coercion::INTERPOLATED, pos)?;
        evaluator.room_for(joined.len() + separator.len() + text.len(), pos)?;
        joined.extend_from_slice(&text);
        elements.extend_from_slice(context.elements());
    }
    Ok(evaluator.string_with(&joined, evaluator.context(elements)))
}

fn convert_hash<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let names = &evaluator.names;
    let given = evaluator.set_argument(arguments[0], pos)?;
    let hash = evaluator.required(given, names.hash, pos)?;
    let hash = evaluator.plain_argument(hash.value, hash.pos)?;
    let expected = match given.get(names.hash_algo) {
        Some(attr) => Some(algorithm(evaluator, attr.value, attr.pos)?),
        None => None,
    };
    let format = evaluator.required(given, names.to_hash_format, pos)?;
    let format = evaluator.plain_argument(format.value, format.pos)?;
    let convert = || {
        let format = hashes::format(&String::from_utf8_lossy(format))?;
        let hash = hashes::parse(&String::from_utf8_lossy(hash), expected)?;
        Ok(hashes::write(&hash, format))
    };
    convert()
        .map(|text| evaluator.string(text))
        .map_err(|error: hashes::HashError| Fault::value(pos, error.to_string()))
}

fn replace_strings<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let from = evaluator.list_argument(arguments[0], pos)?;
    let to = evaluator.list_argument(arguments[1], pos)?;
    if from.len() != to.len() {
        let message = format!(
            "'from' and 'to' arguments passed to builtins.replaceStrings have different lengths: {} and {}",
            from.len(),
            to.len()
        );
        return Err(Fault::value(pos, message));
    }
    let patterns = from
        .iter()
        .map(|pattern| Ok(evaluator.string_argument(pattern, pos)?.0))
        .collect::<Eval<Vec<&[u8]>>>()?;
    let (text, context) = evaluator.string_argument(arguments[2], pos)?;
    let mut elements = context.elements().to_vec();
    evaluator.spend(text.len() as u64 / BYTES, pos)?;
    let mut used = vec![false; to.len()];
    let mut added = 0_usize;
    let replaced = strings::replace(text, &patterns, |index| {
        let (replacement, context) = evaluator.string_argument(to[index], pos)?;
        if !std::mem::replace(&mut used[index], true) {
            elements.extend_from_slice(context.elements());
        }
        added = added.saturating_add(replacement.len());
        evaluator.room_for(added.saturating_add(text.len()), pos)?;
        Ok(replacement)
    })?;
    Ok(evaluator.string_with(&replaced, evaluator.context(elements)))
}

fn substring<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let start = evaluator.int_argument(arguments[0], pos)?;
    let Ok(start) = usize::try_from(start) else {
        return Err(Fault::value(pos, "negative start position in 'substring'"));
    };
    let length = evaluator.int_argument(arguments[1], pos)?;
    let value = evaluator.force(arguments[2])?;
    if let Value::String(text) = value {
        // Parts of long strings share their bytes.
        let part = strings::substring(text.bytes, start, length);
        return Ok(evaluator.kept_string(part, text.context));
    }
    let (text, context) = evaluator.text(value, Coercion::INTERPOLATED, pos)?;
    let part = strings::substring(&text, start, length);
    Ok(evaluator.string_with(part, context))
}
