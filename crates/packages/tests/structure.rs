//! What the standard demands of tests and items, in QTI 2 and in QTI 3: each fault is named at its place.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod zips;

use proptest::prelude::*;
use taosync_packages::Problem;
use taosync_packages::compile::document::{Child, CompiledTest, Element, Markup, Node};
use zips::{checked, codes, packed, qti_3_package, qti_3_with, small_with};

fn qti_3() -> CompiledTest {
    let (report, package) = checked(&packed(&qti_3_package()));
    assert_eq!(report.to_string(), "");
    package.unwrap().compiled.document
}

fn only(markup: &Markup) -> Element {
    let nodes = markup.nodes().unwrap();
    let [Node::Element(element)] = nodes.as_slice() else { panic!("one element in {}", markup.json()) };
    element.clone()
}

fn inner(element: &Element) -> Vec<&Element> {
    let elements = element.children.iter().filter_map(|node| match node {
        Node::Element(element) => Some(element),
        Node::Text(_) => None,
    });
    elements.collect()
}

#[test]
fn rules_of_a_test_are_carried_whole() {
    let test = qti_3().test;
    let [easy, hard] = test.parts.as_slice() else { panic!("two parts") };
    let states = &easy.sections[0];
    assert_eq!((states.branch_rules[0].target.as_str(), states.shuffle), ("EXIT_TESTPART", true));
    let condition = only(&states.branch_rules[0].condition);
    assert_eq!(condition.name, "lt");
    assert_eq!(inner(&condition)[0].attributes["identifier"], "ice.SCORE");
    assert_eq!(inner(&condition)[1].children, [Node::Text("1".to_owned())]);
    assert_eq!(only(&hard.preconditions[0]).name, "gte");
    let geography = &hard.sections[0];
    assert_eq!(geography.selection.as_ref().unwrap().select, 1);
    assert!(!geography.visible && !geography.keep_together && states.visible);
    let [Child::Item(rivers), Child::Item(guess)] = geography.children.as_slice() else { panic!("two items") };
    assert_eq!(rivers.variable_mappings["POINTS"], "SCORE");
    assert_eq!(only(&guess.template_defaults["SECRET"]).attributes["baseType"], "integer");
    let rules = test.outcome_processing.unwrap().nodes().unwrap();
    assert_eq!(rules.len(), 2);
    let feedback = &test.feedbacks[0];
    assert_eq!((feedback.outcome.as_str(), feedback.identifier.as_str()), ("LEVEL", "expert"));
    assert_eq!((feedback.access.as_deref(), feedback.show_hide.as_str()), (Some("atEnd"), "show"));
    let rubric = &states.rubrics[0];
    assert_eq!(
        (rubric.views.as_slice(), rubric.purpose.as_deref()),
        (&["candidate".to_owned()][..], Some("instructions"))
    );
    assert_eq!(only(&rubric.content).name, "p");
    assert_eq!((test.outcomes[0].default.as_ref().unwrap()[0].value.as_str(), test.assets.len()), ("0", 2));
}

