//! What the pages of a running server look at and do: the same as the commands, in the name of whoever is signed in.

use serde_json::json;
use taosync_model::readiness::Readiness;
use taosync_server::pages::{Act, Desk, Trouble};
use taosync_store::audit::AuditEntry;
use taosync_store::settings::Role;
use taosync_sync::accounts::Visitor;
use taosync_sync::session::{Plan, What};
use uuid::Uuid;

use crate::commands::{scope, status, sync};
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;
use crate::output::Output;
use crate::readiness;

/// The desk of a node.
pub fn of(node: &Node) -> Desk {
    let (for_look, for_act) = (node.clone(), node.clone());
    Desk {
        look: Box::new(move || {
            let node = for_look.clone();
            Box::pin(async move { look(&node).await.map_err(told) })
        }),
        act: Box::new(move |act, visitor| {
            let node = for_act.clone();
            Box::pin(async move { perform(&node, act, visitor).await.map_err(told) })
        }),
        tls_in_front: node.config.public_url.as_ref().is_some_and(|url| url.scheme() == "https"),
    }
}

fn told(failure: Failure) -> Trouble {
    Trouble { code: failure.code, message: failure.message, advice: failure.advice }
}

async fn look(node: &Node) -> Result<Readiness, Failure> {
    match node.identity.role {
        Role::Central => Ok(status::central::look(node).await?.readiness),
        Role::Local => readiness::look(node).await,
    }
}

async fn perform(node: &Node, act: Act, visitor: Visitor) -> Result<(), Failure> {
    match act {
        Act::Sync => begin(node, visitor),
        Act::ApproveRemovals(org) => scope::approve(node, &org, &[], &visitor.name).await.map(drop),
        Act::RevokeNode(id) => {
            node.store.node_revoke(id).await?;
            audited(node, &visitor, "node.revoke", id).await
        }
        Act::ApproveNode(id) => {
            node.store.node_approve(id).await?;
            audited(node, &visitor, "node.approve", id).await
        }
    }
}

async fn audited(node: &Node, visitor: &Visitor, act: &str, id: Uuid) -> Result<(), Failure> {
    let entry = AuditEntry { actor: &visitor.name, act, object: &id.to_string(), detail: json!({}) };
    Ok(node.store.audit_write(&entry).await?)
}

/// Takes the locks, so that a second press is told at once, and goes on while the page is answered. A server that is
/// stopped meanwhile leaves a sync that the next one completes.
fn begin(node: &Node, visitor: Visitor) -> Result<(), Failure> {
    let locks = sync::locks(node, What::All)?;
    let usual = || Plan { actor: visitor.name.clone(), ..sync::usual_plan(node, What::All) };
    let plans: Vec<Plan> = if visitor.sees_all() {
        vec![usual()]
    } else {
        visitor.orgs.iter().map(|org| Plan { org: Some(org.clone()), ..usual() }).collect()
    };
    let node = node.clone();
    let context = Context { place: node.place.clone(), output: Output::Json, clock: node.clock.clone() };
    tokio::spawn(async move {
        let _held = locks;
        for plan in plans {
            if let Err(failure) = sync::locked(&context, &node, &plan).await {
                tracing::warn!(code = failure.code, "a sync that was started at a page ended: {}", failure.message);
            }
        }
    });
    Ok(())
}
