//! Consumers that a sync manager connected who is none any more, or not of their organisations. They go on, so that no
//! school is shut out on the day of an exam by a change of staff; central's people are told, and end them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;
use taosync_model::OrgId;
use uuid::Uuid;

use crate::audit::AuditEntry;
use crate::values::Record;
use crate::{Durability, Store, StoreError, Tx, rows};

/// Under this name an erased person has a consumer.
const ERASED: &[u8] = b"a person who was erased";

/// A consumer that handshakes of a sync manager gave, and that is not revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeConsumer {
    /// Id.
    pub id: Uuid,
    /// OAuth2 client id.
    pub client_key: String,
    /// URI of the manager; a keyed hash of it once the person was erased.
    pub manager: String,
    /// Organisations it may ask tokens for.
    pub orgs: Vec<OrgId>,
    /// Since when it is known to be an orphan.
    pub orphaned_at: Option<Timestamp>,
}

impl Store {
    /// All of them, oldest first.
    pub async fn handshake_consumers(&self) -> Result<Vec<HandshakeConsumer>, StoreError> {
        let query = sqlx::query(
            "SELECT c.id, c.client_key, c.handshake_of, c.orphaned_at,
               (SELECT json_group_array(org) FROM consumer_org WHERE consumer = c.id) AS orgs
             FROM consumer c WHERE c.handshake_of IS NOT NULL AND c.revoked_at IS NULL ORDER BY c.id",
        );
        let rows = query.fetch_all(&self.pools.readers).await.map_err(StoreError::sql("handshake_consumers"))?;
        rows.iter()
            .map(|row| {
                let row = Record::new("consumer", row);
                Ok(HandshakeConsumer {
                    id: row.get("id")?,
                    client_key: row.get("client_key")?,
                    manager: row.get("handshake_of")?,
                    orgs: row.json("orgs")?,
                    orphaned_at: row.time_or_none("orphaned_at")?,
                })
            })
            .collect()
    }

    /// Notes which consumers are orphans now, and that all others are none. Gives the client keys of those that were none
    /// before; they stand in the audit log in the same transaction.
    pub async fn orphans_note(&self, orphans: &BTreeSet<Uuid>) -> Result<Vec<String>, StoreError> {
        let mut tx = self.write("orphans_note", Durability::Flushed).await?;
        let sql = tx.sql();
        let ids = rows::id_array(orphans);
        sqlx::query(
            "UPDATE consumer SET orphaned_at = NULL WHERE orphaned_at IS NOT NULL
               AND id NOT IN (SELECT unhex(value) FROM json_each($1))",
        )
        .bind(&ids)
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        let mut keys: Vec<String> = sqlx::query_scalar(
            "UPDATE consumer SET orphaned_at = $2 WHERE orphaned_at IS NULL
               AND id IN (SELECT unhex(value) FROM json_each($1)) RETURNING client_key",
        )
        .bind(&ids)
        .bind(self.now_ms())
        .fetch_all(tx.conn())
        .await
        .map_err(&sql)?;
        keys.sort();
        if !keys.is_empty() {
            let detail = json!({"consumers": keys});
            let entry = AuditEntry { actor: "server", act: "consumer.orphan", object: "sync managers", detail };
            self.audit_add(&mut tx, &entry).await?;
        }
        tx.commit().await?;
        Ok(keys)
    }

    /// Takes erased people out of the consumers that their handshakes gave: the login goes, and instead of the URI stands
    /// its keyed hash, so that nobody's handshake finds them any more. Their sessions at the pages go too.
    pub(crate) async fn managers_erase(&self, tx: &mut Tx, uris: &[String]) -> Result<(), StoreError> {
        let (sql, uris) = (tx.sql(), rows::text_array(uris.iter().map(String::as_str)));
        sqlx::query("DELETE FROM account_session WHERE manager IN (SELECT value FROM json_each($1))")
            .bind(&uris)
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        let theirs: Vec<(Uuid, String)> = sqlx::query_as(
            "SELECT id, handshake_of FROM consumer WHERE handshake_of IN (SELECT value FROM json_each($1))",
        )
        .bind(&uris)
        .fetch_all(tx.conn())
        .await
        .map_err(&sql)?;
        let named = theirs.iter().map(|(id, uri)| {
            let user = self.seal("consumer", id.as_bytes(), "user", ERASED);
            json!([id.simple().to_string(), hex::encode(user), self.subject_name(uri)])
        });
        let named = named.collect::<serde_json::Value>().to_string();
        sqlx::query(
            "UPDATE consumer SET user = unhex(j.value ->> 1), handshake_of = j.value ->> 2
             FROM json_each($1) j WHERE consumer.id = unhex(j.value ->> 0)",
        )
        .bind(named)
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        Ok(())
    }
}
