//! What a TAO central's lists came to: everything of a sync becomes visible in one transaction, with the checksums that
//! tell the next sync what has not changed.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;
use taosync_model::EntityType;
use taosync_model::tao::TaoChecksum;

use super::apply::{AppliedChunk, Chunk, RemovalRule};
use super::arrived;
use crate::{Durability, Store, StoreError};

/// Checksums written by one statement.
const AT_ONCE: usize = 5_000;

/// Everything a sync brings.
#[derive(Debug, Default)]
pub struct Staged {
    /// Entities and removals.
    pub chunk: Chunk,
    /// The checksum central gave with each entity of the chunk; none when it is to be asked for again.
    pub checksums: Vec<(EntityType, String, Option<TaoChecksum>)>,
}

impl Store {
    /// Applies what was staged, all of it or nothing.
    pub async fn replica_switch(
        &self,
        scope: i64,
        staged: Staged,
        rules: &BTreeMap<EntityType, RemovalRule>,
    ) -> Result<AppliedChunk, StoreError> {
        let mut tx = self.write("replica_switch", Durability::Flushed).await?;
        let types: Vec<EntityType> = staged.chunk.positions.keys().copied().collect();
        let applied = self.apply(&mut tx, scope, staged.chunk, rules).await?;
        let sql = tx.sql();
        write_checksums(tx.conn(), scope, &staged.checksums).await.map_err(&sql)?;
        arrived::forget(tx.conn(), scope, types.into_iter()).await.map_err(sql)?;
        tx.commit().await?;
        Ok(applied)
    }

    /// URI and checksum of every entity of a type.
    pub async fn replica_checksums(
        &self,
        scope: i64,
        entity_type: EntityType,
    ) -> Result<BTreeMap<String, Option<TaoChecksum>>, StoreError> {
        let mut snapshot = self.read("replica_checksums").await?;
        let sql = snapshot.sql();
        let found: Vec<(String, Option<Vec<u8>>)> =
            sqlx::query_as("SELECT uri, tao_md5 FROM replica_entry WHERE scope = $1 AND type = $2")
                .bind(scope)
                .bind(entity_type.code())
                .fetch_all(snapshot.conn())
                .await
                .map_err(sql)?;
        let checksum = |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| TaoChecksum::from_slice(&bytes).ok());
        Ok(found.into_iter().map(|(uri, bytes)| (uri, checksum(bytes))).collect())
    }
}

async fn write_checksums(
    conn: &mut SqliteConnection,
    scope: i64,
    checksums: &[(EntityType, String, Option<TaoChecksum>)],
) -> Result<(), sqlx::Error> {
    for part in checksums.chunks(AT_ONCE) {
        let list: Vec<_> =
            part.iter().map(|(t, uri, checksum)| (t.code(), uri, checksum.map(|c| c.to_string()))).collect();
        // The rows are found first, and keys before rows: SQLite takes every list to be short.
        sqlx::query(
            "WITH found AS MATERIALIZED (
                 SELECT e.id, unhex(j.value ->> 2) AS md5 FROM json_each($1) j
                 CROSS JOIN replica_entry e ON e.uri = j.value ->> 1 AND e.scope = $2 AND e.type = j.value ->> 0)
             UPDATE replica_entry SET tao_md5 = found.md5 FROM found WHERE replica_entry.id = found.id",
        )
        .bind(serde_json::to_string(&list).unwrap_or_default())
        .bind(scope)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
