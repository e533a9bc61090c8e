//! The entities of the six types and their classes (WIRE §2, §3): first who is what, then everything said of them.

use std::collections::{BTreeSet, HashMap, HashSet};

use taosync_model::scope::{FieldChoice, FieldChoices};
use taosync_model::{Entity, EntityType, Value, vocabulary as v};

use super::classes::ClassTree;
use crate::{Reading, Row, Statement, TaoError};

/// Entities read at most: one installation has some ten thousands. Bounds memory, as do [`AT_ONCE`] and the reader of rows.
pub const MAX_ENTITIES: usize = 500_000;
/// Subjects whose statements are read at once.
const AT_ONCE: usize = 1_000;

/// An entity of TAO, with every type it has.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Its types, in feed order.
    pub types: BTreeSet<EntityType>,
    /// The entity, with what the choice of fields of one of its types carries: values in the order they were written, with
    /// their languages.
    pub entity: Entity,
}

/// Reads all entities and the classes they need, classes first.
pub async fn read(reading: &mut Reading, fields: &FieldChoices) -> Result<Vec<Taken>, TaoError> {
    let tree = ClassTree::read(reading).await?;
    let members = Members::read(reading, &tree).await?;
    let mut taken = statements(reading, &members.types, fields).await?;
    let mut classes = needed_classes(&tree, &taken);
    let class_types = classes.keys().map(|uri| (uri.clone(), BTreeSet::from([EntityType::Class]))).collect();
    let mut all = statements(reading, &class_types, fields).await?;
    for Taken { entity, .. } in &mut all {
        entity.class = classes.remove(&entity.uri).unwrap_or_default();
    }
    for Taken { types, entity } in &mut taken {
        entity.class = class_of(entity, types, &members.roots);
    }
    all.append(&mut taken);
    Ok(all)
}

/// Who is what.
struct Members {
    types: HashMap<String, BTreeSet<EntityType>>,
    /// Per root class, itself and everything below.
    roots: HashMap<&'static str, HashSet<String>>,
}

impl Members {
    async fn read(reading: &mut Reading, tree: &ClassTree) -> Result<Self, TaoError> {
        let roots =
            [v::CLASS_TEST_CENTER, v::CLASS_TAO_USER, v::CLASS_SUBJECT, v::CLASS_ELIGIBILITY, v::CLASS_DELIVERY];
        let roots: HashMap<_, _> = roots.into_iter().map(|root| (root, tree.below(root))).collect();
        let mut members = Self { types: HashMap::new(), roots };
        let roles = members.roles(reading).await?;
        for mut row in members.instances(reading).await? {
            let (uri, class) = (row.take_text(0)?, row.take_text(1)?);
            let types = members.types_of(&class, roles.get(&uri));
            members.add(uri, types)?;
        }
        // Named by an eligibility is enough: TAO checks neither role nor class there.
        for (predicate, entity_type) in
            [(v::ELIGIBLE_TEST_TAKER, EntityType::TestTaker), (v::ELIGIBLE_DELIVERY, EntityType::Delivery)]
        {
            let statement = Statement::new("SELECT DISTINCT object FROM statements WHERE ")
                .equals("predicate", predicate)
                .push(" AND object IS NOT NULL");
            for mut row in reading.rows(&statement).await? {
                members.add(row.take_text(0)?, vec![entity_type])?;
            }
        }
        Ok(members)
    }

    async fn instances(&self, reading: &mut Reading) -> Result<Vec<Row>, TaoError> {
        let classes: BTreeSet<&String> = self.roots.values().flatten().collect();
        let statement = Statement::new("SELECT subject, object FROM statements WHERE ")
            .equals("predicate", v::RDF_TYPE)
            .push(" AND ")
            .among("object", classes);
        reading.rows(&statement).await
    }

