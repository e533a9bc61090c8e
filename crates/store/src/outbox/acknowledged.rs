//! What a TAO central says about items: words without a signature, one for each.

use std::collections::HashSet;

use serde_json::json;
use taosync_model::Digest;
use taosync_model::item::{Envelope, ItemKind};
use uuid::Uuid;

use super::{AfterReceipt, NewItem};
use crate::rows;
use crate::values::json_text;
use crate::{Durability, Store, StoreError};

/// An item that a TAO central says it has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Kind.
    pub kind: ItemKind,
    /// The item.
    pub item: Uuid,
    /// Its version.
    pub version: u32,
    /// The bytes that were sent.
    pub digest: Digest,
}

impl Acknowledged {
    /// What was sent with this envelope.
    pub const fn of(envelope: &Envelope) -> Self {
        Self { kind: envelope.kind, item: envelope.item, version: envelope.version, digest: envelope.digest }
    }
}

impl Store {
    /// Marks items as sent on the word of a TAO central, and queues what follows from them, in one flushed transaction.
    /// Says how many were marked. There is no receipt, so their payload is never purged.
    pub async fn outbox_acknowledge(
        &self,
        taken: &[Acknowledged],
        follow: &[NewItem],
        after: AfterReceipt,
    ) -> Result<u64, StoreError> {
        if taken.is_empty() {
            return Ok(0);
        }
        let row = |a: &Acknowledged| {
            let (item, digest) = (a.item.simple().to_string(), a.digest.to_hex());
            json!({"kind": a.kind.as_str(), "item": item, "version": a.version, "digest": digest})
        };
        let list = json_text(&taken.iter().map(row).collect::<Vec<_>>())?;
        let mut tx = self.write("outbox_acknowledge", Durability::Flushed).await?;
        let sql = tx.sql();
        let sent = sqlx::query(
            "UPDATE outbox SET state = 'sent', sent_at = coalesce(sent_at, $2), tries = tries + 1,
                 last_code = NULL, last_reason = NULL
             FROM (SELECT value ->> 'kind' AS kind, unhex(value ->> 'item') AS item, value ->> 'version' AS version,
                       unhex(value ->> 'digest') AS digest FROM json_each($1)) AS a
             WHERE outbox.kind = a.kind AND outbox.item = a.item AND outbox.version = a.version
               AND outbox.digest = a.digest AND outbox.state = 'pending'
               AND outbox.item IN (SELECT unhex(value ->> 'item') FROM json_each($1))",
        )
        .bind(&list)
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(sql)?
        .rows_affected();
        self.outbox_queue(&mut tx, follow).await?;
        if after == AfterReceipt::Hide {
            tx.hide_sent(taken.iter().map(|a| &a.item)).await?;
        }
        tx.commit().await?;
        Ok(sent)
    }

    /// Those of these items of a kind that were handed in.
    pub async fn outbox_sent_among(&self, kind: ItemKind, items: &[Uuid]) -> Result<HashSet<Uuid>, StoreError> {
        if items.is_empty() {
            return Ok(HashSet::new());
        }
        let found: Vec<Uuid> = sqlx::query_scalar(
            "SELECT DISTINCT o.item FROM json_each($1) j
             CROSS JOIN outbox o ON o.item = unhex(j.value) AND o.kind = $2 AND o.state = 'sent'",
        )
        .bind(rows::id_array(items))
        .bind(kind.as_str())
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("outbox_sent_among"))?;
        Ok(found.into_iter().collect())
    }
}
