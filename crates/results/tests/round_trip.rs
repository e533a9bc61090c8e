//! What is written reads back, whatever the answers are.

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use taosync_model::assessment::{
    AssessmentResult, Attempt, Context, ItemResult, SessionIdentifier, TestResult, Variable, VariableKind,
    VariableValue,
};
use taosync_results::{MAX_PLAIN, decode_attempt, encode_attempt, parse_xml, write_xml};

/// Text an attribute of XML can carry.
fn attribute() -> impl Strategy<Value = String> {
    "[ -~\t\n\ré€<>&\"'\u{10000}]{0,12}"
}

/// Any text at all, control characters included.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![attribute(), any::<String>(), Just("\r\n]]> \u{0}".to_owned())]
}

fn value() -> impl Strategy<Value = VariableValue> {
    (text(), of(attribute()), of("[a-z]{1,6}")).prop_map(|(text, field, base_type)| VariableValue {
        text,
        field,
        base_type,
    })
}

fn further() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        "[a-zA-Z_][a-z0-9.-]{0,5}",
        "\\{urn:[a-z]{1,3}\\}[a-z]{1,4}",
        Just("{http://www.w3.org/XML/1998/namespace}lang".to_owned())
    ];
    proptest::collection::btree_map(name, attribute(), 0..3).prop_map(|map| {
        let own = ["identifier", "cardinality", "baseType", "xmlns"];
        map.into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect()
    })
}

fn variable() -> impl Strategy<Value = Variable> {
    let kind = prop_oneof![
        Just(VariableKind::Response),
        Just(VariableKind::Outcome),
        Just(VariableKind::Template),
        Just(VariableKind::Trace)
    ];
    let cardinality = prop_oneof![Just("single"), Just("multiple"), Just("ordered"), Just("record")];
    let at =
        of((0_i64..4_000_000_000, 0_i32..1_000_000_000).prop_map(|(s, n)| Timestamp::new(s, n).expect("in range")));
    let head = (kind, attribute(), cardinality.prop_map(str::to_owned), of("[a-z]{1,6}"));
    (head, of(vec(value(), 0..3)), of(vec(value(), 0..3)), further(), at).prop_map(
        |((kind, identifier, cardinality, base_type), values, correct, attributes, at)| Variable {
            kind,
            identifier,
            cardinality,
            base_type,
            values,
            correct,
            attributes,
            at,
        },
    )
}

fn item() -> impl Strategy<Value = ItemResult> {
    (attribute(), of(any::<u32>()), attribute(), attribute(), of(text()), vec(variable(), 0..4)).prop_map(
        |(identifier, sequence_index, datestamp, session_status, candidate_comment, variables)| ItemResult {
            identifier,
            sequence_index,
            datestamp,
            session_status,
            candidate_comment,
            variables,
        },
    )
}

fn result() -> impl Strategy<Value = AssessmentResult> {
    let session =
        (attribute(), attribute()).prop_map(|(source_id, identifier)| SessionIdentifier { source_id, identifier });
    let context =
        (of(attribute()), vec(session, 0..3)).prop_map(|(sourced_id, sessions)| Context { sourced_id, sessions });
    let test = (attribute(), attribute(), vec(variable(), 0..4))
        .prop_map(|(identifier, datestamp, variables)| TestResult { identifier, datestamp, variables });
    (context, of(test), vec(item(), 0..3)).prop_map(|(context, test, items)| AssessmentResult { context, test, items })
}

proptest! {
    #[test]
    fn xml_reads_back(result in result()) {
        let xml = write_xml(&result);
        prop_assert_eq!(parse_xml(xml.as_bytes()).map_err(|e| format!("{e}\n{xml}")), Ok(result));
    }

    #[test]
    fn payloads_read_back(result in result()) {
        let attempt = Attempt { result, ..Default::default() };
        prop_assert_eq!(decode_attempt(&encode_attempt(&attempt), MAX_PLAIN).map_err(|e| e.to_string()), Ok(attempt));
    }

    #[test]
    fn hostile_bytes_are_answered(bytes in vec(any::<u8>(), 0..300), cut in 0_usize..3000, byte in any::<u8>()) {
        let _ = parse_xml(&bytes);
        let _ = decode_attempt(&bytes, 10_000);
        let mut fixture = include_bytes!("fixtures/maths-grade-6.xml").to_vec();
        let at = cut % fixture.len();
        fixture[at] = byte;
        let _ = parse_xml(&fixture);
        let _ = parse_xml(&fixture[..at]);
    }
}

#[test]
fn attributes_xml_cannot_carry_are_left_out_and_the_rest_stays() {
    let pairs = ["a b", "identifier", "{urn:taosync:qti-results:1}kind", "xmlns:x", "", "{}x", "view"];
    let mut result = parse_xml(include_bytes!("fixtures/maths-grade-6.xml")).expect("reads");
    result.items[0].variables[0].attributes = pairs.iter().map(|n| ((*n).to_owned(), "1".to_owned())).collect();
    let back = parse_xml(write_xml(&result).as_bytes()).expect("well-formed all the same");
    assert_eq!(back.items[0].variables[0].attributes, [("view".to_owned(), "1".to_owned())]);
}
