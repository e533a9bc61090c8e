//! Remotes: the centrals a local server syncs with.

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::sqlite::SqliteRow;
use taosync_model::OrgId;
use uuid::Uuid;

use crate::results_keys::Results;
use crate::values::{Record, json_text};
use crate::{Durability, Store, StoreError, Tx};

/// What a central speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RemoteKind {
    /// Our own protocol.
    #[default]
    Taosync,
    /// TAO's.
    Tao {
        /// The version of TAO this server says it is: one that central lets in.
        version: String,
    },
}

impl RemoteKind {
    /// The spelling on the command line and in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Taosync => "taosync",
            Self::Tao { .. } => "tao",
        }
    }

    fn version(&self) -> Option<&str> {
        match self {
            Self::Taosync => None,
            Self::Tao { version } => Some(version),
        }
    }
}

/// What `taosync oauth import` brings.
#[derive(Clone, Debug)]
pub struct NewRemote {
    /// Where central's API begins.
    pub root_url: String,
    /// Where tokens are asked for.
    pub token_url: String,
    /// OAuth2 client id.
    pub client_key: String,
    /// OAuth2 client secret; kept sealed.
    pub secret: SecretString,
    /// SHA-256 of central's private certificate authority, pinned.
    pub ca_fingerprint: Option<String>,
    /// What it speaks.
    pub kind: RemoteKind,
}

/// A central.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Id.
    pub id: Uuid,
    /// Where central's API begins.
    pub root_url: String,
    /// Where tokens are asked for.
    pub token_url: String,
    /// OAuth2 client id.
    pub client_key: String,
    /// SHA-256 of central's private certificate authority, pinned.
    pub ca_fingerprint: Option<String>,
    /// Further authorities it announced while it changes its own.
    pub announced: Vec<String>,
    /// What it speaks.
    pub kind: RemoteKind,
    /// Central's node id, once it was met.
    pub central: Option<Uuid>,
    /// The key central signs receipts with, once it was met.
    pub central_key: Option<[u8; 32]>,
    /// When it was added.
    pub added_at: Timestamp,
}

impl Remote {
    /// Every authority that may have signed its certificate; none: those that this machine trusts.
    pub fn fingerprints(&self) -> impl Iterator<Item = &String> {
        let announced = self.announced.iter().filter(|_| self.ca_fingerprint.is_some());
        self.ca_fingerprint.iter().chain(announced)
    }
}

/// A central with the secret to log in there.
#[derive(Clone, Debug)]
pub struct RemoteLogin {
    /// The central.
    pub remote: Remote,
    /// OAuth2 client secret.
    pub secret: SecretString,
}

impl Store {
    /// Adds a central, or replaces what is known under the same client key. With another root URL, central has to
    /// introduce itself anew.
    pub async fn remote_put(&self, new: &NewRemote) -> Result<Uuid, StoreError> {
        let mut tx = self.write("remote_put", Durability::Flushed).await?;
        let sql = tx.sql();
        let known: Option<Uuid> = sqlx::query_scalar("SELECT id FROM remote WHERE client_key = $1")
            .bind(&new.client_key)
            .fetch_optional(tx.conn())
            .await
            .map_err(&sql)?;
        let id = known.unwrap_or_else(|| self.clock.new_id());
        sqlx::query(
            "INSERT INTO remote (id, root_url, token_url, client_key, secret, ca_fingerprint, added_at, tao_version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (id) DO UPDATE SET
                 central = CASE WHEN root_url = excluded.root_url THEN central END,
                 central_key = CASE WHEN root_url = excluded.root_url THEN central_key END,
                 root_url = excluded.root_url, token_url = excluded.token_url, secret = excluded.secret, announced = NULL,
                 ca_fingerprint = excluded.ca_fingerprint, tao_version = excluded.tao_version,
                 results_recipients = CASE WHEN root_url = excluded.root_url AND excluded.tao_version IS NULL
                     THEN results_recipients END",
        )
        .bind(id)
        .bind(&new.root_url)
        .bind(&new.token_url)
        .bind(&new.client_key)
        .bind(self.seal("remote", id.as_bytes(), "secret", new.secret.expose_secret().as_bytes()))
        .bind(&new.ca_fingerprint)
        .bind(self.now_ms())
        .bind(new.kind.version())
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        tx.commit().await?;
        Ok(id)
    }

    /// Gives a central that was met before another login, and perhaps another address: what was replicated from it
    /// stays. Refused unless it is the central with this id and key, or when another remote has the client key.
    pub async fn remote_renew(
        &self,
        id: Uuid,
        new: &NewRemote,
        central: Uuid,
        central_key: &[u8; 32],
    ) -> Result<(), StoreError> {
        let mut tx = self.write("remote_renew", Durability::Flushed).await?;
        let sql = tx.sql();
        let renewed = sqlx::query(
            "UPDATE remote SET root_url = $4, token_url = $5, client_key = $6, secret = $7, ca_fingerprint = $8, announced = NULL
             WHERE id = $1 AND central = $2 AND central_key = $3
               AND NOT EXISTS (SELECT 1 FROM remote other WHERE other.client_key = $6 AND other.id <> $1)",
        )
        .bind(id)
        .bind(central)
        .bind(central_key.as_slice())
        .bind(&new.root_url)
        .bind(&new.token_url)
        .bind(&new.client_key)
        .bind(self.seal("remote", id.as_bytes(), "secret", new.secret.expose_secret().as_bytes()))
        .bind(&new.ca_fingerprint)
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        if renewed.rows_affected() == 0 {
            return Err(StoreError::Refused(
                "the key does not belong to the central that was met before, or is in use for another one; generate a \
                 new key there"
                    .into(),
            ));
        }
        tx.commit().await
    }

