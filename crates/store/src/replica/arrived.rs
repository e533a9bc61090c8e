//! What came from a TAO central and waits for the switch. A sync that is cut leaves it here, and the next one asks for the
//! rest only. It may be lost with the power, and is dropped when it no longer opens: it can be asked for again.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;
use taosync_model::tao::TaoChecksum;
use taosync_model::{Entity, EntityType};

use crate::{Durability, Store, StoreError, rows};

const TABLE: &str = "tao_arrival";
const COLUMN: &str = "body";

/// An entity with the checksum that its properties were found to have.
pub type Arrived = (Entity, TaoChecksum);

impl Store {
    /// Keeps what came, in place of what came before under the same URIs.
    pub async fn arrivals_keep(
        &self,
        scope: i64,
        entity_type: EntityType,
        arrived: &[(&Entity, TaoChecksum)],
    ) -> Result<(), StoreError> {
        if arrived.is_empty() {
            return Ok(());
        }
        let sealed: Vec<(&str, TaoChecksum, Vec<u8>)> = arrived
            .iter()
            .map(|(entity, checksum)| {
                // Unwrap safety: an entity has text keys only, so JSON cannot fail.
                let body = serde_json::to_vec(entity).unwrap_or_default();
                let sealed = self.seal(TABLE, &row_of(scope, entity_type, &entity.uri), COLUMN, &body);
                (entity.uri.as_str(), *checksum, sealed)
            })
            .collect();
        let mut tx = self.write("arrivals_keep", Durability::Relaxed).await?;
        let sql = tx.sql();
        rows::insert(
            tx.conn(),
            "INSERT INTO tao_arrival (scope, type, uri, tao_md5, body) ",
            &sealed,
            "ON CONFLICT (scope, type, uri) DO UPDATE SET tao_md5 = excluded.tao_md5, body = excluded.body",
            |mut row, (uri, checksum, body)| {
                row.push_bind(scope).push_bind(entity_type.code()).push_bind(*uri);
                row.push_bind(checksum.0.to_vec()).push_bind(body.as_slice());
            },
        )
        .await
        .map_err(sql)?;
        tx.commit().await
    }

    /// What an earlier sync left of a type.
    pub async fn arrivals_kept(
        &self,
        scope: i64,
        entity_type: EntityType,
    ) -> Result<BTreeMap<String, Arrived>, StoreError> {
        let found: Vec<(String, Vec<u8>, Vec<u8>)> =
            sqlx::query_as("SELECT uri, tao_md5, body FROM tao_arrival WHERE scope = $1 AND type = $2")
                .bind(scope)
                .bind(entity_type.code())
                .fetch_all(&self.pools.readers)
                .await
                .map_err(StoreError::sql("arrivals_kept"))?;
        let open = |(uri, md5, sealed): (String, Vec<u8>, Vec<u8>)| {
            let body = self.unseal(TABLE, &row_of(scope, entity_type, &uri), COLUMN, &sealed).ok()?;
            Some((uri, (serde_json::from_slice(&body).ok()?, TaoChecksum::from_slice(&md5).ok()?)))
        };
        Ok(found.into_iter().filter_map(open).collect())
    }

    /// Drops what does not count any more, because central lists it otherwise.
    pub async fn arrivals_drop(&self, scope: i64, entity_type: EntityType, uris: &[&str]) -> Result<(), StoreError> {
        if uris.is_empty() {
            return Ok(());
        }
        let mut tx = self.write("arrivals_drop", Durability::Relaxed).await?;
        let sql = tx.sql();
        sqlx::query(
            "DELETE FROM tao_arrival WHERE scope = $1 AND type = $2 AND uri IN (SELECT value FROM json_each($3))",
        )
        .bind(scope)
        .bind(entity_type.code())
        .bind(rows::text_array(uris.iter().copied()))
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await
    }
}

/// What has become visible waits no more.
pub(super) async fn forget(
    conn: &mut SqliteConnection,
    scope: i64,
    types: impl Iterator<Item = EntityType>,
) -> Result<(), sqlx::Error> {
    let codes: Vec<i64> = types.map(EntityType::code).collect();
    sqlx::query("DELETE FROM tao_arrival WHERE scope = $1 AND type IN (SELECT value FROM json_each($2))")
        .bind(scope)
        .bind(serde_json::Value::from(codes).to_string())
        .execute(conn)
        .await?;
    Ok(())
}

fn row_of(scope: i64, entity_type: EntityType, uri: &str) -> Vec<u8> {
    [&scope.to_le_bytes()[..], &entity_type.code().to_le_bytes()[..], uri.as_bytes()].concat()
}
