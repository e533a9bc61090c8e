//! What central's answers do to the outbox: receipts, refusals, another try, and the end of the payload.

use jiff::Timestamp;
use serde_json::json;
use taosync_model::OrgId;
use taosync_model::item::{Receipt, Refusal};
use taosync_vault::receipts;
use uuid::Uuid;

use super::receipt::ReceiptKey;
use crate::rows;
use crate::values::{Record, cut, json_text};
use crate::{Durability, Store, StoreError, Tx};

/// Characters of a refusal's reason that are kept.
const REASON_CHARACTERS: usize = 500;

/// What happens to readable results once central holds them (`delete_after_send`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterReceipt {
    /// They stay readable here.
    Keep,
    /// They are not shown any more and what was saved during the attempt is erased. The sealed payload stays until
    /// [`Store::outbox_purge`].
    Hide,
}

/// What [`Store::outbox_mark_sent`] made of the receipts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    /// Items marked as sent.
    pub sent: u64,
    /// Receipts whose signature is not central's: nothing is marked on their word.
    pub forged: u64,
    /// Receipts of items or bytes that are not in the outbox.
    pub unknown: u64,
}

impl Store {
    /// Marks items as sent, in one transaction, on receipts that central has signed with `central_key`. Nothing is promised
    /// by it: an item whose mark is lost with the power is offered again, and answered `duplicate`. The record that closes
    /// the sync is flushed, and all marks with it.
    pub async fn outbox_mark_sent(
        &self,
        central_key: &[u8; 32],
        answers: &[Receipt],
        after: AfterReceipt,
    ) -> Result<Marked, StoreError> {
        let is_genuine = receipts::verify_receipts(central_key, answers);
        let genuine: Vec<&Receipt> = answers.iter().zip(is_genuine).filter_map(|(r, good)| good.then_some(r)).collect();
        let forged = answers.len().saturating_sub(genuine.len());
        let list: Vec<_> = genuine.iter().map(|receipt| receipt_row(receipt)).collect();
        let mut tx = self.write("outbox_mark_sent", Durability::Relaxed).await?;
        let marked = tx.outbox_mark(&json_text(&list)?, self.now_ms()).await?;
        tx.receipts_keep(&marked, &genuine).await?;
        if after == AfterReceipt::Hide {
            tx.hide_sent(genuine.iter().map(|receipt| &receipt.item)).await?;
        }
        tx.commit().await?;
        let sent = marked.len() as u64;
        Ok(Marked { sent, forged: forged as u64, unknown: (genuine.len() as u64).saturating_sub(sent) })
    }

    /// Notes refusals: the items stay, are shown, and wait for [`Store::outbox_retry`]. Says how many were noted.
    pub async fn outbox_mark_refused(&self, refusals: &[Refusal]) -> Result<u64, StoreError> {
        let list: Vec<_> = refusals
            .iter()
            .map(|r| {
                let (code, reason) = (cut(&r.code, 64), cut(&r.reason, REASON_CHARACTERS));
                json!({ "item": r.item.simple().to_string(), "version": r.version, "code": code, "reason": reason })
            })
            .collect();
        let mut tx = self.write("outbox_mark_refused", Durability::Flushed).await?;
        let sql = tx.sql();
        let refused = sqlx::query(
            "UPDATE outbox SET state = 'refused', tries = tries + 1, last_code = r.code, last_reason = r.reason
             FROM (SELECT unhex(value ->> 'item') AS item, value ->> 'version' AS version, value ->> 'code' AS code,
                       value ->> 'reason' AS reason FROM json_each($1)) AS r
             WHERE outbox.item = r.item AND outbox.version = r.version AND outbox.state = 'pending'",
        )
        .bind(json_text(&list)?)
        .execute(tx.conn())
        .await
        .map_err(sql)?
        .rows_affected();
        tx.commit().await?;
        Ok(refused)
    }