    /// Roles that make somebody one of the types; included roles are not expanded, as in TAO.
    async fn roles(&self, reading: &mut Reading) -> Result<HashMap<String, Vec<String>>, TaoError> {
        let statement = Statement::new("SELECT subject, object FROM statements WHERE ")
            .equals("predicate", v::USER_ROLES)
            .push(" AND ")
            .among("object", [v::ROLE_ADMINISTRATOR, v::ROLE_PROCTOR, v::ROLE_TEST_TAKER]);
        let mut roles: HashMap<String, Vec<String>> = HashMap::new();
        for mut row in reading.rows(&statement).await? {
            let (uri, role) = (row.take_text(0)?, row.take_text(1)?);
            roles.entry(uri).or_default().push(role);
        }
        Ok(roles)
    }

    fn types_of(&self, class: &str, roles: Option<&Vec<String>>) -> Vec<EntityType> {
        let has = |role: &str| roles.is_some_and(|roles| roles.iter().any(|held| held == role));
        EntityType::SYNCED
            .into_iter()
            .filter(|&entity_type| {
                self.roots.get(v::root_class(entity_type)).is_some_and(|below| below.contains(class))
            })
            .filter(|entity_type| match entity_type {
                EntityType::Administrator => has(v::ROLE_ADMINISTRATOR),
                EntityType::Proctor => has(v::ROLE_PROCTOR),
                EntityType::TestTaker => has(v::ROLE_TEST_TAKER),
                _ => true,
            })
            .collect()
    }

    fn add(&mut self, uri: String, types: Vec<EntityType>) -> Result<(), TaoError> {
        if !types.is_empty() {
            self.types.entry(uri).or_default().extend(types);
        }
        if self.types.len() > MAX_ENTITIES {
            return Err(TaoError::Damaged { what: format!("there are more than {MAX_ENTITIES} entities") });
        }
        Ok(())
    }
}

/// Everything said of these subjects. One of whom nothing is said does not exist: only others name it.
async fn statements(
    reading: &mut Reading,
    types: &HashMap<String, BTreeSet<EntityType>>,
    fields: &FieldChoices,
) -> Result<Vec<Taken>, TaoError> {
    let mut uris: Vec<&String> = types.keys().collect();
    uris.sort_unstable();
    let mut taken = Vec::with_capacity(uris.len());
    for part in uris.chunks(AT_ONCE) {
        let statement =
            Statement::new("SELECT subject, predicate, object, l_language FROM statements WHERE subject IN ")
                .list(part.iter().copied())
                .push(" AND object IS NOT NULL ORDER BY id");
        let mut found: HashMap<&str, Entity> = HashMap::new();
        let wanted: HashSet<&str> = part.iter().map(|uri| uri.as_str()).collect();
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
        for uri in part {
            let (Some(mut entity), Some(types)) = (found.remove(uri.as_str()), types.get(*uri)) else { continue };
            keep_carried(&mut entity, types, fields);
            taken.push(Taken { types: types.clone(), entity });
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

/// The classes of these entities and those between them and the root of their tree, each with its parent (WIRE §6.5).
fn needed_classes(tree: &ClassTree, taken: &[Taken]) -> HashMap<String, String> {
    let used = taken.iter().flat_map(|taken| taken.entity.values(v::RDF_TYPE)).map(|value| value.text.as_str());
    let used: BTreeSet<&str> = used.collect();
    let mut needed = HashMap::new();
    for root in [v::CLASS_TEST_CENTER, v::CLASS_SUBJECT, v::CLASS_TAO_USER, v::CLASS_ELIGIBILITY, v::CLASS_DELIVERY] {
        let below = tree.below(root);
        let here = used.iter().copied().filter(|class| below.contains(*class));
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
    fn so_many_entities_are_held_and_no_more() {
        let mut members = Members { types: HashMap::new(), roots: HashMap::new() };
        for number in 0..MAX_ENTITIES {
            members.add(number.to_string(), vec![EntityType::TestTaker]).unwrap();
        }
        members.add("0".to_owned(), vec![EntityType::Proctor]).unwrap();
        assert!(members.add("one more".to_owned(), Vec::new()).is_ok(), "of no type: not held");
        assert!(matches!(members.add("one more".to_owned(), vec![EntityType::Proctor]), Err(TaoError::Damaged { .. })));
    }

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
