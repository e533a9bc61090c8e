//! What is read from a package, and what is found wrong with it.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod zips;

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};

use taosync_model::Digest;
use taosync_packages::compile::document::{Child, CompiledTest, Navigation, Submission};
use taosync_packages::tree::{TreeFiles, build};
use taosync_packages::{Limits, check, compile, demo_package};
use taosync_vault::Keyring;
use zips::{checked, codes, error_codes, fixture, on_disk, packed, small_package, small_with};

fn demo() -> CompiledTest {
    checked(&demo_package()).1.unwrap().compiled.document
}

#[test]
fn the_demonstration_package_is_without_fault() {
    let (report, package) = checked(&demo_package());
    assert_eq!(report.to_string(), "");
    assert!(package.is_some());
}

#[test]
fn the_demonstration_package_embeds_every_file_of_its_folder() {
    let on_disk: BTreeMap<_, _> = fixture("demo-qti").into_iter().collect();
    let package = checked(&demo_package()).1.unwrap();
    let embedded: BTreeMap<_, _> = package
        .archive
        .entries()
        .map(|e| (e.path.to_owned(), package.archive.read(e.path, e.bytes).unwrap()))
        .collect();
    assert_eq!(embedded, on_disk);
}

#[test]
fn structure_of_the_demonstration_test() {
    let document = demo();
    let test = &document.test;
    assert_eq!((test.identifier.as_str(), test.title.as_str()), ("maths-grade-6", "Maths, grade 6"));
    assert_eq!((test.qti_version.as_str(), test.href.as_str()), ("2.2", "test.xml"));
    assert_eq!(test.time_limits.unwrap().max_seconds, Some(2700.0));
    assert_eq!(test.assets, ["styles/maths.css"]);
    let [short, long] = test.parts.as_slice() else { panic!("two parts") };
    assert_eq!((short.navigation, short.submission), (Navigation::Linear, Submission::Individual));
    assert_eq!(long.navigation, Navigation::Nonlinear);
    assert_eq!(short.session_control["maxAttempts"], "1");
    assert!(short.time_limits.unwrap().late_submission);
    assert_eq!(short.sections.len(), 2);
    assert!(long.sections[0].shuffle && !short.sections[0].shuffle);
    let references = document.test.item_refs();
    assert_eq!(references.len(), 8);
    assert_eq!(references[0].categories, ["numbers", "fractions"]);
    assert_eq!(references[3].weights["WEIGHT"].to_string(), "1.5");
    assert!(references.iter().all(|reference| document.item(&reference.href).is_some()));
}

#[test]
fn items_of_the_demonstration_test() {
    let document = demo();
    let asked: Vec<_> = document.items.iter().flat_map(|item| &item.interactions).map(|i| i.element.as_str()).collect();
    assert_eq!(
        asked,
        [
            "choiceInteraction",
            "textEntryInteraction",
            "orderInteraction",
            "matchInteraction",
            "hotspotInteraction",
            "inlineChoiceInteraction",
            "choiceInteraction",
            "extendedTextInteraction"
        ]
    );
    let shapes = document.item("items/04-shapes/item.xml").unwrap();
    assert_eq!(shapes.assets.len(), 4, "three shapes and the style: {:?}", shapes.assets);
    assert_eq!(shapes.responses[0].base_type.as_deref(), Some("directedPair"));
    assert_eq!((shapes.language.as_deref(), shapes.outcomes[0].cardinality.as_str()), (Some("en"), "single"));
}

#[test]
fn zip_and_tree_compile_to_the_same_bytes() {
    let package = checked(&demo_package()).1.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keys = Keyring::create(&folder.path().join("keys")).unwrap();
    let mut chunks = BTreeMap::new();
    let tree = build(&package.archive, keys.chunks(), &mut |name, bytes| {
        chunks.insert(*name, bytes.to_vec());
        Ok(())
    });
    let tree = tree.unwrap();
    let fetch = |name: &Digest| chunks.get(name).cloned().ok_or_else(|| Error::from(ErrorKind::NotFound));
    let from_tree = compile(&TreeFiles::new(&tree, &fetch), None).unwrap();
    assert_eq!(from_tree, package.compiled);
    assert_eq!(compile(&package.archive, None).unwrap(), package.compiled);
    assert_eq!(serde_json::from_slice::<CompiledTest>(&from_tree.bytes).unwrap(), from_tree.document);
}

