//! Central's side of the feed: a stream of frames, read from the database page by page while the network takes them.

use std::collections::{BTreeMap, HashSet, VecDeque};

use bytes::Bytes;
use futures_util::Stream;
use serde_json::json;
use taosync_model::canonical::DIGEST_VERSION;
use taosync_model::continuation::{Judgement, Shown};
use taosync_model::receipt_mark::ReceiptMark;
use taosync_model::scope::Positions;
use taosync_model::{EntityType, OrgId};
use taosync_store::audit::AuditEntry;
use taosync_store::feed::{FeedState, Row};
use taosync_store::history::NewRun;
use taosync_store::settings::RECEIPT_NO;
use taosync_store::{Durability, Store, StoreError, Tx};
use taosync_wire::Problem;
use taosync_wire::frame::FrameWriter;
use taosync_wire::v1::feed::{self, Checkpoint, End, FeedFrame, FeedQuery, Hello, TypeEnd};
use uuid::Uuid;

use super::compare::named::Named;

/// Setting that names the newest receipt inside a verified backup or replica.
pub const SAFE_RECEIPT_NO: &str = "safe_receipt_no";
/// Compressed bytes gathered before a piece is handed to the network: about what one zstd block makes of entities, so that
/// a line that is cut has delivered what it could.
const PIECE: usize = 8 * 1024;
/// Closing looks before central gives up on a database that changes faster than the line carries.
const MAX_CLOSINGS: u32 = 1_000;

/// A request for a feed; org and node come from the token.
#[derive(Clone, Debug)]
pub struct OfferRequest {
    /// The org.
    pub org: OrgId,
    /// What was asked.
    pub query: FeedQuery,
    /// What the node shows of itself.
    pub shown: Shown,
    /// The newest receipt it holds.
    pub receipt: Option<ReceiptMark>,
    /// Who asks.
    pub node: Uuid,
    /// The consumer's key, for the record.
    pub actor: String,
    /// The sync the request belongs to.
    pub sync: Option<Uuid>,
    /// Rows between checkpoints.
    pub chunk_size: usize,
}

/// Checks a request and starts the stream. Problems known before the first byte are answered as such.
pub async fn offer(
    store: Store,
    request: OfferRequest,
) -> Result<impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static, Problem> {
    let state = feed_state(&store, &request.org).await?;
    offer_after(store, request, state, BTreeMap::new(), Named::default()).await
}

/// Starts a stream that says first what was asked for by name, of which there is so much, and then what is new.
pub(super) async fn offer_after(
    store: Store,
    request: OfferRequest,
    state: FeedState,
    mut counts: BTreeMap<EntityType, feed::Ahead>,
    named: Named,
) -> Result<impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static, Problem> {
    let types = parse_types(request.query.types.as_deref())?;
    let after = Positions::from_text(&request.query.after)
        .map_err(|e| Problem::new(400, "positions_malformed", e.to_string(), "update taosync on the local side"))?;
    check_positions(&state, &request, &after)?;
    begin_record(&store, &request).await.map_err(internal)?;
    for (entity_type, ahead) in store.feed_ahead(state.scope, &after).await.map_err(internal)? {
        let count = counts.entry(entity_type).or_default();
        count.upserts += ahead.upserts;
        count.removals += ahead.removals;
    }
    counts.retain(|t, count| types.contains(t) && count.upserts + count.removals > 0);
    let hello = hello(&store, &request, &state, counts).await?;
    let walk = Walk::start(store, request, state, after, types, named, &hello).map_err(|e| internal_io(&e))?;
    Ok(futures_util::stream::unfold(walk, Walk::step))
}

/// The state of an org's feed, or the problem that there is none.
pub(super) async fn feed_state(store: &Store, org: &OrgId) -> Result<FeedState, Problem> {
    store.feed_state(org).await.map_err(internal)?.ok_or_else(|| {
        let detail = "this org has no scope at central any more";
        Problem::new(404, "scope_unknown", detail, "ask the office to run 'taosync scope register'")
    })
}

pub(super) fn internal(error: StoreError) -> Problem {
    tracing::error!(%error, "the feed could not be read");
    let temporary = error.is_temporary();
    let (status, code) = if temporary { (503, "busy") } else { (500, "internal") };
    Problem::new(status, code, "central could not read its database", "try again; the office sees why in its log")
}

pub(super) fn internal_io(error: &std::io::Error) -> Problem {
    tracing::error!(%error, "the feed could not be compressed");
    Problem::new(500, "internal", "central could not make the stream", "try again")
}

