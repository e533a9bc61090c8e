//! The recordings, where they are at hand: one request and one answer each.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use taosync_model::{Entity, EntityType, vocabulary as v};
use taosync_wire::tao::entities::{Details, TaoEntity};

use super::entity;

/// A recorded exchange.
#[derive(Deserialize)]
pub struct Capture {
    pub request: Request,
    pub response: Response,
}

#[derive(Deserialize)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    body: Option<String>,
    body_encoding: Option<String>,
}

#[derive(Deserialize)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    body: Option<String>,
    body_encoding: Option<String>,
}

fn bytes(body: Option<&String>, encoding: Option<&String>) -> Vec<u8> {
    let body = body.cloned().unwrap_or_default();
    if encoding.is_some_and(|encoding| encoding == "base64") { STANDARD.decode(body).unwrap() } else { body.into() }
}

impl Request {
    pub fn bytes(&self) -> Vec<u8> {
        bytes(self.body.as_ref(), self.body_encoding.as_ref())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Response {
    pub fn bytes(&self) -> Vec<u8> {
        bytes(self.body.as_ref(), self.body_encoding.as_ref())
    }

    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.bytes()).ok()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// All recordings by name; none in a clone that has none.
pub fn all() -> BTreeMap<String, Capture> {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/tao/captures"));
    let Ok(files) = std::fs::read_dir(dir) else { return BTreeMap::new() };
    let mut captures = BTreeMap::new();
    for file in files {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            captures.insert(name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap());
        }
    }
    captures
}

/// Entities that recorded answers show with their properties, in the order of the recordings; a later one counts.
pub fn entities<'a>(captures: impl Iterator<Item = &'a Capture>) -> Vec<(EntityType, Entity)> {
    let mut list: Vec<(EntityType, Entity)> = Vec::new();
    for capture in captures {
        let is_details = capture.request.path.ends_with("fetchEntityDetails");
        let is_classes = capture.request.path.ends_with("fetchClassDetails");
        if !(is_details || is_classes) || capture.response.status != 200 {
            continue;
        }
        let Ok(found) = serde_json::from_slice::<Details>(&capture.response.bytes()) else { continue };
        for (uri, shown) in found.0.iter().filter(|(_, shown)| !shown.properties.is_empty()) {
            let entity_type = if is_classes { EntityType::Class } else { type_of(shown) };
            let entity = entity(entity_type, uri, &shown.properties);
            match list.iter_mut().find(|(_, known)| &known.uri == uri) {
                Some(known) => *known = (entity_type, entity),
                None => list.push((entity_type, entity)),
            }
        }
    }
    list
}

/// The type of an entity, by its class and roles.
fn type_of(shown: &TaoEntity) -> EntityType {
    let has = |predicate, text: &str| shown.properties.texts(predicate).iter().any(|known| known == text);
    match () {
        () if has(v::RDF_TYPE, v::CLASS_TEST_CENTER) => EntityType::TestCenter,
        () if has(v::RDF_TYPE, v::CLASS_ELIGIBILITY) => EntityType::Eligibility,
        () if has(v::RDF_TYPE, v::CLASS_DELIVERY) => EntityType::Delivery,
        () if has(v::USER_ROLES, v::ROLE_ADMINISTRATOR) => EntityType::Administrator,
        () if has(v::USER_ROLES, v::ROLE_PROCTOR) => EntityType::Proctor,
        () => EntityType::TestTaker,
    }
}
