//! Consumers whose sync manager is gone: removed, erased, or not of their organisations any more (docs/KEYS.md).

use std::collections::{BTreeSet, HashMap};

use taosync_model::{Entity, EntityType, OrgId, vocabulary as v};
use taosync_store::entities::{Key, Stored};
use taosync_store::tao::HandshakeConsumer;
use taosync_store::{Store, StoreError};
use uuid::Uuid;

use super::login::orgs_among;

/// A consumer that goes on without its sync manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Its client key.
    pub client_key: String,
    /// The organisations that its manager is not of; all of its own when there is no such manager any more.
    pub orgs: Vec<OrgId>,
}

/// Those there are now.
pub async fn look(store: &Store) -> Result<Vec<Orphan>, StoreError> {
    let consumers = store.handshake_consumers().await?;
    Ok(among(store, &consumers).await?.into_iter().map(|(_, orphan)| orphan).collect())
}

/// Notes those there are now. Gives the client keys of those that were none before, which stand in the audit log then.
pub async fn note(store: &Store) -> Result<Vec<String>, StoreError> {
    let consumers = store.handshake_consumers().await?;
    let orphans: BTreeSet<Uuid> = among(store, &consumers).await?.into_iter().map(|(id, _)| id).collect();
    let noted = consumers.iter().filter(|consumer| consumer.orphaned_at.is_some()).map(|consumer| consumer.id);
    if noted.collect::<BTreeSet<_>>() == orphans {
        return Ok(Vec::new());
    }
    store.orphans_note(&orphans).await
}

async fn among(store: &Store, consumers: &[HandshakeConsumer]) -> Result<Vec<(Uuid, Orphan)>, StoreError> {
    if consumers.is_empty() {
        return Ok(Vec::new());
    }
    let orgs = orgs_of_managers(store, consumers).await?;
    let orphan = |consumer: &HandshakeConsumer| {
        let theirs = orgs.get(consumer.manager.as_str()).map_or(&[][..], Vec::as_slice);
        let lost: Vec<OrgId> = consumer.orgs.iter().filter(|org| !theirs.contains(org)).cloned().collect();
        let is_orphan = !lost.is_empty() || theirs.is_empty();
        is_orphan.then(|| (consumer.id, Orphan { client_key: consumer.client_key.clone(), orgs: lost }))
    };
    Ok(consumers.iter().filter_map(orphan).collect())
}

/// The organisations of those who are sync managers, by URI.
async fn orgs_of_managers(
    store: &Store,
    consumers: &[HandshakeConsumer],
) -> Result<HashMap<String, Vec<OrgId>>, StoreError> {
    let uris: BTreeSet<&str> = consumers.iter().map(|consumer| consumer.manager.as_str()).collect();
    let keys: Vec<Key> = uris.into_iter().map(|uri| Key::Uri(uri.to_owned())).collect();
    let is_manager = |stored: &Stored| stored.types.contains(&EntityType::SyncManager);
    let managers = store.entities_find(&keys).await?.into_values().flatten().filter(is_manager);
    let managers: Vec<Entity> = managers.map(|stored| stored.entity).collect();
    let centers = managers.iter().flat_map(|manager| manager.values(v::ASSIGNED_SYNC_USER));
    let centers: BTreeSet<String> = centers.map(|center| center.text.clone()).collect();
    let centers = store.entities_find(&centers.into_iter().map(Key::Uri).collect::<Vec<_>>()).await?;
    Ok(managers.into_iter().map(|manager| (manager.uri.clone(), orgs_among(&manager, &centers))).collect())
}
