//! `taosync tao push`: results into TAO (central), finished executions into the outbox (local).

use taosync_store::settings::Role;
use taosync_sync::session::Mode;
use taosync_sync::tao_database::{Installation, Outcome, central_push, local_push};

use super::Flow;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;

pub(super) async fn run(context: &Context, flow: Flow) -> Result<(), Failure> {
    let node = Node::open(context).await?;
    let outcome = push(&node, flow.mode()).await?;
    context.output.answer(&outcome, || outcome.to_text())
}

/// Pushes, whichever way this role does.
pub async fn push(node: &Node, mode: Mode) -> Result<Outcome, Failure> {
    let installation = match mode {
        Mode::DryRun => Installation::open(&node.store).await?,
        Mode::Apply => Installation::open_adopted(&node.store).await?,
    };
    let outcome = match node.identity.role {
        Role::Central => central_push::run(&node.store, &installation, mode).await,
        Role::Local => local_push::run(&node.store, &installation, mode).await,
    };
    installation.database.close().await;
    Ok(outcome?)
}
