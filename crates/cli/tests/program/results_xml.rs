//! Results as another program writes them: QTI Results Reporting 2.1.

use std::fmt::Write as _;

use super::people::login;

/// The result of a taker: a test score and `items` answers.
pub fn result(taker: usize, items: usize) -> String {
    let mut text = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<assessmentResult xmlns="http://www.imsglobal.org/xsd/imsqti_result_v2p1">
  <context sourcedId="{}"/>
  <testResult identifier="Maths" datestamp="2026-05-12T09:31:40">
    <outcomeVariable identifier="SCORE_TOTAL" cardinality="single" baseType="float"><value>{taker}</value></outcomeVariable>
  </testResult>
"#,
        login(taker)
    );
    for item in 0..items {
        writeln!(
            text,
            r#"  <itemResult identifier="item-{item}" sequenceIndex="{}" datestamp="2026-05-12T09:30:00" sessionStatus="final">
    <responseVariable identifier="RESPONSE" cardinality="single" baseType="string">
      <candidateResponse><value>the answer of {taker} to {item}</value></candidateResponse>
    </responseVariable>
  </itemResult>"#,
            item + 1
        )
        .unwrap();
    }
    text + "</assessmentResult>\n"
}
