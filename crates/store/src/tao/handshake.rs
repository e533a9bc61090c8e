//! The consumer that handshakes of a sync manager give. It is the same for every try: tries do not pile up. All TAO boxes of
//! a manager share one, so that no box is cut off by the next one; a machine of ours has one of its own, bound to its key.

use secrecy::SecretString;
use taosync_model::OrgId;
use taosync_vault::tokens::TokenHash;
use uuid::Uuid;

use crate::{Durability, Store, StoreError, Tx, rows};

/// Machines that one manager may connect; one whose consumer was revoked does not count.
pub const MACHINES_OF_MANAGER: i64 = 100;

/// A sync manager whose login was checked.
#[derive(Clone, Copy)]
pub struct NewHandshake<'a> {
    /// URI of the manager.
    pub manager: &'a str,
    /// Login, shown in lists and history.
    pub login: &'a str,
    /// Role the consumer acts in.
    pub role: &'a str,
    /// The manager's organisations as they are now.
    pub orgs: &'a [OrgId],
    /// Client key for a consumer that is new.
    pub client_key: &'a str,
    /// Thumbprint of the key of the machine; none for TAO's boxes.
    pub machine: Option<&'a str>,
}

impl std::fmt::Debug for NewHandshake<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewHandshake")
            .field("manager", &self.manager)
            .field("orgs", &self.orgs)
            .field("client_key", &self.client_key)
            .finish_non_exhaustive()
    }
}

/// What a handshake gives.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Id of the consumer.
    pub consumer: Uuid,
    /// Its client key.
    pub client_key: String,
    /// Its secret.
    pub secret: SecretString,
    /// Whether it was made now.
    pub is_new: bool,
}

impl Store {
    /// The consumer of a manager's handshakes: made at the first one, and again after it was revoked. It is for the
    /// manager's organisations as they are now.
    pub async fn handshake(&self, new: &NewHandshake<'_>) -> Result<Handshake, StoreError> {
        if new.orgs.is_empty() {
            return Err(StoreError::Refused("a sync manager without an organisation can connect no box".into()));
        }
        let mut tx = self.write("handshake", Durability::Flushed).await?;
        let handshake = match self.handshake_known(&mut tx, new).await? {
            Some(known) => known,
            None => self.handshake_make(&mut tx, new).await?,
        };
        let sql = tx.sql();
        sqlx::query("DELETE FROM consumer_org WHERE consumer = $1")
            .bind(handshake.consumer)
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        let head = "INSERT INTO consumer_org (consumer, org) ";
        rows::insert(tx.conn(), head, new.orgs, "ON CONFLICT DO NOTHING", |mut row, org| {
            row.push_bind(handshake.consumer).push_bind(org.as_str());
        })
        .await
        .map_err(&sql)?;
        let query = sqlx::query(
            "DELETE FROM token WHERE consumer = $1 AND org NOT IN (SELECT org FROM consumer_org WHERE consumer = $1)",
        );
        query.bind(handshake.consumer).execute(tx.conn()).await.map_err(&sql)?;
        if let Some(machine) = new.machine {
            sqlx::query(
                "INSERT INTO consumer_key (consumer, thumbprint, bound_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind(handshake.consumer)
            .bind(machine)
            .bind(self.now_ms())
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        }
        tx.commit().await?;
        Ok(handshake)
    }

    /// The newest that is not revoked; none also when its secret cannot be told again, because the keys are others now.
    async fn handshake_known(&self, tx: &mut Tx, new: &NewHandshake<'_>) -> Result<Option<Handshake>, StoreError> {
        let sql = tx.sql();
        let found: Option<(Uuid, String, Vec<u8>, i64)> = sqlx::query_as(
            "SELECT id, client_key, secret_hash, secret_no FROM consumer
             WHERE handshake_of = $1 AND handshake_key IS $2 AND revoked_at IS NULL ORDER BY id DESC LIMIT 1",
        )
        .bind(new.manager)
        .bind(new.machine)
        .fetch_optional(tx.conn())
        .await
        .map_err(sql)?;
        let known = found.map(|(consumer, client_key, kept, number)| {
            let secret = self.keyring.consumer_secret(&client_key, number);
            TokenHash::matches(&secret, &kept).then_some(Handshake { consumer, client_key, secret, is_new: false })
        });
        Ok(known.flatten())
    }

    async fn refuse_many(&self, tx: &mut Tx, manager: &str) -> Result<(), StoreError> {
        let sql = tx.sql();
        let machines: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM consumer WHERE handshake_of = $1 AND handshake_key IS NOT NULL AND revoked_at IS NULL",
        )
        .bind(manager)
        .fetch_one(tx.conn())
        .await
        .map_err(sql)?;
        if machines < MACHINES_OF_MANAGER {
            return Ok(());
        }
        Err(StoreError::Refused(format!(
            "{MACHINES_OF_MANAGER} machines were connected with this login, and there may be no more; the office revokes \
             keys that are not used any more ('taosync oauth list')"
        )))
    }

    async fn handshake_make(&self, tx: &mut Tx, new: &NewHandshake<'_>) -> Result<Handshake, StoreError> {
        if new.machine.is_some() {
            self.refuse_many(tx, new.manager).await?;
        }
        let sql = tx.sql();
        let (consumer, client_key) = (self.clock.new_id(), new.client_key.to_owned());
        let secret = self.keyring.consumer_secret(&client_key, 0);
        sqlx::query(
            "INSERT INTO consumer (id, client_key, secret_hash, user, role, created_at, handshake_of, handshake_key)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(consumer)
        .bind(new.client_key)
        .bind(TokenHash::of(&secret).as_slice())
        .bind(self.sealed_user(consumer, new.login))
        .bind(new.role)
        .bind(self.now_ms())
        .bind(new.manager)
        .bind(new.machine)
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        Ok(Handshake { consumer, client_key, secret, is_new: true })
    }
}
