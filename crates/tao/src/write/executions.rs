//! Executions at central, as TAO's reports read them. Start, end and label are those of the attempt; TAO itself puts
//! the moment of the sync in their place (WIRE §9.3).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use md5::{Digest as _, Md5};
use taosync_model::vocabulary::{CREATED_AT, RDF_TYPE, RDFS_LABEL, UPDATED_AT};

use super::Now;
use super::results::Arrived;
use crate::key_value;
use crate::read::executions::Execution;
use crate::schema::{Executions, StatementId};
use crate::statement::batches;
use crate::vocabulary::{
    CLASS_EXECUTION, EXECUTION_DELIVERY, EXECUTION_END, EXECUTION_START, EXECUTION_STATUS, EXECUTION_SUBJECT,
};
use crate::{Change, Schema, Statement, TaoError, Value};

/// An attempt.
#[derive(Clone)]
pub struct Attempt {
    /// URI of the delivery.
    pub delivery: String,
    /// URI of the test taker.
    pub test_taker: String,
    /// Name.
    pub label: String,
    /// When it began: `"<fraction> <seconds>"`, or seconds alone.
    pub start: Option<String>,
    /// When it ended, in the same form.
    pub end: Option<String>,
    /// The same moments as `YYYY-MM-DD hh:mm:ss`, UTC.
    pub moments: [Option<String>; 2],
    /// URI of its state.
    pub state: String,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("delivery", &self.delivery).field("state", &self.state).finish_non_exhaustive()
    }
}

/// Whether somebody works with an execution in this state.
pub fn is_running(state: &str) -> bool {
    ["Active", "Paused", "Awaiting", "Authorized"].iter().any(|running| state.ends_with(&format!("Status{running}")))
}

type Placed<'a> = (&'a Arrived, String);

/// Writes executions that are new, and what has changed of the others; gives those concerned.
pub(super) async fn write(
    change: &mut Change,
    schema: &Schema,
    results: &[Placed<'_>],
    known: &HashMap<&str, &Execution>,
    now: &Now,
) -> Result<BTreeSet<String>, TaoError> {
    let is_other =
        |(result, id): &&Placed<'_>| known.get(id.as_str()).is_none_or(|there| differs(there, &result.attempt));
    let different: Vec<&Placed<'_>> = results.iter().filter(is_other).collect();
    // One execution may stand in a group twice: the last word counts.
    let different: BTreeMap<&str, &Attempt> =
        different.iter().map(|(result, id)| (id.as_str(), &result.attempt)).collect();
    if different.is_empty() {
        return Ok(BTreeSet::new());
    }
    match schema.executions {
        Executions::Ontology => in_statements(change, schema, &different, known, now).await?,
        Executions::Table => in_table(change, &different).await?,
        Executions::KeyValue => in_key_values(change, &different).await?,
    }
    Ok(different.into_keys().map(str::to_owned).collect())
}

fn differs(there: &Execution, attempt: &Attempt) -> bool {
    let whole = |text: &Option<String>| text.as_deref().and_then(|text| text.rsplit(' ').next()).map(str::to_owned);
    // The table keeps whole seconds.
    let is_time_other = |there: &Option<String>, here: &Option<String>| match there {
        Some(text) if !text.contains(' ') => whole(there) != whole(here),
        _ => there != here,
    };
    there.state != attempt.state
        || there.label != attempt.label
        || is_time_other(&there.start, &attempt.start)
        || is_time_other(&there.end, &attempt.end)
}

async fn in_statements(
    change: &mut Change,
    schema: &Schema,
    attempts: &BTreeMap<&str, &Attempt>,
    known: &HashMap<&str, &Execution>,
    now: &Now,
) -> Result<(), TaoError> {
    let languages = label_languages(change, attempts).await?;
    let replaced: Vec<&str> = attempts.keys().copied().filter(|id| known.contains_key(id)).collect();
    let said_anew = [RDFS_LABEL, EXECUTION_START, EXECUTION_END, EXECUTION_STATUS, UPDATED_AT];
    for some in replaced.chunks(1_000) {
        let statement = Statement::new("DELETE FROM statements WHERE ")
            .among("subject", some.iter().copied())
            .push(" AND ")
            .among("predicate", said_anew);
        change.execute(&statement).await?;
    }
    let mut rows = Vec::new();
    for (id, attempt) in attempts {
        let language = languages.get(&attempt.delivery).map_or("", String::as_str);
        let triple = |predicate: &str, object: &str, language: &str| {
            statement_row(schema, now, [id, predicate, object, language])
        };
        rows.push(triple(RDFS_LABEL, &attempt.label, language));
        if !known.contains_key(id) {
            rows.push(triple(EXECUTION_DELIVERY, &attempt.delivery, ""));
            rows.push(triple(EXECUTION_SUBJECT, &attempt.test_taker, ""));
            rows.push(triple(RDF_TYPE, CLASS_EXECUTION, ""));
            rows.push(triple(CREATED_AT, &now.seconds, ""));
        }
        rows.extend(attempt.start.as_ref().map(|start| triple(EXECUTION_START, start, "")));
        rows.push(triple(UPDATED_AT, &now.seconds, ""));
        rows.push(triple(EXECUTION_STATUS, &attempt.state, ""));
        rows.extend(attempt.end.as_ref().map(|end| triple(EXECUTION_END, end, "")));
    }
    super::entities::insert(change, schema, &rows).await
}

fn statement_row(schema: &Schema, now: &Now, said: [&str; 4]) -> Vec<Value> {
    let [subject, predicate, object, language] = said;
    let mut row = vec![Value::Integer(1)];
    row.extend([subject, predicate, object, language, ""].map(Value::from));
    row.push(now.epoch(schema));
    if schema.statement_id == StatementId::Text {
        row.push(Value::from(hex::encode(Md5::digest(said.join("\n").as_bytes()))));
    }
    row
}

/// The language of each delivery's name: TAO gives an execution its name in the same.
async fn label_languages(
    change: &mut Change,
    attempts: &BTreeMap<&str, &Attempt>,
) -> Result<HashMap<String, String>, TaoError> {
    let deliveries: BTreeSet<&String> = attempts.values().map(|attempt| &attempt.delivery).collect();
    let statement = Statement::new("SELECT subject, l_language FROM statements WHERE ")
        .among("subject", deliveries)
        .push(" AND ")
        .equals("predicate", RDFS_LABEL)
        .push(" ORDER BY id");
    let rows = change.rows(&statement).await?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.optional_text(1)?.unwrap_or_default().to_owned()))).collect()
}

