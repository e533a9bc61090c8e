//! A test as small as one can be, in editions that differ in their one item.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;

use crate::CANARY;

const MANIFEST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<manifest xmlns="http://www.imsglobal.org/xsd/imscp_v1p1" identifier="small">
  <metadata><schema>QTIv2.2 Package</schema><schemaversion>1.0.0</schemaversion></metadata>
  <organizations/>
  <resources>
    <resource identifier="test" type="imsqti_test_xmlv2p2" href="test.xml">
      <file href="test.xml"/><dependency identifierref="item"/>
    </resource>
    <resource identifier="item" type="imsqti_item_xmlv2p2" href="item.xml"><file href="item.xml"/></resource>
  </resources>
</manifest>"#;

const TEST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<assessmentTest xmlns="http://www.imsglobal.org/xsd/imsqti_v2p2" identifier="small" title="Small">
  <testPart identifier="part" navigationMode="linear" submissionMode="individual">
    <assessmentSection identifier="section" title="Section" visible="true">
      <assessmentItemRef identifier="item" href="item.xml"/>
    </assessmentSection>
  </testPart>
</assessmentTest>"#;

fn item(edition: u32) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<assessmentItem xmlns="http://www.imsglobal.org/xsd/imsqti_v2p2" identifier="item" title="Item" adaptive="false" timeDependent="false">
  <responseDeclaration identifier="RESPONSE" cardinality="single" baseType="identifier"/>
  <outcomeDeclaration identifier="SCORE" cardinality="single" baseType="float"/>
  <itemBody>
    <choiceInteraction responseIdentifier="RESPONSE" maxChoices="1">
      <prompt>{CANARY}: question of edition {edition}?</prompt>
      <simpleChoice identifier="A">yes</simpleChoice>
      <simpleChoice identifier="B">no</simpleChoice>
    </choiceInteraction>
  </itemBody>
</assessmentItem>"#
    )
}

/// The zip of an edition.
pub fn package(edition: u32) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, text) in [("imsmanifest.xml", MANIFEST), ("test.xml", TEST), ("item.xml", &item(edition))] {
        zip.start_file(path, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
