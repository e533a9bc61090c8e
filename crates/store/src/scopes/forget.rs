//! Forgetting what has been gone for long: tombstones are dropped, and `floor` rises, so that a local server that has not
//! heard of them compares instead of going on (DESIGN §4).

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Durability, Store, StoreError, Tx, rows};

/// Rows forgotten in one transaction: the writer lock is held for about a tenth of a second.
const BATCH: i64 = 5_000;

/// The highest number forgotten, per scope and type code.
type Floors = BTreeMap<(i64, i64), i64>;

impl Store {
    /// Forgets every removal from a scope that was written before a time, some thousand rows a transaction. Returns how
    /// many. A wrong clock does no harm: who has missed a removal is told to compare.
    pub async fn removals_forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = before.as_millisecond();
        let mut forgotten = 0;
        loop {
            let mut tx = self.write("removals_forget", Durability::Flushed).await?;
            let number = entries_forget(&mut tx, before).await? + links_forget(&mut tx, before).await?;
            tx.commit().await?;
            if number == 0 {
                return Ok(forgotten);
            }
            forgotten += number;
        }
    }
}

async fn entries_forget(tx: &mut Tx, before: i64) -> Result<u64, StoreError> {
    let sql = tx.sql();
    let gone: Vec<(i64, i64, i64)> = sqlx::query_as(
        "DELETE FROM scope_entry WHERE (scope, type, entity) IN
         (SELECT scope, type, entity FROM scope_entry WHERE gone_at < $1 ORDER BY gone_at LIMIT $2)
         RETURNING scope, type, seq",
    )
    .bind(before)
    .bind(BATCH)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    raise(tx, highest(gone.iter().copied())).await?;
    Ok(gone.len() as u64)
}

async fn links_forget(tx: &mut Tx, before: i64) -> Result<u64, StoreError> {
    let sql = tx.sql();
    let gone: Vec<(i64, i64, i64, Uuid, i64, Uuid)> = sqlx::query_as(
        "DELETE FROM scope_link WHERE (scope, owner, predicate, value_id) IN
         (SELECT scope, owner, predicate, value_id FROM scope_link WHERE gone_at < $1 ORDER BY gone_at LIMIT $2)
         RETURNING scope, type, seq, owner, predicate, value_id",
    )
    .bind(before)
    .bind(BATCH)
    .fetch_all(tx.conn())
    .await
    .map_err(&sql)?;
    raise(tx, highest(gone.iter().map(|g| (g.0, g.1, g.2)))).await?;
    // The text of a long list's value was only kept to be told to those who had it.
    sqlx::query(
        "DELETE FROM literal_link WHERE gone = 1 AND (owner, predicate, value_id) IN
         (SELECT unhex(value ->> 0), value ->> 1, unhex(value ->> 2) FROM json_each($1))
         AND NOT EXISTS (SELECT 1 FROM scope s CROSS JOIN scope_link l ON l.scope = s.id AND l.owner = literal_link.owner
           AND l.predicate = literal_link.predicate AND l.value_id = literal_link.value_id)",
    )
    .bind(rows::key_array(gone.iter().map(|g| (g.3, g.4, g.5))))
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(gone.len() as u64)
}

fn highest(gone: impl Iterator<Item = (i64, i64, i64)>) -> Floors {
    let mut floors = Floors::new();
    for (scope, code, seq) in gone {
        let floor = floors.entry((scope, code)).or_insert(seq);
        *floor = seq.max(*floor);
    }
    floors
}

/// A position below the floor has not heard everything that was forgotten.
async fn raise(tx: &mut Tx, floors: Floors) -> Result<(), StoreError> {
    let sql = tx.sql();
    let list: Vec<(i64, i64, i64)> = floors.into_iter().map(|((scope, code), seq)| (scope, code, seq)).collect();
    sqlx::query(
        "UPDATE scope_type SET floor = max(floor, j.value ->> 2) FROM json_each($1) j
         WHERE scope_type.scope = j.value ->> 0 AND scope_type.type = j.value ->> 1",
    )
    .bind(serde_json::to_string(&list).unwrap_or_default())
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(())
}
