//! What a test taker may sit: through an eligibility that names both, on both sides. Each eligibility is read once,
//! however many takers are asked about.

use std::collections::{HashMap, HashSet};

use taosync_model::{Entity, EntityType, OrgId, vocabulary};
use taosync_store::{Store, StoreError};

/// Remembers eligibilities while a request is worked on.
pub(super) struct Eligibilities<'a> {
    store: &'a Store,
    known: HashMap<String, Vec<View>>,
    /// Takers that were read already, per org.
    noted: HashMap<String, Vec<(OrgId, Entity)>>,
}

/// An eligibility as one org sees it.
struct View {
    org: OrgId,
    takers: HashSet<String>,
    deliveries: Vec<String>,
}

/// A delivery a taker may sit, in the org of the eligibility.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sitting {
    pub delivery: String,
    pub org: OrgId,
}

impl<'a> Eligibilities<'a> {
    pub fn new(store: &'a Store) -> Self {
        Self { store, known: HashMap::new(), noted: HashMap::new() }
    }

    /// Notes a taker as a search by login found it, to read nothing twice. That search leaves out link rows: a taker
    /// without assignments may have them there, and is read again.
    pub fn note(&mut self, org: OrgId, taker: Entity) {
        self.noted.entry(taker.uri.clone()).or_default().push((org, taker));
    }

    /// What a taker may sit: each delivery and org once, in order.
    pub async fn of(&mut self, taker: &str) -> Result<Vec<Sitting>, StoreError> {
        let mut sittings = Vec::new();
        for (org, entity) in self.seen(taker).await? {
            for assignment in entity.values(vocabulary::USER_ASSIGNMENT) {
                let views = self.views(&assignment.text).await?;
                let seen = views.iter().filter(|view| view.org == org && view.takers.contains(taker));
                let deliveries = seen.flat_map(|view| &view.deliveries);
                sittings.extend(deliveries.map(|delivery| Sitting { delivery: delivery.clone(), org: org.clone() }));
            }
        }
        sittings.sort();
        sittings.dedup();
        Ok(sittings)
    }

    async fn seen(&mut self, taker: &str) -> Result<Vec<(OrgId, Entity)>, StoreError> {
        let noted = self.noted.remove(taker).unwrap_or_default();
        let is_whole = |(_, entity): &(OrgId, Entity)| !entity.values(vocabulary::USER_ASSIGNMENT).is_empty();
        if !noted.is_empty() && noted.iter().all(is_whole) {
            return Ok(noted);
        }
        let found = self.store.replica_get(taker).await?;
        let takers = found.into_iter().filter(|(_, entity_type, _)| *entity_type == EntityType::TestTaker);
        Ok(takers.map(|(org, _, entity)| (org, entity)).collect())
    }

    async fn views(&mut self, eligibility: &str) -> Result<&[View], StoreError> {
        if !self.known.contains_key(eligibility) {
            let found = self.store.replica_get(eligibility).await?;
            let values = |entity: &Entity, predicate| {
                entity.values(predicate).iter().map(|value| value.text.clone()).collect::<Vec<_>>()
            };
            let views = found
                .into_iter()
                .filter(|(_, entity_type, _)| *entity_type == EntityType::Eligibility)
                .map(|(org, _, entity)| View {
                    org,
                    takers: values(&entity, vocabulary::ELIGIBLE_TEST_TAKER).into_iter().collect(),
                    deliveries: values(&entity, vocabulary::ELIGIBLE_DELIVERY),
                })
                .collect();
            self.known.insert(eligibility.to_owned(), views);
        }
        Ok(self.known.get(eligibility).map_or(&[], Vec::as_slice))
    }
}
