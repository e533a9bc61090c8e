//! The outbox as people see it: lists, counts, and the results that are still readable here.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite};
use taosync_model::item::{Envelope, FORM_ZSTD_JSON, ItemKind, Receipt};
use taosync_model::{Digest, OrgId};
use uuid::Uuid;

use super::receipt;
use crate::values::Record;
use crate::{Store, StoreError};

/// Where an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxState {
    /// Waits to be handed in.
    Pending,
    /// Confirmed by central.
    Sent,
    /// Central could not read it.
    Refused,
}

impl OutboxState {
    /// The spelling in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Refused => "refused",
        }
    }
}

impl std::str::FromStr for OutboxState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Pending, Self::Sent, Self::Refused]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("'{text}' is not a state of an item; use pending, sent or refused"))
    }
}

/// A row of the outbox without its payload.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    /// Row; pages go on after the last one's.
    pub id: Uuid,
    /// Plain part.
    pub envelope: Envelope,
    /// Where it stands.
    pub state: OutboxState,
    /// When it was made.
    pub made_at: Timestamp,
    /// How often it was sent.
    pub tries: u32,
    /// Code of the last refusal.
    pub last_code: Option<String>,
    /// Words of the last refusal.
    pub last_reason: Option<String>,
    /// Central's receipt.
    pub receipt: Option<Receipt>,
    /// When it was confirmed.
    pub sent_at: Option<Timestamp>,
    /// Not shown any more (`delete_after_send`).
    pub hidden: bool,
}

/// A result that is still readable here.
#[derive(Clone)]
pub struct OutboxResult {
    /// Where it stands.
    pub row: OutboxRow,
    /// Payload bytes as they are handed in; `None` once hidden or erased.
    pub payload: Option<Vec<u8>>,
    /// The payload before it was sealed for the results keys, in form 1; `None` once the reactivation window is over.
    pub readable: Option<Vec<u8>>,
}

impl OutboxResult {
    /// What can be read of it here: bytes and their form.
    pub fn to_read(&self) -> Option<(u8, &[u8])> {
        let readable = self.readable.as_ref().map(|bytes| (FORM_ZSTD_JSON, bytes.as_slice()));
        readable.or_else(|| self.payload.as_ref().map(|bytes| (self.row.envelope.form, bytes.as_slice())))
    }
}

impl std::fmt::Debug for OutboxResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutboxResult").field("row", &self.row).finish_non_exhaustive()
    }
}

/// Which items to list; empty fields mean all.
#[derive(Clone, Debug, Default)]
pub struct OutboxFilter {
    /// Organisation.
    pub org: Option<OrgId>,
    /// Kind.
    pub kind: Option<ItemKind>,
    /// The item itself, all its versions.
    pub item: Option<Uuid>,
    /// Where it stands.
    pub state: Option<OutboxState>,
    /// Delivery URI.
    pub delivery: Option<String>,
    /// Test taker URI.
    pub test_taker: Option<String>,
    /// Only those after this row: the last of the page before.
    pub after: Option<Uuid>,
}

/// How many items stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Waiting to be handed in.
    pub pending: u64,
    /// Confirmed by central.
    pub sent: u64,
    /// Not readable by central.
    pub refused: u64,
    /// Of the confirmed ones: those central holds beside something else.
    pub conflicts: u64,
}

impl Store {
    /// Items in the order they were made, at most `limit`.
    pub async fn outbox_list(&self, filter: &OutboxFilter, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        let mut query = listing("");
        push_filter(&mut query, filter, limit);
        let rows = query.build().fetch_all(&self.pools.readers).await.map_err(StoreError::sql("outbox_list"))?;
        rows.iter().map(outbox_row).collect()
    }

    /// Items with the payloads that are still readable here, in the order they were made, at most `limit`.
    pub async fn outbox_results(&self, filter: &OutboxFilter, limit: u32) -> Result<Vec<OutboxResult>, StoreError> {
        let mut query = listing(
            ", CASE o.hidden WHEN 0 THEN c.payload END AS payload,
             (SELECT b.payload FROM outbox_readable b WHERE b.id = o.id AND o.hidden = 0) AS readable",
        );
        push_filter(&mut query, filter, limit);
        let rows = query.build().fetch_all(&self.pools.readers).await.map_err(StoreError::sql("outbox_results"))?;
        rows.iter().map(|row| self.outbox_result(row)).collect()
    }

