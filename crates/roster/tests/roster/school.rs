//! A store in memory: answers lookups as the real one does, and takes plans.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use taosync_model::clock::SystemClock;
use taosync_model::vocabulary as v;
use taosync_model::{Entity, EntityType};
use taosync_roster::{Found, FoundEntity, Lookup, LookupBy, Naming, Plan, Roster, RosterKind, RosterProblem, parse};

const NAMING: Naming<'static> = Naming { base: "https://central.example/taosync.rdf#", clock: &SystemClock };

#[derive(Default)]
pub struct School {
    entities: BTreeMap<String, FoundEntity>,
    /// Who has, or had, a value: a scan would be quadratic. Answers are checked against the entity as it is.
    by_text: HashMap<String, BTreeSet<String>>,
}

impl School {
    pub fn with(mut self, entity_type: EntityType, entity: Entity) -> Self {
        self.put(entity_type, entity);
        self
    }

    fn put(&mut self, entity_type: EntityType, entity: Entity) {
        let looked_up = [v::USER_LOGIN, v::RDFS_LABEL, v::ORGANISATION_ID, v::ELIGIBLE_TEST_CENTER];
        let texts = looked_up.iter().flat_map(|p| entity.values(p)).map(|value| &value.text).chain([&entity.uri]);
        for text in texts {
            self.by_text.entry(text.clone()).or_default().insert(entity.uri.clone());
        }
        let known = self
            .entities
            .entry(entity.uri.clone())
            .or_insert_with(|| FoundEntity { types: vec![], entity: Entity::default() });
        known.entity = entity;
        if !known.types.contains(&entity_type) {
            known.types.push(entity_type);
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
        let hits = self.by_text.get(&lookup.text).into_iter().flatten().filter_map(|uri| self.entities.get(uri));
        hits.filter(of_type).filter(|f| is_it(&f.entity)).cloned().collect()
    }

    pub fn plan(&self, roster: Roster) -> Result<Plan, Vec<RosterProblem>> {
        let mut found = Found::default();
        for round in 0.. {
            let lookups = roster.lookups(&found);
            if lookups.is_empty() {
                break;
            }
            assert!(round < 3, "lookups end after three rounds");
            for lookup in lookups {
                let answer = self.answer(&lookup);
                found.insert(lookup, answer);
            }
        }
        roster.plan(&found, &NAMING)
    }

    pub fn try_import(&mut self, kind: RosterKind, csv: &str) -> Result<Plan, Vec<RosterProblem>> {
        let plan = self.plan(parse(kind, "file.csv", csv.as_bytes())?)?;
        plan.upserts.iter().for_each(|(t, e)| self.put(*t, e.clone()));
        Ok(plan)
    }

    /// Imports, and asserts that importing the same again changes nothing.
    pub fn import(&mut self, kind: RosterKind, csv: &str) -> Plan {
        let plan = self.try_import(kind, csv).unwrap_or_else(|p| panic!("{p:#?}"));
        let again = self.try_import(kind, csv).unwrap_or_else(|p| panic!("{p:#?}"));
        assert_eq!(again.upserts, [], "the same file twice changes nothing");
        assert_eq!((again.created, again.updated, again.related), (0, 0, 0));
        plan
    }

    /// What is wrong, as printed.
    pub fn complaints(&mut self, kind: RosterKind, csv: &str) -> Vec<String> {
        let before: Vec<_> = self.entities.values().cloned().collect();
        let problems = self.try_import(kind, csv).expect_err("refused");
        assert!(before.iter().eq(self.entities.values()), "a bad file changes nothing");
        problems.iter().map(ToString::to_string).collect()
    }

    pub fn find(&self, by: LookupBy, text: &str) -> &FoundEntity {
        let types: &'static [EntityType] = &[
            EntityType::TestCenter,
            EntityType::Administrator,
            EntityType::Proctor,
            EntityType::TestTaker,
            EntityType::Eligibility,
            EntityType::Delivery,
            EntityType::SyncManager,
        ];
        let found = self.answer(&Lookup { types, by, text: text.to_owned() });
        assert_eq!(found.len(), 1, "exactly one {text}");
        &self.entities[&found[0].entity.uri]
    }

    pub fn login(&self, login: &str) -> &Entity {
        &self.find(LookupBy::Login, login).entity
    }

    pub fn org(&self, org: &str) -> &Entity {
        let centers = Lookup { types: &[EntityType::TestCenter], by: LookupBy::OrganisationId, text: org.to_owned() };
        let found = self.answer(&centers);
        assert_eq!(found.len(), 1, "exactly one center of {org}");
        &self.entities[&found[0].entity.uri].entity
    }
}

pub fn texts<'a>(entity: &'a Entity, predicate: &str) -> Vec<&'a str> {
    entity.values(predicate).iter().map(|value| value.text.as_str()).collect()
}
