//! One test taker's attempt at a delivery.

use serde::{Deserialize, Serialize};

use crate::vocabulary;

/// State of an execution (WIRE §1.2, property values of `StatusOfDeliveryExecution`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionState {
    /// Running.
    Active,
    /// Stopped for a while.
    Paused,
    /// Waiting for a proctor.
    Awaiting,
    /// Let in by a proctor.
    Authorized,
    /// Done by the test taker.
    Finished,
    /// Ended by somebody else, with a reason.
    Terminated,
    /// Called off.
    Canceled,
}

impl ExecutionState {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Active,
        Self::Paused,
        Self::Awaiting,
        Self::Authorized,
        Self::Finished,
        Self::Terminated,
        Self::Canceled,
    ];

    /// The spelling in JSON, configuration and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Awaiting => "awaiting",
            Self::Authorized => "authorized",
            Self::Finished => "finished",
            Self::Terminated => "terminated",
            Self::Canceled => "canceled",
        }
    }

    /// Whether the attempt is over.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Terminated | Self::Canceled)
    }

    /// TAO's state URI.
    pub fn uri(self) -> String {
        let name = self.as_str();
        let (head, tail) = name.split_at(1);
        let root = vocabulary::CLASS_DELIVERY.trim_end_matches("AssembledDelivery");
        format!("{root}DeliveryExecutionStatus{}{tail}", head.to_uppercase())
    }
}

/// Text that names no state.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "'{0}' is not a state of an execution; use one of: active, paused, awaiting, authorized, finished, terminated, canceled"
)]
pub struct UnknownState(String);

impl std::str::FromStr for ExecutionState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let lower = text.to_lowercase();
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == lower || s.uri() == text)
            .ok_or_else(|| UnknownState(text.chars().take(64).collect()))
    }
}

impl std::fmt::Display for ExecutionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_read_back_from_spelling_and_uri() {
        for state in ExecutionState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(state.uri().parse(), Ok(state));
        }
        assert_eq!(
            ExecutionState::Finished.uri(),
            "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionStatusFinished"
        );
    }
}
