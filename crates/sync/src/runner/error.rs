//! Why a test runner's request was not done, in words for the person in the room.

use jiff::Timestamp;
use taosync_store::StoreError;
use uuid::Uuid;

/// What went wrong. No message holds an answer, a login or a password.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The database, or the execution does not exist or is over.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No eligibility names both.
    #[error("no eligibility lets this test taker sit '{delivery}'; assign it at central, then synchronize data")]
    NotEligible {
        /// Delivery URI.
        delivery: String,
    },
    /// The delivery shuts the taker out.
    #[error("this test taker is excluded from '{delivery}'; change that at central, then synchronize data")]
    Excluded {
        /// Delivery URI.
        delivery: String,
    },
    /// The delivery has no test any more, or never had one.
    #[error("'{delivery}' is not published or was withdrawn; publish it at central, then synchronize data")]
    NotPublished {
        /// Delivery URI.
        delivery: String,
    },
    /// The test is not here yet.
    #[error("the test of '{delivery}' is not ready on this server; synchronize data and wait until it is ready")]
    NotReady {
        /// Delivery URI.
        delivery: String,
    },
    /// The test is here, its key is not.
    #[error(
        "the test of '{delivery}' is still locked; synchronize after its release time, or enter the unlock code from central"
    )]
    Locked {
        /// Delivery URI.
        delivery: String,
    },
    /// Before the period of the delivery.
    #[error("'{delivery}' cannot be started before {from}; check this server's clock if that is over")]
    TooEarly {
        /// Delivery URI.
        delivery: String,
        /// Start of the period.
        from: Timestamp,
    },
    /// After the period of the delivery.
    #[error("'{delivery}' could be started until {until} only; check this server's clock if that is not over")]
    TooLate {
        /// Delivery URI.
        delivery: String,
        /// End of the period.
        until: Timestamp,
    },
    /// All attempts are used.
    #[error(
        "this test taker has used all {allowed} attempts at '{delivery}'; reactivate the last one, or raise the number at central"
    )]
    NoMoreAttempts {
        /// Delivery URI.
        delivery: String,
        /// Attempts the delivery allows.
        allowed: u64,
    },
    /// The attempt has ended.
    #[error("execution {execution} is over and takes nothing more; reactivate it first, or start a new one")]
    Over {
        /// The execution.
        execution: Uuid,
    },
    /// The id of a save was used before.
    #[error("save {save} was stored with other contents, which are kept; give every save an id of its own")]
    SaveDiffers {
        /// Id of the save.
        save: Uuid,
    },
    /// Login and password do not fit.
    #[error("login and password do not fit; check both, then try again")]
    WrongLogin,
    /// Too many wrong passwords for this login.
    #[error("too many wrong passwords for this login: try again in {seconds} seconds")]
    SlowDown {
        /// To wait.
        seconds: i64,
    },
    /// More than can be taken.
    #[error("{what} has {size}, more than the {limit} that are allowed; {advice}")]
    TooMuch {
        /// What is too large.
        what: &'static str,
        /// How much there is.
        size: usize,
        /// How much there may be.
        limit: usize,
        /// What to do.
        advice: &'static str,
    },
    /// The results keys that central named cannot be sealed for.
    #[error("the result cannot be sealed for the results keys; synchronize with central, then try again")]
    Seal(#[source] taosync_vault::VaultError),
    /// The request makes no sense.
    #[error("{0}")]
    Request(String),
}

impl RunnerError {
    /// Stable code, for problem documents.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Store(StoreError::NotFound { .. }) => "not_found",
            Self::Store(StoreError::Refused(_)) => "conflict",
            Self::Store(_) => "store",
            Self::NotEligible { .. } => "not_eligible",
            Self::Excluded { .. } => "excluded",
            Self::NotPublished { .. } => "not_published",
            Self::NotReady { .. } => "not_ready",
            Self::Locked { .. } => "locked",
            Self::TooEarly { .. } => "too_early",
            Self::TooLate { .. } => "too_late",
            Self::NoMoreAttempts { .. } => "no_more_attempts",
            Self::Over { .. } => "execution_over",
            Self::SaveDiffers { .. } => "save_differs",
            Self::WrongLogin => "wrong_login",
            Self::SlowDown { .. } => "slow_down",
            Self::TooMuch { .. } => "too_much",
            Self::Seal(_) => "not_sealed",
            Self::Request(_) => "bad_request",
        }
    }
}
