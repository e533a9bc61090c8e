//! Accounts of our own: who may sign in at the pages of a server. Logins and password hashes are sealed.

pub mod sessions;

use std::collections::BTreeSet;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use taosync_model::OrgId;
use uuid::Uuid;

use crate::audit::AuditEntry;
use crate::values::{Record, json_text};
use crate::{Durability, Store, StoreError, Tx};

/// Characters of a login at most.
pub const MAX_LOGIN: usize = 128;

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccountRole {
    /// Sees and does everything.
    Administrator,
    /// Sees everything, does nothing.
    Auditor,
    /// Sees its organisations, and syncs them at a local server.
    SyncManager,
}

/// An account; its password hash is not in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Id: what the audit log calls it.
    pub id: Uuid,
    /// What its owner types.
    pub login: String,
    /// What it may do.
    pub role: AccountRole,
    /// Organisations of a sync manager; empty for the other roles, which see all.
    pub orgs: BTreeSet<OrgId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its password was last set.
    pub password_at: Timestamp,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("id", &self.id).field("role", &self.role).finish_non_exhaustive()
    }
}

/// An account to be made.
#[derive(Clone)]
pub struct NewAccount<'a> {
    /// What its owner types.
    pub login: &'a str,
    /// What it may do.
    pub role: AccountRole,
    /// Organisations of a sync manager.
    pub orgs: &'a BTreeSet<OrgId>,
    /// Hash of its password (`vault::account_passwords`).
    pub password: &'a SecretString,
}

impl std::fmt::Debug for NewAccount<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccount").field("role", &self.role).finish_non_exhaustive()
    }
}

impl AccountRole {
    /// All, the mightiest first.
    pub const ALL: [Self; 3] = [Self::Administrator, Self::Auditor, Self::SyncManager];

    /// The spelling in the database, in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Auditor => "auditor",
            Self::SyncManager => "sync-manager",
        }
    }
}

impl std::fmt::Display for AccountRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for AccountRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("'{text}' is not a role; use administrator, auditor or sync-manager"))
    }
}

impl Store {
    /// Makes an account and says so in the audit log as `actor`. Refused when somebody has the login already.
    pub async fn account_add(&self, new: &NewAccount<'_>, actor: &str) -> Result<Uuid, StoreError> {
        let id = self.clock.new_id();
        let mut tx = self.write("account_add", Durability::Flushed).await?;
        let sql = tx.sql();
        let added = sqlx::query(
            "INSERT INTO account (id, login_index, login, role, orgs, password, created_at, password_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (login_index) DO NOTHING",
        )
        .bind(id)
        .bind(self.account_index(new.login).as_slice())
        .bind(self.seal("account", id.as_bytes(), "login", new.login.as_bytes()))
        .bind(new.role.as_str())
        .bind(json_text(new.orgs)?)
        .bind(self.seal("account", id.as_bytes(), "password", new.password.expose_secret().as_bytes()))
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        if added.rows_affected() == 0 {
            return Err(StoreError::Refused("there is an account with this login already".to_owned()));
        }
        let detail = json!({"role": new.role.as_str(), "orgs": new.orgs});
        let entry = AuditEntry { actor, act: "account.add", object: &id.to_string(), detail };
        self.audit_add(&mut tx, &entry).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// All accounts, oldest first.
    pub async fn accounts_list(&self) -> Result<Vec<Account>, StoreError> {
        let query = sqlx::query("SELECT * FROM account ORDER BY id");
        let rows = query.fetch_all(&self.pools.readers).await.map_err(StoreError::sql("accounts_list"))?;
        rows.iter().map(|row| self.account_of(row).map(|(account, _)| account)).collect()
    }

    /// The account with a login, and the hash of its password.
    pub async fn account_find(&self, login: &str) -> Result<Option<(Account, SecretString)>, StoreError> {
        let query = sqlx::query("SELECT * FROM account WHERE login_index = $1");
        let query = query.bind(self.account_index(login).to_vec());
        let row = query.fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("account_find"))?;
        row.as_ref().map(|row| self.account_of(row)).transpose()
    }

    /// The account with an id, and the hash of its password.
    pub async fn account_get(&self, id: Uuid) -> Result<Option<(Account, SecretString)>, StoreError> {
        let query = sqlx::query("SELECT * FROM account WHERE id = $1").bind(id);
        let row = query.fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("account_get"))?;
        row.as_ref().map(|row| self.account_of(row)).transpose()
    }

    /// Sets the hash of another password; whoever is signed in with the account is so no longer.
    pub async fn account_password(&self, id: Uuid, hash: &SecretString, actor: &str) -> Result<(), StoreError> {
        let mut tx = self.write("account_password", Durability::Flushed).await?;
        let sql = tx.sql();
        let query = sqlx::query("UPDATE account SET password = $2, password_at = $3 WHERE id = $1").bind(id);
        let sealed = self.seal("account", id.as_bytes(), "password", hash.expose_secret().as_bytes());
        let set = query.bind(sealed).bind(self.now_ms()).execute(tx.conn()).await.map_err(sql)?;
        self.account_changed(tx, id, set.rows_affected(), "account.password", actor).await
    }

    /// Removes an account; whoever is signed in with it is so no longer.
    pub async fn account_remove(&self, id: Uuid, actor: &str) -> Result<(), StoreError> {
        let mut tx = self.write("account_remove", Durability::Flushed).await?;
        let sql = tx.sql();
        let query = sqlx::query("DELETE FROM account WHERE id = $1").bind(id);
        let removed = query.execute(tx.conn()).await.map_err(sql)?;
        self.account_changed(tx, id, removed.rows_affected(), "account.remove", actor).await
    }

    /// Ends every session of an account, and nothing else.
    pub async fn account_sign_out(&self, id: Uuid, actor: &str) -> Result<(), StoreError> {
        let tx = self.write("account_sign_out", Durability::Flushed).await?;
        self.account_changed(tx, id, 1, "account.sign-out", actor).await
    }

    async fn account_changed(&self, mut tx: Tx, id: Uuid, rows: u64, act: &str, actor: &str) -> Result<(), StoreError> {
        if rows == 0 {
            return Err(StoreError::NotFound { what: format!("account {id}"), advice: "see 'taosync account list'" });
        }
        let sql = tx.sql();
        let query = sqlx::query("DELETE FROM account_session WHERE account = $1").bind(id);
        query.execute(tx.conn()).await.map_err(sql)?;
        let entry = AuditEntry { actor, act, object: &id.to_string(), detail: json!({}) };
        self.audit_add(&mut tx, &entry).await?;
        tx.commit().await
    }

    fn account_index(&self, login: &str) -> [u8; 16] {
        self.keyring.index().of("account", login)
    }

    fn account_of(&self, row: &SqliteRow) -> Result<(Account, SecretString), StoreError> {
        let row = Record::new("account", row);
        let id: Uuid = row.get("id")?;
        let open = |column: &str| {
            let text = String::from_utf8(self.unseal("account", id.as_bytes(), column, row.get(column)?)?);
            text.map_err(|_| StoreError::damaged(format!("account.{column}")))
        };
        let account = Account {
            id,
            login: open("login")?,
            role: row.word("role")?,
            orgs: row.json("orgs")?,
            created_at: row.time("created_at")?,
            password_at: row.time("password_at")?,
        };
        Ok((account, SecretString::from(open("password")?)))
    }
}
