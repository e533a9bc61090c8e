//! The audit log: every authenticated act, only ever added to. It carries random ids and names of acts, never personal
//! data, answers or secrets.
//!
//! Entries form one chain: the database has one writer at a time, so there is one order, and the head of the chain stands
//! for everything before it. What only asks and changes nothing is counted ([`polls`]) and noted as one entry now and then.

pub mod polls;
pub mod verify;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use taosync_model::audit::AuditHead;
use taosync_model::{Digest, EntityType};
use taosync_vault::audit_chain::{self, Link};

use crate::values::{Record, json_text};
use crate::{Durability, Store, StoreError, Tx};

/// Something somebody did.
#[derive(Clone, Debug)]
pub struct AuditEntry<'a> {
    /// Who: a consumer's client key, a node, `command line` …
    pub actor: &'a str,
    /// What, such as `consumer.revoke`.
    pub act: &'a str,
    /// To what: an id or name.
    pub object: &'a str,
    /// Further facts.
    pub detail: serde_json::Value,
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Number, from 1 without gaps.
    pub no: i64,
    /// When, by this node's clock.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub act: String,
    /// To what.
    pub object: String,
    /// Further facts: JSON, to the letter as it was digested.
    pub detail: String,
    /// Digest of the entry before; zeros for the first.
    pub previous: Digest,
    /// Digest of this entry and so of all before it.
    pub digest: Digest,
    /// Public key of the node that signed.
    pub signer: [u8; 32],
    /// Its signature over number and digest.
    pub signature: [u8; 64],
}

impl AuditRecord {
    /// The head of the log as this entry says it is.
    pub fn head(&self) -> AuditHead {
        AuditHead { no: self.no, digest: self.digest }
    }

    /// The head of the log as the content of this entry makes it.
    pub fn computed(&self) -> AuditHead {
        let previous = AuditHead { no: self.no.saturating_sub(1), digest: self.previous };
        let texts = [self.actor.as_str(), &self.act, &self.object, &self.detail];
        Link { previous, at: self.at.as_millisecond(), texts }.head()
    }
}

/// Which entries are listed; what is left open matches all.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// By whom.
    pub actor: Option<String>,
    /// What; an act whose name begins so, up to a dot, matches too: `consumer` stands for `consumer.revoke`.
    pub act: Option<String>,
    /// To what.
    pub object: Option<String>,
}

impl Store {
    /// What the log calls an entity: a person by a keyed hash of the URI, which may be made of a name; anything else by
    /// its URI.
    pub fn audit_name(&self, types: &[EntityType], uri: &str) -> String {
        if types.iter().any(|entity_type| entity_type.is_person()) {
            return self.subject_name(uri);
        }
        uri.to_owned()
    }

    /// What the log calls a person.
    pub fn subject_name(&self, uri: &str) -> String {
        format!("person:{}", hex::encode(self.keyring.index().exact("subject", uri)))
    }

    /// Writes an entry in a transaction of its own.
    pub async fn audit_write(&self, entry: &AuditEntry<'_>) -> Result<(), StoreError> {
        let mut tx = self.write("audit_write", Durability::Flushed).await?;
        self.audit_add(&mut tx, entry).await?;
        tx.commit().await
    }

    /// Writes an entry in the transaction of the act itself: both happen or neither. Gives the new head of the log.
    pub async fn audit_add(&self, tx: &mut Tx, entry: &AuditEntry<'_>) -> Result<AuditHead, StoreError> {
        let previous = tx.audit_head().await?;
        let (at, detail) = (self.now_ms(), json_text(&entry.detail)?);
        let head = Link { previous, at, texts: [entry.actor, entry.act, entry.object, &detail] }.head();
        let key = self.keyring.node_key();
        let sql = tx.sql();
        sqlx::query(
            "INSERT INTO audit (no, at, actor, act, object, detail, previous, digest, signer, signature)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(head.no)
        .bind(at)
        .bind(entry.actor)
        .bind(entry.act)
        .bind(entry.object)
        .bind(detail)
        .bind(previous.digest.0.as_slice())
        .bind(head.digest.0.as_slice())
        .bind(key.public().as_slice())
        .bind(audit_chain::sign(key, &head).as_slice())
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        Ok(head)
    }

    /// Where the log ends now.
    pub async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        Ok(self.audit_list(1).await?.first().map(AuditRecord::head).unwrap_or_default())
    }

    /// The newest entries, newest first.
    pub async fn audit_list(&self, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        self.audit_find(&AuditFilter::default(), limit).await
    }

    /// The newest entries that match, newest first.
    pub async fn audit_find(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM audit WHERE ($1 IS NULL OR actor = $1) AND ($3 IS NULL OR object = $3)
               AND ($2 IS NULL OR act = $2 OR substr(act, 1, length($2) + 1) = $2 || '.')
             ORDER BY no DESC LIMIT $4",
        )
        .bind(filter.actor.as_deref())
        .bind(filter.act.as_deref())
        .bind(filter.object.as_deref())
        .bind(limit)
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("audit_find"))?;
        rows.iter().map(record).collect()
    }

    /// Entries after a number, in order.
    pub async fn audit_page(&self, after: i64, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        let rows = sqlx::query("SELECT * FROM audit WHERE no > $1 ORDER BY no LIMIT $2")
            .bind(after)
            .bind(limit)
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("audit_page"))?;
        rows.iter().map(record).collect()
    }
}

impl Tx {
    /// Where the log ends now.
    pub(crate) async fn audit_head(&mut self) -> Result<AuditHead, StoreError> {
        let sql = self.sql();
        let query = sqlx::query("SELECT no, digest FROM audit ORDER BY no DESC LIMIT 1");
        let row = query.fetch_optional(self.conn()).await.map_err(sql)?;
        let Some(row) = row else { return Ok(AuditHead::default()) };
        let row = Record::new("audit", &row);
        Ok(AuditHead { no: row.get("no")?, digest: row.digest("digest")? })
    }
}

fn record(row: &SqliteRow) -> Result<AuditRecord, StoreError> {
    let row = Record::new("audit", row);
    let signer = row.get::<&[u8]>("signer")?.try_into().map_err(|_| StoreError::damaged("audit.signer"))?;
    let signature = row.get::<&[u8]>("signature")?.try_into().map_err(|_| StoreError::damaged("audit.signature"))?;
    Ok(AuditRecord {
        no: row.get("no")?,
        at: row.time("at")?,
        actor: row.get("actor")?,
        act: row.get("act")?,
        object: row.get("object")?,
        detail: row.get("detail")?,
        previous: row.digest("previous")?,
        digest: row.digest("digest")?,
        signer,
        signature,
    })
}
