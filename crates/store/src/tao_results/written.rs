//! Received items that were written into a TAO's own database.

use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use crate::received::ReceivedPayload;
use crate::rows;
use crate::values::Record;
use crate::{Durability, Store, StoreError};

/// Bytes of a mark.
const MARK: usize = 16;

/// An item that is to be written.
#[derive(Clone, Debug)]
pub struct Due {
    /// The item.
    pub received: ReceivedPayload,
    /// Marks of the variables that older versions of it have brought.
    pub before: Vec<[u8; MARK]>,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenState {
    /// It is in TAO's database.
    Written,
    /// It cannot be written yet; it is tried again with the next push.
    Waiting,
    /// There is nothing to be written of it.
    Passed,
}

impl WrittenState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Waiting => "waiting",
            Self::Passed => "passed",
        }
    }
}

/// A mark to be kept.
#[derive(Clone, Debug)]
pub struct Written {
    /// Row of the received item.
    pub received: Uuid,
    /// Number of its receipt.
    pub receipt_no: i64,
    /// The item.
    pub item: Uuid,
    /// What became of it.
    pub state: WrittenState,
    /// The execution in TAO.
    pub online: Option<String>,
    /// Marks of the variables that are there with it.
    pub marks: Vec<[u8; MARK]>,
}

impl Store {
    /// The last receipt that was looked at, whatever became of its item.
    pub async fn tao_written_through(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar("SELECT coalesce(max(receipt_no), 0) FROM tao_written")
            .fetch_one(&self.pools.readers)
            .await
            .map_err(StoreError::sql("tao_written_through"))
    }

    /// How many received items wait to be written: those that came after `through`, and those that could not be.
    pub async fn tao_due_count(&self, through: i64) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM received WHERE receipt_no > $1)
                 + (SELECT count(*) FROM tao_written WHERE state = 'waiting')",
        )
        .bind(through)
        .fetch_one(&self.pools.readers)
        .await
        .map_err(StoreError::sql("tao_due_count"))?;
        Ok(count.unsigned_abs())
    }

    /// Received items to be written, in the order of their receipts, after receipt number `after`: those that came after
    /// `through`, and those that could not be written before. At most `max_items`, and at most `max_bytes` of payload
    /// unless the first alone has more.
    pub async fn tao_due(
        &self,
        (after, through): (i64, i64),
        max_items: u32,
        max_bytes: u64,
    ) -> Result<Vec<Due>, StoreError> {
        let mut query =
            QueryBuilder::<Sqlite>::new("SELECT id, coalesce(length(payload), 0) FROM received WHERE receipt_no > ");
        query.push_bind(after).push(" AND (receipt_no > ").push_bind(through);
        query.push(" OR receipt_no IN (SELECT receipt_no FROM tao_written WHERE state = 'waiting'))");
        query.push(" ORDER BY receipt_no LIMIT ").push_bind(max_items);
        let page = self.received_fitting(query, max_bytes).await?;
        let items: Vec<Uuid> = page.iter().map(|payload| payload.item.envelope.item).collect();
        let rows = sqlx::query(
            "SELECT w.id, w.item, w.marks FROM json_each($1) j CROSS JOIN tao_written w ON w.item = unhex(j.value)
             WHERE w.marks IS NOT NULL",
        )
        .bind(rows::id_array(&items))
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("tao_due"))?;
        let mut before: std::collections::HashMap<Uuid, Vec<[u8; MARK]>> = std::collections::HashMap::new();
        for row in &rows {
            let row = Record::new("tao_written", row);
            let id: Uuid = row.get("id")?;
            let marks = self.unseal("tao_written", id.as_bytes(), "marks", row.get("marks")?)?;
            before.entry(row.get("item")?).or_default().extend(marks.as_chunks::<MARK>().0);
        }
        let due = |received: ReceivedPayload| {
            let before = before.get(&received.item.envelope.item).cloned().unwrap_or_default();
            Due { received, before }
        };
        Ok(page.into_iter().map(due).collect())
    }

    /// Keeps marks, in one flushed transaction.
    pub async fn tao_written_note(&self, marks: &[Written]) -> Result<(), StoreError> {
        let mut tx = self.write("tao_written_note", Durability::Flushed).await?;
        let (sql, now) = (tx.sql(), self.now_ms());
        rows::insert(
            tx.conn(),
            "INSERT INTO tao_written (id, receipt_no, item, state, online, marks, at) ",
            marks,
            "ON CONFLICT (id) DO UPDATE SET state = excluded.state, online = excluded.online, marks = excluded.marks,
                 at = excluded.at",
            |mut row, written| {
                let sealed = (!written.marks.is_empty())
                    .then(|| self.seal("tao_written", written.received.as_bytes(), "marks", &written.marks.concat()));
                row.push_bind(written.received).push_bind(written.receipt_no).push_bind(written.item);
                row.push_bind(written.state.as_str()).push_bind(written.online.as_deref()).push_bind(sealed);
                row.push_bind(now);
            },
        )
        .await
        .map_err(sql)?;
        tx.commit().await
    }
}
