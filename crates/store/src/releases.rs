//! When packages open: at central, from when on a key is handed out, and who holds it under an unlock code before; at
//! local, what central said of it, and the key under that code.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use taosync_model::delivery::PackageRef;
use uuid::Uuid;

use crate::packages::{ChunkRef, PackageContents};
use crate::values::Record;
use crate::{Durability, Store, StoreError, Tx, rows};

/// Whether unlock codes open a package before its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    /// One for each machine.
    Given,
    /// None: the network is needed at the time of release.
    None,
}

/// When a package opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// From then on central hands out the key.
    pub at: Timestamp,
    /// What opens it before.
    pub codes: Codes,
}

/// A machine that holds a key under its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coded {
    /// The machine.
    pub node: Uuid,
    /// Since when.
    pub at: Timestamp,
}

impl Tx {
    /// Sets when a package opens; `None`: at once.
    pub async fn release_set(&mut self, package: Uuid, release: Option<&Release>) -> Result<(), StoreError> {
        let sql = self.sql();
        let Some(release) = release else {
            let query = sqlx::query("DELETE FROM package_release WHERE package = $1").bind(package);
            query.execute(self.conn()).await.map_err(sql)?;
            return Ok(());
        };
        sqlx::query(
            "INSERT INTO package_release (package, release_at, codes) VALUES ($1, $2, $3)
             ON CONFLICT (package) DO UPDATE SET release_at = excluded.release_at, codes = excluded.codes",
        )
        .bind(package)
        .bind(release.at.as_millisecond())
        .bind(i64::from(release.codes == Codes::Given))
        .execute(self.conn())
        .await
        .map_err(sql)?;
        Ok(())
    }
}

impl Store {
    /// When these packages open, those that have a time.
    pub async fn releases_of(&self, packages: &[Uuid]) -> Result<HashMap<Uuid, Release>, StoreError> {
        let rows = sqlx::query(
            "SELECT r.package, r.release_at, r.codes FROM json_each($1) j
             CROSS JOIN package_release r ON r.package = unhex(j.value)",
        )
        .bind(rows::id_array(packages))
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("releases_of"))?;
        rows.iter().map(|row| Ok((Record::new("package_release", row).get("package")?, release(row)?))).collect()
    }

    /// When one package opens.
    pub async fn release_of(&self, package: Uuid) -> Result<Option<Release>, StoreError> {
        Ok(self.releases_of(&[package]).await?.remove(&package))
    }

    /// Central: a machine has got the keys of these packages under its code. Known ones stay as they are.
    pub async fn codes_note(&self, packages: &[Uuid], node: Uuid) -> Result<(), StoreError> {
        let known: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM json_each($1) j
             CROSS JOIN package_coded c ON c.package = unhex(j.value) AND c.node = $2",
        )
        .bind(rows::id_array(packages))
        .bind(node)
        .fetch_one(&self.pools.readers)
        .await
        .map_err(StoreError::sql("codes_note"))?;
        if known == packages.len() as i64 {
            // Nothing is written: a machine asks at every sync until the release.
            return Ok(());
        }
        let mut tx = self.write("codes_note", Durability::Flushed).await?;
        let (sql, now) = (tx.sql(), self.now_ms());
        let head = "INSERT INTO package_coded (package, node, at) ";
        rows::insert(tx.conn(), head, packages, "ON CONFLICT DO NOTHING", |mut row, package| {
            row.push_bind(*package).push_bind(node).push_bind(now);
        })
        .await
        .map_err(sql)?;
        tx.commit().await
    }

    /// Central: a machine was given the keys of these packages.
    pub async fn keys_note(&self, packages: &[Uuid], node: Uuid) -> Result<(), StoreError> {
        let mut tx = self.write("keys_note", Durability::Flushed).await?;
        let (sql, now) = (tx.sql(), self.now_ms());
        let head = "INSERT INTO package_given (package, node, at) ";
        rows::insert(tx.conn(), head, packages, "ON CONFLICT DO NOTHING", |mut row, package| {
            row.push_bind(*package).push_bind(node).push_bind(now);
        })
        .await
        .map_err(sql)?;
        tx.commit().await
    }

    /// Central: the machines that hold the key of a package under their code and are not shut out.
    pub async fn codes_given(&self, package: Uuid) -> Result<Vec<Coded>, StoreError> {
        let rows = sqlx::query(
            "SELECT c.node, c.at FROM package_coded c CROSS JOIN node n ON n.id = c.node AND n.revoked_at IS NULL
             WHERE c.package = $1 ORDER BY c.at, c.node",
        )
        .bind(package)
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("codes_given"))?;
        let coded = |row: &SqliteRow| {
            let row = Record::new("package_coded", row);
            Ok(Coded { node: row.get("node")?, at: row.time("at")? })
        };
        rows.iter().map(coded).collect()
    }

    /// Central: the chunks of a package, the one of its list of files too, in the order of their names.
    pub async fn package_chunks(&self, package: Uuid, limit: u32) -> Result<Vec<ChunkRef>, StoreError> {
        let rows = sqlx::query(
            "SELECT c.name, c.bytes FROM package_chunk pc CROSS JOIN chunk c ON c.name = pc.chunk
             WHERE pc.package = $1 ORDER BY pc.chunk LIMIT $2",
        )
        .bind(package)
        .bind(limit)
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("package_chunks"))?;
        let chunk = |row: &SqliteRow| {
            let row = Record::new("chunk", row);
            Ok(ChunkRef { name: row.digest("name")?, bytes: row.number("bytes")? })
        };
        rows.iter().map(chunk).collect()
    }

    /// Local: all ciphertext of a package is here, and central says when it opens. `locked` is the key under this
    /// machine's key and its code; without one, what was there stays.
    pub async fn package_locked(
        &self,
        id: Uuid,
        reference: &PackageRef,
        release: &Release,
        locked: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let contents = PackageContents { reference: Some(reference), ..PackageContents::default() };
        self.package_ready(id, &contents).await?;
        let mut tx = self.write("package_locked", Durability::Flushed).await?;
        tx.release_set(id, Some(release)).await?;
        let sql = tx.sql();
        sqlx::query("UPDATE package_release SET locked = coalesce($2, locked) WHERE package = $1")
            .bind(id)
            .bind(locked)
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        tx.commit().await
    }

    /// Local: the key of a package under this machine's key and its code.
    pub async fn package_locked_key(&self, id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        let found: Option<Option<Vec<u8>>> =
            sqlx::query_scalar("SELECT locked FROM package_release WHERE package = $1")
                .bind(id)
                .fetch_optional(&self.pools.readers)
                .await
                .map_err(StoreError::sql("package_locked_key"))?;
        Ok(found.flatten())
    }
}

fn release(row: &SqliteRow) -> Result<Release, StoreError> {
    let row = Record::new("package_release", row);
    let codes = if row.flag("codes")? { Codes::Given } else { Codes::None };
    Ok(Release { at: row.time("release_at")?, codes })
}
