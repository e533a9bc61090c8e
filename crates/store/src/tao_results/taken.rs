//! Executions of a TAO that became items here.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::sqlite::SqliteRow;
use taosync_model::Digest;
use taosync_model::execution::ExecutionState;
use taosync_model::item::Envelope;
use uuid::Uuid;

use crate::executions::FinishedExecution;
use crate::outbox::{NewItem, Queued};
use crate::rows;
use crate::values::Record;
use crate::{Durability, Store, StoreError, Tx};

/// What is known of an execution that became an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Our id.
    pub item: Uuid,
    /// The version of the item that was made last.
    pub version: u32,
    /// Its digest.
    pub digest: Digest,
    /// When the execution ended, as TAO writes it.
    pub ended: Option<String>,
    /// What a first look showed of it.
    pub seen: String,
    /// Blind index of what the item was made of.
    pub content: [u8; 16],
}

/// An execution that becomes an item, or the next version of its item.
#[derive(Clone, Debug)]
pub struct NewTaken {
    /// TAO's id.
    pub name: String,
    /// When it ended, as TAO writes it.
    pub ended: Option<String>,
    /// What a first look showed of it.
    pub seen: String,
    /// Blind index of what the item is made of.
    pub content: [u8; 16],
    /// The attempt.
    pub attempt: FinishedExecution,
    /// Log rows that are in it.
    pub log_rows: Vec<i64>,
}

/// Log rows that become an item of their own.
#[derive(Clone, Debug)]
pub struct LogItem {
    /// The item.
    pub item: NewItem,
    /// The rows.
    pub log_rows: Vec<i64>,
}

/// What became of an execution that was to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenAnswer {
    /// Its item waits in the outbox.
    Queued,
    /// Somebody else has taken it meanwhile; nothing was done.
    Overtaken,
}

/// What central has confirmed and TAO does not know yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToTell {
    /// Results: our id, the version, TAO's id, its end as TAO writes it, and whether its session is confirmed too.
    pub results: Vec<ConfirmedResult>,
    /// Log rows.
    pub log_rows: BTreeSet<i64>,
}

/// A result that central has confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmedResult {
    /// Our id.
    pub item: Uuid,
    /// The version.
    pub version: u32,
    /// TAO's id.
    pub name: String,
    /// When it ended, as TAO writes it.
    pub ended: Option<String>,
    /// Whether its session is confirmed too.
    pub session: bool,
}

