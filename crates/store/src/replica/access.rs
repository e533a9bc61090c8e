//! The token of the last sync: while it lives, the next sync need not ask for one. Central looks at it in every request,
//! so a kept one is worth nothing once it is revoked there.

use zeroize::Zeroizing;

use crate::{Durability, Store, StoreError};

const TABLE: &str = "replica_access";
const COLUMN: &str = "value";

impl Store {
    /// Keeps an access, sealed. It may be lost with the power: another one is asked for then.
    pub async fn access_keep(&self, scope: i64, access: &[u8]) -> Result<(), StoreError> {
        let mut tx = self.write("access_keep", Durability::Relaxed).await?;
        let sql = tx.sql();
        sqlx::query(
            "INSERT INTO replica_access (scope, value) VALUES ($1, $2)
             ON CONFLICT (scope) DO UPDATE SET value = excluded.value",
        )
        .bind(scope)
        .bind(self.seal(TABLE, &scope.to_le_bytes(), COLUMN, access))
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await
    }

    /// The access that was kept; `None` also when it no longer opens, as another one can be had.
    pub async fn access_kept(&self, scope: i64) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let sealed: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM replica_access WHERE scope = $1")
            .bind(scope)
            .fetch_optional(&self.pools.readers)
            .await
            .map_err(StoreError::sql("access_kept"))?;
        let opened = sealed.and_then(|sealed| self.unseal(TABLE, &scope.to_le_bytes(), COLUMN, &sealed).ok());
        Ok(opened.map(Zeroizing::new))
    }
}
