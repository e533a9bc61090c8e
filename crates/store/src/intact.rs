//! Whether results are still what they were: payloads that open and have their digest, receipts whose signature holds.

use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use taosync_model::item::Envelope;
use taosync_model::{Digest, OrgId};
use taosync_vault::receipts;
use uuid::Uuid;

use crate::outbox::receipt;
use crate::received::word::WordCheck;
use crate::values::Record;
use crate::{Store, StoreError};

/// A result, or the receipt for it, that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemProblem {
    /// The org.
    pub org: OrgId,
    /// Kind, id and version of the item.
    pub what: String,
    /// What is wrong.
    pub problem: String,
}

/// What looking at some rows of a longer check gave.
#[derive(Clone, Debug)]
pub struct Slice<P> {
    /// Rows looked at.
    pub rows: u64,
    /// What is wrong.
    pub problems: Vec<P>,
}

impl<P> Default for Slice<P> {
    fn default() -> Self {
        Self { rows: 0, problems: Vec::new() }
    }
}

/// What looking at some items gave.
#[derive(Clone, Debug, Default)]
pub struct ItemsChecked {
    /// Items looked at.
    pub looked_at: u64,
    /// Row of the last one, to go on after; none at the end.
    pub last: Option<Uuid>,
    /// What is damaged.
    pub problems: Vec<ItemProblem>,
}

impl Store {
    /// Looks at some items of the outbox, after a row, in the order of rows.
    pub async fn outbox_check(&self, after: Option<Uuid>, limit: u32) -> Result<ItemsChecked, StoreError> {
        let keys: HashMap<Uuid, [u8; 32]> = self
            .remotes_list()
            .await?
            .into_iter()
            .filter_map(|remote| Some((remote.central?, remote.central_key?)))
            .collect();
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT o.id, o.org, c.envelope, c.payload, 0 AS sealed, {} FROM outbox o CROSS JOIN outbox_content c ON c.id = o.id
             LEFT JOIN outbox_receipt r ON r.id = o.id WHERE o.id > $1 ORDER BY o.id LIMIT $2",
            receipt::COLUMNS
        )))
        .bind(after.unwrap_or(Uuid::nil()))
        .bind(limit)
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("outbox_check"))?;
        self.items_checked("outbox_content", &rows, |row| receipt_problem(row, &keys))
    }

    /// Looks at some received items, after a row, in the order of rows.
    pub async fn received_check(&self, after: Option<Uuid>, limit: u32) -> Result<ItemsChecked, StoreError> {
        let rows = sqlx::query(
            "SELECT r.id, r.kind, r.item, r.version, r.org, r.envelope, r.digest, r.payload, r.sealed, r.word, r.leaf,
                 w.signer, w.signature, w.leaves
             FROM received r LEFT JOIN received_word w ON w.id = r.word WHERE r.id > $1 ORDER BY r.id LIMIT $2",
        )
        .bind(after.unwrap_or(Uuid::nil()))
        .bind(limit)
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("received_check"))?;
        let mut words = WordCheck::default();
        self.items_checked("received", &rows, |row| words.problem(row))
    }

    fn items_checked(
        &self,
        table: &'static str,
        rows: &[SqliteRow],
        mut more: impl FnMut(&Record<'_>) -> Result<Option<&'static str>, StoreError>,
    ) -> Result<ItemsChecked, StoreError> {
        let mut checked = ItemsChecked::default();
        for row in rows {
            let row = Record::new(table, row);
            checked.looked_at += 1;
            checked.last = Some(row.get("id")?);
            let found = [self.payload_problem(table, &row)?, more(&row)?];
            for problem in found.into_iter().flatten() {
                let (kind, item, version): (String, Uuid, i64) =
                    (row.get("kind")?, row.get("item")?, row.get("version")?);
                let what = format!("{kind} {item} version {version}");
                checked.problems.push(ItemProblem { org: row.word("org")?, what, problem: problem.to_owned() });
            }
        }
        Ok(checked)
    }

    fn payload_problem(&self, table: &'static str, row: &Record<'_>) -> Result<Option<&'static str>, StoreError> {
        let digest = row.digest("digest")?;
        let Ok(envelope) = row.json::<Envelope>("envelope") else { return Ok(Some("its envelope cannot be read")) };
        if envelope.digest != digest {
            return Ok(Some("its envelope names another payload than its row"));
        }
        // Erased once it was safe at central.
        let Some(sealed) = row.get::<Option<&[u8]>>("payload")? else { return Ok(None) };
        let id: Uuid = row.get("id")?;
        Ok(match self.unseal(table, id.as_bytes(), "payload", sealed) {
            Err(_) => Some("its stored answers are damaged or sealed with another key"),
            // What arrived cannot be hashed again; that the column opens says that it is what was sealed then.
            Ok(_) if row.flag("sealed")? => None,
            Ok(payload) if Digest::of(&payload) != digest => Some("its stored answers are not those it was made with"),
            Ok(_) => None,
        })
    }
}

fn receipt_problem(row: &Record<'_>, keys: &HashMap<Uuid, [u8; 32]>) -> Result<Option<&'static str>, StoreError> {
    let receipt = match receipt::kept(row) {
        Ok(Some(receipt)) => receipt,
        Ok(None) => return Ok(None),
        Err(_) => return Ok(Some("central's receipt for it cannot be read")),
    };
    // A central that was forgotten since took its key with it.
    let Some(key) = keys.get(&receipt.central) else { return Ok(None) };
    Ok(receipts::verify_receipt(key, &receipt)
        .is_err()
        .then_some("central's receipt for it is not what central has signed"))
}
