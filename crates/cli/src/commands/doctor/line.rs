//! `taosync doctor --line`: how fast the line to each central is.

use serde::Serialize;
use taosync_model::OrgId;
use taosync_store::remotes::RemoteKind;
use taosync_store::settings::Role;
use taosync_sync::packages::line::{LineSpeed, measure};
use taosync_sync::session::link_for;

use super::Finding;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::{Node, VERSION};
use crate::output;

/// What was measured for one organisation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Measured {
    org: OrgId,
    bytes: u64,
    requests: u64,
    connections: usize,
    seconds: f64,
}

/// Measures the line for every organisation whose central is one of ours, over so many connections at once.
pub(super) async fn all(context: &Context, connections: usize) -> Result<Vec<Measured>, Failure> {
    let node = Node::open_as(context, Role::Local).await?;
    let mut measured = Vec::new();
    for replica in node.store.replicas_list().await? {
        if node.store.remote_login(replica.remote).await?.remote.kind != RemoteKind::Taosync {
            continue;
        }
        let link = link_for(&node.store, &replica, VERSION, node.proxy().as_deref()).await?;
        let LineSpeed { bytes, requests, seconds } = measure(&node.store, &link, connections).await?;
        measured.push(Measured { org: replica.org, bytes, requests, connections, seconds });
    }
    node.store.close().await;
    Ok(measured)
}

/// The same as a line for people.
pub(super) fn finding(measured: &Measured) -> Finding {
    let Measured { org, bytes, requests, connections, seconds } = measured;
    if *bytes == 0 {
        let advice = "synchronise first: the line is measured with what is here of tests";
        return Finding::warn("line", format!("{org}: there is nothing to measure with"), advice);
    }
    let rate = output::bytes((*bytes as f64 / seconds.max(0.001)) as u64);
    let text = format!(
        "{org}: {} in {seconds:.1} s, {rate} a second, {requests} requests, {connections} at once",
        output::bytes(*bytes)
    );
    Finding::ok("line", text)
}
