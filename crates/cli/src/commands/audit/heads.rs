//! `taosync audit heads`: what the receipts held here show of central's log.

use serde_json::json;
use taosync_model::item::Receipt;
use taosync_store::settings::Role;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::output;

/// Prints the newest head for every central, with the receipt that proves it.
pub async fn run(context: &Context, node: &Node) -> Result<Exit, Failure> {
    if node.identity.role == Role::Central {
        let advice = "run it on a local server; the end of this log is shown by 'taosync audit verify'";
        return Err(Failure::new("TS-005", "receipts are held by local servers", advice));
    }
    let receipts: Vec<Receipt> = node.store.receipts_with_heads().await?;
    let head = |receipt: &Receipt| receipt.proof.as_ref().map(|proof| proof.audit.to_string()).unwrap_or_default();
    let document: Vec<_> = receipts
        .iter()
        .map(|receipt| {
            json!({
                "central": receipt.central, "head": head(receipt), "received_at": receipt.received_at,
                "receipt": receipt,
            })
        })
        .collect();
    context.output.answer(&json!({"heads": document}), || {
        let row =
            |receipt: &Receipt| vec![receipt.central.to_string(), output::time(receipt.received_at), head(receipt)];
        output::table(&["central", "signed", "head of its log, for 'audit verify --head'"], receipts.iter().map(row))
    })?;
    Ok(Exit::Done)
}
