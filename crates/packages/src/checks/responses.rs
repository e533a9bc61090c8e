//! What a candidate answers must have a variable to be kept in.

use std::collections::BTreeSet;

use crate::compile::document::Item;
use crate::problem::{CheckReport, Problem, shown};
use crate::xml::Page;

/// Undeclared responses named; each costs a walk over the page.
const MOST: usize = 50;

/// Every interaction's response must be declared: an undeclared one is lost.
pub(crate) fn check(page: &Page<'_>, item: &Item, report: &mut CheckReport) {
    let declared: BTreeSet<&str> = item.responses.iter().map(|r| r.identifier.as_str()).collect();
    let asked: BTreeSet<&str> = item.interactions.iter().map(|i| i.response.as_str()).collect();
    for response in asked.difference(&declared).take(MOST) {
        let message = format!("the response '{}' is not declared, so answers would be lost", shown(response));
        let problem = page.at_last("responseIdentifier", response, Problem::error("undeclared-response", message));
        report.push(problem.advice("add a responseDeclaration with this identifier"));
    }
}
