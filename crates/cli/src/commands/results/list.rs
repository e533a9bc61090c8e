//! `taosync results list`: page by page into one document.

use serde_json::{Value, json};
use taosync_model::item::{Envelope, FORM_AGE_ZSTD};
use taosync_store::outbox::OutboxRow;
use taosync_store::received::ReceivedItem;
use taosync_store::settings::Role;

use super::Filter;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;
use crate::output;

/// Items of a page.
const PAGE: u32 = 1_000;

/// Prints the items that match.
pub async fn list(context: &Context, node: &Node, filter: Filter) -> Result<(), Failure> {
    let filter = filter.resolved(node).await?;
    match node.identity.role {
        Role::Central => received(context, node, &filter).await,
        Role::Local => outbox(context, node, &filter).await,
    }
}

async fn received(context: &Context, node: &Node, filter: &Filter) -> Result<(), Failure> {
    let mut wanted = filter.received(None);
    let mut items: Vec<ReceivedItem> = Vec::new();
    loop {
        let page = node.store.received_list(&wanted, PAGE).await?;
        let Some(last) = page.last() else { break };
        wanted.after = last.receipt_no;
        items.extend(page);
    }
    let document: Vec<_> = items.iter().map(received_json).collect();
    context.output.answer(&json!({"results": document, "count": items.len()}), || {
        let rows = items.iter().map(|item| {
            let flag = if item.out_of_scope { "out of scope" } else { "" };
            let place = [item.status.clone(), flag.to_owned(), output::time(item.received_at)];
            row(&item.envelope).into_iter().chain(place).collect()
        });
        output::table(&["id", "version", "org", "test taker", "delivery", "variables", "status", "", "received"], rows)
    })
}

async fn outbox(context: &Context, node: &Node, filter: &Filter) -> Result<(), Failure> {
    let mut wanted = filter.outbox(None);
    let mut rows: Vec<OutboxRow> = Vec::new();
    loop {
        let page = node.store.outbox_list(&wanted, PAGE).await?;
        let Some(last) = page.last() else { break };
        wanted.after = Some(last.id);
        rows.extend(page.into_iter().filter(|row| !row.hidden));
    }
    let document: Vec<_> = rows.iter().map(outbox_json).collect();
    context.output.answer(&json!({"results": document, "count": rows.len()}), || {
        let rows = rows.iter().map(|item| {
            let state = match item.state.as_str() {
                "pending" => "waiting",
                "sent" => "confirmed",
                other => other,
            };
            let place = [state.to_owned(), item.last_reason.clone().unwrap_or_default(), output::time(item.made_at)];
            row(&item.envelope).into_iter().chain(place).collect()
        });
        output::table(&["id", "version", "org", "test taker", "delivery", "variables", "state", "why", "made"], rows)
    })
}

fn row(envelope: &Envelope) -> [String; 6] {
    [
        envelope.item.to_string(),
        envelope.version.to_string(),
        envelope.org.to_string(),
        envelope.test_taker.clone().unwrap_or_default(),
        envelope.delivery.clone().unwrap_or_default(),
        envelope.counts.variables.to_string(),
    ]
}

fn received_json(item: &ReceivedItem) -> Value {
    json!({
        "id": item.envelope.item, "version": item.envelope.version, "kind": item.envelope.kind, "org": item.org,
        "delivery": item.envelope.delivery, "test_taker": item.envelope.test_taker, "state": item.envelope.state,
        "status": item.status, "head": item.head, "out_of_scope": item.out_of_scope, "digest": item.envelope.digest,
        "receipt_no": item.receipt_no, "received_at": item.received_at, "started_at": item.envelope.started_at,
        "finished_at": item.envelope.finished_at, "origin": item.envelope.origin, "counts": item.envelope.counts,
        "handed_in_by": item.handed_in_by, "form": item.form(), "sealed": item.form() == FORM_AGE_ZSTD,
        "signed": item.signed,
    })
}

fn outbox_json(row: &OutboxRow) -> Value {
    json!({
        "id": row.envelope.item, "version": row.envelope.version, "kind": row.envelope.kind, "org": row.envelope.org,
        "delivery": row.envelope.delivery, "test_taker": row.envelope.test_taker, "state": row.envelope.state,
        "status": row.state.as_str(), "digest": row.envelope.digest, "made_at": row.made_at, "sent_at": row.sent_at,
        "tries": row.tries, "last_code": row.last_code, "last_reason": row.last_reason, "receipt": row.receipt,
        "started_at": row.envelope.started_at, "finished_at": row.envelope.finished_at,
        "counts": row.envelope.counts, "form": row.envelope.form, "sealed": row.envelope.form == FORM_AGE_ZSTD,
    })
}