#[test]
fn the_compiled_form_is_fixed() {
    let compiled = checked(&packed(&small_package())).1.unwrap().compiled;
    assert_eq!(
        String::from_utf8(compiled.bytes).unwrap(),
        concat!(
            r#"{"form":2,"compiler":2,"test":{"identifier":"t","title":"Small","href":"test.xml","#,
            r#""qti_version":"2.1","outcomes":[],"time_limits":null,"stylesheets":[],"rubrics":[],"#,
            r#""parts":[{"identifier":"p","navigation":"linear","submission":"individual","session_control":{},"#,
            r#""time_limits":null,"preconditions":[],"branch_rules":[],"rubrics":[],"#,
            r#""sections":[{"identifier":"s","title":"S","visible":true,"required":false,"fixed":false,"#,
            r#""keep_together":true,"selection":null,"shuffle":false,"adaptive_selection":null,"#,
            r#""session_control":{},"time_limits":null,"preconditions":[],"branch_rules":[],"rubrics":[],"#,
            r#""children":[{"item":{"identifier":"i","href":"i/item.xml","required":false,"fixed":false,"#,
            r#""categories":[],"weights":{},"preconditions":[],"branch_rules":[],"variable_mappings":{},"#,
            r#""template_defaults":{},"session_control":{},"time_limits":null}}]}],"feedbacks":[]}],"#,
            r#""outcome_processing":null,"feedbacks":[],"assets":[]},"#,
            r#""items":[{"href":"i/item.xml","identifier":"i","title":"I","label":null,"language":null,"#,
            r#""qti_version":"2.1","adaptive":false,"time_dependent":false,"#,
            r#""responses":[{"identifier":"R","cardinality":"single","base_type":"identifier","#,
            r#""attributes":{},"default":null,"correct":null,"tables":null}],"outcomes":[],"templates":[],"#,
            r#""contexts":[],"template_processing":null,"stimuli":[],"stylesheets":[],"#,
            r#""body":[{"name":"img","attributes":{"alt":"","src":"a.png"},"files":{"src":"i/a.png"}},"#,
            r#"{"name":"choiceInteraction","attributes":{"maxChoices":"1","responseIdentifier":"R"},"#,
            r#""children":["\n        ",{"name":"simpleChoice","attributes":{"identifier":"A"},"#,
            r#""children":["A"]}]}],"response_processing":null,"modal_feedbacks":[],"catalog":null,"#,
            r#""companion_materials":null,"interactions":[{"element":"choiceInteraction","response":"R"}],"#,
            r#""assets":["i/a.png"]}],"texts":[],"files":{"i/a.png":{"bytes":7,"#,
            r#""digest":"6ddc26847ce3ddbfd79789e13d64673369b8d82dd58e26f563537c7035ed0f4e"}}}"#,
        ),
        "another form needs a new FORM and a new COMPILER_VERSION"
    );
}

#[test]
fn a_package_of_qti_3_reads_like_one_of_qti_2() {
    let to_3 = |text: &str| {
        let names = [
            ("imsqti_v2p1", "imsqtiasi_v3p0"),
            ("assessmentTest", "qti-assessment-test"),
            ("testPart", "qti-test-part"),
            ("navigationMode", "navigation-mode"),
            ("submissionMode", "submission-mode"),
            ("assessmentSection", "qti-assessment-section"),
            ("assessmentItemRef", "qti-assessment-item-ref"),
            ("assessmentItem", "qti-assessment-item"),
            ("responseDeclaration", "qti-response-declaration"),
            ("baseType", "base-type"),
            ("itemBody", "qti-item-body"),
            ("choiceInteraction", "qti-choice-interaction"),
            ("responseIdentifier", "response-identifier"),
            ("maxChoices", "max-choices"),
            ("simpleChoice", "qti-simple-choice"),
            ("xmlv2p1", "xmlv3p0"),
            ("timeDependent", "time-dependent"),
        ];
        names.iter().fold(text.to_owned(), |text, (old, new)| text.replace(old, new))
    };
    let translated = |(path, bytes): (String, Vec<u8>)| (path, to_3(&String::from_utf8(bytes).unwrap()).into_bytes());
    let files: Vec<_> = small_package().into_iter().map(translated).collect();
    let (report, package) = checked(&packed(&files));
    assert_eq!(report.to_string(), "");
    let mut document = package.unwrap().compiled.document;
    assert_eq!((document.test.qti_version.as_str(), document.items[0].qti_version.as_str()), ("3.0", "3.0"));
    document.test.qti_version = "2.1".to_owned();
    document.items[0].qti_version = "2.1".to_owned();
    assert_eq!(document, checked(&packed(&small_package())).1.unwrap().compiled.document);
}

