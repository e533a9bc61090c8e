//! The smallest QTI 2.1 package that can be published: a test of one part, one section and one item.

use std::io::Write;
use std::path::Path;

use zip::write::SimpleFileOptions;

const MANIFEST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<manifest xmlns="http://www.imsglobal.org/xsd/imscp_v1p1" identifier="bench-manifest">
  <metadata><schema>QTIv2.1 Package</schema><schemaversion>1.0.0</schemaversion></metadata>
  <organizations/>
  <resources>
    <resource identifier="test" type="imsqti_test_xmlv2p1" href="test.xml">
      <file href="test.xml"/><dependency identifierref="item"/>
    </resource>
    <resource identifier="item" type="imsqti_item_xmlv2p1" href="item.xml"><file href="item.xml"/></resource>
  </resources>
</manifest>
"#;

const TEST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<assessmentTest xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1" identifier="bench-test" title="Bench">
  <testPart identifier="part" navigationMode="linear" submissionMode="individual">
    <assessmentSection identifier="section" title="Section" visible="true">
      <assessmentItemRef identifier="item-1" href="item.xml"/>
    </assessmentSection>
  </testPart>
</assessmentTest>
"#;

const ITEM: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<assessmentItem xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1" identifier="bench-item" title="Item" adaptive="false" timeDependent="false">
  <responseDeclaration identifier="RESPONSE" cardinality="single" baseType="string"/>
  <outcomeDeclaration identifier="SCORE" cardinality="single" baseType="float"/>
  <itemBody><extendedTextInteraction responseIdentifier="RESPONSE"><prompt>Why?</prompt></extendedTextInteraction></itemBody>
</assessmentItem>
"#;

/// Writes the package.
pub fn write(path: &Path) -> anyhow::Result<()> {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path)?);
    for (name, text) in [("imsmanifest.xml", MANIFEST), ("test.xml", TEST), ("item.xml", ITEM)] {
        zip.start_file(name, SimpleFileOptions::default())?;
        zip.write_all(text.as_bytes())?;
    }
    zip.finish()?;
    Ok(())
}