impl Store {
    /// What is known of these executions, by TAO's ids.
    pub async fn tao_taken(&self, names: &[String]) -> Result<HashMap<String, Taken>, StoreError> {
        let rows = sqlx::query(
            "SELECT t.name, t.item, t.version, e.digest, t.ended, t.seen, t.content
             FROM json_each($1) j CROSS JOIN tao_taken t ON t.name = j.value CROSS JOIN execution e ON e.id = t.item",
        )
        .bind(rows::text_array(names.iter().map(String::as_str)))
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("tao_taken"))?;
        rows.iter().map(taken).collect()
    }

    /// Takes executions into executions, outbox and marks, in one flushed transaction; answers in the order given. What
    /// does not follow the version that is there is left out.
    pub async fn tao_take(&self, new: &[NewTaken]) -> Result<Vec<TakenAnswer>, StoreError> {
        let mut tx = self.write("tao_take", Durability::Flushed).await?;
        let heads = tx.execution_heads(new.iter().map(|n| &n.attempt.item.envelope.item)).await?;
        let follows = |new: &&NewTaken| follows(&new.attempt.item.envelope, heads.get(&new.attempt.item.envelope.item));
        let fitting: Vec<&NewTaken> = new.iter().filter(follows).collect();
        let items: Vec<NewItem> = fitting.iter().map(|n| n.attempt.item.clone()).collect();
        let queued = self.outbox_queue(&mut tx, &items).await?;
        let added: Vec<&NewTaken> =
            fitting.into_iter().zip(queued).filter(|(_, queued)| *queued == Queued::Added).map(|(n, _)| n).collect();
        self.taken_executions(&mut tx, &added).await?;
        tx.taken_note(&added).await?;
        let log = added.iter().flat_map(|n| n.log_rows.iter().map(|row| (*row, &n.attempt.item.envelope)));
        tx.taken_log_note(&log.collect::<Vec<_>>()).await?;
        tx.commit().await?;
        let added: HashSet<Uuid> = added.iter().map(|n| n.attempt.item.envelope.item).collect();
        let is_added = |new: &NewTaken| added.contains(&new.attempt.item.envelope.item);
        let answer = |new| if is_added(new) { TakenAnswer::Queued } else { TakenAnswer::Overtaken };
        Ok(new.iter().map(answer).collect())
    }

    /// Takes log rows that came after their attempt, in one flushed transaction; says how many items were added.
    pub async fn tao_take_logs(&self, new: &[LogItem]) -> Result<u64, StoreError> {
        let mut tx = self.write("tao_take_logs", Durability::Flushed).await?;
        let items: Vec<NewItem> = new.iter().map(|new| new.item.clone()).collect();
        let queued = self.outbox_queue(&mut tx, &items).await?;
        let added: Vec<&LogItem> =
            new.iter().zip(queued).filter(|(_, queued)| *queued == Queued::Added).map(|(n, _)| n).collect();
        let log = added.iter().flat_map(|n| n.log_rows.iter().map(|row| (*row, &n.item.envelope)));
        tx.taken_log_note(&log.collect::<Vec<_>>()).await?;
        tx.commit().await?;
        Ok(added.len() as u64)
    }

    /// Notes what a look showed of executions whose item stays as it is.
    pub async fn tao_seen(&self, seen: &[(Uuid, String, Option<String>)]) -> Result<(), StoreError> {
        let mut tx = self.write("tao_seen", Durability::Relaxed).await?;
        let row = |(item, seen, ended): &(Uuid, String, Option<String>)| serde_json::json!({"item": item.simple().to_string(), "seen": seen, "ended": ended});
        let list = serde_json::Value::from(seen.iter().map(row).collect::<Vec<_>>()).to_string();
        let sql = tx.sql();
        sqlx::query(
            "UPDATE tao_taken SET seen = s.seen, ended = s.ended
             FROM (SELECT unhex(value ->> 'item') AS item, value ->> 'seen' AS seen, value ->> 'ended' AS ended
                   FROM json_each($1)) AS s WHERE tao_taken.item = s.item",
        )
        .bind(list)
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await
    }

    /// Which of these log rows went into an item.
    pub async fn tao_taken_rows(&self, log_rows: &[i64]) -> Result<HashSet<i64>, StoreError> {
        let list = serde_json::Value::from(log_rows).to_string();
        let rows: Vec<i64> =
            sqlx::query_scalar("SELECT t.row FROM json_each($1) j CROSS JOIN tao_taken_log t ON t.row = j.value")
                .bind(list)
                .fetch_all(&self.pools.readers)
                .await
                .map_err(StoreError::sql("tao_taken_rows"))?;
        Ok(rows.into_iter().collect())
    }

    /// What central has confirmed and TAO was not told, at most `limit` of each. The log of an attempt counts as
    /// confirmed when nothing of it waits any more: to a TAO central it goes after the attempt.
    pub async fn tao_to_tell(&self, limit: u32) -> Result<ToTell, StoreError> {
        let mut snapshot = self.read("tao_to_tell").await?;
        let sql = snapshot.sql();
        let results = sqlx::query(
            "SELECT t.item, t.version, t.name, t.ended, NOT EXISTS (SELECT 1 FROM outbox s
                 WHERE s.state <> 'sent' AND s.kind = 'session' AND s.execution = t.item) AS session
             FROM tao_taken t INDEXED BY tao_taken_untold
             CROSS JOIN outbox o ON o.item = t.item AND o.kind = 'attempt' AND o.version = t.version
             WHERE t.told < t.version AND o.state = 'sent' LIMIT $1",
        )
        .bind(limit)
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let results = results.iter().map(confirmed).collect::<Result<Vec<_>, _>>()?;
        let log_rows: Vec<i64> = sqlx::query_scalar(
            "SELECT t.row FROM tao_taken_log t INDEXED BY tao_taken_log_untold
             CROSS JOIN outbox o ON o.item = t.item AND o.kind = t.kind AND o.version = t.version
             WHERE t.told = 0 AND o.state = 'sent' AND NOT EXISTS (SELECT 1 FROM outbox w
                 WHERE w.state <> 'sent' AND w.kind = 'log' AND w.execution = o.execution) LIMIT $1",
        )
        .bind(limit)
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        Ok(ToTell { results, log_rows: log_rows.into_iter().collect() })
    }

    /// Notes that TAO was told.
    pub async fn tao_told(&self, told: &ToTell) -> Result<(), StoreError> {
        let mut tx = self.write("tao_told", Durability::Relaxed).await?;
        let sql = tx.sql();
        let row =
            |one: &ConfirmedResult| serde_json::json!({"item": one.item.simple().to_string(), "version": one.version});
        let list = serde_json::Value::from(told.results.iter().map(row).collect::<Vec<_>>()).to_string();
        sqlx::query(
            "UPDATE tao_taken SET told = r.version
             FROM (SELECT unhex(value ->> 'item') AS item, value ->> 'version' AS version FROM json_each($1)) AS r
             WHERE tao_taken.item = r.item",
        )
        .bind(list)
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        let rows = serde_json::Value::from(told.log_rows.iter().copied().collect::<Vec<_>>()).to_string();
        sqlx::query("UPDATE tao_taken_log SET told = 1 WHERE row IN (SELECT value FROM json_each($1))")
            .bind(rows)
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        tx.commit().await
    }

    /// A blind index of what an item is made of: the same again is known by it.
    pub fn tao_content(&self, plain: &[u8]) -> [u8; 16] {
        self.keyring.index().of("content", &Digest::of(plain).to_hex())
    }

    async fn taken_executions(&self, tx: &mut Tx, added: &[&NewTaken]) -> Result<(), StoreError> {
        let sql = tx.sql();
        rows::insert(
            tx.conn(),
            "INSERT INTO execution (id, org, delivery, test_taker, package_version, state, version, previous, digest,
                 started_at, finished_at) ",
            added,
            "ON CONFLICT (id) DO UPDATE SET state = excluded.state, version = excluded.version,
                 previous = excluded.previous, digest = excluded.digest, started_at = excluded.started_at,
                 finished_at = excluded.finished_at",
            |mut row, new| {
                let envelope = &new.attempt.item.envelope;
                row.push_bind(envelope.item).push_bind(envelope.org.as_str());
                row.push_bind(envelope.delivery.as_deref().unwrap_or_default());
                row.push_bind(envelope.test_taker.as_deref().unwrap_or_default());
                row.push_bind(new.attempt.package_version);
                row.push_bind(envelope.state.unwrap_or(ExecutionState::Finished).as_str()).push_bind(envelope.version);
                row.push_bind(envelope.previous.map(|d| d.0.to_vec())).push_bind(envelope.digest.0.to_vec());
                row.push_bind(envelope.started_at.unwrap_or_default().as_millisecond());
                row.push_bind(envelope.finished_at.map(jiff::Timestamp::as_millisecond));
            },
        )
        .await
        .map_err(sql)
    }
}

