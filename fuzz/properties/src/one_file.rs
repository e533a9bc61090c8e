//! A small sound package of which one file is the input: what the fuzzer finds then is in the reading of that file.

use std::collections::BTreeMap;

use crate::qti::{Files, hold};

const MANIFEST: &str = r#"<manifest xmlns="http://www.imsglobal.org/xsd/imscp_v1p1" identifier="m"><resources>
<resource identifier="T" type="imsqti_test_xmlv2p1" href="test.xml"><file href="test.xml"/></resource>
<resource identifier="I" type="imsqti_item_xmlv2p1" href="item.xml"><file href="item.xml"/><file href="a.png"/></resource>
<resource identifier="S" type="imsqti_stimulus_xmlv3p0" href="text.xml"><file href="text.xml"/><file href="a.css"/></resource>
</resources></manifest>"#;
const TEST: &str = r#"<assessmentTest xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1" identifier="t" title="T">
<testPart identifier="p" navigationMode="linear" submissionMode="individual">
<assessmentSection identifier="s" title="S" visible="true"><assessmentItemRef identifier="i" href="item.xml"/>
</assessmentSection></testPart></assessmentTest>"#;
const ITEM: &str = r#"<assessmentItem xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1" identifier="i" title="I" adaptive="false" timeDependent="false">
<responseDeclaration identifier="R" cardinality="single" baseType="identifier"/>
<itemBody><img src="a.png" alt=""/><choiceInteraction responseIdentifier="R" maxChoices="1">
<simpleChoice identifier="A">A</simpleChoice></choiceInteraction></itemBody></assessmentItem>"#;
const TEXT: &str = r#"<qti-assessment-stimulus xmlns="http://www.imsglobal.org/xsd/imsqtiasi_v3p0" identifier="x" title="X">
<qti-stylesheet href="a.css" type="text/css"/><qti-stimulus-body><p>Text</p></qti-stimulus-body></qti-assessment-stimulus>"#;

/// Compiles the package with `input` in place of the file at `path`.
pub(crate) fn check(path: &str, input: &[u8]) {
    let mut files: BTreeMap<&str, &[u8]> = [
        ("imsmanifest.xml", MANIFEST),
        ("test.xml", TEST),
        ("item.xml", ITEM),
        ("text.xml", TEXT),
        ("a.css", "p { background: url(a.png) }"),
        ("a.png", "picture"),
    ]
    .map(|(path, text)| (path, text.as_bytes()))
    .into();
    files.insert(path, input);
    hold(&Files(files));
}
