//! `model`: the repository that an image and its weights are pushed to.

use super::decode::{Decoder, Fields};
use super::position::Spanned;
use super::reason::Reason;

/// Reads `model`, and refuses it beside `image`.
pub(super) fn read(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Spanned<String>> {
    let field = fields.get("model")?;
    let set = |key| fields.get(key).filter(|field| !field.node.is_empty());
    if let (Some(image), Some(model)) = (set("image"), set("model")) {
        let second = image.key_position.max(model.key_position);
        decoder.error("model", second, Reason::ImageAndModel);
    }
    let text = decoder.optional_text(Some(field))?;
    decoder.parsed("model", text, |text| check(text).map(|()| text.to_owned()))
}

/// `[host[:port]/]name[/name…]`, with neither tag nor digest.
fn check(text: &str) -> Result<(), Reason> {
    let last = text.rsplit('/').next().unwrap_or(text);
    if text.contains('@')
        || (last.contains(':') && valid(text.rsplit_once(':').map_or(text, |(name, _)| name)))
    {
        return Err(Reason::ModelTagged {
            found: text.to_owned(),
        });
    }
    if valid(text) {
        Ok(())
    } else {
        Err(Reason::ModelInvalid {
            found: text.to_owned(),
        })
    }
}

fn valid(text: &str) -> bool {
    let (host, path) = match text.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first), rest)
        }
        _ => (None, text),
    };
    host.is_none_or(valid_host) && text.len() <= 255 && path.split('/').all(valid_component)
}

fn valid_host(host: &str) -> bool {
    let (name, port) = host
        .split_once(':')
        .map_or((host, None), |(name, port)| (name, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.split('.').all(label)
        && port
            .is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn valid_component(component: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = bytes.first().is_some_and(word) && bytes.last().is_some_and(word);
    ends && component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|joint| {
            matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|byte| byte == b'-')
        })
}