#[test]
fn each_fault_is_named() {
    for (path, from, to, code) in [
        ("test.xml", "href=\"i/item.xml\"", "href=\"i/other.xml\"", "missing-item"),
        ("test.xml", "identifier=\"t\"", "", "missing-identifier"),
        ("test.xml", "identifier=\"i\"", "identifier=\"s\"", "duplicate-identifier"),
        ("test.xml", "\"linear\"", "\"sideways\"", "bad-value"),
        ("test.xml", "\"individual\"", "\"\"", "bad-value"),
        ("test.xml", "assessmentTest", "assessmentItem", "wrong-root"),
        ("test.xml", "testPart", "part", "empty-test"),
        (
            "test.xml",
            "<assessmentSection ",
            "<assessmentItemRef identifier=\"j\" href=\"i/item.xml\"/><assessmentSection ",
            "misplaced-item",
        ),
        ("test.xml", "<assessmentItemRef", "<timeLimits maxTime=\"-1\"/><assessmentItemRef", "bad-value"),
        (
            "test.xml",
            "<assessmentItemRef",
            "<assessmentSectionRef identifier=\"x\" href=\"no.xml\"/><assessmentItemRef",
            "missing-section",
        ),
        ("i/item.xml", "assessmentItem", "assessmentTest", "wrong-root"),
        ("i/item.xml", "responseIdentifier=\"R\"", "responseIdentifier=\"Q\"", "undeclared-response"),
        ("i/item.xml", "src=\"a.png\"", "src=\"b.png\"", "missing-asset"),
        ("i/item.xml", "src=\"a.png\"", "src=\"../../a.png\"", "missing-asset"),
        ("imsmanifest.xml", "<file href=\"i/a.png\"/>", "<file href=\"i/b.png\"/>", "missing-file"),
        ("imsmanifest.xml", "identifier=\"I\"", "identifier=\"T\"", "duplicate-identifier"),
        ("imsmanifest.xml", "identifier=\"I\"", "", "missing-identifier"),
        ("imsmanifest.xml", "imsqti_test_xmlv2p1", "webcontent", "no-test"),
        ("imsmanifest.xml", "imsqti_item_xmlv2p1", "imsqti_test_xmlv2p1", "several-tests"),
        ("imsmanifest.xml", "manifest", "other", "wrong-root"),
        ("imsmanifest.xml", "href=\"i/item.xml\">", ">", "missing-href"),
        ("imsmanifest.xml", "<file href=\"i/a.png\"/>", "<file href=\"../a.png\"/>", "bad-href"),
    ] {
        let (report, package) = checked(&small_with(path, from, to));
        assert!(
            package.is_none() && codes(&report.errors).contains(&code),
            "{path} {to}: wanted {code}, got\n{report}"
        );
    }
}

#[test]
fn a_fault_is_placed_at_its_line() {
    let (report, _) = checked(&small_with("test.xml", "href=\"i/item.xml\"", "href=\"i/other.xml\""));
    assert_eq!((report.errors[0].file.as_deref(), report.errors[0].line), (Some("test.xml"), Some(4)));
    let (report, _) = checked(&small_with("i/item.xml", "responseIdentifier=\"R\"", "responseIdentifier=\"Q\""));
    assert_eq!((report.errors[0].line, report.errors[0].element.as_deref()), (Some(3), Some("choiceInteraction")));
    let (report, _) = checked(&small_with("imsmanifest.xml", "<file href=\"i/a.png\"/>", "<file href=\"i/b.png\"/>"));
    assert_eq!((report.errors[0].file.as_deref(), report.errors[0].line), (Some("imsmanifest.xml"), Some(3)));
}

