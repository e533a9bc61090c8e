//! Removals that wait for a person: what they make up of a replica, and when there is nothing to wait for any more.

use std::collections::BTreeMap;

use taosync_model::canonical::entry_member;
use taosync_model::{Digest, EntityType, SetDigest};

use crate::{Durability, Store, StoreError};

/// What the entities that are only kept until somebody agrees make up of a type.
#[derive(Clone, Copy, Debug)]
pub struct HeldWeight {
    /// Sum of their hashes.
    pub digest: SetDigest,
    /// How many they are.
    pub count: i64,
}

impl Store {
    /// What held removals make up of each type: without it, a replica is what central has.
    pub async fn removals_weight(&self, scope: i64) -> Result<BTreeMap<EntityType, HeldWeight>, StoreError> {
        let mut snapshot = self.read("removals_weight").await?;
        let sql = snapshot.sql();
        let found: Vec<(i64, String, Vec<u8>)> = sqlx::query_as(
            "SELECT h.type, h.uri, e.digest FROM held_removal h
             CROSS JOIN replica_entry e ON e.uri = h.uri AND e.scope = h.scope AND e.type = h.type
             WHERE h.scope = $1",
        )
        .bind(scope)
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        let mut weights = BTreeMap::new();
        for (code, uri, digest) in found {
            let Some(entity_type) = EntityType::from_code(code) else { continue };
            let digest = Digest::from_slice(&digest).map_err(|_| StoreError::damaged("the digest of a held entity"))?;
            let empty = HeldWeight { digest: SetDigest::EMPTY, count: 0 };
            let weight: &mut HeldWeight = weights.entry(entity_type).or_insert(empty);
            weight.digest.add(entry_member(&uri, digest));
            weight.count += 1;
        }
        Ok(weights)
    }

    /// Forgets the held removals of types that are equal to central as they are: nothing is left to be agreed to.
    pub async fn removals_settle(&self, scope: i64, types: &[EntityType]) -> Result<(), StoreError> {
        let codes: Vec<i64> = types.iter().map(|t| t.code()).collect();
        let mut tx = self.write("removals_settle", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query("DELETE FROM held_removal WHERE scope = $1 AND type IN (SELECT value FROM json_each($2))")
            .bind(scope)
            .bind(serde_json::to_string(&codes).unwrap_or_default())
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        tx.commit().await
    }
}
