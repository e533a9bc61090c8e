//! The row by which TAO's reports find an execution (`delivery_monitoring`, WIRE §15). TAO makes it when an execution
//! changes its state; of one that came in it says the state and nothing else, and so do we.

use std::collections::{BTreeMap, HashMap};

use super::results::Arrived;
use crate::{Change, Schema, Statement, TaoError, Value};

/// Brings rows that are missing, and states that have changed.
pub async fn write(change: &mut Change, schema: &Schema, results: &[(&Arrived, String)]) -> Result<(), TaoError> {
    if !schema.has_table("delivery_monitoring") || results.is_empty() {
        return Ok(());
    }
    let ids = results.iter().map(|(_, id)| id.as_str());
    let statement = Statement::new("SELECT delivery_execution_id, status FROM delivery_monitoring WHERE ")
        .among("delivery_execution_id", ids);
    let there = change.rows(&statement).await?;
    let there: HashMap<&str, &str> =
        there.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect::<Result<_, TaoError>>()?;
    let (mut new, mut other): (Vec<Vec<Value>>, BTreeMap<&str, Vec<&str>>) = (Vec::new(), BTreeMap::new());
    for (result, id) in results {
        let state = result.attempt.state.as_str();
        match there.get(id.as_str()) {
            None => new.push(vec![Value::from(id), Value::from(state)]),
            Some(known) if *known != state => other.entry(state).or_default().push(id),
            Some(_) => {}
        }
    }
    insert(change, schema, new).await?;
    for (state, ids) in other {
        let statement = Statement::new("UPDATE delivery_monitoring SET status = ").bind(state).push(" WHERE ");
        change.execute(&statement.among("delivery_execution_id", ids)).await?;
    }
    Ok(())
}

/// The times that a test taker may have are empty in TAO's own rows too, not unknown: its lists sort by them.
async fn insert(change: &mut Change, schema: &Schema, mut rows: Vec<Vec<Value>>) -> Result<(), TaoError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut statement = Statement::new("INSERT INTO delivery_monitoring (delivery_execution_id, status");
    for (column, value) in [(", remaining_time", ""), (", extra_time", "0"), (", consumed_extra_time", "0")] {
        if schema.holds("delivery_monitoring", column.trim_start_matches(", ")).is_some() {
            statement = statement.push(column);
            for row in &mut rows {
                row.push(Value::from(value));
            }
        }
    }
    change.execute(&statement.push(") VALUES ").tuples(&rows)).await.map(drop)
}
