//! Errors of the token endpoint, in the form of RFC 6749 §5.2.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use taosync_store::StoreError;
use taosync_wire::v1::token::TokenError;

use super::proof::ProofRefused;
use crate::problem::ApiError;

/// Why no token is given.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The request is malformed.
    Request(StatusCode, &'static str),
    /// The consumer is unknown, or its secret wrong.
    Client,
    /// Too many wrong tries; seconds to wait.
    SlowDown(u64),
    /// Another grant than client credentials.
    GrantType,
    /// The consumer may not act for the org.
    Scope(String),
    /// No proof of the node key, or not a right one.
    Proof(String),
    /// Central cannot tell when the proof was made (RFC 9449 §8).
    UseNonce,
    /// The node is known with another key, or shut out.
    Node(&'static str, String),
    /// The server cannot answer.
    Server(ApiError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Server(error.into())
    }
}

impl From<ProofRefused> for Refusal {
    fn from(refused: ProofRefused) -> Self {
        match refused {
            ProofRefused::Missing => {
                Self::Proof("the request needs one DPoP header with a proof of the node key".to_owned())
            }
            ProofRefused::Bad(why) => Self::Proof(why),
            ProofRefused::UseNonce => Self::UseNonce,
            ProofRefused::Replayed => Self::Proof("a request with this proof was taken before; sign anew".to_owned()),
            ProofRefused::Store(error) => error.into(),
        }
    }
}

impl Refusal {
    fn parts(&self) -> (StatusCode, &str, &str) {
        match self {
            Self::Request(status, why) => (*status, "invalid_request", why),
            Self::Client => (StatusCode::UNAUTHORIZED, "invalid_client", "unknown consumer or wrong secret"),
            Self::SlowDown(_) => (StatusCode::TOO_MANY_REQUESTS, "slow_down", "too many wrong tries; wait"),
            Self::GrantType => {
                (StatusCode::BAD_REQUEST, "unsupported_grant_type", "only client_credentials is supported")
            }
            Self::Scope(why) => (StatusCode::BAD_REQUEST, "invalid_scope", why),
            Self::Proof(why) => (StatusCode::BAD_REQUEST, "invalid_dpop_proof", why),
            Self::UseNonce => (
                StatusCode::BAD_REQUEST,
                "use_dpop_nonce",
                "the clocks differ: sign again with the nonce in the header DPoP-Nonce of this answer",
            ),
            Self::Node(code, why) => (StatusCode::FORBIDDEN, code, why),
            Self::Server(error) => {
                let status = StatusCode::from_u16(error.problem().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let code =
                    if status == StatusCode::SERVICE_UNAVAILABLE { "temporarily_unavailable" } else { "server_error" };
                (status, code, &error.problem().detail)
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, why) = self.parts();
        let error = TokenError { error: code.to_owned(), error_description: why.to_owned() };
        // Unwrap safety: two strings, nothing that serde_json refuses.
        let mut response = Response::new(Body::from(serde_json::to_vec(&error).unwrap_or_default()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Self::Client => {
                headers
                    .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"taosync\", charset=\"UTF-8\""));
            }
            Self::SlowDown(seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            _ => {}
        }
        response
    }
}
