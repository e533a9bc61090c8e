//! Entities from a JSONL file.

use serde_json::json;
use taosync_model::canonical::entity_digest;
use taosync_model::{Entity, EntityType};
use taosync_roster::parse_jsonl;

use crate::roster_problems;

/// Loads the file, writes what was loaded as a file and loads that; hashes what was loaded in two orders.
pub fn check(input: &[u8]) {
    let entities = match parse_jsonl("input.jsonl", input) {
        Ok(entities) => entities,
        Err(problems) => return roster_problems(&problems),
    };
    let written: String = entities.iter().map(line).collect();
    let back = parse_jsonl("input.jsonl", written.as_bytes());
    assert_eq!(back.as_ref(), Ok(&entities), "what we write can be read, and says the same");
    for (_, entity) in &entities {
        hashing_ignores_order(entity);
    }
}

/// The form `entity load` takes.
fn line((entity_type, entity): &(EntityType, Entity)) -> String {
    let triples = entity.properties.iter().flat_map(|property| {
        property.values.iter().map(|value| match &value.lang {
            Some(lang) => json!({ "predicate": property.predicate, "object": value.text, "lang": lang }),
            None => json!({ "predicate": property.predicate, "object": value.text }),
        })
    });
    let mut line = entity.other.clone();
    line.insert("uri".into(), json!(entity.uri));
    line.insert("type".into(), json!(entity_type.as_str()));
    line.insert("class".into(), json!(entity.class));
    line.insert("triples".into(), triples.collect());
    format!("{}\n", serde_json::Value::Object(line))
}

fn hashing_ignores_order(entity: &Entity) {
    let mut turned = entity.clone();
    turned.properties.reverse();
    turned.properties.iter_mut().for_each(|property| property.values.reverse());
    assert_eq!(entity_digest(&turned), entity_digest(entity));
    let written = serde_json::to_vec(entity).expect("an entity is JSON");
    // A field that is called like one of the entity's own cannot travel beside it; loading refuses those that can come.
    let back: Entity = serde_json::from_slice(&written).expect("what we write can be read");
    assert_eq!(entity_digest(&back), entity_digest(entity));
}
