//! The whole of an org's scope at once, for a comparison with a replica whose positions cannot be trusted.

use std::collections::HashMap;

use taosync_model::canonical::link_member;
use taosync_model::{Digest, EntityType, OrgId, Value};
use uuid::Uuid;

use super::{EntryRow, Row};
use crate::{Store, StoreError, predicates, rows};

impl Store {
    /// URI and digest of every present entity of a type.
    pub async fn scope_listing(
        &self,
        scope: i64,
        entity_type: EntityType,
    ) -> Result<HashMap<String, Digest>, StoreError> {
        let mut snapshot = self.read("scope_listing").await?;
        let sql = snapshot.sql();
        let found: Vec<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT e.uri, s.digest FROM scope_entry s JOIN entity e ON e.id = s.entity
             WHERE s.scope = $1 AND s.type = $2 AND s.present = 1",
        )
        .bind(scope)
        .bind(entity_type.code())
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        Ok(found.into_iter().map(|(uri, digest)| (uri, Digest::from_slice(&digest).unwrap_or_default())).collect())
    }

    /// The words about these entities, at most [`super::PAGE_ROWS`] of them.
    pub async fn scope_rows(
        &self,
        scope: i64,
        org: &OrgId,
        entity_type: EntityType,
        uris: &[String],
    ) -> Result<Vec<Row>, StoreError> {
        let mut snapshot = self.read("scope_rows").await?;
        let sql = snapshot.sql();
        // CROSS JOIN keeps the order: SQLite thinks an array is short, and would walk the whole scope for each.
        let entries: Vec<EntryRow> = sqlx::query_as(
            "SELECT s.seq, s.entity, s.present, s.filtered, e.uri, CASE WHEN s.present = 1 THEN e.body END
             FROM json_each($3) j CROSS JOIN entity e ON e.uri = j.value
             CROSS JOIN scope_entry s ON s.scope = $1 AND s.type = $2 AND s.entity = e.id ORDER BY s.seq",
        )
        .bind(scope)
        .bind(entity_type.code())
        .bind(rows::text_array(uris.iter().map(String::as_str)))
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        self.entry_rows(&mut snapshot, scope, org, entity_type, entries, i64::MAX).await
    }

    /// Every present link of a type with its hash.
    pub async fn scope_links(&self, scope: i64, entity_type: EntityType) -> Result<Vec<(Digest, Row)>, StoreError> {
        let mut snapshot = self.read("scope_links").await?;
        let sql = snapshot.sql();
        let names = predicates::names(snapshot.conn()).await.map_err(&sql)?;
        type Found = (i64, i64, Uuid, String, Option<String>, Option<Vec<u8>>);
        let found: Vec<Found> = sqlx::query_as(
            "SELECT s.seq, s.predicate, s.value_id, o.uri, t.uri, l.value
             FROM scope_link s JOIN entity o ON o.id = s.owner LEFT JOIN entity t ON t.id = s.value_id
             LEFT JOIN literal_link l ON l.owner = s.owner AND l.predicate = s.predicate AND l.value_id = s.value_id
             WHERE s.scope = $1 AND s.type = $2 AND s.present = 1",
        )
        .bind(scope)
        .bind(entity_type.code())
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let mut list = Vec::with_capacity(found.len());
        for (seq, code, value_id, owner, target, literal) in found {
            let value = match (target, literal) {
                (Some(uri), _) => Value::plain(uri),
                (None, Some(sealed)) => self.open_literal(value_id, &sealed)?,
                (None, None) => return Err(StoreError::damaged(format!("a link of {owner}"))),
            };
            let predicate = names.get(&code).cloned().unwrap_or_default();
            let member = link_member(&owner, &predicate, &value);
            list.push((member, Row::Link { seq, owner, predicate, value, present: true }));
        }
        Ok(list)
    }
}
