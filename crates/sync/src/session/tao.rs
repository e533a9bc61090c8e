//! The sync of one org with a TAO central: the same steps and the same record as with one of ours, with what TAO can prove.

use std::collections::BTreeMap;
use std::time::Instant;

use taosync_model::EntityType;
use taosync_store::history::NewRun;
use taosync_store::replica::{Learned, ReplicaScope, Verdict};
use taosync_store::{Durability, Store};

use super::run::{Mode, Plan, What};
use super::summary::{OrgSummary, Progress, ResultCounts, Summary, TypeCounts};
use super::{SyncError, held, org, report};
use crate::down::{apply, guard};
use crate::tao_remote::link::{Caller, TaoLink};
use crate::tao_remote::{Work, confirm, hand_in, pull};
use crate::up::UpOutcome;

/// Counts the syncs with TAO centrals, as a TAO box does.
const SYNC_NO: &str = "tao_sync_no";

/// What was done so far; told truly also when a later step fails.
#[derive(Default)]
struct Done {
    pulled: Option<pull::Pulled>,
    results: Option<UpOutcome>,
    would: BTreeMap<EntityType, TypeCounts>,
    pending_before: u64,
}

/// Syncs one org and keeps the record, also when it fails half-way.
pub(super) async fn sync(
    store: &Store,
    plan: &Plan,
    replica: &ReplicaScope,
    version: &str,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Summary, SyncError> {
    let since = Instant::now();
    let identity = store.identity().await?;
    let id = store.clock().new_id();
    if plan.mode == Mode::Apply {
        let what = plan.what.as_str();
        let run = NewRun { id, node: identity.node, org: &replica.org, actor: &plan.actor, what };
        store.sync_begin(&run).await?;
    }
    let caller = Caller::new(&replica.org, sync_no(store, plan.mode).await?, identity.node, version);
    let transport = org::transport(store, replica, &plan.version, plan.proxy.as_deref()).await?;
    let link = TaoLink::new(transport, caller, plan.patience);
    if let Some(kept) = store.access_kept(replica.id).await? {
        link.take_up(&kept).await;
    }
    let mut done = Done::default();
    let work = Work { store, link: &link, replica, plan, progress };
    let result = steps(work, &mut done).await;
    if plan.mode == Mode::Apply
        && let Some(token) = link.to_keep().await
    {
        store.access_keep(replica.id, &token).await?;
    }
    let replica = store.replica_again(replica.id).await?;
    let mut summary = done.summary(&replica);
    summary.sync = id;
    if let Err(error) = &result {
        summary.code = Some(error.code().to_owned());
        summary.temporary = error.is_temporary();
        summary.reason = Some(org::in_words(error));
        summary.proof = "none".to_owned();
    }
    if summary.held_removals > 0 {
        summary.held = held::groups(store).await?.into_iter().filter(|group| group.org == replica.org).collect();
    }
    advise(&mut summary, &done);
    summary.status = status_of(&summary, &done).to_owned();
    if plan.mode == Mode::Apply {
        confirm::tell(store, &link, &summary).await;
    }
    summary.seconds = since.elapsed().as_secs_f64();
    let traffic = link.transport().traffic();
    if plan.mode == Mode::Apply {
        report::close(store, &mut summary, traffic).await?;
    } else {
        report::count(&mut summary, traffic);
    }
    Ok(summary)
}

/// The number of this sync. A dry run takes none: it shows the one that would be next.
async fn sync_no(store: &Store, mode: Mode) -> Result<i64, SyncError> {
    if mode == Mode::DryRun {
        let last = store.setting_get(SYNC_NO).await?.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        return Ok(last + 1);
    }
    let mut tx = store.write("tao_sync_no", Durability::Flushed).await?;
    let number = tx.setting_add(SYNC_NO, 1).await?;
    tx.commit().await?;
    Ok(number)
}

async fn steps(work: Work<'_>, done: &mut Done) -> Result<(), SyncError> {
    let Work { store, link, replica, plan, .. } = work;
    if plan.what != What::Data {
        done.pending_before = store.outbox_waiting(&replica.org, &plan.up.states).await?.due;
    }
    let version = &link.caller().version;
    let supported = link.versions().await?;
    if !supported.contains(version) {
        return Err(SyncError::TaoVersion { ours: version.clone(), theirs: supported.join(", ") });
    }
    if plan.mode == Mode::DryRun {
        return dry_run(work, done).await;
    }
    if plan.what != What::Data {
        results(work, done).await?;
    }
    if plan.what != What::Results {
        data(work, done).await?;
    }
    Ok(())
}

async fn results(work: Work<'_>, done: &mut Done) -> Result<(), SyncError> {
    (work.progress)(Progress::Phase("handing in results".into()));
    let outcome = done.results.insert(UpOutcome::default());
    let result = hand_in::push(work, outcome).await;
    let waiting = work.store.outbox_waiting(&work.replica.org, &work.plan.up.states).await?;
    (outcome.pending, outcome.kept_back) = (waiting.due, waiting.kept_back);
    result
}

async fn data(work: Work<'_>, done: &mut Done) -> Result<(), SyncError> {
    let Work { store, replica, plan, .. } = work;
    (work.progress)(Progress::Phase("receiving data".into()));
    if plan.removals == guard::Removals::Accepted {
        store.removals_accept(replica.id, &plan.types).await?;
    }
    let replica = &store.replica_again(replica.id).await?;
    let pulled = done.pulled.insert(pull::pull(Work { replica, ..work }).await?);
    let learned = Learned {
        epoch: None,
        step: None,
        compared: plan.types.is_empty(),
        safe_receipt_no: 0,
        top_receipt_no: 0,
        verdict: match pulled.is_proven {
            _ if !plan.types.is_empty() => Verdict::Open,
            true => Verdict::Equal(store.clock().now()),
            false => Verdict::Unequal,
        },
    };
    Ok(store.replica_finish(replica.id, &learned).await?)
}

async fn dry_run(work: Work<'_>, done: &mut Done) -> Result<(), SyncError> {
    if work.plan.what == What::Results {
        return Ok(());
    }
    for (entity_type, (differences, held)) in pull::look_ahead(work).await? {
        let updated = differences.ask.len() - differences.new;
        let counts = TypeCounts {
            created: differences.new as u64,
            updated: updated as u64,
            removed: differences.gone.len() as u64,
            unchanged: held.saturating_sub(updated + differences.gone.len()) as u64,
        };
        done.would.insert(entity_type, counts);
    }
    Ok(())
}

impl Done {
    fn summary(&self, replica: &ReplicaScope) -> Summary {
        let seq: BTreeMap<EntityType, i64> = replica.types.iter().map(|(t, s)| (*t, s.seq)).collect();
        let org = OrgSummary {
            org: replica.org.clone(),
            epoch: None,
            seq: seq.clone(),
            digests: apply::digests(replica),
            digest_equal: false,
            counts: replica.types.iter().map(|(t, s)| (*t, s.count)).collect(),
        };
        let proof = if self.pulled.as_ref().is_some_and(|pulled| pulled.is_proven) { "listing" } else { "none" };
        Summary {
            seq,
            proof: proof.to_owned(),
            types: self.types(replica),
            deliveries: self.pulled.as_ref().map(|pulled| org::delivery_counts(&pulled.fetched)).unwrap_or_default(),
            results: self.result_counts(),
            held_removals: self.pulled.as_ref().map_or(0, |pulled| pulled.held),
            orgs: vec![org],
            ..Summary::default()
        }
    }

    fn types(&self, replica: &ReplicaScope) -> BTreeMap<EntityType, TypeCounts> {
        let counts = |entity_type: EntityType| {
            if let Some(would) = self.would.get(&entity_type) {
                return *would;
            }
            let effect = self.pulled.as_ref().and_then(|pulled| pulled.effect.get(&entity_type));
            let effect = effect.copied().unwrap_or_default();
            let held = replica.types.get(&entity_type).map_or(0, |state| state.count.unsigned_abs());
            TypeCounts {
                created: effect.created,
                updated: effect.updated,
                removed: effect.removed,
                unchanged: held.saturating_sub(effect.created + effect.updated),
            }
        };
        EntityType::FEED.into_iter().map(|entity_type| (entity_type, counts(entity_type))).collect()
    }

    fn result_counts(&self) -> ResultCounts {
        let waiting = ResultCounts { pending: self.pending_before, ..ResultCounts::default() };
        self.results.as_ref().map_or(waiting, |outcome| ResultCounts {
            sent: outcome.sent,
            refused: outcome.refused,
            pending: outcome.pending,
            ..ResultCounts::default()
        })
    }
}

/// Data that could not be shown to be what central lists are not a success.
fn status_of(summary: &Summary, done: &Done) -> &'static str {
    match report::status_of(summary) {
        "success" if done.pulled.as_ref().is_some_and(|pulled| !pulled.is_proven) => "partial",
        status => status,
    }
}

/// What a person should do after this sync.
fn advise(summary: &mut Summary, done: &Done) {
    for group in &summary.held {
        summary.advice.push(format!(
            "central's list no longer has {}: they are kept. A TAO central cannot say whether that is meant; ask the office, and if it is, run 'taosync sync data --accept-removals'",
            group.to_text()
        ));
    }
    if let Some(pulled) = &done.pulled {
        summary.advice.extend(pulled.doubts.iter().map(|doubt| format!("{doubt}; sync again")));
        summary
            .advice
            .extend(pulled.fetched.failed.iter().map(|(uri, reason)| format!("test {uri} is not ready: {reason}")));
        let has_center = summary.orgs.iter().any(|org| org.counts.get(&EntityType::TestCenter).is_some_and(|n| *n > 0));
        if !has_center {
            summary.advice.push(
                "central lists no test center: if its data are kept by organisation, import it again with the right --organisation-id"
                    .to_owned(),
            );
        }
    }
    if summary.results.refused > 0 {
        summary.advice.push(format!(
            "central did not take {} results; they stay here and are sent again, see 'taosync results list'",
            summary.results.refused
        ));
    }
}
