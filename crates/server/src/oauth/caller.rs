//! Who makes a request: the holder of a token and of the key it is bound to (RFC 9449 §7). Both are checked in the database
//! each time, so that revocation bites at once.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use secrecy::SecretString;
use taosync_model::OrgId;
use taosync_store::tokens::TokenFacts;
use taosync_vault::proof::VerifiedProof;
use taosync_vault::tokens::{self, TokenHash};
use uuid::Uuid;

use super::authorization::{Scheme, authorization};
use super::proof::{self, ProofRefused, Signed};
use crate::listen::Peer;
use crate::problem::ApiError;
use crate::state::Central;

/// An authenticated local server that reads what may be read again. Its org comes from the token and from nowhere else.
pub(crate) struct Caller {
    pub org: OrgId,
    pub node: Uuid,
    /// The consumer's key, for records.
    pub consumer: String,
}

/// An authenticated local server that changes something, or asks for personal data or keys: its proof is taken once, so
/// that nobody who saw the request can make it again.
pub(crate) struct CallerOnce(pub Caller);

impl FromRequestParts<Arc<Central>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, central: &Arc<Central>) -> Result<Self, ApiError> {
        Ok(authenticate(parts, central).await?.0)
    }
}

impl FromRequestParts<Arc<Central>> for CallerOnce {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, central: &Arc<Central>) -> Result<Self, ApiError> {
        let (caller, proof) = authenticate(parts, central).await?;
        proof::take(central, &proof).await.map_err(problem)?;
        Ok(Self(caller))
    }
}

async fn authenticate(parts: &Parts, central: &Central) -> Result<(Caller, VerifiedProof), ApiError> {
    let token = token(&parts.headers)?;
    let hash = TokenHash::of(&token);
    let Some(facts) = central.store.token_check(&hash, central.store.clock().now()).await? else {
        return Err(refused(central, &hash).await?);
    };
    let peer = parts.extensions.get::<Peer>().copied().ok_or_else(|| ApiError::internal(&"a request from nobody"))?;
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let signed = Signed { peer, headers: &parts.headers, method, path, token: Some(&token) };
    let proof = proof::prove(central, &signed).map_err(problem)?;
    let TokenFacts { org, node, client_key, thumbprint, .. } = facts;
    let (Some(node), Some(thumbprint)) = (node, thumbprint) else {
        let detail = "this token is bound to no machine";
        let advice = "ask for a token at api/v1/oauth/token";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "token_without_node", detail, advice));
    };
    if !tokens::equal(thumbprint.as_bytes(), proof.thumbprint.as_bytes()) {
        return Err(problem(ProofRefused::Bad("the proof is of another key than the token is bound to".into())));
    }
    let span = tracing::Span::current();
    span.record("consumer", client_key.as_str());
    span.record("org", org.as_str());
    span.record("node", tracing::field::display(node));
    Ok((Caller { org, node, consumer: client_key }, proof))
}

/// Whether an unknown token is one that has expired: the caller then asks for a new one without alarm.
async fn refused(central: &Central, hash: &[u8; 32]) -> Result<ApiError, ApiError> {
    Ok(match central.store.token_check(hash, Timestamp::MIN).await? {
        Some(_) => invalid("token_expired", "the token has expired", "ask for a new one"),
        None => invalid(
            "token_invalid",
            "the token is unknown or revoked",
            "ask for a new one; if that is refused too, the consumer was revoked at central",
        ),
    })
}

/// The token of a request. A plain bearer is not enough here.
fn token(headers: &HeaderMap) -> Result<SecretString, ApiError> {
    match authorization(headers) {
        Ok((Scheme::Dpop, token)) => Ok(token),
        Ok((Scheme::Bearer, _)) => Err(problem(ProofRefused::Missing)),
        Err(detail) => Err(invalid("token_invalid", detail, "send 'Authorization: DPoP …' once")),
    }
}

fn invalid(code: &str, detail: &str, advice: &str) -> ApiError {
    let challenge = HeaderValue::from_static("DPoP error=\"invalid_token\", algs=\"EdDSA\"");
    ApiError::unauthorized(code, detail, advice).with_header(WWW_AUTHENTICATE, challenge)
}

/// 401 for a request whose proof is not taken (RFC 9449 §7.1, §9).
pub(super) fn problem(refused: ProofRefused) -> ApiError {
    let (code, challenge, detail, advice) = match refused {
        ProofRefused::Store(error) => return error.into(),
        ProofRefused::Missing => (
            "proof_missing",
            "DPoP algs=\"EdDSA\"",
            "the request is not signed".to_owned(),
            "send 'Authorization: DPoP …' with one DPoP header: a proof of the node key for this request and token",
        ),
        ProofRefused::Bad(detail) => (
            "invalid_dpop_proof",
            "DPoP error=\"invalid_dpop_proof\", algs=\"EdDSA\"",
            detail,
            "sign this request with the key the token was given to; a proxy that rewrites the address needs public_url at central",
        ),
        ProofRefused::UseNonce => (
            "use_dpop_nonce",
            "DPoP error=\"use_dpop_nonce\", algs=\"EdDSA\"",
            "the clocks differ, and the proof says no nonce of the last hour".to_owned(),
            "sign again with the nonce in the header DPoP-Nonce of this answer",
        ),
        ProofRefused::Replayed => (
            "proof_replayed",
            "DPoP error=\"invalid_dpop_proof\", algs=\"EdDSA\"",
            "a request with this proof was taken before".to_owned(),
            "sign every request anew; if this machine did, somebody repeats its requests",
        ),
    };
    ApiError::new(StatusCode::UNAUTHORIZED, code, detail, advice)
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}
