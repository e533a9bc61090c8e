//! `taosync status` on central: what is here, who meets it, what came in.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use taosync_model::{EntityType, OrgId};
use taosync_store::nodes::NodeStatus;
use taosync_store::received::ReceivedCounts;
use taosync_store::scopes::ScopeSummary;
use taosync_wire::v1::report::HeldReport;

use crate::context::Context;
use crate::failure::Failure;
use crate::node::{Node, VERSION};
use crate::output;
use crate::readiness::{self, Check, Level, Readiness};
use crate::verification;

/// The answer.
#[derive(Debug, Serialize)]
pub struct Central {
    /// The lines.
    #[serde(flatten)]
    pub readiness: Readiness,
    entities: std::collections::BTreeMap<EntityType, i64>,
    orgs: Vec<Value>,
    nodes: Vec<Value>,
    results: Value,
    #[serde(skip)]
    held: Vec<String>,
}

/// Prints the status of a central.
pub async fn show(context: &Context, node: &Node) -> Result<Readiness, Failure> {
    let central = look(node).await?;
    context.output.answer(&central, || to_text(&central))?;
    Ok(central.readiness)
}

/// Looks at everything.
pub async fn look(node: &Node) -> Result<Central, Failure> {
    let entities = node.store.entities_count().await?;
    let scopes = node.store.scopes_list().await?;
    let nodes = node.store.nodes_list().await?;
    let received = node.store.received_counts(None).await?;
    let free = node.blobs().await?.free_bytes().await?;
    let checks = vec![
        data(&entities, &scopes),
        locals(&nodes),
        history(&nodes),
        removals(&nodes),
        results(&received),
        readiness::disk(free),
        readiness::whole(verification::last(&node.store).await?.as_ref(), node.clock.now()),
        Check::new("version", Level::Ok, VERSION, json!({"version": VERSION})),
    ];
    let ready = checks.iter().all(|check| check.level < Level::Critical);
    let since: Option<Timestamp> = nodes.iter().map(|status| status.node.first_seen).min();
    Ok(Central {
        readiness: Readiness { ready, since: since.unwrap_or(node.clock.now()), checks },
        entities,
        orgs: scopes.iter().map(org_json).collect(),
        held: nodes.iter().flat_map(held_of).map(|held| held_line(&held)).collect(),
        nodes: nodes.iter().map(node_json).collect(),
        results: counts_json(&received),
    })
}

fn data(entities: &std::collections::BTreeMap<EntityType, i64>, scopes: &[ScopeSummary]) -> Check {
    let total: i64 = EntityType::SYNCED.iter().filter_map(|t| entities.get(t)).sum();
    let text = format!("{total} entities, {} organisations registered", scopes.len());
    Check::new("data", Level::Ok, text, json!({"entities": total, "orgs": scopes.len()}))
}

fn locals(nodes: &[NodeStatus]) -> Check {
    let copied = nodes.iter().flat_map(|node| &node.orgs).filter(|org| org.diverged_at.is_some()).count();
    let value = json!({"nodes": nodes.len(), "copied": copied});
    if copied > 0 {
        let text = format!(
            "{} known; {copied} look like copied or restored machines: 'taosync node list' says which, and what to do",
            nodes.len()
        );
        return Check::new("nodes", Level::Warning, text, value);
    }
    Check::new("nodes", Level::Ok, format!("{} local servers known", nodes.len()), value)
}

/// Removals that local servers hold, as their last reports say.
fn removals(nodes: &[NodeStatus]) -> Check {
    let mut orgs = std::collections::BTreeMap::new();
    for held in nodes.iter().flat_map(held_of) {
        *orgs.entry(held.org).or_insert(0) += held.count;
    }
    let held: u64 = orgs.values().sum();
    let value = json!({"held": held, "orgs": orgs});
    if held == 0 {
        return Check::new("removals", Level::Ok, "no local server holds any back", value);
    }
    let names = orgs.keys().map(|org| org.as_str()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "{held} are held back by local servers of {names}, as nobody has approved them: 'taosync scope approve-removals ORG', or bring them back by import"
    );
    Check::new("removals", Level::Warning, text, value)
}

