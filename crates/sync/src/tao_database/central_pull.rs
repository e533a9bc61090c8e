//! Central: TAO's data become what is true here. Reading and planning; the change itself is made as every other one, under
//! the guard of removals.

mod packages;

use std::collections::{HashMap, HashSet};

use taosync_model::{Digest, Entity, EntityType, vocabulary};
use taosync_store::Store;
use taosync_store::entities::{Change, Key};
use taosync_store::tao::Pulled;
use taosync_tao::Reading;
use taosync_tao::read::entities::{Overview, Taken};
use taosync_tao::read::look::look;

use super::{Installation, TaoDatabaseError};

pub use packages::packages;

/// What was found in TAO.
#[derive(Debug)]
pub enum Found {
    /// The same as at the last pull that brought everything in. With the deliveries that came from TAO: their packages
    /// may have come meanwhile.
    Unchanged(Vec<Delivery>),
    /// Something else.
    Changed(Box<Pull>),
}

/// What is to be brought in, part by part, all of one unchanging picture: so memory does not grow with what TAO has.
pub struct Pull {
    reading: Reading,
    overview: Overview,
    origins: HashMap<String, i64>,
    pulled: Pulled,
    deliveries: Vec<Delivery>,
    next: Next,
}

/// What is given next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Classes,
    /// This part of the test takers, and after the last part everything else.
    Takers(usize),
    Nothing,
}

/// A delivery as TAO has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its URI.
    pub uri: String,
    /// Its label.
    pub label: String,
    /// Where TAO keeps the package it was made from.
    pub snapshot: Option<String>,
}

impl Delivery {
    fn of(entity: &Entity) -> Self {
        let snapshot = entity.first(vocabulary::ORIGIN_TEST_PACKAGE).map(str::to_owned);
        Self { uri: entity.uri.clone(), label: entity.label().to_owned(), snapshot }
    }
}

/// Looks whether anything changed, and only then reads, all in one unchanging picture.
pub async fn find(store: &Store, installation: &Installation) -> Result<Found, TaoDatabaseError> {
    let mut reading = installation.database.read().await?;
    let seen = format!("{} {}", look(&mut reading).await?, choice(store));
    let origins = store.tao_origins().await?;
    if installation.seen.as_ref() == Some(&seen) {
        return Ok(Found::Unchanged(known_deliveries(store, &origins).await?));
    }
    let overview = Overview::read(&mut reading).await?;
    let present: HashSet<&str> = overview.uris().collect();
    let mut gone: Vec<String> = origins.keys().filter(|uri| !present.contains(uri.as_str())).cloned().collect();
    gone.sort_unstable();
    let pulled = Pulled { arrived: Vec::new(), gone, seen };
    let pull = Pull { reading, overview, origins, pulled, deliveries: Vec::new(), next: Next::Classes };
    Ok(Found::Changed(Box::new(pull)))
}

impl Pull {
    /// The next part of everything TAO has, and with the last what it has no more; what is equal is dropped when it is
    /// applied. Classes, test takers by the thousand, then all others at once: they decide who belongs to which
    /// organisation, and nobody is to leave with one part and to come back with another. None after the last.
    pub async fn next(&mut self, store: &Store) -> Result<Option<Vec<Change>>, TaoDatabaseError> {
        let (reading, fields, mut changes) = (&mut self.reading, store.fields(), Vec::new());
        let taken = match self.next {
            Next::Classes => {
                self.next = Next::Takers(0);
                self.overview.classes(reading, fields).await?
            }
            Next::Takers(part) => match self.overview.takers(reading, fields, part).await? {
                Some(taken) => {
                    self.next = Next::Takers(part + 1);
                    taken
                }
                None => {
                    self.next = Next::Nothing;
                    changes.extend(self.pulled.gone.iter().cloned().map(Change::Remove));
                    self.overview.others(reading, fields).await?
                }
            },
            Next::Nothing => return Ok(None),
        };
        let published = published(store, &taken).await?;
        self.plan(taken, published, &mut changes);
        Ok(Some(changes))
    }

    /// What is to be noted with it, and the deliveries, once all parts were given.
    pub fn end(self) -> (Pulled, Vec<Delivery>) {
        (self.pulled, self.deliveries)
    }

    /// What the changes are. A type that an entity has no more is taken from it by removing it first.
    fn plan(&mut self, taken: Vec<Taken>, mut published: HashMap<String, Entity>, changes: &mut Vec<Change>) {
        for Taken { types, mut entity } in taken {
            let bits = types.iter().map(|entity_type| entity_type.bit()).sum::<i64>();
            let known = self.origins.get(&entity.uri).copied();
            let before = known.unwrap_or(bits);
            if before & !bits != 0 {
                changes.push(Change::Remove(entity.uri.clone()));
            }
            if types.contains(&EntityType::Delivery) {
                self.deliveries.push(Delivery::of(&entity));
            }
            if let Some(known) = published.remove(&entity.uri) {
                (entity.package, entity.other) = (known.package, known.other);
            }
            if known != Some(bits) {
                self.pulled.arrived.push((entity.uri.clone(), bits));
            }
            changes.extend(types.iter().map(|&entity_type| Change::Upsert(entity_type, entity.clone())));
        }
    }
}

impl std::fmt::Debug for Pull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pull").field("next", &self.next).finish_non_exhaustive()
    }
}

/// Another choice of fields is another picture of the same data.
fn choice(store: &Store) -> String {
    // Unwrap safety: lists of texts, which always serialise.
    let text = serde_json::to_vec(store.fields()).unwrap_or_default();
    hex::encode(&Digest::of(&text).0[..8])
}

/// Deliveries as they stand here: what was published with them is not TAO's to change.
async fn published(store: &Store, taken: &[Taken]) -> Result<HashMap<String, Entity>, TaoDatabaseError> {
    let deliveries = taken.iter().filter(|taken| taken.types.contains(&EntityType::Delivery));
    let keys: Vec<Key> = deliveries.map(|taken| Key::Uri(taken.entity.uri.clone())).collect();
    let found = store.entities_find(&keys).await?.into_values().flatten();
    Ok(found.map(|stored| (stored.entity.uri.clone(), stored.entity)).collect())
}

async fn known_deliveries(store: &Store, origins: &HashMap<String, i64>) -> Result<Vec<Delivery>, TaoDatabaseError> {
    let is_delivery = |bits: &i64| bits & EntityType::Delivery.bit() != 0;
    let keys: Vec<Key> =
        origins.iter().filter(|(_, bits)| is_delivery(bits)).map(|(uri, _)| Key::Uri(uri.clone())).collect();
    let found = store.entities_find(&keys).await?.into_values().flatten();
    let mut deliveries: Vec<Delivery> = found.map(|stored| Delivery::of(&stored.entity)).collect();
    deliveries.sort_by(|a, b| a.uri.cmp(&b.uri));
    Ok(deliveries)
}
