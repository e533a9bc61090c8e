//! Local's side of the feed: frames become chunks, each applied with its positions in one transaction; at the end both
//! sides' digests are compared.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use taosync_model::canonical::DIGEST_VERSION;
use taosync_model::{Digest, EntityType, OrgId};
use taosync_store::Store;
use taosync_store::replica::{Chunk, ChunkEffect, Link as LinkRow, RemovalRule, ReplicaScope};
use taosync_wire::v1;
use taosync_wire::v1::feed::{Ahead, End, FeedFrame, Hello, Unlink};

use super::guard::{self, Removals};
use super::{compare, read};
use crate::link::{Frames, Link, LinkError, Request};
use crate::session::{Progress, SyncError};

/// Plain bytes of a chunk at most, whatever the number of rows: bounds memory and what is lost by a kill.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// What to pull, and how.
#[derive(Clone, Debug)]
pub struct PullPlan {
    /// Types wanted; all when empty. Classes always come.
    pub types: Vec<EntityType>,
    /// A person's word about large removals.
    pub removals: Removals,
    /// Rows of a chunk at most.
    pub chunk_size: usize,
}

/// What a pull did.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Per type.
    pub effect: ChunkEffect,
    /// Central's first frame.
    pub hello: Hello,
    /// Central's last frame.
    pub end: End,
    /// Whether the digests were equal for every type asked for.
    pub equal: bool,
    /// Types whose digests differ only because removals wait for a person.
    pub held: u64,
    /// Whether positions could not be trusted and both sides compared everything.
    pub compared: bool,
    /// Seconds this machine's clock is ahead of central's.
    pub clock_ahead: i64,
    /// When the digests were equal.
    pub verified_at: Option<Timestamp>,
}

