//! What the runner saves during an attempt: variables, log entries, the position.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::values::Record;
use crate::{Durability, Store, StoreError, Tx};

/// Kind of a saved part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Variables of one item or of the test.
    Variables,
    /// A log entry.
    Log,
    /// Where the test taker is; only the newest is kept.
    Position,
}

impl PartKind {
    /// The spelling in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Variables => "variables",
            Self::Log => "log",
            Self::Position => "position",
        }
    }
}

impl std::str::FromStr for PartKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Variables, Self::Log, Self::Position]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("unknown kind of part '{text}'"))
    }
}

/// A part to be saved.
#[derive(Clone)]
pub struct NewPart {
    /// What the runner calls it: the same id again is the same save. `None` for a position, of which the newest counts.
    pub save: Option<Uuid>,
    /// Kind.
    pub kind: PartKind,
    /// When it came about.
    pub at: Timestamp,
    /// The runner's bytes; kept sealed.
    pub body: Vec<u8>,
}

/// What became of a part that was to be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is on the disk.
    Now,
    /// It was there already: the answer to the first request was lost.
    Again,
    /// Its id belongs to other contents; these are kept.
    Differs,
    /// The attempt has ended.
    Over,
    /// It is larger than what the attempt may still take.
    NoRoom,
}

/// A saved part.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// Place in the attempt, rising.
    pub no: i64,
    /// Kind.
    pub kind: PartKind,
    /// When it came about.
    pub at: Timestamp,
    /// The runner's bytes.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for NewPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewPart").field("kind", &self.kind).field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Part");
        shown.field("no", &self.no).field("kind", &self.kind).field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

impl Store {
    /// Saves a part of an attempt that is not over, if its body has at most `room` bytes. A new position takes the place
    /// of the one before.
    pub async fn execution_save(&self, id: Uuid, part: &NewPart, room: usize) -> Result<Saved, StoreError> {
        let mut tx = self.write("execution_save", Durability::Flushed).await?;
        // First of all: a request may be repeated after the attempt has ended, or has filled up.
        if let Some(known) = self.saved_before(&mut tx, id, part).await? {
            return Ok(known);
        }
        if tx.execution(id).await?.state.is_over() {
            return Ok(Saved::Over);
        }
        if part.body.len() > room {
            return Ok(Saved::NoRoom);
        }
        let sql = tx.sql();
        let last: i64 = sqlx::query_scalar("SELECT coalesce(max(no), 0) FROM execution_part WHERE execution = $1")
            .bind(id)
            .fetch_one(tx.conn())
            .await
            .map_err(&sql)?;
        if part.kind == PartKind::Position {
            let query = sqlx::query("DELETE FROM execution_part WHERE execution = $1 AND kind = 'position'").bind(id);
            query.execute(tx.conn()).await.map_err(&sql)?;
        }
        let no = last + 1;
        sqlx::query("INSERT INTO execution_part (execution, no, save, kind, at, body) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(id)
            .bind(no)
            .bind(part.save)
            .bind(part.kind.as_str())
            .bind(part.at.as_millisecond())
            .bind(self.seal("execution_part", &place(id, no), "body", &part.body))
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        tx.commit().await?;
        Ok(Saved::Now)
    }

    async fn saved_before(&self, tx: &mut Tx, id: Uuid, part: &NewPart) -> Result<Option<Saved>, StoreError> {
        let Some(save) = part.save else { return Ok(None) };
        let sql = tx.sql();
        let query = sqlx::query("SELECT no, kind, at, body FROM execution_part WHERE execution = $1 AND save = $2");
        let row = query.bind(id).bind(save).fetch_optional(tx.conn()).await.map_err(sql)?;
        let Some(row) = row else { return Ok(None) };
        let known = self.part(id, &row)?;
        let is_same = known.kind == part.kind && known.body == part.body;
        Ok(Some(if is_same { Saved::Again } else { Saved::Differs }))
    }

    /// Everything saved of an attempt, in the order of saving; empty once it was erased.
    pub async fn execution_parts(&self, id: Uuid) -> Result<Vec<Part>, StoreError> {
        let rows = sqlx::query("SELECT no, kind, at, body FROM execution_part WHERE execution = $1 ORDER BY no")
            .bind(id)
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("execution_parts"))?;
        rows.iter().map(|row| self.part(id, row)).collect()
    }

    fn part(&self, execution: Uuid, row: &SqliteRow) -> Result<Part, StoreError> {
        let row = Record::new("execution_part", row);
        let no = row.get("no")?;
        Ok(Part {
            no,
            kind: row.word("kind")?,
            at: row.time("at")?,
            body: self.unseal("execution_part", &place(execution, no), "body", row.get("body")?)?,
        })
    }
}

/// The row of a part, for sealing.
fn place(execution: Uuid, no: i64) -> [u8; 24] {
    let mut place = [0; 24];
    place[..16].copy_from_slice(execution.as_bytes());
    place[16..].copy_from_slice(&no.to_be_bytes());
    place
}
