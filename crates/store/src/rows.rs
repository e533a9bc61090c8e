//! Many rows in one statement: inserts of some hundred rows, and lists of keys as one bound JSON array.
//!
//! Statements that look keys up say `json_each($1) j CROSS JOIN …`: in SQLite that fixes the order, keys first, then the
//! index. With a plain JOIN the planner, which believes every list to be short, walks a whole org and reads the list once
//! for each of its rows (measured: a minute for what takes a tenth of a second).

use sqlx::query_builder::Separated;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

/// Rows in one insert: measured best between 200 and 1,000; 500 × 16 columns stays below SQLite's 32,766 values.
const ROWS_PER_INSERT: usize = 500;

/// Runs `head VALUES (…), (…) tail` for all rows, some hundred at a time.
pub(crate) async fn insert<T>(
    conn: &mut SqliteConnection,
    head: &'static str,
    rows: &[T],
    tail: &'static str,
    mut bind: impl FnMut(Separated<'_, Sqlite, &'static str>, &T),
) -> Result<(), sqlx::Error> {
    for part in rows.chunks(ROWS_PER_INSERT) {
        let mut query = QueryBuilder::<Sqlite>::new(head);
        query.push_values(part, &mut bind);
        query.push(" ").push(tail);
        query.build().execute(&mut *conn).await?;
    }
    Ok(())
}

/// Texts as a JSON array, for `IN (SELECT value FROM json_each($1))`.
pub(crate) fn text_array<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    // Unwrap safety: strings always serialise.
    serde_json::to_string(&texts.into_iter().collect::<Vec<_>>()).unwrap_or_default()
}

/// Ids as a JSON array of hex, for `IN (SELECT unhex(value) FROM json_each($1))`.
pub(crate) fn id_array<'a>(ids: impl IntoIterator<Item = &'a Uuid>) -> String {
    let mut text = String::from("[");
    for id in ids {
        if text.len() > 1 {
            text.push(',');
        }
        text.push('"');
        text.push_str(uuid::fmt::Simple::from_uuid(*id).encode_lower(&mut Uuid::encode_buffer()));
        text.push('"');
    }
    text.push(']');
    text
}

/// `[[owner, predicate, value], …]` with ids in hex.
pub(crate) fn key_array(keys: impl Iterator<Item = (Uuid, i64, Uuid)>) -> String {
    let list: Vec<_> = keys.map(|(a, b, c)| (a.simple().to_string(), b, c.simple().to_string())).collect();
    // Unwrap safety: strings and numbers always serialise.
    serde_json::to_string(&list).unwrap_or_default()
}
