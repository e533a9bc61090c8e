//! A realistic file, and everything that must be refused with its place.

use taosync_model::assessment::{Variable, VariableKind};
use taosync_results::{MAX_DEPTH, MAX_VARIABLES, MAX_XML, ResultError, parse_xml, write_xml};

const FIXTURE: &str = include_str!("fixtures/maths-grade-6.xml");

fn texts(variable: &Variable) -> Vec<&str> {
    variable.values.iter().flatten().map(|v| v.text.as_str()).collect()
}

#[test]
fn a_file_as_tao_writes_it() {
    let result = parse_xml(FIXTURE.as_bytes()).expect("reads");
    assert_eq!(result.context.sourced_id.as_deref(), Some("itt3"));
    assert_eq!(result.context.sessions[0].identifier, "https://box.example/tao.rdf#ide01");
    assert_eq!(result.variable_count(), 8);

    let test = result.test.as_ref().expect("a test result");
    let score = &test.variables[0];
    assert_eq!((score.kind, texts(score)), (VariableKind::Outcome, vec!["3.5"]));
    let further = [("normalMaximum".to_owned(), "4".to_owned()), ("normalMinimum".to_owned(), "0".to_owned())];
    assert_eq!(score.attributes, further);
    assert_eq!(test.variables[1].base_type, None, "an empty base type is none");

    let [first, second, third] = result.items.as_slice() else { panic!("three items") };
    assert_eq!(first.sequence_index, Some(1));
    assert_eq!(first.candidate_comment.as_deref(), Some("Is 0 < 1 & \"l'égalité\"?"));
    assert_eq!(texts(&first.variables[1]), ["choice_2", "choice_1"]);
    assert_eq!(first.variables[1].correct.as_ref().map(Vec::len), Some(2));
    let record = second.variables[0].values.as_ref().expect("values");
    assert_eq!(record[0].text, " 1,50 €\nsecond line", "white space belongs to the answer");
    assert_eq!((record[1].field.as_deref(), record[1].base_type.as_deref()), (Some("floatValue"), Some("float")));
    assert_eq!(second.variables[1].kind, VariableKind::Template);
    assert_eq!(third.variables[0].values, None, "no value is NULL");

    assert_eq!(parse_xml(write_xml(&result).as_bytes()).expect("reads back"), result);
}

#[test]
fn prefixes_and_the_other_namespaces_change_nothing() {
    let plain = parse_xml(FIXTURE.as_bytes()).expect("reads");
    let prefixed = ["assessmentResult", "context", "sessionIdentifier", "testResult", "itemResult", "value"]
        .into_iter()
        .chain(["responseVariable", "outcomeVariable", "templateVariable", "candidateComment"])
        .chain(["candidateResponse", "correctResponse"])
        .fold(FIXTURE.replace("xmlns=", "xmlns:q="), |xml, name| {
            let open = xml
                .replace(&format!("<{name} "), &format!("<q:{name} "))
                .replace(&format!("<{name}>"), &format!("<q:{name}>"));
            open.replace(&format!("<{name}/>"), &format!("<q:{name}/>"))
                .replace(&format!("</{name}>"), &format!("</q:{name}>"))
        });
    assert_eq!(parse_xml(prefixed.as_bytes()).expect("prefixed"), plain);
    let v2p2 = FIXTURE.replace("imsqti_result_v2p1", "imsqti_result_v2p2");
    assert_eq!(parse_xml(v2p2.as_bytes()).expect("2.2"), plain);
    let marked = [b"\xEF\xBB\xBF", FIXTURE.as_bytes()].concat();
    assert_eq!(parse_xml(&marked).expect("with byte order mark"), plain);
}

#[test]
fn foreign_elements_are_skipped_with_all_they_hold() {
    let foreign = "<x:note xmlns:x=\"urn:x\">text <context/><x:deeper>more</x:deeper></x:note><testResult";
    let plain = parse_xml(FIXTURE.as_bytes()).expect("reads");
    assert_eq!(parse_xml(FIXTURE.replace("<testResult", foreign).as_bytes()).expect("reads"), plain);
}

fn complaint(xml: &str) -> String {
    parse_xml(xml.as_bytes()).expect_err(xml).to_string()
}

fn wrapped(inner: &str) -> String {
    format!(
        "<assessmentResult xmlns=\"http://www.imsglobal.org/xsd/imsqti_result_v2p1\">\n<context/>\n{inner}\n</assessmentResult>"
    )
}

