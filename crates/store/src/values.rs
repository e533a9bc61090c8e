//! Values on their way between Rust and columns: times, digests, words, JSON, sealed bytes.

use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};
use taosync_model::Digest;

use crate::{Store, StoreError};

/// A row that is read column by column; a column that cannot be read is named in the error.
pub(crate) struct Record<'r> {
    row: &'r SqliteRow,
    table: &'static str,
}

impl<'r> Record<'r> {
    pub fn new(table: &'static str, row: &'r SqliteRow) -> Self {
        Self { row, table }
    }

    fn damaged(&self, column: &str) -> StoreError {
        StoreError::damaged(format!("{}.{column}", self.table))
    }

    pub fn get<T: Decode<'r, Sqlite> + Type<Sqlite>>(&self, column: &str) -> Result<T, StoreError> {
        self.row.try_get(column).map_err(|_| self.damaged(column))
    }

    pub fn flag(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.get::<i64>(column)? != 0)
    }

    pub fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<T, StoreError> {
        T::try_from(self.get::<i64>(column)?).map_err(|_| self.damaged(column))
    }

    pub fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        Timestamp::from_millisecond(self.get(column)?).map_err(|_| self.damaged(column))
    }

    pub fn time_or_none(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        let ms: Option<i64> = self.get(column)?;
        ms.map(Timestamp::from_millisecond).transpose().map_err(|_| self.damaged(column))
    }

    pub fn digest(&self, column: &str) -> Result<Digest, StoreError> {
        Digest::from_slice(self.get(column)?).map_err(|_| self.damaged(column))
    }

    pub fn digest_or_none(&self, column: &str) -> Result<Option<Digest>, StoreError> {
        let bytes: Option<&[u8]> = self.get(column)?;
        bytes.map(Digest::from_slice).transpose().map_err(|_| self.damaged(column))
    }

    pub fn word<T: FromStr>(&self, column: &str) -> Result<T, StoreError> {
        self.get::<&str>(column)?.parse().map_err(|_| self.damaged(column))
    }

    pub fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(self.get(column)?).map_err(|_| self.damaged(column))
    }

    pub fn json_or_none<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let text: Option<&str> = self.get(column)?;
        text.map(serde_json::from_str).transpose().map_err(|_| self.damaged(column))
    }
}

/// The JSON text of a value for a column.
pub(crate) fn json_text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Refused(format!("a value cannot be written as JSON: {e}")))
}

/// Digests as a JSON array of hex, for `IN (SELECT unhex(value) FROM json_each($1))`.
pub(crate) fn digest_array<'a>(digests: impl IntoIterator<Item = &'a Digest>) -> String {
    let mut text = String::from("[");
    for digest in digests {
        if text.len() > 1 {
            text.push(',');
        }
        text.push('"');
        text.push_str(&digest.to_hex());
        text.push('"');
    }
    text.push(']');
    text
}

/// A text cut to so many characters, for reasons that came from outside.
pub(crate) fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

impl Store {
    /// Seals a value for its table, row and column.
    pub(crate) fn seal(&self, table: &str, row: &[u8], column: &str, plain: &[u8]) -> Vec<u8> {
        self.keyring.columns().seal(table, row, column, plain)
    }

    /// Opens a sealed value again.
    pub(crate) fn unseal(&self, table: &str, row: &[u8], column: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let opened = self.keyring.columns().open(table, row, column, sealed);
        opened.map_err(|_| StoreError::damaged(format!("{table}.{column} of row {}", hex::encode(row))))
    }
}