    fn outbox_result(&self, sealed: &SqliteRow) -> Result<OutboxResult, StoreError> {
        let row = outbox_row(sealed)?;
        let payload: Option<&[u8]> = Record::new("outbox", sealed).get("payload")?;
        let open = |bytes| self.unseal("outbox_content", row.id.as_bytes(), "payload", bytes);
        let payload = payload.map(open).transpose()?;
        if payload.as_ref().is_some_and(|bytes| Digest::of(bytes) != row.envelope.digest) {
            return Err(StoreError::damaged(format!("item {} of the outbox", row.envelope.item)));
        }
        let readable: Option<&[u8]> = Record::new("outbox_readable", sealed).get("readable")?;
        let open = |bytes| self.unseal("outbox_readable", row.id.as_bytes(), "payload", bytes);
        let readable = readable.map(open).transpose()?;
        Ok(OutboxResult { row, payload, readable })
    }

    /// How many items stand where. Every number comes from an index: this is asked after every sync.
    pub async fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM outbox) AS known,
                 (SELECT count(*) FROM outbox WHERE state = 'pending') AS pending,
                 (SELECT count(*) FROM outbox WHERE state = 'refused') AS refused,
                 (SELECT count(*) FROM outbox WHERE receipt_status = 'conflict' AND state = 'sent') AS conflicts",
        )
        .fetch_one(&self.pools.readers)
        .await
        .map_err(StoreError::sql("outbox_counts"))?;
        let row = Record::new("outbox", &row);
        let (known, pending, refused): (u64, u64, u64) =
            (row.number("known")?, row.number("pending")?, row.number("refused")?);
        let sent = known.saturating_sub(pending + refused);
        Ok(OutboxCounts { pending, sent, refused, conflicts: row.number("conflicts")? })
    }
}

/// The columns of [`OutboxRow`], and more.
fn listing(more: &'static str) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(
        "SELECT o.id, c.envelope, o.state, o.made_at, o.tries, o.last_code, o.last_reason,
        o.sent_at, o.hidden, ",
    );
    query.push(receipt::COLUMNS).push(more);
    query.push(
        " FROM outbox o CROSS JOIN outbox_content c ON c.id = o.id LEFT JOIN outbox_receipt r ON r.id = o.id WHERE 1",
    );
    query
}

fn push_filter(query: &mut QueryBuilder<Sqlite>, filter: &OutboxFilter, limit: u32) {
    if let Some(org) = &filter.org {
        query.push(" AND o.org = ").push_bind(org.as_str());
    }
    if let Some(kind) = filter.kind {
        query.push(" AND o.kind = ").push_bind(kind.as_str());
    }
    if let Some(item) = filter.item {
        query.push(" AND o.item = ").push_bind(item);
    }
    if let Some(state) = filter.state {
        query.push(" AND o.state = ").push_bind(state.as_str());
    }
    if let Some(delivery) = &filter.delivery {
        query.push(" AND c.envelope ->> 'delivery' = ").push_bind(delivery);
    }
    if let Some(test_taker) = &filter.test_taker {
        query.push(" AND c.envelope ->> 'test_taker' = ").push_bind(test_taker);
    }
    if let Some(after) = filter.after {
        query.push(" AND o.id > ").push_bind(after);
    }
    query.push(" ORDER BY o.id LIMIT ").push_bind(limit);
}

fn outbox_row(row: &SqliteRow) -> Result<OutboxRow, StoreError> {
    let row = Record::new("outbox", row);
    Ok(OutboxRow {
        id: row.get("id")?,
        envelope: row.json("envelope")?,
        state: row.word("state")?,
        made_at: row.time("made_at")?,
        tries: row.number("tries")?,
        last_code: row.get("last_code")?,
        last_reason: row.get("last_reason")?,
        receipt: receipt::kept(&row)?,
        sent_at: row.time_or_none("sent_at")?,
        hidden: row.flag("hidden")?,
    })
}
