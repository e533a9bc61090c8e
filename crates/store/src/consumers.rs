//! Consumers: who may ask this central for tokens (OAuth2 clients), and for which organisations.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use taosync_model::OrgId;
use uuid::Uuid;

use crate::rows;
use crate::values::Record;
use crate::{Durability, Store, StoreError, Tx};

/// A consumer to be made.
#[derive(Clone)]
pub struct NewConsumer {
    /// OAuth2 client id.
    pub client_key: String,
    /// Hash of the client secret (`vault::tokens`); the secret itself is never kept.
    pub secret_hash: [u8; 32],
    /// User it acts as; shown in lists and history.
    pub user: String,
    /// Role it acts in.
    pub role: String,
    /// Organisations it may ask tokens for.
    pub orgs: Vec<OrgId>,
}

impl std::fmt::Debug for NewConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewConsumer")
            .field("client_key", &self.client_key)
            .field("orgs", &self.orgs)
            .finish_non_exhaustive()
    }
}

/// A consumer.
#[derive(Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Id.
    pub id: Uuid,
    /// OAuth2 client id.
    pub client_key: String,
    /// User it acts as.
    pub user: String,
    /// Role it acts in.
    pub role: String,
    /// Thumbprints of the node keys it is bound to (RFC 7638), the first one first; tokens are given to no other. More
    /// than one when a copy became a machine of its own.
    pub thumbprints: Vec<String>,
    /// The last machine that was refused as the consumer is another's.
    pub stranger: Option<Stranger>,
    /// Organisations it may ask tokens for.
    pub orgs: Vec<OrgId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last got a token.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Since when the sync manager who connected it is known to be gone, or not of its organisations any more.
    pub orphaned_at: Option<Timestamp>,
    /// While its secret is being changed: until when the one before is taken too.
    pub rotating_until: Option<Timestamp>,
    /// How often its secret was changed.
    pub secret_no: i64,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer")
            .field("id", &self.id)
            .field("client_key", &self.client_key)
            .field("orgs", &self.orgs)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}

/// A machine that came with the secret of a consumer that is not its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Thumbprint of its key.
    pub thumbprint: String,
    /// The node it says it is.
    pub node: Uuid,
    /// When it last came.
    pub at: Timestamp,
}

/// A consumer with what the token endpoint compares.
#[derive(Clone)]
pub struct ConsumerLogin {
    /// The consumer; never a revoked one.
    pub consumer: Consumer,
    /// Hash of its secret.
    pub secret_hash: Vec<u8>,
    /// Hash of the secret before, while that one is taken too.
    pub old_hash: Option<Vec<u8>>,
}

impl std::fmt::Debug for ConsumerLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsumerLogin").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

const SELECT: &str = "SELECT c.*, (SELECT json_group_array(org) FROM consumer_org WHERE consumer = c.id) AS orgs,
       (SELECT json_group_array(thumbprint) FROM
           (SELECT thumbprint FROM consumer_key WHERE consumer = c.id ORDER BY bound_at, thumbprint)) AS thumbprints
     FROM consumer c";

impl Store {
    /// Makes a consumer. A client key that is taken, and an empty list of organisations, are refused.
    pub async fn consumer_create(&self, new: &NewConsumer) -> Result<Uuid, StoreError> {
        if new.orgs.is_empty() {
            return Err(StoreError::Refused("a consumer needs at least one organisation; name one with --org".into()));
        }
        let id = self.clock.new_id();
        let mut tx = self.write("consumer_create", Durability::Flushed).await?;
        let sql = tx.sql();
        let made = sqlx::query(
            "INSERT INTO consumer (id, client_key, secret_hash, user, role, created_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (client_key) DO NOTHING",
        )
        .bind(id)
        .bind(&new.client_key)
        .bind(new.secret_hash.as_slice())
        .bind(self.sealed_user(id, &new.user))
        .bind(&new.role)
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        if made.rows_affected() == 0 {
            return Err(StoreError::Refused(format!("the client key '{}' is taken; choose another", new.client_key)));
        }
        rows::insert(
            tx.conn(),
            "INSERT INTO consumer_org (consumer, org) ",
            &new.orgs,
            "ON CONFLICT DO NOTHING",
            |mut row, org| {
                row.push_bind(id).push_bind(org.as_str());
            },
        )
        .await
        .map_err(&sql)?;
        tx.commit().await?;
        Ok(id)
    }

