//! `taosync results show`: the variables of one result.

use serde_json::json;
use taosync_model::assessment::{Attempt, Variable};
use taosync_model::item::{Envelope, ItemKind, ItemProof};
use taosync_results::{MAX_PLAIN, decode_attempt};
use taosync_store::outbox::OutboxFilter;
use taosync_store::received::ReceivedFilter;
use taosync_store::settings::Role;
use taosync_sync::up::sealing::readable;
use uuid::Uuid;

use super::identity::Given;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;
use crate::output;

/// Versions of one item at most.
const VERSIONS: u32 = 1_000;

/// Prints the newest version of a result.
pub async fn show(context: &Context, node: &Node, id: Uuid, identity: &Given) -> Result<(), Failure> {
    let Found { envelope, form, payload, versions, proof } = match node.identity.role {
        Role::Central => from_received(node, id).await?,
        Role::Local => from_outbox(node, id).await?,
    };
    if payload.is_empty() {
        let advice = "the person was erased, or its time was over ('taosync retention plan')";
        return Err(Failure::new("TS-406", format!("the content of result {id} was erased"), advice));
    }
    let identities = identity.with_those_of(node)?;
    let plain = readable(form, &payload, &identities).map_err(|error| {
        let advice = "only the holder of a results key can read it: --identity FILE; see 'taosync keys results list'";
        Failure::new("TS-406", format!("result {id} cannot be shown: {error}"), advice)
    })?;
    let attempt = decode_attempt(&plain, MAX_PLAIN).map_err(|error| {
        Failure::new("TS-406", error.to_string(), "run 'taosync verify' to see what else is damaged")
    })?;
    node.audit("results.show", &id.to_string(), json!({"version": envelope.version})).await?;
    let document = json!({"id": id, "versions": versions, "envelope": envelope, "proof": proof, "attempt": attempt});
    context.output.answer(&document, || to_text(&envelope, &attempt))
}

/// A result, and how to read what is held of it.
struct Found {
    envelope: Envelope,
    form: u8,
    payload: Vec<u8>,
    versions: usize,
    /// The word of the node that handed it in.
    proof: Option<ItemProof>,
}

async fn from_received(node: &Node, id: Uuid) -> Result<Found, Failure> {
    let filter = ReceivedFilter { item: Some(id), ..attempts() };
    let versions = node.store.received_list(&filter, VERSIONS).await?;
    let newest = versions.iter().find(|item| item.head).or(versions.last()).ok_or_else(|| unknown(id))?;
    let found = node.store.received_get(newest.id).await?;
    let (form, versions) = (found.item.form(), versions.len());
    let proof = node.store.received_proof(found.item.id).await?;
    Ok(Found { envelope: found.item.envelope, form, payload: found.payload, versions, proof })
}

fn attempts() -> ReceivedFilter {
    ReceivedFilter { kind: Some(ItemKind::Attempt), ..ReceivedFilter::default() }
}

async fn from_outbox(node: &Node, id: Uuid) -> Result<Found, Failure> {
    let filter = OutboxFilter { item: Some(id), kind: Some(ItemKind::Attempt), ..OutboxFilter::default() };
    let mut versions = node.store.outbox_results(&filter, VERSIONS).await?;
    versions.sort_by_key(|result| result.row.envelope.version);
    let number = versions.len();
    let newest = versions.pop().ok_or_else(|| unknown(id))?;
    let (form, payload) = newest.to_read().ok_or_else(|| {
        Failure::new("TS-406", format!("result {id} is not readable here any more"), "central holds it: look there")
    })?;
    let payload = payload.to_vec();
    Ok(Found { form, payload, envelope: newest.row.envelope, versions: number, proof: None })
}

fn unknown(id: Uuid) -> Failure {
    Failure::new("TS-107", format!("there is no result {id} here"), "see 'taosync results list' for those there are")
}

fn to_text(envelope: &Envelope, attempt: &Attempt) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut out = format!(
        "{} version {}\n  org         {}\n  test taker  {}\n  delivery    {}\n  state       {}\n",
        envelope.item,
        envelope.version,
        envelope.org,
        text(&envelope.test_taker),
        text(&envelope.delivery),
        envelope.state.map(|state| state.to_string()).unwrap_or_default(),
    );
    let test = attempt.result.test.iter().flat_map(|test| test.variables.iter().map(|v| ("(test)", v)));
    let items =
        attempt.result.items.iter().flat_map(|item| item.variables.iter().map(|v| (item.identifier.as_str(), v)));
    let rows = test.chain(items).map(|(item, variable)| row(item, variable));
    out.push_str(&output::table(&["item", "variable", "kind", "type", "value"], rows));
    out
}

fn row(item: &str, variable: &Variable) -> Vec<String> {
    let values = variable.values.iter().flatten().map(|value| match &value.field {
        Some(field) => format!("{field}={}", value.text),
        None => value.text.clone(),
    });
    let base_type = variable.base_type.as_deref().unwrap_or(&variable.cardinality);
    vec![
        item.to_owned(),
        variable.identifier.clone(),
        format!("{:?}", variable.kind).to_lowercase(),
        base_type.to_owned(),
        values.collect::<Vec<_>>().join(" | ").escape_debug().to_string(),
    ]
}
