//! What a roster asks about, in memory: a center, some people and a delivery, and whatever was imported since.

use std::collections::BTreeMap;

use jiff::Timestamp;
use taosync_model::vocabulary as v;
use taosync_model::{Clock, Entity, EntityType};
use taosync_roster::{Found, FoundEntity, Lookup, LookupBy, Naming, Plan, Roster, RosterProblem};
use uuid::Uuid;

/// Rounds of questions after which a roster must have asked everything.
const ROUNDS: usize = 3;

/// The same identifiers in every run, so that an input does the same every time.
#[derive(Debug, Default)]
struct Counting(std::sync::atomic::AtomicU64);

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed).into())
    }
}

pub(crate) struct School {
    entities: BTreeMap<String, FoundEntity>,
    clock: Counting,
}

impl School {
    /// One of each, called as in the kept inputs.
    pub fn new() -> Self {
        let mut school = Self { entities: BTreeMap::new(), clock: Counting::default() };
        let person = |login: &str| Entity::new(format!("urn:x:{login}"), v::CLASS_TAO_USER).with(v::USER_LOGIN, login);
        let center = Entity::new("urn:x:center", v::CLASS_TEST_CENTER).with(v::RDFS_LABEL, "Center");
        let delivery = Entity::new("urn:x:delivery", v::CLASS_DELIVERY).with(v::RDFS_LABEL, "Maths");
        school.put(EntityType::TestCenter, center.with(v::ORGANISATION_ID, "School-7"));
        school.put(EntityType::Administrator, person("admin"));
        school.put(EntityType::Proctor, person("proctor"));
        school.put(EntityType::TestTaker, person("anna"));
        school.put(EntityType::Delivery, delivery);
        school
    }

    pub fn put(&mut self, entity_type: EntityType, entity: Entity) {
        let fresh = FoundEntity { types: Vec::new(), entity: Entity::default() };
        let known = self.entities.entry(entity.uri.clone()).or_insert(fresh);
        known.entity = entity;
        if !known.types.contains(&entity_type) {
            known.types.push(entity_type);
            known.types.sort_unstable();
        }
    }

    fn answer(&self, lookup: &Lookup) -> Vec<FoundEntity> {
        let has = |e: &Entity, predicate: &str| e.values(predicate).iter().any(|value| value.text == lookup.text);
        let is_it = |e: &Entity| match lookup.by {
            LookupBy::Login => has(e, v::USER_LOGIN),
            LookupBy::Label => has(e, v::RDFS_LABEL),
            LookupBy::OrganisationId => has(e, v::ORGANISATION_ID),
            LookupBy::Uri => e.uri == lookup.text,
            LookupBy::TestCenter => has(e, v::ELIGIBLE_TEST_CENTER),
        };
        let of_type = |f: &&FoundEntity| f.types.iter().any(|t| lookup.types.contains(t));
        self.entities.values().filter(of_type).filter(|f| is_it(&f.entity)).cloned().collect()
    }

    pub fn plan(&self, roster: Roster) -> Result<Plan, Vec<RosterProblem>> {
        let mut found = Found::default();
        for round in 0.. {
            let lookups = roster.lookups(&found);
            if lookups.is_empty() {
                break;
            }
            assert!(round < ROUNDS, "questions end after {ROUNDS} rounds");
            for lookup in lookups {
                let answer = self.answer(&lookup);
                found.insert(lookup, answer);
            }
        }
        roster.plan(&found, &Naming { base: "https://central.example/taosync.rdf#", clock: &self.clock })
    }
}
