//! TAO's checksum of an entity as central holds it, with all its long lists: the unscoped view.

use taosync_model::scope::FieldChoices;
use taosync_model::tao::{Properties, TaoChecksum};
use taosync_model::{Entity, EntityType, Property};

use crate::predicates;

/// Long lists as their rows hold them: each value once, a relation's without its language, in the order of their texts.
/// The order they came in is not kept, and a checksum must not depend on what is not kept.
pub(crate) fn kept_links(links: &[Property]) -> Vec<Property> {
    let kept = |property: &Property| {
        let mut values = property.values.clone();
        if predicates::known_code(&property.predicate).is_some() {
            for value in &mut values {
                value.lang = None;
            }
        }
        values.sort_unstable();
        values.dedup();
        Property { predicate: property.predicate.clone(), values }
    };
    links.iter().map(kept).collect()
}

/// Values of all long lists together.
pub(crate) fn links_count(links: &[Property]) -> i64 {
    links.iter().map(|property| property.values.len() as i64).sum()
}

/// The checksum under the choice of the entity's first type.
pub(crate) fn unscoped_checksum(entity: &Entity, links: &[Property], types: i64, fields: &FieldChoices) -> TaoChecksum {
    let first = EntityType::from_bits(types).next().unwrap_or(EntityType::Class);
    TaoChecksum::of(&Properties::of(entity, links, first, &fields.of(first)))
}
