//! Proofs of requests that may be made once only (RFC 9449 §11.1): remembered as long as they could be shown again.

use jiff::Timestamp;

use crate::{Durability, Store, StoreError};

impl Store {
    /// Remembers a proof by a hash of its key and identity; false when it was shown before. What the request then does
    /// is written after this to the same log, so that it is never kept without it.
    pub async fn proof_take(&self, id: &[u8; 16]) -> Result<bool, StoreError> {
        let mut tx = self.write("proof_take", Durability::Relaxed).await?;
        let sql = tx.sql();
        let taken = sqlx::query("INSERT INTO proof_seen (id, at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
            .bind(id.as_slice())
            .bind(self.now_ms())
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        tx.commit().await?;
        Ok(taken.rows_affected() > 0)
    }

    /// Forgets proofs that were shown before a time, and those from the future of a clock that was put right; says how
    /// many.
    pub async fn proofs_sweep(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.write("proofs_sweep", Durability::Relaxed).await?;
        let sql = tx.sql();
        let query = sqlx::query("DELETE FROM proof_seen WHERE at < $1 OR at > $2");
        let query = query.bind(before.as_millisecond()).bind(self.now_ms());
        let swept = query.execute(tx.conn()).await.map_err(sql)?.rows_affected();
        tx.commit().await?;
        Ok(swept)
    }
}
