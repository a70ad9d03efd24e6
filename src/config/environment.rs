//! `environment`: variables of the image.

use std::collections::BTreeMap;

use super::decode::{Decoder, Field};
use super::model::EnvironmentVariable;
use super::position::{Position, Spanned};
use super::reason::Reason;

/// Names that the runtime sets itself.
const RESERVED: [&str; 8] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "PYTHONUNBUFFERED",
    "LIBRARY_PATH",
    "HF_ENDPOINT",
    "HF_HUB_ENABLE_HF_TRANSFER",
];
/// Beginnings of names that belong to the platform.
const RESERVED_PREFIXES: [&str; 7] = [
    "R8_",
    "REPLICATE_",
    "CUDA_",
    "NVIDIA_",
    "NV_",
    "PGET_",
    "KUBERNETES_",
];

/// Reads the list; names are unique afterwards.
pub(super) fn read(
    decoder: &mut Decoder<'_>,
    field: Option<Field<'_>>,
) -> Vec<Spanned<EnvironmentVariable>> {
    let mut places: BTreeMap<String, Position> = BTreeMap::new();
    decoder.list(field, |decoder, field| {
        let text = decoder.text(field)?;
        let result = parse(&text).and_then(|variable| match places.get(&variable.name) {
            Some(first) => Err(Reason::EnvironmentTwice {
                name: variable.name,
                first: *first,
            }),
            None => Ok(variable),
        });
        match result {
            Ok(variable) => {
                places.insert(variable.name.clone(), field.position);
                Some(variable)
            }
            Err(reason) => {
                decoder.error(&field.path, field.position, reason);
                None
            }
        }
    })
}

/// Reads one entry, `NAME=VALUE`.
pub(super) fn parse(text: &str) -> Result<EnvironmentVariable, Reason> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(Reason::EnvironmentForm {
            found: text.to_owned(),
        });
    };
    let name = name.to_owned();
    let valid = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    if name.is_empty() || !valid {
        return Err(Reason::EnvironmentName { name });
    }
    if RESERVED.contains(&name.as_str())
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
    {
        return Err(Reason::EnvironmentReserved { name });
    }
    if value.contains('\n') {
        return Err(Reason::EnvironmentNewline { name });
    }
    Ok(EnvironmentVariable {
        name,
        value: value.to_owned(),
    })
}
