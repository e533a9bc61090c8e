//! Who is signed in at the pages: kept as hashes of tokens, in the database, so that an end is an end at once and a
//! restart signs nobody out.

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use taosync_vault::tokens;
use uuid::Uuid;

use crate::audit::AuditEntry;
use crate::values::Record;
use crate::{Durability, Store, StoreError};

/// A session that was not used for so long is over.
pub const IDLE: SignedDuration = SignedDuration::from_mins(30);
/// A session is over after this time, used or not.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(12);
/// Sessions of one holder; the oldest goes when there would be more.
pub const OF_HOLDER: u32 = 16;
/// Use is noted this often, not at each request.
const NOTED_EVERY: SignedDuration = SignedDuration::from_secs(60);
/// A session from the future was opened by a clock that was wrong; more than this is not believed.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// An account of this server.
    Account(Uuid),
    /// A sync manager among central's entities, by URI.
    Manager(String),
}

/// A session that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub holder: Holder,
    mark: Vec<u8>,
}

impl Holder {
    const fn account(&self) -> Option<Uuid> {
        match self {
            Self::Account(id) => Some(*id),
            Self::Manager(_) => None,
        }
    }

    fn manager(&self) -> Option<&str> {
        match self {
            Self::Account(_) => None,
            Self::Manager(uri) => Some(uri),
        }
    }
}

impl Store {
    /// Opens a session for whoever gave the right password, whose kept form is `password`.
    pub async fn session_open(
        &self,
        hash: &[u8; 32],
        holder: &Holder,
        password: &SecretString,
    ) -> Result<(), StoreError> {
        let mut tx = self.write("session_open", Durability::Flushed).await?;
        let sql = tx.sql();
        let (account, manager) = (holder.account(), holder.manager());
        sqlx::query(
            "DELETE FROM account_session WHERE opened_at < $4 OR hash IN
                 (SELECT hash FROM account_session WHERE account IS $1 AND manager IS $2
                  ORDER BY opened_at DESC LIMIT -1 OFFSET $3)",
        )
        .bind(account)
        .bind(manager)
        .bind(OF_HOLDER - 1)
        .bind(self.now_ms() - LONGEST.as_millis() as i64)
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        sqlx::query(
            "INSERT INTO account_session (hash, account, manager, mark, opened_at, used_at)
             VALUES ($1, $2, $3, $4, $5, $5)",
        )
        .bind(hash.as_slice())
        .bind(account)
        .bind(manager)
        .bind(self.password_mark(password).as_slice())
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        let name = self.holder_name(holder);
        let entry = AuditEntry { actor: &name, act: "account.sign-in", object: &name, detail: json!({}) };
        self.audit_add(&mut tx, &entry).await?;
        tx.commit().await
    }

    /// The session of a token's hash, unless it is unknown or over; notes that it was used.
    pub async fn session_find(&self, hash: &[u8; 32]) -> Result<Option<Session>, StoreError> {
        let query = sqlx::query("SELECT * FROM account_session WHERE hash = $1").bind(hash.as_slice());
        let row = query.fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("session_find"))?;
        let Some(row) = row else { return Ok(None) };
        let row = Record::new("account_session", &row);
        let now = self.clock.now();
        let (opened, used) = (row.time("opened_at")?, row.time("used_at")?);
        if is_over(now, opened, LONGEST) || is_over(now, used, IDLE) {
            return Ok(None);
        }
        if now.duration_since(used) > NOTED_EVERY {
            self.session_used(hash).await?;
        }
        let holder = match (row.get("account")?, row.get("manager")?) {
            (Some(id), _) => Holder::Account(id),
            (None, Some(uri)) => Holder::Manager(uri),
            (None, None) => return Err(StoreError::damaged("account_session.account")),
        };
        Ok(Some(Session { holder, mark: row.get("mark")? }))
    }

    /// Whether a session was opened with the password of which this is the kept form now.
    pub fn session_fits(&self, session: &Session, password: &SecretString) -> bool {
        tokens::equal(&self.password_mark(password), &session.mark)
    }

    /// Ends a session; it is not an error when there is none.
    pub async fn session_close(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        let mut tx = self.write("session_close", Durability::Flushed).await?;
        let sql = tx.sql();
        let query = sqlx::query("DELETE FROM account_session WHERE hash = $1").bind(hash.as_slice());
        query.execute(tx.conn()).await.map_err(sql)?;
        tx.commit().await
    }

    /// Ends every session: what a restored backup holds was perhaps ended since.
    pub async fn sessions_close(&self) -> Result<(), StoreError> {
        let mut tx = self.write("sessions_close", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query("DELETE FROM account_session").execute(tx.conn()).await.map_err(sql)?;
        tx.commit().await
    }

    /// What the audit log calls whoever is signed in.
    pub fn holder_name(&self, holder: &Holder) -> String {
        match holder {
            Holder::Account(id) => format!("account:{id}"),
            Holder::Manager(uri) => self.subject_name(uri),
        }
    }

    async fn session_used(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        let mut tx = self.write("session_used", Durability::Relaxed).await?;
        let sql = tx.sql();
        let query = sqlx::query("UPDATE account_session SET used_at = $2 WHERE hash = $1");
        query.bind(hash.as_slice()).bind(self.now_ms()).execute(tx.conn()).await.map_err(sql)?;
        tx.commit().await
    }

    /// Changes when the password does, and tells nothing about it without this node's key.
    fn password_mark(&self, password: &SecretString) -> [u8; 16] {
        self.keyring.index().exact("password mark", password.expose_secret())
    }
}

fn is_over(now: Timestamp, since: Timestamp, limit: SignedDuration) -> bool {
    let age = now.duration_since(since);
    age >= limit || age < -CLOCKS_DIFFER
}
