//! Results that came in, written where TAO's reports read them (WIRE §9.3, §15). A group is written in the caller's
//! transaction, each execution whole. Writing the same again changes nothing: what is there is compared, not counted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use md5::{Digest as _, Md5};

use super::executions::{self, Attempt};
use super::{logs, mapping, monitoring};
use crate::read;
use crate::statement::batches;
use crate::{Change, Schema, Statement, TaoError, Value};

/// A result as it came in.
#[derive(Clone)]
pub struct Arrived {
    /// What the execution is called where it was run.
    pub offline: String,
    /// Whose attempt at what, when, and how it ended.
    pub attempt: Attempt,
    /// The variables.
    pub variables: Vec<NewVariable>,
    /// The log.
    pub log: Vec<logs::NewLog>,
    /// The row that says from where this came; written when something of it was not there.
    pub event: logs::NewLog,
    /// Variables that an older version of this result has brought and that go, unless this one brings them too.
    pub replaced: Vec<VariableMark>,
}

/// A variable to be written.
#[derive(Clone)]
pub struct NewVariable {
    /// Of a variable of the test: the execution.
    pub call_id_test: Option<String>,
    /// Of a variable of an item: execution, item, try.
    pub call_id_item: Option<String>,
    /// The test.
    pub test: Option<String>,
    /// The item.
    pub item: Option<String>,
    /// Identifier.
    pub identifier: String,
    /// JSON of the variable ([`super::php_json::variable`]).
    pub value: String,
}

impl std::fmt::Debug for Arrived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrived").field("offline", &self.offline).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NewVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewVariable").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

/// What tells a variable of an execution from its others: the second half of TAO's `variable_hash`.
pub type VariableMark = [u8; 16];

impl NewVariable {
    /// The mark of the variable in an execution here.
    pub fn mark(&self, online: &str) -> VariableMark {
        let call = self.call_id_item.as_ref().or(self.call_id_test.as_ref()).map_or("", String::as_str);
        let mut hash = Md5::new();
        hash.update(online.as_bytes());
        hash.update(self.value.as_bytes());
        hash.update(call.as_bytes());
        hash.finalize().into()
    }
}

/// TAO's `variable_hash`.
pub fn variable_hash(online: &str, mark: &VariableMark) -> String {
    format!("{online}{}", hex::encode(mark))
}

/// What became of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there, as this execution, with these variables.
    Written {
        /// Id of the execution here.
        online: String,
        /// Its variables.
        marks: Vec<VariableMark>,
        /// Whether anything had to be written.
        changed: bool,
    },
    /// Somebody works with the execution here: it is active, and is not touched.
    Active {
        /// Id of the execution here.
        online: String,
    },
}

/// Writes results; gives what became of each, in the order given.
pub async fn write(
    change: &mut Change,
    schema: &Schema,
    results: &[Arrived],
    now: &super::Now,
) -> Result<Vec<Outcome>, TaoError> {
    check(schema)?;
    let offline: Vec<&str> = results.iter().map(|result| result.offline.as_str()).collect();
    let mut online = mapping::read(change, &offline).await?;
    let known_ids: Vec<String> = online.values().cloned().collect();
    let known = read::executions::named(change, schema, &known_ids).await?;
    let known: HashMap<&str, &read::executions::Execution> = known.iter().map(|e| (e.id.as_str(), e)).collect();
    let mut new_mapping = BTreeMap::new();
    for result in results {
        if !online.contains_key(&result.offline) {
            let id = mapping::made(schema, &result.attempt.delivery, &result.offline);
            new_mapping.insert(result.offline.clone(), id.clone());
            online.insert(result.offline.clone(), id);
        }
    }
    let placed: Vec<(&Arrived, String)> =
        results.iter().filter_map(|result| Some((result, online.get(&result.offline)?.clone()))).collect();
    let is_active = |id: &str| known.get(id).is_some_and(|execution| executions::is_running(&execution.state));
    let free: Vec<(&Arrived, String)> = placed.iter().filter(|(_, id)| !is_active(id)).cloned().collect();
    let mut changed = executions::write(change, schema, &free, &known, now).await?;
    changed.extend(relate(change, &free).await?);
    changed.extend(variables(change, &free).await?);
    changed.extend(write_logs(change, schema, &free).await?);
    let events = free.iter().filter(|(_, online)| changed.contains(online));
    let events: Vec<_> = events.map(|(result, online)| (online.clone(), result.event.clone())).collect();
    logs::write(change, schema, &events).await?;
    monitoring::write(change, schema, &free).await?;
    mapping::write(change, &new_mapping).await?;
    Ok(placed.iter().map(|(result, id)| outcome(result, id, is_active(id), &changed)).collect())
}

