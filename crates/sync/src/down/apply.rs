//! Applying a stream of feed frames: frames become chunks, each applied with its positions in one transaction; at the end
//! both sides' digests are compared. The stream is the answer to a feed request or to a comparison.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use taosync_model::canonical::DIGEST_VERSION;
use taosync_model::{Digest, EntityType, OrgId};
use taosync_store::Store;
use taosync_store::replica::{Chunk, ChunkEffect, HeldWeight, Link as LinkRow, ReplicaScope};
use taosync_wire::v1::feed::{End, FeedFrame, Hello};

use super::compare::Comparison;
use super::guard::{Guard, Removals};
use super::read;
use super::showing::Showing;
use crate::link::{Frames, LinkError};
use crate::session::{Progress, SyncError};

/// Plain bytes of a chunk at most, whatever the number of rows: bounds memory and what is lost by a kill.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Memory of a row besides its texts, about.
const ROW_BYTES: usize = 256;

/// What to pull, and how.
#[derive(Clone, Debug)]
pub struct PullPlan {
    /// Types wanted; all when empty. Classes always come.
    pub types: Vec<EntityType>,
    /// A person's word about large removals.
    pub removals: Removals,
    /// Rows of a chunk at most.
    pub chunk_size: usize,
    /// What this machine shows of itself.
    pub showing: Showing,
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
    /// Removals that wait for a person.
    pub held: u64,
    /// Whether the digests differ only because of these.
    pub differs_by_held: bool,
    /// What comparing took, when positions could not be trusted or the digests differed.
    pub comparison: Option<Comparison>,
    /// Seconds this machine's clock is ahead of central's.
    pub clock_ahead: i64,
    /// When the digests were equal.
    pub verified_at: Option<Timestamp>,
}

/// What a stream of feed frames answers.
#[derive(Clone, Copy)]
pub(super) enum Stream<'a> {
    /// A feed request: positions move with the rows.
    Feed,
    /// A comparison: a link that only local has is found by its hash. Positions hold at the end and not before: until
    /// then, what is here is compared again.
    Comparison(&'a (dyn Fn(&Digest) -> Option<LinkRow> + Send + Sync)),
}

/// Applies a stream of feed frames.
pub(super) async fn apply(
    store: &Store,
    replica: &ReplicaScope,
    plan: &PullPlan,
    types: &[EntityType],
    mut frames: Frames<FeedFrame>,
    progress: &(dyn Fn(Progress) + Send + Sync),
    stream: Stream<'_>,
) -> Result<Pulled, SyncError> {
    let hello = first_frame(&mut frames).await?;
    let clock_ahead = store.clock().now().as_second() - hello.time.as_second();
    check_hello(&hello)?;
    look_back(store, replica, &hello).await?;
    store.replica_begin(replica.id, hello.epoch).await?;
    let mut applier = Applier {
        store,
        scope: replica.id,
        guard: Guard::new(plan.removals, &hello, replica, &store.removals_tally(replica.id).await?),
        chunk: Chunk::default(),
        rows: 0,
        bytes: 0,
        effect: ChunkEffect::new(),
        counted: HashSet::new(),
        done: 0,
        expected: hello
            .counts
            .values()
            .map(|c| c.upserts.unsigned_abs().saturating_add(c.removals.unsigned_abs()))
            .fold(0, u64::saturating_add),
        progress,
    };
    let end = applier.read(&mut frames, plan.chunk_size, stream).await?;
    if types.iter().any(|t| !end.types.contains_key(t)) {
        return Err(LinkError::Protocol("the end of the feed leaves a type out".into()).into());
    }
    for (&entity_type, state) in &end.types {
        applier.chunk.positions.insert(entity_type, state.seq);
    }
    applier.apply().await?;
    applier.let_go(types).await?;
    let effect = applier.effect;
    let now = store.replica_again(replica.id).await?;
    let (equal, differs_by_held) = weigh(store, &now, &end).await?;
    let held = store.removals_held_count(replica.id).await?;
    let verified_at = equal.then(|| store.clock().now());
    Ok(Pulled { effect, hello, end, equal, held, differs_by_held, comparison: None, clock_ahead, verified_at })
}

