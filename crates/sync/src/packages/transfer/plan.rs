//! What is asked for how: a value, made before the first request.

use std::collections::BTreeMap;

use taosync_model::Digest;
use taosync_store::packages::ChunkRef;

use crate::link::LinkError;

/// Ciphertext bytes of one request for small chunks.
const REQUEST_BYTES: u64 = 2 * 1024 * 1024;
/// Chunks of one request at most.
const REQUEST_CHUNKS: usize = 256;
/// A chunk of this many bytes has a request of its own. Of a smaller one a cut costs at most this.
const LARGE_BYTES: u64 = 128 * 1024;

/// How missing chunks are to travel.
pub(in crate::packages) struct TransferPlan {
    pub pieces: Vec<Piece>,
    /// Bytes that are to come.
    pub bytes: u64,
}

/// One request.
pub(in crate::packages) enum Piece {
    /// Small chunks together.
    Batch(Asked),
    /// A chunk by itself; perhaps its start is here.
    Large(ChunkRef),
}

impl TransferPlan {
    /// The plan for those of the chunks that are missing, of which `held` bytes are here. Sizes are what central says:
    /// they may be anything.
    pub fn of(wanted: &[ChunkRef], missing: &[Digest], held: &BTreeMap<Digest, u64>) -> Self {
        let sizes: BTreeMap<Digest, u64> = wanted.iter().map(|chunk| (chunk.name, chunk.bytes)).collect();
        let mut plan = Self { pieces: Vec::new(), bytes: 0 };
        let (mut batch, mut bytes) = (Asked::default(), 0_u64);
        for name in missing {
            let size = sizes.get(name).copied().unwrap_or(0);
            let here = held.get(name).copied().unwrap_or(0);
            plan.bytes = plan.bytes.saturating_add(size.saturating_sub(here));
            if size >= LARGE_BYTES || here > 0 {
                plan.pieces.push(Piece::Large(ChunkRef { name: *name, bytes: size }));
                continue;
            }
            if bytes.saturating_add(size) > REQUEST_BYTES || batch.0.len() >= REQUEST_CHUNKS {
                plan.pieces.push(Piece::Batch(std::mem::take(&mut batch)));
                bytes = 0;
            }
            bytes = bytes.saturating_add(size);
            batch.0.insert(*name, size);
        }
        if !batch.0.is_empty() {
            plan.pieces.push(Piece::Batch(batch));
        }
        plan
    }
}

/// Chunks of one request that have not come yet, with their bytes. What comes is held against it, so that an answer can
/// neither be larger than what was asked for nor go on for ever.
#[derive(Default)]
pub(in crate::packages) struct Asked(pub BTreeMap<Digest, u64>);

impl Asked {
    /// Strikes a chunk out that came, if it has the size it must have. Its hash is checked before it is kept.
    pub fn take(&mut self, name: Digest, body: &[u8]) -> Result<(), LinkError> {
        if self.strike(name)? == body.len() as u64 {
            return Ok(());
        }
        Err(LinkError::Protocol("a chunk of another size than the list of files says".into()))
    }

    /// Strikes a name out, and gives the bytes its chunk has.
    pub fn strike(&mut self, name: Digest) -> Result<u64, LinkError> {
        let bytes = self.0.remove(&name);
        bytes.ok_or_else(|| LinkError::Protocol("a chunk that was not asked for, or one a second time".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: u32) -> Digest {
        Digest::of(&n.to_le_bytes())
    }

    /// Chunks of each request; large ones are 0.
    fn split(sizes: &[u64], held: &[(u32, u64)]) -> (Vec<usize>, u64) {
        let wanted: Vec<_> = (0..).zip(sizes).map(|(n, bytes)| ChunkRef { name: name(n), bytes: *bytes }).collect();
        let missing: Vec<_> = wanted.iter().map(|chunk| chunk.name).collect();
        let held = held.iter().map(|(n, bytes)| (name(*n), *bytes)).collect();
        let plan = TransferPlan::of(&wanted, &missing, &held);
        let counts = plan.pieces.iter().map(|piece| match piece {
            Piece::Batch(asked) => asked.0.len(),
            Piece::Large(_) => 0,
        });
        (counts.collect(), plan.bytes)
    }

    #[test]
    fn requests_are_bounded_in_bytes_and_in_number() {
        assert_eq!(split(&[], &[]), (vec![], 0));
        assert_eq!(split(&vec![1; REQUEST_CHUNKS], &[]).0, [REQUEST_CHUNKS]);
        assert_eq!(split(&vec![1; REQUEST_CHUNKS + 1], &[]).0, [REQUEST_CHUNKS, 1]);
        let most = LARGE_BYTES - 1;
        let fit = (REQUEST_BYTES / most) as usize;
        assert_eq!(split(&vec![most; fit + 1], &[]).0, [fit, 1]);
        assert_eq!(split(&[u64::MAX; 3], &[]), (vec![0, 0, 0], u64::MAX), "sizes are what central says");
    }

    #[test]
    fn large_chunks_and_those_that_have_begun_travel_alone() {
        assert_eq!(split(&[LARGE_BYTES - 1, LARGE_BYTES, 5], &[]).0, [0, 2]);
        assert_eq!(split(&[1_000, 10, 20], &[(0, 400), (2, 20)]), (vec![0, 0, 1], 600 + 10));
        assert_eq!(split(&[10], &[(0, 11)]), (vec![0], 0), "more than there can be is looked at when it is taken up");
    }

    #[test]
    fn an_answer_brings_what_was_asked_for_once_and_no_byte_more() {
        let body = |n: u32| n.to_le_bytes();
        let mut asked = Asked([(name(1), 4), (name(2), 4), (name(3), 3), (name(4), 4)].into());
        assert!(asked.take(name(1), &body(1)).is_ok());
        assert!(asked.take(name(1), &body(1)).is_err(), "a second time");
        assert!(asked.take(name(9), &body(9)).is_err(), "never asked for");
        assert!(asked.take(name(2), &[1]).is_err(), "another size");
        assert!(asked.take(name(3), &body(3)).is_err(), "one byte more than the list of files says");
        assert!(asked.strike(name(4)).is_ok() && asked.strike(name(4)).is_err(), "missing, but once");
    }
}