/// Held removals of one type, as a local server told.
struct Held<'a> {
    node: uuid::Uuid,
    org: &'a OrgId,
    types: String,
    count: u64,
    since: Option<Timestamp>,
}

fn held_of(status: &NodeStatus) -> impl Iterator<Item = Held<'_>> {
    status.orgs.iter().filter_map(|org| {
        let report = org.report.as_ref()?;
        let count = report["held"].as_u64().filter(|count| *count > 0)?;
        let types: std::collections::BTreeMap<EntityType, HeldReport> =
            serde_json::from_value(report["held_types"].clone()).unwrap_or_default();
        let since = types.values().map(|held| held.since).min();
        let types = types.iter().map(|(t, held)| format!("{} {t}", held.count)).collect::<Vec<_>>().join(", ");
        let types = if types.is_empty() { count.to_string() } else { types };
        Some(Held { node: status.node.id, org: &org.org, types, count, since })
    })
}

/// Whether this central is in the newest state that anybody has met.
fn history(nodes: &[NodeStatus]) -> Check {
    let behind = nodes.iter().filter(|node| node.orgs.iter().any(|org| org.behind_at.is_some())).count();
    let value = json!({"behind": behind});
    if behind > 0 {
        let text = format!(
            "[TS-410] this central was put back to an older state than {behind} local servers have met; let them sync, they hand in again what may be lost"
        );
        return Check::new("history", Level::Critical, text, value);
    }
    Check::new("history", Level::Ok, "no local server has met a newer state of this central", value)
}

fn results(counts: &ReceivedCounts) -> Check {
    let value = counts_json(counts);
    if counts.conflicts > 0 {
        let text =
            format!("{} received; {} in conflict with others: a person has to look", counts.heads, counts.conflicts);
        return Check::new("results", Level::Warning, text, value);
    }
    Check::new("results", Level::Ok, format!("{} received", counts.heads), value)
}

fn counts_json(counts: &ReceivedCounts) -> Value {
    json!({"held": counts.held, "received": counts.heads, "conflicts": counts.conflicts, "out_of_scope": counts.out_of_scope})
}

fn org_json(scope: &ScopeSummary) -> Value {
    let counts: std::collections::BTreeMap<_, _> = scope.types.iter().map(|(t, s)| (t, s.count)).collect();
    json!({"org": scope.org, "epoch": scope.epoch, "counts": counts})
}

fn node_json(status: &NodeStatus) -> Value {
    let orgs: Vec<_> = status
        .orgs
        .iter()
        .map(|o| json!({"org": o.org, "reported_at": o.reported_at, "diverged": o.diverged, "diverged_at": o.diverged_at, "behind_at": o.behind_at, "report": o.report}))
        .collect();
    json!({
        "node": status.node.id, "version": status.node.version, "last_seen": status.node.last_seen,
        "revoked_at": status.node.revoked_at, "orgs": orgs,
    })
}

fn to_text(central: &Central) -> String {
    let mut text: String = central.readiness.checks.iter().map(super::check_line).collect();
    if !central.nodes.is_empty() {
        text.push('\n');
        text.push_str(&output::table(
            &["local server", "org", "version", "last report", "outcome", "waiting"],
            rows(central),
        ));
    }
    text.extend(central.held.iter().map(|line| format!("  → {line}\n")));
    text
}

fn held_line(held: &Held<'_>) -> String {
    let since = held.since.map(|since| format!(" since {}", output::time(since))).unwrap_or_default();
    format!(
        "{} holds back removals of {}{since}: {}. Agree with 'taosync scope approve-removals {}', or bring them back",
        held.node, held.org, held.types, held.org
    )
}

fn rows(central: &Central) -> Vec<Vec<String>> {
    let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_node = |node: &Value| {
        let head = [words(&node["node"]), words(&node["version"])];
        let orgs = node["orgs"].as_array().cloned().unwrap_or_default();
        orgs.into_iter().map(move |org| {
            let [id, version] = head.clone();
            let report = &org["report"];
            let waiting = report["pending"].as_u64().map_or_else(String::new, |number| number.to_string());
            vec![id, words(&org["org"]), version, words(&org["reported_at"]), words(&report["outcome"]), waiting]
        })
    };
    central.nodes.iter().flat_map(of_node).collect()
}
