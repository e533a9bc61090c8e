//! The sync of one org: results first, so that nothing that is finished waits for a long download.

use std::collections::BTreeMap;
use std::time::Instant;

use taosync_model::{EntityType, OrgId};
use taosync_store::Store;
use taosync_store::history::NewRun;
use taosync_store::packages::PackageState;
use taosync_store::replica::{Learned, ReplicaScope, Verdict};
use taosync_vault::tls::{Fingerprint, Pin};
use url::Url;

use super::error::Divergence;
use super::run::{Mode, Plan, What};
use super::summary::{DeliveryCounts, OrgSummary, Progress, ResultCounts, Summary, TypeCounts};
use super::{SyncError, held, report, summary};
use crate::down::apply::{self, PullPlan, Pulled};
use crate::down::pull;
use crate::down::showing::Showing;
use crate::link::{Address, Caller, Central, Link, LinkError};
use crate::packages::FetchOutcome;
use crate::packages::ahead::look_ahead;
use crate::packages::fetch;
use crate::up::{self, UpError, UpOutcome};

/// The code of [`SyncError::Diverged`].
const DIVERGED: &str = "TS-311";
/// Below this many bytes the line's speed cannot be said.
const MEASURABLE_BYTES: u64 = 256 * 1024;

/// Syncs one org and keeps the record, also when it fails half-way.
pub(super) async fn sync(
    store: &Store,
    plan: &Plan,
    replica: &ReplicaScope,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Summary, SyncError> {
    let since = Instant::now();
    let started_at = store.clock().now();
    let identity = store.identity().await?;
    let id = store.clock().new_id();
    let what = plan.what.as_str();
    let link = link_for(store, replica, &plan.version, plan.proxy.as_deref()).await?.for_sync(id);
    if plan.mode == Mode::Apply {
        let run = NewRun { id, node: identity.node, org: &replica.org, actor: &plan.actor, what };
        store.sync_begin(&run).await?;
    }
    let mut done = Done::default();
    let mut result = steps(store, plan, replica, &link, &mut done, progress).await;
    if matches!(&result, Err(SyncError::Link(LinkError::Renamed) | SyncError::Up(UpError::Link(LinkError::Renamed)))) {
        // The token was kept from before the org got its name; with a new one it is known.
        result = steps(store, plan, replica, &link, &mut done, progress).await;
    }
    if plan.mode == Mode::Apply
        && let Some(access) = link.to_keep().await
    {
        store.access_keep(replica.id, &access).await?;
    }
    let replica = store.replica_again(replica.id).await?;
    let mut summary = done.summary(&replica, &link);
    summary.sync = id;
    if let Err(error) = &result {
        summary.code = Some(error.code().to_owned());
        summary.temporary = error.is_temporary();
        summary.reason = Some(in_words(error));
        summary.digest_equal = false;
    }
    if summary.held_removals > 0 {
        summary.held = held::groups(store).await?.into_iter().filter(|group| group.org == replica.org).collect();
    }
    advise(&mut summary, &done);
    summary.advice.extend(link.clock_ahead().map(summary::clock_advice));
    summary.status = report::status_of(&summary).to_owned();
    summary.seconds = since.elapsed().as_secs_f64();
    if plan.mode == Mode::Apply {
        report::end(store, plan, &replica, &link, &mut summary, started_at).await?;
    }
    Ok(summary)
}

/// The way to the central of a replica.
pub async fn link_for(
    store: &Store,
    replica: &ReplicaScope,
    version: &str,
    proxy: Option<&str>,
) -> Result<Link, SyncError> {
    let link = transport(store, replica, version, proxy).await?;
    if let Some(kept) = store.access_kept(replica.id).await? {
        link.take_up(&kept).await;
    }
    Ok(link)
}

/// The way to the central of a replica, without the token of the last sync.
pub(super) async fn transport(
    store: &Store,
    replica: &ReplicaScope,
    version: &str,
    proxy: Option<&str>,
) -> Result<Link, SyncError> {
    let login = store.remote_login(replica.remote).await?;
    let malformed = |text: &str| LinkError::Request(text.to_owned());
    let url = |text: &str| Url::parse(text).map_err(|_| malformed(text));
    let pins = login.remote.fingerprints().map(|text| text.parse::<Fingerprint>().map(Pin::Whole));
    let pins = pins.collect::<Result<Vec<_>, _>>();
    let central = login.remote.central.zip(login.remote.central_key).map(|(id, key)| Central { id, key });
    let address = Address {
        root: url(&login.remote.root_url)?,
        token: url(&login.remote.token_url)?,
        client_key: login.remote.client_key.clone(),
        secret: login.secret,
        pins: pins.map_err(|_| malformed("a central with a malformed fingerprint"))?,
        central,
        org: Some(replica.org.clone()),
        proxy: proxy.map(ToOwned::to_owned),
    };
    let caller = Caller {
        node: store.identity().await?.node,
        keyring: store.keyring().clone(),
        clock: store.clock().clone(),
        version: version.to_owned(),
    };
    let known = store.replicas_list().await?;
    let served = known.into_iter().filter(|r| r.remote == replica.remote && r.id != replica.id).map(|r| r.org);
    Ok(Link::new(address, caller)?.beside(served.collect()))
}

/// What was done so far; kept outside of the steps, so that a failure half-way is told truly.
#[derive(Default)]
pub(super) struct Done {
    pub pulled: Option<Pulled>,
    pub fetched: Option<FetchOutcome>,
    pub results: Vec<UpOutcome>,
    pub would: BTreeMap<EntityType, TypeCounts>,
    pub pending_before: u64,
    pub pull_seconds: f64,
}

async fn steps(
    store: &Store,
    plan: &Plan,
    replica: &ReplicaScope,
    link: &Link,
    done: &mut Done,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), SyncError> {
    if plan.what != What::Data {
        // Counted before anything can fail: what waits is told also when central is not there.
        done.pending_before = store.outbox_waiting(&replica.org, &plan.up.states).await?.due;
    }
    let access = link.access().await?;
    store.remote_introduce(replica.remote, access.central.id, &access.central.key).await?;
    hear_of_keys(store, replica, link).await?;
    let mut replica = replica.clone();
    if access.org != replica.org {
        store.replica_rename(replica.id, &access.org).await?;
        replica.org = access.org;
    }
    if plan.mode == Mode::DryRun {
        return dry_run(store, plan, &replica, link, done).await;
    }
    if plan.what != What::Data {
        results(store, plan, &replica.org, link, done, progress).await?;
    }
    if plan.what != What::Results {
        let received = data(store, plan, &replica, link, done, progress).await;
        if matches!(received, Err(SyncError::WentBack { .. })) && plan.what == What::All {
            // What central may have lost waits again: it goes up at once, data follow with the next sync.
            results(store, plan, &replica.org, link, done, progress).await?;
        }
        received?;
    }
    if plan.what == What::All && store.outbox_waiting(&replica.org, &plan.up.states).await?.due > 0 {
        results(store, plan, &replica.org, link, done, progress).await?;
    }
    // A kept token may have been replaced on the way.
    hear_of_keys(store, &replica, link).await
}

/// Keeps what central said with a new token: for whom results are sealed from now on, another secret, and the authorities of
/// its certificate.
async fn hear_of_keys(store: &Store, replica: &ReplicaScope, link: &Link) -> Result<(), SyncError> {
    let access = link.access().await?;
    if let Some(recipients) = &access.results {
        store.remote_results(replica.remote, recipients).await?;
    }
    if let Some(secret) = &access.new_secret {
        store.remote_secret(replica.remote, secret).await?;
    }
    if let Some(authorities) = &access.authorities {
        store.remote_authorities(replica.remote, authorities).await?;
    }
    Ok(())
}

async fn results(
    store: &Store,
    plan: &Plan,
    org: &OrgId,
    link: &Link,
    done: &mut Done,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), SyncError> {
    progress(Progress::Phase("handing in results".into()));
    match up::push(store, link, org, &plan.up, progress).await {
        Ok(outcome) => done.results.push(outcome),
        Err(failed) => {
            done.results.push(*failed.outcome);
            return Err(failed.cause.into());
        }
    }
    Ok(())
}

async fn data(
    store: &Store,
    plan: &Plan,
    replica: &ReplicaScope,
    link: &Link,
    done: &mut Done,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), SyncError> {
    progress(Progress::Phase("receiving data".into()));
    if plan.removals == crate::down::guard::Removals::Accepted {
        store.removals_accept(replica.id, &plan.types).await?;
    }
    // What was learned while results were handed in counts already.
    let replica = &store.replica_again(replica.id).await?;
    let showing = Showing::prepare(store, replica).await?;
    let pull_plan = pull_plan(plan, showing);
    let since = Instant::now();
    let pulled = match pull::pull(store, link, replica, &pull_plan, progress).await {
        Err(error) => return Err(settle(store, replica, error).await?),
        Ok(pulled) => pulled,
    };
    done.pull_seconds = since.elapsed().as_secs_f64();
    let (hello, compared) = (pulled.hello.clone(), pulled.comparison.is_some());
    let is_settled = pulled.equal || pulled.differs_by_held;
    done.pulled = Some(pulled);
    if brings_deliveries(plan) {
        let wanted = store.replica_deliveries_of(Some(&replica.org)).await?;
        let outcome = done.fetched.insert(FetchOutcome::default());
        fetch::fetch(store, link, &wanted, plan.patience, outcome, progress).await?;
    }
    let verified_at = done.pulled.as_ref().and_then(|p| p.verified_at);
    let learned = Learned {
        epoch: Some(hello.epoch),
        // A step is taken with a central that was proven to be the one it seems; else the same one is shown again.
        step: is_settled.then_some((&pull_plan.showing.continuation, hello.steps)),
        compared,
        safe_receipt_no: hello.safe_receipt_no,
        top_receipt_no: hello.top_receipt_no,
        verdict: match verified_at {
            _ if !plan.types.is_empty() => Verdict::Open,
            Some(at) => Verdict::Equal(at),
            None => Verdict::Unequal,
        },
    };
    store.replica_finish(replica.id, &learned).await?;
    Ok(())
}

fn brings_deliveries(plan: &Plan) -> bool {
    plan.types.is_empty() || plan.types.contains(&EntityType::Delivery)
}

fn pull_plan(plan: &Plan, showing: Showing) -> PullPlan {
    PullPlan { types: plan.types.clone(), removals: plan.removals, chunk_size: plan.chunk_size, showing }
}

/// Does what central's refusal asks for, and says it in the words of this side.
async fn settle(store: &Store, replica: &ReplicaScope, error: SyncError) -> Result<SyncError, SyncError> {
    let SyncError::Link(LinkError::Problem(problem)) = &error else { return Ok(error) };
    Ok(match problem.code.as_str() {
        "central_went_back" => SyncError::WentBack { offered: store.central_went_back(&replica.org).await? },
        "machine_copied" => SyncError::Diverged(Divergence::Copied),
        "machine_old" => SyncError::Diverged(Divergence::Old),
        _ => error,
    })
}

/// Asks how much would come: the first frame of the feed, and what packages would bring.
async fn dry_run(
    store: &Store,
    plan: &Plan,
    replica: &ReplicaScope,
    link: &Link,
    done: &mut Done,
) -> Result<(), SyncError> {
    if plan.what != What::Results {
        let pull_plan = pull_plan(plan, Showing::look(store, replica).await?);
        for (entity_type, ahead) in pull::look_ahead(store, link, replica, &pull_plan).await? {
            // Central counts words, not what they mean here; where nothing is held yet, every word is about something new.
            let words = ahead.upserts.unsigned_abs();
            let is_new = replica.types.get(&entity_type).is_none_or(|state| state.count == 0);
            let (created, updated) = if is_new { (words, 0) } else { (0, words) };
            let counts = TypeCounts { created, updated, removed: ahead.removals.unsigned_abs(), unchanged: 0 };
            done.would.insert(entity_type, counts);
        }
        if brings_deliveries(plan) {
            let mut wanted = store.replica_deliveries_of(Some(&replica.org)).await?;
            for (uri, delivery) in pull::deliveries_ahead(link, replica, &pull_plan).await? {
                match delivery {
                    Some(delivery) => drop(wanted.insert(uri, delivery)),
                    None => drop(wanted.remove(&uri)),
                }
            }
            done.fetched = Some(look_ahead(store, link, &wanted).await?);
        }
    }
    Ok(())
}

impl Done {
    fn summary(&self, replica: &ReplicaScope, link: &Link) -> Summary {
        let traffic = link.traffic();
        let mut types: BTreeMap<EntityType, TypeCounts> = EntityType::FEED
            .into_iter()
            .map(|t| {
                let counts = self.pulled.as_ref().and_then(|p| p.effect.get(&t)).copied().unwrap_or_default();
                let held = replica.types.get(&t).map_or(0, |s| s.count.unsigned_abs());
                (
                    t,
                    TypeCounts {
                        created: counts.created,
                        updated: counts.updated,
                        removed: counts.removed,
                        unchanged: held.saturating_sub(counts.created + counts.updated),
                    },
                )
            })
            .collect();
        for (entity_type, would) in &self.would {
            types.insert(*entity_type, *would);
        }
        let seq: BTreeMap<EntityType, i64> = replica.types.iter().map(|(t, s)| (*t, s.seq)).collect();
        let digest_equal = self.pulled.as_ref().is_some_and(|p| p.equal);
        let org = OrgSummary {
            org: replica.org.clone(),
            epoch: replica.epoch,
            seq: seq.clone(),
            digests: apply::digests(replica),
            digest_equal,
            counts: replica.types.iter().map(|(t, s)| (*t, s.count)).collect(),
        };
        let proof = match (&self.pulled, self.results.last()) {
            (Some(pulled), _) if pulled.equal => "digest",
            (None, Some(_)) => "receipt",
            _ => "none",
        };
        Summary {
            epoch: replica.epoch,
            seq,
            digest_equal,
            compared: self.pulled.is_some(),
            comparison: self.pulled.as_ref().and_then(|p| p.comparison),
            proof: proof.to_owned(),
            types,
            deliveries: self.deliveries(),
            results: self.result_counts(),
            clock_ahead: self.clock_ahead(link),
            line_speed: self.line_speed(traffic.bytes_down),
            held_removals: self.pulled.as_ref().map_or(0, |p| p.held),
            requests: traffic.requests,
            bytes_down: traffic.bytes_down,
            bytes_up: traffic.bytes_up,
            bytes_proof: traffic.bytes_proof,
            bytes_socket: traffic.bytes_socket,
            orgs: vec![org],
            ..Summary::default()
        }
    }

    /// Seconds this machine is ahead of central, where that was measured.
    pub(super) fn clock_ahead(&self, link: &Link) -> Option<i64> {
        self.pulled.as_ref().map(|pulled| pulled.clock_ahead).or_else(|| link.clock_ahead())
    }

    /// Bytes a second, when enough was received to say.
    fn line_speed(&self, bytes_down: u64) -> Option<u64> {
        let enough = self.pulled.is_some() && bytes_down >= MEASURABLE_BYTES && self.pull_seconds > 0.0;
        enough.then(|| (bytes_down as f64 / self.pull_seconds) as u64)
    }

    fn deliveries(&self) -> DeliveryCounts {
        self.fetched.as_ref().map(delivery_counts).unwrap_or_default()
    }

    fn result_counts(&self) -> ResultCounts {
        let mut counts = ResultCounts { pending: self.pending_before, ..ResultCounts::default() };
        for outcome in &self.results {
            counts.sent += outcome.sent;
            counts.duplicate += outcome.duplicate;
            counts.conflict += outcome.conflict;
        }
        if let Some(last) = self.results.last() {
            counts.refused = last.refused;
            counts.pending = last.pending;
        }
        counts
    }
}

/// What fetching did, in figures.
pub(super) fn delivery_counts(fetched: &FetchOutcome) -> DeliveryCounts {
    DeliveryCounts {
        fetched: fetched.fetched,
        compiled: fetched.compiled,
        bytes: fetched.bytes,
        files: fetched.files,
        chunks: fetched.chunks,
        failed: fetched.failed.len() as u64,
        seconds: fetched.seconds,
    }
}

/// What a person should do after this sync.
fn advise(summary: &mut Summary, done: &Done) {
    for group in &summary.held {
        summary.advice.push(format!(
            "central removed {} and nobody has approved it: they are kept. The office approves with 'taosync scope approve-removals {}' or brings them back; if it cannot be reached and it is meant, run 'taosync sync data --accept-removals'",
            group.to_text(),
            group.org
        ));
    }
    if done.pulled.as_ref().is_some_and(|pulled| !pulled.equal && !pulled.differs_by_held) {
        summary.advice.push(
            "the data here are not yet equal to central's; sync again, and if it stays so, run 'taosync verify' and tell the office"
                .to_owned(),
        );
    }
    if summary.code.as_deref() == Some(DIVERGED) {
        summary.advice.extend([
            "if this is the machine that goes on (restored from a backup, say): 'taosync node adopt', then sync again"
                .to_owned(),
            "if it is a copy of a machine that goes on elsewhere: 'taosync node renew', then sync again".to_owned(),
        ]);
    }
    if done.results.iter().any(|outcome| outcome.went_back) {
        summary.advice.push(
            "central was put back to an older state; what it may have lost was handed in again: tell the office"
                .to_owned(),
        );
    }
    if let Some(fetched) = &done.fetched {
        summary.advice.extend(fetched.failed.iter().map(|(uri, reason)| format!("test {uri} is not ready: {reason}")));
    }
    if summary.results.refused > 0 {
        summary.advice.push(format!(
            "{} results could not be read by central; they stay here, see 'taosync results list'",
            summary.results.refused
        ));
    }
}

/// The error and, for this node's own database, what it said; the network's own words help nobody at the button.
pub(super) fn in_words(error: &SyncError) -> String {
    if matches!(error, SyncError::Link(_)) {
        return error.to_string();
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text} ({more})");
        }
        source = cause.source();
    }
    text
}

/// Packages of these deliveries that are not ready, for the report.
pub(super) async fn not_ready(store: &Store, org: &OrgId) -> Result<(u64, BTreeMap<String, String>), SyncError> {
    let wanted = store.replica_deliveries_of(Some(org)).await?;
    let named = wanted.iter().filter_map(|(uri, entity)| Some((&**uri, entity.package.as_ref()?)));
    let versions: Vec<_> = named.clone().map(|(uri, reference)| (uri, reference.version)).collect();
    let known = store.packages_get(&versions).await?;
    let mut states = BTreeMap::new();
    for (uri, reference) in named {
        let package = known.iter().find(|known| known.delivery == uri && known.version == reference.version);
        if package.is_some_and(|package| package.is_ready_as(reference)) {
            continue;
        }
        // Ready, but not what central has now.
        let state = package.map(|package| package.state).filter(|state| *state != PackageState::Ready);
        states.insert(uri.to_owned(), state.map_or("missing", PackageState::as_str).to_owned());
    }
    Ok((wanted.len() as u64, states))
}