/// Whether an item is the next of its execution, or the first.
fn follows(envelope: &Envelope, head: Option<&(u32, Option<Digest>)>) -> bool {
    match head {
        None => envelope.version == 1 && envelope.previous.is_none(),
        Some((version, digest)) => envelope.version == version + 1 && envelope.previous == *digest,
    }
}

impl Tx {
    async fn execution_heads(
        &mut self,
        ids: impl Iterator<Item = &Uuid>,
    ) -> Result<HashMap<Uuid, (u32, Option<Digest>)>, StoreError> {
        let sql = self.sql();
        let rows = sqlx::query(
            "SELECT e.id, e.version, e.digest FROM json_each($1) j CROSS JOIN execution e ON e.id = unhex(j.value)",
        )
        .bind(rows::id_array(ids))
        .fetch_all(self.conn())
        .await
        .map_err(sql)?;
        rows.iter()
            .map(|row| {
                let row = Record::new("execution", row);
                Ok((row.get("id")?, (row.number("version")?, row.digest_or_none("digest")?)))
            })
            .collect()
    }

    async fn taken_note(&mut self, added: &[&NewTaken]) -> Result<(), StoreError> {
        let sql = self.sql();
        rows::insert(
            self.conn(),
            "INSERT INTO tao_taken (item, name, version, ended, seen, content, told) ",
            added,
            "ON CONFLICT (item) DO UPDATE SET version = excluded.version, ended = excluded.ended, seen = excluded.seen,
                 content = excluded.content",
            |mut row, new| {
                let envelope = &new.attempt.item.envelope;
                row.push_bind(envelope.item).push_bind(new.name.as_str()).push_bind(envelope.version);
                row.push_bind(new.ended.as_deref()).push_bind(new.seen.as_str()).push_bind(new.content.to_vec());
                row.push_bind(0);
            },
        )
        .await
        .map_err(sql)
    }

    /// A row that went into several versions counts for the first: central has it since then.
    async fn taken_log_note(&mut self, log: &[(i64, &Envelope)]) -> Result<(), StoreError> {
        let sql = self.sql();
        rows::insert(
            self.conn(),
            "INSERT INTO tao_taken_log (row, item, kind, version, told) ",
            log,
            "ON CONFLICT DO NOTHING",
            |mut row, (number, envelope)| {
                row.push_bind(*number).push_bind(envelope.item).push_bind(envelope.kind.as_str());
                row.push_bind(envelope.version).push_bind(0);
            },
        )
        .await
        .map_err(sql)
    }
}

fn taken(row: &SqliteRow) -> Result<(String, Taken), StoreError> {
    let row = Record::new("tao_taken", row);
    let content = row.get::<&[u8]>("content")?.try_into();
    let taken = Taken {
        item: row.get("item")?,
        version: row.number("version")?,
        digest: row.digest("digest")?,
        ended: row.get("ended")?,
        seen: row.get("seen")?,
        content: content.map_err(|_| StoreError::damaged("tao_taken.content"))?,
    };
    Ok((row.get("name")?, taken))
}

fn confirmed(row: &SqliteRow) -> Result<ConfirmedResult, StoreError> {
    let row = Record::new("tao_taken", row);
    Ok(ConfirmedResult {
        item: row.get("item")?,
        version: row.number("version")?,
        name: row.get("name")?,
        ended: row.get("ended")?,
        session: row.flag("session")?,
    })
}
