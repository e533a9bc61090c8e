//! Test sessions, LTI users and confirmations (WIRE §6.7, §6.8, §10.2, §10.3).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{PhpMap, SyncParams};

/// A request with test sessions: ids of executions on the box.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionsRequest {
    /// The ids.
    pub test_sessions: PhpMap<Value>,
    /// About the box.
    #[serde(default)]
    pub sync_params: SyncParams,
}

/// A request with LTI users. Their form is not public; what comes is kept as it is, and `Debug` shows how many there are.
#[derive(Clone, Serialize, Deserialize)]
pub struct LtiUsersRequest {
    /// The users.
    pub lti_users: PhpMap<Value>,
    /// About the box.
    #[serde(default)]
    pub sync_params: SyncParams,
}

impl fmt::Debug for LtiUsersRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LtiUsersRequest").field("users", &self.lti_users.0.len()).finish_non_exhaustive()
    }
}

/// What central says about a session or an LTI user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// 1 when it is held, else 0.
    pub success: u8,
}

/// The word that a sync went well or failed. `Debug` shows no report of a machine, and no reason.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Confirmation {
    /// About the box; a report of its machine in `client_state`.
    #[serde(default)]
    pub params: SyncParams,
    /// Why it failed: a text, or a list of reports.
    #[serde(rename = "failure-reason", default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<Value>,
}

impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmation").field("params", &self.params).finish_non_exhaustive()
    }
}

impl Confirmation {
    /// The reason in words.
    pub fn reason(&self) -> Option<String> {
        match self.failure_reason.as_ref()? {
            Value::String(text) => Some(text.clone()),
            Value::Array(reports) => {
                let texts: Vec<&str> = reports.iter().filter_map(|report| report.get("message")?.as_str()).collect();
                Some(texts.join("; "))
            }
            _ => None,
        }
        .filter(|text| !text.is_empty())
    }
}

/// The answer to a confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Always the same words.
    pub message: String,
}

/// Those words.
pub const CONFIRMED: &str = "Confirmation received.";

/// The versions of TAO that may sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupportedVersions {
    /// Always true.
    pub success: bool,
    /// The versions, as text.
    pub data: Vec<String>,
}