#[test]
fn of_several_tests_one_is_chosen() {
    let mut files = small_package();
    let text = |path: &str| String::from_utf8(files.iter().find(|(p, _)| p == path).unwrap().1.clone()).unwrap();
    let manifest = text("imsmanifest.xml").replace(
        "<resources>",
        "<resources><resource identifier=\"T2\" type=\"imsqti_test_xmlv2p1\" href=\"other.xml\"><file href=\"other.xml\"/></resource>",
    );
    let other = text("test.xml").replace("identifier=\"t\"", "identifier=\"t2\"");
    files.push(("other.xml".into(), other.into_bytes()));
    files.iter_mut().find(|(path, _)| path == "imsmanifest.xml").unwrap().1 = manifest.into_bytes();
    let file = on_disk(&packed(&files));
    let chosen = |test| check(file.path(), &Limits::default(), test);
    for (test, identifier) in [("T", "t"), ("T2", "t2")] {
        let (report, package) = chosen(Some(test));
        let package = package.unwrap_or_else(|| panic!("{report}"));
        assert_eq!(package.compiled.document.test.identifier, identifier);
        assert_eq!(compile(&package.archive, Some(test)).unwrap(), package.compiled);
    }
    for (test, code) in [(None, "several-tests"), (Some("T3"), "unknown-test")] {
        let (report, _) = chosen(test);
        assert_eq!(codes(&report.errors), [code]);
        assert!(report.errors[0].message.contains("'T' (test.xml)") && report.errors[0].message.contains("'T2'"));
        assert!(report.errors[0].advice.contains("--test"));
    }
}

#[test]
fn what_only_deserves_a_look_is_a_warning() {
    for (path, from, to, code) in [
        ("test.xml", "<testPart", "<testPart titel=\"x\"", "unknown-attribute"),
        ("test.xml", "imsqti_v2p1", "my_own", "unknown-version"),
        ("i/item.xml", "<itemBody>", "<stylesheet href=\"no.css\"/><itemBody>", "missing-asset"),
        ("imsmanifest.xml", "<file href=\"i/a.png\"/>", "", "unlisted-file"),
        (
            "imsmanifest.xml",
            "<file href=\"i/a.png\"/>",
            "<file href=\"i/a.png\"/><dependency identifierref=\"X\"/>",
            "missing-dependency",
        ),
        ("imsmanifest.xml", "imsqti_item_xmlv2p1", "webcontent", "unlisted-item"),
    ] {
        let (report, package) = checked(&small_with(path, from, to));
        assert!(package.is_some(), "{path} {to}:\n{report}");
        assert_eq!(codes(&report.warnings), [code]);
    }
}

#[test]
fn an_unused_item_is_checked_but_not_compiled() {
    let mut files = small_package();
    let more = "<resource identifier=\"J\" type=\"imsqti_item_xmlv2p1\" href=\"j.xml\"/></resources>";
    let manifest = String::from_utf8(files[2].1.clone()).unwrap().replace("</resources>", more);
    files[2].1 = manifest.into_bytes();
    let item = "<assessmentItem xmlns=\"http://www.imsglobal.org/xsd/imsqti_v2p1\" identifier=\"j\" \
        title=\"J\" timeDependent=\"false\"/>";
    files.push(("j.xml".to_owned(), item.as_bytes().to_vec()));
    let (report, package) = checked(&packed(&files));
    assert_eq!((codes(&report.warnings), package.unwrap().compiled.document.items.len()), (vec!["unused-item"], 1));
    files.last_mut().unwrap().1 = b"<broken".to_vec();
    assert_eq!(error_codes(&checked(&packed(&files)).0), ["malformed-xml"]);
}

#[test]
fn section_files_that_include_each_other_come_to_an_end() {
    let mut files = small_package();
    let test = String::from_utf8(files[3].1.clone()).unwrap();
    let reference = "<assessmentSectionRef identifier=\"x\" href=\"s.xml\"/><assessmentItemRef";
    files[3].1 = test.replace("<assessmentItemRef", reference).into_bytes();
    let section = "<assessmentSection xmlns=\"http://www.imsglobal.org/xsd/imsqti_v2p1\" identifier=\"s2\" \
        title=\"S2\" visible=\"true\">\
        <assessmentSectionRef identifier=\"y\" href=\"s.xml\"/></assessmentSection>";
    files.push(("s.xml".to_owned(), section.as_bytes().to_vec()));
    assert_eq!(error_codes(&checked(&packed(&files)).0), ["repeated-section"]);
    let flat = section.replace("<assessmentSectionRef identifier=\"y\" href=\"s.xml\"/>", "");
    files.last_mut().unwrap().1 = flat.into_bytes();
    let document = checked(&packed(&files)).1.unwrap().compiled.document;
    let Child::Section(inner) = &document.test.parts[0].sections[0].children[0] else { panic!("a section first") };
    assert_eq!(inner.identifier, "s2");
}

