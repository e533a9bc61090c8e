//! What central says about an item: stored, duplicate, superseded or conflict, also within one batch.

use std::collections::HashMap;

use taosync_model::item::{Envelope, ItemKind, ReceiptStatus};
use taosync_model::{Digest, OrgId};
use uuid::Uuid;

use super::IncomingItem;
use crate::settings::RECEIPT_NO;
use crate::values::Record;
use crate::{Store, StoreError, Tx, rows};

/// An item, by kind and id.
pub type ItemKey = (ItemKind, Uuid);
/// A version of an item.
type Edition = (u32, Digest);

/// The versions of an item that are held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Editions {
    /// Version and digest of each.
    pub held: Vec<(u32, Digest)>,
    /// The newest that is not in conflict.
    pub head: Option<(u32, Digest)>,
}

impl Store {
    /// What an org holds of these items, for items whose makers do not count versions.
    pub async fn received_editions(
        &self,
        org: &OrgId,
        items: &[Uuid],
    ) -> Result<HashMap<ItemKey, Editions>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, item, version, digest, head FROM received
             WHERE item IN (SELECT unhex(value) FROM json_each($1)) AND org = $2",
        )
        .bind(rows::id_array(items))
        .bind(org.as_str())
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("received_editions"))?;
        let mut found: HashMap<ItemKey, Editions> = HashMap::new();
        for row in &rows {
            let row = Record::new("received", row);
            let editions = found.entry((row.word("kind")?, row.get("item")?)).or_default();
            let edition = (row.number("version")?, row.digest("digest")?);
            editions.held.push(edition);
            if row.flag("head")? {
                editions.head = Some(edition);
            }
        }
        Ok(found)
    }
}

/// What is kept of a version of an item.
#[derive(Clone, Copy)]
pub(super) struct Held {
    /// Digest of the version it follows.
    previous: Option<Digest>,
    pub receipt_no: i64,
    pub received_at: i64,
    pub out_of_scope: bool,
    pub status: ReceiptStatus,
}

/// What is said about an incoming item, and what holds it.
pub(super) struct Verdict {
    pub status: ReceiptStatus,
    pub held: Held,
}

#[derive(Default)]
struct Known {
    editions: HashMap<Edition, Held>,
    head: Option<Edition>,
    /// Row of the head the database had.
    head_row: Option<Uuid>,
    /// Head the database had.
    first_head: Option<Edition>,
}

impl Known {
    fn status(&self, envelope: &Envelope) -> ReceiptStatus {
        match self.head {
            None => ReceiptStatus::Stored,
            Some(head) if follows(envelope, head) => ReceiptStatus::Superseded,
            Some(head) if self.was_lost(envelope, head) => ReceiptStatus::Stored,
            Some(_) => ReceiptStatus::Conflict,
        }
    }

    /// Whether this is one of the versions before the newest that central does not have: it was put back to a state
    /// without them, and heard of the newest first. A version that anything held speaks against is none of them.
    fn was_lost(&self, envelope: &Envelope, head: Edition) -> bool {
        let Some((first_missing, digest)) = self.first_missing(head) else { return false };
        let version = envelope.version;
        let fits = version < first_missing || (version, envelope.digest) == (first_missing, digest);
        let is_contradicted = self.editions.iter().any(|((held, digest), edition)| {
            *held == version
                || (held.checked_add(1) == Some(version) && envelope.previous != Some(*digest))
                || (version.checked_add(1) == Some(*held) && edition.previous != Some(envelope.digest))
        });
        fits && !is_contradicted
    }

    /// The newest version that the head goes back to and that is not held.
    fn first_missing(&self, head: Edition) -> Option<Edition> {
        let mut edition = head;
        while let Some(held) = self.editions.get(&edition) {
            edition = (edition.0.checked_sub(1)?, held.previous?);
        }
        Some(edition)
    }
}

/// Judges items one after the other against what is held and what came before in the batch.
pub(super) struct Judge {
    known: HashMap<ItemKey, Known>,
    last_no: i64,
}

