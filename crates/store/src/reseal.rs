//! Sealing everything anew after a column key was rotated: in batches, beside whatever else goes on, and continued where it
//! was cut. What is sealed with another key than the one that seals now is found by the key's number in front of it.

use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Sqlite};
use taosync_vault::columns::Columns;

use crate::settings::COLUMN_KEYS;
use crate::{Durability, Store, StoreError, Tx};

/// Rows of a batch at most.
const BATCH_ROWS: u32 = 500;
/// Bytes of sealed values after which a batch ends.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A column whose values are sealed.
struct Sealed {
    table: &'static str,
    column: &'static str,
    /// The table its values are sealed for: rows that move to another table keep theirs.
    sealed_for: &'static str,
    /// Its key: columns, and whether each holds bytes.
    key: &'static [(&'static str, Bytes)],
    /// Which of the key's columns, and in which form, the values are bound to.
    place: &'static [Part],
    /// Rows whose values are sealed; the others hold what is no secret.
    only: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Yes,
    No,
}

/// A part of what a value is bound to.
#[derive(Clone, Copy)]
enum Part {
    /// Bytes or text, as they are.
    Bytes(&'static str),
    /// A number of eight bytes, little endian.
    Little(&'static str),
    /// The same, big endian.
    Big(&'static str),
}

const ID: &[(&str, Bytes)] = &[("id", Bytes::Yes)];

const fn by_id(table: &'static str, column: &'static str) -> Sealed {
    Sealed { table, column, sealed_for: table, key: ID, place: &[Part::Bytes("id")], only: "1" }
}

/// Every sealed column. A test compares this with the schema.
const SEALED: &[Sealed] = &[
    by_id("entity", "body"),
    Sealed {
        key: &[("owner", Bytes::Yes), ("predicate", Bytes::No), ("value_id", Bytes::Yes)],
        place: &[Part::Bytes("value_id")],
        ..by_id("literal_link", "value")
    },
    by_id("consumer", "user"),
    by_id("account", "login"),
    by_id("account", "password"),
    by_id("remote", "secret"),
    Sealed { key: &[("scope", Bytes::No)], place: &[Part::Little("scope")], ..by_id("replica_access", "value") },
    by_id("replica_entry", "body"),
    Sealed { sealed_for: "replica_entry", ..by_id("parted_entry", "body") },
    Sealed {
        key: &[("scope", Bytes::No), ("type", Bytes::No), ("uri", Bytes::No)],
        place: &[Part::Little("scope"), Part::Little("type"), Part::Bytes("uri")],
        ..by_id("tao_arrival", "body")
    },
    Sealed {
        key: &[("scope", Bytes::No), ("owner_key", Bytes::Yes), ("predicate", Bytes::No), ("value_key", Bytes::Yes)],
        place: &[Part::Bytes("value_key")],
        // The numbers of vocabulary::RELATIONS: their values are URIs of other entities.
        only: "predicate > 11",
        ..by_id("replica_link", "value")
    },
    by_id("tao_installation", "address"),
    by_id("package", "key"),
    by_id("package", "tree"),
    by_id("package", "compiled"),
    Sealed {
        key: &[("execution", Bytes::Yes), ("no", Bytes::No)],
        place: &[Part::Bytes("execution"), Part::Big("no")],
        ..by_id("execution_part", "body")
    },
    by_id("execution", "reason"),
    by_id("outbox_content", "payload"),
    by_id("outbox_readable", "payload"),
    by_id("received", "payload"),
    by_id("tao_written", "marks"),
];

/// How far a pass has come.
#[derive(Clone, Debug, Default)]
pub struct Resealing {
    /// Which of [`SEALED`].
    column: usize,
    /// The key of the last row looked at, as JSON.
    after: Option<String>,
    /// Values sealed anew so far.
    pub resealed: u64,
}

impl Resealing {
    /// Whether every column was gone through.
    pub const fn is_over(&self) -> bool {
        self.column >= SEALED.len()
    }
}

struct Old {
    key: String,
    place: Vec<u8>,
    value: Vec<u8>,
}

impl Store {
    /// Seals the next batch anew, in a transaction of its own. A pass that is over has seen every value once; what
    /// another process sealed meanwhile with an older key is told by [`Store::columns_sealed_with_older`].
    pub async fn reseal_batch(&self, mut at: Resealing) -> Result<Resealing, StoreError> {
        let Some(sealed) = SEALED.get(at.column) else { return Ok(at) };
        let mut tx = self.write("reseal_batch", Durability::Flushed).await?;
        let primary = self.keyring().columns().key_ids()[0];
        let old = tx.sealed_with_older(sealed, primary, at.after.as_deref()).await?;
        match old.last() {
            None => (at.column, at.after) = (at.column + 1, None),
            Some(last) => {
                at.after = Some(last.key.clone());
                let fresh = old.iter().map(|old| self.sealed_anew(sealed, old)).collect::<Result<Vec<_>, _>>()?;
                tx.reseal(sealed, &fresh).await?;
                at.resealed += fresh.len() as u64;
                tx.commit().await?;
            }
        }
        Ok(at)
    }

    fn sealed_anew(&self, sealed: &Sealed, old: &Old) -> Result<(String, Vec<u8>), StoreError> {
        let columns: &Columns = self.keyring().columns();
        let plain = columns.open(sealed.sealed_for, &old.place, sealed.column, &old.value);
        let plain = plain.map_err(|_| StoreError::damaged(format!("{}.{}", sealed.table, sealed.column)))?;
        Ok((old.key.clone(), columns.seal(sealed.sealed_for, &old.place, sealed.column, &plain)))
    }

    /// How many values are sealed with another key than the one that seals now. Looks at all of them.
    pub async fn columns_sealed_with_older(&self) -> Result<u64, StoreError> {
        let primary = self.keyring().columns().key_ids()[0];
        let mut snapshot = self.read("columns_sealed_with_older").await?;
        let sql = snapshot.sql();
        let mut older = 0;
        for sealed in SEALED {
            let Sealed { table, column, only, .. } = sealed;
            let count = format!(
                "SELECT count(*) FROM {table} WHERE {only} AND {column} IS NOT NULL AND substr({column}, 1, 4) <> $1"
            );
            let count: i64 = sqlx::query_scalar(AssertSqlSafe(count))
                .bind(primary.to_be_bytes().to_vec())
                .fetch_one(snapshot.conn())
                .await
                .map_err(&sql)?;
            older += count.unsigned_abs();
        }
        Ok(older)
    }

    /// Notes that values may be sealed with the key that seals now, so that nobody starts without it.
    pub async fn column_key_note(&self) -> Result<(), StoreError> {
        let mut ids = self.column_keys_in_use().await?;
        let primary = self.keyring().columns().key_ids()[0];
        if ids.contains(&primary) {
            return Ok(());
        }
        ids.push(primary);
        self.column_keys_set(&ids).await
    }

    /// Only the key that seals now is in use any more: no value is sealed with another one. Refused while some are.
    pub async fn column_keys_forget_older(&self) -> Result<(), StoreError> {
        match self.columns_sealed_with_older().await? {
            0 => self.column_keys_set(&[self.keyring().columns().key_ids()[0]]).await,
            older => Err(StoreError::Refused(format!(
                "{older} values are still sealed with an older key; run 'taosync keys rotate' again"
            ))),
        }
    }

    /// Refuses when a key that values are sealed with is not in the keyring.
    pub(crate) async fn column_keys_check(&self) -> Result<(), StoreError> {
        let here = self.keyring().columns().key_ids();
        let missing = self.column_keys_in_use().await?.into_iter().find(|id| !here.contains(id));
        missing.map_or(Ok(()), |key_id| Err(StoreError::MissingKey { key_id }))
    }

    async fn column_keys_in_use(&self) -> Result<Vec<u32>, StoreError> {
        let text = self.setting_get(COLUMN_KEYS).await?.unwrap_or_else(|| "[]".to_owned());
        serde_json::from_str(&text).map_err(|_| StoreError::damaged("the list of column keys"))
    }

    async fn column_keys_set(&self, ids: &[u32]) -> Result<(), StoreError> {
        self.setting_set(COLUMN_KEYS, &crate::values::json_text(&ids)?).await
    }
}

impl Tx {
    /// The next rows of a column that are sealed with an older key.
    async fn sealed_with_older(
        &mut self,
        sealed: &Sealed,
        primary: u32,
        after: Option<&str>,
    ) -> Result<Vec<Old>, StoreError> {
        let Sealed { table, column, only, .. } = sealed;
        let (key, order) = (sealed.key_as_json(), sealed.key_columns());
        let beyond =
            if after.is_some() { format!("AND ({order}) > ({})", sealed.key_from_json("$2")) } else { String::new() };
        let select = format!(
            "SELECT {key} AS key, {}, {column} AS value FROM {table}
             WHERE {only} AND {column} IS NOT NULL AND substr({column}, 1, 4) <> $1 {beyond}
             ORDER BY {order} LIMIT {BATCH_ROWS}",
            sealed.place_columns()
        );
        let sql = self.sql();
        let query = sqlx::query(AssertSqlSafe(select)).bind(primary.to_be_bytes().to_vec());
        let query = match after {
            Some(after) => query.bind(after),
            None => query,
        };
        let rows = query.fetch_all(self.conn()).await.map_err(&sql)?;
        let (mut bytes, mut old) = (0, Vec::with_capacity(rows.len()));
        for row in &rows {
            let damaged = |_| StoreError::damaged(format!("{table}.{column}"));
            let place = sealed.place_of(row).map_err(damaged)?;
            let value: Vec<u8> = row.try_get("value").map_err(damaged)?;
            bytes += value.len();
            old.push(Old { key: row.try_get("key").map_err(damaged)?, place, value });
            if bytes > BATCH_BYTES {
                break;
            }
        }
        Ok(old)
    }

    async fn reseal(&mut self, sealed: &Sealed, fresh: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        let Sealed { table, column, .. } = sealed;
        let sql = self.sql();
        let mut update = QueryBuilder::<Sqlite>::new(format!(
            "UPDATE {table} SET {column} = fresh.value FROM (SELECT column1 AS key, column2 AS value FROM ("
        ));
        update.push_values(fresh, |mut row, (key, value)| {
            row.push_bind(key.as_str()).push_bind(value.as_slice());
        });
        update.push(format!(
            ")) AS fresh WHERE ({}) = ({})",
            sealed.key_columns_of(table),
            sealed.key_from_json("fresh.key")
        ));
        let done = update.build().execute(self.conn()).await.map_err(sql)?;
        if done.rows_affected() == fresh.len() as u64 {
            return Ok(());
        }
        Err(StoreError::damaged(format!("the keys of {table}")))
    }
}

impl Sealed {
    fn key_columns(&self) -> String {
        self.key.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    fn key_columns_of(&self, table: &str) -> String {
        self.key.iter().map(|(name, _)| format!("{table}.{name}")).collect::<Vec<_>>().join(", ")
    }

    fn key_as_json(&self) -> String {
        let part = |(name, bytes): &(&str, Bytes)| {
            if *bytes == Bytes::Yes { format!("hex({name})") } else { (*name).to_owned() }
        };
        format!("json_array({})", self.key.iter().map(part).collect::<Vec<_>>().join(", "))
    }

    fn key_from_json(&self, json: &str) -> String {
        let part = |(at, (_, bytes)): (usize, &(&str, Bytes))| {
            let value = format!("({json} ->> {at})");
            if *bytes == Bytes::Yes { format!("unhex{value}") } else { value }
        };
        self.key.iter().enumerate().map(part).collect::<Vec<_>>().join(", ")
    }

    fn place_columns(&self) -> String {
        let column = |(at, part): (usize, &Part)| match part {
            Part::Bytes(name) => format!("CAST({name} AS BLOB) AS part{at}"),
            Part::Little(name) | Part::Big(name) => format!("{name} AS part{at}"),
        };
        self.place.iter().enumerate().map(column).collect::<Vec<_>>().join(", ")
    }

    fn place_of(&self, row: &sqlx::sqlite::SqliteRow) -> Result<Vec<u8>, sqlx::Error> {
        let mut place = Vec::new();
        for (at, part) in self.place.iter().enumerate() {
            let name = format!("part{at}");
            match part {
                Part::Bytes(_) => place.extend(row.try_get::<Vec<u8>, _>(name.as_str())?),
                Part::Little(_) => place.extend(row.try_get::<i64, _>(name.as_str())?.to_le_bytes()),
                Part::Big(_) => place.extend(row.try_get::<i64, _>(name.as_str())?.to_be_bytes()),
            }
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns of bytes that are no secret here: ids, digests, blind indexes, public keys, signatures, hashes of secrets; and
    /// `locked`, a key under an unlock code, sealed for the node.
    const OPEN: &[&str] = &[
        "audit_digest",
        "id",
        "class",
        "digest",
        "shown",
        // Of a TAO import, a digest; that of a package is sealed.
        "tree",
        "login_index",
        "label_index",
        "subject",
        "tao_md5",
        "owner",
        "target",
        "value_id",
        "center",
        "epoch",
        "set_digest",
        "entity",
        "central",
        "central_key",
        "remote",
        "owner_key",
        "value_key",
        "name",
        "chunk",
        "package",
        "execution",
        "save",
        "previous",
        "item",
        "content",
        "signature",
        "path",
        "origin",
        "handed_in_by",
        "secret_hash",
        "old_hash",
        "consumer",
        "hash",
        "node",
        "public_key",
        "signer",
        "leaves",
        "word",
        "stranger_node",
        "locked",
        "login_index",
        "account",
        "mark",
    ];

    #[test]
    fn every_column_of_bytes_is_sealed_or_said_to_be_no_secret() {
        let schema = include_str!("../migrations/sqlite/0001_first.sql");
        let (mut table, mut found) = ("", Vec::new());
        for line in schema.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["CREATE", "TABLE", name, ..] => table = name,
                [column, kind, ..] if kind.trim_end_matches(',') == "BLOB" => found.push((table, column)),
                _ => {}
            }
        }
        assert!(found.len() > 60, "the schema was read");
        let is_sealed =
            |(table, column): &(&str, &str)| SEALED.iter().any(|s| (s.table, s.column) == (*table, *column));
        let undecided: Vec<_> = found.iter().filter(|place| !is_sealed(place) && !OPEN.contains(&place.1)).collect();
        assert!(undecided.is_empty(), "sealed or no secret? {undecided:?}");
        for sealed in SEALED {
            assert!(found.contains(&(sealed.table, sealed.column)), "{}.{} is gone", sealed.table, sealed.column);
        }
    }
}
