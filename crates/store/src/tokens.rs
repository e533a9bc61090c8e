//! Access tokens of this central: kept as hashes, short-lived, gone at once when their consumer or node is revoked.

use jiff::Timestamp;
use serde_json::json;
use taosync_model::OrgId;
use uuid::Uuid;

use crate::audit::AuditEntry;
use crate::values::Record;
use crate::{Durability, Store, StoreError};

/// Tokens that one node may hold for one organisation at a time; the oldest goes when there would be more. A local server
/// uses one, each of its programs that runs beside may use another.
pub const TOKENS_OF_NODE: u32 = 16;

/// As [`TOKENS_OF_NODE`], for tokens without a node: all boxes of a school may share a consumer.
pub const TOKENS_WITHOUT_NODE: u32 = 1_000;

/// A token to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewToken<'a> {
    /// Hash of the token.
    pub hash: [u8; 32],
    /// Consumer that asked for it.
    pub consumer: Uuid,
    /// The one organisation it is for.
    pub org: &'a OrgId,
    /// Node it is bound to; none for TAO's plain tokens.
    pub node: Option<Uuid>,
    /// Not valid from then on.
    pub expires_at: Timestamp,
}

/// What a valid token stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// Consumer.
    pub consumer: Uuid,
    /// The consumer's client key.
    pub client_key: String,
    /// The one organisation the token is for.
    pub org: OrgId,
    /// All organisations of the consumer.
    pub orgs: Vec<OrgId>,
    /// Node the token is bound to.
    pub node: Option<Uuid>,
    /// Thumbprint of that node's key: requests must be signed with it.
    pub thumbprint: Option<String>,
    /// User the consumer acts as.
    pub user: String,
    /// Role the consumer acts in.
    pub role: String,
}

impl std::fmt::Debug for TokenFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenFacts")
            .field("client_key", &self.client_key)
            .field("org", &self.org)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Keeps a token. Refused when meanwhile the consumer was revoked or lost the organisation, or the node was revoked
    /// or is unknown. Of a node's older tokens for the organisation the newest [`TOKENS_OF_NODE`] less one stay.
    pub async fn token_issue(&self, token: &NewToken<'_>) -> Result<(), StoreError> {
        // A token lost with the power is asked for again.
        let mut tx = self.write("token_issue", Durability::Relaxed).await?;
        let sql = tx.sql();
        sqlx::query(
            "DELETE FROM token WHERE hash IN (SELECT hash FROM token WHERE consumer = $1 AND node IS $2 AND org = $3
             ORDER BY issued_at DESC LIMIT -1 OFFSET $4)",
        )
        .bind(token.consumer)
        .bind(token.node)
        .bind(token.org.as_str())
        .bind(if token.node.is_some() { TOKENS_OF_NODE } else { TOKENS_WITHOUT_NODE } - 1)
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        let issued = sqlx::query(
            "INSERT INTO token (hash, consumer, org, node, issued_at, expires_at)
             SELECT $1, c.id, o.org, $4, $5, $6 FROM consumer c JOIN consumer_org o ON o.consumer = c.id
             WHERE c.id = $2 AND c.revoked_at IS NULL AND o.org = $3
               AND ($4 IS NULL OR EXISTS (SELECT 1 FROM node WHERE id = $4 AND revoked_at IS NULL))",
        )
        .bind(token.hash.as_slice())
        .bind(token.consumer)
        .bind(token.org.as_str())
        .bind(token.node)
        .bind(self.now_ms())
        .bind(token.expires_at.as_millisecond())
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        if issued.rows_affected() == 0 {
            return Err(StoreError::Refused(format!(
                "no token for organisation '{}': the consumer or its node is revoked, or not allowed to act for it",
                token.org
            )));
        }
        let client_key: String =
            sqlx::query_scalar("UPDATE consumer SET last_used_at = $2 WHERE id = $1 RETURNING client_key")
                .bind(token.consumer)
                .bind(self.now_ms())
                .fetch_one(tx.conn())
                .await
                .map_err(&sql)?;
        let object = token.node.map(|node| node.to_string()).unwrap_or_default();
        let detail = json!({"org": token.org, "expires_at": token.expires_at});
        let entry = AuditEntry { actor: &client_key, act: "token.issue", object: &object, detail };
        self.audit_add(&mut tx, &entry).await?;
        tx.commit().await
    }

    /// What a token stands for; `None` when it is unknown, expired or revoked.
    pub async fn token_check(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<TokenFacts>, StoreError> {
        let row = sqlx::query(
            "SELECT t.consumer, c.client_key, t.org, t.node, n.thumbprint, c.user, c.role,
               (SELECT json_group_array(org) FROM (SELECT org FROM consumer_org WHERE consumer = c.id ORDER BY org)) AS orgs
             FROM token t JOIN consumer c ON c.id = t.consumer LEFT JOIN node n ON n.id = t.node
             WHERE t.hash = $1 AND t.expires_at > $2 AND c.revoked_at IS NULL AND n.revoked_at IS NULL",
        )
        .bind(hash.as_slice())
        .bind(now.as_millisecond())
        .fetch_optional(&self.pools.readers)
        .await
        .map_err(StoreError::sql("token_check"))?;
        let Some(row) = row else { return Ok(None) };
        let row = Record::new("token", &row);
        let consumer = row.get("consumer")?;
        Ok(Some(TokenFacts {
            consumer,
            client_key: row.get("client_key")?,
            org: row.word("org")?,
            orgs: row.json("orgs")?,
            node: row.get("node")?,
            thumbprint: row.get("thumbprint")?,
            user: self.opened_user(consumer, row.get("user")?)?,
            role: row.get("role")?,
        }))
    }

    /// Removes one token (RFC 7009): it is not an error when there is none.
    pub async fn token_revoke(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        let mut tx = self.write("token_revoke", Durability::Flushed).await?;
        let sql = tx.sql();
        let query = sqlx::query("DELETE FROM token WHERE hash = $1").bind(hash.as_slice());
        query.execute(tx.conn()).await.map_err(sql)?;
        tx.commit().await
    }

    /// Removes expired tokens and says how many.
    pub async fn tokens_sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.write("tokens_sweep", Durability::Relaxed).await?;
        let sql = tx.sql();
        let query = sqlx::query("DELETE FROM token WHERE expires_at <= $1").bind(now.as_millisecond());
        let swept = query.execute(tx.conn()).await.map_err(sql)?.rows_affected();
        tx.commit().await?;
        Ok(swept)
    }
}
