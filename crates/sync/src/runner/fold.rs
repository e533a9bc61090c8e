//! From saved parts to an attempt: a later value replaces an earlier one, everything in the order it first came.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use taosync_model::assessment::{
    AssessmentResult, Attempt, Context, ItemResult, LogEntry, SessionIdentifier, TestResult, TestSession, Variable,
    VariableKind,
};
use taosync_model::item::Counts;
use taosync_store::StoreError;
use taosync_store::executions::{Execution, Part, PartKind};

/// Who gave the identifiers in `sessionIdentifier`: the delivery's URI, the execution's id.
pub(crate) const SOURCE_DELIVERY: &str = "taosync:delivery";
const SOURCE_EXECUTION: &str = "taosync:execution";

/// Session status of an item whose runner says nothing else (QTI Results Reporting).
pub(crate) const STATUS_FINAL: &str = "final";

/// Variables of one item, or of the test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedVariables {
    /// The item; `None` for the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemRef>,
    /// The variables.
    pub variables: Vec<Variable>,
}

/// An item of the test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemRef {
    /// Identifier.
    pub identifier: String,
    /// Place in the attempt; tells an item that comes twice apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence_index: Option<u32>,
    /// `final`, `initial`, `pendingSubmission` …; the last one counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_status: Option<String>,
}

/// Folds the parts of an attempt that ends at `ended`.
pub(super) fn fold(execution: &Execution, parts: &[Part], ended: Timestamp) -> Result<Attempt, StoreError> {
    let mut results = Folding::default();
    let mut log: Vec<LogEntry> = Vec::new();
    let mut position = Value::Null;
    for part in parts {
        let damaged = |_| StoreError::Damaged { what: format!("part {} of execution {}", part.no, execution.id) };
        match part.kind {
            PartKind::Variables => {
                let saved: Vec<SavedVariables> = serde_json::from_slice(&part.body).map_err(damaged)?;
                for saved in saved {
                    results.add(saved, part.at);
                }
            }
            PartKind::Log => log.extend(serde_json::from_slice::<Vec<LogEntry>>(&part.body).map_err(damaged)?),
            PartKind::Position => position = serde_json::from_slice(&part.body).map_err(damaged)?,
        }
    }
    let session = TestSession {
        started_at: execution.started_at,
        finished_at: Some(ended),
        package_version: execution.package_version,
        position,
    };
    let result = results.into_result(execution, ended);
    Ok(Attempt { result, log, session: Some(session), other: serde_json::Map::new() })
}

/// What an attempt holds.
pub(crate) fn counts(attempt: &Attempt) -> Counts {
    Counts {
        items: attempt.result.items.len() as u32,
        variables: attempt.result.variable_count() as u32,
        log: attempt.log.len() as u32,
    }
}

#[derive(Default)]
struct Folding {
    items: Vec<ItemResult>,
    by_identifier: HashMap<String, Vec<usize>>,
    test: Vec<Variable>,
    /// Where a variable of an item (or, without one, of the test) stands.
    places: HashMap<(Option<usize>, u8, String), usize>,
}

impl Folding {
    fn add(&mut self, saved: SavedVariables, at: Timestamp) {
        let owner = saved.item.map(|item| self.item(item, at));
        for mut variable in saved.variables {
            variable.at = variable.at.or(Some(at));
            let list = match owner {
                Some(index) => &mut self.items[index].variables,
                None => &mut self.test,
            };
            let key = (owner, rank(variable.kind), variable.identifier.clone());
            if let Some(&place) = self.places.get(&key) {
                list[place] = variable;
            } else {
                self.places.insert(key, list.len());
                list.push(variable);
            }
        }
    }

    /// The place of an item: the same identifier, and the same place in the attempt where both say one.
    fn item(&mut self, item: ItemRef, at: Timestamp) -> usize {
        let known = self.by_identifier.entry(item.identifier.clone()).or_default();
        let is_same = |index: &&usize| {
            let held = self.items[**index].sequence_index;
            held.is_none() || item.sequence_index.is_none() || held == item.sequence_index
        };
        if let Some(&index) = known.iter().find(is_same) {
            let held = &mut self.items[index];
            held.sequence_index = held.sequence_index.or(item.sequence_index);
            held.datestamp = at.to_string();
            if let Some(status) = item.session_status {
                held.session_status = status;
            }
            return index;
        }
        let index = self.items.len();
        known.push(index);
        self.items.push(ItemResult {
            identifier: item.identifier,
            sequence_index: item.sequence_index,
            datestamp: at.to_string(),
            session_status: item.session_status.unwrap_or_else(|| STATUS_FINAL.to_owned()),
            candidate_comment: None,
            variables: Vec::new(),
        });
        index
    }

    fn into_result(self, execution: &Execution, ended: Timestamp) -> AssessmentResult {
        let session = |source: &str, identifier: String| SessionIdentifier { source_id: source.to_owned(), identifier };
        let test = (!self.test.is_empty()).then(|| TestResult {
            identifier: execution.delivery.clone(),
            datestamp: ended.to_string(),
            variables: self.test,
        });
        let context = Context {
            sourced_id: Some(execution.test_taker.clone()),
            sessions: vec![
                session(SOURCE_DELIVERY, execution.delivery.clone()),
                session(SOURCE_EXECUTION, execution.id.to_string()),
            ],
        };
        AssessmentResult { context, test, items: self.items }
    }
}

fn rank(kind: VariableKind) -> u8 {
    match kind {
        VariableKind::Response => 0,
        VariableKind::Outcome => 1,
        VariableKind::Template => 2,
        VariableKind::Trace => 3,
    }
}
