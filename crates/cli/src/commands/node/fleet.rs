//! The local servers as central sees them: list, let in, shut out.

use serde_json::{Value, json};
use taosync_store::nodes::{NodeOrg, NodeStatus};
use taosync_store::settings::Role;
use uuid::Uuid;

use super::boxes;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::output;

/// What to do about machines that were copied or restored.
const DIVERGED: &str = "  → on the machine that goes on: 'taosync node adopt'; on a copy: 'taosync node renew'\n  \
     → here, once one of the two is renewed or gone: 'taosync node approve ID' ends the alarm\n";

/// Every local server, and what is the matter with it; then the boxes of TAO.
pub async fn list(context: &Context) -> Result<Exit, Failure> {
    let node = Node::open_as(context, Role::Central).await?;
    let nodes = node.store.nodes_list().await?;
    let boxes = node.store.tao_boxes().await?;
    let document: Vec<Value> = nodes.iter().map(to_json).collect();
    let document = json!({"nodes": document, "tao_boxes": boxes.iter().map(boxes::to_json).collect::<Vec<_>>()});
    context.output.answer(&document, || {
        if nodes.is_empty() {
            return format!("No local server has met this central yet.\n{}", boxes::to_text(&boxes));
        }
        let head = ["local server", "version", "last seen", "orgs", "state"];
        let mut text = output::table(&head, nodes.iter().map(row));
        if nodes.iter().any(|node| node.orgs.iter().any(|org| org.diverged.is_some())) {
            text.push_str(DIVERGED);
        }
        text.push_str(&boxes::to_text(&boxes));
        text
    })?;
    Ok(Exit::Done)
}

fn to_json(status: &NodeStatus) -> Value {
    let orgs: Vec<_> = status
        .orgs
        .iter()
        .map(|org| {
            json!({
                "org": org.org, "diverged": org.diverged, "diverged_at": org.diverged_at, "behind_at": org.behind_at,
                "reported_at": org.reported_at,
            })
        })
        .collect();
    json!({
        "node": status.node.id, "version": status.node.version, "first_seen": status.node.first_seen,
        "last_seen": status.node.last_seen, "revoked_at": status.node.revoked_at, "lost_at": status.node.lost_at, "state": state(status), "orgs": orgs,
    })
}

fn row(status: &NodeStatus) -> Vec<String> {
    let orgs = status.orgs.iter().map(|org| org.org.to_string()).collect::<Vec<_>>().join(", ");
    let node = &status.node;
    vec![node.id.to_string(), node.version.clone(), output::time(node.last_seen), orgs, state(status).to_owned()]
}

/// The worst that is known.
fn state(status: &NodeStatus) -> &'static str {
    let has = |is_so: fn(&NodeOrg) -> bool| status.orgs.iter().any(is_so);
    if status.node.lost_at.is_some() {
        "lost; shut out"
    } else if status.node.revoked_at.is_some() {
        "shut out"
    } else if has(|org| org.diverged.as_deref() == Some("copied")) {
        "copied: two machines have this identity"
    } else if has(|org| org.diverged.is_some()) {
        "restored or an old copy: waits for 'node adopt' there"
    } else if has(|org| org.behind_at.is_some()) {
        "has met a newer state of this central"
    } else {
        "ok"
    }
}

/// Lets a machine in again.
pub async fn approve(context: &Context, id: Uuid) -> Result<Exit, Failure> {
    let node = Node::open_as(context, Role::Central).await?;
    node.store.node_approve(id).await?;
    node.audit("node.approve", &id.to_string(), json!({})).await?;
    context.output.answer(&json!({"node": id, "approved": true}), || format!("Local server {id} is let in.\n"))?;
    Ok(Exit::Done)
}

/// Shuts a machine out.
pub async fn revoke(context: &Context, id: Uuid) -> Result<Exit, Failure> {
    let node = Node::open_as(context, Role::Central).await?;
    node.store.node_revoke(id).await?;
    node.audit("node.revoke", &id.to_string(), json!({})).await?;
    context.output.answer(&json!({"node": id, "revoked": true}), || {
        format!("Local server {id} is shut out; its tokens are void. 'node approve' lets it in again.\nIs it in wrong hands? \
             Then say 'taosync node lost {id}': with its key, it can get a new identity.\n"
        )
    })?;
    Ok(Exit::Done)
}
