//! Enrolment codes: each gives a consumer to one machine, once, and is kept as a hash.

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use taosync_model::OrgId;
use taosync_vault::tokens::TokenHash;
use uuid::Uuid;

use crate::audit::AuditEntry;
use crate::consumers::no_consumer;
use crate::values::{Record, json_text};
use crate::{Durability, Store, StoreError, Tx};

/// A code as it is shown in lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentCode {
    /// The consumer it gives.
    pub consumer: Uuid,
    /// When it was made.
    pub made_at: Timestamp,
    /// Not good from then on.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
    /// Thumbprint of the key of the machine that used it.
    pub used_by: Option<String>,
}

/// A consumer for the machine that asked.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Its client key.
    pub client_key: String,
    /// Its secret.
    pub secret: SecretString,
    /// Its organisations.
    pub orgs: Vec<OrgId>,
}

/// Which machine asks.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Its node id.
    pub node: Uuid,
    /// Thumbprint of its key.
    pub thumbprint: &'a str,
}

impl Store {
    /// Makes a code for a consumer that is not revoked; codes for it that were not used are not good any more.
    pub async fn code_add(&self, client_key: &str, hash: &[u8; 32], expires_at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write("code_add", Durability::Flushed).await?;
        let sql = tx.sql();
        let consumer: Option<Uuid> =
            sqlx::query_scalar("SELECT id FROM consumer WHERE client_key = $1 AND revoked_at IS NULL")
                .bind(client_key)
                .fetch_optional(tx.conn())
                .await
                .map_err(&sql)?;
        let consumer = consumer.ok_or_else(|| no_consumer(client_key))?;
        sqlx::query("DELETE FROM enrolment_code WHERE consumer = $1 AND used_at IS NULL")
            .bind(consumer)
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        sqlx::query("INSERT INTO enrolment_code (hash, consumer, made_at, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(hash.as_slice())
            .bind(consumer)
            .bind(self.now_ms())
            .bind(expires_at.as_millisecond())
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        tx.commit().await
    }

    /// All codes, oldest first.
    pub async fn codes_list(&self) -> Result<Vec<EnrolmentCode>, StoreError> {
        let query = sqlx::query("SELECT * FROM enrolment_code ORDER BY made_at, hash");
        let rows = query.fetch_all(&self.pools.readers).await.map_err(StoreError::sql("codes_list"))?;
        rows.iter().map(code).collect()
    }

    /// Gives the consumer of a code to a machine, in place of any that had it. The same machine may show the code again,
    /// as its answer may have been lost. `None` when there is no such code, it is over or used, or its consumer revoked.
    pub async fn code_use(&self, hash: &[u8; 32], machine: &Machine<'_>) -> Result<Option<Enrolled>, StoreError> {
        let mut tx = self.write("code_use", Durability::Flushed).await?;
        let sql = tx.sql();
        let row = sqlx::query(
            "SELECT c.id, c.client_key, c.secret_no, c.secret_hash, e.used_at,
               (SELECT json_group_array(org) FROM consumer_org WHERE consumer = c.id) AS orgs
             FROM enrolment_code e CROSS JOIN consumer c ON c.id = e.consumer AND c.revoked_at IS NULL
             WHERE e.hash = $1 AND e.expires_at > $2 AND (e.used_by IS NULL OR e.used_by = $3)",
        )
        .bind(hash.as_slice())
        .bind(self.now_ms())
        .bind(machine.thumbprint)
        .fetch_optional(tx.conn())
        .await
        .map_err(&sql)?;
        let Some(row) = row else { return Ok(None) };
        let row = Record::new("consumer", &row);
        let (consumer, client_key): (Uuid, String) = (row.get("id")?, row.get("client_key")?);
        let (kept, number): (Vec<u8>, i64) = (row.get("secret_hash")?, row.get("secret_no")?);
        let (orgs, is_first) = (row.json("orgs")?, row.time_or_none("used_at")?.is_none());
        let secret = self.keyring.consumer_secret(&client_key, number);
        if !TokenHash::matches(&secret, &kept) {
            return Err(StoreError::Refused(
                "this code was made with keys that central does not have any more; have a new one made there".into(),
            ));
        }
        if is_first {
            self.code_spend(&mut tx, hash, consumer, machine).await?;
        }
        tx.commit().await?;
        Ok(Some(Enrolled { client_key, secret, orgs }))
    }

    async fn code_spend(
        &self,
        tx: &mut Tx,
        hash: &[u8; 32],
        consumer: Uuid,
        machine: &Machine<'_>,
    ) -> Result<(), StoreError> {
        let sql = tx.sql();
        for statement in [
            "UPDATE enrolment_code SET used_at = $3, used_by = $2 WHERE hash = $4 AND consumer = $1",
            "DELETE FROM consumer_key WHERE consumer = $1",
            "INSERT INTO consumer_key (consumer, thumbprint, bound_at) VALUES ($1, $2, $3)",
            "DELETE FROM token WHERE consumer = $1",
            "UPDATE consumer SET stranger = NULL, stranger_node = NULL, stranger_at = NULL WHERE id = $1",
        ] {
            let query = sqlx::query(statement).bind(consumer).bind(machine.thumbprint).bind(self.now_ms());
            query.bind(hash.as_slice()).execute(tx.conn()).await.map_err(&sql)?;
        }
        let (actor, object) = (format!("node {}", machine.node), consumer.to_string());
        let detail = json!({"node": machine.node, "consumer": consumer, "thumbprint": machine.thumbprint});
        self.audit_add(tx, &AuditEntry { actor: &actor, act: "consumer.enrol", object: &object, detail })
            .await
            .map(drop)
    }

    /// Whether a machine was shut out: by its id, by its key, or by one that it had before and shows. Another id is made up
    /// at will, and a key that the old one vouches for is no other machine's.
    pub async fn machine_is_shut_out(&self, machine: &Machine<'_>, former: &[String]) -> Result<bool, StoreError> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM node WHERE revoked_at IS NOT NULL
               AND (id = $1 OR thumbprint = $2 OR thumbprint IN (SELECT value FROM json_each($3))) LIMIT 1",
        )
        .bind(machine.node)
        .bind(machine.thumbprint)
        .bind(json_text(&former)?)
        .fetch_optional(&self.pools.readers)
        .await
        .map_err(StoreError::sql("machine_is_shut_out"))?;
        Ok(found.is_some())
    }
}

fn code(row: &SqliteRow) -> Result<EnrolmentCode, StoreError> {
    let row = Record::new("enrolment_code", row);
    Ok(EnrolmentCode {
        consumer: row.get("consumer")?,
        made_at: row.time("made_at")?,
        expires_at: row.time("expires_at")?,
        used_at: row.time_or_none("used_at")?,
        used_by: row.get("used_by")?,
    })
}
