//! Whole entities, one JSON object a line, as `entity load` takes them:
//!
//! `{"uri":…,"type":…,"class":…,"triples":[{"predicate":…,"object":…,"lang":…}…]}`
//!
//! The type `class` loads a class. An absent or empty `lang` is none. Nothing is added; fields this version does not
//! know are kept in [`Entity::other`].

use std::collections::HashMap;

use serde::Deserialize;
use taosync_model::{Entity, EntityType, Property, Value};

use crate::parse::{MAX_FILE, MAX_ROWS};
use crate::problem::{Problems, RosterProblem, quoted};
use crate::text;

/// Bytes a line may have.
pub const MAX_LINE: usize = 8 * 1024 * 1024;

#[derive(Deserialize)]
struct Line {
    uri: String,
    #[serde(rename = "type")]
    entity_type: String,
    class: String,
    triples: Vec<Triple>,
    #[serde(flatten)]
    other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Triple {
    predicate: String,
    object: String,
    #[serde(default)]
    lang: Option<String>,
}

/// Reads all entities of a file, in order; blank lines are nothing. Every wrong line is reported, up to
/// [`crate::MAX_PROBLEMS`]; with one problem there are no entities. Bounds: 256 MiB, 1,000,000 lines, 8 MiB a line,
/// 128 levels of nesting.
pub fn parse_jsonl(file_name: &str, bytes: &[u8]) -> Result<Vec<(EntityType, Entity)>, Vec<RosterProblem>> {
    let mut problems = Problems::of(file_name);
    let entities = read(bytes, &mut problems);
    problems.or(entities)
}

fn read(bytes: &[u8], problems: &mut Problems) -> Vec<(EntityType, Entity)> {
    let mut entities = Vec::new();
    if bytes.len() > MAX_FILE {
        let message = format!("the file has {} bytes, more than {MAX_FILE}", bytes.len());
        problems.line(1, message, "split it into several files");
        return entities;
    }
    let Some(text) = text::decode(bytes, problems) else { return entities };
    let mut lines_of: HashMap<(EntityType, String), u64> = HashMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        if problems.is_full() {
            break;
        }
        if entities.len() == MAX_ROWS {
            problems.line(number, format!("there are more than {MAX_ROWS} entities"), "split the file into several");
            break;
        }
        match entity(line) {
            Ok((entity_type, entity)) => {
                let first = *lines_of.entry((entity_type, entity.uri.clone())).or_insert(number);
                if first != number {
                    let message = format!("the same {entity_type} as on line {first}");
                    problems.line(number, message, "keep one of the two lines");
                }
                entities.push((entity_type, entity));
            }
            Err((message, advice)) => problems.line(number, message, advice),
        }
    }
    entities
}

fn entity(text: &str) -> Result<(EntityType, Entity), (String, String)> {
    const FORM: &str = "a line is {\"uri\", \"type\", \"class\", \"triples\":[{\"predicate\", \"object\", \"lang\"}]}";
    let wrong = |message: String| (message, FORM.to_owned());
    if text.len() > MAX_LINE {
        return Err(wrong(format!("the line has {} bytes, more than {MAX_LINE}", text.len())));
    }
    let line: Line = serde_json::from_str(text).map_err(|error| wrong(describe(&error)))?;
    let entity_type: EntityType =
        line.entity_type.parse().map_err(|_| wrong(format!("{} is not a type", quoted(&line.entity_type))))?;
    if line.uri.is_empty() || line.class.is_empty() || line.triples.iter().any(|t| t.predicate.is_empty()) {
        return Err(wrong("a uri, class or predicate is empty".to_owned()));
    }
    if let Some(taken) = ["properties", "package"].into_iter().find(|taken| line.other.contains_key(*taken)) {
        let advice = "properties go into triples, packages are brought in by publishing the delivery";
        return Err((format!("the field {taken} is not taken here"), advice.to_owned()));
    }
    let properties = grouped(line.triples);
    Ok((entity_type, Entity { uri: line.uri, class: line.class, properties, package: None, other: line.other }))
}

/// Triples by predicate, in the order received. Indexed: a hostile line can have a hundred thousand predicates.
fn grouped(triples: Vec<Triple>) -> Vec<Property> {
    let mut properties: Vec<Property> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for Triple { predicate, object, lang } in triples {
        let value = Value { text: object, lang: lang.filter(|l| !l.is_empty()) };
        let place = *places.entry(predicate.clone()).or_insert(properties.len());
        match properties.get_mut(place) {
            Some(property) => property.values.push(value),
            None => properties.push(Property { predicate, values: vec![value] }),
        }
    }
    properties
}

/// What is wrong with the JSON. Values are never quoted (serde would): they may be password hashes.
fn describe(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let text = error.to_string();
    let safe = ["missing field", "duplicate field", "recursion limit"].iter().any(|start| text.starts_with(start));
    let at = error.column();
    match error.classify() {
        _ if safe => text.split(" at line ").next().unwrap_or("").to_owned(),
        Category::Data => format!("a value has the wrong form (near character {at})"),
        Category::Eof => "the JSON is cut off".to_owned(),
        Category::Syntax | Category::Io => format!("this is not JSON (near character {at})"),
    }
}
