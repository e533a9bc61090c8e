//! The entities of the six types, sync managers, and the classes they need (WIRE §2, §3): first who is what
//! ([`super::members`]), then, part by part, everything said of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use taosync_model::scope::{FieldChoice, FieldChoices};
use taosync_model::{Entity, EntityType, Value, vocabulary as v};

use super::classes::ClassTree;
use super::members::Members;
use crate::{Reading, Statement, TaoError};

/// Subjects whose statements are read at once.
const AT_ONCE: usize = 1_000;
/// Test takers in a part.
const PART: usize = 4_000;

/// An entity of TAO, with every type it has.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Its types, in feed order.
    pub types: BTreeSet<EntityType>,
    /// The entity, with what the choice of fields of one of its types carries: values in the order they were written, with
    /// their languages.
    pub entity: Entity,
}

/// Who is what in a TAO. What is said of them is read in parts, so that memory holds the names of all and the rest of some.
#[derive(Debug)]
pub struct Overview {
    /// Per root class, itself and everything below.
    roots: HashMap<&'static str, HashSet<String>>,
    /// Classes that are needed, each with its parent.
    classes: HashMap<String, String>,
    /// Test takers that are nothing else, with their types as bits.
    takers: Vec<(String, i64)>,
    /// All other entities.
    others: Vec<(String, i64)>,
}

impl Overview {
    /// Reads who is what.
    pub async fn read(reading: &mut Reading) -> Result<Self, TaoError> {
        let tree = ClassTree::read(reading).await?;
        let members = Members::read(reading, &tree).await?;
        let classes = needed_classes(&tree, &members.classes);
        let mut all: Vec<(String, i64)> = members.types.into_iter().collect();
        all.sort_unstable();
        let (takers, others) = all.into_iter().partition(|(_, types)| *types == EntityType::TestTaker.bit());
        Ok(Self { roots: members.roots, classes, takers, others })
    }

    /// How many there are of each type.
    pub fn counts(&self) -> BTreeMap<EntityType, u64> {
        let mut counts = BTreeMap::new();
        for (_, types) in self.takers.iter().chain(&self.others) {
            for entity_type in EntityType::from_bits(*types) {
                *counts.entry(entity_type).or_default() += 1;
            }
        }
        if !self.classes.is_empty() {
            counts.insert(EntityType::Class, self.classes.len() as u64);
        }
        counts
    }

    /// The URIs of all entities and classes.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        let entities = self.takers.iter().chain(&self.others).map(|(uri, _)| uri);
        self.classes.keys().chain(entities).map(String::as_str)
    }

    /// The classes.
    pub async fn classes(&self, reading: &mut Reading, fields: &FieldChoices) -> Result<Vec<Taken>, TaoError> {
        let class = |uri: &String| (uri.clone(), EntityType::Class.bit());
        let mut classes: Vec<(String, i64)> = self.classes.keys().map(class).collect();
        classes.sort_unstable();
        let mut all = statements(reading, &classes, fields).await?;
        for Taken { entity, .. } in &mut all {
            entity.class = self.classes.get(&entity.uri).cloned().unwrap_or_default();
        }
        Ok(all)
    }

    /// Test takers that are nothing else, a part of them counted from 0; none after the last.
    pub async fn takers(
        &self,
        reading: &mut Reading,
        fields: &FieldChoices,
        part: usize,
    ) -> Result<Option<Vec<Taken>>, TaoError> {
        match self.takers.chunks(PART).nth(part) {
            Some(takers) => self.entities(reading, takers, fields).await.map(Some),
            None => Ok(None),
        }
    }

    /// All other entities: those that decide who belongs to which organisation, and people who work there.
    pub async fn others(&self, reading: &mut Reading, fields: &FieldChoices) -> Result<Vec<Taken>, TaoError> {
        self.entities(reading, &self.others, fields).await
    }

    async fn entities(
        &self,
        reading: &mut Reading,
        entities: &[(String, i64)],
        fields: &FieldChoices,
    ) -> Result<Vec<Taken>, TaoError> {
        let mut taken = statements(reading, entities, fields).await?;
        for Taken { types, entity } in &mut taken {
            entity.class = class_of(entity, types, &self.roots);
        }
        Ok(taken)
    }
}

