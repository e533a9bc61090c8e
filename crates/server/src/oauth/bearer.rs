//! Who makes a request: the bearer of a token, checked in the database each time, so that revocation bites at once.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use secrecy::SecretString;
use taosync_model::OrgId;
use taosync_store::tokens::TokenFacts;
use taosync_vault::tokens::TokenHash;
use uuid::Uuid;

use crate::problem::ApiError;
use crate::state::Central;

/// Most bytes of an `Authorization` header; ours has 50.
const MAX_HEADER: usize = 512;

/// An authenticated local server. Its org comes from the token and from nowhere else.
pub(crate) struct Caller {
    pub org: OrgId,
    pub node: Uuid,
    /// The consumer's key, for records.
    pub consumer: String,
}

impl FromRequestParts<Arc<Central>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, central: &Arc<Central>) -> Result<Self, ApiError> {
        let hash = TokenHash::of(&bearer(&parts.headers)?);
        let now = central.store.clock().now();
        let Some(facts) = central.store.token_check(&hash, now).await? else {
            return Err(refused(central, &hash).await?);
        };
        let TokenFacts { org, node, client_key, .. } = facts;
        let node = node.ok_or_else(|| {
            let detail = "this token is bound to no machine";
            ApiError::new(StatusCode::FORBIDDEN, "token_without_node", detail, "ask for a token at api/v1/oauth/token")
        })?;
        let span = tracing::Span::current();
        span.record("consumer", client_key.as_str());
        span.record("org", org.as_str());
        span.record("node", tracing::field::display(node));
        Ok(Self { org, node, consumer: client_key })
    }
}

/// Whether an unknown token is one that has expired: the caller then asks for a new one without alarm.
async fn refused(central: &Central, hash: &[u8; 32]) -> Result<ApiError, ApiError> {
    Ok(match central.store.token_check(hash, Timestamp::MIN).await? {
        Some(_) => ApiError::unauthorized("token_expired", "the token has expired", "ask for a new one"),
        None => ApiError::unauthorized(
            "token_invalid",
            "the token is unknown or revoked",
            "ask for a new one; if that is refused too, the consumer was revoked at central",
        ),
    })
}

/// The token of a request (RFC 6750 §2.1): one header, bounded.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<SecretString, ApiError> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let refused = |detail| ApiError::unauthorized("token_invalid", detail, "send 'Authorization: Bearer …' once");
    let line = match (lines.next(), lines.next()) {
        (Some(line), None) if line.len() <= MAX_HEADER => line.to_str().ok(),
        (None, _) => return Err(refused("the request carries no token")),
        _ => None,
    };
    let token = line.and_then(|line| line.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map(|(_, token)| token.trim()).filter(|token| !token.is_empty());
    token.map(SecretString::from).ok_or_else(|| refused("the header of the token is malformed"))
}
