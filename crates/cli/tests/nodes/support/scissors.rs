//! Answers with chunks that are cut where the test says, between two chunks or inside one, by whole connections.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use taosync_model::Digest;
use taosync_wire::frame::{FrameReader, FrameWriter};
use taosync_wire::v1::packages::{ChunkFrame, ChunkHead};

/// Long enough that what was written before a cut has left.
const BEFORE_A_CUT: Duration = Duration::from_millis(15);

#[derive(Clone, Default)]
pub struct Scissors(Arc<Mutex<Cuts>>);

#[derive(Default)]
struct Cuts {
    /// Whole chunks that still pass, and which share of the next one; everything passes when none.
    left: Option<(u64, f64)>,
    /// The line works again after one cut.
    once: bool,
    seen: Seen,
}

/// What went through.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Cuts between two chunks.
    pub between: u64,
    /// Cuts inside a chunk.
    pub inside: u64,
    /// Requests for chunks, the batches among them.
    pub requests: u64,
    pub batches: u64,
    /// Requests for the rest of a chunk.
    pub ranges: u64,
    /// How often each chunk passed whole, its parts together.
    pub whole: BTreeMap<Digest, u32>,
    /// Bytes of each chunk that was asked for alone.
    pub alone: BTreeMap<Digest, u64>,
}

impl Scissors {
    pub fn around(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), pass))
    }

    /// Lets so many chunks pass, then this share of the next, then nothing.
    pub fn cut_after(&self, chunks: u64, share: f64) {
        self.0.lock().unwrap().left = Some((chunks, share));
    }

    /// The same, but the line works again at once.
    pub fn cut_once_after(&self, chunks: u64, share: f64) {
        self.cut_after(chunks, share);
        self.0.lock().unwrap().once = true;
    }

    /// Lets everything pass again.
    pub fn mend(&self) {
        self.0.lock().unwrap().left = None;
    }

    pub fn seen(&self) -> Seen {
        self.0.lock().unwrap().seen.clone()
    }

    /// How many of a chunk's bytes pass, and whether the line is cut then.
    fn allow(&self, bytes: usize) -> (usize, bool) {
        let mut cuts = self.0.lock().unwrap();
        match cuts.left {
            None => (bytes, false),
            Some((0, share)) => {
                let passes = ((bytes as f64 * share) as usize).min(bytes.saturating_sub(1));
                cuts.left = if std::mem::take(&mut cuts.once) { None } else { Some((0, 0.0)) };
                *(if passes == 0 { &mut cuts.seen.between } else { &mut cuts.seen.inside }) += 1;
                (passes, true)
            }
            Some((more, share)) => {
                cuts.left = Some((more - 1, share));
                (bytes, false)
            }
        }
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.0.lock().unwrap().seen);
    }
}

async fn pass(State(scissors): State<Scissors>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let has_range = request.headers().contains_key("range");
    let response = next.run(request).await;
    let Some(rest) = path.strip_prefix("/api/v1/chunks") else { return response };
    if !response.status().is_success() {
        return response;
    }
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    scissors.note(|seen| seen.requests += 1);
    let (bytes, is_cut) = match rest.strip_prefix('/') {
        Some(name) => {
            scissors.note(|seen| seen.ranges += u64::from(has_range));
            alone(&scissors, name.parse().unwrap(), &body)
        }
        None => {
            scissors.note(|seen| seen.batches += 1);
            batch(&scissors, &body)
        }
    };
    let end = futures_util::stream::once(async move {
        tokio::time::sleep(BEFORE_A_CUT).await;
        Err(io::Error::other("cut"))
    });
    let start = futures_util::stream::iter([Ok(bytes)]);
    let body = if is_cut { Body::from_stream(start.chain(end)) } else { Body::from_stream(start) };
    Response::from_parts(head, body)
}

fn alone(scissors: &Scissors, name: Digest, body: &Bytes) -> (Bytes, bool) {
    let (passes, is_cut) = scissors.allow(body.len());
    scissors.note(|seen| {
        *seen.alone.entry(name).or_default() += passes as u64;
        *seen.whole.entry(name).or_default() += u32::from(!is_cut);
    });
    (body.slice(..passes), is_cut)
}

/// The same frames up to the cut.
fn batch(scissors: &Scissors, body: &Bytes) -> (Bytes, bool) {
    let mut reader = FrameReader::<ChunkFrame>::new().unwrap();
    reader.feed(body).unwrap();
    let mut writer = FrameWriter::new().unwrap();
    while let Some((frame, bytes)) = reader.next_frame() {
        if let ChunkFrame::Chunk(ChunkHead { name, .. }) = &frame {
            let (passes, is_cut) = scissors.allow(bytes.len());
            if is_cut {
                if passes > 0 {
                    writer.begin(&frame).unwrap();
                    writer.part(&bytes[..passes]).unwrap();
                }
                return (writer.flush().unwrap().into(), true);
            }
            scissors.note(|seen| *seen.whole.entry(*name).or_default() += 1);
        }
        writer.push(&frame, &bytes).unwrap();
    }
    (writer.finish().unwrap().into(), false)
}