fn parse_types(text: Option<&str>) -> Result<Vec<EntityType>, Problem> {
    let Some(text) = text else { return Ok(EntityType::FEED.to_vec()) };
    let wanted: HashSet<&str> = text.split(',').take(16).collect();
    let types: Vec<EntityType> = EntityType::FEED.into_iter().filter(|t| wanted.contains(t.as_str())).collect();
    if types.is_empty() || types.len() != wanted.len() {
        return Err(Problem::new(
            400,
            "type_unknown",
            "a type in the request is not known here",
            "see 'taosync sync data --help'",
        ));
    }
    Ok(types)
}

/// Positions of another history, ahead of ours, or behind what we remember cannot be continued from.
fn check_positions(state: &FeedState, request: &OfferRequest, after: &Positions) -> Result<(), Problem> {
    let compare = "compare instead (POST api/v1/compare)";
    let started = after.0.values().any(|&seq| seq > 0);
    if started && request.query.epoch != Some(state.epoch) {
        return Err(Problem::new(
            409,
            "epoch_unknown",
            "central's history is another one than at the last sync",
            compare,
        ));
    }
    for (&entity_type, &seq) in &after.0 {
        let Some(now) = state.types.get(&entity_type) else { continue };
        if seq > now.last_seq {
            let detail = format!("the local server is ahead of central in type {entity_type}");
            return Err(Problem::new(409, "cursor_ahead", detail, compare));
        }
        if seq > 0 && seq < now.floor {
            return Err(too_old(entity_type));
        }
    }
    Ok(())
}

fn too_old(entity_type: EntityType) -> Problem {
    let detail = format!("central has forgotten the removals since then in type {entity_type}");
    Problem::new(410, "cursor_too_old", detail, "compare instead (POST api/v1/compare)")
}

async fn begin_record(store: &Store, request: &OfferRequest) -> Result<(), StoreError> {
    let Some(id) = request.sync else { return Ok(()) };
    let run = NewRun { id, node: request.node, org: &request.org, actor: &request.actor, what: "data" };
    store.sync_begin(&run).await
}

/// The first frame. The step is judged and taken in one flushed transaction; a machine that is a copy or an old state of
/// another, or that has met a newer state of this central, gets no data.
async fn hello(
    store: &Store,
    request: &OfferRequest,
    state: &FeedState,
    counts: BTreeMap<EntityType, feed::Ahead>,
) -> Result<Hello, Problem> {
    let steps = step(store, request, &counts).await?;
    greeting(store, request, state, counts, steps).await.map_err(internal)
}

async fn step(
    store: &Store,
    request: &OfferRequest,
    counts: &BTreeMap<EntityType, feed::Ahead>,
) -> Result<u64, Problem> {
    let judged = async {
        let mut tx = store.write("feed hello", Durability::Flushed).await?;
        let (node, org, receipt) = (request.node, &request.org, request.receipt.as_ref());
        let judged = store.continuation_show(&mut tx, node, org, &request.shown, receipt).await?;
        note_read(store, &mut tx, request, counts).await?;
        tx.commit().await?;
        Ok(judged)
    };
    let (judgement, steps) = judged.await.map_err(internal)?;
    match judgement {
        Judgement::Follows | Judgement::Repeated | Judgement::Claimed => Ok(steps),
        Judgement::Copied => Err(Problem::new(
            409,
            "machine_copied",
            "another machine with the same identity has synced since: one of the two is a copy",
            "on the copy run 'taosync node renew'; if this is the one that goes on, run 'taosync node adopt'",
        )),
        Judgement::Old => Err(Problem::new(
            409,
            "machine_old",
            "this machine is in an older state than the one that synced last: it was restored, or is an old copy",
            "run 'taosync node adopt' if it was restored, or 'taosync node renew' if it is a copy",
        )),
        Judgement::CentralWentBack => Err(Problem::new(
            409,
            "central_went_back",
            "this machine has met a newer state of central: central was put back to an older one",
            "hand results in again, then compare (POST api/v1/compare); tell the office",
        )),
    }
}

/// Notes that data were asked for; where there are none, the request is only counted.
async fn note_read(
    store: &Store,
    tx: &mut Tx,
    request: &OfferRequest,
    counts: &BTreeMap<EntityType, feed::Ahead>,
) -> Result<(), StoreError> {
    if counts.is_empty() {
        store.poll_count("feed.read");
        return Ok(());
    }
    let upserts: i64 = counts.values().map(|ahead| ahead.upserts).sum();
    let removals: i64 = counts.values().map(|ahead| ahead.removals).sum();
    let detail = json!({"org": request.org, "upserts": upserts, "removals": removals});
    let object = request.node.to_string();
    let entry = AuditEntry { actor: &request.actor, act: "feed.read", object: &object, detail };
    store.audit_add(tx, &entry).await?;
    Ok(())
}

