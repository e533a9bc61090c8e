//! When positions cannot be trusted (another history, a cursor ahead or too old, unequal digests), both sides compare
//! everything: local shows URI and digest of all it holds, central answers with what differs. What only local has is
//! answered by name with `remove` or `upsert`; nothing goes because it was absent from an answer (DESIGN §4).

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use taosync_model::scope::Positions;
use taosync_model::{Digest, EntityType};
use taosync_store::Store;
use taosync_store::feed::{PAGE_ROWS, Row, TypeState};
use taosync_store::replica::{HeldLink, Link as LinkRow, ReplicaScope};
use taosync_wire::Problem;
use taosync_wire::frame::{FrameReader, FrameWriter};
use taosync_wire::v1;
use taosync_wire::v1::compare::{CompareFrame, Listing, decode_held, encode_held};
use taosync_wire::v1::feed::{Ahead, End, FeedFrame, Hello, TypeEnd, Unlink};

use super::apply::{PullPlan, Pulled, apply};
use super::offer::{self, OfferRequest};
use crate::link::{Link, Request};
use crate::session::{Progress, SyncError};

/// Plain bytes of one listing frame.
const LISTING_BYTES: usize = 1024 * 1024;
/// Bytes of a listing unpacked before it is looked at: bounds what a hostile one can make us hold.
const STEP: usize = 4 * 1024;
/// Entities and links a local server may show at most: bounds central's memory.
const MAX_HELD: usize = 4_000_000;

/// Local's side: counts everything again, shows it, applies the answer.
pub async fn run(
    store: &Store,
    link: &Link,
    replica: &ReplicaScope,
    plan: &PullPlan,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Pulled, SyncError> {
    progress(Progress::Phase("comparing with central".into()));
    store.replica_recount(replica.id).await?;
    let replica = store.replica_again(replica.id).await?;
    let types = EntityType::FEED.to_vec();
    let mut held_links: HashMap<Digest, (EntityType, HeldLink)> = HashMap::new();
    let body = listing(store, &replica, &types, &mut held_links).await?;
    let request = plan.showing.on(Request::post(v1::PATH_COMPARE, body));
    let frames = link.send(request).await?.frames::<FeedFrame>()?;
    let pulled = apply(store, &replica, plan, &types, frames, progress, &|unlink: Unlink| {
        held_links.get(&unlink.member).map(|(entity_type, link)| LinkRow {
            entity_type: *entity_type,
            owner: link.owner.clone(),
            predicate: link.predicate.clone(),
            value: link.value.clone(),
            present: false,
        })
    })
    .await?;
    Ok(Pulled { compared: true, ..pulled })
}

async fn listing(
    store: &Store,
    replica: &ReplicaScope,
    types: &[EntityType],
    held_links: &mut HashMap<Digest, (EntityType, HeldLink)>,
) -> Result<Vec<u8>, SyncError> {
    let mut writer = FrameWriter::new().map_err(SyncError::Compress)?;
    for &entity_type in types {
        let mut part = Vec::new();
        for (uri, digest) in store.replica_listing(replica.id, entity_type).await? {
            encode_held(&mut part, &uri, &digest);
            if part.len() >= LISTING_BYTES {
                push(&mut writer, CompareFrame::Entities, entity_type, &mut part)?;
            }
        }
        push(&mut writer, CompareFrame::Entities, entity_type, &mut part)?;
        for link in store.replica_link_listing(replica.id, entity_type).await? {
            part.extend_from_slice(&link.member.0);
            held_links.insert(link.member, (entity_type, link));
            if part.len() >= LISTING_BYTES {
                push(&mut writer, CompareFrame::Links, entity_type, &mut part)?;
            }
        }
        push(&mut writer, CompareFrame::Links, entity_type, &mut part)?;
    }
    writer.push(&CompareFrame::End, b"").map_err(SyncError::Compress)?;
    writer.finish().map_err(SyncError::Compress)
}

fn push(
    writer: &mut FrameWriter,
    frame: fn(Listing) -> CompareFrame,
    entity_type: EntityType,
    part: &mut Vec<u8>,
) -> Result<(), SyncError> {
    if !part.is_empty() {
        let header = frame(Listing { entity_type, len: part.len() as u64 });
        writer.push(&header, part).map_err(SyncError::Compress)?;
        part.clear();
    }
    Ok(())
}

/// What a local server says it holds.
#[derive(Default)]
struct Held {
    entities: BTreeMap<EntityType, HashMap<String, Digest>>,
    links: BTreeMap<EntityType, HashSet<Digest>>,
    count: usize,
}

/// Central's side: reads the whole listing, then answers with what differs, as a feed stream.
pub async fn answer<E: std::fmt::Display>(
    store: Store,
    request: OfferRequest,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static, Problem> {
    let held = read_listing(body).await?;
    let state = offer::feed_state(&store, &request.org).await?;
    let mut differences = Vec::new();
    let mut counts = BTreeMap::new();
    for (&entity_type, type_state) in &state.types {
        let difference = differ(&store, state.scope, entity_type, *type_state, &held).await.map_err(offer::internal)?;
        counts.insert(entity_type, difference.ahead());
        differences.push(difference);
    }
    let types: Vec<EntityType> = state.types.keys().copied().collect();
    let hello = offer::hello(&store, &request, &state, &Positions::default(), &types).await?;
    let hello = Hello { counts, ..hello };
    let end = End {
        types: state
            .types
            .iter()
            .map(|(t, s)| (*t, TypeEnd { seq: s.last_seq, digest: s.digest, count: s.count }))
            .collect(),
    };
    let scope = state.scope;
    Ok(futures_util::stream::once(async move { write_answer(&store, scope, &request, hello, differences, end).await })
        .boxed())
}

async fn read_listing<E: std::fmt::Display>(body: impl Stream<Item = Result<Bytes, E>>) -> Result<Held, Problem> {
    let malformed = |text: String| Problem::new(400, "listing_malformed", text, "update taosync on the local side");
    let mut reader = FrameReader::<CompareFrame>::new().map_err(|e| malformed(e.to_string()))?;
    let mut held = Held::default();
    let mut body = std::pin::pin!(body);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|_| Problem::new(400, "request_cut", "the request was cut", "try again"))?;
        for step in piece.chunks(STEP) {
            reader.feed(step).map_err(|e| malformed(e.to_string()))?;
            while let Some((frame, bytes)) = reader.next_frame() {
                held.take(frame, &bytes).ok_or_else(|| malformed("a listing cannot be read".into()))?;
            }
            if held.count > MAX_HELD {
                return Err(malformed(format!("a listing of more than {MAX_HELD} entries")));
            }
        }
    }
    reader.finish().map_err(|e| malformed(e.to_string()))?;
    Ok(held)
}

