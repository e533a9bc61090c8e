//! What the runner saves during an attempt: variables, log entries, the position.

use jiff::Timestamp;
use uuid::Uuid;

use crate::rows;
use crate::values::Record;
use crate::{Durability, Store, StoreError};

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
    /// Kind.
    pub kind: PartKind,
    /// When it came about.
    pub at: Timestamp,
    /// The runner's bytes; kept sealed.
    pub body: Vec<u8>,
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
    /// Saves parts of an attempt that is not over, all or none, in their order.
    pub async fn execution_save(&self, id: Uuid, parts: &[NewPart]) -> Result<(), StoreError> {
        let mut tx = self.write("execution_save", Durability::Flushed).await?;
        tx.open_execution(id).await?;
        let sql = tx.sql();
        let last: i64 = sqlx::query_scalar("SELECT coalesce(max(no), 0) FROM execution_part WHERE execution = $1")
            .bind(id)
            .fetch_one(tx.conn())
            .await
            .map_err(&sql)?;
        if parts.iter().any(|part| part.kind == PartKind::Position) {
            let query = sqlx::query("DELETE FROM execution_part WHERE execution = $1 AND kind = 'position'").bind(id);
            query.execute(tx.conn()).await.map_err(&sql)?;
        }
        let newest_position = parts.iter().rposition(|part| part.kind == PartKind::Position);
        let kept: Vec<(i64, &NewPart)> = (last + 1..)
            .zip(parts)
            .enumerate()
            .filter(|(index, (_, part))| part.kind != PartKind::Position || Some(*index) == newest_position)
            .map(|(_, numbered)| numbered)
            .collect();
        rows::insert(
            tx.conn(),
            "INSERT INTO execution_part (execution, no, kind, at, body) ",
            &kept,
            "",
            |mut row, (no, part)| {
                row.push_bind(id).push_bind(*no).push_bind(part.kind.as_str());
                row.push_bind(part.at.as_millisecond());
                row.push_bind(self.seal("execution_part", &place(id, *no), "body", &part.body));
            },
        )
        .await
        .map_err(&sql)?;
        tx.commit().await
    }

    /// Everything saved of an attempt, in the order of saving; empty once it was erased.
    pub async fn execution_parts(&self, id: Uuid) -> Result<Vec<Part>, StoreError> {
        let rows = sqlx::query("SELECT no, kind, at, body FROM execution_part WHERE execution = $1 ORDER BY no")
            .bind(id)
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("execution_parts"))?;
        rows.iter()
            .map(|row| {
                let row = Record::new("execution_part", row);
                let no = row.get("no")?;
                Ok(Part {
                    no,
                    kind: row.word("kind")?,
                    at: row.time("at")?,
                    body: self.unseal("execution_part", &place(id, no), "body", row.get("body")?)?,
                })
            })
            .collect()
    }
}

/// The row of a part, for sealing.
fn place(execution: Uuid, no: i64) -> [u8; 24] {
    let mut place = [0; 24];
    place[..16].copy_from_slice(execution.as_bytes());
    place[16..].copy_from_slice(&no.to_be_bytes());
    place
}
