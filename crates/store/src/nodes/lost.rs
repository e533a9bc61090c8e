//! A local server that was lost or stolen: shut out with everything that lets it in, and what it held.

use jiff::Timestamp;
use serde_json::json;
use taosync_model::OrgId;
use uuid::Uuid;

use super::{Node, node, unknown_node};
use crate::audit::AuditEntry;
use crate::values::Record;
use crate::{Durability, Store, StoreError, Tx};

/// A test whose key a machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldKey {
    /// URI of the delivery.
    pub delivery: String,
    /// Version of its package.
    pub version: u32,
    /// What keeps it shut.
    pub lock: HeldLock,
}

/// What keeps a test shut on a machine that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldLock {
    /// Nothing: it has the key.
    Open,
    /// It has the key under an unlock code, and the release is still to come.
    Code(Timestamp),
}

/// A consumer that the machine used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostConsumer {
    /// Its client key.
    pub client_key: String,
    /// Its organisations.
    pub orgs: Vec<OrgId>,
    /// Whether it is revoked now: not when other machines use it too, which go on.
    pub is_revoked: bool,
    /// The machines that go on with it. One of them may be the lost one under another identity, taken before this.
    pub others: Vec<OtherMachine>,
}

/// A machine that shares a consumer with one that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherMachine {
    /// Its id.
    pub node: Uuid,
    /// When it first asked for a token.
    pub first_seen: Timestamp,
}

/// What was taken from a lost machine, and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostNode {
    /// The machine.
    pub node: Node,
    /// Tokens that ended.
    pub tokens: u64,
    /// Its consumers.
    pub consumers: Vec<LostConsumer>,
    /// Tests whose key it has.
    pub keys: Vec<HeldKey>,
}

impl Store {
    /// Shuts a machine out that was lost: its tokens end, no consumer is its own any more, consumers that nobody else uses are
    /// revoked with their codes, and no unlock code of it is shown again, all in one transaction with the entry in the log.
    /// Saying it twice changes nothing more.
    pub async fn node_lose(&self, id: Uuid, actor: &str) -> Result<LostNode, StoreError> {
        let mut tx = self.write("node_lose", Durability::Flushed).await?;
        let sql = tx.sql();
        let row =
            sqlx::query("SELECT * FROM node WHERE id = $1").bind(id).fetch_optional(tx.conn()).await.map_err(&sql)?;
        let lost = node(&row.ok_or_else(|| unknown_node(id))?)?;
        let keys = held_keys(&mut tx, id, self.now_ms()).await?;
        let tokens: i64 = sqlx::query_scalar("SELECT count(*) FROM token WHERE node = $1")
            .bind(id)
            .fetch_one(tx.conn())
            .await
            .map_err(&sql)?;
        let bound: Vec<Uuid> = sqlx::query_scalar("SELECT consumer FROM consumer_key WHERE thumbprint = $1")
            .bind(&lost.thumbprint)
            .fetch_all(tx.conn())
            .await
            .map_err(&sql)?;
        let bound = crate::rows::id_array(&bound);
        for statement in [
            "UPDATE node SET revoked_at = coalesce(revoked_at, $4), lost_at = coalesce(lost_at, $4) WHERE id = $1",
            "DELETE FROM token WHERE node = $1",
            "DELETE FROM consumer_key WHERE thumbprint = $2",
            "UPDATE consumer SET revoked_at = coalesce(revoked_at, $4)
             WHERE id IN (SELECT unhex(value) FROM json_each($3))
               AND NOT EXISTS (SELECT 1 FROM consumer_key k WHERE k.consumer = consumer.id)",
            "DELETE FROM token WHERE consumer IN (SELECT c.id FROM consumer c JOIN json_each($3) j
               ON c.id = unhex(j.value) WHERE c.revoked_at IS NOT NULL)",
            "DELETE FROM enrolment_code WHERE used_at IS NULL AND consumer IN (SELECT c.id FROM consumer c
               JOIN json_each($3) j ON c.id = unhex(j.value) WHERE c.revoked_at IS NOT NULL)",
        ] {
            let query = sqlx::query(statement).bind(id).bind(&lost.thumbprint).bind(&bound).bind(self.now_ms());
            query.execute(tx.conn()).await.map_err(&sql)?;
        }
        let consumers = consumers(&mut tx, &bound).await?;
        let detail = json!({
            "consumers": consumers.iter().map(|c| &c.client_key).collect::<Vec<_>>(), "keys": keys.len(), "tokens": tokens,
        });
        self.audit_add(&mut tx, &AuditEntry { actor, act: "node.lost", object: &id.to_string(), detail }).await?;
        tx.commit().await?;
        Ok(LostNode { node: lost, tokens: tokens.unsigned_abs(), consumers, keys })
    }
}

async fn held_keys(tx: &mut Tx, id: Uuid, now: i64) -> Result<Vec<HeldKey>, StoreError> {
    let sql = tx.sql();
    let rows = sqlx::query(
        "SELECT p.delivery, p.version, NULL AS release_at
         FROM package_given g CROSS JOIN package p ON p.id = g.package WHERE g.node = $1
         UNION
         SELECT p.delivery, p.version, r.release_at FROM package_coded c CROSS JOIN package p ON p.id = c.package
         CROSS JOIN package_release r ON r.package = c.package
         WHERE c.node = $1 AND r.release_at > $2
           AND NOT EXISTS (SELECT 1 FROM package_given g WHERE g.package = c.package AND g.node = $1)
         ORDER BY 1, 2",
    )
    .bind(id)
    .bind(now)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.iter()
        .map(|row| {
            let row = Record::new("package", row);
            let lock = row.time_or_none("release_at")?.map_or(HeldLock::Open, HeldLock::Code);
            Ok(HeldKey { delivery: row.get("delivery")?, version: row.number("version")?, lock })
        })
        .collect()
}

async fn consumers(tx: &mut Tx, bound: &str) -> Result<Vec<LostConsumer>, StoreError> {
    let sql = tx.sql();
    let rows = sqlx::query(
        "SELECT c.client_key, c.revoked_at IS NOT NULL AS is_revoked,
           (SELECT json_group_array(org) FROM consumer_org WHERE consumer = c.id) AS orgs,
           (SELECT json_group_array(json_array(hex(n.id), n.first_seen)) FROM consumer_key k
              JOIN node n ON n.thumbprint = k.thumbprint WHERE k.consumer = c.id) AS others
         FROM json_each($1) j CROSS JOIN consumer c ON c.id = unhex(j.value) ORDER BY c.client_key",
    )
    .bind(bound)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.iter()
        .map(|row| {
            let row = Record::new("consumer", row);
            Ok(LostConsumer {
                client_key: row.get("client_key")?,
                orgs: row.json("orgs")?,
                is_revoked: row.flag("is_revoked")?,
                others: others(row.json("others")?)?,
            })
        })
        .collect()
}

fn others(rows: Vec<(Uuid, i64)>) -> Result<Vec<OtherMachine>, StoreError> {
    let other = |(node, first_seen): (Uuid, i64)| {
        let first_seen = Timestamp::from_millisecond(first_seen);
        let first_seen = first_seen.map_err(|_| StoreError::damaged("node.first_seen"))?;
        Ok(OtherMachine { node, first_seen })
    };
    rows.into_iter().map(other).collect()
}
