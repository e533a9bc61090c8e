//! Every checksum made again: after another choice of fields, and when what is stored was mended.

use std::collections::HashMap;

use sqlx::SqliteConnection;
use taosync_model::tao::TaoChecksum;
use taosync_model::{EntityType, Property};
use uuid::Uuid;

use super::write_sums;
use crate::entities::checksum::{kept_links, links_count, unscoped_checksum};
use crate::{Store, StoreError};

/// Rows looked at in one go.
const PAGE: i64 = 1_000;

impl Store {
    /// Makes every checksum again from stored bodies and lists, and says how many were wrong. What does not open stays.
    pub(in crate::scopes) async fn checksums_refresh(&self, conn: &mut SqliteConnection) -> Result<u64, StoreError> {
        let sql = StoreError::sql("checksums_refresh");
        let mut wrong = 0;
        let mut after = Uuid::nil();
        while let Some(last) = self.refresh_entities(conn, after, &mut wrong).await? {
            after = last;
        }
        wrong += sqlx::query(
            "UPDATE scope_entry SET tao_md5 = e.tao_md5 FROM entity e
             WHERE e.id = scope_entry.entity AND e.links = 0 AND scope_entry.present = 1 AND scope_entry.filtered = 0
               AND scope_entry.tao_md5 IS NOT e.tao_md5",
        )
        .execute(&mut *conn)
        .await
        .map_err(&sql)?
        .rows_affected();
        let scopes = super::super::register::all(conn).await.map_err(&sql)?;
        for &scope in scopes.orgs.keys() {
            for entity_type in EntityType::FEED {
                let place = (scope, scopes.everything() == Some(scope));
                wrong += self.refresh_special(conn, place, entity_type).await?;
            }
        }
        Ok(wrong)
    }

    /// The next page of entities; its last row.
    async fn refresh_entities(
        &self,
        conn: &mut SqliteConnection,
        after: Uuid,
        wrong: &mut u64,
    ) -> Result<Option<Uuid>, StoreError> {
        let sql = StoreError::sql("refresh_entities");
        type Row = (Uuid, i64, Vec<u8>, Option<Vec<u8>>, i64);
        let found: Vec<Row> = sqlx::query_as(
            "SELECT id, types, body, tao_md5, links FROM entity
             WHERE id > $1 AND types > 0 AND body IS NOT NULL ORDER BY id LIMIT $2",
        )
        .bind(after)
        .bind(PAGE)
        .fetch_all(&mut *conn)
        .await
        .map_err(&sql)?;
        let ids: Vec<Uuid> = found.iter().map(|row| row.0).collect();
        let mut lists: HashMap<Uuid, Vec<Property>> = HashMap::new();
        for (owner, values) in self.links_of(conn, &ids).await? {
            let mut bearer = taosync_model::Entity::default();
            for (predicate, value) in values {
                bearer.push(&predicate, value);
            }
            lists.insert(owner, kept_links(&bearer.properties));
        }
        let mut right: Vec<(String, String, i64)> = Vec::new();
        for (id, types, sealed, stored, count) in found {
            let Ok(body) = self.open_body(id, &sealed) else { continue };
            let links = lists.remove(&id).unwrap_or_default();
            let checksum = unscoped_checksum(&body, &links, types, self.fields());
            if stored.as_deref() != Some(&checksum.0[..]) || count != links_count(&links) {
                right.push((id.simple().to_string(), checksum.to_string(), links_count(&links)));
            }
        }
        *wrong += right.len() as u64;
        sqlx::query(
            "UPDATE entity SET tao_md5 = unhex(j.value ->> 1), links = j.value ->> 2 FROM json_each($1) j
             WHERE entity.id = unhex(j.value ->> 0)",
        )
        .bind(serde_json::to_string(&right).unwrap_or_default())
        .execute(conn)
        .await
        .map_err(&sql)?;
        Ok(ids.last().copied())
    }

    /// Members whose view is not simply the entity.
    async fn refresh_special(
        &self,
        conn: &mut SqliteConnection,
        place: (i64, bool),
        entity_type: EntityType,
    ) -> Result<u64, StoreError> {
        let sql = StoreError::sql("refresh_special");
        let found: Vec<(Uuid, Option<Vec<u8>>)> = sqlx::query_as(
            "SELECT s.entity, s.tao_md5 FROM scope_entry s JOIN entity e ON e.id = s.entity
             WHERE s.scope = $1 AND s.type = $2 AND s.present = 1 AND (s.filtered = 1 OR e.links > 0)",
        )
        .bind(place.0)
        .bind(entity_type.code())
        .fetch_all(&mut *conn)
        .await
        .map_err(&sql)?;
        let mut wrong = 0;
        for part in found.chunks(super::AT_ONCE) {
            let ids: Vec<Uuid> = part.iter().map(|row| row.0).collect();
            let stored: HashMap<Uuid, Option<&[u8]>> = part.iter().map(|(id, sum)| (*id, sum.as_deref())).collect();
            let mut sums = Vec::new();
            for (id, _, shown) in self.tao_views(conn, place, entity_type, &ids).await? {
                let checksum = TaoChecksum::of(&shown);
                if stored.get(&id).copied().flatten() != Some(&checksum.0[..]) {
                    sums.push((place.0, entity_type.code(), id, checksum.to_string()));
                }
            }
            wrong += sums.len() as u64;
            write_sums(conn, &sums).await.map_err(&sql)?;
        }
        Ok(wrong)
    }
}
