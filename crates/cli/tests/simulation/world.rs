//! What central was told, and what follows from it for each org: derived here from the rules alone, without the code
//! under test.

use std::collections::{BTreeMap, BTreeSet};

use taosync_model::delivery::PackageRef;
use taosync_model::{Entity, EntityType, Value, vocabulary as v};
use taosync_store::entities::Change;

use crate::schedule::Edit;

/// Lists of more values than this travel value by value, each once.
const LONG: usize = 256;

/// An entity with what counts about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looks {
    pub class: String,
    /// Values as a multiset; of what travels as links, as a set.
    pub properties: BTreeMap<String, Vec<Value>>,
    pub package: Option<PackageRef>,
}

impl Looks {
    pub fn of(entity: &Entity) -> Self {
        let mut properties = BTreeMap::new();
        for property in &entity.properties {
            let mut values = property.values.clone();
            values.sort();
            if property.predicate == v::ELIGIBLE_TEST_TAKER || values.len() > LONG {
                values.dedup();
            }
            if !values.is_empty() {
                properties.insert(property.predicate.clone(), values);
            }
        }
        Self { class: entity.class.clone(), properties, package: entity.package.clone() }
    }
}

/// Everything that is true at central.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    pub entities: BTreeMap<String, (BTreeSet<EntityType>, Entity)>,
}

impl World {
    /// Central was told.
    pub fn apply(&mut self, edits: &[Edit]) {
        for edit in edits {
            match edit {
                Edit::Put(entity_type, entity) => self.put(*entity_type, entity.clone()),
                Edit::Label(uri, label) => {
                    if let Some((_, entity)) = self.entities.get_mut(uri) {
                        entity.set(v::RDFS_LABEL, vec![Value::plain(label)]);
                    }
                }
                Edit::Remove(uri) => {
                    self.entities.remove(uri);
                }
            }
        }
    }

    /// The edits as central takes them.
    pub fn changes(&self, edits: &[Edit]) -> Vec<Change> {
        let mut after = self.clone();
        let mut changes = Vec::new();
        for edit in edits {
            after.apply(std::slice::from_ref(edit));
            match edit {
                Edit::Put(entity_type, entity) => changes.push(Change::Upsert(*entity_type, entity.clone())),
                Edit::Label(uri, _) => {
                    if let Some((types, entity)) = after.entities.get(uri) {
                        changes.push(Change::Upsert(*types.first().expect("an entity has a type"), entity.clone()));
                    }
                }
                Edit::Remove(uri) => changes.push(Change::Remove(uri.clone())),
            }
        }
        changes
    }

    pub fn put(&mut self, entity_type: EntityType, entity: Entity) {
        let place = self.entities.entry(entity.uri.clone()).or_insert_with(|| (BTreeSet::new(), Entity::default()));
        place.0.insert(entity_type);
        place.1 = entity;
    }

    /// What an org sees: who belongs to it by the rules of WIRE §2, without what must not be seen.
    pub fn seen_by(&self, org: &str) -> BTreeMap<EntityType, BTreeMap<String, Looks>> {
        let members = self.members(org);
        let all: BTreeSet<&String> = members.values().flatten().collect();
        let see = |entity_type: EntityType, uri: &String| {
            let mut looks = Looks::of(&self.entities[uri].1);
            let excluded = v::excluded_by_default(entity_type);
            looks.properties.retain(|predicate, _| !excluded.contains(&predicate.as_str()));
            for (_, values) in looks.properties.iter_mut().filter(|(predicate, _)| v::is_relation(predicate)) {
                values.retain(|value| all.contains(&value.text));
            }
            looks.properties.retain(|_, values| !values.is_empty());
            (uri.clone(), looks)
        };
        members.iter().map(|(&t, uris)| (t, uris.iter().map(|uri| see(t, uri)).collect())).collect()
    }

    /// Who may sit which published test in these orgs: taker and delivery.
    pub fn sittings(&self, orgs: &[&str]) -> Vec<(String, String)> {
        let mut sittings = Vec::new();
        for org in orgs {
            let seen = self.seen_by(org);
            let names = |looks: &Looks, predicate: &str| -> Vec<String> {
                looks.properties.get(predicate).into_iter().flatten().map(|value| value.text.clone()).collect()
            };
            for (uri, looks) in &seen[&EntityType::Eligibility] {
                for taker in names(looks, v::ELIGIBLE_TEST_TAKER) {
                    if !names(&seen[&EntityType::TestTaker][&taker], v::USER_ASSIGNMENT).contains(uri) {
                        continue;
                    }
                    let tests = names(looks, v::ELIGIBLE_DELIVERY).into_iter();
                    let tests = tests.filter(|test| seen[&EntityType::Delivery][test].package.is_some());
                    sittings.extend(tests.map(|delivery| (taker.clone(), delivery)));
                }
            }
        }
        sittings
    }

    fn members(&self, org: &str) -> BTreeMap<EntityType, BTreeSet<String>> {
        let mut members: BTreeMap<EntityType, BTreeSet<String>> = BTreeMap::new();
        let naming = |entity_type: EntityType, predicate: &str, among: &BTreeSet<String>| -> BTreeSet<String> {
            let names = |e: &&Entity| e.values(predicate).iter().any(|value| among.contains(&value.text));
            self.of(entity_type).filter(names).map(|e| e.uri.clone()).collect()
        };
        let centers = naming(EntityType::TestCenter, v::ORGANISATION_ID, &BTreeSet::from([org.to_owned()]));
        let eligibilities = naming(EntityType::Eligibility, v::ELIGIBLE_TEST_CENTER, &centers);
        members.insert(EntityType::Administrator, naming(EntityType::Administrator, v::ADMINISTRATOR_OF, &centers));
        members.insert(EntityType::Proctor, naming(EntityType::Proctor, v::ASSIGNED_PROCTOR, &centers));
        for (entity_type, predicate) in
            [(EntityType::TestTaker, v::ELIGIBLE_TEST_TAKER), (EntityType::Delivery, v::ELIGIBLE_DELIVERY)]
        {
            let named: BTreeSet<&String> = eligibilities
                .iter()
                .flat_map(|uri| self.entities[uri].1.values(predicate))
                .map(|value| &value.text)
                .collect();
            let found = self.of(entity_type).map(|e| &e.uri).filter(|uri| named.contains(uri)).cloned().collect();
            members.insert(entity_type, found);
        }
        members.insert(EntityType::TestCenter, centers);
        members.insert(EntityType::Eligibility, eligibilities);
        let mut classes = BTreeSet::new();
        for uri in members.values().flatten() {
            self.add_class(&self.entities[uri].1.class, &mut classes);
        }
        members.insert(EntityType::Class, classes);
        members
    }

    /// A class and everything above it.
    fn add_class(&self, uri: &str, classes: &mut BTreeSet<String>) {
        let Some((types, class)) = self.entities.get(uri) else { return };
        if types.contains(&EntityType::Class) && classes.insert(uri.to_owned()) {
            for parent in class.values(v::RDFS_SUB_CLASS_OF) {
                self.add_class(&parent.text, classes);
            }
        }
    }

    fn of(&self, entity_type: EntityType) -> impl Iterator<Item = &Entity> {
        self.entities.values().filter(move |(types, _)| types.contains(&entity_type)).map(|(_, entity)| entity)
    }
}
