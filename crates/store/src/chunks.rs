//! Chunks as the database knows them: which are here, who may have them, which are garbage. Their bytes are in
//! [`crate::blobs`]. On central a chunk has a row once a package that needs it is published; on local once it is on disk.

use std::collections::HashSet;

use jiff::Timestamp;
use taosync_model::{Digest, EntityType};
use uuid::Uuid;

use crate::packages::{ChunkRef, NewPackage};
use crate::values::digest_array;
use crate::{Durability, Store, StoreError, Tx, rows};

impl Store {
    /// Those of the named chunks that an org may fetch: they belong to a published package of a delivery that is in the
    /// scope now. Names that do not exist and names of other orgs are left out alike.
    pub async fn chunks_allowed(&self, scope: i64, names: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let allowed: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT DISTINCT pc.chunk FROM json_each($2) AS asked
             CROSS JOIN package_chunk pc ON pc.chunk = unhex(asked.value)
             CROSS JOIN package p ON p.id = pc.package AND p.state = 'published'
             CROSS JOIN entity e ON e.uri = p.delivery
             CROSS JOIN scope_entry s ON s.scope = $1 AND s.type = $3 AND s.entity = e.id AND s.present = 1",
        )
        .bind(scope)
        .bind(digest_array(names))
        .bind(EntityType::Delivery.code())
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("chunks_allowed"))?;
        in_order(names, &allowed)
    }

    /// Those of the named chunks that are not here, in the order given.
    pub async fn chunks_missing(&self, names: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let missing: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT unhex(value) FROM json_each($1) WHERE unhex(value) NOT IN (SELECT name FROM chunk)",
        )
        .bind(digest_array(names))
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("chunks_missing"))?;
        in_order(names, &missing)
    }

    /// Whether all chunks of a package are here, as far as the database knows.
    pub async fn package_has_chunks(&self, package: Uuid) -> Result<bool, StoreError> {
        let missing: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM package_chunk pc WHERE pc.package = $1
             AND NOT EXISTS (SELECT 1 FROM chunk c WHERE c.name = pc.chunk))",
        )
        .bind(package)
        .fetch_one(&self.pools.readers)
        .await
        .map_err(StoreError::sql("package_has_chunks"))?;
        Ok(!missing)
    }

    /// Takes hold of chunks before a package needs them: those that were about to be deleted stay. Answers with those
    /// that are not here and have to be written.
    pub async fn chunks_claim(&self, names: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let mut tx = self.write("chunks_claim", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query("UPDATE chunk SET dying_at = NULL WHERE name IN (SELECT unhex(value) FROM json_each($1))")
            .bind(digest_array(names))
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        tx.commit().await?;
        self.chunks_missing(names).await
    }

    /// Notes chunks whose bytes are on disk now. What is noted [relaxed](Durability::Relaxed) and lost with the power is
    /// fetched again.
    pub async fn chunks_add(&self, chunks: &[ChunkRef], durability: Durability) -> Result<(), StoreError> {
        let mut tx = self.write("chunks_add", durability).await?;
        tx.chunks_insert(chunks).await?;
        tx.commit().await
    }

    /// Marks chunks that no package has as dying, and says how many are newly so. Those that were dying and that a
    /// package has come to need live again, and their wait begins anew the next time.
    pub async fn chunks_mark_dying(&self) -> Result<u64, StoreError> {
        let is_right: bool = sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT 1 FROM chunk WHERE (dying_at IS NULL)
             = (NOT EXISTS (SELECT 1 FROM package_chunk WHERE chunk = chunk.name)))",
        )
        .fetch_one(&self.pools.readers)
        .await
        .map_err(StoreError::sql("chunks_mark_dying"))?;
        if is_right {
            // Nothing is written: a server looks every few minutes.
            return Ok(0);
        }
        let mut tx = self.write("chunks_mark_dying", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query(
            "UPDATE chunk SET dying_at = NULL
             WHERE dying_at IS NOT NULL AND EXISTS (SELECT 1 FROM package_chunk WHERE chunk = chunk.name)",
        )
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        let marked = sqlx::query(
            "UPDATE chunk SET dying_at = $1
             WHERE dying_at IS NULL AND NOT EXISTS (SELECT 1 FROM package_chunk WHERE chunk = chunk.name)",
        )
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(sql)?
        .rows_affected();
        tx.commit().await?;
        Ok(marked)
    }

    /// Those of the named chunks that have no row and that no package is about to fetch: perhaps garbage of a process
    /// that died. Ask again in a transaction before deleting one ([`Tx::chunks_unknown`]).
    pub async fn chunks_unknown(&self, names: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let query = sqlx::query_scalar(UNKNOWN).bind(digest_array(names));
        let unknown: Vec<Vec<u8>> =
            query.fetch_all(&self.pools.readers).await.map_err(StoreError::sql("chunks_unknown"))?;
        unknown.iter().map(|name| name_of(name)).collect()
    }

    /// Whether chunks have been dying since before `marked_before`.
    pub async fn chunks_are_dead(&self, marked_before: Timestamp) -> Result<bool, StoreError> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM chunk WHERE dying_at < $1)")
            .bind(marked_before.as_millisecond())
            .fetch_one(&self.pools.readers)
            .await
            .map_err(StoreError::sql("chunks_are_dead"))
    }

    /// All chunks with their sizes, for verification.
    pub async fn chunks_list(&self) -> Result<Vec<ChunkRef>, StoreError> {
        let rows: Vec<(Vec<u8>, i64)> = sqlx::query_as("SELECT name, bytes FROM chunk ORDER BY name")
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("chunks_list"))?;
        rows.iter().map(|(name, bytes)| Ok(ChunkRef { name: name_of(name)?, bytes: bytes.unsigned_abs() })).collect()
    }
}

