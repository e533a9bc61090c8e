//! What is true at central in a random history, kept a second time in the plainest way, so that it can say who belongs
//! where without asking the program.

use std::collections::{BTreeMap, BTreeSet};

use taosync_model::{Entity, EntityType, Value, vocabulary as v};
use taosync_store::entities::Change;

use crate::dice::Dice;
use crate::support::up;

/// Predicate that no vocabulary knows, for long lists of plain values.
const NOTES: &str = "http://central.example/t.rdf#notes";

/// Names of things; more of them than there usually are, so that some are named before they exist.
fn uri(kind: &str, n: usize) -> String {
    format!("http://central.example/t.rdf#{kind}{n}")
}

const CENTERS: usize = 5;
const USERS: usize = 6;
const TAKERS: usize = 25;
const ELIGIBILITIES: usize = 6;
const DELIVERIES: usize = 4;
const CLASSES: usize = 5;

/// Everything that is true.
pub struct World {
    /// Names of the three orgs now.
    pub orgs: [String; 3],
    entities: BTreeMap<String, (BTreeSet<EntityType>, Entity)>,
    names_used: usize,
}

impl Default for World {
    fn default() -> Self {
        Self { orgs: ["A".into(), "B".into(), "C".into()], entities: BTreeMap::new(), names_used: 0 }
    }
}

impl World {
    /// One center for each org: the scopes exist from here on.
    pub fn beginning(&mut self) -> Vec<Change> {
        let centers: Vec<Entity> = (0..3).map(|n| center(n, &[self.orgs[n].clone()])).collect();
        centers.into_iter().map(|center| self.put(EntityType::TestCenter, center)).collect()
    }

    /// One to twenty changes that go together.
    pub fn step(&mut self, dice: &mut Dice) -> Vec<Change> {
        (0..=dice.below(20)).map(|_| self.change(dice)).collect()
    }

    /// Gives an org another name: old and new.
    pub fn rename(&mut self, dice: &mut Dice) -> (String, String) {
        let slot = dice.below(3);
        self.names_used += 1;
        let new = format!("Org {}", self.names_used);
        let old = std::mem::replace(&mut self.orgs[slot], new.clone());
        for (_, entity) in self.entities.values_mut() {
            let mut values = entity.values(v::ORGANISATION_ID).to_vec();
            for value in values.iter_mut().filter(|value| value.text == old) {
                value.text.clone_from(&new);
            }
            if !values.is_empty() {
                entity.set(v::ORGANISATION_ID, values);
            }
        }
        (old, new)
    }

    fn put(&mut self, entity_type: EntityType, entity: Entity) -> Change {
        let place = self.entities.entry(entity.uri.clone()).or_insert_with(|| (BTreeSet::new(), entity.clone()));
        place.0.insert(entity_type);
        place.1 = entity.clone();
        up(entity_type, entity)
    }

    fn change(&mut self, dice: &mut Dice) -> Change {
        let choice = if self.entities.is_empty() { 0 } else { dice.below(20) };
        match choice {
            0 | 1 => {
                let orgs: Vec<String> = self.orgs.iter().filter(|_| dice.one_in(2)).cloned().collect();
                let mut center = center(dice.below(CENTERS), &orgs);
                some(dice, &mut center, v::CENTER_CHILDREN, "center", CENTERS, 3);
                self.put(EntityType::TestCenter, center)
            }
            2..=4 => {
                let entity_type = [EntityType::Administrator, EntityType::Proctor][dice.below(2)];
                let mut user = named(dice, "user", USERS, v::CLASS_TAO_USER);
                some(dice, &mut user, v::ADMINISTRATOR_OF, "center", CENTERS, 3);
                some(dice, &mut user, v::ASSIGNED_PROCTOR, "center", CENTERS, 3);
                some(dice, &mut user, v::AUTHORIZED_PROCTOR, "center", CENTERS, 4);
                many_notes(dice, &mut user);
                self.put(entity_type, user)
            }
            5..=8 => {
                let mut taker = named(dice, "taker", TAKERS, v::CLASS_SUBJECT);
                if dice.one_in(2) {
                    taker.class = uri("class", dice.below(CLASSES));
                }
                some(dice, &mut taker, v::USER_ASSIGNMENT, "eligibility", ELIGIBILITIES, 3);
                many_notes(dice, &mut taker);
                self.put(EntityType::TestTaker, taker)
            }
            9..=12 => {
                let mut eligibility = named(dice, "eligibility", ELIGIBILITIES, v::CLASS_ELIGIBILITY);
                some(dice, &mut eligibility, v::ELIGIBLE_TEST_CENTER, "center", CENTERS, 4);
                some(dice, &mut eligibility, v::ELIGIBLE_DELIVERY, "delivery", DELIVERIES, 2);
                let share = 1 + dice.below(6);
                some(dice, &mut eligibility, v::ELIGIBLE_TEST_TAKER, "taker", TAKERS, share);
                self.put(EntityType::Eligibility, eligibility)
            }
            13 | 14 => {
                let mut delivery = named(dice, "delivery", DELIVERIES, v::CLASS_DELIVERY);
                some(dice, &mut delivery, v::EXCLUDED_SUBJECTS, "taker", TAKERS, 5);
                self.put(EntityType::Delivery, delivery)
            }
            15 => {
                let mut class = named(dice, "class", CLASSES, v::RDFS_CLASS);
                let parent = if dice.one_in(3) { v::CLASS_SUBJECT.into() } else { uri("class", dice.below(CLASSES)) };
                class.push(v::RDFS_SUB_CLASS_OF, Value::plain(parent));
                self.put(EntityType::Class, class)
            }
            _ => {
                let all: Vec<&String> = self.entities.keys().collect();
                let gone = all[dice.below(all.len())].clone();
                self.entities.remove(&gone);
                Change::Remove(gone)
            }
        }
    }

