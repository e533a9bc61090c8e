//! The authorities of central's certificate: at central, what it announces while it changes to another one; at local, what
//! was announced.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::audit::AuditEntry;
use crate::values::json_text;
use crate::{Durability, Store, StoreError};

const SETTING: &str = "authorities";
/// Authorities that may be announced together: the one in use and the next.
pub const MOST: usize = 2;

/// What a central announces of its authorities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// Fingerprints that local servers take: SHA-256, hexadecimal; the one in use first.
    pub fingerprints: Vec<String>,
    /// Since when.
    pub since: Timestamp,
}

impl Store {
    /// What this central announces; nothing before it changed its authority for the first time.
    pub async fn authorities_announced(&self) -> Result<Option<Announced>, StoreError> {
        let Some(text) = self.setting_get(SETTING).await? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|_| StoreError::damaged("setting 'authorities'"))
    }

    /// Announces other authorities from now on. All tokens end in the same transaction, so that every local server hears of
    /// it with its next request.
    pub async fn authorities_announce(
        &self,
        fingerprints: Vec<String>,
        entry: &AuditEntry<'_>,
    ) -> Result<Announced, StoreError> {
        let announced = Announced { fingerprints, since: self.clock.now() };
        let mut tx = self.write("authorities_announce", Durability::Flushed).await?;
        tx.setting_set(SETTING, &json_text(&announced)?).await?;
        let sql = tx.sql();
        sqlx::query("DELETE FROM token").execute(tx.conn()).await.map_err(sql)?;
        self.audit_add(&mut tx, entry).await?;
        tx.commit().await?;
        Ok(announced)
    }

    /// Local: keeps what a central announced. The pinned authority is the first of the list that is known here; one that is
    /// not in the list any more stops.
    pub async fn remote_authorities(&self, id: Uuid, fingerprints: &[String]) -> Result<(), StoreError> {
        let remote = self.remote_login(id).await?.remote;
        let Some(pinned) = &remote.ca_fingerprint else { return Ok(()) };
        let Some(first) = fingerprints.iter().find(|f| *f == pinned).or_else(|| fingerprints.first()) else {
            return Ok(());
        };
        let further: Vec<&String> = fingerprints.iter().filter(|f| *f != first).collect();
        if first == pinned && remote.announced.iter().eq(further.iter().copied()) {
            return Ok(());
        }
        let mut tx = self.write("remote_authorities", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query("UPDATE remote SET ca_fingerprint = $2, announced = $3 WHERE id = $1")
            .bind(id)
            .bind(first)
            .bind(json_text(&further)?)
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        tx.commit().await
    }

    /// Local: keeps another secret that central gave.
    pub async fn remote_secret(&self, id: Uuid, secret: &secrecy::SecretString) -> Result<(), StoreError> {
        use secrecy::ExposeSecret as _;
        let mut tx = self.write("remote_secret", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query("UPDATE remote SET secret = $2 WHERE id = $1")
            .bind(id)
            .bind(self.seal("remote", id.as_bytes(), "secret", secret.expose_secret().as_bytes()))
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        tx.commit().await
    }
}
