//! CSV and JSON lines.

use jiff::Timestamp;
use taosync_model::assessment::Attempt;
use taosync_model::execution::ExecutionState;
use taosync_model::item::{Counts, Envelope, FORM_ZSTD_JSON, ItemKind};
use taosync_model::{Digest, OrgId};
use taosync_results::{COLUMNS, CsvExport, ResultError, parse_xml, write_jsonl};

fn envelope() -> Envelope {
    Envelope {
        kind: ItemKind::Attempt,
        item: "018f6f2e-7b5c-7aa0-8000-000000000001".parse().expect("an id"),
        org: OrgId::new("007").expect("an org"),
        origin: "018f6f2e-7b5c-7aa0-8000-000000000002".parse().expect("an id"),
        version: 2,
        previous: None,
        digest: Digest([7; 32]),
        size: 10,
        form: FORM_ZSTD_JSON,
        execution: None,
        delivery: Some("https://central.example/tao.rdf#id77".to_owned()),
        test_taker: Some("=HYPERLINK(\"x\")".to_owned()),
        state: Some(ExecutionState::Finished),
        started_at: Some(Timestamp::UNIX_EPOCH),
        finished_at: None,
        counts: Counts::default(),
    }
}

fn attempt() -> Attempt {
    let result = parse_xml(include_bytes!("fixtures/maths-grade-6.xml")).expect("reads");
    Attempt { result, ..Default::default() }
}

#[test]
fn csv_has_one_line_a_variable() {
    let mut export = CsvExport::new(Vec::new()).expect("header");
    export.attempt(&envelope(), &attempt()).expect("rows");
    let bytes = export.finish().expect("flushed");
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    assert_eq!(reader.headers().expect("header"), COLUMNS.as_slice());
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("valid CSV");
    assert_eq!(rows.len(), attempt().result.variable_count());
    let first: Vec<&str> = rows[0].iter().collect();
    let expected = [
        "018f6f2e-7b5c-7aa0-8000-000000000001",
        "2",
        "https://central.example/tao.rdf#id77",
        "'=HYPERLINK(\"x\")",
        "finished",
        "1970-01-01T00:00:00Z",
        "",
        "",
        "SCORE_TOTAL",
        "outcome",
        "single",
        "float",
        "3.5",
        "",
        "",
    ];
    assert_eq!(first, expected);
    assert_eq!((&rows[3][7], &rows[3][12], &rows[3][13]), ("item-1", "choice_2|choice_1", "choice_1|choice_2"));
    assert_eq!(&rows[5][12], "stringValue= 1,50 €\nsecond line|floatValue=1.5");
}

#[test]
fn a_json_line_reads_back() {
    let mut out = Vec::new();
    write_jsonl(&mut out, &envelope(), &attempt()).expect("written");
    write_jsonl(&mut out, &envelope(), &attempt()).expect("written");
    let text = String::from_utf8(out).expect("UTF-8");
    assert_eq!(text.lines().count(), 2);
    let line: serde_json::Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    assert_eq!(serde_json::from_value::<Envelope>(line["envelope"].clone()).expect("an envelope"), envelope());
    assert_eq!(serde_json::from_value::<Attempt>(line["attempt"].clone()).expect("an attempt"), attempt());
}

struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error() {
    assert!(matches!(write_jsonl(&mut Full, &envelope(), &attempt()), Err(ResultError::Write(_))));
    let mut export = CsvExport::new(Full).expect("buffered");
    export.attempt(&envelope(), &attempt()).expect("buffered");
    assert!(export.finish().is_err());
}
