//! QTI Results Reporting: `assessmentResult` XML in and out, CSV and JSON lines out, and the payload of an attempt.
//!
//! The nouns are those of [`taosync_model::assessment`]. [`parse_xml`] and [`write_xml`] are each other's inverse;
//! [`CsvExport`] and [`write_jsonl`] are for people's own tools; [`encode_attempt`] and [`decode_attempt`] are the
//! stored and travelling form 1 (DESIGN §5).

mod csv_export;
mod error;
mod jsonl;
mod payload;
mod xml;

pub use csv_export::{COLUMNS, CsvExport};
pub use error::ResultError;
pub use jsonl::write_jsonl;
pub use payload::{MAX_PLAIN, check_attempt, decode_attempt, encode_attempt, unpack};
pub use xml::{MAX_DEPTH, MAX_VARIABLES, MAX_XML, parse_xml, write_xml};