    /// All centrals, oldest first.
    pub async fn remotes_list(&self) -> Result<Vec<Remote>, StoreError> {
        let query = sqlx::query("SELECT * FROM remote ORDER BY id");
        let rows = query.fetch_all(&self.pools.readers).await.map_err(StoreError::sql("remotes_list"))?;
        rows.iter().map(remote).collect()
    }

    /// A central with its secret.
    pub async fn remote_login(&self, id: Uuid) -> Result<RemoteLogin, StoreError> {
        let query = sqlx::query("SELECT * FROM remote WHERE id = $1").bind(id);
        let row = query.fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("remote_login"))?;
        let row = row.ok_or_else(|| unknown_remote(&id.to_string()))?;
        let sealed: &[u8] = Record::new("remote", &row).get("secret")?;
        let secret = String::from_utf8(self.unseal("remote", id.as_bytes(), "secret", sealed)?)
            .map_err(|_| StoreError::damaged(format!("remote.secret of row {id}")))?;
        Ok(RemoteLogin { remote: remote(&row)?, secret: SecretString::from(secret) })
    }

    /// Notes who central is. One that suddenly is somebody else is refused: receipts are checked with this key.
    pub async fn remote_introduce(&self, id: Uuid, central: Uuid, key: &[u8; 32]) -> Result<(), StoreError> {
        let known: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM remote WHERE id = $1 AND central = $2 AND central_key = $3")
                .bind(id)
                .bind(central)
                .bind(key.as_slice())
                .fetch_optional(&self.pools.readers)
                .await
                .map_err(StoreError::sql("remote_introduce"))?;
        if known.is_some() {
            return Ok(());
        }
        let mut tx = self.write("remote_introduce", Durability::Flushed).await?;
        let sql = tx.sql();
        let noted = sqlx::query(
            "UPDATE remote SET central = $2, central_key = $3
             WHERE id = $1 AND (central_key IS NULL OR (central = $2 AND central_key = $3))",
        )
        .bind(id)
        .bind(central)
        .bind(key.as_slice())
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        if noted.rows_affected() == 0 {
            return Err(StoreError::Refused(
                "central is not the one that was met first: its id or key has changed; ask who runs it, then remove the \
                 remote and import it again"
                    .into(),
            ));
        }
        tx.commit().await
    }
}

impl Store {
    /// Keeps for whom a central wants results sealed.
    pub async fn remote_results(&self, id: Uuid, recipients: &[String]) -> Result<(), StoreError> {
        let list = json_text(&recipients)?;
        let known: Option<i64> = sqlx::query_scalar("SELECT 1 FROM remote WHERE id = $1 AND results_recipients = $2")
            .bind(id)
            .bind(&list)
            .fetch_optional(&self.pools.readers)
            .await
            .map_err(StoreError::sql("remote_results"))?;
        if known.is_some() {
            return Ok(());
        }
        let mut tx = self.write("remote_results", Durability::Flushed).await?;
        let sql = tx.sql();
        let query = sqlx::query("UPDATE remote SET results_recipients = $2 WHERE id = $1").bind(id).bind(list);
        query.execute(tx.conn()).await.map_err(sql)?;
        tx.commit().await
    }

    /// For whom results of an org are sealed: for everybody its centrals named. For nobody when one of them is a TAO,
    /// wants them readable, or was not met yet, as it could not read them; or when this server keeps them readable.
    pub async fn results_recipients_of(&self, org: &OrgId) -> Result<Vec<String>, StoreError> {
        if self.results == Results::Readable {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(
            "SELECT r.results_recipients FROM replica_scope s CROSS JOIN remote r ON r.id = s.remote
             WHERE s.org = $1 ORDER BY r.id",
        )
        .bind(org.as_str())
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("results_recipients_of"))?;
        let mut all = Vec::new();
        for row in &rows {
            let named: Option<Vec<String>> = Record::new("remote", row).json_or_none("results_recipients")?;
            match named {
                Some(named) if !named.is_empty() => all.extend(named),
                _ => return Ok(Vec::new()),
            }
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

impl Tx {
    /// Removes a central and says which; what was replicated from it is the caller's.
    pub async fn remote_remove(&mut self, client_key: &str) -> Result<Uuid, StoreError> {
        let sql = self.sql();
        let query = sqlx::query_scalar("DELETE FROM remote WHERE client_key = $1 RETURNING id").bind(client_key);
        let id: Option<Uuid> = query.fetch_optional(self.conn()).await.map_err(sql)?;
        id.ok_or_else(|| unknown_remote(client_key))
    }
}

fn unknown_remote(name: &str) -> StoreError {
    StoreError::NotFound { what: format!("remote '{name}'"), advice: "add it with 'taosync oauth import'" }
}

fn remote(row: &SqliteRow) -> Result<Remote, StoreError> {
    let row = Record::new("remote", row);
    let key: Option<&[u8]> = row.get("central_key")?;
    let central_key = key.map(<[u8; 32]>::try_from).transpose();
    let version: Option<String> = row.get("tao_version")?;
    Ok(Remote {
        id: row.get("id")?,
        root_url: row.get("root_url")?,
        token_url: row.get("token_url")?,
        client_key: row.get("client_key")?,
        ca_fingerprint: row.get("ca_fingerprint")?,
        announced: row.json_or_none("announced")?.unwrap_or_default(),
        kind: version.map_or(RemoteKind::Taosync, |version| RemoteKind::Tao { version }),
        central: row.get("central")?,
        central_key: central_key.map_err(|_| StoreError::damaged("remote.central_key"))?,
        added_at: row.time("added_at")?,
    })
}
