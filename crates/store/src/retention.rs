//! Which versions of packages stay: what is named, what may be taken back, what somebody works on. The others are
//! forgotten after a while, and their chunks become garbage ([`crate::chunks`]).

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use taosync_model::EntityType;

use crate::values::json_text;
use crate::{Durability, Store, StoreError};

/// Newest versions of a delivery that stay: the one in use, and the one before it, which it may be taken back to.
const KEPT: i64 = 2;

impl Store {
    /// Central: forgets versions that came before `before` and are neither of the newest two published ones of a delivery
    /// that is there. The newest of a delivery that is gone stays as a name without chunks: no number is given twice.
    /// Says how many are forgotten.
    pub async fn packages_retire_at_central(&self, before: Timestamp) -> Result<u64, StoreError> {
        let old = format!(
            "SELECT p.id FROM package p WHERE p.at < $1 AND p.state IN ('published', 'withdrawn')
             AND ((SELECT count(*) FROM package n
                   WHERE n.delivery = p.delivery AND n.state = 'published' AND n.version > p.version) >= {KEPT}
                  OR NOT EXISTS (SELECT 1 FROM entity e WHERE e.uri = p.delivery AND e.body IS NOT NULL))
             AND (EXISTS (SELECT 1 FROM package_chunk k WHERE k.package = p.id)
                  OR p.version < (SELECT max(n.version) FROM package n WHERE n.delivery = p.delivery))"
        );
        self.packages_retire(&old, before, "[]").await
    }

    /// Local: forgets versions that came before `before`, that central does not name (`named`: delivery and version),
    /// that are neither of the newest two ready ones of a delivery that is there, and that no execution runs on or can
    /// be taken up again on. Says how many.
    pub async fn packages_retire_at_local(
        &self,
        named: &[(String, u32)],
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        let old = format!(
            "SELECT p.id FROM package p WHERE p.at < $1 AND p.state IN ('fetching', 'ready', 'failed')
             AND NOT EXISTS (SELECT 1 FROM json_each($2) j
                             WHERE j.value ->> 0 = p.delivery AND j.value ->> 1 = p.version)
             AND NOT EXISTS (SELECT 1 FROM execution x WHERE x.delivery = p.delivery AND x.package_version = p.version
                             AND (x.state NOT IN ('finished', 'terminated', 'canceled') OR x.resume_until IS NOT NULL))
             AND ((SELECT count(*) FROM package n
                   WHERE n.delivery = p.delivery AND n.state = 'ready' AND n.version > p.version) >= {KEPT}
                  OR NOT EXISTS (SELECT 1 FROM replica_entry r WHERE r.uri = p.delivery AND r.type = {}))",
            EntityType::Delivery.code()
        );
        self.packages_retire(&old, before, &json_text(&named)?).await
    }

    /// Forgets what a query finds. Nothing is written where it finds nothing: a server looks every few minutes.
    async fn packages_retire(&self, old: &str, before: Timestamp, named: &str) -> Result<u64, StoreError> {
        let any = sqlx::query(AssertSqlSafe(format!("{old} LIMIT 1"))).bind(before.as_millisecond()).bind(named);
        let any = any.fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("packages_retire"))?;
        if any.is_none() {
            return Ok(0);
        }
        let mut tx = self.write("packages_retire", Durability::Flushed).await?;
        let mut forgotten = 0;
        for statement in [
            format!("DELETE FROM package_chunk WHERE package IN ({old})"),
            format!("DELETE FROM package_release WHERE package IN ({old})"),
            format!("DELETE FROM package_coded WHERE package IN ({old})"),
            format!("DELETE FROM package WHERE id IN ({old})"),
        ] {
            let sql = tx.sql();
            let query = sqlx::query(AssertSqlSafe(statement)).bind(before.as_millisecond()).bind(named);
            forgotten = query.execute(tx.conn()).await.map_err(sql)?.rows_affected();
        }
        tx.commit().await?;
        Ok(forgotten)
    }
}
