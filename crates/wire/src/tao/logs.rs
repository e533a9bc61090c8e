//! Log rows of executions (WIRE §10.1).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{PhpMap, SyncParams};

/// A request with log rows, by id of the execution on the box. `Debug` of it and of a row shows no details.
#[derive(Clone, Serialize, Deserialize)]
pub struct LogsRequest {
    /// Each row is read for itself.
    pub delivery_logs: PhpMap<PhpMap<Value>>,
    /// About the box.
    #[serde(default)]
    pub sync_params: SyncParams,
}

/// A log row.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRow {
    /// Number of the row on the box; a number or a text.
    pub id: Value,
    /// Id of the execution on the box.
    pub delivery_execution_id: String,
    /// What happened.
    pub event_id: String,
    /// Details.
    pub data: Value,
    /// Seconds since 1970, with a fraction.
    pub created_at: Value,
    /// Who.
    pub created_by: Value,
    /// `is_synced`, `log_is_after_session_sync` and whatever else comes.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl fmt::Debug for LogsRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogsRequest").field("executions", &self.delivery_logs.0.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for LogRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogRow")
            .field("execution", &self.delivery_execution_id)
            .field("event", &self.event_id)
            .finish_non_exhaustive()
    }
}

/// What central says about the rows of one execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogAck {
    /// 1 when they could be looked at.
    pub success: u8,
    /// Numbers of the rows that are held; the others are sent again.
    #[serde(rename = "logsSynced", default, skip_serializing_if = "Option::is_none")]
    pub logs_synced: Option<Vec<Value>>,
}
