//! Results keys at central: for whom results are sealed (DESIGN §5).
//!
//! A key whose identity lies in this node's `keys/` counts at once. An offline one counts once it was rehearsed, and only
//! beside at least one other that counts: a single key that is lost takes all results with it.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use crate::audit::AuditEntry;
use crate::values::Record;
use crate::{Durability, Store, StoreError, Tx};

/// Keys that must count before results are sealed for an offline one.
const LEAST: usize = 2;
/// Keys at most, offline and kept here: every result names all of them.
const MOST: usize = 16;

/// Whether results are sealed for the results keys (`results.keep_readable`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Results {
    /// They are, wherever there are keys.
    #[default]
    Sealed,
    /// This node leaves them readable for itself.
    Readable,
}

/// A results key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultsKey {
    /// Its age recipient.
    pub recipient: String,
    /// What people call it.
    pub name: String,
    /// Since when it is known.
    pub added_at: Timestamp,
    /// When its identity opened a test result.
    pub rehearsed_at: Option<Timestamp>,
    /// Its identity lies in this node's `keys/`.
    pub is_here: bool,
}

impl ResultsKey {
    fn is_usable(&self) -> bool {
        self.is_here || self.rehearsed_at.is_some()
    }
}

/// The recipients that results are sealed for, of all that are known.
pub fn in_use(keys: &[ResultsKey]) -> Vec<String> {
    let usable = || keys.iter().filter(|key| key.is_usable());
    let enough = usable().count() >= LEAST;
    usable().filter(|key| enough || key.is_here).map(|key| key.recipient.clone()).collect()
}

impl Store {
    /// All keys, oldest first.
    pub async fn results_keys(&self) -> Result<Vec<ResultsKey>, StoreError> {
        let query = sqlx::query("SELECT * FROM results_key ORDER BY added_at, recipient");
        let rows = query.fetch_all(&self.pools.readers).await.map_err(StoreError::sql("results_keys"))?;
        self.results_keys_of(&rows)
    }

    /// The recipients that results are sealed for now; none when they stay readable.
    pub async fn results_recipients(&self) -> Result<Vec<String>, StoreError> {
        match self.results {
            Results::Readable => Ok(Vec::new()),
            Results::Sealed => Ok(in_use(&self.results_keys().await?)),
        }
    }

    /// Adds a key. A recipient or name that is taken is refused.
    pub async fn results_key_add(&self, recipient: &str, name: &str, entry: &AuditEntry<'_>) -> Result<(), StoreError> {
        let mut tx = self.write("results_key_add", Durability::Flushed).await?;
        let keys = self.results_keys_in(&mut tx).await?;
        if let Some(known) = keys.iter().find(|key| key.recipient == recipient || key.name == name) {
            let message = format!("results key '{}' has this name or recipient already", known.name);
            return Err(StoreError::Refused(message));
        }
        if keys.len() >= MOST {
            return Err(StoreError::Refused(format!("there are {MOST} results keys, and there may be no more")));
        }
        let sql = tx.sql();
        sqlx::query("INSERT INTO results_key (recipient, name, added_at) VALUES ($1, $2, $3)")
            .bind(recipient)
            .bind(name)
            .bind(self.now_ms())
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        self.results_keys_changed(tx, &keys, entry).await
    }

    /// Takes a key away, by name or recipient. Refused when nobody could open what comes next.
    pub async fn results_key_remove(&self, named: &str, entry: &AuditEntry<'_>) -> Result<ResultsKey, StoreError> {
        let mut tx = self.write("results_key_remove", Durability::Flushed).await?;
        let keys = self.results_keys_in(&mut tx).await?;
        let (going, staying): (Vec<_>, Vec<_>) =
            keys.iter().cloned().partition(|key| key.name == named || key.recipient == named);
        let going = going.into_iter().next().ok_or_else(|| StoreError::NotFound {
            what: format!("results key '{named}'"),
            advice: "see 'taosync keys results list'",
        })?;
        if in_use(&staying).is_empty() {
            return Err(StoreError::Refused(format!(
                "without '{}' nobody could open results: an offline key counts once it was rehearsed, and only beside \
                 another one that counts; add and rehearse those first",
                going.name
            )));
        }
        let sql = tx.sql();
        let query = sqlx::query("DELETE FROM results_key WHERE recipient = $1").bind(&going.recipient);
        query.execute(tx.conn()).await.map_err(sql)?;
        self.results_keys_changed(tx, &keys, entry).await?;
        Ok(going)
    }

