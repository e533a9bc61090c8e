//! Streams of frames: feed, compare, outbox, receipts, chunks.
//!
//! The first byte of an input says which stream, and whether what follows is the compressed stream itself or plain
//! text that is compressed first (a fuzzer does not find its way through a compressor). The second says in which
//! pieces it arrives.

use serde::Serialize;
use serde::de::DeserializeOwned;
use taosync_model::Entity;
use taosync_model::canonical::entity_digest;
use taosync_wire::frame::{FrameError, FrameReader, FrameWriter, Header, MAX_BODY};
use taosync_wire::v1::compare::{AskFrame, ListedFrame, ListingFrame, RoundFrame, decode_uris, encode_uri};
use taosync_wire::v1::feed::FeedFrame;
use taosync_wire::v1::outbox::{OutboxFrame, ReceiptFrame};
use taosync_wire::v1::packages::ChunkFrame;

use crate::shown;

/// Where in the first byte the kind of the stream ends and the form of the input begins.
const PLAIN: u8 = 0x80;

/// Reads the stream in two ways, and writes what was read again.
pub fn check(input: &[u8]) {
    let [kind, step, rest @ ..] = input else { return };
    let packed = if kind & PLAIN == 0 { Some(rest.to_vec()) } else { zstd::bulk::compress(rest, 1).ok() };
    let Some(bytes) = packed else { return };
    let step = usize::from(*step) + 1;
    match kind & !PLAIN {
        0 => stream::<FeedFrame>(&bytes, step, feed),
        1 => stream::<AskFrame>(&bytes, step, ask),
        2 => stream::<OutboxFrame>(&bytes, step, |_, _| ()),
        3 => stream::<ReceiptFrame>(&bytes, step, |_, _| ()),
        5 => stream::<RoundFrame>(&bytes, step, |_, _| ()),
        6 => stream::<ListingFrame>(&bytes, step, |_, _| ()),
        7 => stream::<ListedFrame>(&bytes, step, |_, _| ()),
        _ => stream::<ChunkFrame>(&bytes, step, |_, _| ()),
    }
}

type Frames<H> = (Vec<(H, Vec<u8>)>, Result<(), FrameError>);

fn stream<H>(bytes: &[u8], step: usize, inside: fn(&H, &[u8]))
where
    H: Header + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let (frames, outcome) = read::<H>(bytes, bytes.len().max(1));
    let (again, outcome_again) = read::<H>(bytes, step);
    assert_eq!(frames, again, "the same frames in whatever pieces they come");
    assert_eq!(words(&outcome), words(&outcome_again), "and the same end");
    for (header, body) in &frames {
        assert_eq!(header.body_len(), body.len() as u64);
        assert!(header.body_len() <= MAX_BODY);
        inside(header, body);
    }
    let is_whole = frames.last().is_some_and(|(header, _)| header.is_last());
    assert!(is_whole || outcome.is_err(), "a stream without its last frame is not whole");
    if outcome.is_ok() {
        let written = write(&frames);
        let (back, outcome) = read::<H>(&written, step);
        assert!(outcome.is_ok(), "what we write can be read");
        assert_eq!(back, frames, "and says the same");
    }
}

fn words(outcome: &Result<(), FrameError>) -> String {
    outcome.as_ref().map_or_else(shown, |()| String::new())
}

fn read<H: Header + DeserializeOwned>(bytes: &[u8], step: usize) -> Frames<H> {
    let mut reader = FrameReader::<H>::new().expect("a decoder can be made");
    let mut frames = Vec::new();
    for piece in bytes.chunks(step) {
        let fed = reader.feed(piece);
        frames.extend(std::iter::from_fn(|| reader.next_frame()));
        if fed.is_err() {
            return (frames, fed);
        }
    }
    (frames, reader.finish())
}

fn write<H: Header + Serialize>(frames: &[(H, Vec<u8>)]) -> Vec<u8> {
    let mut writer = FrameWriter::new().expect("an encoder can be made");
    for (header, body) in frames {
        writer.push(header, body).expect("memory takes everything");
    }
    writer.finish().expect("memory takes everything")
}

/// An entity has the same digest however often it is written and read.
fn feed(frame: &FeedFrame, body: &[u8]) {
    if !matches!(frame, FeedFrame::Upsert(_)) {
        return;
    }
    let Ok(entity) = serde_json::from_slice::<Entity>(body) else { return };
    let written = serde_json::to_vec(&entity).expect("an entity is JSON");
    let back: Entity = serde_json::from_slice(&written).expect("what we write can be read");
    assert_eq!(back, entity);
    assert_eq!(entity_digest(&back), entity_digest(&entity));
}

/// A question is nothing but its names.
fn ask(frame: &AskFrame, body: &[u8]) {
    let AskFrame::Entities(_) = frame else { return };
    let Some(list) = decode_uris(body) else { return };
    let mut written = Vec::new();
    for uri in &list {
        encode_uri(&mut written, uri);
    }
    assert_eq!(written, body);
}