/// Pulls what is new for an org.
pub async fn pull(
    store: &Store,
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Pulled, SyncError> {
    let first = match feed(store, link, replica, plan, progress).await {
        Err(SyncError::Link(LinkError::Problem(problem))) if needs_comparison(&problem.code) => {
            return compare::run(store, link, replica, plan, progress).await;
        }
        other => other?,
    };
    if first.equal || first.held > 0 {
        return Ok(first);
    }
    let replica = store.replica_again(replica.id).await?;
    let mut second = compare::run(store, link, &replica, plan, progress).await?;
    if !second.equal && second.held == 0 {
        // Central's data changed while both sides compared: the feed brings what is new since.
        let replica = store.replica_again(replica.id).await?;
        let third = feed(store, link, &replica, plan, progress).await?;
        let before = std::mem::replace(&mut second, third);
        add(&mut second.effect, &before.effect);
    }
    add(&mut second.effect, &first.effect);
    Ok(second)
}

fn needs_comparison(code: &str) -> bool {
    matches!(code, "epoch_unknown" | "cursor_ahead" | "cursor_too_old")
}

pub(super) fn add(effect: &mut ChunkEffect, more: &ChunkEffect) {
    for (entity_type, tally) in more {
        let sum = effect.entry(*entity_type).or_default();
        sum.created += tally.created;
        sum.updated += tally.updated;
        sum.removed += tally.removed;
        sum.unchanged += tally.unchanged;
    }
}

/// Types of the request: classes come with any of them.
pub(super) fn wanted_types(plan: &PullPlan) -> Vec<EntityType> {
    if plan.types.is_empty() {
        return EntityType::FEED.to_vec();
    }
    EntityType::FEED.into_iter().filter(|t| *t == EntityType::Class || plan.types.contains(t)).collect()
}

pub(super) fn types_text(types: &[EntityType]) -> String {
    types.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(",")
}

async fn feed(
    store: &Store,
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Pulled, SyncError> {
    let types = wanted_types(plan);
    let request = feed_request(replica, &types);
    let frames = link.send(request).await?.frames::<FeedFrame>()?;
    receive(store, replica, plan, &types, frames, progress).await
}

/// How much would come, by central's first frame; nothing is applied.
pub async fn look_ahead(
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
) -> Result<BTreeMap<EntityType, Ahead>, SyncError> {
    let request = feed_request(replica, &wanted_types(plan));
    match link.send(request).await?.frames::<FeedFrame>()?.next().await? {
        Some((FeedFrame::Hello(hello), _)) => Ok(hello.counts),
        Some((FeedFrame::Failed(problem), _)) => Err(LinkError::Problem(problem).into()),
        _ => Err(LinkError::Protocol("the feed does not begin with hello".into()).into()),
    }
}

fn feed_request(replica: &ReplicaScope, types: &[EntityType]) -> Request {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let mut after = replica.positions();
    after.0.retain(|t, seq| *seq > 0 && types.contains(t));
    if let Some(epoch) = replica.epoch {
        query.append_pair("epoch", &epoch.simple().to_string());
    }
    query.append_pair("after", &after.to_text());
    if types.len() < EntityType::FEED.len() {
        query.append_pair("types", &types_text(types));
    }
    let mut request = Request::get(format!("{}?{}", v1::PATH_FEED, query.finish()));
    if let Some(continuation) = &replica.continuation {
        request = request.header(v1::CONTINUATION, continuation.clone());
    }
    request
}

async fn receive(
    store: &Store,
    replica: &ReplicaScope,
    plan: &PullPlan,
    types: &[EntityType],
    frames: Frames<FeedFrame>,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Pulled, SyncError> {
    receive_with(store, replica, plan, types, frames, progress, &|_| None).await
}

/// Applies a stream of feed frames: the answer to a feed request, or to a comparison, where `link_of` finds a link by
/// its hash.
pub(super) async fn receive_with(
    store: &Store,
    replica: &ReplicaScope,
    plan: &PullPlan,
    types: &[EntityType],
    mut frames: Frames<FeedFrame>,
    progress: &(dyn Fn(Progress) + Send + Sync),
    link_of: &(dyn Fn(Unlink) -> Option<LinkRow> + Send + Sync),
) -> Result<Pulled, SyncError> {
    let hello = match frames.next().await? {
        Some((FeedFrame::Hello(hello), _)) => *hello,
        Some((FeedFrame::Failed(problem), _)) => return Err(LinkError::Problem(problem).into()),
        _ => return Err(LinkError::Protocol("the feed does not begin with hello".into()).into()),
    };
    let clock_ahead = store.clock().now().as_second() - hello.time.as_second();
    check_hello(replica, &hello)?;
    store.replica_begin(replica.id, hello.epoch).await?;
    let mut applier = Applier {
        store,
        scope: replica.id,
        rules: guard::rules(plan.removals, &hello, replica, &held_types(store, replica).await?),
        chunk: Chunk::default(),
        rows: 0,
        bytes: 0,
        effect: ChunkEffect::new(),
        counted: HashSet::new(),
        done: 0,
        expected: hello.counts.values().map(|c| (c.upserts + c.removals).unsigned_abs()).sum(),
        progress,
    };
    let end = loop {
        match frames.next().await? {
            Some((FeedFrame::Checkpoint(checkpoint), _)) => {
                applier.chunk.positions.insert(checkpoint.entity_type, checkpoint.seq);
                if applier.rows >= plan.chunk_size || applier.bytes >= CHUNK_BYTES {
                    applier.apply().await?;
                }
            }
            Some((FeedFrame::Unlink(unlink), _)) => applier.chunk.links.extend(link_of(unlink)),
            Some((FeedFrame::End(end), _)) => break end,
            Some((FeedFrame::Failed(problem), _)) => {
                applier.apply().await?;
                return Err(LinkError::Problem(problem).into());
            }
            Some((frame, body)) => {
                applier.take(frame, body)?;
                if applier.bytes >= 4 * CHUNK_BYTES {
                    // Checkpoints too far apart: what came is applied without one, and comes again after a cut.
                    applier.apply().await?;
                }
            }
            None => return Err(LinkError::Protocol("the feed has no end".into()).into()),
        }
    };
    if types.iter().any(|t| !end.types.contains_key(t)) {
        return Err(LinkError::Protocol("the end of the feed leaves a type out".into()).into());
    }
    for (&entity_type, state) in &end.types {
        applier.chunk.positions.insert(entity_type, state.seq);
    }
    applier.apply().await?;
    let effect = applier.effect;
    let now = store.replica_again(replica.id).await?;
    let held = store.removals_held_count(replica.id).await?;
    let equal = digests_equal(&now, &end);
    let verified_at = equal.then(|| store.clock().now());
    Ok(Pulled { effect, hello, end, equal, held, compared: false, clock_ahead, verified_at })
}

fn check_hello(replica: &ReplicaScope, hello: &Hello) -> Result<(), SyncError> {
    if hello.digest_version != DIGEST_VERSION {
        return Err(SyncError::Version(format!(
            "central computes digests in version {}, this program in version {DIGEST_VERSION}",
            hello.digest_version
        )));
    }
    if hello.top_receipt_no < replica.top_receipt_no {
        return Err(SyncError::WentBack { held: replica.top_receipt_no, shown: hello.top_receipt_no });
    }
    OrgId::new(hello.org.as_str()).map_err(|e| LinkError::Protocol(e.to_string()))?;
    Ok(())
}

/// Whether every type of the end has the digest and count that local has.
fn digests_equal(replica: &ReplicaScope, end: &End) -> bool {
    end.types.iter().all(|(t, theirs)| {
        replica.types.get(t).is_some_and(|ours| {
            ours.digest.to_digest() == theirs.digest && ours.count == theirs.count && ours.seq == theirs.seq
        })
    })
}

/// Types of which removals wait for a person.
async fn held_types(store: &Store, replica: &ReplicaScope) -> Result<BTreeSet<EntityType>, SyncError> {
    let held = store.removals_held().await?;
    Ok(held.into_iter().filter(|h| h.org == replica.org).map(|h| h.entity_type).collect())
}

/// Digest per type of a replica.
pub fn digests(replica: &ReplicaScope) -> BTreeMap<EntityType, Digest> {
    replica.types.iter().map(|(t, state)| (*t, state.digest.to_digest())).collect()
}

/// Gathers frames into chunks.
struct Applier<'a> {
    store: &'a Store,
    scope: i64,
    rules: BTreeMap<EntityType, RemovalRule>,
    chunk: Chunk,
    rows: usize,
    bytes: usize,
    effect: ChunkEffect,
    /// Owners of links that are counted already, as new or as changed.
    counted: HashSet<(EntityType, String)>,
    done: u64,
    expected: u64,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Applier<'_> {
    fn take(&mut self, frame: FeedFrame, body: Vec<u8>) -> Result<(), LinkError> {
        self.rows += 1;
        self.bytes += body.len() + 256;
        read::add(&mut self.chunk, frame, body)
    }

    async fn apply(&mut self) -> Result<(), SyncError> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.positions.is_empty() && self.rows == 0 {
            return Ok(());
        }
        // Test takers own no links but in odd cases; remembering all of them would cost memory for nothing.
        let owners = chunk.upserts.iter().filter(|u| u.entity_type != EntityType::TestTaker);
        self.counted.extend(owners.map(|u| (u.entity_type, u.uri.clone())));
        let applied = self.store.replica_apply(self.scope, chunk, &self.rules).await?;
        add(&mut self.effect, &applied.effect);
        for owner in applied.link_owners {
            let entity_type = owner.0;
            if self.counted.insert(owner) {
                self.effect.entry(entity_type).or_default().updated += 1;
            }
        }
        self.done += std::mem::take(&mut self.rows) as u64;
        self.bytes = 0;
        (self.progress)(Progress::Entities { done: self.done, of: self.expected.max(self.done) });
        Ok(())
    }
}
