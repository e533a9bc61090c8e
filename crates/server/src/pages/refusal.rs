//! What a person is told who may not, or whose request cannot be read.

use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use maud::html;
use taosync_store::StoreError;
use taosync_sync::accounts::SignInError;

use super::desk::Trouble;
use super::layout;
use super::sign_in;
use crate::problem::ApiError;

/// Why a page is not shown or an act not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nobody is signed in; the form to do so is shown, with a sentence above it.
    SignIn(Option<&'static str>),
    /// Tries are slowed down, for so many seconds.
    SlowDown(u64),
    /// Whoever is signed in may not.
    Role,
    /// The request did not come from a page of this session.
    Foreign,
    /// The form cannot be read.
    Form,
    /// The program could not.
    Trouble(Trouble),
    /// Something of the server itself.
    Api(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Api(error.into())
    }
}

impl From<SignInError> for Refusal {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::SignIn(Some("Login or password is wrong.")),
            SignInError::Busy => Self::SlowDown(5),
            SignInError::Store(error) => error.into(),
        }
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn(words) => {
                let mut response = (StatusCode::UNAUTHORIZED, sign_in::page(words)).into_response();
                // A 401 must name a way in (RFC 9110 §15.5.2); ours is the form, and no browser asks by itself for it.
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("taosync-form"));
                response
            }
            Self::SlowDown(seconds) => {
                let words = format!("Too many tries. Wait {seconds} seconds, then try again.");
                let mut response = said(StatusCode::TOO_MANY_REQUESTS, "Please wait", &words, "");
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
            Self::Role => {
                said(StatusCode::FORBIDDEN, "Not for this account", "Your account may not see or do this.", "")
            }
            Self::Foreign => {
                let advice = "Go back to the overview, reload it, and try again there.";
                said(StatusCode::FORBIDDEN, "Not done", "The request did not come from a page of this session.", advice)
            }
            Self::Form => said(StatusCode::BAD_REQUEST, "Not understood", "The form cannot be read.", ""),
            Self::Trouble(Trouble { code, message, advice }) => {
                said(StatusCode::CONFLICT, "Not done", &format!("[{code}] {message}."), &advice)
            }
            Self::Api(error) => error.into_response(),
        }
    }
}

fn said(status: StatusCode, title: &str, words: &str, advice: &str) -> Response {
    let content = html! {
        p.notice.bad role="alert" { (words) }
        @if !advice.is_empty() { p { "What to do: " (advice) } }
        p { a href="/overview" { "To the overview" } }
    };
    (status, layout::bare(title, &content)).into_response()
}
