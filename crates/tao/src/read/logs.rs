//! Log rows of executions (WIRE §15, `delivery_log`).

use super::rows::Rows;
use crate::{Row, Schema, Statement, TaoError};

/// Rows in a page.
pub const PAGE: usize = 2_000;

/// A row of the log.
#[derive(Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Number of the row.
    pub id: i64,
    /// Id of the execution.
    pub execution: String,
    /// What happened.
    pub event: String,
    /// Details: JSON, or whatever an encrypting TAO puts there.
    pub data: String,
    /// Seconds since 1970, with a fraction.
    pub created_at: String,
    /// Who.
    pub created_by: String,
}

impl std::fmt::Debug for LogRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogRow").field("id", &self.id).field("event", &self.event).finish_non_exhaustive()
    }
}

const COLUMNS: &str =
    "SELECT id, delivery_execution_id, event_id, data, created_at, created_by FROM delivery_log WHERE ";

/// All rows of these executions, in their order.
pub async fn of_executions(
    from: &mut impl Rows,
    schema: &Schema,
    executions: &[String],
) -> Result<Vec<LogRow>, TaoError> {
    if executions.is_empty() || !schema.has_table("delivery_log") {
        return Ok(Vec::new());
    }
    let statement = Statement::new(COLUMNS).among("delivery_execution_id", executions).push(" ORDER BY id");
    from.answer(&statement).await?.iter().map(log_row).collect()
}

/// Rows after a number that were not handed in yet as far as TAO knows, at most [`PAGE`]. Without taoSync's column that
/// is every row.
pub async fn unsynced(from: &mut impl Rows, schema: &Schema, after: i64) -> Result<Vec<LogRow>, TaoError> {
    if !schema.has_table("delivery_log") {
        return Ok(Vec::new());
    }
    let mut statement = Statement::new(COLUMNS).push("id > ").bind(after);
    if schema.log_is_synced {
        statement = statement.push(" AND is_synced = 0");
    }
    let statement = statement.push(" ORDER BY id LIMIT ").bind(PAGE as i64);
    from.answer(&statement).await?.iter().map(log_row).collect()
}

fn log_row(row: &Row) -> Result<LogRow, TaoError> {
    let text = |column| row.text(column).map(str::to_owned);
    Ok(LogRow {
        id: row.integer(0)?,
        execution: text(1)?,
        event: text(2)?,
        data: text(3)?,
        created_at: text(4)?,
        created_by: text(5)?,
    })
}
