//! Why handing in stopped.

use taosync_store::StoreError;
use taosync_wire::Problem;
use taosync_wire::frame::FrameError;

use super::UpOutcome;
use crate::link::LinkError;

/// What stopped a hand-in. What central had confirmed until then is kept as confirmed.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The way to central.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Our own database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Central's answer broke off or cannot be read.
    #[error("central's answer about the results cannot be read to its end; what it confirmed is kept, sync again")]
    Answer(#[source] FrameError),
    /// Central stopped in the middle.
    #[error("central could not take all results: {0}; what it confirmed is kept, the rest waits")]
    Central(Problem),
    /// An item could not be packed.
    #[error("the results could not be packed for sending")]
    Pack(#[source] std::io::Error),
}

impl UpError {
    /// Whether trying again later can help without anybody doing something else.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Link(error) => error.is_temporary(),
            Self::Store(error) => error.is_temporary(),
            Self::Answer(_) => true,
            Self::Central(problem) => matches!(problem.status, 408 | 425 | 429 | 500..=599),
            Self::Pack(_) => false,
        }
    }
}

/// A hand-in that stopped, with what it had done.
#[derive(Debug, thiserror::Error)]
#[error("the results could not all be handed in: {} confirmed, {} waiting", outcome.sent, outcome.pending)]
pub struct PushFailed {
    /// What was done before.
    pub outcome: Box<UpOutcome>,
    /// What stopped it.
    #[source]
    pub cause: UpError,
}