const UNKNOWN: &str = "SELECT unhex(value) FROM json_each($1) WHERE unhex(value) NOT IN (SELECT name FROM chunk)
     AND unhex(value) NOT IN (SELECT chunk FROM package_chunk)";

impl Tx {
    /// [`Store::chunks_unknown`], while nobody else can note one.
    pub async fn chunks_unknown(&mut self, names: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let sql = self.sql();
        let query = sqlx::query_scalar(UNKNOWN).bind(digest_array(names));
        let unknown: Vec<Vec<u8>> = query.fetch_all(self.conn()).await.map_err(sql)?;
        unknown.iter().map(|name| name_of(name)).collect()
    }

    /// Takes up to `limit` chunks out of the database that have been dying since before `marked_before` and that no
    /// package has come to need. Delete their bytes before the commit: nobody can take hold of them meanwhile.
    pub async fn chunks_take_dead(&mut self, marked_before: Timestamp, limit: u32) -> Result<Vec<Digest>, StoreError> {
        let sql = self.sql();
        let names: Vec<Vec<u8>> = sqlx::query_scalar(
            "DELETE FROM chunk WHERE name IN
                 (SELECT name FROM chunk c WHERE dying_at < $1
                  AND NOT EXISTS (SELECT 1 FROM package_chunk WHERE chunk = c.name) LIMIT $2)
             RETURNING name",
        )
        .bind(marked_before.as_millisecond())
        .bind(limit)
        .fetch_all(self.conn())
        .await
        .map_err(sql)?;
        names.iter().map(|name| name_of(name)).collect()
    }

    /// Takes damaged or lost chunks out of the database, so that they are missing and fetched again.
    pub async fn chunks_forget(&mut self, names: &[Digest]) -> Result<(), StoreError> {
        let sql = self.sql();
        sqlx::query("DELETE FROM chunk WHERE name IN (SELECT unhex(value) FROM json_each($1))")
            .bind(digest_array(names))
            .execute(self.conn())
            .await
            .map_err(sql)?;
        Ok(())
    }

    /// Ties chunks to a package.
    pub(crate) async fn package_chunks_add(&mut self, package: Uuid, new: &NewPackage<'_>) -> Result<(), StoreError> {
        let sql = self.sql();
        rows::insert(
            self.conn(),
            "INSERT INTO package_chunk (chunk, package) ",
            &new.all_chunks(),
            "ON CONFLICT DO NOTHING",
            |mut row, chunk| {
                row.push_bind(chunk.name.0.to_vec()).push_bind(package);
            },
        )
        .await
        .map_err(sql)
    }

    /// Rows for chunks whose bytes are on disk; those that were dying stay.
    pub(crate) async fn chunks_insert(&mut self, chunks: &[ChunkRef]) -> Result<(), StoreError> {
        let sql = self.sql();
        rows::insert(
            self.conn(),
            "INSERT INTO chunk (name, bytes) ",
            chunks,
            "ON CONFLICT (name) DO UPDATE SET dying_at = NULL",
            |mut row, chunk| {
                row.push_bind(chunk.name.0.to_vec()).push_bind(chunk.bytes as i64);
            },
        )
        .await
        .map_err(sql)
    }
}

fn name_of(bytes: &[u8]) -> Result<Digest, StoreError> {
    Digest::from_slice(bytes).map_err(|_| StoreError::damaged("chunk.name"))
}

fn in_order(names: &[Digest], found: &[Vec<u8>]) -> Result<Vec<Digest>, StoreError> {
    let mut found = found.iter().map(|name| name_of(name)).collect::<Result<HashSet<_>, _>>()?;
    Ok(names.iter().copied().filter(|name| found.remove(name)).collect())
}
