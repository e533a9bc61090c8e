//! Payload form 1 of an attempt: its JSON, compressed with zstd (DESIGN §5).

use std::cell::RefCell;

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer};
use taosync_model::assessment::Attempt;
use zstd::stream::raw::{DParameter, Decoder, Operation as _};

use crate::ResultError;

/// Bytes an attempt may have once unpacked.
pub const MAX_PLAIN: u64 = 64 * 1024 * 1024;

/// Good ratio at some hundred MB/s; the form is fixed once an execution has finished, so the level may change freely.
const LEVEL: i32 = 3;
/// Largest window accepted when unpacking (log2): what level 19 of the ordinary tool needs, and no more memory.
const MAX_WINDOW_LOG: u32 = 24;
/// Bytes unpacked at once.
const PIECE: usize = 16 * 1024;

/// The payload of an attempt.
pub fn encode_attempt(attempt: &Attempt) -> Vec<u8> {
    // Unwrap safety: an attempt has text keys only and no fallible Serialize, the only two ways for JSON to fail.
    let json = serde_json::to_vec(attempt).expect("an attempt is representable as JSON");
    // Unwrap safety: compression in memory fails only on an unknown parameter.
    zstd::bulk::compress(&json, LEVEL).expect("zstd accepts its own level")
}

/// Reads a payload of form 1; `max_plain` bounds what it may unpack to ([`MAX_PLAIN`] unless you know better).
pub fn decode_attempt(bytes: &[u8], max_plain: u64) -> Result<Attempt, ResultError> {
    decode(bytes, max_plain)
}

/// Whether [`decode_attempt`] would read a payload: the same reading, but no text is kept.
pub fn check_attempt(bytes: &[u8], max_plain: u64) -> Result<(), ResultError> {
    decode::<Attempt<Passed>>(bytes, max_plain).map(drop)
}

fn decode<T: DeserializeOwned>(bytes: &[u8], max_plain: u64) -> Result<T, ResultError> {
    let json = unpack(bytes, max_plain)?;
    serde_json::from_slice(&json).map_err(|e| ResultError::Json { line: e.line(), column: e.column() })
}

/// A text that was read and not kept.
#[derive(Default)]
struct Passed;

impl<'de> Deserialize<'de> for Passed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Self)
    }
}

impl Visitor<'_> for Passed {
    type Value = Self;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
}

/// Unpacks what is exactly one frame of zstd, to at most `max_plain` bytes.
pub fn unpack(bytes: &[u8], max_plain: u64) -> Result<Vec<u8>, ResultError> {
    thread_local! {
        // Making one costs more than unpacking a result with it.
        static DECODER: RefCell<Option<Decoder<'static>>> = const { RefCell::new(None) };
    }
    DECODER.with_borrow_mut(|kept| {
        let mut decoder = match kept.take() {
            Some(decoder) => decoder,
            None => fresh().map_err(ResultError::Unpack)?,
        };
        decoder.reinit().map_err(ResultError::Unpack)?;
        let plain = unpack_with(&mut decoder, bytes, max_plain);
        *kept = Some(decoder);
        plain
    })
}

fn fresh() -> std::io::Result<Decoder<'static>> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
    Ok(decoder)
}

fn unpack_with(decoder: &mut Decoder<'_>, bytes: &[u8], max_plain: u64) -> Result<Vec<u8>, ResultError> {
    let (mut plain, mut piece, mut read) = (Vec::new(), [0; PIECE], 0);
    loop {
        let status = decoder.run_on_buffers(&bytes[read..], &mut piece).map_err(ResultError::Unpack)?;
        read += status.bytes_read;
        plain.extend_from_slice(&piece[..status.bytes_written]);
        if plain.len() as u64 > max_plain {
            return Err(ResultError::Unbounded { limit: max_plain });
        }
        if status.remaining == 0 {
            break;
        }
        if status.bytes_read == 0 && status.bytes_written == 0 {
            return Err(ResultError::Unpack(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
    match bytes.len() - read {
        0 => Ok(plain),
        rest => Err(ResultError::Trailing { bytes: rest }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taosync_model::assessment::{AssessmentResult, Context};

    fn attempt() -> Attempt {
        let context = Context { sourced_id: Some("tt-1".repeat(50)), sessions: vec![] };
        Attempt { result: AssessmentResult { context, ..Default::default() }, ..Default::default() }
    }

    #[test]
    fn a_payload_reads_back_up_to_its_limit() {
        let bytes = encode_attempt(&attempt());
        assert_eq!(bytes, encode_attempt(&attempt()), "the digest of a payload must not depend on the day");
        let plain = serde_json::to_vec(&attempt()).expect("JSON").len() as u64;
        assert_eq!(decode_attempt(&bytes, plain).expect("at the limit"), attempt());
        check_attempt(&bytes, plain).expect("at the limit");
        let error = decode_attempt(&bytes, plain - 1).expect_err("beyond");
        assert!(matches!(error, ResultError::Unbounded { .. }), "{error}");
    }

    #[test]
    fn what_is_only_checked_is_read_alike() {
        let whole = br#"{"result":{"context":{"sourced_id":"a\u00e9\n"},"items":[{"identifier":"i","datestamp":"d",
            "session_status":"final","variables":[{"kind":"outcome","identifier":"S","cardinality":"single",
            "values":[{"text":"1"}],"attributes":[["view","author"]]}]}]},"log":[{"at":"2026-05-12T08:00:00Z",
            "event":"PAUSED","by":null,"data":{"n":1}}],"unknown":[1]}"#;
        // Every piece of it cut out, and every byte changed: right or wrong for both.
        let changed = (0..whole.len()).flat_map(|at| {
            let with = |byte| [&whole[..at], &[byte], &whole[at + 1..]].concat();
            [[&whole[..at], &whole[at + 1..]].concat(), with(b'0'), with(b'"'), with(0xff), with(b'{')]
        });
        let (mut read, mut refused) = (0, 0);
        for json in changed.chain([whole.to_vec()]) {
            let bytes = zstd::bulk::compress(&json, 1).expect("packs");
            let (kept, passed) = (decode_attempt(&bytes, MAX_PLAIN), check_attempt(&bytes, MAX_PLAIN));
            assert_eq!(kept.is_ok(), passed.is_ok(), "{}", String::from_utf8_lossy(&json));
            if kept.is_ok() { read += 1 } else { refused += 1 }
        }
        assert!(read > 100 && refused > 1000, "{read} {refused}");
    }

    #[test]
    fn a_bomb_is_stopped() {
        let bomb = zstd::bulk::compress(&vec![b' '; 80 * 1024 * 1024], 19).expect("packs");
        assert!(bomb.len() < 100_000);
        assert!(matches!(decode_attempt(&bomb, 1024 * 1024), Err(ResultError::Unbounded { limit: 1_048_576 })));
    }

    #[test]
    fn damage_is_named() {
        let bytes = encode_attempt(&attempt());
        assert!(matches!(decode_attempt(&bytes[..bytes.len() - 1], MAX_PLAIN), Err(ResultError::Unpack(_))));
        assert!(matches!(decode_attempt(b"age-encryption.org/v1", MAX_PLAIN), Err(ResultError::Unpack(_))));
        let twice = [bytes.clone(), bytes].concat();
        assert!(matches!(decode_attempt(&twice, MAX_PLAIN), Err(ResultError::Trailing { .. })));
        let other = zstd::bulk::compress(br#"{"result":"secret answer"}"#, 3).expect("packs");
        let error = decode_attempt(&other, MAX_PLAIN).expect_err("no attempt");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}
