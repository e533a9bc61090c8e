//! Payloads of items that are not attempts, in form 1: zstd around JSON, bounded both ways.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use taosync_model::assessment::LogEntry;
use uuid::Uuid;

/// Bytes such a payload may have once unpacked.
pub const MAX_PLAIN: u64 = 16 * 1024 * 1024;

/// As for attempts: more costs much and gains nothing.
const LEVEL: i32 = 3;

/// Log rows written after the attempt's item was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogBatch {
    /// The attempt.
    pub execution: Uuid,
    /// The rows.
    pub log: Vec<LogEntry>,
    /// What the execution is called at the TAO it was run with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tao: Option<TaoExecution>,
}

/// An execution by TAO's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaoExecution {
    /// Its id there.
    pub execution: String,
}

/// Packs a document.
pub fn encode(document: &impl Serialize) -> Result<Vec<u8>, std::io::Error> {
    let json = serde_json::to_vec(document)?;
    zstd::bulk::compress(&json, LEVEL)
}

/// Unpacks a document of at most `max_plain` bytes; `None` when it is no zstd, no JSON, longer, or followed by more.
pub fn decode(bytes: &[u8], max_plain: u64) -> Option<Value> {
    let json = taosync_results::unpack(bytes, max_plain).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_read_back_up_to_the_limit() {
        let document = serde_json::json!({ "name": "Anna" });
        let bytes = encode(&document).unwrap();
        let plain = serde_json::to_vec(&document).unwrap().len() as u64;
        assert_eq!(decode(&bytes, plain), Some(document));
        assert_eq!(decode(&bytes, plain - 1), None);
        assert_eq!(decode(&bytes[..bytes.len() - 1], plain), None);
        assert_eq!(decode(&[bytes.clone(), bytes].concat(), plain), None);
        assert_eq!(decode(b"{}", 10), None);
    }
}
