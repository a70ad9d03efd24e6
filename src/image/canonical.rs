//! JSON of which there is one text: keys sorted by their bytes, no blanks.
//!
//! Whether `serde_json` keeps its maps sorted is a feature that any dependency can change for the whole program, and
//! `oci-spec` keeps labels in hash maps. So the sorting is done here.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// The text of a value.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(value).expect("the values of this room have string keys");
    let mut text = Vec::new();
    write(&value, &mut text);
    text
}

fn write(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Object(entries) => {
            text.push(b'{');
            let sorted: BTreeMap<_, _> = entries.iter().collect();
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                write_scalar(key, text);
                text.push(b':');
                write(value, text);
            }
            text.push(b'}');
        }
        Value::Array(items) => {
            text.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                write(item, text);
            }
            text.push(b']');
        }
        scalar => write_scalar(scalar, text),
    }
}

fn write_scalar(scalar: &impl Serialize, text: &mut Vec<u8>) {
    serde_json::to_writer(text, scalar).expect("a scalar can be written to memory");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value = json!({"b": [{"z": 1, "a": null}, "é\n"], "a": {"y": true, "B": 2}, "": []});
        assert_eq!(
            String::from_utf8(super::json(&value)).expect("UTF-8"),
            r#"{"":[],"a":{"B":2,"y":true},"b":[{"a":null,"z":1},"é\n"]}"#
        );
    }
}
