//! Values that went with a removal that is held. Who may sit what stands in the values of test takers and eligibilities:
//! when central removes a delivery, the eligibility comes without it, and nobody could begin the exam whose removal
//! nobody has agreed to.

use std::collections::HashMap;

use sqlx::SqliteConnection;
use taosync_model::{Entity, EntityType, Value, vocabulary};
use uuid::Uuid;

use super::apply::Upsert;
use crate::{Store, StoreError, rows};

/// A value that an entity has no more: URI of the entity, predicate, URI of the other.
pub(super) type Lost = (String, String, String);

impl Store {
    /// What these test takers and eligibilities say of others now, and will say no more.
    pub(super) async fn values_lost(
        &self,
        conn: &mut SqliteConnection,
        fresh: &[(Uuid, Upsert)],
    ) -> Result<Vec<Lost>, StoreError> {
        let names_others =
            |upsert: &Upsert| matches!(upsert.entity_type, EntityType::TestTaker | EntityType::Eligibility);
        let new: HashMap<Uuid, &Upsert> =
            fresh.iter().filter(|(_, upsert)| names_others(upsert)).map(|(id, upsert)| (*id, upsert)).collect();
        let old: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
            "SELECT e.id, e.body FROM json_each($1) j CROSS JOIN replica_entry e ON e.id = unhex(j.value)",
        )
        .bind(rows::id_array(new.keys()))
        .fetch_all(conn)
        .await
        .map_err(StoreError::sql("values_lost"))?;
        let mut lost = Vec::new();
        for (id, sealed) in old {
            // What cannot be read any more says nothing.
            let (Some(upsert), Ok(before)) = (new.get(&id), self.open_replica(id, &sealed)) else { continue };
            let Ok(after) = serde_json::from_slice::<Entity>(&upsert.body) else { continue };
            for predicate in [vocabulary::USER_ASSIGNMENT, vocabulary::ELIGIBLE_DELIVERY] {
                let kept = after.values(predicate);
                let went = before.values(predicate).iter().filter(|value| !kept.contains(value));
                lost.extend(went.map(|value| (upsert.uri.clone(), predicate.to_owned(), value.text.clone())));
            }
        }
        Ok(lost)
    }
}

/// Notes values that went.
pub(super) async fn keep(conn: &mut SqliteConnection, scope: i64, lost: &[Lost]) -> Result<(), sqlx::Error> {
    rows::insert(
        conn,
        "INSERT INTO held_value (scope, owner, predicate, value) ",
        lost,
        "ON CONFLICT DO NOTHING",
        |mut row, (owner, predicate, value)| {
            row.push_bind(scope).push_bind(owner.clone()).push_bind(predicate.clone()).push_bind(value.clone());
        },
    )
    .await
}

/// Gives an entity back what it said of those that are held now.
pub(super) async fn add(conn: &mut SqliteConnection, scope: i64, entity: &mut Entity) -> Result<(), sqlx::Error> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT v.predicate, v.value FROM held_value v WHERE v.scope = $1 AND v.owner = $2
         AND EXISTS (SELECT 1 FROM held_removal h WHERE h.scope = v.scope AND h.uri = v.value)
         ORDER BY v.predicate, v.value",
    )
    .bind(scope)
    .bind(&entity.uri)
    .fetch_all(conn)
    .await?;
    for (predicate, value) in found {
        let value = Value::plain(value);
        if !entity.values(&predicate).contains(&value) {
            entity.push(&predicate, value);
        }
    }
    Ok(())
}

/// Forgets values that no held entity keeps; to be called when all words of a sync were heard.
pub(super) async fn forget(conn: &mut SqliteConnection, scope: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM held_value WHERE scope = $1 AND NOT EXISTS
         (SELECT 1 FROM held_removal h WHERE h.scope = held_value.scope AND h.uri = held_value.value)",
    )
    .bind(scope)
    .execute(conn)
    .await?;
    Ok(())
}
