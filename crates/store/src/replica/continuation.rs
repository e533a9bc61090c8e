//! What a local server shows central of itself, and what it does when central went back.

use taosync_model::OrgId;
use taosync_model::continuation::{Claim, Shown};
use taosync_model::receipt_mark::ReceiptMark;
use taosync_vault::random;
use uuid::Uuid;

use crate::{Durability, Store, StoreError, Tx};

impl Store {
    /// What to show central at the next sync. The word for it is chosen only now and is on the disk before anybody sees
    /// it: a copy that was made at rest chooses another one.
    pub async fn continuation_prepare(&self, scope: i64) -> Result<Shown, StoreError> {
        let replica = self.replica_again(scope).await?;
        if replica.continuation.next.is_some() {
            return Ok(replica.continuation);
        }
        let word = hex::encode(random::bytes::<8>());
        let mut tx = self.write("continuation_prepare", Durability::Flushed).await?;
        let sql = tx.sql();
        let query =
            sqlx::query("UPDATE replica_scope SET next_continuation = $2 WHERE id = $1 AND next_continuation IS NULL");
        query.bind(scope).bind(word).execute(tx.conn()).await.map_err(sql)?;
        tx.commit().await?;
        Ok(self.replica_again(scope).await?.continuation)
    }

    /// A person's word that this machine is the one that goes on (`taosync node adopt`), for all its organisations.
    pub async fn continuation_adopt(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let sql = tx.sql();
        let query = sqlx::query("UPDATE replica_scope SET claim = $1").bind(Claim::Adopted.as_str());
        query.execute(tx.conn()).await.map_err(sql)?;
        Ok(())
    }

    /// The newest receipt held for an organisation whose item could be handed in again.
    pub async fn receipt_newest(&self, org: &OrgId) -> Result<Option<ReceiptMark>, StoreError> {
        let row: Option<(i64, Vec<u8>, Uuid)> = sqlx::query_as(
            "SELECT o.receipt_no, o.digest, r.epoch FROM outbox o CROSS JOIN outbox_receipt r ON r.id = o.id
             WHERE o.state = 'sent' AND o.bytes IS NOT NULL AND o.org = $1 ORDER BY o.receipt_no DESC LIMIT 1",
        )
        .bind(org.as_str())
        .fetch_optional(&self.pools.readers)
        .await
        .map_err(StoreError::sql("receipt_newest"))?;
        let Some((number, digest, epoch)) = row else { return Ok(None) };
        let digest = taosync_model::Digest::from_slice(&digest).map_err(|_| StoreError::damaged("outbox.digest"))?;
        Ok(Some(ReceiptMark::new(number, digest, epoch)))
    }

    /// Central went back to an older state: in one transaction, everything it has confirmed waits again, whatever it
    /// says is safe there (its numbers may have been given to others since); positions are not trusted any more; and
    /// central is told so at the next sync. Says how many items wait again.
    pub async fn central_went_back(&self, org: &OrgId) -> Result<u64, StoreError> {
        let mut tx = self.write("central_went_back", Durability::Flushed).await?;
        let sql = tx.sql();
        let offered =
            sqlx::query("UPDATE outbox SET state = 'pending' WHERE state = 'sent' AND org = $1 AND bytes IS NOT NULL")
                .bind(org.as_str())
                .execute(tx.conn())
                .await
                .map_err(&sql)?
                .rows_affected();
        sqlx::query(
            "UPDATE replica_scope SET claim = CASE claim WHEN '' THEN $2 ELSE claim END, compare_due = 1,
                 safe_receipt_no = 0, top_receipt_no = 0 WHERE org = $1",
        )
        .bind(org.as_str())
        .bind(Claim::CentralWentBack.as_str())
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await?;
        Ok(offered)
    }
}

impl Tx {
    /// The step that was shown is taken. Another sync may have taken it, and begun the next one, meanwhile.
    pub(super) async fn continuation_done(&mut self, scope: i64, shown: &Shown, steps: u64) -> Result<(), StoreError> {
        let sql = self.sql();
        sqlx::query(
            "UPDATE replica_scope SET steps = $3, continuation = $2, next_continuation = NULL,
                 claim = CASE claim WHEN $4 THEN '' ELSE claim END
             WHERE id = $1 AND next_continuation = $2",
        )
        .bind(scope)
        .bind(&shown.next)
        .bind(i64::try_from(steps).unwrap_or(i64::MAX))
        .bind(shown.claim.as_str())
        .execute(self.conn())
        .await
        .map_err(sql)?;
        Ok(())
    }
}