    /// Notes that the identities behind these recipients opened a test result. Says which keys that are.
    pub async fn results_keys_rehearsed(
        &self,
        recipients: &[String],
        entry: &AuditEntry<'_>,
    ) -> Result<Vec<ResultsKey>, StoreError> {
        let mut tx = self.write("results_keys_rehearsed", Durability::Flushed).await?;
        let keys = self.results_keys_in(&mut tx).await?;
        let sql = tx.sql();
        let query = sqlx::query(
            "UPDATE results_key SET rehearsed_at = $2 WHERE recipient IN (SELECT value FROM json_each($1))",
        );
        let list = crate::values::json_text(&recipients)?;
        query.bind(list).bind(self.now_ms()).execute(tx.conn()).await.map_err(sql)?;
        self.results_keys_changed(tx, &keys, entry).await?;
        Ok(keys.into_iter().filter(|key| recipients.contains(&key.recipient)).collect())
    }

    async fn results_keys_in(&self, tx: &mut Tx) -> Result<Vec<ResultsKey>, StoreError> {
        let sql = tx.sql();
        let query = sqlx::query("SELECT * FROM results_key ORDER BY added_at, recipient");
        let rows = query.fetch_all(tx.conn()).await.map_err(sql)?;
        self.results_keys_of(&rows)
    }

    /// Ends a change. Local servers hear of the keys with their tokens: when others count now, every token ends, and the
    /// next request of each local server asks for a new one.
    async fn results_keys_changed(
        &self,
        mut tx: Tx,
        before: &[ResultsKey],
        entry: &AuditEntry<'_>,
    ) -> Result<(), StoreError> {
        let after = self.results_keys_in(&mut tx).await?;
        if in_use(before) != in_use(&after) {
            let sql = tx.sql();
            sqlx::query("DELETE FROM token").execute(tx.conn()).await.map_err(sql)?;
        }
        self.audit_add(&mut tx, entry).await?;
        tx.commit().await
    }

    fn results_keys_of(&self, rows: &[SqliteRow]) -> Result<Vec<ResultsKey>, StoreError> {
        let here = self.keyring.results().recipients();
        let key = |row| {
            let row = Record::new("results_key", row);
            let recipient: String = row.get("recipient")?;
            Ok(ResultsKey {
                is_here: here.contains(&recipient),
                recipient,
                name: row.get("name")?,
                added_at: row.time("added_at")?,
                rehearsed_at: row.time_or_none("rehearsed_at")?,
            })
        };
        rows.iter().map(key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, is_here: bool, rehearsed: Option<i64>) -> ResultsKey {
        ResultsKey {
            recipient: name.to_owned(),
            name: name.to_owned(),
            added_at: Timestamp::UNIX_EPOCH,
            rehearsed_at: rehearsed.and_then(|s| Timestamp::from_second(s).ok()),
            is_here,
        }
    }

    #[test]
    fn an_offline_key_counts_after_its_rehearsal_and_not_alone() {
        let (here, new) = (key("here", true, None), key("new", false, None));
        let (one, two) = (key("one", false, Some(1)), key("two", false, Some(2)));
        for (keys, expected) in [
            (vec![], vec![]),
            (vec![here.clone()], vec!["here"]),
            (vec![here.clone(), new.clone()], vec!["here"]),
            (vec![here.clone(), one.clone()], vec!["here", "one"]),
            (vec![one.clone()], vec![]),
            (vec![one.clone(), new.clone()], vec![]),
            (vec![one.clone(), two.clone(), new], vec!["one", "two"]),
            (vec![here, one, two], vec!["here", "one", "two"]),
        ] {
            assert_eq!(in_use(&keys), expected, "{keys:?}");
        }
    }
}