async fn in_table(change: &mut Change, attempts: &BTreeMap<&str, &Attempt>) -> Result<(), TaoError> {
    let moment = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Moment);
    let row = |(id, attempt): (&&str, &&Attempt)| {
        let [start, end] = &attempt.moments;
        // Nothing is finished that never began: where only the end is known, it stands for both.
        let start = start.as_ref().or(end.as_ref()).cloned();
        let texts = [id, attempt.delivery.as_str(), &attempt.test_taker, &attempt.label, &attempt.state];
        texts.map(Value::from).into_iter().chain([moment(&start), moment(end)]).collect()
    };
    let rows: Vec<Vec<Value>> = attempts.iter().map(row).collect();
    for batch in batches(&rows) {
        let statement = Statement::new(
            "INSERT INTO delivery_executions (id, delivery_id, user_id, label, status, started_at, finished_at) VALUES ",
        )
        .tuples(batch)
        .either(
            " ON CONFLICT (id) DO UPDATE SET label = excluded.label, status = excluded.status,
                 started_at = excluded.started_at, finished_at = excluded.finished_at",
            " ON DUPLICATE KEY UPDATE label = VALUES(label), status = VALUES(status),
                 started_at = VALUES(started_at), finished_at = VALUES(finished_at)",
        );
        change.execute(&statement).await?;
    }
    Ok(())
}

/// The execution itself, and the two lists by which TAO finds it: of a taker and a state, of a taker and a delivery.
async fn in_key_values(change: &mut Change, attempts: &BTreeMap<&str, &Attempt>) -> Result<(), TaoError> {
    let lists_of = |attempt: &Attempt| {
        let Attempt { test_taker, state, delivery, .. } = attempt;
        [format!("kve_ue_{test_taker}{state}"), format!("kve_ud_{test_taker}{delivery}")]
    };
    let names: Vec<String> = attempts.values().flat_map(|attempt| lists_of(attempt)).collect();
    let mut pairs = key_value::read(change, &names).await?;
    for (id, attempt) in attempts {
        for name in lists_of(attempt) {
            let list = pairs.entry(name).or_insert_with(|| "[]".to_owned());
            let mut ids: Vec<String> = serde_json::from_str(list).unwrap_or_default();
            if !ids.iter().any(|known| known == id) {
                ids.push((*id).to_owned());
                *list = super::php_json::text(&serde_json::Value::from(ids));
            }
        }
        pairs.insert((*id).to_owned(), super::php_json::text(&properties(attempt)));
    }
    key_value::write(change, &pairs).await
}

fn properties(attempt: &Attempt) -> serde_json::Value {
    let mut properties = serde_json::Map::new();
    let said = [
        (RDFS_LABEL, Some(&attempt.label)),
        (EXECUTION_DELIVERY, Some(&attempt.delivery)),
        (EXECUTION_SUBJECT, Some(&attempt.test_taker)),
        (EXECUTION_START, attempt.start.as_ref()),
        (EXECUTION_END, attempt.end.as_ref()),
        (EXECUTION_STATUS, Some(&attempt.state)),
    ];
    for (predicate, value) in said {
        properties.extend(value.map(|text| (predicate.to_owned(), serde_json::Value::from(text.clone()))));
    }
    serde_json::Value::Object(properties)
}
