//! Choosing what is handed in next, and what has to be handed in again when central went back.

use sqlx::sqlite::SqliteRow;
use taosync_model::OrgId;
use taosync_model::execution::ExecutionState;
use taosync_model::item::ItemKind;
use uuid::Uuid;

use super::OutboxItem;
use crate::rows;
use crate::values::Record;
use crate::{Durability, Store, StoreError};

/// Attempts that ended in a state that is not handed in stay; items of other kinds have no state and always go. What an
/// attempt came to before it went on and ended so that it is handed in goes too: central takes a version only after the
/// one it follows. The row is found again by its id, so that the index of pending rows is enough for all others.
const IS_DUE: &str = "(ended IS NULL OR ended IN (SELECT value FROM json_each($2))
    OR EXISTS (SELECT 1 FROM outbox own CROSS JOIN outbox later
        ON later.item = own.item AND later.kind = own.kind AND later.version > own.version
        WHERE own.id = outbox.id AND later.ended IN (SELECT value FROM json_each($2))))";

/// Which pending items to take.
#[derive(Clone, Copy, Debug)]
pub struct Pick<'a> {
    /// Organisation.
    pub org: &'a OrgId,
    /// States of attempts that are handed in (`status_executions_to_sync`).
    pub states: &'a [ExecutionState],
    /// Of this kind only.
    pub kind: Option<ItemKind>,
    /// Version and row of the last item of the page before: a walk meets every item once.
    pub after: Option<(u32, Uuid)>,
    /// Items at most.
    pub max_items: u32,
    /// Bytes of payload at most, unless the first item alone has more.
    pub max_bytes: u64,
}

/// What waits in the outbox of an organisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// To be handed in.
    pub due: u64,
    /// Staying here, because attempts in their state are not handed in.
    pub kept_back: u64,
}

impl Store {
    /// The next pending items, older versions first. Items that no longer open are marked as refused, so that they are
    /// seen and block nothing.
    pub async fn outbox_pick(&self, pick: &Pick<'_>) -> Result<Vec<OutboxItem>, StoreError> {
        loop {
            let rows = self.outbox_pick_page(pick).await?;
            let (mut items, mut damaged) = (Vec::with_capacity(rows.len()), Vec::new());
            for row in &rows {
                match self.outbox_item(row) {
                    Ok(item) => items.push(item),
                    Err(_) => damaged.push(Record::new("outbox_content", row).get("id")?),
                }
            }
            // The query has them in order, but does not promise it.
            items.sort_by_key(|item: &OutboxItem| (item.envelope.version, item.id));
            self.outbox_mark_damaged(&damaged).await?;
            if !items.is_empty() || damaged.is_empty() {
                return Ok(items);
            }
        }
    }

    async fn outbox_pick_page(&self, pick: &Pick<'_>) -> Result<Vec<SqliteRow>, StoreError> {
        let mut snapshot = self.read("outbox_pick").await?;
        let sql = snapshot.sql();
        let (version, id) = pick.after.unwrap_or((0, Uuid::nil()));
        // Sizes first: the payloads of what does not fit are not read.
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT c.id, c.envelope, c.payload
             FROM (SELECT id, version, row_number() OVER (ORDER BY version, id) AS place,
                       sum(bytes) OVER (ORDER BY version, id) AS reached
                   FROM (SELECT id, version, bytes FROM outbox
                         WHERE state = 'pending' AND org = $1 AND {IS_DUE} AND (version, id) > ($3, $4)
                           AND ($7 IS NULL OR kind = $7)
                         ORDER BY version, id LIMIT $5)) AS page
             CROSS JOIN outbox_content c ON c.id = page.id
             WHERE page.place = 1 OR page.reached <= $6"
        )))
        .bind(pick.org.as_str())
        .bind(states_array(pick.states))
        .bind(version)
        .bind(id)
        .bind(pick.max_items)
        .bind(i64::try_from(pick.max_bytes).unwrap_or(i64::MAX))
        .bind(pick.kind.map(ItemKind::as_str))
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)
    }

    /// Which of these rows follow versions that still wait: the row, and each version before it.
    pub async fn outbox_waits_before(&self, rows: &[Uuid]) -> Result<Vec<(Uuid, u32)>, StoreError> {
        sqlx::query_as(
            "SELECT o.id, e.version FROM json_each($1) j CROSS JOIN outbox o ON o.id = unhex(j.value)
             CROSS JOIN outbox e ON e.item = o.item AND e.kind = o.kind AND e.version < o.version AND e.state = 'pending'",
        )
        .bind(rows::id_array(rows))
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("outbox_waits_before"))
    }

    /// What waits.
    pub async fn outbox_waiting(&self, org: &OrgId, states: &[ExecutionState]) -> Result<Waiting, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT count(*) FILTER (WHERE {IS_DUE}) AS due, count(*) FILTER (WHERE NOT {IS_DUE}) AS kept_back
             FROM outbox WHERE state = 'pending' AND org = $1"
        )))
        .bind(org.as_str())
        .bind(states_array(states))
        .fetch_one(&self.pools.readers)
        .await
        .map_err(StoreError::sql("outbox_waiting"))?;
        let row = Record::new("outbox", &row);
        Ok(Waiting { due: row.number("due")?, kept_back: row.number("kept_back")? })
    }

    /// After central began another history: everything it confirmed in an older one and that is still here waits
    /// again, as nobody knows what of it was restored. What was, is answered `duplicate`. Says how many items do.
    pub async fn outbox_offer_older_epochs(&self, org: &OrgId, central: Uuid, epoch: Uuid) -> Result<u64, StoreError> {
        let mut tx = self.write("outbox_offer_older_epochs", Durability::Flushed).await?;
        let sql = tx.sql();
        let offered = sqlx::query(
            "UPDATE outbox SET state = 'pending'
             FROM (SELECT id FROM outbox_receipt WHERE central = $2 AND epoch < $3
                   UNION ALL SELECT id FROM outbox_receipt WHERE central = $2 AND epoch > $3) AS older
             WHERE outbox.id = older.id AND +outbox.state = 'sent' AND +outbox.org = $1 AND outbox.bytes IS NOT NULL",
        )
        .bind(org.as_str())
        .bind(central)
        .bind(epoch)
        .execute(tx.conn())
        .await
        .map_err(sql)?
        .rows_affected();
        tx.commit().await?;
        Ok(offered)
    }
}

fn states_array(states: &[ExecutionState]) -> String {
    rows::text_array(states.iter().map(|state| state.as_str()))
}
