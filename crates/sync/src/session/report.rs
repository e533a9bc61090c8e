//! The end of a sync: its record here, and its report to central, which is kept until it is answered.

use std::collections::BTreeMap;

use jiff::Timestamp;
use taosync_model::OrgId;
use taosync_store::Store;
use taosync_store::blobs::Blobs;
use taosync_store::history::{RunEnd, SyncOutcome};
use taosync_store::replica::ReplicaScope;
use taosync_wire::v1::report::{HeldReport, Purged, Report, scope_digest};
use taosync_wire::{Problem, v1};

use super::SyncError;
use super::org;
use super::run::Plan;
use super::summary::Summary;
use crate::down::apply;
use crate::link::{Link, LinkError, Request, Traffic};

/// Reports sent at the end of one sync at most: older ones follow at the next.
const REPORTS_AT_ONCE: u32 = 20;

/// Room for the names of deliveries in a report, of the 16 KiB central takes.
const NAMES_BYTES: usize = 8 * 1024;

/// `success`, `partial` or `failed`.
pub(super) fn status_of(summary: &Summary) -> &'static str {
    if summary.code.is_some() {
        return "failed";
    }
    let waits = summary.held_removals > 0
        || summary.deliveries.failed > 0
        || summary.results.refused > 0
        || summary.results.pending > 0
        || (summary.compared && !summary.digest_equal);
    if waits { "partial" } else { "success" }
}

/// Writes the record and sends the report. A report that cannot be sent waits for the next sync.
pub(super) async fn end(
    store: &Store,
    plan: &Plan,
    replica: &ReplicaScope,
    link: &Link,
    summary: &mut Summary,
    started_at: Timestamp,
) -> Result<(), SyncError> {
    let report = report(store, plan, replica, summary, started_at).await?;
    let body = serde_json::to_value(&report).unwrap_or_default();
    store.report_add(replica.remote, &replica.org, &body).await?;
    if let Err(error) = send(store, replica, link).await {
        tracing::info!(%error, "the report waits for the next sync");
    }
    close(store, summary, link.traffic()).await
}

/// What travelled, in figures.
pub(super) fn count(summary: &mut Summary, traffic: Traffic) {
    summary.requests = traffic.requests;
    summary.bytes_down = traffic.bytes_down;
    summary.bytes_up = traffic.bytes_up;
    summary.bytes_proof = traffic.bytes_proof;
    summary.bytes_socket = traffic.bytes_socket;
}

/// Writes the record.
pub(super) async fn close(store: &Store, summary: &mut Summary, traffic: Traffic) -> Result<(), SyncError> {
    count(summary, traffic);
    let outcome = match summary.status.as_str() {
        "success" => SyncOutcome::Success,
        "partial" => SyncOutcome::Partial,
        _ => SyncOutcome::Failed,
    };
    let record = serde_json::to_value(&*summary).unwrap_or_default();
    let end = RunEnd { outcome, code: summary.code.as_deref(), reason: summary.reason.as_deref(), summary: &record };
    Ok(store.sync_end(summary.sync, &end).await?)
}

async fn report(
    store: &Store,
    plan: &Plan,
    replica: &ReplicaScope,
    summary: &Summary,
    started_at: Timestamp,
) -> Result<Report, SyncError> {
    let (deliveries, not_ready) = org::not_ready(store, &replica.org).await?;
    let (not_ready, more_not_ready) = named(not_ready);
    let disk = Blobs::open(store.dir()).await?.free_bytes().await?;
    let sum = |pick: fn(&super::summary::TypeCounts) -> u64| summary.types.values().map(pick).sum::<u64>();
    Ok(Report {
        sync: summary.sync,
        outcome: summary.status.clone(),
        code: summary.code.clone(),
        reason: summary.reason.clone().map(|r| r.chars().take(300).collect()),
        started_at,
        ended_at: store.clock().now(),
        seqs: replica.types.iter().filter(|(_, s)| s.seq > 0).map(|(t, s)| (*t, s.seq)).collect(),
        digest: Some(scope_digest(&apply::digests(replica))),
        equal: summary.digest_equal,
        not_ready,
        more_not_ready,
        deliveries,
        pending: store.outbox_waiting(&replica.org, &plan.up.states).await?.due,
        held: summary.held_removals,
        held_types: summary
            .held
            .iter()
            .map(|g| (g.entity_type, HeldReport { count: g.count, since: g.since }))
            .collect(),
        changed: [sum(|c| c.created), sum(|c| c.updated), sum(|c| c.removed)],
        sent: summary.results.sent,
        version: plan.version.clone(),
        clock: summary.clock_ahead.unwrap_or(0),
        disk,
        encrypted: plan.encrypted,
        purged: purged(store, &replica.org).await?,
        line: summary.line_speed.unwrap_or(0),
    })
}

/// As many names as a report has room for, and how many are left out.
fn named(not_ready: BTreeMap<String, String>) -> (BTreeMap<String, String>, u64) {
    let all = not_ready.len();
    let mut bytes = 0;
    let fits = |(uri, state): &(String, String)| {
        // A character becomes six bytes of JSON at most.
        bytes += 6 * (uri.len() + state.len()) + 6;
        bytes <= NAMES_BYTES
    };
    let named: BTreeMap<_, _> = not_ready.into_iter().take_while(fits).collect();
    let left_out = (all - named.len()) as u64;
    (named, left_out)
}

/// Our signed word about copies that went with people central has removed; none as long as none went.
async fn purged(store: &Store, org: &OrgId) -> Result<Option<Purged>, SyncError> {
    let copies = store.departed_purged(org).await?;
    if copies == 0 {
        return Ok(None);
    }
    let (node, audit) = (store.identity().await?.node, store.audit_head().await?);
    let signature = hex::encode(store.keyring().node_key().sign(&Purged::signed_bytes(node, org, copies, &audit)));
    Ok(Some(Purged { copies, audit, signature }))
}

/// Sends waiting reports of this org, oldest first. One that central will never take is forgotten: those after it must
/// not wait for it.
async fn send(store: &Store, replica: &ReplicaScope, link: &Link) -> Result<(), SyncError> {
    let waiting = store.report_next(replica.remote, &replica.org, REPORTS_AT_ONCE).await?;
    let mut answered = Vec::new();
    let mut result = Ok(());
    for report in waiting {
        match link.send(Request::post_json(v1::PATH_REPORT, &report.body).without_sync()).await {
            Ok(_) => answered.push(report.id),
            Err(LinkError::Problem(problem)) if is_final(&problem) => {
                tracing::warn!(%problem, "central does not take a report");
                answered.push(report.id);
            }
            Err(error) => {
                result = Err(error.into());
                break;
            }
        }
    }
    if !answered.is_empty() {
        store.report_done(&answered).await?;
    }
    result
}

/// Whether the same report would be refused for ever.
fn is_final(problem: &Problem) -> bool {
    matches!(problem.status, 400 | 413 | 415 | 422)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_as_many_deliveries_as_fit() {
        let many = |count: usize| (0..count).map(|n| (format!("http://x.example/{n:04}"), "missing".to_owned()));
        assert_eq!(named(many(3).collect()), (many(3).collect(), 0));
        let (some, more) = named(many(1_000).collect());
        assert_eq!((some.len() as u64 + more, more > 0), (1_000, true));
        assert!(serde_json::to_vec(&some).unwrap().len() <= NAMES_BYTES);
    }
}
