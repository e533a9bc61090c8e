//! TAO's own notes of what it has handed in, continued: what central confirmed to us is confirmed to taoSync too, so that
//! it can go on where we stopped (WIRE §9.6, §10).

use std::collections::{BTreeSet, HashMap};

use super::Now;
use crate::read::executions::{self, Execution};
use crate::read::sent;
use crate::statement::batches;
use crate::{Change, Schema, Statement, TaoError, Value};

/// Something that central has confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The execution.
    pub execution: String,
    /// When the attempt that was confirmed ended. One that ended again meanwhile, or goes on, is another.
    pub end: Option<String>,
    /// What central also holds of its session.
    pub session: Session,
}

/// Whether central holds the test session of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// It does.
    Confirmed,
    /// It is not known yet.
    Open,
}

/// Marks results as handed in; says how many. One that is another than the confirmed one stays as it is.
pub async fn results(
    change: &mut Change,
    schema: &Schema,
    confirmed: &[Confirmed],
    now: &Now,
) -> Result<u64, TaoError> {
    if confirmed.is_empty() || !schema.has_table("synchronisation_result") {
        return Ok(0);
    }
    let ids: Vec<String> = confirmed.iter().map(|one| one.execution.clone()).collect();
    let there = executions::named(change, schema, &ids).await?;
    let there: HashMap<&str, &Execution> = there.iter().map(|there| (there.id.as_str(), there)).collect();
    let is_same = |one: &&Confirmed| {
        let there = there.get(one.execution.as_str());
        there.is_some_and(|there| there.end == one.end && !super::executions::is_running(&there.state))
    };
    let same: Vec<&Confirmed> = confirmed.iter().filter(is_same).collect();
    let row = |one: &&Confirmed| {
        let session = i64::from(one.session == Session::Confirmed);
        vec![
            Value::from(&one.execution),
            Value::from(sent::SYNCHRONIZED),
            Value::Moment(now.moment.clone()),
            Value::Integer(session),
        ]
    };
    let rows: Vec<Vec<Value>> = same.iter().map(row).collect();
    for batch in batches(&rows) {
        let statement = Statement::new("INSERT INTO synchronisation_result (id, status, ")
            .name("time")
            .push(", session_synced) VALUES ")
            .tuples(batch)
            .either(
                " ON CONFLICT (id) DO UPDATE SET status = excluded.status, \"time\" = excluded.\"time\",
                     session_synced = excluded.session_synced",
                " ON DUPLICATE KEY UPDATE status = VALUES(status), `time` = VALUES(`time`),
                     session_synced = VALUES(session_synced)",
            );
        change.execute(&statement).await?;
    }
    Ok(rows.len() as u64)
}

/// Marks log rows as handed in; says how many were not.
pub async fn logs(change: &mut Change, schema: &Schema, rows: &BTreeSet<i64>) -> Result<u64, TaoError> {
    if !schema.log_is_synced {
        return Ok(0);
    }
    let rows: Vec<i64> = rows.iter().copied().collect();
    let mut marked = 0;
    for some in rows.chunks(1_000) {
        let statement = Statement::new("UPDATE delivery_log SET is_synced = 1 WHERE is_synced = 0 AND id IN ");
        marked += change.execute(&statement.list(some.iter().copied())).await?;
    }
    Ok(marked)
}
