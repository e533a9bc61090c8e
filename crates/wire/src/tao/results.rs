//! Results of executions (WIRE §9).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{PhpMap, SyncParams};

/// A request with results, by id of the execution on the box. The inner id may be another; the outer one counts.
/// `Debug` of it and of its parts shows names and counts: the rest is answers.
#[derive(Clone, Serialize, Deserialize)]
pub struct ResultsRequest {
    /// Each is read for itself ([`TaoResult::read`]): one that cannot be read does not hold up the others.
    pub results: PhpMap<Value>,
    /// About the box.
    #[serde(default)]
    pub sync_params: SyncParams,
}

/// One execution with its variables.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct TaoResult {
    /// URI of the delivery.
    #[serde(rename = "deliveryId")]
    pub delivery_id: String,
    /// Id of the execution on the box.
    #[serde(rename = "deliveryExecutionId")]
    pub delivery_execution_id: String,
    /// Who, when, how it ended.
    pub details: Details,
    /// The variables.
    pub variables: Vec<TaoVariable>,
}

/// What is said of an execution. All names must be there; most values may be null.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Id of the execution on the box.
    pub identifier: Option<String>,
    /// Its name.
    pub label: Option<String>,
    /// URI of the test taker.
    #[serde(rename = "test-taker")]
    pub test_taker: Option<String>,
    /// When it began ([`super::time_of`]).
    pub starttime: Option<String>,
    /// When it ended.
    pub finishtime: Option<String>,
    /// URI of its state.
    pub state: Option<String>,
}

/// A variable of the test or of an item.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct TaoVariable {
    /// PHP class of the variable.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of a variable of the test: the execution.
    #[serde(rename = "callIdTest", default)]
    pub call_id_test: Option<String>,
    /// Of a variable of an item: execution, item and number of the try, with points between.
    #[serde(rename = "callIdItem", default)]
    pub call_id_item: Option<String>,
    /// The test.
    #[serde(default)]
    pub test: Option<String>,
    /// The item.
    #[serde(default)]
    pub item: Option<String>,
    /// Identifier, cardinality, type, value and whatever else TAO keeps.
    pub data: Map<String, Value>,
}

impl fmt::Debug for ResultsRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultsRequest").field("results", &self.results.0.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for TaoResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaoResult")
            .field("delivery", &self.delivery_id)
            .field("execution", &self.delivery_execution_id)
            .field("variables", &self.variables.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Details").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

impl fmt::Debug for TaoVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<&String> = self.data.keys().collect();
        f.debug_struct("TaoVariable").field("kind", &self.kind).field("fields", &fields).finish_non_exhaustive()
    }
}

/// PHP class of response variables.
pub const RESPONSE: &str = "taoResultServer_models_classes_ResponseVariable";
/// PHP class of outcome variables; an unknown class counts as this one.
pub const OUTCOME: &str = "taoResultServer_models_classes_OutcomeVariable";
/// PHP class of trace variables.
pub const TRACE: &str = "taoResultServer_models_classes_TraceVariable";
/// PHP class of template variables.
pub const TEMPLATE: &str = "taoResultServer_models_classes_TemplateVariable";

impl TaoResult {
    /// Reads one result; what is missing or of another type is named, no value is.
    pub fn read(value: &Value) -> Result<Self, &'static str> {
        let details = value.get("details").ok_or("it has no details")?;
        for name in ["identifier", "label", "test-taker", "starttime", "finishtime", "state"] {
            if details.get(name).is_none() {
                return Err("a field of its details is missing");
            }
        }
        if !value.get("variables").is_some_and(|list| list.is_array() || list.is_object()) {
            return Err("it has no variables");
        }
        serde_json::from_value(value.clone()).map_err(|_| "a field of it is missing or of another type")
    }
}

/// What central says about one execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultAck {
    /// 1 when it is held, else 0.
    pub success: u8,
    /// The delivery, when known.
    #[serde(rename = "deliveryId", default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn debug_shows_names_and_counts_but_no_answer() {
        let result = json!({
            "deliveryId": "urn:d", "deliveryExecutionId": "urn:e",
            "details": {
                "identifier": "urn:e", "label": "CANARY", "test-taker": "CANARY", "starttime": "CANARY",
                "finishtime": null, "state": "CANARY",
            },
            "variables": [{"type": RESPONSE, "test": "CANARY", "data": {"candidateResponse": "CANARY"}}],
        });
        let request = ResultsRequest {
            results: PhpMap(vec![("urn:e".to_owned(), result.clone())]),
            sync_params: SyncParams::default(),
        };
        let result = TaoResult::read(&result).unwrap();
        let shown = format!("{request:?} {result:?} {:?} {:?}", result.details, result.variables);
        assert!(!shown.contains("CANARY"), "{shown}");
        assert!(shown.contains("urn:e") && shown.contains("candidateResponse"), "{shown}");
    }
}
