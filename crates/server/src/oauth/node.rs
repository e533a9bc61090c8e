//! Which machine asks for a token: what it says about itself, signed with its key.

use taosync_store::enrolment::Machine;
use taosync_store::nodes::{FormerThumbprint, NodeHello, NodeSeen};
use taosync_vault::node_key;
use taosync_vault::proof::VerifiedProof;
use taosync_vault::sealed_file::check_recipient;
use uuid::Uuid;

use super::refusal::Refusal;
use crate::state::Central;

/// Most bytes of the version a node says it has.
const MAX_VERSION: usize = 64;

/// Notes the node, and says its id. An id that is known with another key, and a machine that is shut out, also with another
/// id or with a key that its old one vouches for, are refused.
pub(super) async fn note(central: &Central, consumer: Uuid, proof: VerifiedProof) -> Result<Uuid, Refusal> {
    let hello = hello(consumer, proof)?;
    let id = hello.id;
    let machine = Machine { node: id, thumbprint: &hello.thumbprint };
    let former: Vec<String> = hello.former.iter().map(|former| former.thumbprint.clone()).collect();
    if central.store.machine_is_shut_out(&machine, &former).await? {
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
        NodeSeen::Stranger => {
            let why = "this key belongs to another machine, and central has told its people; for a machine that was rebuilt, have 'taosync oauth rebind KEY' run there, for another one make a key of its own with 'taosync oauth generate'";
            Err(Refusal::Node("consumer_bound", why.into()))
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
    let former = proof.former.iter().map(|voucher| FormerThumbprint {
        thumbprint: node_key::thumbprint(&voucher.public),
        follows: voucher.follows,
    });
    let former = former.collect();
    Ok(NodeHello { former, id, thumbprint: proof.thumbprint, public_key: proof.public, recipient, version, consumer })
}
