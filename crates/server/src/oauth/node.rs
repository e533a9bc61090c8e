//! Which machine asks for a token: the proof of its node key (RFC 9449 §4.3), and what it says about itself.

use http::{HeaderMap, HeaderName, Uri, header};
use jiff::{SignedDuration, Timestamp};
use taosync_store::nodes::{NodeHello, NodeSeen};
use taosync_vault::proof::{Proof, VerifiedProof};
use taosync_vault::sealed_file::check_recipient;
use taosync_wire::v1::PATH_TOKEN;
use uuid::Uuid;

use super::refusal::Refusal;
use crate::listen::Peer;
use crate::state::Central;

const DPOP: HeaderName = HeaderName::from_static("dpop");
/// Most bytes of the version a node says it has.
const MAX_VERSION: usize = 64;
/// A clock that is further off is worth a line in the log.
const CLOCK_IS_OFF: SignedDuration = SignedDuration::from_mins(5);

/// Checks the proof of a token request. The time in it is not held against the node: a school with a wrong clock must
/// still be able to hand in results, and the proof never stands alone here, the client secret came with it.
pub(super) fn prove(
    central: &Central,
    peer: Peer,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<VerifiedProof, Refusal> {
    let mut lines = headers.get_all(DPOP).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(Refusal::Proof("the request needs one DPoP header with a proof of the node key".into()));
    };
    let jws = line.to_str().map_err(|_| Refusal::Proof("the proof is not text".into()))?;
    let mut outcome = Err(Refusal::Proof("the request does not name the host it is for".into()));
    for address in addresses(central, peer, headers) {
        let checked = Proof::verify(jws, "POST", &address, now, SignedDuration::MAX, None);
        outcome = checked.map_err(|error| Refusal::Proof(error.to_string()));
        if outcome.is_ok() {
            break;
        }
    }
    let proof = outcome?;
    let ahead = proof.iat.duration_since(now);
    if ahead.abs() > CLOCK_IS_OFF {
        tracing::warn!(seconds_ahead = ahead.as_secs(), "the clock of a node is off");
    }
    Ok(proof)
}

/// Addresses a proof may be made for: the configured ones, or the one the request names.
fn addresses(central: &Central, peer: Peer, headers: &HeaderMap) -> Vec<String> {
    if !central.public_urls.is_empty() {
        return central
            .public_urls
            .iter()
            .map(|url| format!("{}/{PATH_TOKEN}", url.as_str().trim_end_matches('/')))
            .collect();
    }
    let scheme = if peer.secure { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let address = host.map(|host| format!("{scheme}://{host}/{PATH_TOKEN}"));
    address.filter(|address| address.parse::<Uri>().is_ok()).into_iter().collect()
}

/// Notes the node, and says its id. An id that is known with another key, and a node that is shut out, are refused.
pub(super) async fn note(central: &Central, consumer: Uuid, proof: VerifiedProof) -> Result<Uuid, Refusal> {
    let hello = hello(consumer, proof)?;
    let id = hello.id;
    let known = central.store.node_get(id).await?;
    if known.is_some_and(|node| node.revoked_at.is_some()) {
        let why = "this machine is shut out at central; ask the office why, and whether to let it in again";
        return Err(Refusal::Node("node_revoked", why.into()));
    }
    match central.store.node_seen(&hello, central.nodes_of_consumer).await? {
        NodeSeen::Noted => Ok(id),
        NodeSeen::OtherKey => {
            let why = format!(
                "node {id} is known with another key: a renewal was cut half-way there, it is a copy with new keys, or an impostor; run 'taosync node renew' on the machine that asks: it keeps its data and results"
            );
            Err(Refusal::Node("node_key_mismatch", why))
        }
        NodeSeen::TooMany => {
            let most = central.nodes_of_consumer;
            let why = format!(
                "{most} machines use this consumer, and it may have no more; see 'taosync node list' at central, and make another consumer there with 'taosync oauth generate'"
            );
            Err(Refusal::Node("too_many_nodes", why))
        }
    }
}

fn hello(consumer: Uuid, proof: VerifiedProof) -> Result<NodeHello, Refusal> {
    let missing = |what: &str| Refusal::Proof(format!("the proof does not name {what} of the node"));
    let id = proof.claims.node.ok_or_else(|| missing("the id"))?;
    let recipient = proof.claims.recipient.ok_or_else(|| missing("the recipient"))?;
    check_recipient(&recipient).map_err(|error| Refusal::Proof(error.to_string()))?;
    let version = proof.claims.version.ok_or_else(|| missing("the version"))?;
    if version.len() > MAX_VERSION || version.chars().any(char::is_control) {
        return Err(Refusal::Proof("the version of the node is not a version".into()));
    }
    Ok(NodeHello { id, thumbprint: proof.thumbprint, public_key: proof.public, recipient, version, consumer })
}