#[test]
fn sections_nested_at_and_beyond_the_limit() {
    let nested = |depth: usize| {
        let open: Vec<_> = (1..depth).map(|n| format!("<assessmentSection identifier=\"n{n}\">")).collect();
        let close = "</assessmentSection>".repeat(depth - 1);
        let with_open = format!("{}<assessmentItemRef", open.concat());
        let mut files = small_package();
        let test = String::from_utf8(files[3].1.clone()).unwrap().replace("<assessmentItemRef", &with_open);
        files[3].1 = test
            .replace("</assessmentSection></testPart>", &format!("{close}</assessmentSection></testPart>"))
            .into_bytes();
        error_codes(&checked(&packed(&files)).0)
    };
    assert_eq!(nested(32), [""; 0]);
    assert_eq!(nested(33), ["test-too-large"]);
}

#[test]
fn items_at_and_beyond_the_limit() {
    let with = |references: usize| {
        let more: Vec<_> =
            (1..references).map(|n| format!("<assessmentItemRef identifier=\"i{n}\" href=\"i/item.xml\"/>")).collect();
        error_codes(
            &checked(&small_with("test.xml", "<assessmentItemRef", &format!("{}<assessmentItemRef", more.concat()))).0,
        )
    };
    // The section counts too.
    assert_eq!(with(49_999), [""; 0]);
    assert_eq!(with(50_000), ["test-too-large"]);
}

#[test]
fn included_texts_at_and_beyond_the_limit() {
    let with = |pages: usize| {
        let mut files = small_package();
        let includes: Vec<_> = (0..pages).map(|n| format!("<include href=\"t{n}.xml\"/>")).collect();
        let item = String::from_utf8(files[1].1.clone()).unwrap();
        files[1].1 = item.replace("<itemBody>", &format!("<itemBody>{}", includes.concat())).into_bytes();
        files.extend((0..pages).map(|n| (format!("i/t{n}.xml"), b"<div/>".to_vec())));
        error_codes(&checked(&packed(&files)).0)
    };
    assert_eq!(with(1_000), [""; 0]);
    assert_eq!(with(1_001), ["too-many-includes"]);
}

#[test]
fn stylesheets_at_and_beyond_the_limit() {
    let with = |bytes: usize| {
        let mut files = small_package();
        let item = String::from_utf8(files[1].1.clone()).unwrap();
        files[1].1 =
            item.replace("<itemBody>", "<stylesheet href=\"s.css\" type=\"text/css\"/><itemBody>").into_bytes();
        // Numbers without end compress little enough not to look like a bomb.
        let style: Vec<u8> =
            (0_u32..).flat_map(|n| format!("/*{}*/", n.wrapping_mul(2_654_435_761)).into_bytes()).take(bytes).collect();
        files.push(("i/s.css".to_owned(), style));
        error_codes(&checked(&packed(&files)).0)
    };
    assert_eq!(with(4 * 1024 * 1024), [""; 0]);
    assert_eq!(with(4 * 1024 * 1024 + 1), ["file-too-large"]);
}

#[test]
fn shared_texts_bring_their_pictures() {
    let mut files = small_package();
    let item = String::from_utf8(files[1].1.clone()).unwrap();
    let include = "<itemBody><xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"../shared/text.xml\"/>";
    files[1].1 = item.replace("<itemBody>", include).into_bytes();
    files.push(("shared/text.xml".to_owned(), b"<div><img src=\"b.png\"/><include href=\"text.xml\"/></div>".to_vec()));
    files.push(("shared/b.png".to_owned(), b"picture".to_vec()));
    let document = checked(&packed(&files)).1.unwrap().compiled.document;
    assert_eq!(document.items[0].assets, ["i/a.png", "shared/b.png", "shared/text.xml"]);
    files.pop();
    let (report, _) = checked(&packed(&files));
    assert_eq!(
        (error_codes(&report), report.errors[0].file.as_deref()),
        (vec!["missing-asset"], Some("shared/text.xml"))
    );
}
