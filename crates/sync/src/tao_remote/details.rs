//! Entities and classes by name, and how they are kept here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use taosync_model::tao::{Properties, TaoChecksum};
use taosync_model::{Entity, EntityType, Property, Value, vocabulary as v};
use taosync_wire::tao::entities::{ClassesRequest, Details, DetailsRequest, TaoEntity};
use taosync_wire::tao::{PATH_CLASSES, PATH_DETAILS};

use super::TaoLink;
use crate::link::{LinkError, Request};

/// Entities asked for at once: as many as a TAO client does with its usual pages.
pub const AT_ONCE: usize = 100;
/// Added on the wire by encryption, after the checksum was made (WIRE §4).
const APPLICATION_KEY: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#applicationKey";
/// Classes every TAO has, which it never sends (WIRE §6.5).
const EVERYWHERE: [&str; 3] = [
    "http://www.tao.lu/Ontologies/generis.rdf#generis_Ressource",
    "http://www.w3.org/2000/01/rdf-schema#Resource",
    "http://www.tao.lu/Ontologies/generis.rdf#User",
];

/// An entity that came.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// As it is kept.
    pub entity: Entity,
    /// The checksum central gave with it; none when its properties make another.
    pub checksum: Option<TaoChecksum>,
}

/// What came, of one type.
pub type Arrivals = BTreeMap<String, Arrived>;

/// The request for these entities.
pub fn request(link: &TaoLink, entity_type: EntityType, uris: &[String]) -> Request {
    let request = DetailsRequest {
        entity_type: entity_type.to_string(),
        entity_ids: Json::from(uris.to_vec()),
        params: link.caller().params(),
    };
    Request::post_json(PATH_DETAILS, &request)
}

/// What came of what was asked for. Who is not in the answer has gone meanwhile, and what was not asked for is not
/// looked at.
pub fn take(entity_type: EntityType, answer: Details, asked: &[String]) -> Arrivals {
    let asked: BTreeSet<&str> = asked.iter().map(String::as_str).collect();
    let wanted = answer.0.into_iter().filter(|(uri, entity)| *uri == entity.id && asked.contains(uri.as_str()));
    wanted.map(|(uri, entity)| (uri, arrival(entity_type, entity))).collect()
}

fn arrival(entity_type: EntityType, entity: TaoEntity) -> Arrived {
    let said: Option<TaoChecksum> = entity.checksum.parse().ok();
    let checksum = said.filter(|said| *said == TaoChecksum::of(&entity.properties) || *said == without_key(&entity));
    Arrived { entity: kept_as(entity_type, entity), checksum }
}

fn without_key(entity: &TaoEntity) -> TaoChecksum {
    let rest = entity.properties.iter().filter(|(predicate, _)| *predicate != APPLICATION_KEY);
    let rest = rest.map(|(predicate, merged)| (predicate.to_owned(), merged.clone()));
    TaoChecksum::of(&Properties::from_merged(rest.collect()))
}

/// Everything TAO sends is kept; the first of its types is the class.
fn kept_as(entity_type: EntityType, entity: TaoEntity) -> Entity {
    let root = v::root_class(entity_type);
    let class_of = if entity_type == EntityType::Class { v::RDFS_SUB_CLASS_OF } else { v::RDF_TYPE };
    let class = entity.properties.texts(class_of).first().map_or(root, String::as_str).to_owned();
    let property = |(predicate, merged): (&str, &taosync_model::tao::Merged)| Property {
        predicate: predicate.to_owned(),
        values: merged.texts().iter().map(Value::plain).collect(),
    };
    let properties = entity.properties.iter().filter(|(_, merged)| !merged.texts().is_empty()).map(property).collect();
    Entity { properties, ..Entity::new(entity.id, class) }
}

/// Bytes an entity takes in memory, about.
pub fn bytes_of(entity: &Entity) -> usize {
    let values = |property: &Property| property.values.iter().map(|value| value.text.len() + 32).sum::<usize>();
    entity.uri.len() + entity.properties.iter().map(|p| p.predicate.len() + 32 + values(p)).sum::<usize>()
}

/// The classes of what came that are not known here, with all above them.
pub async fn classes(
    link: &TaoLink,
    entity_type: EntityType,
    arrived: &Arrivals,
    known: &BTreeSet<String>,
) -> Result<Vec<Entity>, LinkError> {
    let types = arrived.values().flat_map(|a| a.entity.values(v::RDF_TYPE)).map(|value| value.text.as_str());
    let is_missing = |class: &&str| {
        *class != v::root_class(entity_type)
            && *class != v::CLASS_TAO_USER
            && !EVERYWHERE.contains(class)
            && !known.contains(*class)
    };
    let missing: BTreeSet<&str> = types.filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let missing: Vec<&str> = missing.into_iter().collect();
    let mut found = Vec::new();
    for part in missing.chunks(AT_ONCE) {
        let request =
            ClassesRequest { entity_type: entity_type.to_string(), requested_classes: Json::from(part.to_vec()) };
        let answer: Details = link.ask(&Request::post_json(PATH_CLASSES, &request)).await?;
        // A class that TAO does not know comes without properties.
        let real = answer.0.into_iter().filter(|(uri, class)| *uri == class.id && !class.properties.is_empty());
        found.extend(real.map(|(_, class)| kept_as(EntityType::Class, class)));
    }
    Ok(found)
}
