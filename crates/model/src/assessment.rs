//! Results in the model of QTI Results Reporting 2.x: one `assessmentResult` with test and item results.
//!
//! `T` is the type of texts. Whoever only wants to know whether a payload can be read takes one that keeps nothing.
//!
//! These are somebody's answers, with a comment and an identifier of theirs: `Debug` of what holds any shows none.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What one attempt left behind: the payload of an attempt item (DESIGN §5), as JSON compressed with zstd (form 1).
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt<T = String> {
    /// Test and item results.
    pub result: AssessmentResult<T>,
    /// The log written during the attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogEntry<T>>,
    /// Facts of the test session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<TestSession>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// `assessmentResult`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AssessmentResult<T = String> {
    /// Whose result it is.
    pub context: Context<T>,
    /// Results of the test as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<TestResult<T>>,
    /// Results of items, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemResult<T>>,
}

impl<T> AssessmentResult<T> {
    /// Number of variables in test and item results.
    pub fn variable_count(&self) -> usize {
        self.test.as_ref().map_or(0, |t| t.variables.len())
            + self.items.iter().map(|i| i.variables.len()).sum::<usize>()
    }
}

/// `context`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context<T = String> {
    /// `sourcedId`: the test taker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sourced_id: Option<T>,
    /// `sessionIdentifier` elements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionIdentifier<T>>,
}

/// `sessionIdentifier`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionIdentifier<T = String> {
    /// `sourceID`: who gave the identifier.
    pub source_id: T,
    /// `identifier`.
    pub identifier: T,
}

/// `testResult`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestResult<T = String> {
    /// `identifier`: of the test.
    pub identifier: T,
    /// `datestamp`, as written.
    pub datestamp: T,
    /// Variables in the order of the file.
    #[serde(default)]
    pub variables: Vec<Variable<T>>,
}

/// `itemResult`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemResult<T = String> {
    /// `identifier`: of the item.
    pub identifier: T,
    /// `sequenceIndex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence_index: Option<u32>,
    /// `datestamp`, as written.
    pub datestamp: T,
    /// `sessionStatus`, such as `final`.
    pub session_status: T,
    /// `candidateComment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_comment: Option<T>,
    /// Variables in the order of the file.
    #[serde(default)]
    pub variables: Vec<Variable<T>>,
}

/// One variable.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Variable<T = String> {
    /// Which of the kinds.
    pub kind: VariableKind,
    /// `identifier`.
    pub identifier: T,
    /// `cardinality`: single, multiple, ordered, record.
    pub cardinality: T,
    /// `baseType`; absent for records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_type: Option<T>,
    /// The candidate's response, or the value of the variable; `None` when the element is absent (NULL in QTI).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<VariableValue<T>>>,
    /// `correctResponse` of a response variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<Vec<VariableValue<T>>>,
    /// Further attributes as written (`normalMaximum`, `view`, `choiceSequence`, `interpretation` …), in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(T, T)>,
    /// When the value was set, where known (TAO keeps one per variable).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// Kind of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VariableKind {
    /// `responseVariable`.
    Response,
    /// `outcomeVariable`.
    Outcome,
    /// `templateVariable`.
    Template,
    /// What TAO records beside QTI's kinds.
    Trace,
}

/// One value of a variable.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableValue<T = String> {
    /// The text of the value.
    pub text: T,
    /// `fieldIdentifier`, in records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<T>,
    /// `baseType` of a field, in records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_type: Option<T>,
}

/// One line of an execution's log (proctoring events, state changes).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry<T = String> {
    /// When.
    pub at: Timestamp,
    /// Name of the event, such as `PAUSED`.
    pub event: T,
    /// Who caused it, when somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<T>,
    /// Details.
    #[serde(default)]
    pub data: serde_json::Value,
}

/// Facts of a test session.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct TestSession {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Version of the delivery's package that was run.
    pub package_version: u32,
    /// Position the runner saved last; free form.
    #[serde(default)]
    pub position: serde_json::Value,
}

impl<T: fmt::Debug> fmt::Debug for Attempt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Attempt");
        shown.field("result", &self.result).field("log", &self.log).field("session", &self.session);
        shown.finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Context<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SessionIdentifier<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionIdentifier").finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for ItemResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ItemResult");
        shown.field("identifier", &self.identifier).field("session_status", &self.session_status);
        shown.field("variables", &self.variables).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for Variable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Variable");
        shown.field("kind", &self.kind).field("identifier", &self.identifier);
        shown.field("values", &self.values.as_ref().map(Vec::len)).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for VariableValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VariableValue").finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for LogEntry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogEntry").field("at", &self.at).field("event", &self.event).finish_non_exhaustive()
    }
}

impl fmt::Debug for TestSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TestSession");
        shown.field("started_at", &self.started_at).field("finished_at", &self.finished_at);
        shown.field("package_version", &self.package_version).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_answer_and_nobody() {
        let text = r#"{"result":{"context":{"sourced_id":"planted","sessions":[{"source_id":"planted",
            "identifier":"planted"}]},"items":[{"identifier":"item-7","datestamp":"2026-05-12","session_status":"final",
            "candidate_comment":"planted","variables":[{"kind":"response","identifier":"RESPONSE","cardinality":"single",
            "values":[{"text":"planted","field":"planted"}],"correct":[{"text":"planted"}],
            "attributes":[["view","planted"]]}]}]},"log":[{"at":"2026-05-12T08:00:00Z","event":"PAUSED","by":"planted",
            "data":{"why":"planted"}}],"session":{"started_at":"2026-05-12T08:00:00Z","finished_at":null,
            "package_version":3,"position":"planted"},"later":"planted"}"#;
        let attempt: Attempt = serde_json::from_str(text).expect("an attempt");
        let values = attempt.result.items[0].variables[0].values.clone();
        let shown = format!("{attempt:?} {attempt:#?} {values:?} {:?}", attempt.result.context.sessions);
        assert!(!shown.contains("planted"), "{shown}");
        for kept in ["item-7", "RESPONSE", "PAUSED", "package_version: 3"] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }
}
