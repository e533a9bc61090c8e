//! `assessmentResult` of QTI Results Reporting (IMS, 2.0 to 2.2; what 3.0 shares with them is read too).

mod attributes;
mod builder;
mod read;
mod write;

pub use read::parse_xml;
pub use write::write_xml;

/// Bytes a file may have.
pub const MAX_XML: usize = 32 * 1024 * 1024;
/// Levels elements may be nested.
pub const MAX_DEPTH: usize = 64;
/// Variables a result may have.
pub const MAX_VARIABLES: usize = 200_000;
/// Values a result may have; bounds memory, as an empty value is only eight bytes long in a file.
const MAX_VALUES: usize = 1_000_000;
/// Attributes an element may have, beside declarations of namespaces (of which the reader itself takes 128 at one place).
const MAX_ATTRIBUTES: usize = 64;
/// Bytes that attributes kept with variables may have together. The name of a namespace is kept with each attribute in
/// it, so a small file can mean very many.
const MAX_KEPT: usize = 2 * MAX_XML;

/// The namespace written: the one TAO writes and reads.
const WRITTEN: &str = "http://www.imsglobal.org/xsd/imsqti_result_v2p1";

/// Namespaces read.
const NAMESPACES: [&str; 6] = [
    WRITTEN,
    "http://www.imsglobal.org/xsd/imsqti_result_v2p2",
    "http://www.imsglobal.org/xsd/imsqti_result_v2p0",
    "http://www.imsglobal.org/xsd/imsqti_result_v3p0",
    "http://www.imsglobal.org/xsd/imsqti_v2p1",
    "http://www.imsglobal.org/xsd/imsqti_v2p0",
];

/// Namespace of the attributes that carry what QTI has no place for. Other readers may ignore them:
///
/// * `kind="trace"` on an `outcomeVariable`: a trace variable of TAO;
/// * `at` on a variable: when its value was set (RFC 3339);
/// * `empty="true"` on an outcome or template variable, or a `candidateResponse`: an empty list, not NULL;
/// * `encoding="base64"` on a `value` or `candidateComment`: text with characters XML cannot carry.
const EXTENSION: &str = "urn:taosync:qti-results:1";

const CARDINALITIES: [&str; 4] = ["single", "multiple", "ordered", "record"];

/// `Char` of XML 1.0 §2.2.
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}
