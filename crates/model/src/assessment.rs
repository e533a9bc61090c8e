//! Results in the model of QTI Results Reporting 2.x: one `assessmentResult` with test and item results.
//!
//! `T` is the type of texts. Whoever only wants to know whether a payload can be read takes one that keeps nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What one attempt left behind: the payload of an attempt item (DESIGN §5), as JSON compressed with zstd (form 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context<T = String> {
    /// `sourcedId`: the test taker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sourced_id: Option<T>,
    /// `sessionIdentifier` elements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionIdentifier<T>>,
}

/// `sessionIdentifier`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
