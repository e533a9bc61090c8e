//! The outbox on local: items that wait to be handed in, and what central said about them.

mod acknowledged;
mod answers;
mod listing;
mod pick;
pub(crate) mod receipt;

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use taosync_model::Digest;
use taosync_model::execution::ExecutionState;
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
    /// What the payload was made of, when it is sealed for the results keys.
    pub source: Option<SealedSource>,
}

/// What stays here of a payload that only the holders of the results keys can open.
#[derive(Clone)]
pub struct SealedSource {
    /// Blind index of what was sealed: the same again is known by it.
    pub content: [u8; 16],
    /// The payload before it was sealed, and until when it can be shown here.
    pub readable: Option<(Vec<u8>, Timestamp)>,
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

/// A row to be written.
struct NewRow<'a> {
    id: Uuid,
    envelope: &'a Envelope,
    text: String,
    sealed: Vec<u8>,
    source: Option<&'a SealedSource>,
}

/// What is known of a version: its digest, and the index of what it was made of.
struct KnownBytes {
    digest: Digest,
    content: Option<[u8; 16]>,
}

impl KnownBytes {
    fn is_of(&self, item: &NewItem) -> bool {
        let content = item.source.as_ref().map(|source| source.content);
        self.digest == item.envelope.digest || (content.is_some() && self.content == content)
    }
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

impl std::fmt::Debug for SealedSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedSource")
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
        let mut known = tx.outbox_known(items).await?;
        let mut new = Vec::new();
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let envelope = &item.envelope;
            let key = (envelope.kind, envelope.item, envelope.version);
            answers.push(match known.get(&key) {
                Some(bytes) if bytes.is_of(item) => Queued::Already,
                Some(_) => Queued::Different,
                None => {
                    let content = item.source.as_ref().map(|source| source.content);
                    known.insert(key, KnownBytes { digest: envelope.digest, content });
                    new.push(self.new_row(item)?);
                    Queued::Added
                }
            });
        }
        self.outbox_insert(tx, &new).await?;
        Ok(answers)
    }

    fn new_row<'a>(&self, item: &'a NewItem) -> Result<NewRow<'a>, StoreError> {
        let id = self.clock.new_id();
        let sealed = self.seal("outbox_content", id.as_bytes(), "payload", &item.payload);
        Ok(NewRow {
            id,
            envelope: &item.envelope,
            text: json_text(&item.envelope)?,
            sealed,
            source: item.source.as_ref(),
        })
    }

    async fn outbox_insert(&self, tx: &mut Tx, new: &[NewRow<'_>]) -> Result<(), StoreError> {
        let (sql, now) = (tx.sql(), self.now_ms());
        let head =
            "INSERT INTO outbox (id, kind, item, version, org, execution, ended, digest, bytes, state, made_at, tries,
             hidden) ";
        rows::insert(tx.conn(), head, new, "", |mut row, new| {
            let envelope = new.envelope;
            let execution = (envelope.kind == ItemKind::Attempt).then_some(envelope.item).or(envelope.execution);
            row.push_bind(new.id).push_bind(envelope.kind.as_str()).push_bind(envelope.item);
            row.push_bind(envelope.version).push_bind(envelope.org.as_str()).push_bind(execution);
            row.push_bind(envelope.state.map(ExecutionState::as_str)).push_bind(envelope.digest.0.to_vec());
            row.push_bind(new.sealed.len() as i64).push_bind("pending").push_bind(now).push_bind(0).push_bind(0);
        })
        .await
        .map_err(&sql)?;
        let head = "INSERT INTO outbox_content (id, envelope, payload, content) ";
        rows::insert(tx.conn(), head, new, "", |mut row, new| {
            row.push_bind(new.id).push_bind(new.text.as_str()).push_bind(new.sealed.as_slice());
            row.push_bind(new.source.map(|source| source.content.to_vec()));
        })
        .await
        .map_err(&sql)?;
        self.readable_insert(tx, new).await
    }

    async fn readable_insert(&self, tx: &mut Tx, new: &[NewRow<'_>]) -> Result<(), StoreError> {
        let readable = |new: &NewRow<'_>| Some((new.id, new.source?.readable.clone()?));
        let readable: Vec<_> = new.iter().filter_map(readable).collect();
        if readable.is_empty() {
            return Ok(());
        }
        let sql = tx.sql();
        let head = "INSERT INTO outbox_readable (id, until, payload) ";
        rows::insert(tx.conn(), head, &readable, "", |mut row, (id, (plain, until))| {
            row.push_bind(*id).push_bind(until.as_millisecond());
            row.push_bind(self.seal("outbox_readable", id.as_bytes(), "payload", plain));
        })
        .await
        .map_err(sql)
    }

    fn outbox_item(&self, row: &SqliteRow) -> Result<OutboxItem, StoreError> {
        let row = Record::new("outbox_content", row);
        let id: Uuid = row.get("id")?;
        let envelope: Envelope = row.json("envelope")?;
        let payload = self.unseal("outbox_content", id.as_bytes(), "payload", row.get("payload")?)?;
        if Digest::of(&payload) != envelope.digest {
            return Err(StoreError::damaged(format!("item {} of the outbox", envelope.item)));
        }
        Ok(OutboxItem { id, envelope, payload })
    }
}

impl Tx {
    async fn outbox_known(
        &mut self,
        items: &[NewItem],
    ) -> Result<HashMap<(ItemKind, Uuid, u32), KnownBytes>, StoreError> {
        let sql = self.sql();
        let rows = sqlx::query(
            "SELECT o.kind, o.item, o.version, o.digest, c.content
             FROM json_each($1) j CROSS JOIN outbox o ON o.item = unhex(j.value)
             CROSS JOIN outbox_content c ON c.id = o.id",
        )
        .bind(rows::id_array(items.iter().map(|i| &i.envelope.item)))
        .fetch_all(self.conn())
        .await
        .map_err(sql)?;
        rows.iter()
            .map(|row| {
                let row = Record::new("outbox", row);
                let content: Option<&[u8]> = row.get("content")?;
                let content = content.map(<[u8; 16]>::try_from).transpose();
                let content = content.map_err(|_| StoreError::damaged("outbox_content.content"))?;
                let known = KnownBytes { digest: row.digest("digest")?, content };
                Ok(((row.word("kind")?, row.get("item")?, row.number("version")?), known))
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
