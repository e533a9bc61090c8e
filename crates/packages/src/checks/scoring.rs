//! Rules a runner must know by name: those of the standard score the variable RESPONSE into SCORE.

use crate::compile::document::Item;
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::{self, Page};

/// Names of the standard's rules, at the end of their addresses.
const KNOWN: &[&str] = &["match_correct", "map_response", "map_response_point"];

/// Checks the template of an item's response processing.
pub(super) fn check(page: &Page<'_>, item: &Item, report: &mut CheckReport) {
    let Some(node) = xml::children_named(page.root(), "responseProcessing").next() else { return };
    let Some(template) = xml::attribute(node, "template").map(str::trim) else { return };
    if xml::children(node).next().is_some() {
        return;
    }
    let name = template.rsplit('/').next().unwrap_or_default();
    let name = name.strip_suffix(".xml").unwrap_or(name);
    if !KNOWN.contains(&name) {
        let message =
            format!("the standard has no rules called '{}': not every runner can score this", shown(template));
        let problem = Problem::warning("unknown-template", message);
        report.push(
            page.at(node, problem.advice("use match_correct, map_response or map_response_point, or write the rules")),
        );
        return;
    }
    let has_response = item.responses.iter().any(|declaration| declaration.identifier == "RESPONSE");
    let has_score = item.outcomes.iter().any(|declaration| declaration.identifier == "SCORE");
    if !has_response || !has_score {
        let message =
            format!("'{name}' scores the response RESPONSE into the outcome SCORE, which the item does not declare");
        let problem = Problem::warning("unscored", message);
        report.push(page.at(node, problem.advice("rename the variables, or write the rules")));
    }
}
