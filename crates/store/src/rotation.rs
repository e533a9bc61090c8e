//! A consumer gets another secret: the one before is taken for a while too, so that no school is locked out, and stops when
//! the new one is used, at the end of that while, or at once.

use jiff::Timestamp;
use secrecy::SecretString;
use taosync_vault::tokens::TokenHash;
use uuid::Uuid;

use crate::consumers::{Consumer, no_consumer};
use crate::{Durability, Store, StoreError};

/// How long the secret before is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Until then, or until the new one is used.
    Until(Timestamp),
    /// Not any more: it may be in wrong hands.
    None,
}

impl Store {
    /// Gives a consumer another secret, and tells it. Refused while the last change is not through, unless nothing is to
    /// overlap: a school may hold the secret of that change without having used it.
    pub async fn consumer_rotate(&self, client_key: &str, overlap: Overlap) -> Result<SecretString, StoreError> {
        let mut tx = self.write("consumer_rotate", Durability::Flushed).await?;
        let sql = tx.sql();
        let found: Option<(Uuid, i64, Option<i64>)> = sqlx::query_as(
            "SELECT id, secret_no, old_until FROM consumer WHERE client_key = $1 AND revoked_at IS NULL",
        )
        .bind(client_key)
        .fetch_optional(tx.conn())
        .await
        .map_err(&sql)?;
        let (id, number, running) = found.ok_or_else(|| no_consumer(client_key))?;
        if overlap != Overlap::None && running.is_some_and(|until| until > self.now_ms()) {
            return Err(StoreError::Refused(format!(
                "the secret of {client_key} is being changed already, and its machine has not used the new one yet; let it \
                 sync, or change it at once"
            )));
        }
        let secret = self.keyring.consumer_secret(client_key, number + 1);
        let until = match overlap {
            Overlap::Until(until) => Some(until.as_millisecond()),
            Overlap::None => None,
        };
        sqlx::query(
            "UPDATE consumer SET old_hash = CASE WHEN $3 IS NULL THEN NULL ELSE secret_hash END, old_until = $3,
                 secret_hash = $2, secret_no = secret_no + 1 WHERE id = $1",
        )
        .bind(id)
        .bind(TokenHash::of(&secret).as_slice())
        .bind(until)
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        // Whoever holds a token of the old secret asks anew, and hears of the new one.
        sqlx::query("DELETE FROM token WHERE consumer = $1").bind(id).execute(tx.conn()).await.map_err(&sql)?;
        tx.commit().await?;
        Ok(secret)
    }

    /// The new secret of a consumer was used: the one before stops.
    pub async fn consumer_rotated(&self, consumer: Uuid) -> Result<(), StoreError> {
        let mut tx = self.write("consumer_rotated", Durability::Flushed).await?;
        let sql = tx.sql();
        let query = sqlx::query("UPDATE consumer SET old_hash = NULL, old_until = NULL WHERE id = $1");
        query.bind(consumer).execute(tx.conn()).await.map_err(sql)?;
        tx.commit().await
    }

    /// The secret of a consumer, if it is one that can be told: made when the secret was changed, or for a code or a
    /// handshake.
    pub async fn consumer_secret(&self, consumer: &Consumer) -> Result<Option<SecretString>, StoreError> {
        let kept: Option<Vec<u8>> = sqlx::query_scalar("SELECT secret_hash FROM consumer WHERE id = $1")
            .bind(consumer.id)
            .fetch_optional(&self.pools.readers)
            .await
            .map_err(StoreError::sql("consumer_secret"))?;
        let secret = self.keyring.consumer_secret(&consumer.client_key, consumer.secret_no);
        Ok(kept.filter(|kept| TokenHash::matches(&secret, kept)).map(|_| secret))
    }
}
