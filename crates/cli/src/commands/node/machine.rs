//! A local server that central does not take for the one it knows: a person says what it is.

use serde_json::json;
use taosync_store::Durability;
use taosync_store::audit::AuditEntry;
use taosync_store::replica::ReplicaScope;
use taosync_store::settings::Role;
use taosync_sync::session::{SyncError, link_for};
use taosync_vault::Keyring;

use crate::commands::serve;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::locks::{self, Way};
use crate::node::{ACTOR, Node, VERSION};

/// The same machine, restored: the next sync says so.
pub async fn adopt(context: &Context) -> Result<Exit, Failure> {
    let node = Node::open_as(context, Role::Local).await?;
    // A sync that runs would take the word back when it ends.
    let _down = locks::sync_lock(node.place.dir(), Way::Down, &*node.clock)?;
    let orgs: Vec<_> = node.store.replicas_list().await?.into_iter().map(|replica| replica.org).collect();
    let id = node.identity.node;
    let mut tx = node.store.write("node adopt", Durability::Flushed).await?;
    node.store.continuation_adopt(&mut tx).await?;
    let entry = AuditEntry { actor: ACTOR, act: "node.adopt", object: &id.to_string(), detail: json!({"orgs": orgs}) };
    node.store.audit_add(&mut tx, &entry).await?;
    tx.commit().await?;
    context.output.answer(&json!({"node": id, "adopted": true, "orgs": orgs}), || {
        format!(
            "This machine goes on as node {id}. At its next sync central takes its word for it; any other machine with \
             this identity gets no data from then on.\n\nNext: taosync --dir {} sync all\n",
            node.place.dir().display()
        )
    })?;
    Ok(Exit::Done)
}

/// A copy: fresh keys, a fresh id. What it holds is compared at the next sync, what it made is handed in as it is.
pub async fn renew(context: &Context) -> Result<Exit, Failure> {
    let node = Node::open_as(context, Role::Local).await?;
    serve::refuse_running(&node.place)?;
    let _down = locks::sync_lock(node.place.dir(), Way::Down, &*node.clock)?;
    let _up = locks::sync_lock(node.place.dir(), Way::Up, &*node.clock)?;
    let old = node.identity.node;
    // Keys first: central refuses the old id with new keys, so that a renewal cut in between is noticed and repeated.
    Keyring::renew_node(&node.place.keys())?;
    let new = node.store.identity_renew().await?;
    // The fresh key signs this entry, and with it everything before.
    let renewed = Node::open(context).await?;
    renewed.audit("node.renew", &new.to_string(), json!({"was": old})).await?;
    let pending = node.store.outbox_counts().await?.pending;
    context.output.answer(&json!({"node": new, "was": old, "pending": pending}), || {
        format!(
            "This machine is node {new} from now on; it was a copy of {old}. {pending} results made under the old \
             identity are handed in as they are; data are compared with central at the next sync.\n\n\
             Next: taosync --dir {} sync all\n",
            node.place.dir().display()
        )
    })?;
    Ok(Exit::Done)
}

/// The same machine goes on with another key. Central is told at once where it is reached, else with the next sync; from then
/// on the key before is good for nothing.
pub async fn rekey(context: &Context) -> Result<Exit, Failure> {
    let node = Node::open_as(context, Role::Local).await?;
    serve::refuse_running(&node.place)?;
    let _down = locks::sync_lock(node.place.dir(), Way::Down, &*node.clock)?;
    let _up = locks::sync_lock(node.place.dir(), Way::Up, &*node.clock)?;
    let was = node.keyring.node_key().thumbprint();
    Keyring::rekey_node(&node.place.keys())?;
    // The fresh key signs this entry, and with it everything before.
    let node = Node::open(context).await?;
    let now = node.keyring.node_key().thumbprint();
    node.audit("node.rekey", &now, json!({"was": was})).await?;
    let mut told = Vec::new();
    let mut waiting = Vec::new();
    for replica in node.store.replicas_list().await? {
        match tell(&node, &replica).await {
            Ok(()) => told.push(replica.org),
            Err(error) => waiting.push(json!({"org": replica.org, "reason": error.to_string()})),
        }
    }
    let document = json!({"node": node.identity.node, "thumbprint": now, "was": was, "told": told, "waiting": waiting});
    context.output.answer(&document, || {
        let next = match waiting.len() {
            0 => "Central knows it; the key before is void.\n".to_owned(),
            _ => format!(
                "Central was not reached and is told with the next sync; until then it takes the key before.\nNext: taosync --dir {} \
                 sync all\n",
                node.place.dir().display()
            ),
        };
        format!("This machine has the key {now}. {next}")
    })?;
    Ok(Exit::Done)
}

/// Asks for a token, which shows central the new key and the word of the one before.
async fn tell(node: &Node, replica: &ReplicaScope) -> Result<(), SyncError> {
    let link = link_for(&node.store, replica, VERSION, node.proxy().as_deref()).await?;
    link.access().await?;
    if let Some(access) = link.to_keep().await {
        node.store.access_keep(replica.id, &access).await?;
    }
    Ok(())
}
