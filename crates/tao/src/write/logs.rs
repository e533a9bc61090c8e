//! Log rows that came in (WIRE §10.1). The table knows no key: a row that says the same is the same.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value as Json;

use super::php_json;
use crate::read::logs::{self, LogRow};
use crate::statement::batches;
use crate::{Change, Schema, Statement, TaoError, Value};

/// A log row to be written.
#[derive(Clone)]
pub struct NewLog {
    /// What happened.
    pub event: String,
    /// Details.
    pub data: Json,
    /// Seconds since 1970, with a fraction.
    pub created_at: String,
    /// Who.
    pub created_by: String,
}

impl std::fmt::Debug for NewLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewLog").field("event", &self.event).finish_non_exhaustive()
    }
}

/// What makes a row the one it is. Details are compared as what they say: the order of names is not kept everywhere.
type Said = (String, String, String, String, String);

/// Brings the rows that are missing, by execution here; gives the executions concerned.
pub async fn write(
    change: &mut Change,
    schema: &Schema,
    rows: &[(String, NewLog)],
) -> Result<BTreeSet<String>, TaoError> {
    if !schema.has_table("delivery_log") {
        return Ok(BTreeSet::new());
    }
    let executions: BTreeSet<&String> = rows.iter().map(|(execution, _)| execution).collect();
    let executions: Vec<String> = executions.into_iter().cloned().collect();
    let there = logs::of_executions(change, schema, &executions).await?;
    let mut there: HashSet<Said> = there.iter().map(said_there).collect();
    let (mut new, mut changed) = (Vec::new(), BTreeSet::new());
    for (execution, log) in rows {
        let data = php_json::text(&log.data);
        let said = (execution.clone(), log.event.clone(), data.clone(), log.created_at.clone(), log.created_by.clone());
        if there.insert(said) {
            changed.insert(execution.clone());
            let texts = [execution, &log.event, &data, &log.created_at, &log.created_by];
            new.push(texts.map(Value::from).to_vec());
        }
    }
    for batch in batches(&new) {
        let head = "INSERT INTO delivery_log (delivery_execution_id, event_id, data, created_at, created_by) VALUES ";
        change.execute(&Statement::new(head).tuples(batch)).await?;
    }
    Ok(changed)
}

fn said_there(row: &LogRow) -> Said {
    let data = serde_json::from_str::<Json>(&row.data).map_or_else(|_| row.data.clone(), |json| php_json::text(&json));
    (row.execution.clone(), row.event.clone(), data, row.created_at.clone(), row.created_by.clone())
}