/// Everything said of these subjects. One of whom nothing is said does not exist: only others name it.
async fn statements(
    reading: &mut Reading,
    entities: &[(String, i64)],
    fields: &FieldChoices,
) -> Result<Vec<Taken>, TaoError> {
    let mut taken = Vec::with_capacity(entities.len());
    for part in entities.chunks(AT_ONCE) {
        let statement =
            Statement::new("SELECT subject, predicate, object, l_language FROM statements WHERE subject IN ")
                .list(part.iter().map(|(uri, _)| uri))
                .push(" AND object IS NOT NULL ORDER BY id");
        let mut found: HashMap<&str, Entity> = HashMap::new();
        let wanted: HashSet<&str> = part.iter().map(|(uri, _)| uri.as_str()).collect();
        for mut row in reading.rows(&statement).await? {
            // MySQL may give a subject that differs in case.
            if let Some(&uri) = wanted.get(row.text(0)?) {
                let value = Value {
                    lang: row.optional_text(3)?.filter(|lang| !lang.is_empty()).map(str::to_owned),
                    text: row.take_text(2)?,
                };
                found.entry(uri).or_insert_with(|| Entity::new(uri, "")).push(row.text(1)?, value);
            }
        }
        for (uri, types) in part {
            let Some(mut entity) = found.remove(uri.as_str()) else { continue };
            let types = EntityType::from_bits(*types).collect();
            keep_carried(&mut entity, &types, fields);
            taken.push(Taken { types, entity });
        }
    }
    Ok(taken)
}

/// Drops what travels under none of its types: TAO's times and places of compiled tests are nobody's business elsewhere.
fn keep_carried(entity: &mut Entity, types: &BTreeSet<EntityType>, fields: &FieldChoices) {
    let choices: Vec<_> = types.iter().map(|&entity_type| fields.of(entity_type)).collect();
    let is_carried =
        |predicate: &str| choices.iter().any(|choice: &std::borrow::Cow<'_, FieldChoice>| choice.carries(predicate));
    // Whose instance it is, is needed here whatever travels.
    entity.properties.retain(|property| property.predicate == v::RDF_TYPE || is_carried(&property.predicate));
}

/// Its first class that lies below the root of its type; the root where TAO names none (WIRE §7.3).
fn class_of(entity: &Entity, types: &BTreeSet<EntityType>, roots: &HashMap<&'static str, HashSet<String>>) -> String {
    let root = types.iter().next().map_or(v::CLASS_TAO_USER, |&entity_type| v::root_class(entity_type));
    let below = types.iter().filter_map(|&entity_type| roots.get(v::root_class(entity_type)));
    let below: Vec<_> = below.collect();
    let named = entity.values(v::RDF_TYPE).iter().map(|value| value.text.as_str());
    named.into_iter().find(|class| below.iter().any(|set| set.contains(*class))).unwrap_or(root).to_owned()
}

/// These classes and those between them and the root of their tree, each with its parent (WIRE §6.5).
fn needed_classes(tree: &ClassTree, used: &BTreeSet<String>) -> HashMap<String, String> {
    let mut needed = HashMap::new();
    for root in [v::CLASS_TEST_CENTER, v::CLASS_SUBJECT, v::CLASS_TAO_USER, v::CLASS_ELIGIBILITY, v::CLASS_DELIVERY] {
        let below = tree.below(root);
        let here = used.iter().map(String::as_str).filter(|class| below.contains(*class));
        for class in tree.above(here) {
            let is_root = EntityType::SYNCED.iter().any(|&entity_type| v::root_class(entity_type) == class);
            if below.contains(&class)
                && !is_root
                && let Some(parent) = tree.parent_among(&class, &below)
            {
                needed.entry(class.clone()).or_insert_with(|| parent.to_owned());
            }
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_is_of_its_first_class_below_the_root() {
        let roots =
            HashMap::from([(v::CLASS_SUBJECT, HashSet::from([v::CLASS_SUBJECT.to_owned(), "year9".to_owned()]))]);
        let types = BTreeSet::from([EntityType::TestTaker]);
        let entity = Entity::new("u", "").with(v::RDF_TYPE, "elsewhere").with(v::RDF_TYPE, "year9");
        assert_eq!(class_of(&entity, &types, &roots), "year9");
        assert_eq!(class_of(&Entity::new("u", ""), &types, &roots), v::CLASS_SUBJECT);
    }
}
