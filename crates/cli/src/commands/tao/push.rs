//! `taosync tao push`: results into TAO (central), finished executions into the outbox (local).

use taosync_store::settings::Role;
use taosync_sync::session::Mode;
use taosync_sync::tao_database::executions_up::Taking;
use taosync_sync::tao_database::{Installation, Outcome, central_push, local_push, told};
use taosync_vault::results_keys::ResultsIdentities;

use super::Flow;
use crate::commands::results::Given;
use crate::context::Context;
use crate::failure::Failure;
use crate::locks::{self, Way};
use crate::node::Node;

pub(super) async fn run(context: &Context, flow: Flow, identity: Given) -> Result<(), Failure> {
    let node = Node::open(context).await?;
    let identities = identity.with_those_of(&node)?;
    let outcome = push(&node, flow.mode(), &identities).await?;
    context.output.answer(&outcome, || outcome.to_text())
}

/// Pushes, whichever way this role does.
pub async fn push(node: &Node, mode: Mode, identities: &ResultsIdentities) -> Result<Outcome, Failure> {
    // Two pushes at once would both take what neither has marked.
    let _lock = locks::sync_lock(node.place.dir(), Way::Up, &*node.clock)?;
    within(node, mode, identities).await
}

/// What a local server that has adopted a TAO takes into the outbox before it hands in. For whoever holds the lock for
/// results.
pub async fn before_hand_in(node: &Node) -> Result<(), Failure> {
    if Installation::is_adopted(&node.store).await? {
        let outcome = within(node, Mode::Apply, &ResultsIdentities::default()).await?;
        for note in outcome.notes {
            tracing::warn!(about = note.about, "{}: {}", note.what, note.advice);
        }
    }
    Ok(())
}

/// What it tells TAO once central has confirmed.
pub async fn after_hand_in(node: &Node) -> Result<(), Failure> {
    if Installation::is_adopted(&node.store).await? {
        let installation = Installation::open_adopted(&node.store).await?;
        let told = told::tell(&node.store, &installation.database).await;
        installation.database.close().await;
        told?;
    }
    Ok(())
}

/// Leaves TAO's notes so that taoSync hands in nothing that central has confirmed already.
pub(super) async fn hand_back(node: &Node) -> Result<(), Failure> {
    let _lock = locks::sync_lock(node.place.dir(), Way::Up, &*node.clock)?;
    after_hand_in(node).await
}

/// The same for whoever holds the lock for results already.
async fn within(node: &Node, mode: Mode, identities: &ResultsIdentities) -> Result<Outcome, Failure> {
    let installation = match mode {
        Mode::DryRun => Installation::open(&node.store).await?,
        Mode::Apply => Installation::open_adopted(&node.store).await?,
    };
    let outcome = match node.identity.role {
        Role::Central => central_push::run(&node.store, &installation, identities, mode).await,
        Role::Local => local_push::run(&node.store, &installation, &taking(node, mode)).await,
    };
    installation.database.close().await;
    Ok(outcome?)
}

fn taking(node: &Node, mode: Mode) -> Taking {
    let config = &node.config.result_service;
    let states = config.status_executions_to_sync.clone();
    Taking { states, window: config.reactivation_window(), mode }
}
