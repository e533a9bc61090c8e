//! Results as XML of QTI Results Reporting.

use taosync_model::assessment::Attempt;
use taosync_results::{decode_attempt, encode_attempt, parse_xml, write_xml};

use crate::shown;

/// Bytes a small input may become as JSON: each of its bytes a few, and no more.
const MAX_PLAIN: u64 = 64 * 1024 * 1024;

/// Reads a result, writes it and reads it again; packs and unpacks it.
pub fn check(input: &[u8]) {
    let result = match parse_xml(input) {
        Ok(result) => result,
        Err(error) => {
            shown(&error);
            return;
        }
    };
    let written = write_xml(&result);
    let back = parse_xml(written.as_bytes()).unwrap_or_else(|error| panic!("what we write can be read: {error}"));
    assert_eq!(back, result, "and says the same");
    assert_eq!(write_xml(&back), written, "in the same bytes");
    let attempt = Attempt { result, ..Attempt::default() };
    let unpacked = decode_attempt(&encode_attempt(&attempt), MAX_PLAIN).expect("what we pack can be unpacked");
    assert_eq!(unpacked, attempt);
}