impl Judge {
    pub fn verdict(&mut self, item: &IncomingItem, now: i64) -> Verdict {
        let envelope = &item.envelope;
        let edition = (envelope.version, envelope.digest);
        let known = self.known.entry((envelope.kind, envelope.item)).or_default();
        if let Some(held) = known.editions.get(&edition) {
            return Verdict { status: ReceiptStatus::Duplicate, held: *held };
        }
        let status = known.status(envelope);
        if known.head.is_none() || status == ReceiptStatus::Superseded {
            known.head = Some(edition);
        }
        self.last_no += 1;
        let (previous, out_of_scope) = (envelope.previous, item.out_of_scope);
        let held = Held { previous, receipt_no: self.last_no, received_at: now, out_of_scope, status };
        known.editions.insert(edition, held);
        Verdict { status, held }
    }

    /// Whether this is the newest version of its item, now that the whole batch is judged.
    pub fn is_head(&self, envelope: &Envelope) -> bool {
        let known = self.known.get(&(envelope.kind, envelope.item));
        known.is_some_and(|known| known.head == Some((envelope.version, envelope.digest)))
    }

    /// Rows of the database that are no longer the newest version of their item.
    pub fn replaced_heads(&self) -> Vec<Uuid> {
        self.known.values().filter(|known| known.head != known.first_head).filter_map(|known| known.head_row).collect()
    }

    /// The last receipt number that was given out.
    pub fn last_no(&self) -> i64 {
        self.last_no
    }
}

impl Tx {
    /// A judge that knows everything this org holds about these items. An item is known by its org too: what another org
    /// handed in under the same id is nobody's business here.
    pub(super) async fn judge_for<'a>(
        &mut self,
        org: &OrgId,
        items: impl Iterator<Item = &'a IncomingItem>,
    ) -> Result<Judge, StoreError> {
        let last_no = self.setting_add(RECEIPT_NO, 0).await?;
        let sql = self.sql();
        // The plus keeps SQLite from walking everything the org has ever handed in, batch after batch.
        let rows = sqlx::query(
            "SELECT r.id, r.kind, r.item, r.version, r.digest, r.envelope ->> 'previous' AS previous, r.status, r.head,
                 r.out_of_scope, r.receipt_no, r.received_at
             FROM json_each($1) j CROSS JOIN received r ON r.item = unhex(j.value) AND +r.org = $2",
        )
        .bind(rows::id_array(items.map(|item| &item.envelope.item)))
        .bind(org.as_str())
        .fetch_all(self.conn())
        .await
        .map_err(sql)?;
        let mut known: HashMap<ItemKey, Known> = HashMap::new();
        for row in &rows {
            let row = Record::new("received", row);
            let entry = known.entry((row.word("kind")?, row.get("item")?)).or_default();
            let edition = (row.number("version")?, row.digest("digest")?);
            if row.flag("head")? {
                (entry.head, entry.first_head) = (Some(edition), Some(edition));
                entry.head_row = Some(row.get("id")?);
            }
            entry.editions.insert(edition, held(&row)?);
        }
        Ok(Judge { known, last_no })
    }

    /// Takes the mark of the newest version from these rows.
    pub(super) async fn received_unhead(&mut self, ids: &[Uuid]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let sql = self.sql();
        let query = sqlx::query("UPDATE received SET head = 0 WHERE id IN (SELECT unhex(value) FROM json_each($1))");
        query.bind(rows::id_array(ids)).execute(self.conn()).await.map_err(sql)?;
        Ok(())
    }
}

fn held(row: &Record<'_>) -> Result<Held, StoreError> {
    let status = match row.get::<&str>("status")? {
        "stored" => ReceiptStatus::Stored,
        "superseded" => ReceiptStatus::Superseded,
        "conflict" => ReceiptStatus::Conflict,
        _ => return Err(StoreError::damaged("received.status")),
    };
    let previous = row.get::<Option<&str>>("previous")?.map(str::parse).transpose();
    Ok(Held {
        previous: previous.map_err(|_| StoreError::damaged("received.envelope"))?,
        receipt_no: row.get("receipt_no")?,
        received_at: row.get("received_at")?,
        out_of_scope: row.flag("out_of_scope")?,
        status,
    })
}

fn follows(envelope: &Envelope, (version, digest): Edition) -> bool {
    version.checked_add(1) == Some(envelope.version) && envelope.previous == Some(digest)
}