    /// All consumers, oldest first, revoked ones too.
    pub async fn consumers_list(&self) -> Result<Vec<Consumer>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} ORDER BY c.id")))
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("consumers_list"))?;
        rows.iter().map(|row| self.consumer(row)).collect()
    }

    /// What the token endpoint needs of a consumer; `None` when it is unknown or revoked.
    pub async fn consumer_login(&self, client_key: &str) -> Result<Option<ConsumerLogin>, StoreError> {
        let row =
            sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE c.client_key = $1 AND c.revoked_at IS NULL")))
                .bind(client_key)
                .fetch_optional(&self.pools.readers)
                .await
                .map_err(StoreError::sql("consumer_login"))?;
        let Some(row) = row else { return Ok(None) };
        let record = Record::new("consumer", &row);
        let (secret_hash, old_hash): (_, Option<Vec<u8>>) = (record.get("secret_hash")?, record.get("old_hash")?);
        let consumer = self.consumer(&row)?;
        let old_hash = old_hash.filter(|_| consumer.rotating_until.is_some_and(|until| until > self.clock.now()));
        Ok(Some(ConsumerLogin { consumer, secret_hash, old_hash }))
    }

    /// Lets the next machine that comes with the secret have the consumer, in place of those that had it: their tokens
    /// are gone in the same transaction.
    pub async fn consumer_rebind(&self, client_key: &str) -> Result<(), StoreError> {
        let mut tx = self.write("consumer_rebind", Durability::Flushed).await?;
        let sql = tx.sql();
        let id: Option<Uuid> = sqlx::query_scalar(
            "UPDATE consumer SET stranger = NULL, stranger_node = NULL, stranger_at = NULL
             WHERE client_key = $1 AND revoked_at IS NULL RETURNING id",
        )
        .bind(client_key)
        .fetch_optional(tx.conn())
        .await
        .map_err(&sql)?;
        let id = id.ok_or_else(|| no_consumer(client_key))?;
        for statement in ["DELETE FROM consumer_key WHERE consumer = $1", "DELETE FROM token WHERE consumer = $1"] {
            sqlx::query(statement).bind(id).execute(tx.conn()).await.map_err(&sql)?;
        }
        tx.commit().await
    }

    /// Revokes a consumer: its tokens are gone in the same transaction.
    pub async fn consumer_revoke(&self, client_key: &str) -> Result<(), StoreError> {
        let mut tx = self.write("consumer_revoke", Durability::Flushed).await?;
        let sql = tx.sql();
        let id: Option<Uuid> = sqlx::query_scalar(
            "UPDATE consumer SET revoked_at = coalesce(revoked_at, $2) WHERE client_key = $1 RETURNING id",
        )
        .bind(client_key)
        .bind(self.now_ms())
        .fetch_optional(tx.conn())
        .await
        .map_err(&sql)?;
        let id = id.ok_or_else(|| StoreError::NotFound {
            what: format!("consumer '{client_key}'"),
            advice: "see 'taosync oauth list'",
        })?;
        for statement in [
            "DELETE FROM token WHERE consumer = $1",
            "DELETE FROM enrolment_code WHERE consumer = $1 AND used_at IS NULL",
        ] {
            sqlx::query(statement).bind(id).execute(tx.conn()).await.map_err(&sql)?;
        }
        tx.commit().await
    }
}

impl Store {
    /// Who a consumer is for, as it is kept: a login or a name.
    pub(crate) fn sealed_user(&self, consumer: Uuid, user: &str) -> Vec<u8> {
        self.seal("consumer", consumer.as_bytes(), "user", user.as_bytes())
    }

    /// Who a consumer is for.
    pub(crate) fn opened_user(&self, consumer: Uuid, sealed: &[u8]) -> Result<String, StoreError> {
        let user = self.unseal("consumer", consumer.as_bytes(), "user", sealed)?;
        String::from_utf8(user).map_err(|_| StoreError::damaged("consumer.user"))
    }

    fn consumer(&self, row: &SqliteRow) -> Result<Consumer, StoreError> {
        let row = Record::new("consumer", row);
        let id = row.get("id")?;
        Ok(Consumer {
            id,
            client_key: row.get("client_key")?,
            user: self.opened_user(id, row.get("user")?)?,
            role: row.get("role")?,
            thumbprints: row.json("thumbprints")?,
            stranger: stranger(&row)?,
            orgs: row.json("orgs")?,
            created_at: row.time("created_at")?,
            last_used_at: row.time_or_none("last_used_at")?,
            revoked_at: row.time_or_none("revoked_at")?,
            orphaned_at: row.time_or_none("orphaned_at")?,
            rotating_until: row.time_or_none("old_until")?,
            secret_no: row.get("secret_no")?,
        })
    }
}

impl Tx {
    /// Gives an organisation another id wherever consumers, nodes and received items name it. Envelopes and receipts keep
    /// the id they were signed with. Tokens end: whoever holds one learns the new id with the next.
    pub async fn org_rename(&mut self, old: &OrgId, new: &OrgId) -> Result<(), StoreError> {
        for statement in [
            "UPDATE OR REPLACE consumer_org SET org = $2 WHERE org = $1",
            "DELETE FROM token WHERE org IN ($1, $2)",
            "UPDATE OR REPLACE node_org SET org = $2 WHERE org = $1",
            "UPDATE received SET org = $2 WHERE org = $1",
        ] {
            let sql = self.sql();
            let query = sqlx::query(statement).bind(old.as_str()).bind(new.as_str());
            query.execute(self.conn()).await.map_err(sql)?;
        }
        Ok(())
    }
}

pub(crate) fn no_consumer(client_key: &str) -> StoreError {
    StoreError::NotFound {
        what: format!("consumer '{client_key}' that is not revoked"),
        advice: "see 'taosync oauth list'",
    }
}

fn stranger(row: &Record<'_>) -> Result<Option<Stranger>, StoreError> {
    let Some(at) = row.time_or_none("stranger_at")? else { return Ok(None) };
    Ok(Some(Stranger { thumbprint: row.get("stranger")?, node: row.get("stranger_node")?, at }))
}