/// Central's first frame.
pub(super) async fn first_frame(frames: &mut Frames<FeedFrame>) -> Result<Hello, SyncError> {
    match frames.next().await? {
        Some((FeedFrame::Hello(hello), _)) => Ok(*hello),
        Some((FeedFrame::Failed(problem), _)) => Err(LinkError::Problem(problem).into()),
        _ => Err(LinkError::Protocol("the feed does not begin with hello".into()).into()),
    }
}

fn check_hello(hello: &Hello) -> Result<(), SyncError> {
    if hello.digest_version != DIGEST_VERSION {
        return Err(SyncError::Version(format!(
            "central computes digests in version {}, this program in version {DIGEST_VERSION}",
            hello.digest_version
        )));
    }
    OrgId::new(hello.org.as_str()).map_err(|e| LinkError::Protocol(e.to_string()))?;
    Ok(())
}

/// Notices a central that was restored: another history than our positions belong to, or fewer receipts than it has
/// given us. What it may have lost waits again before anything else is noted, so a crash in between cannot hide it.
async fn look_back(store: &Store, replica: &ReplicaScope, hello: &Hello) -> Result<(), SyncError> {
    if replica.epoch.is_some_and(|known| known != hello.epoch) {
        store.outbox_offer_older_epochs(&replica.org, hello.central, hello.epoch).await?;
    }
    let newest = store.receipt_newest(&replica.org).await?.filter(|mark| mark.is_of(hello.epoch));
    // In one history what is safe never shrinks.
    let is_less_safe = replica.epoch == Some(hello.epoch) && hello.safe_receipt_no < replica.safe_receipt_no;
    let newest = newest.map_or(0, |mark| mark.receipt_no);
    if !is_less_safe && hello.top_receipt_no >= replica.top_receipt_no.max(newest) {
        return Ok(());
    }
    let offered = store.central_went_back(&replica.org).await?;
    Err(SyncError::WentBack { offered })
}

/// Compares every type of the end with what is here: whether all are equal, and if not, whether nothing but removals
/// that wait for a person makes the difference.
async fn weigh(store: &Store, replica: &ReplicaScope, end: &End) -> Result<(bool, bool), SyncError> {
    let weights = store.removals_weight(replica.id).await?;
    let is_same = |t: &EntityType, held: Option<&HeldWeight>| {
        replica.types.get(t).zip(end.types.get(t)).is_some_and(|(ours, theirs)| {
            let (mut digest, mut count) = (ours.digest, ours.count);
            if let Some(held) = held {
                digest.remove(held.digest.to_digest());
                count -= held.count;
            }
            digest.to_digest() == theirs.digest && count == theirs.count && ours.seq == theirs.seq
        })
    };
    let settled: Vec<EntityType> = end.types.keys().copied().filter(|t| is_same(t, None)).collect();
    if !weights.is_empty() {
        store.removals_settle(replica.id, &settled).await?;
    }
    let equal = settled.len() == end.types.len();
    let by_held = !equal && end.types.keys().all(|t| settled.contains(t) || is_same(t, weights.get(t)));
    Ok((equal, by_held))
}

/// Digest per type of a replica.
pub fn digests(replica: &ReplicaScope) -> BTreeMap<EntityType, Digest> {
    replica.types.iter().map(|(t, state)| (*t, state.digest.to_digest())).collect()
}

/// Memory that a word takes besides its body; links have everything in the header.
fn header_bytes(frame: &FeedFrame) -> usize {
    ROW_BYTES
        + match frame {
            FeedFrame::Link(link) => link.owner.len() + link.predicate.len() + link.value.text.len(),
            FeedFrame::Remove(remove) => remove.uri.len(),
            _ => 0,
        }
}

