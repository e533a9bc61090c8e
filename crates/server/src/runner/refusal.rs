//! Why a runner's request was not done, as a problem.

use http::StatusCode;
use taosync_sync::runner::RunnerError;

use crate::problem::ApiError;

impl From<RunnerError> for ApiError {
    fn from(error: RunnerError) -> Self {
        let status = match error {
            RunnerError::Store(error) => return error.into(),
            RunnerError::NotEligible { .. } | RunnerError::Excluded { .. } => StatusCode::FORBIDDEN,
            RunnerError::WrongLogin => StatusCode::UNAUTHORIZED,
            RunnerError::SlowDown { .. } => StatusCode::TOO_MANY_REQUESTS,
            RunnerError::TooMuch { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            RunnerError::Request(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::CONFLICT,
        };
        // Messages of the runner say what to do themselves.
        let problem = Self::new(status, error.code(), error.to_string(), "");
        match error {
            RunnerError::SlowDown { seconds } => problem.retry_after(seconds.unsigned_abs()),
            _ => problem,
        }
    }
}