fn outcome(result: &Arrived, online: &str, is_active: bool, changed: &BTreeSet<String>) -> Outcome {
    let online = online.to_owned();
    if is_active {
        return Outcome::Active { online };
    }
    let marks = result.variables.iter().map(|variable| variable.mark(&online)).collect();
    Outcome::Written { marks, changed: changed.contains(&online), online }
}

/// Says whose result it is, where that is not said yet; gives the executions concerned.
async fn relate(change: &mut Change, results: &[(&Arrived, String)]) -> Result<BTreeSet<String>, TaoError> {
    let ids: Vec<&str> = results.iter().map(|(_, id)| id.as_str()).collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let statement = Statement::new("SELECT result_id FROM results_storage WHERE ").among("result_id", ids);
    let there = change.rows(&statement).await?;
    let there: HashSet<&str> = there.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
    let missing: BTreeMap<&str, &Arrived> =
        results.iter().filter(|(_, id)| !there.contains(id.as_str())).map(|(r, id)| (id.as_str(), *r)).collect();
    let row = |(id, result): (&&str, &&Arrived)| {
        vec![Value::from(*id), Value::from(&result.attempt.test_taker), Value::from(&result.attempt.delivery)]
    };
    let rows: Vec<Vec<Value>> = missing.iter().map(row).collect();
    for batch in batches(&rows) {
        let head = "INSERT INTO results_storage (result_id, test_taker, delivery) VALUES ";
        change.execute(&Statement::new(head).tuples(batch)).await?;
    }
    Ok(missing.into_keys().map(str::to_owned).collect())
}

/// Brings the variables that are missing and takes away those of older versions; gives the executions concerned.
async fn variables(change: &mut Change, results: &[(&Arrived, String)]) -> Result<BTreeSet<String>, TaoError> {
    let ids: Vec<&str> = results.iter().map(|(_, id)| id.as_str()).collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let statement =
        Statement::new("SELECT variable_hash FROM variables_storage WHERE ").among("results_result_id", ids);
    let there = change.rows(&statement).await?;
    let there = there.iter().map(|row| row.optional_text(0)).collect::<Result<Vec<_>, _>>()?;
    let there: HashSet<&str> = there.into_iter().flatten().collect();
    let (mut rows, mut gone, mut changed) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (result, online) in results {
        let mut kept: HashSet<VariableMark> = HashSet::new();
        for variable in &result.variables {
            let mark = variable.mark(online);
            let hash = variable_hash(online, &mark);
            if kept.insert(mark) && !there.contains(hash.as_str()) {
                changed.insert(online.clone());
                rows.push(variable_row(online, variable, hash));
            }
        }
        let old = result.replaced.iter().filter(|mark| !kept.contains(*mark));
        let old = old.map(|mark| variable_hash(online, mark)).filter(|hash| there.contains(hash.as_str()));
        gone.extend(old.map(|hash| (online.clone(), hash)));
    }
    changed.extend(gone.iter().map(|(online, _)| online.clone()));
    remove(change, &gone).await?;
    for batch in batches(&rows) {
        let head = "INSERT INTO variables_storage (results_result_id, call_id_test, call_id_item, test, item, value,
             identifier, variable_hash) VALUES ";
        change.execute(&Statement::new(head).tuples(batch)).await?;
    }
    Ok(changed)
}

