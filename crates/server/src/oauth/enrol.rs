//! `POST oauth/handshake` and `POST oauth/enrol`: a machine gets a consumer of its own, bound to the key with which it signs
//! the request. The same machine gets the same one again, so that tries do not pile up and a lost answer costs nothing.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use serde_json::json;
use taosync_model::OrgId;
use taosync_store::audit::AuditEntry;
use taosync_store::enrolment::Machine;
use taosync_sync::tao::login;
use taosync_vault::node_key;
use taosync_vault::proof::VerifiedProof;
use taosync_vault::tokens::TokenHash;
use taosync_wire::v1::enrol::{EnrolRequest, Enrolled, HandshakeRequest};
use taosync_wire::v1::{PATH_ENROL, PATH_HANDSHAKE};
use tokio::time::Instant;
use uuid::Uuid;

use super::caller::problem;
use super::manager::{NotLooked, signed_in};
use super::proof::{self, ProofRefused, Signed};
use crate::body;
use crate::listen::Peer;
use crate::problem::ApiError;
use crate::state::Central;

/// Most bytes of a request.
const MAX_BODY: usize = 4 * 1024;
/// Under this name wrong codes are counted: a code names nobody.
const CODES: &str = "enrolment code";

/// A sync manager signs in on a fresh machine.
pub(crate) async fn handshake(
    State(central): State<Arc<Central>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    request: Body,
) -> Result<Json<Enrolled>, ApiError> {
    let asked: HandshakeRequest = body::read_json(request, MAX_BODY).await?;
    let (node, proof) = prove(&central, peer, &headers, PATH_HANDSHAKE)?;
    let manager = signed_in(&central, peer, &asked.login, &asked.password).await.map_err(not_looked)?;
    let manager = manager.ok_or_else(|| {
        ApiError::new(
            StatusCode::FORBIDDEN,
            "login_wrong",
            "login or password is wrong, or they are not those of a sync manager of an organisation",
            "type both again, or ask the office for an enrolment code; after some wrong tries there is a wait",
        )
    })?;
    let machine = take(&central, node, &proof).await?;
    let given = login::connect(&central.store, &manager, machine.thumbprint).await?;
    let act = if given.is_new { "consumer.create" } else { "consumer.handshake" };
    let (actor, detail) = (format!("node {node}"), json!({"orgs": manager.orgs, "how": "handshake", "node": node}));
    central.store.audit_write(&AuditEntry { actor: &actor, act, object: &given.client_key, detail }).await?;
    Ok(Json(answer(&central, given.client_key, given.secret, &manager.orgs)))
}

/// A machine shows a code from the office.
pub(crate) async fn enrol(
    State(central): State<Arc<Central>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    request: Body,
) -> Result<Json<Enrolled>, ApiError> {
    let asked: EnrolRequest = body::read_json(request, MAX_BODY).await?;
    let (node, proof) = prove(&central, peer, &headers, PATH_ENROL)?;
    let (address, now) = (peer.address.ip(), Instant::now());
    central.wrong_secrets.check(address, CODES, now).map_err(slow_down)?;
    let machine = take(&central, node, &proof).await?;
    // What is looked up is a hash, so that the time it takes tells nothing about codes that exist.
    let hash = TokenHash::of(&asked.code);
    let Some(given) = central.store.code_use(&hash, &machine).await? else {
        central.wrong_secrets.wrong(address, CODES, now);
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "code_refused",
            "this code is not known here, was used by another machine, is over, or was revoked",
            "ask the office for a new one",
        ));
    };
    central.wrong_secrets.right(address, CODES);
    Ok(Json(answer(&central, given.client_key, given.secret, &given.orgs)))
}

fn not_looked(refused: NotLooked) -> ApiError {
    match refused {
        NotLooked::SlowDown(seconds) => slow_down(seconds),
        NotLooked::Store(error) => error.into(),
    }
}

fn slow_down(seconds: u64) -> ApiError {
    let detail = format!("too many wrong tries from here; the next one may be made in {seconds} seconds");
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", detail, "wait, then try again").retry_after(seconds)
}

/// The machine that signs the request, and its proof.
fn prove(central: &Central, peer: Peer, headers: &HeaderMap, path: &str) -> Result<(Uuid, VerifiedProof), ApiError> {
    let path = format!("/{path}");
    let proof = proof::prove(central, &Signed { peer, headers, method: "POST", path: &path, token: None });
    let proof = proof.map_err(problem)?;
    let node = proof.claims.node.ok_or_else(|| problem(ProofRefused::Bad("the proof names no node".into())))?;
    Ok((node, proof))
}

/// Takes the proof once; a machine that was shut out gets nothing new.
async fn take<'a>(central: &Central, node: Uuid, proof: &'a VerifiedProof) -> Result<Machine<'a>, ApiError> {
    proof::take(central, proof).await.map_err(problem)?;
    let machine = Machine { node, thumbprint: &proof.thumbprint };
    let former: Vec<String> = proof.former.iter().map(|voucher| node_key::thumbprint(&voucher.public)).collect();
    if central.store.machine_is_shut_out(&machine, &former).await? {
        let detail = "this machine is shut out at central";
        let advice = "ask the office why; a machine that was set up anew has a new key and may come in";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "node_revoked", detail, advice));
    }
    Ok(machine)
}

fn answer(central: &Central, key: String, secret: SecretString, orgs: &[OrgId]) -> Enrolled {
    Enrolled {
        key,
        secret,
        organisations: orgs.iter().map(ToString::to_string).collect(),
        central: central.identity.node,
        ca_fingerprint: central.authority.clone(),
    }
}