    /// Marks rows whose payload no longer opens.
    pub(super) async fn outbox_mark_damaged(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut tx = self.write("outbox_mark_damaged", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query(
            "UPDATE outbox SET state = 'refused', last_code = 'damaged',
                 last_reason = 'the stored payload cannot be read on this machine; run ''taosync verify'''
             WHERE id IN (SELECT unhex(value) FROM json_each($1))",
        )
        .bind(rows::id_array(ids))
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await
    }

    /// Lets refused items wait for hand-in again, and says how many.
    pub async fn outbox_retry(&self, items: &[Uuid]) -> Result<u64, StoreError> {
        let mut tx = self.write("outbox_retry", Durability::Flushed).await?;
        let sql = tx.sql();
        let query = sqlx::query(
            "UPDATE outbox SET state = 'pending'
             WHERE state = 'refused' AND item IN (SELECT unhex(value) FROM json_each($1))",
        );
        let retried = query.bind(rows::id_array(items)).execute(tx.conn()).await.map_err(sql)?.rows_affected();
        tx.commit().await?;
        Ok(retried)
    }

    /// Lets all refused items wait for hand-in again, and says how many.
    pub async fn outbox_retry_all(&self) -> Result<u64, StoreError> {
        let mut tx = self.write("outbox_retry_all", Durability::Flushed).await?;
        let sql = tx.sql();
        let query = sqlx::query("UPDATE outbox SET state = 'pending' WHERE state = 'refused'");
        let retried = query.execute(tx.conn()).await.map_err(sql)?.rows_affected();
        tx.commit().await?;
        Ok(retried)
    }

    /// Erases the payloads of hidden items that are safe at central (its `safe_receipt_no` has passed them) and were
    /// sent before `sent_before`. A number says something only about receipts of its own history. Says how many.
    pub async fn outbox_purge(
        &self,
        org: &OrgId,
        epoch: Uuid,
        safe_receipt_no: i64,
        sent_before: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut tx = self.write("outbox_purge", Durability::Flushed).await?;
        let sql = tx.sql();
        let purged: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE outbox SET bytes = NULL
             WHERE state = 'sent' AND hidden = 1 AND bytes IS NOT NULL AND org = $1 AND receipt_no <= $2 AND sent_at < $3
               AND EXISTS (SELECT 1 FROM outbox_receipt r WHERE r.id = outbox.id AND r.epoch = $4)
             RETURNING id",
        )
        .bind(org.as_str())
        .bind(safe_receipt_no)
        .bind(sent_before.as_millisecond())
        .bind(epoch)
        .fetch_all(tx.conn())
        .await
        .map_err(&sql)?;
        if !purged.is_empty() {
            let erase = "UPDATE outbox_content SET payload = NULL WHERE id IN (SELECT unhex(value) FROM json_each($1))";
            sqlx::query(erase).bind(rows::id_array(&purged)).execute(tx.conn()).await.map_err(sql)?;
        }
        tx.commit().await?;
        Ok(purged.len() as u64)
    }
}

impl Tx {
    /// Marks the rows that receipts speak of, and says which rows and on which receipt.
    async fn outbox_mark(&mut self, receipts: &str, now: i64) -> Result<Vec<(Uuid, ReceiptKey)>, StoreError> {
        let sql = self.sql();
        let marked = sqlx::query(
            "UPDATE outbox SET state = 'sent', sent_at = coalesce(sent_at, $2), tries = tries + 1, receipt_no = r.no,
                 receipt_status = r.status, last_code = NULL, last_reason = NULL
             FROM (SELECT value ->> 'kind' AS kind, unhex(value ->> 'item') AS item, value ->> 'version' AS version,
                       unhex(value ->> 'digest') AS digest, value ->> 'no' AS no, value ->> 'status' AS status
                   FROM json_each($1)) AS r
             WHERE outbox.item = r.item AND outbox.kind = r.kind AND outbox.version = r.version
               AND outbox.digest = r.digest
             RETURNING id, kind, item, version, receipt_no",
        )
        .bind(receipts)
        .bind(now)
        .fetch_all(self.conn())
        .await
        .map_err(sql)?;
        let marked = marked.iter().map(|row| {
            let row = Record::new("outbox", row);
            let key = (row.word("kind")?, row.get("item")?, row.number("version")?, row.get("receipt_no")?);
            Ok((row.get("id")?, key))
        });
        marked.collect()
    }

    pub(super) async fn hide_sent<'a>(&mut self, items: impl Iterator<Item = &'a Uuid>) -> Result<(), StoreError> {
        let items = rows::id_array(items);
        // An execution that was reactivated meanwhile is running: what it saved stays.
        for statement in [
            "UPDATE outbox SET hidden = 1 WHERE state = 'sent' AND item IN (SELECT unhex(value) FROM json_each($1))",
            "DELETE FROM outbox_readable WHERE id IN (SELECT o.id FROM json_each($1) j
                 CROSS JOIN outbox o ON o.item = unhex(j.value) AND o.state = 'sent')",
            "DELETE FROM execution_part WHERE execution IN
                 (SELECT e.id FROM execution e CROSS JOIN outbox o ON o.kind = 'attempt' AND o.item = e.id
                      AND o.version = e.version AND o.state = 'sent'
                  WHERE e.id IN (SELECT unhex(value) FROM json_each($1)) AND e.digest IS NOT NULL)",
            "UPDATE execution SET resume_until = NULL WHERE digest IS NOT NULL AND id IN
                 (SELECT unhex(value) FROM json_each($1))
                 AND NOT EXISTS (SELECT 1 FROM execution_part p WHERE p.execution = execution.id)",
        ] {
            let sql = self.sql();
            sqlx::query(statement).bind(&items).execute(self.conn()).await.map_err(sql)?;
        }
        Ok(())
    }
}

fn receipt_row(receipt: &Receipt) -> serde_json::Value {
    json!({
        "kind": receipt.kind.as_str(),
        "item": receipt.item.simple().to_string(),
        "version": receipt.version,
        "digest": receipt.digest.to_hex(),
        "no": receipt.receipt_no,
        "status": receipt.status.as_str(),
    })
}
