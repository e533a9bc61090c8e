//! Local servers as central knows them: keys, reports, and whether a machine was copied or restored.

mod admission;
mod continuation;
mod lost;

pub use admission::{FormerThumbprint, NodeSeen};
pub use continuation::WENT_BACK_AT;
pub use lost::{HeldKey, HeldLock, LostConsumer, LostNode, OtherMachine};

use jiff::Timestamp;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use taosync_model::OrgId;
use uuid::Uuid;

use crate::values::{Record, json_text};
use crate::{Durability, Store, StoreError};

/// What a local server says about itself when it asks for a token.
#[derive(Clone, Debug)]
pub struct NodeHello {
    /// Node id.
    pub id: Uuid,
    /// Thumbprint of its key (RFC 7638).
    pub thumbprint: String,
    /// Its Ed25519 public key.
    pub public_key: [u8; 32],
    /// Its age recipient, for delivery keys.
    pub recipient: String,
    /// Version of its program.
    pub version: String,
    /// Consumer it used.
    pub consumer: Uuid,
    /// Keys it had before that vouch for this one.
    pub former: Vec<FormerThumbprint>,
}

/// A local server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Node id.
    pub id: Uuid,
    /// Thumbprint of its key.
    pub thumbprint: String,
    /// Its Ed25519 public key.
    pub public_key: Vec<u8>,
    /// Its age recipient.
    pub recipient: String,
    /// Consumer it used last.
    pub consumer: Uuid,
    /// Version of its program.
    pub version: String,
    /// When it first asked for a token.
    pub first_seen: Timestamp,
    /// When it last asked for a token.
    pub last_seen: Timestamp,
    /// When it was shut out.
    pub revoked_at: Option<Timestamp>,
    /// Since when it is known to be lost or stolen.
    pub lost_at: Option<Timestamp>,
}

/// A local server with what it last said about each organisation.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeStatus {
    /// The server.
    pub node: Node,
    /// Per organisation.
    pub orgs: Vec<NodeOrg>,
}

/// A local server seen from one organisation.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeOrg {
    /// Organisation.
    pub org: OrgId,
    /// Since when it is known that the machine was copied or restored.
    pub diverged_at: Option<Timestamp>,
    /// Which of the two: `copied` or `old`.
    pub diverged: Option<String>,
    /// Since when it is known that the machine has met a newer state of this central: central went back.
    pub behind_at: Option<Timestamp>,
    /// Its last report.
    pub report: Option<Value>,
    /// When that report came.
    pub reported_at: Option<Timestamp>,
}

impl Store {
    /// A local server.
    pub async fn node_get(&self, id: Uuid) -> Result<Option<Node>, StoreError> {
        let query = sqlx::query("SELECT * FROM node WHERE id = $1").bind(id);
        let row = query.fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("node_get"))?;
        row.as_ref().map(node).transpose()
    }

    /// All local servers, oldest first, each with what it last said about its organisations.
    pub async fn nodes_list(&self) -> Result<Vec<NodeStatus>, StoreError> {
        let mut snapshot = self.read("nodes_list").await?;
        let sql = snapshot.sql();
        let nodes = sqlx::query("SELECT * FROM node ORDER BY id").fetch_all(snapshot.conn()).await.map_err(&sql)?;
        let orgs = sqlx::query(
            "SELECT node, org, diverged_at, diverged, behind_at, report, reported_at FROM node_org ORDER BY node, org",
        )
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let mut list = Vec::with_capacity(nodes.len());
        let mut orgs = orgs.iter().map(node_org).peekable();
        for row in &nodes {
            let node = node(row)?;
            let mut of_node = Vec::new();
            // Both lists are in the order of node ids; an organisation of an unknown node is passed over.
            while let Some(next) = orgs.next_if(|next| next.as_ref().map_or(true, |(id, _)| *id <= node.id)) {
                let (id, org) = next?;
                if id == node.id {
                    of_node.push(org);
                }
            }
            list.push(NodeStatus { node, orgs: of_node });
        }
        Ok(list)
    }

    /// Shuts a local server out: its tokens are gone in the same transaction.
    pub async fn node_revoke(&self, id: Uuid) -> Result<(), StoreError> {
        let mut tx = self.write("node_revoke", Durability::Flushed).await?;
        let sql = tx.sql();
        let query = sqlx::query("UPDATE node SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1");
        let known = query.bind(id).bind(self.now_ms()).execute(tx.conn()).await.map_err(&sql)?;
        if known.rows_affected() == 0 {
            return Err(unknown_node(id));
        }
        sqlx::query("DELETE FROM token WHERE node = $1").bind(id).execute(tx.conn()).await.map_err(&sql)?;
        tx.commit().await
    }

    /// Lets a local server that was shut out in again, and ends the alarm that it was copied or restored: somebody has
    /// looked at it.
    pub async fn node_approve(&self, id: Uuid) -> Result<(), StoreError> {
        let mut tx = self.write("node_approve", Durability::Flushed).await?;
        let sql = tx.sql();
        let query = sqlx::query("UPDATE node SET revoked_at = NULL, lost_at = NULL WHERE id = $1").bind(id);
        if query.execute(tx.conn()).await.map_err(&sql)?.rows_affected() == 0 {
            return Err(unknown_node(id));
        }
        let query = sqlx::query("UPDATE node_org SET diverged = NULL, diverged_at = NULL WHERE node = $1");
        query.bind(id).execute(tx.conn()).await.map_err(sql)?;
        tx.commit().await
    }

    /// Stores the report of a local server about an organisation.
    pub async fn report_store(&self, node: Uuid, org: &OrgId, report: &Value) -> Result<(), StoreError> {
        let mut tx = self.write("report_store", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query(
            "INSERT INTO node_org (node, org, report, reported_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (node, org) DO UPDATE SET report = excluded.report, reported_at = excluded.reported_at",
        )
        .bind(node)
        .bind(org.as_str())
        .bind(json_text(report)?)
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await
    }
}

fn unknown_node(id: Uuid) -> StoreError {
    StoreError::NotFound { what: format!("node {id}"), advice: "see 'taosync node list'" }
}

fn node(row: &SqliteRow) -> Result<Node, StoreError> {
    let row = Record::new("node", row);
    Ok(Node {
        id: row.get("id")?,
        thumbprint: row.get("thumbprint")?,
        public_key: row.get("public_key")?,
        recipient: row.get("recipient")?,
        consumer: row.get("consumer")?,
        version: row.get("version")?,
        first_seen: row.time("first_seen")?,
        last_seen: row.time("last_seen")?,
        revoked_at: row.time_or_none("revoked_at")?,
        lost_at: row.time_or_none("lost_at")?,
    })
}

fn node_org(row: &SqliteRow) -> Result<(Uuid, NodeOrg), StoreError> {
    let row = Record::new("node_org", row);
    let org = NodeOrg {
        org: row.word("org")?,
        diverged_at: row.time_or_none("diverged_at")?,
        diverged: row.get("diverged")?,
        behind_at: row.time_or_none("behind_at")?,
        report: row.json_or_none("report")?,
        reported_at: row.time_or_none("reported_at")?,
    };
    Ok((row.get("node")?, org))
}
