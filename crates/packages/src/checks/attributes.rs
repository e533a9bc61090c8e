//! Attributes QTI does not know: mostly typing mistakes, whose effect is that a setting is silently not applied.

use roxmltree::Node;

use crate::problem::{CheckReport, Problem, shown};
use crate::xml::{self, Page};

/// Attributes of the elements that steer a test, in QTI 2.0 to 3.0 together.
fn known(element: &str) -> Option<&'static [&'static str]> {
    Some(match element {
        "assessmentTest" => &["identifier", "title", "toolName", "toolVersion", "class"],
        "testPart" => &["identifier", "title", "class", "navigationMode", "submissionMode"],
        "assessmentSection" => &["identifier", "title", "class", "required", "fixed", "visible", "keepTogether"],
        "assessmentItemRef" => &["identifier", "class", "required", "fixed", "href", "category"],
        "assessmentSectionRef" => &["identifier", "class", "required", "fixed", "href"],
        "itemSessionControl" => &[
            "maxAttempts",
            "showFeedback",
            "allowReview",
            "showSolution",
            "allowComment",
            "allowSkipping",
            "validateResponses",
        ],
        "timeLimits" => &["minTime", "maxTime", "allowLateSubmission"],
        "selection" => &["select", "withReplacement"],
        "ordering" => &["shuffle"],
        "assessmentItem" => {
            &["identifier", "title", "label", "adaptive", "timeDependent", "toolName", "toolVersion", "lang", "class"]
        }
        "responseDeclaration" => &["identifier", "cardinality", "baseType"],
        "outcomeDeclaration" => &[
            "identifier",
            "cardinality",
            "baseType",
            "view",
            "interpretation",
            "longInterpretation",
            "normalMaximum",
            "normalMinimum",
            "masteryValue",
            "externalScored",
            "variableIdentifierRef",
        ],
        _ => return None,
    })
}

/// Warns of unknown attributes anywhere in a page. Foreign namespaces and `data-…` belong to others.
pub(crate) fn check(page: &Page<'_>, report: &mut CheckReport) {
    for node in page.root().descendants().filter(Node::is_element) {
        let Some(known) = known(&xml::name(node)) else { continue };
        for attribute in node.attributes().filter(|a| a.namespace().is_none() && !a.name().starts_with("data-")) {
            if !known.contains(&xml::camel(attribute.name()).as_str()) {
                let message = format!("QTI knows no attribute '{}' here; it has no effect", shown(attribute.name()));
                let problem = Problem::warning("unknown-attribute", message);
                report.push(page.at(node, problem.advice("correct or remove it")));
            }
        }
    }
}