/// Gathers frames into chunks.
struct Applier<'a> {
    store: &'a Store,
    scope: i64,
    guard: Guard,
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
    /// Reads and applies everything up to the end.
    async fn read(
        &mut self,
        frames: &mut Frames<FeedFrame>,
        chunk_size: usize,
        stream: Stream<'_>,
    ) -> Result<End, SyncError> {
        loop {
            let frame = match (frames.next().await, stream) {
                (Err(cut), Stream::Comparison(_)) => {
                    // What arrived is right by itself, and is not asked for again.
                    self.apply().await?;
                    return Err(cut.into());
                }
                (frame, _) => frame?,
            };
            match (frame, stream) {
                (Some((FeedFrame::Checkpoint(checkpoint), _)), Stream::Feed) => {
                    self.chunk.positions.insert(checkpoint.entity_type, checkpoint.seq);
                    if self.rows >= chunk_size || self.bytes >= CHUNK_BYTES {
                        self.apply().await?;
                    }
                }
                (Some((FeedFrame::Checkpoint(_), _)), Stream::Comparison(_)) => {}
                (Some((FeedFrame::Unlink(unlink), _)), Stream::Comparison(link_of)) => {
                    self.take_link(link_of(&unlink.member)).await?;
                }
                (Some((FeedFrame::End(end), _)), _) => return Ok(end),
                (Some((FeedFrame::Failed(problem), _)), _) => {
                    self.apply().await?;
                    return Err(LinkError::Problem(problem).into());
                }
                (Some((frame, body)), _) => self.take(frame, body).await?,
                (None, _) => return Err(LinkError::Protocol("the feed has no end".into()).into()),
            }
            if matches!(stream, Stream::Comparison(_)) && (self.rows >= chunk_size || self.bytes >= CHUNK_BYTES) {
                self.apply().await?;
            }
        }
    }

    async fn take(&mut self, frame: FeedFrame, body: Vec<u8>) -> Result<(), SyncError> {
        self.bytes += body.len() + header_bytes(&frame);
        self.guard.saw(&frame);
        read::add(&mut self.chunk, frame, body)?;
        self.taken().await
    }

    async fn take_link(&mut self, link: Option<LinkRow>) -> Result<(), SyncError> {
        let Some(link) = link else { return Ok(()) };
        self.bytes += ROW_BYTES + link.owner.len() + link.predicate.len() + link.value.text.len();
        self.chunk.links.push(link);
        self.taken().await
    }

    async fn taken(&mut self) -> Result<(), SyncError> {
        self.rows += 1;
        if self.bytes >= 4 * CHUNK_BYTES {
            // Checkpoints too far apart: what came is applied without one, and comes again after a cut.
            self.apply().await?;
        }
        Ok(())
    }

    async fn apply(&mut self) -> Result<(), SyncError> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.positions.is_empty() && self.rows == 0 {
            return Ok(());
        }
        // Test takers own no links but in odd cases; remembering all of them would cost memory for nothing.
        let owners = chunk.upserts.iter().filter(|u| u.entity_type != EntityType::TestTaker);
        self.counted.extend(owners.map(|u| (u.entity_type, u.uri.clone())));
        let applied = self.store.replica_apply(self.scope, chunk, self.guard.rules()).await?;
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

    /// At the end of the stream: applies held removals that central has approved or that are few after all.
    async fn let_go(&mut self, types: &[EntityType]) -> Result<(), SyncError> {
        if self.store.removals_waiting(self.scope).await? {
            let tally = self.store.removals_tally(self.scope).await?;
            let free = self.guard.free(types, &tally, &self.effect);
            let gone = self.store.removals_apply(self.scope, &free).await?;
            add(&mut self.effect, &gone);
        }
        Ok(())
    }
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
