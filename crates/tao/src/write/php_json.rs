//! JSON as PHP's `json_encode` writes it: TAO's hashes of variables are over these bytes (WIRE §15).

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The fields of a variable in the order in which TAO's classes give them; others follow in the order of their names.
const FIELDS: [&str; 12] = [
    "identifier",
    "cardinality",
    "baseType",
    "epoch",
    "type",
    "externallyGraded",
    "correctResponse",
    "candidateResponse",
    "normalMinimum",
    "normalMaximum",
    "value",
    "trace",
];

/// A value. PHP knows no empty object.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

/// The value of a variable.
pub fn variable(data: &Map<String, Value>) -> String {
    let known = FIELDS.iter().filter_map(|name| Some((*name, data.get(*name)?)));
    let others = data.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str())).map(|(name, v)| (name.as_str(), v));
    let mut out = String::new();
    write_object(&mut out, known.chain(others));
    out
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => write_text(out, text),
        Value::Array(list) => {
            out.push('[');
            for (place, value) in list.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(out, value);
            }
            out.push(']');
        }
        Value::Object(map) if map.is_empty() => out.push_str("[]"),
        Value::Object(map) => write_object(out, map.iter().map(|(name, value)| (name.as_str(), value))),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

fn write_object<'v>(out: &mut String, fields: impl Iterator<Item = (&'v str, &'v Value)>) {
    out.push('{');
    for (place, (name, value)) in fields.enumerate() {
        if place > 0 {
            out.push(',');
        }
        write_text(out, name);
        out.push(':');
        write(out, value);
    }
    out.push('}');
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for unit in text.encode_utf16() {
        match char::from_u32(u32::from(unit)) {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('/') => out.push_str("\\/"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(plain @ ' '..='\u{7f}') => out.push(plain),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_escaped_as_php_does() {
        assert_eq!(text(&json!("a/b\"\\\n\t\u{1}é✓😀")), r#""a\/b\"\\\n\t\u0001\u00e9\u2713\ud83d\ude00""#);
        assert_eq!(
            text(&json!({"a": [], "b": {}, "c": [1, 0.5, null, true]})),
            r#"{"a":[],"b":[],"c":[1,0.5,null,true]}"#
        );
    }

    #[test]
    fn a_variable_has_its_fields_in_the_order_of_tao() {
        let data = json!({
            "value": "MA==", "type": "outcomeVariable", "other": 1, "normalMinimum": 0, "epoch": "0.5 1",
            "identifier": "SUM", "externallyGraded": false, "cardinality": "single", "baseType": "float",
        });
        assert_eq!(
            variable(data.as_object().unwrap()),
            r#"{"identifier":"SUM","cardinality":"single","baseType":"float","epoch":"0.5 1","type":"outcomeVariable","externallyGraded":false,"normalMinimum":0,"value":"MA==","other":1}"#
        );
    }
}