impl Held {
    fn take(&mut self, frame: CompareFrame, bytes: &[u8]) -> Option<()> {
        match frame {
            CompareFrame::Entities(listing) => {
                let list = decode_held(bytes)?;
                self.count += list.len();
                let entities = self.entities.entry(listing.entity_type).or_default();
                entities.extend(list.into_iter().map(|h| (h.uri, h.digest)));
            }
            CompareFrame::Links(listing) => {
                let links = self.links.entry(listing.entity_type).or_default();
                for member in bytes.chunks(32) {
                    links.insert(Digest::from_slice(member).ok()?);
                    self.count += 1;
                }
            }
            CompareFrame::End => {}
        }
        Some(())
    }
}

/// What differs in one type.
struct Difference {
    entity_type: EntityType,
    through: i64,
    send: Vec<String>,
    remove: Vec<String>,
    links: Vec<Row>,
    unlink: Vec<Digest>,
}

impl Difference {
    fn ahead(&self) -> Ahead {
        Ahead {
            upserts: (self.send.len() + self.links.len() + self.unlink.len()) as i64,
            removals: self.remove.len() as i64,
        }
    }
}

async fn differ(
    store: &Store,
    scope: i64,
    entity_type: EntityType,
    state: TypeState,
    held: &Held,
) -> Result<Difference, taosync_store::StoreError> {
    let ours = store.scope_listing(scope, entity_type).await?;
    let (no_entities, no_links) = (HashMap::new(), HashSet::new());
    let theirs = held.entities.get(&entity_type).unwrap_or(&no_entities);
    let their_links = held.links.get(&entity_type).unwrap_or(&no_links);
    let send = ours.iter().filter(|(uri, digest)| theirs.get(*uri) != Some(digest)).map(|(uri, _)| uri.clone());
    let remove = theirs.keys().filter(|uri| !ours.contains_key(*uri)).cloned();
    let (mut links, mut our_links) = (Vec::new(), HashSet::new());
    for (member, row) in store.scope_links(scope, entity_type).await? {
        our_links.insert(member);
        if !their_links.contains(&member) {
            links.push(row);
        }
    }
    let unlink = their_links.difference(&our_links).copied().collect();
    Ok(Difference {
        entity_type,
        through: state.last_seq,
        send: send.collect(),
        remove: remove.collect(),
        links,
        unlink,
    })
}

/// The entity of a removal.
fn removed_uri(row: &Row) -> Option<String> {
    if let Row::Remove { uri, .. } = row { Some(uri.clone()) } else { None }
}

async fn write_answer(
    store: &Store,
    scope: i64,
    request: &OfferRequest,
    hello: Hello,
    differences: Vec<Difference>,
    end: End,
) -> Result<Bytes, std::io::Error> {
    let mut writer = FrameWriter::new()?;
    writer.push(&FeedFrame::Hello(Box::new(hello)), b"")?;
    for difference in differences {
        let entity_type = difference.entity_type;
        for part in difference.send.chunks(PAGE_ROWS as usize) {
            let rows = store.scope_rows(scope, &request.org, entity_type, part).await.map_err(std::io::Error::other)?;
            for row in rows {
                offer::write_row(&mut writer, entity_type, row)?;
            }
        }
        for row in difference.links {
            offer::write_row(&mut writer, entity_type, row)?;
        }
        for member in difference.unlink {
            writer.push(&FeedFrame::Unlink(Unlink { entity_type, member }), b"")?;
        }
        for part in difference.remove.chunks(PAGE_ROWS as usize) {
            let rows = store.scope_rows(scope, &request.org, entity_type, part).await.map_err(std::io::Error::other)?;
            // What went has its own number, under which it may be approved. What the org never had is gone as of now:
            // the same word for what central does not know and for what another org has.
            let known: HashSet<String> = rows.iter().filter_map(removed_uri).collect();
            for row in rows {
                offer::write_row(&mut writer, entity_type, row)?;
            }
            for uri in part.iter().filter(|uri| !known.contains(*uri)) {
                let row = Row::Remove { seq: difference.through, uri: uri.clone() };
                offer::write_row(&mut writer, entity_type, row)?;
            }
        }
    }
    writer.push(&FeedFrame::End(end), b"")?;
    writer.finish().map(Bytes::from)
}
