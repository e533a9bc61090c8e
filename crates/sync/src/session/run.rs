//! A sync of this local server with all its centrals and orgs.

use std::time::Instant;

use taosync_model::{EntityType, OrgId};
use taosync_store::Store;
use taosync_store::remotes::RemoteKind;
use taosync_store::replica::ReplicaScope;

use super::org;
use super::summary::{Progress, Summary};
use super::{SyncError, tao};
use crate::down::guard::Removals;
use crate::link::patience::Patience;
use crate::up::UpLimits;

/// Which directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Data down only.
    Data,
    /// Results up only.
    Results,
    /// Results, data, packages, results.
    All,
}

impl What {
    /// The spelling in the history.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Results => "results",
            Self::All => "all",
        }
    }
}

/// Whether anything is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Apply,
    /// Ask central what would come, count what would go, change nothing.
    DryRun,
}

/// A sync to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Directions.
    pub what: What,
    /// Types of data wanted; all when empty.
    pub types: Vec<EntityType>,
    /// One org only.
    pub org: Option<OrgId>,
    /// Do it, or only say.
    pub mode: Mode,
    /// A person's word about large removals.
    pub removals: Removals,
    /// Rows of a chunk at most (`[sync_service] chunk_size`).
    pub chunk_size: usize,
    /// What is borne from a bad line while packages are fetched.
    pub patience: Patience,
    /// Limits of handing in.
    pub up: UpLimits,
    /// Who started it, for the history.
    pub actor: String,
    /// Version of this program.
    pub version: String,
    /// Whether the disk of this node is encrypted, for the report; none where the system does not say.
    pub encrypted: Option<bool>,
    /// Proxy, when configured.
    pub proxy: Option<String>,
}

/// Runs a sync. Failures of one org do not stop the others; an error is returned only when there is nothing to do at
/// all. The summary says what happened, also when it failed.
pub async fn run(
    store: &Store,
    plan: &Plan,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Summary, SyncError> {
    let since = Instant::now();
    let replicas = replicas(store, plan).await?;
    let mut summary = Summary { proof: "digest".into(), digest_equal: true, ..Summary::default() };
    for replica in replicas {
        let part = match store.remote_login(replica.remote).await?.remote.kind {
            RemoteKind::Taosync => org::sync(store, plan, &replica, progress).await?,
            RemoteKind::Tao { version } => tao::sync(store, plan, &replica, &version, progress).await?,
        };
        merge(&mut summary, part);
    }
    summary.seconds = since.elapsed().as_secs_f64();
    Ok(summary)
}

async fn replicas(store: &Store, plan: &Plan) -> Result<Vec<ReplicaScope>, SyncError> {
    let all = store.replicas_list().await?;
    if all.is_empty() {
        return Err(SyncError::NoRemote);
    }
    let Some(org) = &plan.org else { return Ok(all) };
    let chosen: Vec<ReplicaScope> = all.into_iter().filter(|r| &r.org == org).collect();
    if chosen.is_empty() { Err(SyncError::UnknownOrg(org.to_string())) } else { Ok(chosen) }
}

/// Adds what one org's sync did.
fn merge(summary: &mut Summary, part: Summary) {
    if rank(&part.status) >= rank(&summary.status) {
        summary.status = part.status;
    }
    if summary.orgs.is_empty() {
        summary.sync = part.sync;
        summary.epoch = part.epoch;
        summary.seq = part.seq;
    }
    if summary.code.is_none() {
        summary.code = part.code;
        summary.temporary = part.temporary;
        summary.reason = part.reason;
    }
    summary.advice.extend(part.advice);
    summary.digest_equal &= part.digest_equal;
    summary.compared |= part.compared;
    if let Some(more) = part.comparison {
        summary.comparison.get_or_insert_default().add(more);
    }
    if part.proof != "digest" {
        summary.proof = part.proof;
    }
    for (entity_type, counts) in part.types {
        let sum = summary.types.entry(entity_type).or_default();
        sum.created += counts.created;
        sum.updated += counts.updated;
        sum.removed += counts.removed;
        sum.unchanged += counts.unchanged;
    }
    let (sum, more) = (&mut summary.deliveries, part.deliveries);
    sum.fetched += more.fetched;
    sum.compiled += more.compiled;
    sum.bytes += more.bytes;
    sum.files += more.files;
    sum.chunks += more.chunks;
    sum.failed += more.failed;
    sum.seconds += more.seconds;
    let (sum, more) = (&mut summary.results, part.results);
    sum.sent += more.sent;
    sum.duplicate += more.duplicate;
    sum.refused += more.refused;
    sum.conflict += more.conflict;
    sum.pending += more.pending;
    summary.clock_ahead = part.clock_ahead.or(summary.clock_ahead);
    summary.line_speed = part.line_speed.or(summary.line_speed);
    summary.held_removals += part.held_removals;
    summary.held.extend(part.held);
    summary.requests += part.requests;
    summary.bytes_down += part.bytes_down;
    summary.bytes_up += part.bytes_up;
    summary.bytes_proof += part.bytes_proof;
    summary.bytes_socket += part.bytes_socket;
    summary.orgs.extend(part.orgs);
}

/// The worst of all orgs' outcomes is that of the sync.
fn rank(status: &str) -> u8 {
    match status {
        "failed" => 2,
        "partial" => 1,
        _ => 0,
    }
}
