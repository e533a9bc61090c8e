//! docs/RUNNER.md says what the compiler gives: its examples are real, and it names every field.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod zips;

use std::collections::BTreeSet;

use serde_json::Value;
use zips::{checked, packed, qti_3_package};

/// Stands for members that an example leaves out.
const LEFT_OUT: &str = "…";
/// Objects whose keys are names out of the package.
const FREE: &[&str] = &["attributes", "files", "session_control", "weights", "variable_mappings", "template_defaults"];

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/RUNNER.md")).unwrap()
}

fn compiled() -> Value {
    let (report, package) = checked(&packed(&qti_3_package()));
    let package = package.unwrap_or_else(|| panic!("{report}"));
    serde_json::from_slice(&package.compiled.bytes).unwrap()
}

/// Pointer and text of each example.
fn examples(page: &str) -> Vec<(&str, &str)> {
    let parts = page.split("<!-- example: ").skip(1);
    let example = |part| -> Option<(&str, &str)> {
        let (pointer, rest) = str::split_once(part, " -->\n```json\n")?;
        Some((pointer, rest.split_once("\n```")?.0))
    };
    parts.map(|part| example(part).unwrap_or_else(|| panic!("an example without JSON: {part:.60}"))).collect()
}

/// Whether an example says the truth, and all of it unless it says that something is left out.
fn is_true(example: &Value, real: &Value) -> bool {
    match (example, real) {
        (Value::Object(said), Value::Object(real)) => {
            let named = said.iter().filter(|(name, _)| *name != LEFT_OUT);
            let all_true = named.clone().all(|(name, value)| real.get(name).is_some_and(|real| is_true(value, real)));
            all_true && (said.contains_key(LEFT_OUT) || named.count() == real.len())
        }
        (Value::Array(said), Value::Array(real)) => {
            said.len() == real.len() && said.iter().zip(real).all(|(said, real)| is_true(said, real))
        }
        _ => example == real,
    }
}

fn fields<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                found.insert(name);
                if !FREE.contains(&name.as_str()) {
                    fields(value, found);
                } else if let Value::Object(inner) = value {
                    inner.values().for_each(|value| fields(value, found));
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

#[test]
fn the_examples_are_what_the_compiler_gives() {
    let (page, compiled) = (page(), compiled());
    let examples = examples(&page);
    assert!(examples.len() >= 10, "only {} examples", examples.len());
    let mut wrong = Vec::new();
    for (pointer, text) in examples {
        let example: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{pointer}: {e}"));
        let real = compiled.pointer(pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere"));
        if !is_true(&example, real) {
            wrong.push(format!("{pointer} is really\n{}", serde_json::to_string_pretty(real).unwrap()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_field_is_described() {
    let (page, compiled) = (page(), compiled());
    let mut found = BTreeSet::new();
    fields(&compiled, &mut found);
    assert!(found.len() > 60, "only {} fields", found.len());
    let missing: Vec<_> = found.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    // The two kinds of children stand in one line.
    let missing: Vec<_> = missing.into_iter().filter(|name| !["section", "item"].contains(name)).collect();
    assert!(missing.is_empty(), "docs/RUNNER.md does not name {missing:?}");
}

#[test]
fn an_untrue_example_is_found() {
    let real = serde_json::json!({"a": 1, "b": {"c": [1, 2]}});
    for (example, truth) in [
        (r#"{"a": 1, "…": "…"}"#, true),
        (r#"{"b": {"c": [1, 2]}, "a": 1}"#, true),
        (r#"{"a": 1}"#, false),
        (r#"{"a": 2, "…": "…"}"#, false),
        (r#"{"b": {"c": [1]}, "…": "…"}"#, false),
        (r#"{"z": 1, "…": "…"}"#, false),
    ] {
        assert_eq!(is_true(&serde_json::from_str(example).unwrap(), &real), truth, "{example}");
    }
}
