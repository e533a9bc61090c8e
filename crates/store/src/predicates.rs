//! Numbers for predicates: relation rows and links name them by a small number.

use std::collections::HashMap;

use sqlx::SqliteConnection;
use taosync_model::vocabulary;

use crate::rows;

/// Number of `rdfs:subClassOf`, after the relations of the vocabulary.
pub(crate) const SUB_CLASS_OF: i64 = 12;

/// The number of a predicate the program itself knows; the migration seeds the same numbers.
pub(crate) fn known_code(predicate: &str) -> Option<i64> {
    if predicate == vocabulary::RDFS_SUB_CLASS_OF {
        return Some(SUB_CLASS_OF);
    }
    vocabulary::RELATIONS.iter().position(|&p| p == predicate).map(|index| index as i64 + 1)
}

/// The number of a relation predicate.
///
/// # Panics
/// When the predicate is not in [`vocabulary::RELATIONS`]; only constants are passed.
pub(crate) fn relation_code(predicate: &'static str) -> i64 {
    known_code(predicate).unwrap_or_else(|| unreachable!("{predicate} is not a relation"))
}

/// Numbers for these predicates, new ones where needed.
pub(crate) async fn codes(
    conn: &mut SqliteConnection,
    predicates: &[&str],
) -> Result<HashMap<String, i64>, sqlx::Error> {
    let array = rows::text_array(predicates.iter().copied());
    sqlx::query(
        "INSERT INTO predicate (code, uri)
         SELECT (SELECT max(code) FROM predicate) + row_number() OVER (ORDER BY value), value
         FROM (SELECT DISTINCT value FROM json_each($1)) WHERE value NOT IN (SELECT uri FROM predicate)",
    )
    .bind(&array)
    .execute(&mut *conn)
    .await?;
    let found: Vec<(String, i64)> =
        sqlx::query_as("SELECT uri, code FROM predicate WHERE uri IN (SELECT value FROM json_each($1))")
            .bind(&array)
            .fetch_all(conn)
            .await?;
    Ok(found.into_iter().collect())
}

/// All predicates by number.
pub(crate) async fn names(conn: &mut SqliteConnection) -> Result<HashMap<i64, String>, sqlx::Error> {
    let all: Vec<(i64, String)> = sqlx::query_as("SELECT code, uri FROM predicate").fetch_all(conn).await?;
    Ok(all.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_numbered_from_one() {
        assert_eq!(known_code(vocabulary::ADMINISTRATOR_OF), Some(1));
        assert_eq!(known_code(vocabulary::EXCLUDED_SUBJECTS), Some(11));
        assert_eq!(known_code(vocabulary::RDFS_LABEL), None);
    }
}
