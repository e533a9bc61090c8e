//! What goes wrong, answered in TAO's form (WIRE §6.2): status, body, and the media type TAO gives each.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;
use taosync_store::StoreError;
use taosync_wire::tao::Failure;
use taosync_wire::tao::failure::{ACCESS_DENIED, UNAUTHORIZED, UNEXPECTED};

/// Media type of answers.
const JSON: &str = "application/json; charset=UTF-8";

/// A request that is not answered as asked.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    code: Value,
    words: String,
    form: Form,
}

/// How it is dressed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As most failures.
    Plain,
    /// As an answer: TAO means the client to read it.
    Answer,
    /// With a challenge for login and password.
    Challenge,
    /// With the seconds to wait.
    Wait(u64),
}

impl Fault {
    fn plain(status: StatusCode, words: impl Into<String>) -> Self {
        Self { status, code: Value::from(0), words: words.into(), form: Form::Plain }
    }

    /// Anything TAO has no words for: wrong methods, malformed bodies, missing arguments.
    pub fn unexpected() -> Self {
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, UNEXPECTED)
    }

    /// A failure with a status of its own and the general words.
    pub fn of_status(status: StatusCode) -> Self {
        Self::plain(status, UNEXPECTED)
    }

    /// 500 with words for the user.
    pub fn explained(words: impl Into<String>) -> Self {
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, words)
    }

    /// A status with words for the user.
    pub fn with_words(status: StatusCode, words: &str) -> Self {
        Self::plain(status, words)
    }

    /// What the request names is not there, or not for whoever asks.
    pub fn not_found() -> Self {
        Self::of_status(StatusCode::NOT_FOUND)
    }

    /// Without a valid token.
    pub fn unauthorized() -> Self {
        let code = Value::from("401");
        Self { status: StatusCode::UNAUTHORIZED, code, words: UNAUTHORIZED.to_owned(), form: Form::Challenge }
    }

    /// Too many wrong tries. TAO knows no such thing; its clients take any such status for a failure.
    pub fn slow_down(seconds: u64) -> Self {
        let words = format!("Too many wrong tries; try again in {seconds} seconds");
        let form = Form::Wait(seconds);
        Self { status: StatusCode::TOO_MANY_REQUESTS, code: Value::from(0), words, form }
    }

    /// A path nobody serves.
    pub fn denied() -> Self {
        let status = StatusCode::FORBIDDEN;
        Self { status, code: Value::from(403), words: ACCESS_DENIED.to_owned(), form: Form::Answer }
    }

    /// What TAO answers with a status of its own choice and a code that says what it means.
    pub fn answered(status: StatusCode, code: impl Into<Value>, words: &str) -> Self {
        Self { status, code: code.into(), words: words.to_owned(), form: Form::Answer }
    }

    /// The answer; `version` is the one of TAO that answers.
    pub fn into_answer(self, version: &str) -> Response {
        let mut response = body(self.status, &Failure::new(self.code, self.words, version));
        let headers = response.headers_mut();
        match self.form {
            Form::Answer => {}
            Form::Plain => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            Form::Challenge => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"taosync\""));
            }
            Form::Wait(seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
        }
        response
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let temporary = error.is_temporary();
        tracing::error!(%error, "a request of a TAO client failed");
        if temporary { Self::of_status(StatusCode::SERVICE_UNAVAILABLE) } else { Self::unexpected() }
    }
}

/// An answer.
pub(super) fn answer(document: &impl Serialize) -> Response {
    body(StatusCode::OK, document)
}

fn body(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(json) => {
            let mut response = (status, Body::from(json)).into_response();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
            response
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
