//! The outbox on local: items that wait to be handed in, and what central said about them.

mod acknowledged;
mod answers;
mod listing;
mod pick;

use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use taosync_model::Digest;
use taosync_model::item::{Envelope, ItemKind};
use uuid::Uuid;

pub use acknowledged::Acknowledged;
pub use answers::{AfterReceipt, Marked};
pub use listing::{OutboxCounts, OutboxFilter, OutboxResult, OutboxRow, OutboxState};
pub use pick::{Pick, Waiting};

use crate::rows;
use crate::values::{Record, json_text};
use crate::{Durability, Store, StoreError, Tx};

/// An item to be handed in.
#[derive(Clone)]
pub struct NewItem {
    /// Plain part.
    pub envelope: Envelope,
    /// Payload bytes, as they travel; kept sealed.
    pub payload: Vec<u8>,
}

/// An item as it is sent.
#[derive(Clone)]
pub struct OutboxItem {
    /// Row of the outbox.
    pub id: Uuid,
    /// Plain part.
    pub envelope: Envelope,
    /// Payload bytes.
    pub payload: Vec<u8>,
}

/// What became of an item that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It waits in the outbox.
    Added,
    /// It is there already, with the same bytes.
    Already,
    /// This version is there with other bytes, which are kept.
    Different,
}

impl std::fmt::Debug for NewItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewItem").field("envelope", &self.envelope).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for OutboxItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutboxItem").field("envelope", &self.envelope).finish_non_exhaustive()
    }
}

impl Store {
    /// Adds items of any kind in one flushed transaction; answers in the order given.
    pub async fn outbox_add(&self, items: &[NewItem]) -> Result<Vec<Queued>, StoreError> {
        let mut tx = self.write("outbox_add", Durability::Flushed).await?;
        let queued = self.outbox_queue(&mut tx, items).await?;
        tx.commit().await?;
        Ok(queued)
    }

    /// Adds items in the transaction that makes them.
    pub(crate) async fn outbox_queue(&self, tx: &mut Tx, items: &[NewItem]) -> Result<Vec<Queued>, StoreError> {
        for item in items {
            check_bytes(item)?;
        }
        let mut known = tx.outbox_digests(items).await?;
        let mut new = Vec::new();
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let envelope = &item.envelope;
            let key = (envelope.kind, envelope.item, envelope.version);
            answers.push(match known.get(&key) {
                Some(digest) if *digest == envelope.digest => Queued::Already,
                Some(_) => Queued::Different,
                None => {
                    known.insert(key, envelope.digest);
                    new.push((self.clock.new_id(), json_text(envelope)?, item));
                    Queued::Added
                }
            });
        }
        let (sql, now) = (tx.sql(), self.now_ms());
        rows::insert(
            tx.conn(),
            "INSERT INTO outbox (id, kind, item, version, org, execution, envelope, digest, payload, state, made_at,
                 tries, hidden) ",
            &new,
            "",
            |mut row, (id, text, item)| {
                let envelope = &item.envelope;
                let execution = (envelope.kind == ItemKind::Attempt).then_some(envelope.item).or(envelope.execution);
                row.push_bind(*id).push_bind(envelope.kind.as_str()).push_bind(envelope.item);
                row.push_bind(envelope.version).push_bind(envelope.org.as_str()).push_bind(execution);
                row.push_bind(text).push_bind(envelope.digest.0.to_vec());
                row.push_bind(self.seal("outbox", id.as_bytes(), "payload", &item.payload));
                row.push_bind("pending").push_bind(now).push_bind(0).push_bind(0);
            },
        )
        .await
        .map_err(sql)?;
        Ok(answers)
    }

    fn outbox_item(&self, row: &SqliteRow) -> Result<OutboxItem, StoreError> {
        let row = Record::new("outbox", row);
        let id: Uuid = row.get("id")?;
        let envelope: Envelope = row.json("envelope")?;
        let payload = self.unseal("outbox", id.as_bytes(), "payload", row.get("payload")?)?;
        if Digest::of(&payload) != envelope.digest {
            return Err(StoreError::damaged(format!("item {} of the outbox", envelope.item)));
        }
        Ok(OutboxItem { id, envelope, payload })
    }
}

impl Tx {
    async fn outbox_digests(
        &mut self,
        items: &[NewItem],
    ) -> Result<HashMap<(ItemKind, Uuid, u32), Digest>, StoreError> {
        let sql = self.sql();
        let rows = sqlx::query(
            "SELECT kind, item, version, digest FROM outbox WHERE item IN (SELECT unhex(value) FROM json_each($1))",
        )
        .bind(rows::id_array(items.iter().map(|i| &i.envelope.item)))
        .fetch_all(self.conn())
        .await
        .map_err(sql)?;
        rows.iter()
            .map(|row| {
                let row = Record::new("outbox", row);
                Ok(((row.word("kind")?, row.get("item")?, row.number("version")?), row.digest("digest")?))
            })
            .collect()
    }
}

fn check_bytes(item: &NewItem) -> Result<(), StoreError> {
    let envelope = &item.envelope;
    if envelope.digest == Digest::of(&item.payload) && envelope.size == item.payload.len() as u64 {
        return Ok(());
    }
    Err(StoreError::Refused(format!("the envelope of {} {} does not fit its payload", envelope.kind, envelope.item)))
}
