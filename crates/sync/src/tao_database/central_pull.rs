//! Central: TAO's data become what is true here. Reading and planning; the change itself is made as every other one, under
//! the guard of removals.

mod packages;

use std::collections::{BTreeSet, HashMap};

use taosync_model::{Digest, Entity, EntityType, vocabulary};
use taosync_store::Store;
use taosync_store::entities::{Change, Key};
use taosync_store::tao::Pulled;
use taosync_tao::read::entities::{self, Taken};
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
    Changed(Pull),
}

/// What is to be brought in.
#[derive(Debug)]
pub struct Pull {
    /// Everything TAO has, and what it has no more; what is equal is dropped when it is applied.
    pub changes: Vec<Change>,
    /// To be noted with it.
    pub pulled: Pulled,
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
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
    let taken = entities::read(&mut reading, store.fields()).await?;
    drop(reading);
    let published = published(store, &taken).await?;
    Ok(Found::Changed(plan(taken, &origins, published, seen)))
}

/// Another choice of fields is another picture of the same data.
fn choice(store: &Store) -> String {
    // Unwrap safety: lists of texts, which always serialise.
    let text = serde_json::to_vec(store.fields()).unwrap_or_default();
    hex::encode(&Digest::of(&text).0[..8])
}

/// What the changes are. A type that an entity has no more is taken from it by removing it first.
fn plan(
    taken: Vec<Taken>,
    origins: &HashMap<String, i64>,
    mut published: HashMap<String, Entity>,
    seen: String,
) -> Pull {
    let present: BTreeSet<&str> = taken.iter().map(|taken| taken.entity.uri.as_str()).collect();
    let mut gone: Vec<String> = origins.keys().filter(|uri| !present.contains(uri.as_str())).cloned().collect();
    gone.sort_unstable();
    let deliveries = taken.iter().filter(|taken| taken.types.contains(&EntityType::Delivery));
    let deliveries = deliveries.map(|taken| Delivery::of(&taken.entity)).collect();
    let mut changes: Vec<Change> = gone.iter().cloned().map(Change::Remove).collect();
    let mut arrived = Vec::with_capacity(taken.len());
    for Taken { types, mut entity } in taken {
        let bits = types.iter().map(|entity_type| entity_type.bit()).sum::<i64>();
        let before = origins.get(&entity.uri).copied().unwrap_or(bits);
        if before & !bits != 0 {
            changes.push(Change::Remove(entity.uri.clone()));
        }
        if let Some(known) = published.remove(&entity.uri) {
            (entity.package, entity.other) = (known.package, known.other);
        }
        if before != bits || !origins.contains_key(&entity.uri) {
            arrived.push((entity.uri.clone(), bits));
        }
        changes.extend(types.iter().map(|&entity_type| Change::Upsert(entity_type, entity.clone())));
    }
    Pull { changes, pulled: Pulled { arrived, gone, seen }, deliveries }
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
