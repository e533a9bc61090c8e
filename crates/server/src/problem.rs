//! Errors as problem+json (RFC 9457) with stable codes, listed in docs/ERRORS.md. What an operator must know goes to
//! the log; an answer never shows SQL, paths of this machine or stored values.

use std::any::Any;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use taosync_store::StoreError;
use taosync_wire::Problem;
use taosync_wire::problem::MEDIA_TYPE;

/// Seconds after which a busy server is worth another try.
const TRY_AGAIN_AFTER: u64 = 2;

/// An error answer: a problem and the headers that belong to it.
#[derive(Debug)]
pub struct ApiError(Box<Answer>);

#[derive(Debug)]
struct Answer {
    problem: Problem,
    headers: HeaderMap,
}

impl ApiError {
    /// An answer with status, stable code, what happened, and what to do.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::from(Problem::new(status.as_u16(), code, detail, advice))
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// The same answer with the seconds to wait.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// 401 for a request whose bearer was not accepted (RFC 6750 §3.1).
    pub fn unauthorized(code: &str, detail: &str, advice: &str) -> Self {
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        Self::new(StatusCode::UNAUTHORIZED, code, detail, advice).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// 400 for a request that does not have the form it must have.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            detail,
            "see docs/PROTOCOL.md, or docs/RUNNER.md for test runners",
        )
    }

    /// 404 for something that does not exist, or not for whoever asks.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail, "")
    }

    /// 500 after something unforeseen; `log` is for the operator only.
    pub fn internal(log: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %log, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something unforeseen went wrong here",
            "try again; if it happens again, look for this request in the log of the server",
        )
    }

    /// The problem.
    pub fn problem(&self) -> &Problem {
        &self.0.problem
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Answer { problem, headers: HeaderMap::new() }))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what, advice } => {
                Self::new(StatusCode::NOT_FOUND, "not_found", format!("{what} does not exist"), advice)
            }
            StoreError::Refused(reason) => Self::new(StatusCode::CONFLICT, "refused", reason, ""),
            StoreError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "the database is busy; nothing was changed",
                "try again in a moment",
            )
            .retry_after(TRY_AGAIN_AFTER),
            StoreError::DiskFull => {
                tracing::error!("the disk is full");
                Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "disk_full",
                    "the disk of the server is full; nothing was changed",
                    "the operator of the server has to make room; then try again",
                )
            }
            StoreError::Damaged { .. } => {
                tracing::error!(%error, "something stored is damaged");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "damaged",
                    "something stored on the server is damaged",
                    "the operator of the server has to run 'taosync verify'",
                )
            }
            other => Self::internal(&chain(&other)),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Answer { problem, headers } = *self.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Unwrap safety: a problem is a number and strings, nothing that serde_json refuses.
        let json = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

/// The answer for paths nobody serves.
pub(crate) async fn unknown_path() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing at this address",
        "check the address, and that it is the server you mean",
    )
}

/// The answer for a known path and an unknown method; axum adds `Allow`.
pub(crate) async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address takes other methods", "")
}

/// The answer after a panic. The message goes to the log only: it may quote what was being read.
pub(crate) fn after_panic(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    ApiError::internal(&words).into_response()
}

/// An error with its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
