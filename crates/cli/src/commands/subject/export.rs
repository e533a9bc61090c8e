//! `taosync subject export`: everything central holds of a person, as one JSON document.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::{Map, Value, json};
use taosync_model::{Entity, vocabulary};
use taosync_results::{MAX_PLAIN, unpack};
use taosync_store::audit::AuditFilter;
use taosync_store::received::{ReceivedFilter, ReceivedPayload};
use taosync_sync::up::sealing::readable;
use taosync_vault::results_keys::ResultsIdentities;

use crate::commands::results::Given;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;

/// Items of a page, and bytes of their payloads.
const PAGE: u32 = 100;
const PAGE_BYTES: u64 = 8 * 1024 * 1024;
/// Entries of the audit log about one person at most.
const ENTRIES: u32 = 10_000;

/// Writes the document.
pub async fn run(context: &Context, node: &Node, uri: &str, path: &Path, identity: &Given) -> Result<(), Failure> {
    let stored = node.store.entity_get(uri).await?;
    let results = results(node, uri, &identity.with_those_of(node)?).await?;
    if stored.is_none() && results.is_empty() {
        let message = "nothing is held of a person with this URI";
        return Err(Failure::new("TS-107", message, "see 'taosync entity list --type test-taker' for those there are"));
    }
    let name = node.store.subject_name(uri);
    let filter = AuditFilter { object: Some(name.clone()), ..AuditFilter::default() };
    let entries = node.store.audit_find(&filter, ENTRIES).await?;
    let audit: Vec<Value> =
        entries.iter().map(|entry| json!({"at": entry.at, "actor": entry.actor, "act": entry.act})).collect();
    let number = results.len();
    let document = json!({
        "subject": uri,
        "exported_at": node.clock.now(),
        "types": stored.as_ref().map(|stored| stored.types.clone()).unwrap_or_default(),
        "organisations": stored.as_ref().map(|stored| stored.orgs.clone()).unwrap_or_default(),
        "properties": stored.as_ref().map(|stored| properties(&stored.entity)),
        "eligibilities": node.store.eligibilities_naming(uri).await?,
        "results": results,
        "audit": audit,
    });
    let failed = |error| Failure::file("write", path, error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    serde_json::to_writer_pretty(&mut file, &document).map_err(|error| failed(error.into()))?;
    file.write_all(b"\n").and_then(|()| file.sync_all()).map_err(failed)?;
    node.audit("subject.export", &name, json!({"results": number})).await?;
    let answer = json!({"subject": uri, "file": path, "results": number, "entity": stored.is_some()});
    context
        .output
        .answer(&answer, || format!("What is held of this person, with {number} results → {}", path.display()))
}

/// All properties. A password's hash is not the person's to have: others could guess the password with it.
fn properties(entity: &Entity) -> Map<String, Value> {
    let shown = entity.properties.iter().map(|property| {
        let values = if property.predicate == vocabulary::USER_PASSWORD {
            json!("kept as a hash, not shown")
        } else {
            json!(property.values)
        };
        (property.predicate.clone(), values)
    });
    shown.collect()
}

async fn results(node: &Node, uri: &str, identities: &ResultsIdentities) -> Result<Vec<Value>, Failure> {
    let mut filter = ReceivedFilter { test_taker: Some(uri.to_owned()), ..ReceivedFilter::default() };
    let mut all = Vec::new();
    loop {
        let page = node.store.received_page(&filter, PAGE, PAGE_BYTES).await?;
        let Some(last) = page.last() else { return Ok(all) };
        filter.after = last.item.receipt_no;
        all.extend(page.iter().map(|held| result(held, identities)));
    }
}

/// A result as far as it can be read here.
fn result(held: &ReceivedPayload, identities: &ResultsIdentities) -> Value {
    let item = &held.item;
    let mut document = json!({
        "envelope": item.envelope, "received_at": item.received_at, "receipt_no": item.receipt_no,
        "status": item.status,
    });
    if item.erased {
        document["content"] = json!("erased");
    } else if let Some(content) = content(held, identities) {
        document["content"] = content;
    } else {
        document["content"] = json!("sealed: only the holder of the results key can read it, give it with --identity");
    }
    document
}

fn content(held: &ReceivedPayload, identities: &ResultsIdentities) -> Option<Value> {
    let plain = readable(held.item.form(), &held.payload, identities).ok()?;
    // What is no attempt is a log, a session: JSON too.
    serde_json::from_slice(&unpack(&plain, MAX_PLAIN).ok()?).ok()
}