fn variable_row(online: &str, variable: &NewVariable, hash: String) -> Vec<Value> {
    let optional = |text: &Option<String>| Value::from(text.as_ref());
    vec![
        Value::from(online),
        optional(&variable.call_id_test),
        optional(&variable.call_id_item),
        optional(&variable.test),
        optional(&variable.item),
        Value::from(&variable.value),
        Value::from(&variable.identifier),
        Value::from(hash),
    ]
}

async fn remove(change: &mut Change, gone: &[(String, String)]) -> Result<(), TaoError> {
    for some in gone.chunks(1_000) {
        let statement = Statement::new("DELETE FROM variables_storage WHERE ")
            .among("variable_hash", some.iter().map(|(_, hash)| hash));
        change.execute(&statement).await?;
    }
    Ok(())
}

async fn write_logs(
    change: &mut Change,
    schema: &Schema,
    results: &[(&Arrived, String)],
) -> Result<BTreeSet<String>, TaoError> {
    let rows =
        results.iter().flat_map(|(result, online)| result.log.iter().map(move |log| (online.clone(), log.clone())));
    logs::write(change, schema, &rows.collect::<Vec<_>>()).await
}

/// Log rows that came after their result.
#[derive(Clone, Debug)]
pub struct LateLog {
    /// What the execution is called where it was run.
    pub offline: String,
    /// The rows.
    pub log: Vec<logs::NewLog>,
    /// The row that says from where they came; written when one of them was not there.
    pub event: logs::NewLog,
}

/// Writes log rows that came after their result. Gives the executions here, by execution of a box, of those whose result is
/// here; the others are left out.
pub async fn write_late_logs(
    change: &mut Change,
    schema: &Schema,
    late: &[LateLog],
) -> Result<HashMap<String, String>, TaoError> {
    if late.is_empty() {
        return Ok(HashMap::new());
    }
    let offline: Vec<&str> = late.iter().map(|late| late.offline.as_str()).collect();
    let online = mapping::read(change, &offline).await?;
    let placed: Vec<(&String, &LateLog)> =
        late.iter().filter_map(|late| Some((online.get(&late.offline)?, late))).collect();
    let rows =
        placed.iter().flat_map(|(online, late)| late.log.iter().map(move |row| ((*online).clone(), row.clone())));
    let changed = logs::write(change, schema, &rows.collect::<Vec<_>>()).await?;
    let events = placed.iter().filter(|(online, _)| changed.contains(*online));
    let events: Vec<_> = events.map(|(online, late)| ((*online).clone(), late.event.clone())).collect();
    logs::write(change, schema, &events).await?;
    Ok(online)
}

/// Whether the tables are there that results are written into.
fn check(schema: &Schema) -> Result<(), TaoError> {
    let missing = ["kv_store", "results_storage", "variables_storage"].into_iter().find(|t| !schema.has_table(t));
    match missing {
        None => Ok(()),
        Some(table) => Err(TaoError::Unrecognised { what: format!("there is no table {table}, where results go") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_of_execution_value_and_call() {
        let variable = NewVariable {
            call_id_test: Some("urn:test".into()),
            call_id_item: Some("urn:box#e.item-1.0".into()),
            test: None,
            item: None,
            identifier: "SUM".into(),
            value: "{}".into(),
        };
        // printf 'urn:e{}urn:box#e.item-1.0' | md5sum
        let hash = variable_hash("urn:e", &variable.mark("urn:e"));
        assert_eq!(hash, format!("urn:e{}", hex::encode(Md5::digest(b"urn:e{}urn:box#e.item-1.0"))));
    }
}
