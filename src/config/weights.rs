//! `weights`: folders of model weights that are managed apart from the image.

use super::decode::{Decoder, Field, Fields};
use super::keys;
use super::model::{Model, Weight, WeightSource};
use super::position::Spanned;
use super::reason::Reason;
use super::yaml::Content;

/// Reads the list; names and targets are unique afterwards, and `model` is there.
pub(super) fn read(decoder: &mut Decoder<'_>, fields: &Fields<'_>, model: &Model) -> Vec<Weight> {
    let field = fields.get("weights");
    let key_position = field.as_ref().map(|field| field.key_position);
    let weights = decoder.list(field, |decoder, field| {
        weight(decoder, field).map(|weight| (field.path.clone(), weight))
    });
    let weights: Vec<(String, Weight)> = weights.into_iter().map(|item| item.value).collect();
    let model_is_named = model.model.is_some()
        || fields
            .get("model")
            .is_some_and(|field| !field.node.is_null());
    if let (Some(position), false, false) = (key_position, weights.is_empty(), model_is_named) {
        let reason = Reason::WeightsWithoutModel {
            image_is_set: model.image.is_some(),
        };
        decoder.error("weights", position, reason);
    }
    check_names(decoder, &weights);
    check_targets(decoder, &weights);
    weights.into_iter().map(|(_, weight)| weight).collect()
}

fn weight(decoder: &mut Decoder<'_>, field: &Field<'_>) -> Option<Weight> {
    let fields = decoder.mapping(field, keys::WEIGHT)?;
    let name = decoder.required_text(&fields, "name").and_then(|text| {
        decoder.parsed(&fields.path_of("name"), text, |text| match is_name(text) {
            true => Ok(text.to_owned()),
            false => Err(Reason::WeightsName {
                found: text.to_owned(),
            }),
        })
    });
    let target = decoder.required_text(&fields, "target").and_then(|text| {
        decoder.parsed(&fields.path_of("target"), text, |text| match clean(text) {
            Some(path) if path != "/" => Ok(text.to_owned()),
            _ => Err(Reason::WeightsTarget {
                found: text.to_owned(),
            }),
        })
    });
    let sources = sources(decoder, &fields);
    Some(Weight {
        name: name?,
        target: target?,
        sources: sources?,
    })
}

/// One source, or a list of at least one.
fn sources(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Vec<WeightSource>> {
    let Some(field) = fields.get("source").filter(|field| !field.node.is_null()) else {
        decoder.error(
            &fields.path_of("source"),
            fields.position,
            Reason::Required { key: "source" },
        );
        return None;
    };
    match &field.node.content {
        Content::Sequence(items) if items.is_empty() => {
            decoder.error(&field.path, field.position, Reason::EmptyList);
            None
        }
        Content::Sequence(_) => Some(
            decoder
                .list(Some(field), source)
                .into_iter()
                .map(|source| source.value)
                .collect(),
        ),
        _ => source(decoder, &field).map(|source| vec![source]),
    }
}

fn source(decoder: &mut Decoder<'_>, field: &Field<'_>) -> Option<WeightSource> {
    let fields = decoder.mapping(field, keys::WEIGHT_SOURCE)?;
    let uri = decoder
        .required_text(&fields, "uri")
        .map(|uri| decoder.without_credentials(&fields.path_of("uri"), uri));
    let include = decoder.list(fields.get("include"), pattern);
    let exclude = decoder.list(fields.get("exclude"), pattern);
    Some(WeightSource {
        uri: uri?,
        include,
        exclude,
    })
}

fn pattern(decoder: &mut Decoder<'_>, field: &Field<'_>) -> Option<String> {
    let text = decoder.text(field)?;
    if text.trim().is_empty() || text.starts_with('!') || text.contains('\\') {
        decoder.error(
            &field.path,
            field.position,
            Reason::WeightsPattern { found: text },
        );
        return None;
    }
    Some(text)
}

/// Each weight with the path of its item: a list of valid weights has lost the numbers of the others.
type Items = [(String, Weight)];

fn check_names(decoder: &mut Decoder<'_>, weights: &Items) {
    for (index, (path, weight)) in weights.iter().enumerate() {
        if let Some((_, first)) = weights[..index]
            .iter()
            .find(|(_, other)| other.name.value == weight.name.value)
        {
            let reason = Reason::WeightsNameTwice {
                name: weight.name.value.clone(),
                first: first.name.position,
            };
            decoder.error(&format!("{path}.name"), weight.name.position, reason);
        }
    }
}

fn check_targets(decoder: &mut Decoder<'_>, weights: &Items) {
    let cleaned: Vec<(&str, &Spanned<String>, String)> = weights
        .iter()
        .map(|(path, weight)| {
            (
                path.as_str(),
                &weight.target,
                clean(&weight.target.value).unwrap_or_default(),
            )
        })
        .collect();
    let inside = |one: &str, other: &str| one == other || one.starts_with(&format!("{other}/"));
    for (index, (path, target, folder)) in cleaned.iter().enumerate() {
        let overlaps = |other: &str| inside(folder, other) || inside(other, folder);
        if let Some((_, first, _)) = cleaned[..index]
            .iter()
            .find(|(_, _, other)| overlaps(other))
        {
            let reason = Reason::WeightsTargetOverlap {
                found: target.value.clone(),
                other: first.value.clone(),
                first: first.position,
            };
            decoder.error(&format!("{path}.target"), target.position, reason);
        }
    }
}

/// `^[a-z0-9]+(?:[._-][a-z0-9]+)*$`
fn is_name(text: &str) -> bool {
    text.split(['.', '_', '-']).all(|word| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

/// An absolute path without `.`, `..` and doubled slashes; `None` for a relative one.
fn clean(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.strip_prefix('/')?.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}