    /// Who belongs to one of the three orgs, or to everything, by the rules of WIRE §2; classes are left out.
    pub fn members(&self, org: Option<usize>) -> BTreeMap<EntityType, BTreeSet<String>> {
        let mut members: BTreeMap<EntityType, BTreeSet<String>> = BTreeMap::new();
        let Some(org) = org else {
            for entity_type in EntityType::SYNCED {
                members.insert(entity_type, self.of(entity_type).map(|e| e.uri.clone()).collect());
            }
            return members;
        };
        let names = |entity: &Entity, predicate: &str, among: &BTreeSet<String>| {
            entity.values(predicate).iter().any(|value| among.contains(&value.text))
        };
        let org = BTreeSet::from([self.orgs[org].clone()]);
        let uris = |found: Vec<&Entity>| found.into_iter().map(|e| e.uri.clone()).collect::<BTreeSet<_>>();
        let centers = uris(self.of(EntityType::TestCenter).filter(|e| names(e, v::ORGANISATION_ID, &org)).collect());
        for (entity_type, predicate) in [
            (EntityType::Administrator, v::ADMINISTRATOR_OF),
            (EntityType::Proctor, v::ASSIGNED_PROCTOR),
            (EntityType::Eligibility, v::ELIGIBLE_TEST_CENTER),
        ] {
            let found = self.of(entity_type).filter(|e| names(e, predicate, &centers)).collect();
            members.insert(entity_type, uris(found));
        }
        let eligibilities = members[&EntityType::Eligibility].clone();
        for (entity_type, predicate) in
            [(EntityType::TestTaker, v::ELIGIBLE_TEST_TAKER), (EntityType::Delivery, v::ELIGIBLE_DELIVERY)]
        {
            let named: BTreeSet<String> = eligibilities
                .iter()
                .flat_map(|uri| self.entities[uri].1.values(predicate))
                .map(|value| value.text.clone())
                .collect();
            let found = self.of(entity_type).filter(|e| named.contains(&e.uri)).collect();
            members.insert(entity_type, uris(found));
        }
        members.insert(EntityType::TestCenter, centers);
        members
    }

    fn of(&self, entity_type: EntityType) -> impl Iterator<Item = &Entity> {
        self.entities.values().filter(move |(types, _)| types.contains(&entity_type)).map(|(_, entity)| entity)
    }
}

fn center(n: usize, orgs: &[String]) -> Entity {
    let mut center = Entity::new(uri("center", n), v::CLASS_TEST_CENTER).with(v::RDFS_LABEL, format!("Center {n}"));
    for org in orgs {
        center.push(v::ORGANISATION_ID, Value::plain(org.clone()));
    }
    center
}

fn named(dice: &mut Dice, kind: &str, count: usize, class: &str) -> Entity {
    let n = dice.below(count);
    Entity::new(uri(kind, n), class).with(v::RDFS_LABEL, format!("{kind} {n} called {}", dice.below(3)))
}

/// Names each of these with a chance of one in `chances`, sometimes twice.
fn some(dice: &mut Dice, entity: &mut Entity, predicate: &str, kind: &str, count: usize, chances: usize) {
    for n in 0..count {
        if dice.one_in(chances) {
            entity.push(predicate, Value::plain(uri(kind, n)));
            if dice.one_in(10) {
                entity.push(predicate, Value::plain(uri(kind, n)));
            }
        }
    }
}

/// Sometimes a list of plain values around the limit above which it travels as links.
fn many_notes(dice: &mut Dice, entity: &mut Entity) {
    if !dice.one_in(12) {
        return;
    }
    let first = dice.below(5);
    for n in first..first + 250 + dice.below(15) {
        let mut value = Value::plain(format!("note {n}"));
        if n % 7 == 0 {
            value.lang = Some("fr".into());
        }
        entity.push(NOTES, value);
    }
}
