//! Central's side of a comparison. Nothing is kept between requests: the set is read again for each.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde::de::DeserializeOwned;
use taosync_model::scope::Positions;
use taosync_model::{OrgId, SetItem};
use taosync_store::Store;
use taosync_store::feed::FeedState;
use taosync_wire::Problem;
use taosync_wire::frame::{FrameReader, FrameWriter, Header};
use taosync_wire::v1::compare::{
    AskFrame, ListedFrame, ListingFrame, MAX_ITEMS, MAX_NAMES, Message, PART_BYTES, Part, RoundFrame, Stand,
    decode_ids, decode_members, decode_uris,
};

use super::named::{Ask, Named};
use super::reconcile;
use crate::down::offer::{self, OfferRequest};

/// Bytes of a body unpacked before they are looked at: bounds what a hostile one can make us hold.
const STEP: usize = 4 * 1024;

/// Bounds of a comparison; the defaults are those of the protocol, tests come near smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Entities and links of an org.
    pub items: usize,
    /// Bytes of the names in a question.
    pub names: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { items: MAX_ITEMS, names: MAX_NAMES }
    }
}

/// One round of reconciliation; `body` is the whole request, already bounded.
pub async fn round(store: &Store, org: &OrgId, body: &[u8], bounds: Bounds) -> Result<Vec<u8>, Problem> {
    let mut message = None;
    read(futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::copy_from_slice(body))]), |frame, bytes| {
        let RoundFrame::Message(_) = frame;
        message = Some(bytes);
        Ok(())
    })
    .await?;
    let message = message.ok_or_else(|| malformed("it has no message"))?;
    let state = offer::feed_state(store, org).await?;
    let items = items(store, &state, bounds).await?;
    let answer = tokio::task::spawn_blocking(move || reconcile::reply(items, &message)).await;
    let answer = answer.map_err(|_| Problem::new(500, "internal", "central could not compare", "try again"))?;
    let answer = answer.map_err(|broken| malformed(&broken.to_string()))?;
    let head = RoundFrame::Message(Message { stand: Some(stand(&state)), len: answer.len() as u64 });
    let frames = || {
        let mut writer = FrameWriter::new()?;
        writer.push(&head, &answer)?;
        writer.finish()
    };
    frames().map_err(|error| offer::internal_io(&error))
}

/// What differs from the whole list of what local holds.
pub async fn listing<E: std::fmt::Display>(
    store: &Store,
    org: &OrgId,
    body: impl Stream<Item = Result<Bytes, E>>,
    bounds: Bounds,
) -> Result<Vec<u8>, Problem> {
    let mut theirs: Vec<[u8; 32]> = Vec::new();
    read(body, |frame, bytes| {
        if let ListingFrame::Items(_) = frame {
            theirs.extend(decode_ids(&bytes).ok_or_else(|| malformed("ids cannot be read"))?);
        }
        if theirs.len() > bounds.items { Err(too_many(bounds)) } else { Ok(()) }
    })
    .await?;
    theirs.sort_unstable();
    theirs.dedup();
    let state = offer::feed_state(store, org).await?;
    let mut known = vec![false; theirs.len()];
    let mut missing = Vec::new();
    for item in items(store, &state, bounds).await? {
        match theirs.binary_search(&item.id) {
            Ok(place) => known[place] = true,
            Err(_) => missing.push(item.id),
        }
    }
    let surplus: Vec<[u8; 32]> = theirs.into_iter().zip(known).filter(|(_, known)| !known).map(|(id, _)| id).collect();
    let frames = || {
        let mut writer = FrameWriter::new()?;
        push(&mut writer, ListedFrame::Missing, &missing)?;
        push(&mut writer, ListedFrame::Surplus, &surplus)?;
        writer.push(&ListedFrame::End(stand(&state)), b"")?;
        writer.finish()
    };
    frames().map_err(|error| offer::internal_io(&error))
}

/// Answers what was asked for by name, then what changed since the comparison began, as a feed stream.
pub async fn answer<E: std::fmt::Display>(
    store: Store,
    request: OfferRequest,
    body: impl Stream<Item = Result<Bytes, E>>,
    bounds: Bounds,
) -> Result<impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static, Problem> {
    let mut ask = Ask::default();
    let (mut entries, mut bytes_of_names) = (0, 0);
    read(body, |frame, bytes| {
        let unreadable = || malformed("names or ids cannot be read");
        match frame {
            AskFrame::Entities(part) => {
                bytes_of_names += bytes.len();
                let uris = decode_uris(&bytes).ok_or_else(unreadable)?;
                entries += uris.len();
                ask.uris.entry(part.entity_type).or_default().extend(uris);
            }
            AskFrame::Links(part) => {
                let members = decode_members(&bytes).ok_or_else(unreadable)?;
                entries += members.len();
                ask.links.entry(part.entity_type).or_default().extend(members);
            }
            AskFrame::Items(_) => {
                let ids = decode_ids(&bytes).ok_or_else(unreadable)?;
                entries += ids.len();
                ask.items.extend(ids);
            }
            AskFrame::End => {}
        }
        if entries > 2 * bounds.items || bytes_of_names > bounds.names { Err(too_many(bounds)) } else { Ok(()) }
    })
    .await?;
    let state = offer::feed_state(&store, &request.org).await?;
    let named = Named::find(&store, &state, ask).await.map_err(offer::internal)?;
    let counts = named.counts().clone();
    offer::offer_after(store, request, state, counts, named).await
}

/// Reads a whole body of frames.
async fn read<H: Header + DeserializeOwned, E: std::fmt::Display>(
    body: impl Stream<Item = Result<Bytes, E>>,
    mut take: impl FnMut(H, Vec<u8>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut reader = FrameReader::<H>::new().map_err(|error| offer::internal_io(&error))?;
    let mut body = std::pin::pin!(body);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|_| Problem::new(400, "request_cut", "the request was cut", "try again"))?;
        for step in piece.chunks(STEP) {
            reader.feed(step).map_err(|e| malformed(&e.to_string()))?;
            while let Some((frame, bytes)) = reader.next_frame() {
                take(frame, bytes)?;
            }
        }
    }
    reader.finish().map_err(|e| malformed(&e.to_string()))
}

async fn items(store: &Store, state: &FeedState, bounds: Bounds) -> Result<Vec<SetItem>, Problem> {
    let items = store.scope_items(state.scope, bounds.items).await.map_err(offer::internal)?;
    items.ok_or_else(|| too_many(bounds))
}

fn stand(state: &FeedState) -> Stand {
    let after = Positions(state.types.iter().map(|(t, s)| (*t, s.last_seq)).collect());
    Stand { epoch: state.epoch, after: after.to_text() }
}

fn push(writer: &mut FrameWriter, frame: fn(Part) -> ListedFrame, ids: &[[u8; 32]]) -> std::io::Result<()> {
    for part in ids.chunks(PART_BYTES / 32) {
        let bytes = part.as_flattened();
        writer.push(&frame(Part { len: bytes.len() as u64 }), bytes)?;
    }
    Ok(())
}

fn malformed(text: &str) -> Problem {
    let detail = format!("a request of the comparison cannot be read: {text}");
    Problem::new(400, "comparison_malformed", detail, "update taosync on the local side")
}

fn too_many(bounds: Bounds) -> Problem {
    let Bounds { items, names } = bounds;
    let detail = format!("more than {items} entries, or names of more than {names} bytes, cannot be compared");
    Problem::new(413, "comparison_too_large", detail, "tell the office: the organisation has to be divided")
}