fn in_item(inner: &str) -> String {
    wrapped(&format!("<itemResult identifier=\"i\" datestamp=\"d\" sessionStatus=\"final\">\n{inner}</itemResult>"))
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let cases = [
        (
            wrapped("<itemResult identifier=\"i\" datestamp=\"d\"/>"),
            "line 3, element itemResult: the attribute sessionStatus is missing",
        ),
        (
            in_item("<outcomeVariable identifier=\"a\" cardinality=\"many\"/>"),
            "line 4, element outcomeVariable: cardinality",
        ),
        (in_item("<outcomeVariable cardinality=\"single\"/>"), "the attribute identifier is missing"),
        (
            in_item("<responseVariable identifier=\"a\" cardinality=\"single\"><value/></responseVariable>"),
            "element value: it has no place inside responseVariable",
        ),
        (
            in_item("<outcomeVariable identifier=\"a\" cardinality=\"single\"><value>a<b/></value></outcomeVariable>"),
            "value holds text, not elements",
        ),
        (in_item("<outcomeVariable identifier=\"a\" identifier=\"b\" cardinality=\"single\"/>"), "given twice"),
        (in_item("<outcomeVariable identifier=\"a\" cardinality=\"single\" a<b=\"\"/>"), "name XML does not allow"),
        (in_item("<outcomeVariable identifier=\"\u{1}\" cardinality=\"single\"/>"), "character XML does not allow"),
        (in_item("answer"), "element itemResult: it holds elements, not text"),
        (in_item("<candidateComment>&nbsp;</candidateComment>"), "entity"),
        (in_item("<candidateComment>\u{1}</candidateComment>"), "does not allow"),
        (wrapped("<context/>"), "second context"),
        (wrapped("<unknown/>"), "line 3, element unknown: it has no place inside assessmentResult"),
        (
            "<assessmentResult xmlns=\"http://www.imsglobal.org/xsd/imsqti_result_v2p1\"/>".to_owned(),
            "context is missing",
        ),
        ("<assessmentResult/>".to_owned(), "namespace"),
        ("<html/>".to_owned(), "begins with assessmentResult"),
        (format!("<!DOCTYPE a [<!ENTITY e \"x\">]>{FIXTURE}"), "DTD"),
        (FIXTURE[..FIXTURE.len() - 30].to_owned(), "line 53: this is not well-formed"),
        (FIXTURE.replace("</testResult>", "</itemResult>"), "not well-formed"),
        (FIXTURE.replace("encoding=\"UTF-8\"", "encoding=\"ISO-8859-1\""), "not UTF-8"),
        (format!("{FIXTURE}<more/>"), "follows the end"),
        (String::new(), "ends before"),
    ];
    for (xml, expected) in cases {
        let error = complaint(&xml);
        assert!(error.contains(expected), "{expected}\n  not in: {error}");
    }
    let latin1 = parse_xml(b"<a>\n\xE9</a>").expect_err("Latin-1").to_string();
    assert!(latin1.contains("line 2") && latin1.contains("UTF-8"), "{latin1}");
    assert!(parse_xml(b"\xFF\xFE<\0").expect_err("UTF-16").to_string().contains("UTF-16"));
}

#[test]
fn a_second_test_is_refused_and_a_second_part_of_one_is_joined() {
    let part = |id: &str, v: &str| {
        format!(
            "<testResult identifier=\"{id}\" datestamp=\"d\"><outcomeVariable identifier=\"{v}\" cardinality=\"single\"/></testResult>"
        )
    };
    let joined = parse_xml(wrapped(&(part("t", "a") + &part("t", "b"))).as_bytes()).expect("one test");
    assert_eq!(joined.variable_count(), 2);
    assert!(complaint(&wrapped(&(part("t", "a") + &part("u", "b")))).contains("second test"));
}

#[test]
fn sizes_are_bounded() {
    let nested = |levels: usize| {
        let inner = (0..levels).fold(String::new(), |inner, _| format!("<x:n xmlns:x=\"urn:x\">{inner}</x:n>"));
        wrapped(&inner)
    };
    assert!(parse_xml(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
    assert!(complaint(&nested(MAX_DEPTH)).contains("deeper"));

    let many = |count: usize| in_item(&"<outcomeVariable identifier=\"a\" cardinality=\"single\"/>".repeat(count));
    assert_eq!(parse_xml(many(MAX_VARIABLES).as_bytes()).expect("at the limit").variable_count(), MAX_VARIABLES);
    assert!(complaint(&many(MAX_VARIABLES + 1)).contains("more than 200000 variables"));

    let attributes = |count: usize| {
        let list = (0..count).map(|i| format!(" a{i}=\"\"")).collect::<Vec<_>>().concat();
        in_item(&format!("<outcomeVariable{list}/>"))
    };
    assert!(complaint(&attributes(64)).contains("identifier is missing"));
    assert!(complaint(&attributes(65)).contains("more than 64 attributes"));

    let declared = |count: usize| {
        let levels = count.div_ceil(64);
        let list = |level: usize| {
            let of_level = (level * 64..count.min(level * 64 + 64)).map(|i| format!(" xmlns:n{i}=\"urn:n\""));
            of_level.collect::<String>()
        };
        let open: Vec<_> = (0..levels).map(|level| format!("<n0:n{}>", list(level))).collect();
        // The root declares one.
        wrapped(&(open.concat() + &"</n0:n>".repeat(levels)))
    };
    assert!(parse_xml(declared(127).as_bytes()).is_ok());
    assert!(complaint(&declared(128)).contains("more than 128 namespaces"));

    let namespace = "n".repeat(1024 * 1024 - 3);
    let kept = |count: usize| {
        let variable = "<outcomeVariable identifier=\"a\" cardinality=\"single\" x:y=\"\"/>";
        in_item(&variable.repeat(count)).replacen(
            "<assessmentResult",
            &format!("<assessmentResult xmlns:x=\"{namespace}\""),
            1,
        )
    };
    assert!(parse_xml(kept(64).as_bytes()).is_ok());
    assert!(complaint(&kept(65)).contains("more than 67108864 bytes"));

    let padded = |size: usize| {
        let xml = wrapped("");
        let padding = " ".repeat(size - xml.len());
        xml + &padding
    };
    assert!(parse_xml(padded(MAX_XML).as_bytes()).is_ok());
    assert!(matches!(parse_xml(padded(MAX_XML + 1).as_bytes()), Err(ResultError::TooLarge { .. })));
}

#[test]
fn a_complaint_quotes_nothing_of_the_file() {
    for wrong in [
        "<value>secret</vaSECRET\u{1b}[2J>",
        "<value secret='a' & b>",
        "<value>&secret;</value>",
        "</secret>",
        "<v\u{7}ecret/>",
    ] {
        let error = complaint(&in_item(wrong));
        let quoted = error.to_lowercase().contains("secret") || error.chars().any(char::is_control);
        assert!(!quoted, "{wrong:?}: {error:?}");
    }
}
