//! The proof of the node key that comes with every request (RFC 9449 §4.3, §7): for this request, made now, taken once.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use std::sync::Arc;
use taosync_model::Digest;
use taosync_store::StoreError;
use taosync_vault::proof::{Proof, VerifiedProof};

use crate::listen::Peer;
use crate::state::Central;

const DPOP: HeaderName = HeaderName::from_static("dpop");
const NONCE: HeaderName = HeaderName::from_static(taosync_wire::v1::DPOP_NONCE);

/// How far the clock of a node may be off when its proof says no nonce of ours. With one, no clock is asked.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);
/// A clock that is further off is worth a line in the log.
const CLOCK_IS_OFF: SignedDuration = SignedDuration::from_mins(5);

/// Why a proof is not taken.
#[derive(Debug)]
pub(crate) enum ProofRefused {
    /// There is none, or more than one.
    Missing,
    /// It is not a good one, or not for this request.
    Bad(String),
    /// Central cannot tell when it was made: the node signs again, with the nonce that comes with this answer.
    UseNonce,
    /// It was shown before.
    Replayed,
    /// The database did not answer.
    Store(StoreError),
}

impl From<StoreError> for ProofRefused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a proof is checked against.
pub(crate) struct Signed<'a> {
    pub peer: Peer,
    pub headers: &'a HeaderMap,
    pub method: &'a str,
    /// Beginning with a slash.
    pub path: &'a str,
    /// The token it must be bound to, where there is one.
    pub token: Option<&'a SecretString>,
}

/// Checks the one proof of a request.
pub(crate) fn prove(central: &Central, signed: &Signed<'_>) -> Result<VerifiedProof, ProofRefused> {
    let mut lines = signed.headers.get_all(DPOP).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err(ProofRefused::Missing) };
    let jws = line.to_str().map_err(|_| ProofRefused::Bad("the proof is not text".into()))?;
    let now = central.store.clock().now();
    let mut outcome = Err(ProofRefused::Bad("the request does not name the host it is for".into()));
    for address in addresses(central, signed) {
        let checked = Proof::verify(jws, signed.method, &address, now, SignedDuration::MAX, signed.token);
        outcome = checked.map_err(|error| ProofRefused::Bad(error.to_string()));
        if outcome.is_ok() {
            break;
        }
    }
    let proof = outcome?;
    in_time(central, &proof, now)?;
    Ok(proof)
}

/// Whether the proof was made now: it says a nonce of ours, which counts more than any clock, or the clocks agree.
fn in_time(central: &Central, proof: &VerifiedProof, now: Timestamp) -> Result<(), ProofRefused> {
    let ahead = proof.iat.duration_since(now);
    if ahead.abs() > CLOCK_IS_OFF {
        tracing::warn!(seconds_ahead = ahead.as_secs(), "the clock of a node is off");
    }
    let has_nonce = proof.nonce.as_ref().is_some_and(|nonce| central.store.keyring().nonces().is_good(nonce, now));
    if has_nonce || ahead.abs() <= TOLERANCE { Ok(()) } else { Err(ProofRefused::UseNonce) }
}

/// Takes a proof once: for requests that give or change something.
pub(crate) async fn take(central: &Central, proof: &VerifiedProof) -> Result<(), ProofRefused> {
    let mut id = [0; 16];
    let name = format!("{}.{}", proof.thumbprint, proof.jti);
    id.copy_from_slice(&Digest::of(name.as_bytes()).0[..16]);
    if central.store.proof_take(&id).await? { Ok(()) } else { Err(ProofRefused::Replayed) }
}

/// Addresses a proof may be made for: below the configured ones, or the one the request names.
fn addresses(central: &Central, signed: &Signed<'_>) -> Vec<String> {
    let path = signed.path;
    if !central.public_urls.is_empty() {
        return central.public_urls.iter().map(|url| format!("{}{path}", url.as_str().trim_end_matches('/'))).collect();
    }
    let scheme = if signed.peer.secure { "https" } else { "http" };
    let host = signed.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let address = host.map(|host| format!("{scheme}://{host}{path}"));
    address.filter(|address| address.parse::<Uri>().is_ok()).into_iter().collect()
}

/// Puts the nonce for the next proof on every answer (RFC 9449 §8.2).
pub(crate) async fn next_nonce(State(central): State<Arc<Central>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let nonce = central.store.keyring().nonces().current(central.store.clock().now());
    if let Ok(nonce) = HeaderValue::from_str(&nonce) {
        response.headers_mut().insert(NONCE, nonce);
    }
    response
}
