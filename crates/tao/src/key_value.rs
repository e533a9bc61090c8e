//! TAO's key-value pairs in SQL (`kv_store`, WIRE §15): texts in base64, numbers as they are.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::read::rows::Rows;
use crate::statement::batches;
use crate::{Change, Statement, TaoError, Value};

/// The values of these keys; keys without one are left out.
pub async fn read(from: &mut impl Rows, keys: &[String]) -> Result<BTreeMap<String, String>, TaoError> {
    let mut found = BTreeMap::new();
    if keys.is_empty() {
        return Ok(found);
    }
    let statement = Statement::new("SELECT kv_id, kv_value FROM kv_store WHERE ").among("kv_id", keys);
    for row in from.answer(&statement).await? {
        if let Some(value) = row.optional_text(1)?.and_then(decoded) {
            found.insert(row.text(0)?.to_owned(), value);
        }
    }
    Ok(found)
}

/// A text as it stands in `kv_value`.
pub fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}

fn decoded(value: &str) -> Option<String> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.to_owned());
    }
    String::from_utf8(STANDARD.decode(value).ok()?).ok()
}

/// Sets keys to values that never expire, in the place of what they had.
pub async fn write(change: &mut Change, pairs: &BTreeMap<String, String>) -> Result<(), TaoError> {
    let rows: Vec<Vec<Value>> = pairs
        .iter()
        .map(|(key, value)| vec![Value::from(key), Value::from(encoded(value)), Value::Integer(0)])
        .collect();
    for batch in batches(&rows) {
        let statement = Statement::new("INSERT INTO kv_store (kv_id, kv_value, kv_time) VALUES ").tuples(batch).either(
            " ON CONFLICT (kv_id) DO UPDATE SET kv_value = excluded.kv_value, kv_time = excluded.kv_time",
            " ON DUPLICATE KEY UPDATE kv_value = VALUES(kv_value), kv_time = VALUES(kv_time)",
        );
        change.execute(&statement).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_base64_and_numbers_are_not() {
        assert_eq!(encoded("urn:e"), "dXJuOmU=");
        assert_eq!(decoded("dXJuOmU=").as_deref(), Some("urn:e"));
        assert_eq!(decoded("1767168000").as_deref(), Some("1767168000"));
        assert_eq!(decoded("%"), None);
    }
}
