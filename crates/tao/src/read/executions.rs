//! Delivery executions, wherever TAO keeps them (WIRE §1.2, §15).

use std::collections::BTreeMap;

use taosync_model::vocabulary::{RDF_TYPE, RDFS_LABEL};

use super::rows::Rows;
use crate::key_value;
use crate::schema::Executions;
use crate::vocabulary::{
    CLASS_EXECUTION, EXECUTION_DELIVERY, EXECUTION_END, EXECUTION_START, EXECUTION_STATUS, EXECUTION_SUBJECT,
};
use crate::{Row, Schema, Statement, TaoError};

/// Executions in a page.
pub const PAGE: usize = 1_000;

/// One test taker's attempt as TAO keeps it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Execution {
    /// Id: a URI, or `kve_de_…`, `rds_de_…` in the other storages.
    pub id: String,
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
    /// URI of its state.
    pub state: String,
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Execution").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

/// Executions in the order of their ids, and where to go on.
#[derive(Debug, Default)]
pub struct Page {
    /// The executions.
    pub executions: Vec<Execution>,
    /// The last id that was looked at; none at the end.
    pub last: Option<String>,
}

/// The executions after an id (`""` for the first page), at most [`PAGE`].
pub async fn page(from: &mut impl Rows, schema: &Schema, after: &str) -> Result<Page, TaoError> {
    let ids = match schema.executions {
        Executions::Ontology => ids(from, &of_class(after)).await?,
        Executions::Table => ids(from, &in_table(after)).await?,
        Executions::KeyValue => ids(from, &in_key_values(after)).await?,
    };
    let last = ids.last().cloned();
    Ok(Page { executions: named(from, schema, &ids).await?, last })
}

/// These executions, in the order of their ids; those that are not there are left out.
pub async fn named(from: &mut impl Rows, schema: &Schema, ids: &[String]) -> Result<Vec<Execution>, TaoError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    match schema.executions {
        Executions::Ontology => of_statements(&from.answer(&properties(ids)).await?),
        Executions::Table => from.answer(&table_rows(ids)).await?.iter().map(of_table).collect(),
        Executions::KeyValue => {
            let values = key_value::read(from, ids).await?;
            values.iter().map(|(id, value)| of_key_value(id, value)).collect()
        }
    }
}

async fn ids(from: &mut impl Rows, statement: &Statement) -> Result<Vec<String>, TaoError> {
    let rows = from.answer(statement).await?;
    let mut ids = rows.iter().map(|row| row.text(0).map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
    // A type can be said twice of one resource.
    ids.dedup();
    Ok(ids)
}

fn of_class(after: &str) -> Statement {
    Statement::new("SELECT subject FROM statements WHERE ")
        .equals("predicate", RDF_TYPE)
        .push(" AND ")
        .equals("object", CLASS_EXECUTION)
        .push(" AND subject > ")
        .bind(after)
        .push(" ORDER BY subject LIMIT ")
        .bind(PAGE as i64)
}

fn in_table(after: &str) -> Statement {
    let statement = Statement::new("SELECT id FROM delivery_executions WHERE id > ").bind(after);
    statement.push(" ORDER BY id LIMIT ").bind(PAGE as i64)
}

fn in_key_values(after: &str) -> Statement {
    Statement::new("SELECT kv_id FROM kv_store WHERE kv_id LIKE 'kve#_de#_%' ESCAPE '#' AND kv_id > ")
        .bind(after)
        .push(" ORDER BY kv_id LIMIT ")
        .bind(PAGE as i64)
}

fn properties(ids: &[String]) -> Statement {
    let predicates =
        [RDFS_LABEL, EXECUTION_DELIVERY, EXECUTION_SUBJECT, EXECUTION_START, EXECUTION_END, EXECUTION_STATUS];
    Statement::new("SELECT subject, predicate, object FROM statements WHERE ")
        .among("subject", ids)
        .push(" AND ")
        .among("predicate", predicates)
        .push(" ORDER BY subject, id")
}

/// Of several values of a property, the last one counts (WIRE §7.2).
fn of_statements(rows: &[Row]) -> Result<Vec<Execution>, TaoError> {
    let mut executions: BTreeMap<String, Execution> = BTreeMap::new();
    for row in rows {
        let id = row.text(0)?;
        let execution = executions.entry(id.to_owned()).or_default();
        id.clone_into(&mut execution.id);
        execution.say(row.text(1)?, row.optional_text(2)?.unwrap_or_default());
    }
    Ok(executions.into_values().filter(Execution::is_whole).collect())
}

impl Execution {
    fn say(&mut self, predicate: &str, value: &str) {
        let value = value.to_owned();
        match predicate {
            RDFS_LABEL => self.label = value,
            EXECUTION_DELIVERY => self.delivery = value,
            EXECUTION_SUBJECT => self.test_taker = value,
            EXECUTION_STATUS => self.state = value,
            EXECUTION_START => self.start = Some(value).filter(|text| !text.is_empty()),
            EXECUTION_END => self.end = Some(value).filter(|text| !text.is_empty()),
            _ => {}
        }
    }

    /// Whether it says whose attempt at what it is, and how that stands.
    fn is_whole(&self) -> bool {
        !self.delivery.is_empty() && !self.test_taker.is_empty() && !self.state.is_empty()
    }
}

fn table_rows(ids: &[String]) -> Statement {
    Statement::new("SELECT id, delivery_id, user_id, label, status, ")
        .either(
            "CAST(EXTRACT(EPOCH FROM started_at) AS BIGINT), CAST(EXTRACT(EPOCH FROM finished_at) AS BIGINT)",
            "TIMESTAMPDIFF(SECOND, '1970-01-01 00:00:00', started_at),
             TIMESTAMPDIFF(SECOND, '1970-01-01 00:00:00', finished_at)",
        )
        .push(" FROM delivery_executions WHERE ")
        .among("id", ids)
        .push(" ORDER BY id")
}

fn of_table(row: &Row) -> Result<Execution, TaoError> {
    let text = |column| row.text(column).map(str::to_owned);
    let seconds = |column| Ok::<_, TaoError>(row.optional_integer(column)?.map(|seconds| seconds.to_string()));
    Ok(Execution {
        id: text(0)?,
        delivery: text(1)?,
        test_taker: text(2)?,
        label: text(3)?,
        state: text(4)?,
        start: seconds(5)?,
        end: seconds(6)?,
    })
}

fn of_key_value(id: &str, value: &str) -> Result<Execution, TaoError> {
    let damaged = || TaoError::Damaged { what: "an execution in kv_store is not JSON".to_owned() };
    let properties: serde_json::Map<String, serde_json::Value> = serde_json::from_str(value).map_err(|_| damaged())?;
    let mut execution = Execution { id: id.to_owned(), ..Execution::default() };
    for (predicate, value) in &properties {
        if let Some(text) = value.as_str() {
            execution.say(predicate, text);
        }
    }
    if execution.is_whole() { Ok(execution) } else { Err(damaged()) }
}