async fn greeting(
    store: &Store,
    request: &OfferRequest,
    state: &FeedState,
    counts: BTreeMap<EntityType, feed::Ahead>,
    steps: u64,
) -> Result<Hello, StoreError> {
    let floor = state.types.iter().filter(|(_, s)| s.floor > 0).map(|(t, s)| (*t, s.floor)).collect();
    // Also without removals to come: local may hold some that were approved since.
    let approved = state.types.iter().filter(|(_, s)| s.removals_approved_through > 0);
    let removals_approved_through = approved.map(|(t, s)| (*t, s.removals_approved_through)).collect();
    let identity = store.identity().await?;
    Ok(Hello {
        central: identity.node,
        org: request.org.as_str().to_owned(),
        epoch: state.epoch,
        floor,
        counts,
        removals_approved_through,
        steps,
        safe_receipt_no: number(store, SAFE_RECEIPT_NO).await?,
        top_receipt_no: number(store, RECEIPT_NO).await?,
        capabilities: Vec::new(),
        digest_version: DIGEST_VERSION,
        time: store.clock().now(),
    })
}

async fn number(store: &Store, setting: &str) -> Result<i64, StoreError> {
    Ok(store.setting_get(setting).await?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// What is still to be done for a stream.
struct Walk {
    store: Store,
    org: OrgId,
    state: FeedState,
    types: Vec<EntityType>,
    named: Named,
    left: VecDeque<EntityType>,
    walked: Positions,
    gone_after: Positions,
    /// Removals above these numbers are to be told in this stream.
    heard: Positions,
    checkpoint_every: usize,
    since_checkpoint: usize,
    closings: u32,
    writer: Option<FrameWriter>,
}

impl Walk {
    fn start(
        store: Store,
        request: OfferRequest,
        state: FeedState,
        after: Positions,
        types: Vec<EntityType>,
        named: Named,
        hello: &Hello,
    ) -> std::io::Result<Self> {
        let mut writer = FrameWriter::new()?;
        writer.push(&FeedFrame::Hello(Box::new(hello.clone())), b"")?;
        let gone_after: BTreeMap<_, _> =
            state.types.iter().filter(|(t, _)| after.get(**t) == 0).map(|(t, s)| (*t, s.last_seq)).collect();
        let heard = state.types.keys().map(|t| (*t, gone_after.get(t).copied().unwrap_or(after.get(*t))));
        Ok(Self {
            store,
            org: request.org,
            left: types.iter().copied().filter(|t| is_behind(&state, &after, *t)).collect(),
            heard: Positions(heard.collect()),
            gone_after: Positions(gone_after),
            walked: after,
            state,
            types,
            named,
            checkpoint_every: request.chunk_size.max(1),
            since_checkpoint: 0,
            closings: 0,
            writer: Some(writer),
        })
    }

    /// The next piece of the stream, and the walk after it; `None` at the end.
    async fn step(mut self) -> Option<(Result<Bytes, std::io::Error>, Self)> {
        loop {
            self.writer.as_ref()?;
            let result = match self.left.front().copied() {
                _ if !self.named.is_empty() => self.named_page().await,
                Some(entity_type) => self.page(entity_type).await,
                None => self.close().await,
            };
            let piece = match result {
                Ok(piece) => piece,
                Err(problem) => self.fail(problem),
            };
            match piece {
                Ok(Some(bytes)) => return Some((Ok(bytes), self)),
                Ok(None) => {}
                Err(error) => {
                    self.writer = None;
                    return Some((Err(error), self));
                }
            }
        }
    }

    /// Writes one page of what was asked for by name.
    async fn named_page(&mut self) -> Result<std::io::Result<Option<Bytes>>, Problem> {
        let Some(writer) = &mut self.writer else { return Ok(Ok(None)) };
        let written = self.named.page(&self.store, self.state.scope, &self.org, writer).await.map_err(internal)?;
        Ok(written.and_then(|()| self.take_piece()))
    }

    /// Writes one page of a type.
    async fn page(&mut self, entity_type: EntityType) -> Result<std::io::Result<Option<Bytes>>, Problem> {
        let after = self.walked.get(entity_type);
        let gone_after = self.gone_after.get(entity_type);
        let page =
            self.store.feed_page(&self.state, &self.org, entity_type, after, gone_after).await.map_err(internal)?;
        let more = page.more;
        self.walked.0.insert(entity_type, page.through);
        if !more {
            self.left.pop_front();
        }
        Ok(self.write_rows(entity_type, page.rows, page.through, !more).and_then(|()| self.take_piece()))
    }

    /// Looks once more at everything together: if little has appeared, the stream ends in that picture.
    async fn close(&mut self) -> Result<std::io::Result<Option<Bytes>>, Problem> {
        self.closings += 1;
        if self.closings > MAX_CLOSINGS {
            let detail = "data at central change faster than they can be sent";
            return Err(Problem::new(503, "too_busy", detail, "try again when the import at central is done"));
        }
        let closed =
            self.store.feed_close(&self.org, &self.walked, &self.gone_after, &self.types).await.map_err(internal)?;
        let Some((state, late)) = closed else {
            self.state = feed_state(&self.store, &self.org).await?;
            self.check_floor(&self.state)?;
            self.left = self.types.iter().copied().filter(|t| is_behind(&self.state, &self.walked, *t)).collect();
            return Ok(Ok(None));
        };
        self.check_floor(&state)?;
        let mut result = Ok(());
        for (entity_type, rows) in late {
            let through = state.types.get(&entity_type).map_or(0, |t| t.last_seq);
            result = result.and_then(|()| self.write_rows(entity_type, rows, through, true));
        }
        let types = state
            .types
            .iter()
            .filter(|(t, _)| self.types.contains(t))
            .map(|(t, s)| (*t, TypeEnd { seq: s.last_seq, digest: s.digest, count: s.count }));
        let end = FeedFrame::End(End { types: types.collect() });
        Ok(result.and_then(|()| self.finish(&end)))
    }

    /// A removal that was still to be told may have been forgotten while the stream was slow.
    fn check_floor(&self, state: &FeedState) -> Result<(), Problem> {
        let mut types = state.types.iter().filter(|(t, _)| self.types.contains(t));
        types.find(|(t, s)| s.floor > self.heard.get(**t)).map_or(Ok(()), |(t, _)| Err(too_old(*t)))
    }

    fn write_rows(
        &mut self,
        entity_type: EntityType,
        rows: Vec<Row>,
        through: i64,
        is_last_page: bool,
    ) -> std::io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let any = !rows.is_empty();
        for row in rows {
            let seq = row.seq();
            write_row(writer, entity_type, row)?;
            self.since_checkpoint += 1;
            if self.since_checkpoint >= self.checkpoint_every {
                writer.push(&FeedFrame::Checkpoint(Checkpoint { entity_type, seq }), b"")?;
                self.since_checkpoint = 0;
            }
        }
        if any && is_last_page {
            writer.push(&FeedFrame::Checkpoint(Checkpoint { entity_type, seq: through }), b"")?;
            self.since_checkpoint = 0;
        }
        Ok(())
    }

    fn take_piece(&mut self) -> std::io::Result<Option<Bytes>> {
        let Some(writer) = &mut self.writer else { return Ok(None) };
        if writer.ready() < PIECE { Ok(None) } else { Ok(Some(writer.take().into())) }
    }

    fn finish(&mut self, last: &FeedFrame) -> std::io::Result<Option<Bytes>> {
        let Some(mut writer) = self.writer.take() else { return Ok(None) };
        writer.push(last, b"")?;
        writer.finish().map(|bytes| Some(bytes.into()))
    }

    /// Ends the stream with the reason, so that local can tell it from a cut line.
    fn fail(&mut self, problem: Problem) -> std::io::Result<Option<Bytes>> {
        self.finish(&FeedFrame::Failed(problem))
    }
}

fn is_behind(state: &FeedState, after: &Positions, entity_type: EntityType) -> bool {
    state.types.get(&entity_type).is_some_and(|s| s.last_seq > after.get(entity_type))
}

/// Writes one word of the feed.
pub(super) fn write_row(writer: &mut FrameWriter, entity_type: EntityType, row: Row) -> std::io::Result<()> {
    match row {
        Row::Upsert { seq, body } => {
            let head = feed::Upsert { entity_type, seq, len: body.len() as u64 };
            writer.push(&FeedFrame::Upsert(head), &body)
        }
        Row::Link { seq, owner, predicate, value, present } => {
            let link = feed::Link { entity_type, seq, owner, predicate, value, gone: !present };
            writer.push(&FeedFrame::Link(link), b"")
        }
        Row::Remove { seq, uri } => writer.push(&FeedFrame::Remove(feed::Remove { entity_type, seq, uri }), b""),
    }
}