#[test]
fn items_are_carried_whole() {
    let document = qti_3();
    let ice = document.item("items/ice.xml").unwrap();
    assert_eq!(ice.stylesheets[0].href.as_deref(), Some("styles/water.css"));
    assert_eq!(ice.assets, ["styles/water.css", "styles/wave.svg"], "with what the style names");
    let scored = ice.response_processing.as_ref().unwrap();
    assert!(scored.template.as_ref().unwrap().ends_with("match_correct.xml") && scored.rules.is_none());
    assert_eq!(ice.outcomes[0].attributes["normalMaximum"], "1");
    assert_eq!(ice.responses[0].correct.as_ref().unwrap()[0].value, "floats");
    assert_eq!(ice.modal_feedbacks[0].show_hide, "hide");
    assert!(ice.body.json().contains(r#""data-look":"plain""#) && ice.body.json().contains(r#""maxChoices":"1""#));

    let boiling = document.item("items/boiling.xml").unwrap();
    assert!(boiling.adaptive && boiling.time_dependent);
    let rules = boiling.response_processing.as_ref().unwrap().rules.as_ref().unwrap();
    let condition = only(rules);
    assert_eq!(
        inner(&condition).iter().map(|e| e.name.as_str()).collect::<Vec<_>>(),
        ["responseIf", "responseElseIf", "responseElse"]
    );
    assert_eq!(inner(inner(&condition)[1])[0].name, "durationLT");
    assert!(boiling.body.json().contains(r#""namespace":"http://www.w3.org/1998/Math/MathML""#));
    let table = only(boiling.responses[0].tables.as_ref().unwrap());
    assert_eq!((table.name.as_str(), inner(&table).len()), ("mapping", 2));

    let rivers = document.item("items/rivers.xml").unwrap();
    assert_eq!(rivers.stimuli[0].href.as_deref(), Some("shared/rivers.xml"));
    assert_eq!(rivers.assets, ["shared/map.svg", "shared/rivers.xml"]);
    assert!(rivers.catalog.as_ref().unwrap().json().contains("A river is flowing water."));
    assert_eq!(document.texts[0].title.as_deref(), Some("Two rivers"));
    assert!(document.texts[0].content.json().contains(r#""files":{"src":"shared/map.svg"}"#));

    let guess = document.item("items/guess.xml").unwrap();
    assert_eq!(guess.templates[0].attributes["paramVariable"], "true");
    assert_eq!(guess.template_processing.as_ref().unwrap().nodes().unwrap().len(), 2);
    assert_eq!(
        document.files.keys().collect::<Vec<_>>(),
        ["shared/map.svg", "shared/rivers.xml", "styles/water.css", "styles/wave.svg"]
    );
}

/// Changes of the package of QTI 3, with what is said of each.
const FAULTS_OF_QTI_3: &[(&str, &str, &str, &str)] = &[
    ("test.xml", "identifier=\"ice.SCORE\"", "identifier=\"ice.POINTS\"", "undeclared-variable"),
    ("test.xml", "identifier=\"ice.SCORE\"", "identifier=\"snow.SCORE\"", "undeclared-variable"),
    (
        "test.xml",
        "<qti-set-outcome-value identifier=\"LEVEL\"",
        "<qti-set-outcome-value identifier=\"LEVL\"",
        "undeclared-variable",
    ),
    ("test.xml", "target=\"EXIT_TESTPART\"", "target=\"ice\"", "unknown-target"),
    ("test.xml", "target=\"EXIT_TESTPART\"", "target=\"nowhere\"", "unknown-target"),
    ("test.xml", "target=\"EXIT_TESTPART\"", "", "missing-attribute"),
    ("test.xml", "select=\"1\"", "select=\"3\"", "bad-selection"),
    ("test.xml", "min-time=\"5\"", "min-time=\"500\"", "bad-value"),
    ("test.xml", "shuffle=\"true\"", "shuffle=\"yes\"", "bad-value"),
    ("test.xml", "view=\"candidate\"", "view=\"pupil\"", "bad-value"),
    ("test.xml", "<qti-ordering shuffle=\"true\"/>", "<qti-order/>", "unknown-element"),
    ("test.xml", "<qti-ordering shuffle=\"true\"/>", "<ordering shuffle=\"true\"/>", "wrong-name"),
    ("test.xml", "<qti-gte>", "<qti-gte><qti-null/>", "wrong-count"),
    ("test.xml", "<qti-sum>", "<qti-sum><qti-summand/>", "unknown-element"),
    ("test.xml", "<qti-ordering shuffle=\"true\"/>", "<qti-item-ref href=\"items/ice.xml\"/>", "unknown-element"),
    ("items/ice.xml", "cardinality=\"single\" base-type=\"identifier\"", "cardinality=\"single\"", "missing-attribute"),
    ("items/ice.xml", "base-type=\"float\" normal-maximum", "base-type=\"number\" normal-maximum", "bad-value"),
    ("items/ice.xml", "base-type=\"identifier\">", "base-type=\"string\">", "wrong-type"),
    ("items/ice.xml", "response-identifier=\"RESPONSE\"", "responseIdentifier=\"RESPONSE\"", "wrong-name"),
    ("items/ice.xml", "response-identifier=\"RESPONSE\"", "", "missing-attribute"),
    ("items/ice.xml", "identifier=\"FEEDBACK\"", "identifier=\"SCORE\"", "duplicate-identifier"),
    ("items/ice.xml", "outcome-identifier=\"FEEDBACK\"", "outcome-identifier=\"FEDBACK\"", "undeclared-variable"),
    ("items/ice.xml", "<qti-item-body>", "<qti-scoring/><qti-item-body>", "unknown-element"),
    ("items/boiling.xml", "<qti-value>100</qti-value>", "<qti-value>hundred</qti-value>", "bad-value"),
    (
        "items/boiling.xml",
        "<qti-value>100</qti-value>",
        "<qti-value>100</qti-value><qti-value>99</qti-value>",
        "wrong-count",
    ),
    ("items/boiling.xml", "map-key=\"99\" ", "", "missing-attribute"),
    ("items/boiling.xml", "<qti-exit-response/>", "<qti-exit/>", "unknown-element"),
    (
        "items/boiling.xml",
        "<qti-map-response identifier=\"DEGREES\"/>",
        "<qti-map-response identifier=\"KELVIN\"/>",
        "undeclared-variable",
    ),
    ("items/rivers.xml", "href=\"../shared/rivers.xml\"", "href=\"../items/ice.xml\"", "wrong-root"),
    ("items/rivers.xml", "href=\"../shared/rivers.xml\"", "href=\"../shared/lakes.xml\"", "missing-asset"),
    ("items/rivers.xml", "<qti-simple-match-set>", "<!-- <qti-simple-match-set>", "malformed-xml"),
    (
        "items/guess.xml",
        "<qti-printed-variable identifier=\"SECRET\"/>",
        "<qti-printed-variable/>",
        "missing-attribute",
    ),
    ("items/guess.xml", "<qti-random-integer min=\"1\" max=\"9\"/>", "", "wrong-count"),
    ("shared/rivers.xml", "map.svg", "map.png", "missing-asset"),
    ("imsmanifest.xml", "<file href=\"shared/map.svg\"/>", "<file href=\"shared/maps.svg\"/>", "missing-file"),
];

/// The same for what is only worth a look.
const WARNINGS_OF_QTI_3: &[(&str, &str, &str, &str)] = &[
    ("test.xml", "title=\"Rivers\"", "", "missing-attribute"),
    ("test.xml", "identifier=\"geography\"", "identifier=\"2 geo\"", "bad-identifier"),
    ("test.xml", "<qti-content-body><p>Answer", "<qti-content-body><qti-smile/><p>Answer", "unknown-element"),
    ("items/ice.xml", " time-dependent=\"false\"", "", "missing-attribute"),
    ("items/ice.xml", "identifier=\"sinks\"", "identifier=\"floats\"", "duplicate-choice"),
    ("items/ice.xml", "<qti-value>floats</qti-value>", "<qti-value>swims</qti-value>", "unknown-choice"),
    ("items/ice.xml", "<p>What", "<p><img src=\"https://example.org/ice.png\" alt=\"\"/>What", "remote-media"),
    ("items/ice.xml", "<p>What", "<p style=\"background: url(//example.org/a.png)\">What", "remote-media"),
    (
        "items/boiling.xml",
        "<p><qti-end-attempt-interaction response-identifier=\"HINT\" title=\"Show me a hint\"/></p>",
        "",
        "unused-response",
    ),
    ("items/ice.xml", "match_correct.xml", "match_nearly.xml", "unknown-template"),
    ("items/rivers.xml", "identifier=\"SCORE\"", "identifier=\"POINTS\"", "unscored"),
    ("styles/water.css", "wave.svg", "waves.svg", "missing-asset"),
    ("styles/water.css", "wave.svg", "http://example.org/wave.svg", "remote-media"),
    ("imsmanifest.xml", "imsqti_stimulus_xmlv3p0", "imsqti_stimuls_xmlv3p0", "unknown-type"),
    ("imsmanifest.xml", " type=\"webcontent\"", "", "missing-attribute"),
    ("imsmanifest.xml", "imscp_v1p1", "package", "unknown-version"),
];

/// What careless hands write into pages.
const SNIPPETS: &[&str] = &[
    "",
    " ",
    "<",
    ">",
    "\"",
    "qti-",
    "identifier=\"SCORE\"",
    "<qti-null/>",
    "</qti-sum>",
    "url(",
    "../",
    "SCORE",
    "&amp;",
    "1",
];

fn is_mendable(problem: &Problem) -> bool {
    problem.file.is_some() && !problem.message.is_empty() && !problem.advice.is_empty()
}

#[test]
fn each_fault_of_qti_3_is_named_at_its_place() {
    for (path, from, to, code) in FAULTS_OF_QTI_3 {
        let (report, package) = checked(&qti_3_with(path, from, to));
        assert!(package.is_none(), "{path}: {from} → {to} was taken");
        assert!(codes(&report.errors).contains(code), "{path}: {from} → {to}: wanted {code}, got\n{report}");
        let problem = report.errors.iter().find(|problem| problem.code == *code).unwrap();
        assert!(is_mendable(problem), "{problem}");
        // The page with the wrong root is another than the one that leads there.
        assert!(problem.file.as_deref() == Some(*path) || *code == "wrong-root", "{problem}");
    }
}

#[test]
fn what_only_deserves_a_look_in_qti_3_is_a_warning() {
    for (path, from, to, code) in WARNINGS_OF_QTI_3 {
        let (report, package) = checked(&qti_3_with(path, from, to));
        assert!(package.is_some(), "{path}: {from} → {to}:\n{report}");
        assert!(codes(&report.warnings).contains(code), "{path}: {from} → {to}: wanted {code}, got\n{report}");
        assert!(report.warnings.iter().all(is_mendable), "{report}");
    }
}

#[test]
fn names_of_qti_3_in_a_file_of_qti_2_are_refused() {
    let (report, _) = checked(&small_with("i/item.xml", "<itemBody>", "<qti-stylesheet href=\"a.css\"/><itemBody>"));
    assert_eq!(codes(&report.errors), ["wrong-name"]);
    assert!(report.errors[0].message.contains("'stylesheet'"), "{report}");
}

#[test]
fn every_problem_of_a_package_is_in_one_report() {
    let mut files = qti_3_package();
    for (path, from, to) in [
        ("test.xml", "identifier=\"ice.SCORE\"", "identifier=\"ice.POINTS\""),
        ("items/ice.xml", "base-type=\"identifier\">", "base-type=\"string\">"),
        ("items/boiling.xml", "<qti-item-body>", "<qti-item-body><p>"),
    ] {
        files = zips::changed(files, path, from, to);
    }
    let (report, package) = checked(&packed(&files));
    assert!(package.is_none());
    assert_eq!(codes(&report.errors), ["malformed-xml", "undeclared-variable", "wrong-type"], "{report}");
}

#[test]
fn variables_of_an_item_that_cannot_be_read_are_not_called_undeclared() {
    let (report, _) = checked(&qti_3_with("items/ice.xml", "<qti-item-body>", "<qti-item-body><p>"));
    assert_eq!(codes(&report.errors), ["malformed-xml"], "{report}");
}

/// Sections and rules as deep as the limits allow: many programs read JSON of 128 levels and no more.
#[test]
fn the_deepest_test_reads_back() {
    let deepest = |rules: usize| {
        let section = |n| format!("<assessmentSection identifier=\"n{n}\" title=\"\" visible=\"true\">");
        let sections = (1..32).map(section).collect::<Vec<_>>().concat();
        let rule = format!("{}<null/>{}", "<not>".repeat(rules), "</not>".repeat(rules));
        let item = format!(
            "{sections}<assessmentItemRef identifier=\"i\" href=\"i/item.xml\"><preCondition>{rule}</preCondition>\
             </assessmentItemRef>{}",
            "</assessmentSection>".repeat(31)
        );
        checked(&small_with("test.xml", "<assessmentItemRef identifier=\"i\" href=\"i/item.xml\"/>", &item))
    };
    let (report, package) = deepest(28);
    let compiled = package.unwrap_or_else(|| panic!("{report}")).compiled;
    let again: CompiledTest = serde_json::from_slice(&compiled.bytes).unwrap();
    assert_eq!(again, compiled.document);
    assert_eq!(again.test.item_refs()[0].preconditions[0].nodes().unwrap().len(), 1);
    assert_eq!(codes(&deepest(29).0.errors), ["xml-too-large"]);
    let body = format!("<itemBody>{}<br/>{}", "<div>".repeat(62), "</div>".repeat(62));
    let document = checked(&small_with("i/item.xml", "<itemBody>", &body)).1.unwrap().compiled.document;
    assert!(document.items[0].body.nodes().is_ok());
}

#[test]
fn addresses_of_the_manifest_may_have_a_base() {
    let mut files = qti_3_package();
    for (from, to) in [
        ("<resource identifier=\"ice\"", "<resource xml:base=\"items\" identifier=\"ice\""),
        ("href=\"items/ice.xml\">", "href=\"ice.xml\">"),
        ("<file href=\"items/ice.xml\"/>", "<file href=\"ice.xml\"/>"),
    ] {
        files = zips::changed(files, "imsmanifest.xml", from, to);
    }
    assert_eq!(checked(&packed(&files)).0.to_string(), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn changed_pages_give_a_report_or_a_test_that_reads_back(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..30, prop::sample::select(SNIPPETS)), 1..4),
    ) {
        let mut files = qti_3_package();
        for (which, at, length, snippet) in changes {
            let which = which.index(files.len());
            let text = String::from_utf8(files[which].1.clone()).unwrap();
            let start = at.index(text.len());
            let end = (start + length).min(text.len());
            // The pages are ASCII.
            files[which].1 = format!("{}{snippet}{}", &text[..start], &text[end..]).into_bytes();
        }
        let (report, package) = checked(&packed(&files));
        prop_assert_eq!(report.is_ok(), package.is_some());
        prop_assert!(report.errors.iter().chain(&report.warnings).all(is_mendable), "{}", report);
        if let Some(package) = package {
            let again: CompiledTest = serde_json::from_slice(&package.compiled.bytes).unwrap();
            prop_assert_eq!(&again, &package.compiled.document);
            prop_assert!(again.items.iter().all(|item| item.body.nodes().is_ok()));
        }
    }
}
